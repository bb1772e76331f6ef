"""Faults of disks: slow, failing, full, without power."""

import asyncio
import contextlib
import os
from pathlib import Path

from kvstore.testing.history import ViolationError
from kvstore.testing.rigs.disks import PowerDisk, failing_syncs, slow_syncs
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import Need, Scene

_SLOW_SYNC_SECONDS = 1.0
_ENDED_SECONDS_MAX = 30.0
_BALLAST_BYTES = 1024 * 1024


class SlowDisk(Fault):
    """Every sync of the leader takes a second longer."""

    name = "slow-disk"
    needs = frozenset({Need.SYNCS})
    hold_seconds = 5.0

    async def begin(self, scene: Scene) -> None:
        self._slowed = contextlib.ExitStack()
        leader = await scene.leader()
        self.detail = leader.name
        slowing = slow_syncs(leader.pid, _SLOW_SYNC_SECONDS)
        await asyncio.to_thread(self._slowed.enter_context, slowing)

    async def end(self, scene: Scene) -> None:
        await asyncio.to_thread(self._slowed.close)


class FailingDisk(Fault):
    """A sync of the leader fails: it must end, for nobody knows what is on the disk then."""

    name = "failing-disk"
    needs = frozenset({Need.SYNCS})

    async def begin(self, scene: Scene) -> None:
        self._ended = await scene.leader()
        self.detail = self._ended.name
        failing = contextlib.ExitStack()
        await asyncio.to_thread(failing.enter_context, failing_syncs(self._ended.pid))
        try:
            if not await scene.ended(self._ended, seconds_max=_ENDED_SECONDS_MAX):
                raise ViolationError(f"{self._ended.name} goes on after a sync that failed")
        finally:
            await asyncio.to_thread(failing.close)

    async def end(self, scene: Scene) -> None:
        await scene.start(self._ended)


class FullDisk(Fault):
    """No byte is left on the disk of a member, which may go on as long as it needs none."""

    name = "full-disk"
    needs = frozenset({Need.DISKS, Need.SMALL_SEGMENTS})
    hold_seconds = 5.0

    async def begin(self, scene: Scene) -> None:
        slot = scene.random.choice(scene.slots)
        assert slot.disk is not None
        self._member = slot.member
        self.detail = slot.name
        self._ballast = slot.disk.path / "ballast"
        await asyncio.to_thread(_fill, self._ballast)

    async def end(self, scene: Scene) -> None:
        await asyncio.to_thread(self._ballast.unlink)
        if not self._member.is_running:
            self.detail += " (it has ended)"
            await scene.start(self._member)


class PowerCut(Fault):
    """The power fails, everywhere at once: what was not synced is gone."""

    name = "power-cut"
    needs = frozenset({Need.DISKS})
    serves_meanwhile = False
    unavailable_seconds_max = 6.0

    async def begin(self, scene: Scene) -> None:
        self._disks = [slot.disk for slot in scene.slots if slot.disk is not None]
        for disk in self._disks:
            disk.cut_power()
        scene.cluster.kill()

    async def end(self, scene: Scene) -> None:
        await asyncio.gather(*(asyncio.to_thread(disk.restore) for disk in self._disks))
        for member in scene.members:
            await scene.start(member)


class PowerCutLeader(Fault):
    """The power of the leader's disk fails."""

    name = "power-cut-leader"
    needs = frozenset({Need.DISKS})

    async def begin(self, scene: Scene) -> None:
        self._member = await scene.leader()
        self.detail = self._member.name
        self._disk = _disk_of(scene.slot_of(self._member).disk)
        self._disk.cut_power()
        self._member.kill()

    async def end(self, scene: Scene) -> None:
        await asyncio.to_thread(self._disk.restore)
        await scene.start(self._member)


def _disk_of(disk: PowerDisk | None) -> PowerDisk:
    assert disk is not None, "the scene was built for this need"
    return disk


def _fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file:
        size = _BALLAST_BYTES
        while size:
            try:
                os.write(file.fileno(), b"\0" * size)
            except OSError:  # ENOSPC: a smaller piece may fit
                size //= 2


DISK_FAULTS: tuple[type[Fault], ...] = (
    SlowDisk,
    FailingDisk,
    FullDisk,
    PowerCut,
    PowerCutLeader,
)
