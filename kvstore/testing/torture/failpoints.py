"""Failpoints: a member ends where it is told to, each place in turn."""

import asyncio
import contextlib
import signal
from random import Random

from kvstore.errors import KvError
from kvstore.server.failpoints import VARIABLE, Action
from kvstore.server.points import FIRST_START_POINTS, NODE_POINTS, POINTS, is_frequent
from kvstore.testing.processes import MemberProcess, MemberStartError
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.process_faults import Replace
from kvstore.testing.torture.scene import Need, Scene

JOIN_POINTS = (*FIRST_START_POINTS, "snapshot install", "snapshot installed")
"""Those that only a new member passes."""

RUNNING_POINTS = (*POINTS, *(point for point in NODE_POINTS if point not in JOIN_POINTS))

# A segment is full, or a snapshot due, at least once in this time.
_ENDED_SECONDS_MAX = 30.0
_READY_SECONDS_MAX = 10.0
_COUNT_MAX = 200  # how often a member may pass a point of every batch before it ends there


class _AtFailpoint(Fault):
    """Its evidence is the line that a failpoint writes before it kills."""

    async def _ends_there(self, scene: Scene, member: MemberProcess) -> None:
        """Wait until a member has ended at the point, or end it: it does not come by."""
        line = f"failpoint {self.point}: {Action.KILL}"
        if await scene.ended(member, seconds_max=_ENDED_SECONDS_MAX):
            scene.take_end(member, status=-signal.SIGKILL, words=line)
        else:
            scene.kill(member)
        self.is_reached = line in member.log()
        self.evidence = f"its log says {line!r}" if self.is_reached else ""
        self.detail += "" if self.is_reached else " (not reached)"


class FailpointFault(_AtFailpoint):
    """A member is started so that it ends at a named failpoint; half of the time it leads."""

    name = "failpoint"
    needs = frozenset({Need.SMALL_SEGMENTS})
    points = RUNNING_POINTS

    async def begin(self, scene: Scene) -> None:
        self._member = scene.random.choice(scene.members)
        self.point = _point_in_turn(scene, self.name, self.points)
        is_counted = is_frequent(self.point) or self.point in NODE_POINTS
        count = scene.random.randint(1, _COUNT_MAX) if is_counted else 1
        self.detail = f"{self._member.name} at {self.point!r} (pass {count})"
        await scene.stop(self._member)
        self._member.environment = _armed(self.point, count)
        scene.start(self._member)
        if scene.random.random() < 0.5:
            await _let_it_lead(scene, self._member)
        await self._ends_there(scene, self._member)

    async def end(self, scene: Scene) -> None:
        self._member.environment = {}
        scene.start(self._member)


class FailpointJoin(_AtFailpoint, Replace):
    """A member is replaced, and the new one ends at a failpoint of its first life."""

    name = "failpoint-join"
    needs = frozenset({Need.SMALL_SEGMENTS})
    points = JOIN_POINTS

    async def prepare(self, scene: Scene) -> None:
        """A member's log in memory begins with its start: who is new then gets a snapshot."""
        for member in scene.members:
            await scene.stop(member)
            scene.start(member)
            await scene.wait_ready()

    async def _join(self, scene: Scene, new: MemberProcess) -> None:
        self.point = _point_in_turn(scene, self.name, self.points)
        new.environment = _armed(self.point, 1)
        scene.join(new)  # whether it is listed before it ends, the point decides
        self.detail += f", which ended at {self.point!r}"
        await self._ends_there(scene, new)
        new.environment = {}
        scene.start(new)


def _point_in_turn(scene: Scene, name: str, points: tuple[str, ...]) -> str:
    """All in one random order, over and over."""
    turn = scene.turn(name)
    shuffled = Random(scene.seed).sample(points, k=len(points))
    return shuffled[turn % len(points)]


def _armed(point: str, count: int) -> dict[str, str]:
    return {VARIABLE: f"{point}:{count}={Action.KILL}"}


async def _let_it_lead(scene: Scene, member: MemberProcess) -> None:
    """As far as it lives that long."""
    with contextlib.suppress(KvError, MemberStartError):
        await asyncio.to_thread(
            scene.cluster.wait_ready, [member], timeout_seconds=_READY_SECONDS_MAX
        )
        status = await asyncio.to_thread(member.status)
        if status is not None:
            async with scene.connect() as store:
                await store.maintenance.move_leader(status.header.member_id)
