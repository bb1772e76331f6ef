"""Disks that lose power, fill up, are slow or fail, for processes that run on them.

The first two are file systems of their own. Slow and failing ones are any disk, as a process that
runs already sees it: strace meddles with its syncs.
"""

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from kvstore.testing.rigs import commands
from kvstore.testing.rigs.claims import Claim, Kind
from kvstore.testing.rigs.requirements import RigError

POWER_PROGRAMS = ("mkfs.ext4", "mount", "umount", "/dev/loop-control")
SMALL_PROGRAMS = ("mount", "umount")
SYNC_PROGRAMS = ("strace",)
"""What must be there for a PowerDisk, a SmallDisk, and to meddle with syncs."""

# From the kernel's fs/ext4/ext4.h: shut down as if the power were gone, without a last flush.
_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = (2).to_bytes(4, "little")

_FILL_BYTES = 64 * 1024
_BALLAST = ".ballast"
# Seconds between commits of the journal that nobody asked for; what was not synced is surely lost.
_COMMIT_SECONDS = 300

_SYNC_CALLS = "fsync,fdatasync"
_MEDDLED = ("(DELAYED)", "(INJECTED)")  # strace's words behind a call that it has meddled with
_ATTACHED_SECONDS_MAX = 30.0
_DETACHED_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.005
_SLOW_SECONDS_MAX = 3_600.0


class PowerDisk:
    """ext4 on a loop device whose power can be cut; a context manager.

    The device keeps what the kernel had written to it by then: what was synced, and of the rest
    only what the kernel had reason to write.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """`folder`: where its image and mount point go; created if missing. The image is sparse."""
        folder = folder.resolve()  # the kernel tells mounts by the path without `..` and links
        self.path = folder / "disk"
        """The mounted file system."""
        self._image = folder / "disk.img"
        self._size_bytes = size_bytes
        self._claim: Claim | None = None

    def __enter__(self) -> Self:
        """Make it. Raises RigError when the machine refuses; nothing is left behind then."""
        self.path.mkdir(parents=True)
        self._claim = Claim()
        try:
            self._claim.note(Kind.MOUNT, str(self.path))
            self._claim.note(Kind.IMAGE, str(self._image))
            with self._image.open("xb") as image:
                image.truncate(self._size_bytes)
            # Tables that are made later would be written just when somebody else needs the disk.
            lazy = "lazy_itable_init=0,lazy_journal_init=0"
            commands.run(["mkfs.ext4", "-q", "-F", "-E", lazy, str(self._image)])
            self._mount()
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unmount and delete it, whoever still uses it."""
        self._take_down()

    def cut_power(self) -> None:
        """From this moment on nothing reaches the disk: every call on it fails with EIO.

        What was not synced, in file or journal, is lost. Kill who runs on it *after* this, or they
        would have a moment to write without a power cut. Raises RigError if a sync still works.
        """
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH)
            if can_sync(fd):
                raise RigError(f"{self.path} has power after it was cut")
        finally:
            os.close(fd)

    def restore(self) -> None:
        """Mount it again: the journal is replayed.

        Raises RigError while a process has it open, or a mount namespace that somebody made
        meanwhile has a copy of the mount: the kernel then hands out the file system that is dead.
        """
        commands.run(["umount", str(self.path)])
        self._mount()
        fd = os.open(self.path, os.O_RDONLY)
        try:
            if not can_sync(fd):
                raise RigError(
                    f"{self.path} stays without power: another mount namespace has it (as a"
                    " container has that was started meanwhile): run this by `unshare --mount`"
                )
        finally:
            os.close(fd)

    def _mount(self) -> None:
        options = f"loop,commit={_COMMIT_SECONDS}"
        commands.run(["mount", "-t", "ext4", "-o", options, str(self._image), str(self.path)])

    def _take_down(self) -> None:
        """What fails keeps the rest from nothing; the claim stays then, for the next sweep."""
        with contextlib.ExitStack() as steps:  # the last one first
            steps.callback(self.path.rmdir)
            steps.callback(self._image.unlink, missing_ok=True)
            steps.callback(commands.unmount, self.path)
        if self._claim is not None:
            self._claim.release()
            self._claim = None


class SmallDisk:
    """A file system in memory of a given size, that can be filled; a context manager."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """`folder`: its mount point; created if missing."""
        self.path = folder.resolve()  # as above
        """The mounted file system."""
        self._size_bytes = size_bytes
        self._claim: Claim | None = None

    def __enter__(self) -> Self:
        """Make it. Raises RigError when the machine refuses."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._claim = Claim()
        size = f"size={self._size_bytes},mode=700"
        try:
            self._claim.note(Kind.MOUNT, str(self.path))
            commands.run(["mount", "-t", "tmpfs", "-o", size, "keelson-disk", str(self.path)])
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unmount it, whoever still uses it; what was on it is gone."""
        self._take_down()

    def fill(self) -> None:
        """Use up all space that is left: whoever needs more gets ENOSPC."""
        zeros = bytes(_FILL_BYTES)
        with (self.path / _BALLAST).open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(zeros)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.path / _BALLAST).unlink(missing_ok=True)

    def _take_down(self) -> None:
        commands.unmount(self.path)
        if self._claim is not None:
            self._claim.release()
            self._claim = None


def can_sync(fd: int) -> bool:
    """Tell whether a disk takes a sync of an open file; one without power answers with EIO."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return False
    return True


class Meddling:
    """How syncs of a process were meddled with; known once that is over."""

    def __init__(self) -> None:
        self.syncs = 0
        """How many were slowed or failed."""


@contextlib.contextmanager
def slow_syncs(pid: int, seconds: float) -> Iterator[Meddling]:
    """Every fsync and fdatasync of a running process (all its threads) takes so much longer.

    In effect at once, and over at the end; a sync that is under way then still takes its time.
    """
    assert 0 < seconds <= _SLOW_SECONDS_MAX, "seconds must be positive, and an hour at most"
    with _injected(pid, f"delay_enter={round(seconds * 1e6)}") as meddling:
        yield meddling


@contextlib.contextmanager
def failing_syncs(pid: int) -> Iterator[Meddling]:
    """Every fsync and fdatasync of a running process (all its threads) fails with EIO."""
    with _injected(pid, "error=EIO") as meddling:
        yield meddling


@contextlib.contextmanager
def _injected(pid: int, what: str) -> Iterator[Meddling]:
    meddling = Meddling()
    with tempfile.NamedTemporaryFile() as calls:
        command = ["strace", "-f", "-q", "-o", calls.name, "-e", f"trace={_SYNC_CALLS}"]
        tracer = subprocess.Popen(
            [*command, "-e", f"inject={_SYNC_CALLS}:{what}", "-p", str(pid)], stderr=subprocess.PIPE
        )
        try:
            _wait_until_attached(tracer, pid)
            yield meddling
        finally:
            _end(tracer)
            lines = calls.read().decode(errors="replace").splitlines()
            meddling.syncs = sum(line.endswith(_MEDDLED) for line in lines)


def _end(tracer: "subprocess.Popen[bytes]") -> None:
    tracer.send_signal(signal.SIGINT)  # lets go of the process, which goes on
    try:
        tracer.communicate(timeout=_DETACHED_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        tracer.kill()  # the kernel lets go in its place
        tracer.communicate()


def _wait_until_attached(tracer: "subprocess.Popen[bytes]", pid: int) -> None:
    """Return when every thread is traced; those that begin later are traced from their start."""
    deadline = time.monotonic() + _ATTACHED_SECONDS_MAX
    while not _is_traced(pid, tracer.pid):
        if tracer.poll() is not None:
            raise RigError(f"strace cannot attach to {pid}: {_said(tracer)}")
        if time.monotonic() > deadline:
            raise RigError(f"strace is not attached to {pid} after {_ATTACHED_SECONDS_MAX:g} s")
        time.sleep(_POLL_SECONDS)


def _is_traced(pid: int, tracer_pid: int) -> bool:
    threads = list(Path(f"/proc/{pid}/task").glob("*/status"))
    return bool(threads) and all(_tracer_of(thread) == tracer_pid for thread in threads)


def _tracer_of(status: Path) -> int:
    with contextlib.suppress(OSError):  # the thread has ended
        for line in status.read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    return 0


def _said(tracer: "subprocess.Popen[bytes]") -> str:
    assert tracer.stderr is not None
    ready, _, _ = select.select([tracer.stderr], [], [], 0)
    return tracer.stderr.read().decode(errors="replace").strip() if ready else "it says nothing"
