"""Linearizable reads that wait: for a leader's confirmation, then for the applied index.

Decides nothing about consensus: `kvstore.raft` confirms, the node tells what was applied. All
reads that the node asks for together share one context (dissertation, 6.4).
"""

import heapq
from collections.abc import Callable

from kvstore.errors import KvError, RequestTimeoutError, TooManyRequestsError
from kvstore.server.waiters import WAITING_MAX

ReadDone = Callable[[KvError | None], None]
_Batch = list[tuple[float, ReadDone]]  # (deadline, done)


class ReadQueue:
    """Reads under way at this member."""

    def __init__(self, first_context: int, *, timeout_seconds: float, retry_seconds: float) -> None:
        self._next_context = first_context
        self._timeout_seconds = timeout_seconds
        self._retry_seconds = retry_seconds
        self._count = 0
        self._last_count = 0  # of the reads that were asked for together last
        self._new: _Batch = []
        self._asked: dict[int, tuple[float, _Batch]] = {}  # context → (asked at, batch)
        self._confirmed: list[tuple[int, int, _Batch]] = []  # heap of (index, context, batch)

    def add(self, now: float, done: ReadDone) -> None:
        """Let a read wait. Raises TooManyRequestsError when too many wait."""
        if self._count >= WAITING_MAX:
            raise TooManyRequestsError
        self._count += 1
        self._new.append((now + self._timeout_seconds, done))

    @property
    def gathering_count(self) -> int:
        """Reads that are to be asked for, where more may be about to come: 0 if the last one was
        alone, as those of a single client are."""
        return len(self._new) if self._last_count > 1 else 0

    def ask(self, now: float, read_index: Callable[[int], bool]) -> None:
        """Ask for the reads gathered since the last time; they stay when there is no leader."""
        if self._new and read_index(self._next_context):
            self._last_count = len(self._new)
            self._asked[self._next_context] = (now, self._new)
            self._next_context += 1
            self._new = []

    def confirm(self, context: int, index: int) -> None:
        """The reads of `context` may be served once `index` is applied."""
        asked = self._asked.pop(context, None)
        if asked is not None:
            heapq.heappush(self._confirmed, (index, context, asked[1]))

    def reject(self, context: int) -> None:
        """The leader that was asked is none: ask again."""
        asked = self._asked.pop(context, None)
        if asked is not None:
            self._new = asked[1] + self._new

    def serve(self, applied_index: int) -> None:
        """Run the reads that may be served now."""
        while self._confirmed and self._confirmed[0][0] <= applied_index:
            _, _, batch = heapq.heappop(self._confirmed)
            self._count -= len(batch)
            for _, done in batch:
                done(None)

    def tick(self, now: float) -> None:
        """Fail what is too old; ask again what got no answer (its message may be lost)."""
        for context, (asked_at, _) in list(self._asked.items()):
            if now - asked_at >= self._retry_seconds:
                self.reject(context)
        self._new = self._expire(now, self._new)
        for _, _, batch in self._confirmed:
            batch[:] = self._expire(now, batch)

    def _expire(self, now: float, batch: _Batch) -> _Batch:
        if not batch or batch[0][0] > now:
            return batch
        self._count -= sum(deadline <= now for deadline, _ in batch)
        for deadline, done in batch:
            if deadline <= now:
                done(RequestTimeoutError())
        return [read for read in batch if read[0] > now]

    def fail_all(self, error: type[KvError]) -> None:
        """Fail every read."""
        batches = [self._new, *(b for _, b in self._asked.values())]
        batches += [b for _, _, b in self._confirmed]
        self._new, self._asked, self._confirmed, self._count = [], {}, [], 0
        for batch in batches:
            for _, done in batch:
                done(error())
