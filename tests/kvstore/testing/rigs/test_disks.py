"""Disks that lose power, fill up, are slow or fail: what a process sees of them, and keeps."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvstore.testing.rigs import commands, disks
from kvstore.testing.rigs.disks import PowerDisk, SmallDisk, failing_syncs, slow_syncs
from kvstore.testing.rigs.requirements import RigError, missing

_MEGABYTE = 1_000_000
_SECONDS_MAX = 60.0


def needs(programs: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(missing(programs)), reason=missing(programs) or "-")


def is_mounted(path: Path) -> bool:
    return any(line.split()[1] == str(path) for line in Path("/proc/mounts").open())


def mounts_in(folder: Path) -> list[str]:
    """Mount points below a folder."""
    points = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    return [point for point in points if point.startswith(f"{folder}/")]


def loops_on(folder: Path) -> list[str]:
    """Loop devices whose image lies in a folder."""
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [text for file in files if (text := file.read_text().strip()).startswith(str(folder))]


# ---------------------------------------------------------------------- power


@pytest.fixture
def power(tmp_path: Path) -> Iterator[PowerDisk]:
    with PowerDisk(tmp_path / "power", 64 * _MEGABYTE) as disk:
        yield disk


def write(path: Path, text: str, *, is_synced: bool) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        if is_synced:
            os.fsync(file)
    if is_synced:
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


@needs(disks.POWER_PROGRAMS)
def test_a_power_cut_leaves_what_was_synced_and_nothing_else(power: PowerDisk) -> None:
    write(power.path / "synced", "kept", is_synced=True)
    write(power.path / "not synced", "lost", is_synced=False)
    with (power.path / "synced").open("a") as file:
        file.write(" and lost")
        file.flush()
        power.cut_power()
        with pytest.raises(OSError, match="Input/output error"):
            os.fsync(file)
    power.restore()
    assert (power.path / "synced").read_text() == "kept"
    assert sorted(os.listdir(power.path)) == ["lost+found", "synced"]  # noqa: PTH208 (names)


@needs(disks.POWER_PROGRAMS)
def test_a_disk_can_lose_power_again_and_again(power: PowerDisk) -> None:
    for number in range(3):
        write(power.path / str(number), "kept", is_synced=True)
        power.cut_power()
        power.restore()
    assert [(power.path / str(number)).read_text() for number in range(3)] == ["kept"] * 3


@needs(disks.POWER_PROGRAMS)
def test_power_does_not_come_back_while_a_process_has_it_open(power: PowerDisk) -> None:
    with (power.path / "file").open("w"):
        power.cut_power()
        with pytest.raises(RigError, match="busy"):
            power.restore()
    power.restore()
    write(power.path / "after", "", is_synced=True)


@needs((*disks.POWER_PROGRAMS, "unshare"))
def test_power_does_not_come_back_while_another_mount_namespace_has_it(power: PowerDisk) -> None:
    """As one has that a container was made in meanwhile: nobody may blame the store for it."""
    write(power.path / "synced", "kept", is_synced=True)
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", "echo there; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"there\n"
        power.cut_power()
        with pytest.raises(RigError, match="another mount namespace has it"):
            power.restore()
        holder.kill()
    power.restore()
    assert (power.path / "synced").read_text() == "kept"


@needs(disks.POWER_PROGRAMS)
def test_nothing_of_a_power_disk_is_left(tmp_path: Path) -> None:
    with PowerDisk(tmp_path / "disk", 64 * _MEGABYTE) as disk:
        assert is_mounted(disk.path)
    assert not is_mounted(disk.path)
    assert not list((tmp_path / "disk").iterdir())


@needs(disks.POWER_PROGRAMS)
def test_a_disk_whose_image_is_gone_is_taken_down_all_the_same(tmp_path: Path) -> None:
    disk = PowerDisk(tmp_path / "disk", 64 * _MEGABYTE)

    def lose_the_image() -> None:
        with disk:
            disk.cut_power()
            (tmp_path / "disk" / "disk.img").unlink()
            disk.restore()

    with pytest.raises(RigError, match="mount"):
        lose_the_image()
    assert not is_mounted(disk.path)
    assert not loops_on(tmp_path)
    assert not list((tmp_path / "disk").iterdir())


@needs(disks.POWER_PROGRAMS)
def test_a_step_that_fails_keeps_a_disk_from_nothing_else(tmp_path: Path) -> None:
    """Somebody has written to its mount point while nothing was mounted there."""
    disk = PowerDisk(tmp_path / "disk", 64 * _MEGABYTE)

    def write_below() -> None:
        with disk:
            commands.unmount(disk.path)
            (disk.path / "stray").touch()
            commands.run(["mount", "-t", "tmpfs", "stray", str(disk.path)])

    with pytest.raises(OSError, match="not empty"):
        write_below()
    assert not is_mounted(disk.path)
    assert not loops_on(tmp_path)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["disk"]


@needs(disks.POWER_PROGRAMS)
def test_a_mount_point_may_have_blanks_and_be_mounted_twice(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "a b", _MEGABYTE) as disk:
        assert commands.is_mounted(disk.path)
        commands.run(["mount", "-t", "tmpfs", "above", str(disk.path)])
    assert not commands.is_mounted(disk.path)
    assert "a\\040b" not in Path("/proc/mounts").read_text()


def by_link(folder: Path) -> Path:
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    return folder / "link" / "disk"


def by_parent(folder: Path) -> Path:
    (folder / "real").mkdir()
    (folder / "side").mkdir()
    return folder / "side" / ".." / "real" / "disk"


@needs(disks.POWER_PROGRAMS)
@pytest.mark.parametrize("named", [by_link, by_parent])
@pytest.mark.parametrize("rig", [PowerDisk, SmallDisk])
def test_a_disk_is_unmounted_by_whatever_path_it_was_named(
    rig: type[PowerDisk | SmallDisk], named: Callable[[Path], Path], tmp_path: Path
) -> None:
    """The kernel knows it by the path without links and `..`; so does the claim, for the sweep."""
    with rig(named(tmp_path), 16 * _MEGABYTE):
        assert mounts_in(tmp_path)
        claim = f"mount {mounts_in(tmp_path)[0]}\n"
        assert any(claim in path.read_text() for path in Path("/run/keelson-rigs").glob("*.claim"))
    assert not mounts_in(tmp_path)
    assert not loops_on(tmp_path)


@needs(disks.POWER_PROGRAMS)
def test_a_disk_takes_a_sync_until_its_power_is_cut(power: PowerDisk) -> None:
    folder = os.open(power.path, os.O_RDONLY)
    assert disks.can_sync(folder)
    power.cut_power()
    assert not disks.can_sync(folder)
    os.close(folder)


@needs(disks.POWER_PROGRAMS)
def test_a_disk_too_small_for_a_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RigError, match=r"mkfs\.ext4"), PowerDisk(tmp_path / "disk", 1_000):
        pass
    assert not list((tmp_path / "disk").iterdir())


# ---------------------------------------------------------------------- space


@needs(disks.SMALL_PROGRAMS)
def test_a_full_disk_refuses_until_it_is_freed(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "small", 4 * _MEGABYTE) as disk:
        (disk.path / "before").write_bytes(b"x" * _MEGABYTE)
        disk.fill()
        with pytest.raises(OSError, match="No space left") as full:
            (disk.path / "after").write_bytes(b"x" * _MEGABYTE)
        assert full.value.errno == errno.ENOSPC
        disk.free()
        (disk.path / "after").write_bytes(b"x" * _MEGABYTE)
        assert (disk.path / "before").read_bytes() == b"x" * _MEGABYTE
    assert not is_mounted(disk.path)


# ---------------------------------------------------------------------- syncs

# Each line: fsync in a thread that runs already; "awake" comes from a sleep of 50 ms.
_SYNCER = """
import concurrent.futures, os, sys, tempfile, time
pool = concurrent.futures.ThreadPoolExecutor(1)
file = tempfile.TemporaryFile()
def sync():
    try:
        os.fsync(file.fileno())
        print("synced", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
pool.submit(int).result()
for _ in sys.stdin:
    syncing = pool.submit(sync)
    time.sleep(0.05)
    print("awake", flush=True)
    syncing.result()
"""


class _Syncer:
    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", _SYNCER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"TMPDIR": str(folder)},
        )

    def sync(self) -> list[str]:
        """What it says of one sync."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [self.process.stdout.readline().strip() for _ in range(2)]

    @property
    def pid(self) -> int:
        return self.process.pid


@pytest.fixture
def syncer() -> Iterator[_Syncer]:
    syncer = _Syncer(Path("/dev/shm"))  # where a sync takes no time at all
    syncer.sync()  # it has begun, and its thread is there
    yield syncer
    syncer.process.kill()
    syncer.process.communicate()


@needs(disks.SYNC_PROGRAMS)
def test_slow_syncs_are_slow_and_succeed(syncer: _Syncer) -> None:
    assert syncer.sync() == ["synced", "awake"]
    with slow_syncs(syncer.pid, 1.0) as meddling:
        assert syncer.sync() == ["awake", "synced"]
    assert meddling.syncs == 1
    assert syncer.sync() == ["synced", "awake"]


@needs(disks.SYNC_PROGRAMS)
def test_failing_syncs_fail_until_they_do_not(syncer: _Syncer) -> None:
    with failing_syncs(syncer.pid) as meddling:
        for _ in range(3):
            assert syncer.sync() == ["Input/output error", "awake"]
    assert meddling.syncs == 3
    assert syncer.sync() == ["synced", "awake"]


@needs(disks.SYNC_PROGRAMS)
def test_nothing_was_meddled_with_where_nobody_synced(syncer: _Syncer) -> None:
    with slow_syncs(syncer.pid, 1.0) as slowed:
        pass
    with failing_syncs(syncer.pid) as failed:
        pass
    assert (slowed.syncs, failed.syncs) == (0, 0)


@needs(disks.SYNC_PROGRAMS)
def test_a_fault_that_is_cut_short_lets_go_of_its_process(syncer: _Syncer) -> None:
    def fail_within() -> None:
        with failing_syncs(syncer.pid):
            assert syncer.sync() == ["Input/output error", "awake"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_within()
    assert "TracerPid:\t0" in Path(f"/proc/{syncer.pid}/status").read_text()
    assert syncer.sync() == ["synced", "awake"]


@needs(disks.SYNC_PROGRAMS)
def test_a_process_that_is_killed_meanwhile_harms_nobody(syncer: _Syncer) -> None:
    with failing_syncs(syncer.pid):
        syncer.process.kill()
        syncer.process.wait(_SECONDS_MAX)


@needs(disks.SYNC_PROGRAMS)
def test_a_process_that_is_not_there_is_named(syncer: _Syncer) -> None:
    syncer.process.kill()
    syncer.process.wait(_SECONDS_MAX)
    with pytest.raises(RigError, match=f"cannot attach to {syncer.pid}"), failing_syncs(syncer.pid):
        pass
