"""Who waits for what: requests under way at this member, each with a deadline.

No tasks and no timers: the node sweeps on its ticks. All requests get the same time, so the
oldest is always first and a sweep touches only what has expired.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from kvstore.errors import KvError, RequestTimeoutError, TooManyRequestsError

T = TypeVar("T")
Done = Callable[[T | KvError], None]

# Beyond this backlog a member answers "too many requests" instead of queueing more memory.
WAITING_MAX = 50_000


class Waiters(Generic[T]):
    """Requests by id, in the order in which they came."""

    def __init__(self, first_id: int, timeout_seconds: float) -> None:
        self._next_id = first_id
        self._timeout_seconds = timeout_seconds
        self._waiting: dict[int, tuple[float, Done[T]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._waiting

    def add(self, now: float, done: Done[T]) -> int:
        """Let `done` wait; returns its id. Raises TooManyRequestsError when too many wait."""
        if len(self._waiting) >= WAITING_MAX:
            raise TooManyRequestsError
        request_id = self._next_id
        self._next_id += 1
        self._waiting[request_id] = (now + self._timeout_seconds, done)
        return request_id

    def resolve(self, request_id: int, result: T | KvError) -> None:
        """Answer; nothing happens when the request has timed out already."""
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            waiting[1](result)

    def expire(self, now: float, error: type[KvError] = RequestTimeoutError) -> None:
        """Fail the requests whose deadline has passed."""
        while self._waiting:
            request_id, (deadline, done) = next(iter(self._waiting.items()))
            if deadline > now:
                return
            del self._waiting[request_id]
            done(error())

    def fail_all(self, error: type[KvError]) -> None:
        """Fail every request."""
        waiting, self._waiting = self._waiting, {}
        for _, done in waiting.values():
            done(error())
