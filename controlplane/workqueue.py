"""A queue of keys to look at: each once, never two workers on one, failures ever later.

Source of the numbers: kube-behaviour.md 11.11 (client-go's defaults).
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from kvstore.seams import Clock, Timer

K = TypeVar("K", bound=Hashable)

FIRST_DELAY_SECONDS = 0.005
DELAY_SECONDS_MAX = 1000.0
BUCKET_PER_SECOND = 10.0
BUCKET_BURST = 100
_DOUBLINGS_MAX = 32  # beyond any maximum: keeps the power small


class Backoff(Generic[K]):
    """How long a key that failed waits: 5 ms, doubled with each failure, up to 1000 s. Pure."""

    def __init__(
        self, first: float = FIRST_DELAY_SECONDS, longest: float = DELAY_SECONDS_MAX
    ) -> None:
        self._first = first
        self._longest = longest
        self._failures: dict[K, int] = {}

    def failed(self, key: K) -> float:
        """Count a failure; seconds to wait."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return min(self._first * 2.0 ** min(failures, _DOUBLINGS_MAX), self._longest)

    def forget(self, key: K) -> None:
        """It has succeeded."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often it failed since it last succeeded."""
        return self._failures.get(key, 0)


class Bucket:
    """How long all failures together wait: a burst at once, then so many a second. Pure."""

    def __init__(self, per_second: float = BUCKET_PER_SECOND, burst: int = BUCKET_BURST) -> None:
        self._interval = 1.0 / per_second
        self._burst = burst
        self._full_at = 0.0  # when, if nothing else is taken, the bucket will be full again

    def take(self, now: float) -> float:
        """Take a token; seconds until it is due."""
        self._full_at = max(self._full_at, now) + self._interval
        return max(0.0, self._full_at - now - self._burst * self._interval)


class WorkQueue(Generic[K]):
    """Keys that wait, each once however often it was added.

    A key that is added while a worker has it waits until the worker is done with it. The queue is
    as long as there are keys, no longer.
    """

    def __init__(
        self, clock: Clock, *, backoff: Backoff[K] | None = None, bucket: Bucket | None = None
    ) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._bucket = bucket or Bucket()
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()  # to be looked at (again)
        self._working: set[K] = set()
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """Keys that are ready for a worker."""
        return len(self._ready)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is ready or being worked on (something may be delayed)."""
        return not self._ready and not self._working

    def add(self, key: K) -> None:
        """Have a key looked at, as soon as there is a worker."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._enqueue(key)

    def add_after(self, key: K, seconds: float) -> None:
        """… not before `seconds` from now; of several delays of a key the shortest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.now() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, next(self._order), key))
            self._set_timer()

    def add_failed(self, key: K) -> None:
        """… after its back-off, and when the bucket of all failures has a token."""
        delay = max(self._backoff.failed(key), self._bucket.take(self._clock.now()))
        self.add_after(key, delay)

    def forget(self, key: K) -> None:
        """Its next failure is its first."""
        self._backoff.forget(key)

    def failures(self, key: K) -> int:
        """How often it failed since it last succeeded."""
        return self._backoff.failures(key)

    async def get(self) -> K:
        """The next key, which is this worker's until `done`."""
        while not self._ready:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._pass_on(waiter)
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The worker has ended; what was added meanwhile is ready now."""
        assert key in self._working, f"nobody works on {key}"
        self._working.discard(key)
        if key in self._dirty:
            self._enqueue(key)

    def close(self) -> None:
        """Nothing that is delayed will come any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()
        self._due.clear()

    def _enqueue(self, key: K) -> None:
        self._ready.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _pass_on(self, waiter: asyncio.Future[None]) -> None:
        """A worker that ends just as it is woken must not leave a key without one."""
        if waiter.done() and not waiter.cancelled():
            if self._ready:
                self._wake()
        elif waiter in self._waiters:
            self._waiters.remove(waiter)

    def _set_timer(self) -> None:
        """One timer, for whatever is due first."""
        if not self._heap:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._clock.call_later(max(0.0, due - self._clock.now()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = max(self._clock.now(), self._timer_due)  # a timer may ring a trifle early
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:  # else: a shorter delay has had its turn
                del self._due[key]
                self.add(key)
        self._set_timer()
