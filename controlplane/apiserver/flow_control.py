"""How many requests are handled at once, and who waits how long for a turn.

Source: Kubernetes' API server flags (400 reads and 200 writes in flight) and "API Priority and
Fairness" (429 with Retry-After); kube-behaviour 2.23 and 11.9, of which this is the first release:
turns are given to users in rotation, so a busy one does not starve the others.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from controlplane.api import errors
from controlplane.apiserver.users import User

READS_MAX = 400
WRITES_MAX = 200
WAITING_MAX = 50  # of one user
_EXEMPT = "system:masters"


class _Seats:
    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, who: str) -> None:
        """Raises ApiError 429 when too many of this user wait already."""
        if self._free > 0:
            self._free -= 1
            return
        queue = self._waiting.setdefault(who, deque())
        if len(queue) >= WAITING_MAX:
            raise errors.too_many_requests("Too many requests, please try again later.")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()  # the turn came, and nobody takes it
            else:
                self._forget(who, turn)
            raise

    def _forget(self, who: str, turn: "asyncio.Future[None]") -> None:
        """Who has gone does not count as waiting."""
        queue = self._waiting.get(who)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[who]

    def give(self) -> None:
        """Pass a seat on to the user who has waited longest since the last turn."""
        while self._waiting:
            who, queue = self._waiting.popitem(last=False)
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    if queue:
                        self._waiting[who] = queue
                    turn.set_result(None)
                    return
        self._free += 1


class FlowControl:
    """Seats for reads and for writes. Those whom no rule binds never wait."""

    def __init__(self, reads: int = READS_MAX, writes: int = WRITES_MAX) -> None:
        self._reads = _Seats(reads)
        self._writes = _Seats(writes)

    @contextlib.asynccontextmanager
    async def seat(self, user: User, *, is_write: bool) -> AsyncIterator[None]:
        """Hold a seat for one request."""
        if _EXEMPT in user.groups:
            yield
            return
        seats = self._writes if is_write else self._reads
        await seats.take(user.name)
        try:
            yield
        finally:
            seats.give()
