"""When a leader tells members of commits that nobody there waits for.

To be told wakes a process that has nothing else to do, once for every write. While writes follow
one another closely the next entries can say it as well. A write after a pause is told at once.
"""

from collections.abc import Callable

from kvstore.raft.core import Raft
from kvstore.seams import Clock

HOLD_SECONDS = 0.002
"""Writes that are closer than this carry the news of those before them; the last one's waits about
as long."""


class CommitHold:
    """Watches the pace of a leader's appends, and holds commits while it is quick."""

    def __init__(self, raft: Raft, clock: Clock, wake: Callable[[], None]) -> None:
        self._raft = raft
        self._clock = clock
        self._wake = wake
        self._appended_at = -HOLD_SECONDS
        self._is_holding = False

    def appended(self) -> None:
        """Entries have gone out."""
        now = self._clock.now()
        is_close = now - self._appended_at < HOLD_SECONDS
        self._appended_at = now
        if is_close and not self._is_holding:
            self._is_holding = True
            self._raft.hold_commits(True)
            self._clock.call_later(HOLD_SECONDS, self._look)

    def _look(self) -> None:
        left = self._appended_at + HOLD_SECONDS - self._clock.now()
        if left > 0:
            self._clock.call_later(left, self._look)
            return
        self._is_holding = False
        self._raft.hold_commits(False)
        self._wake()
