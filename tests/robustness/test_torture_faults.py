"""A fault that did not happen shows as one that did not: no evidence, or an error."""

import contextlib
import errno
import resource
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.testing.processes import KEELSON, ClusterProcesses
from kvstore.testing.rigs import disks, networks
from kvstore.testing.rigs.disks import PowerDisk
from kvstore.testing.rigs.networks import Networks
from kvstore.testing.rigs.requirements import RigError, missing
from kvstore.testing.torture.disk_faults import FullDisk, SlowDisk, fill
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.network_faults import (
    CutMajority,
    CutPartial,
    Delay,
    Duplication,
    Loss,
)
from kvstore.testing.torture.scene import CLIENTS, Scene, Slot

_PORT = 7_000
_FRAMES = 200
_MEGABYTE = 1_000_000


def needs(things: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(missing(things)), reason=missing(things) or "-")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterProcesses]:
    """Three members, started by whoever wants them."""
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster", count=3)
    yield cluster
    cluster.kill()


def scene_of(
    cluster: ClusterProcesses,
    stack: contextlib.ExitStack,
    *,
    network: Networks | None = None,
    disk: PowerDisk | None = None,
) -> Scene:
    slots = [Slot(name=member.name, member=member, disk=disk) for member in cluster.members]
    return Scene(cluster, slots, seed=1, network=network, clock=None, undoing=stack)


# ---------------------------------------------------------------------- networks


@needs(networks.PROGRAMS)
@pytest.mark.parametrize("is_used", [True, False])
@pytest.mark.parametrize("kind", [CutMajority, Loss, Delay, Duplication])
async def test_a_bad_link_that_nobody_uses_is_no_fault(
    cluster: ClusterProcesses, kind: type[Fault], is_used: bool
) -> None:
    """No member runs here, so only what we send travels."""
    names = [member.name for member in cluster.members]
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Networks([*names, CLIENTS]))
        fault = kind()
        await fault.begin(scene_of(cluster, stack, network=network))
        if is_used:
            with network.entered(names[0]), socket.socket(type=socket.SOCK_DGRAM) as sender:
                for _ in range(_FRAMES):
                    sender.sendto(b"frame", (network.address_of(names[1]), _PORT))
        await fault.end(scene_of(cluster, stack, network=network))
    assert bool(fault.evidence) is is_used, fault.evidence


@needs(networks.PROGRAMS)
async def test_a_partial_cut_is_between_two(cluster: ClusterProcesses) -> None:
    cluster.start()
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Networks([*(m.name for m in cluster.members), CLIENTS]))
        scene = scene_of(cluster, stack, network=network)
        leader = await scene.leader()
        for _ in range(20):
            assert await scene.follower(leader) is not leader
        fault = CutPartial()
        await fault.begin(scene)
        one, other = fault.detail.split(" from ")
        assert one != other


# ---------------------------------------------------------------------- disks


@needs(disks.SYNC_PROGRAMS)
@pytest.mark.parametrize("is_cut_short", [True, False])
async def test_a_slow_disk_on_which_nobody_syncs_is_none_and_ends_with_the_scene(
    cluster: ClusterProcesses, is_cut_short: bool
) -> None:
    cluster.start()
    fault = SlowDisk()
    with contextlib.ExitStack() as stack:
        scene = scene_of(cluster, stack)
        leader = await scene.leader()
        await fault.begin(scene)
        assert tracer_of(leader.pid) > 0
        if not is_cut_short:
            await fault.end(scene)
    assert tracer_of(leader.pid) == 0
    assert not fault.evidence


def tracer_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("TracerPid:"))


@needs(disks.POWER_PROGRAMS)
async def test_a_full_disk_has_no_byte_left(tmp_path: Path, cluster: ClusterProcesses) -> None:
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(PowerDisk(tmp_path / "disk", 64 * _MEGABYTE))
        fault = FullDisk()
        await fault.begin(scene_of(cluster, stack, disk=disk))
        assert fault.evidence
        with pytest.raises(OSError, match="No space left"):
            (disk.path / "more").write_bytes(b"x" * _MEGABYTE)
        assert shutil.disk_usage(disk.path).free == 0


def test_a_disk_that_refuses_for_another_reason_is_not_full(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MEGABYTE, hard))
    try:
        with pytest.raises(RigError, match="File too large") as refused:
            fill(tmp_path / "ballast")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(refused.value.__cause__, OSError)
    assert refused.value.__cause__.errno == errno.EFBIG


def test_a_disk_is_full_when_not_one_byte_more_fits() -> None:
    assert fill(Path("/dev/full")) == 0
