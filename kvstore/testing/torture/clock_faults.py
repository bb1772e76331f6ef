"""Faults of clocks: an hour off, which may mean nothing to anybody."""

import asyncio
import time

from kvstore.testing.processes import MemberProcess
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import Need, Scene

_JUMP_SECONDS = 3600.0
_EXACT_SECONDS = 60.0  # … is off by as much: the machine may be busy, and dates end in seconds
_LINE_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.02
_GARBAGE = b"GET / HTTP/1.1\r\n\r\n"
_REFUSED = "closed a connection from"
_DATE = "%Y-%m-%dT%H:%M:%S"


class ClockJump(Fault):
    """The wall clocks of all members jump by an hour, there and back."""

    name = "clock-jump"
    needs = frozenset({Need.CLOCK})
    hold_seconds = 5.0
    terms_max = 0

    async def prepare(self, scene: Scene) -> None:
        scene.clock.jump(0.0)
        await _restart_all(scene, scene.clock.environment())

    async def begin(self, scene: Scene) -> None:
        seconds = scene.random.choice((-_JUMP_SECONDS, _JUMP_SECONDS))
        self.detail = f"{seconds:+.0f} s"
        scene.clock.jump(seconds)
        offs = [await clock_off(member) for member in scene.members]
        if all(off is not None and abs(off - seconds) < _EXACT_SECONDS for off in offs):
            self.evidence = "every member dates its log so"

    async def end(self, scene: Scene) -> None:
        scene.clock.jump(0.0)

    async def clear(self, scene: Scene) -> None:
        await _restart_all(scene, {})


async def _restart_all(scene: Scene, environment: dict[str, str]) -> None:
    """One member after the other."""
    for member in scene.members:
        await scene.stop(member)
        member.environment = environment
        scene.start(member)
        await scene.wait_ready()


async def clock_off(member: MemberProcess) -> float | None:
    """How far a member's wall clock is off, by the date of a line that we make it log: about a
    guest at its peer port who is none. None: no such line comes."""
    _, guest = await asyncio.open_connection(member.address, member.peer_port)
    guest.write(_GARBAGE)
    guest.close()
    deadline = time.monotonic() + _LINE_SECONDS_MAX
    while not (lines := [line for line in member.log().splitlines() if _REFUSED in line]):
        if time.monotonic() > deadline:
            return None
        await asyncio.sleep(_POLL_SECONDS)
    logged = time.strptime(lines[-1].partition(".")[0], _DATE)
    return time.mktime(logged) - time.time()


CLOCK_FAULTS: tuple[type[Fault], ...] = (ClockJump,)
