"""Who writes next: those of this process who want the same key take turns.

Compares keep writes right, whoever makes them. But of many who want one key at once all but one
would lose, again and again; so they queue, and each finds what the one before has left. Where
another process takes what is claimed it is tried again, after a pause that grows, until the
request's time is over (`server.REQUEST_SECONDS_MAX`): that others were faster is nothing that a
client is told, unless it has named a resourceVersion (kube-behaviour 2.3, 8.2).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from controlplane.api import errors
from controlplane.claims import ClaimLostError
from kvstore.seams import Random

WAITING_MAX = 1_000  # for one key; what comes on top is told to come later
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.002, 0.1  # before the next attempt, on average the half

_T = TypeVar("_T")


class Turns:
    """fresh: waits until the cache has all that was written before the call."""

    def __init__(self, fresh: Callable[[], Awaitable[None]], dice: Random) -> None:
        self._fresh = fresh
        self._dice = dice
        self._queues: dict[bytes, _Queue] = {}

    async def run(self, keys: Iterable[bytes], attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Attempt until nobody else was faster; each time at the keys and those that were lost.

        Raises ApiError 429 when too many wait for one of them already.
        """
        wanted = frozenset(keys)
        pause = PAUSE_SECONDS_MIN
        while True:
            held: list[bytes] = []
            try:
                if await self._take(sorted(wanted), held):
                    await self._fresh()
                lost: frozenset[bytes] = frozenset()
                while lost <= wanted:
                    try:
                        return await attempt()
                    except ClaimLostError as error:
                        lost = frozenset(error.keys)
                    await asyncio.sleep(self._dice.random() * pause)
                    pause = min(2 * pause, PAUSE_SECONDS_MAX)
                    await self._fresh()
            finally:
                for key in reversed(held):
                    self._queues[key].lock.release()
                    self._leave(key)
            wanted |= lost

    async def _take(self, keys: list[bytes], held: list[bytes]) -> bool:
        """Add to `held` whichever of the keys are taken; whether somebody had one of them.

        `keys` in an order that is the same for all: so none waits in a circle.
        """
        is_late = False
        for key in keys:
            is_late |= key in self._queues
            queue = self._queues.setdefault(key, _Queue())
            if queue.count > WAITING_MAX:
                raise errors.too_many_requests("Too many requests, please try again later.")
            queue.count += 1
            try:
                await queue.lock.acquire()
            except asyncio.CancelledError:
                self._leave(key)
                raise
            held.append(key)
        return is_late

    def _leave(self, key: bytes) -> None:
        """A key is forgotten with the last who wants it."""
        queue = self._queues[key]
        queue.count -= 1
        if not queue.count:
            del self._queues[key]


class _Queue:
    """`count`: who holds the lock, and those who wait."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0
