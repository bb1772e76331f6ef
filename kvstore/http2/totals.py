"""What all connections of a process cost together, and which ends when it is too much. Pure.

The one that holds most ends, not the one that comes last: who asks for little is served whatever
others do.
"""

from collections.abc import Callable
from typing import Protocol

from kvstore.http2.limits import (
    PROCESS_RECEIVING_BYTES_MAX,
    PROCESS_SENDING_BYTES_MAX,
    PROCESS_STREAMS_MAX,
)


class Holder(Protocol):
    """A connection, as far as its cost goes."""

    @property
    def stream_count(self) -> int:
        """Calls under way."""

    @property
    def receiving_bytes(self) -> int:
        """Of requests that are not complete, and of long heads."""

    @property
    def sending_bytes(self) -> int:
        """Of answers that wait for their reader."""

    def give_up(self) -> None:
        """End, for the sake of the others."""


class Totals:
    """Sums over the connections of a process."""

    __slots__ = ("_holders", "receiving_bytes", "sending_bytes", "streams")

    def __init__(self) -> None:
        self.streams = 0
        self.receiving_bytes = 0
        self.sending_bytes = 0
        self._holders: set[Holder] = set()

    @property
    def is_sending_full(self) -> bool:
        """Tell whether responses that nobody reads take all that they may."""
        return self.sending_bytes >= PROCESS_SENDING_BYTES_MAX

    def enter(self, holder: Holder) -> None:
        """A connection begins."""
        self._holders.add(holder)

    def leave(self, holder: Holder) -> None:
        """It has ended."""
        self._holders.discard(holder)

    def relieve(self) -> None:
        """End the connection that holds most of what there is too much of."""
        if self.receiving_bytes > PROCESS_RECEIVING_BYTES_MAX:
            self._end_largest(lambda holder: holder.receiving_bytes)
        if self.sending_bytes > PROCESS_SENDING_BYTES_MAX:
            self._end_largest(lambda holder: holder.sending_bytes)
        if self.streams > PROCESS_STREAMS_MAX:
            self._end_largest(lambda holder: holder.stream_count)

    def _end_largest(self, cost: Callable[[Holder], int]) -> None:
        if self._holders:
            max(self._holders, key=cost).give_up()
