"""What the runtime has, listed again whenever something may have changed.

Everybody reads the same lists: a node has one observer, not one a pod. What it holds may be old;
`refresh` returns when it holds a list that was begun after the call.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from controlplane.node.restarts import SECONDS_MAX
from controlplane.node.runtime.interface import Container, RefusedError, Runtime
from controlplane.node.view import NOTHING, PodView, views
from kvstore.seams import Clock

RELIST_SECONDS = 10.0  # hints may be lost
PAUSE_SECONDS = 0.01  # between lists: many changes at once are one
RETRY_SECONDS = 1.0
UNHEALTHY_SECONDS = 180.0
"""Without a list for so long, nobody knows what runs (Kubernetes: PLEG is not healthy)."""

logger = logging.getLogger(__name__)


class Observer:
    """Views of all pods of a runtime.

    on_change  is told the uid of each pod of which something is otherwise
    """

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        wall: Callable[[], float],
        on_change: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._wall = wall
        self._on_change = on_change
        self._views: dict[str, PodView] = {}
        self._ended: dict[str, float] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._asked = asyncio.Event()
        self._listed_at: float | None = None

    @property
    def all(self) -> Mapping[str, PodView]:
        """By uid of the pod."""
        return self._views

    @property
    def ended_at(self) -> Mapping[str, float]:
        """When containers ended, by id, on the agent's monotonic clock."""
        return self._ended

    def view(self, uid: str) -> PodView:
        """Of one pod."""
        return self._views.get(uid, NOTHING)

    def fault(self) -> str:
        """Why it cannot be trusted; empty: it can."""
        if self._listed_at is None:
            return "PLEG is not healthy: pleg has yet to be successful"
        seconds = self._clock.now() - self._listed_at
        if seconds < UNHEALTHY_SECONDS:
            return ""
        return f"PLEG is not healthy: pleg was last seen active {seconds:.0f}s ago"

    async def refresh(self) -> None:
        """Return when it holds what the runtime has now."""
        listed = asyncio.get_running_loop().create_future()
        self._waiting.append(listed)
        self._asked.set()
        await listed

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="changes of the runtime")
            while True:
                await self._relist()
                await self._clock.sleep(PAUSE_SECONDS)
                timer = self._clock.call_later(RELIST_SECONDS, self._asked.set)
                try:
                    await self._asked.wait()
                finally:
                    timer.cancel()

    async def _follow(self) -> None:
        while True:
            try:
                await self._runtime.changed()
            except (RefusedError, OSError):
                await self._clock.sleep(RETRY_SECONDS)
                continue
            self._asked.set()
            await self._clock.sleep(PAUSE_SECONDS)

    async def _relist(self) -> None:
        while True:
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            try:
                found = views(
                    await self._runtime.list_sandboxes(), await self._runtime.list_containers()
                )
            except (RefusedError, OSError, TimeoutError) as error:
                logger.warning("the runtime cannot tell what it has: %s", error)
                self._waiting = waiting + self._waiting
                await self._clock.sleep(RETRY_SECONDS)
                continue
            self._take(found)
            for one in waiting:
                if not one.done():
                    one.set_result(None)
            return

    def _take(self, found: dict[str, PodView]) -> None:
        before, self._views = self._views, found
        is_first = self._listed_at is None
        self._listed_at = self._clock.now()
        containers = [one for view in found.values() for one in view.containers]
        self._ended = {
            one.id: self._end_of(one, is_first=is_first)
            for one in containers
            if one.state == "exited"
        }
        for uid in {**before, **found}:  # in an order that a simulation can repeat
            if before.get(uid) != found.get(uid):
                self._on_change(uid)

    def _end_of(self, container: Container, *, is_first: bool) -> float:
        """It ended just now, but for what ended before there was an agent: only there the wall
        clock counts, and not for more than the longest wait.
        """
        known = self._ended.get(container.id)
        if known is not None:
            return known
        assert self._listed_at is not None
        if not is_first:
            return self._listed_at
        return self._listed_at - min(max(self._wall() - container.finished_at, 0.0), SECONDS_MAX)
