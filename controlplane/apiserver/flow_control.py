"""How many requests are handled at once, and who waits how long for a turn.

Source: Kubernetes' API server flags (400 reads and 200 writes in flight) and "API Priority and
Fairness" (levels with seats of their own, 429 with Retry-After); kube-behaviour 2.23 and 11.9. Of
a level's users each has a queue, and turns go round among them, so a busy one does not starve the
others. What a level does not need others may borrow, but for the part that it never lends.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence

from controlplane.api import errors
from controlplane.apiserver import priority
from controlplane.apiserver.priority import LEVELS, Level
from controlplane.apiserver.rbac import Attributes
from controlplane.apiserver.users import User

READS_MAX = 400
WRITES_MAX = 200
WAITING_MAX = 50  # of one user
WAITING_SECONDS_MAX = 15.0  # a quarter of what a request has; who waits longer has given up
LEVEL_WAITING_MAX = 64 * WAITING_MAX  # of all users of a level, as many as APF's queues take
_READS = frozenset(("get", "list", "watch", "head"))
_SHARES = sum(level.shares for level in LEVELS)


def _too_many() -> errors.ApiError:
    return errors.too_many_requests("Too many requests, please try again later.")


class _Queue:
    """Those of a level who wait, by user."""

    def __init__(self, level: Level, seats: int) -> None:
        self.nominal = seats * level.shares / _SHARES
        self.kept = int(self.nominal * (100 - level.lendable_percent) / 100)
        """So many seats are never lent."""
        self.used = 0
        self.waiting = 0
        self._users: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def reserved(self) -> int:
        """Free seats that only this level may take."""
        return max(self.kept - self.used, 0)

    def join(self, who: str) -> "asyncio.Future[None]":
        """Raises ApiError 429 when too many wait already."""
        own = self._users.get(who, ())
        if len(own) >= WAITING_MAX or self.waiting >= LEVEL_WAITING_MAX:
            raise _too_many()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._users.setdefault(who, deque()).append(turn)
        self.waiting += 1
        return turn

    def leave(self, who: str, turn: "asyncio.Future[None]") -> None:
        """Who has gone does not count as waiting."""
        queue = self._users.get(who)
        if queue is not None and turn in queue:
            queue.remove(turn)
            self.waiting -= 1
            if not queue:
                del self._users[who]

    def call(self) -> bool:
        """It is the turn of the user who has waited longest since the last one; False: of nobody,
        all have gone and were just about to leave."""
        while self._users:
            who, queue = self._users.popitem(last=False)
            turn = queue.popleft()
            self.waiting -= 1
            if queue:
                self._users[who] = queue
            if not turn.done():
                self.used += 1
                turn.set_result(None)
                return True
        return False


class _Seats:
    def __init__(self, count: int) -> None:
        self._free = count
        self._queues = {level.name: _Queue(level, count) for level in LEVELS}

    @property
    def used(self) -> dict[str, int]:
        return {name: queue.used for name, queue in self._queues.items()}

    @property
    def waiting(self) -> dict[str, int]:
        return {name: queue.waiting for name, queue in self._queues.items()}

    async def take(self, level: Level, who: str) -> None:
        """Raises ApiError 429 when too many of this user wait already, or none comes free."""
        queue = self._queues[level.name]
        if not queue.waiting and self._is_free_for(queue):
            self._free -= 1
            queue.used += 1
            return
        turn = queue.join(who)
        try:
            async with asyncio.timeout(WAITING_SECONDS_MAX):
                await self._turn(level, who, turn)
        except TimeoutError:
            raise _too_many() from None

    async def _turn(self, level: Level, who: str, turn: "asyncio.Future[None]") -> None:
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(level)  # the turn came, and nobody takes it
            else:
                self._queues[level.name].leave(who, turn)
            raise

    def give(self, level: Level) -> None:
        """Pass a seat on, first to the level that has least of what is its own."""
        self._queues[level.name].used -= 1
        self._free += 1
        while True:
            able = [one for one in self._queues.values() if one.waiting and self._is_free_for(one)]
            if not able:
                return
            if min(able, key=lambda one: one.used / one.nominal).call():
                self._free -= 1

    def _is_free_for(self, queue: _Queue) -> bool:
        others = sum(one.reserved for one in self._queues.values() if one is not queue)
        return self._free > 0 and (queue.reserved > 0 or self._free > others)


class FlowControl:
    """Seats for reads and for writes. Those whom no rule binds never wait."""

    def __init__(self, reads: int = READS_MAX, writes: int = WRITES_MAX) -> None:
        self._reads = _Seats(reads)
        self._writes = _Seats(writes)

    @contextlib.asynccontextmanager
    async def seat(self, user: User, asked: Attributes) -> AsyncIterator[None]:
        """Hold a seat for one request. Raises ApiError 429."""
        level = priority.level_of(user, asked)
        if level is priority.EXEMPT:
            yield
            return
        seats = self._reads if asked.verb in _READS else self._writes
        await seats.take(level, user.name)
        try:
            yield
        finally:
            seats.give(level)

    def readings(self, *, waiting: bool) -> dict[tuple[tuple[str, str], ...], float]:
        """How many are handled, or wait, by kind and level; for metrics."""
        found: dict[tuple[tuple[str, str], ...], float] = {}
        kinds: Sequence[tuple[str, _Seats]] = (
            ("readOnly", self._reads),
            ("mutating", self._writes),
        )
        for kind, seats in kinds:
            for level, count in (seats.waiting if waiting else seats.used).items():
                found[("request_kind", kind), ("priority_level", level)] = count
        return found
