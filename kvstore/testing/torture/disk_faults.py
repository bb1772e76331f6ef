"""Faults of disks: slow, failing, full, without power."""

import asyncio
import contextlib
import errno
import os
from pathlib import Path

from kvstore.testing.history import ViolationError
from kvstore.testing.rigs.disks import PowerDisk, failing_syncs, slow_syncs
from kvstore.testing.rigs.requirements import RigError
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import DISK_FAILED, Need, Scene

_SLOW_SYNC_SECONDS = 1.0
_ENDED_SECONDS_MAX = 30.0
_BALLAST_BYTES = 1024 * 1024
# From when a member meets a full disk to its end: it may still answer meanwhile.
_LATE_END_SECONDS_MAX = 2.0
_DISK_IS_FULL = "No space left on device"  # a member's last words


class SlowDisk(Fault):
    """Every sync of the leader takes a second longer."""

    name = "slow-disk"
    needs = frozenset({Need.SYNCS})
    hold_seconds = 5.0

    async def begin(self, scene: Scene) -> None:
        self._slowed = scene.undoing.enter_context(contextlib.ExitStack())
        leader = await scene.leader()
        self.detail = leader.name
        slowing = slow_syncs(leader.pid, _SLOW_SYNC_SECONDS)
        self._meddling = await asyncio.to_thread(self._slowed.enter_context, slowing)

    async def end(self, scene: Scene) -> None:
        await asyncio.to_thread(self._slowed.close)
        if self._meddling.syncs:
            self.evidence = f"{self._meddling.syncs} syncs were slowed"


class FailingDisk(Fault):
    """A sync of the leader fails: it must end, for nobody knows what is on the disk then."""

    name = "failing-disk"
    needs = frozenset({Need.SYNCS})

    async def begin(self, scene: Scene) -> None:
        self._ended = await scene.leader()
        self.detail = self._ended.name
        failed = scene.undoing.enter_context(contextlib.ExitStack())
        failing = failing_syncs(self._ended.pid)
        meddling = await asyncio.to_thread(failed.enter_context, failing)
        if not await scene.ended(self._ended, seconds_max=_ENDED_SECONDS_MAX):
            raise ViolationError(f"{self._ended.name} goes on after a sync that failed")
        await asyncio.to_thread(failed.close)
        scene.take_end(self._ended, status=1, words=DISK_FAILED)
        if meddling.syncs:
            self.evidence = f"{meddling.syncs} syncs failed, and it says so"

    async def end(self, scene: Scene) -> None:
        scene.start(self._ended)


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
        await asyncio.to_thread(fill, self._ballast)
        free_bytes = os.statvfs(slot.disk.path).f_bavail
        self.evidence = "" if free_bytes else "no byte was left, as the kernel says"

    async def end(self, scene: Scene) -> None:
        await asyncio.to_thread(self._ballast.unlink)
        if not await scene.serves(self._member) or await scene.ended(
            self._member, seconds_max=_LATE_END_SECONDS_MAX
        ):
            self.detail += " (it has ended)"
            scene.take_end(self._member, status=1, words=_DISK_IS_FULL)
            scene.start(self._member)


class PowerCut(Fault):
    """The power fails, everywhere at once: what was not synced is gone."""

    name = "power-cut"
    needs = frozenset({Need.DISKS})
    serves_meanwhile = False
    unavailable_seconds_max = 6.0

    async def begin(self, scene: Scene) -> None:
        scene.require_alive()
        self._disks = [_disk_of(slot.disk) for slot in scene.slots]
        for disk in self._disks:
            disk.cut_power()
        scene.kill_without_disk(scene.members)
        self.evidence = f"{len(self._disks)} disks take no sync any more"

    async def end(self, scene: Scene) -> None:
        await asyncio.gather(*(asyncio.to_thread(disk.restore) for disk in self._disks))
        for member in scene.members:
            scene.start(member)


class PowerCutLeader(Fault):
    """The power of the leader's disk fails."""

    name = "power-cut-leader"
    needs = frozenset({Need.DISKS})

    async def begin(self, scene: Scene) -> None:
        self._member = await scene.leader()
        self.detail = self._member.name
        scene.require_alive()
        self._disk = _disk_of(scene.slot_of(self._member).disk)
        self._disk.cut_power()
        scene.kill_without_disk([self._member])
        self.evidence = "its disk takes no sync any more"

    async def end(self, scene: Scene) -> None:
        await asyncio.to_thread(self._disk.restore)
        scene.start(self._member)


def _disk_of(disk: PowerDisk | None) -> PowerDisk:
    assert disk is not None, "the scene was built for this need"
    return disk


def fill(ballast: Path) -> int:
    """Write until nothing more fits; how many bytes did. Raises RigError."""
    filled_bytes = 0
    with ballast.open("wb", buffering=0) as file:
        size = _BALLAST_BYTES
        while size:
            try:
                filled_bytes += os.write(file.fileno(), b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise RigError(f"cannot fill {ballast.parent}: {error.strerror}") from error
                size //= 2  # a smaller piece may fit
    return filled_bytes


DISK_FAULTS: tuple[type[Fault], ...] = (
    SlowDisk,
    FailingDisk,
    FullDisk,
    PowerCut,
    PowerCutLeader,
)
