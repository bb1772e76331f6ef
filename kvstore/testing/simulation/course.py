"""A fault that takes its course: several things go wrong one after the other.

Whatever the course does by itself ends with the fault. An error in it is one of the run, and one
that was broken off before it came to its point is known to have done little.
"""

import asyncio
from collections.abc import Iterable, Sequence

from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.victims import Victim, Victims


class Course:
    """See above; `Fault` but for its kind. Derived classes say how it goes."""

    def __init__(self, cluster: Victims, members: Sequence[Victim]) -> None:
        self.members = tuple(members)
        self.is_complete = False
        """It came to its point."""
        self._network = cluster.network
        self._going: asyncio.Task[None] | None = None
        self._stalled: list[Link] = []

    def begin(self) -> None:
        """See `Fault`."""
        self._going = asyncio.ensure_future(self._go())
        self._going.add_done_callback(_look_at)

    def end(self) -> None:
        """See `Fault`."""
        assert self._going is not None
        self._going.cancel()
        self._release(list(self._stalled))
        self._undo()
        start(self.members)

    async def _go(self) -> None:
        """What happens."""
        raise NotImplementedError

    def _undo(self) -> None:
        """What is left of it, but for stalls and dead members."""

    def _stall(self, links: Iterable[Link]) -> None:
        for link in links:
            self._network.stall(link)
            self._stalled.append(link)

    def _release(self, links: Iterable[Link]) -> None:
        for link in links:
            self._network.release(link)
            self._stalled.remove(link)


def start(members: Iterable[Victim]) -> None:
    """Begin a life of each that is dead, but for those that others start."""
    for member in members:
        if not (member.is_alive or member.is_removed or member.is_joining):
            member.start()


def _look_at(going: "asyncio.Task[None]") -> None:
    if not going.cancelled() and (error := going.exception()) is not None:
        context = {"message": "a fault went wrong", "exception": error, "task": going}
        going.get_loop().call_exception_handler(context)
