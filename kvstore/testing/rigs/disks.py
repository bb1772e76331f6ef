"""Disks that lose power, fill up, are slow or fail, for processes that run on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

POWER_PROGRAMS = ("mkfs.ext4", "mount", "umount")
SMALL_PROGRAMS = ("mount", "umount")
SYNC_PROGRAMS = ("strace",)
"""What must be installed for a PowerDisk, a SmallDisk, and to meddle with syncs."""


class PowerDisk:
    """ext4 on a loop device whose power can be cut; a context manager."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """`folder`: where its image and mount point go; created if missing. The image is sparse."""
        self.path = folder
        """The mounted file system."""

    def __enter__(self) -> Self:
        """Make it. Raises RigError when the machine refuses; nothing is left behind then."""
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unmount and delete it, whoever still uses it."""

    def cut_power(self) -> None:
        """From this moment on nothing reaches the disk: every call on it fails with EIO.

        What was not synced, in file or journal, is lost. Kill who runs on it *after* this.
        """

    def restore(self) -> None:
        """Mount it again: the journal is replayed. Raises RigError while a process has it open."""


class SmallDisk:
    """A file system in memory of a given size, that can be filled; a context manager."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """`folder`: its mount point; created if missing."""
        self.path = folder
        """The mounted file system."""

    def __enter__(self) -> Self:
        """Make it. Raises RigError when the machine refuses."""
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unmount it, whoever still uses it."""

    def fill(self) -> None:
        """Use up all space that is left: whoever needs more gets ENOSPC."""

    def free(self) -> None:
        """Give back what `fill` took."""


@contextmanager
def slow_syncs(pid: int, seconds: float) -> Iterator[None]:
    """Every fsync and fdatasync of a running process (all its threads) takes so much longer."""
    raise NotImplementedError
    yield


@contextmanager
def failing_syncs(pid: int) -> Iterator[None]:
    """Every fsync and fdatasync of a running process (all its threads) fails with EIO."""
    raise NotImplementedError
    yield
