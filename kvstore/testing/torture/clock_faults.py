"""Faults of clocks: an hour off, which may mean nothing to anybody."""

from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import Need, Scene

_JUMP_SECONDS = 3600.0


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

    async def end(self, scene: Scene) -> None:
        scene.clock.jump(0.0)

    async def clear(self, scene: Scene) -> None:
        await _restart_all(scene, {})


async def _restart_all(scene: Scene, environment: dict[str, str]) -> None:
    """One member after the other."""
    for member in scene.members:
        await scene.stop(member)
        member.environment = environment
        await scene.start(member)
        await scene.wait_ready()


CLOCK_FAULTS: tuple[type[Fault], ...] = (ClockJump,)
