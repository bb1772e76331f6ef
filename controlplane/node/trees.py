"""Trees of files that a container has made: as deep and as forbidding as it liked.

Nothing here recurses, follows a link or a mount, or depends on how long a path is. Somebody else
may be removing the same tree: what is gone already is well.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ENTRIES_MAX = 1_000_000
"""Of a tree that are counted: whoever has more is found by what is left of the disk's inodes."""

_ENTRIES_AT_ONCE = 10_000
_SLICE_ENTRIES = 1_000
_LINKED_MAX = 100_000
# Somebody has the name: a folder with something in it, which also who was killed while he removed
# this tree has left, or a file.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def remove_tree(folder: Path) -> None:
    """A folder with all that is in it; that it is not there is well. Raises OSError.

    What is in a folder of it is moved up into `folder` until no folder in it has one: so any depth
    takes two open folders. Folders whose owner took rights away are given them back.
    """
    try:
        top = _opened(str(folder), None)
    except FileNotFoundError:
        return
    try:
        moved = 0
        while names := os.listdir(top)[:_ENTRIES_AT_ONCE]:  # noqa: PTH208 - of a descriptor
            for name in names:
                with suppress(FileNotFoundError):
                    moved = _remove(name, top, moved)
    finally:
        os.close(top)
    with suppress(FileNotFoundError):
        folder.rmdir()


def _remove(name: str, top: int, moved: int) -> int:
    if _is_folder(name, top):
        moved = _empty(name, top, moved)
        os.rmdir(name, dir_fd=top)
    else:
        os.unlink(name, dir_fd=top)
    return moved


def _empty(name: str, top: int, moved: int) -> int:
    """Move the folders in a folder of `top` up into `top`, and remove what else is in it."""
    inner = _opened(name, top)
    try:
        for one in os.listdir(inner):  # noqa: PTH208
            with suppress(FileNotFoundError):
                if _is_folder(one, inner):
                    moved = _move_up(one, inner, top, moved)
                else:
                    os.unlink(one, dir_fd=inner)
    finally:
        os.close(inner)
    return moved


def _move_up(name: str, inner: int, top: int, moved: int) -> int:
    """Under the first free number after `moved`, which is returned."""
    with suppress(OSError):  # a folder can be moved only by who may write into it
        os.chmod(name, 0o700, dir_fd=inner)
    while True:
        moved += 1
        try:
            os.rename(name, f".{moved}", src_dir_fd=inner, dst_dir_fd=top)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return moved


def _opened(name: str, above: int | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(PermissionError):
        opened = os.open(name, flags, dir_fd=above)
        _require_no_mount(opened, name, above)
        if os.fstat(opened).st_mode & stat.S_IRWXU == stat.S_IRWXU:
            return opened
        os.fchmod(opened, 0o700)
        return opened
    os.chmod(name, 0o700, dir_fd=above)
    opened = os.open(name, flags, dir_fd=above)
    _require_no_mount(opened, name, above)
    return opened


def _require_no_mount(opened: int, name: str, above: int | None) -> None:
    """What is in another file system is somebody else's. Raises OSError, and closes `opened`."""
    if above is not None and os.fstat(opened).st_dev != os.fstat(above).st_dev:
        os.close(opened)
        raise OSError(errno.EBUSY, "something is mounted there", name)


def _is_folder(name: str, above: int) -> bool:
    found = os.stat(name, dir_fd=above, follow_symlinks=False)
    return stat.S_ISDIR(found.st_mode)


class TreeSize(NamedTuple):
    """What a tree takes of the disk: bytes, and files and folders."""

    bytes: int = 0
    inodes: int = 0


def tree_size(
    folder: Path,
    *,
    entries_max: int = ENTRIES_MAX,
    goes_on: Callable[[], bool] = lambda: True,
) -> TreeSize:
    """What a tree takes, as far as it is counted: no more entries than these, and none whose path
    is longer than the kernel takes. What has several names is counted once.

    goes_on  asked now and then; it may take its time, or end the counting
    """
    total = inodes = 0
    linked: set[tuple[int, int]] = set()
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as found:  # it may go meanwhile
            for entry in found:
                if inodes >= entries_max or (inodes % _SLICE_ENTRIES == 0 and not goes_on()):
                    return TreeSize(total, inodes)
                inodes += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                with suppress(OSError):
                    told = entry.stat(follow_symlinks=False)
                    if told.st_nlink > 1:
                        if (told.st_dev, told.st_ino) in linked:
                            continue
                        if len(linked) < _LINKED_MAX:
                            linked.add((told.st_dev, told.st_ino))
                    total += told.st_blocks * 512
    return TreeSize(total, inodes)
