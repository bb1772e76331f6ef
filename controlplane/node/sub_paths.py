"""Folders below a volume that a container is to see instead of all of it.

Whoever has the volume mounted may change links in it at any moment, so nothing is looked at and
then used by its name: the kernel is asked to go no further than the volume, here and when it is
mounted (`runtime/shim/rootfs.py`). Source: openat2(2), RESOLVE_BENEATH.
"""

import errno
import os
from pathlib import Path

from controlplane.node.runtime.shim.syscalls import open_beneath


def prepare(base: Path, below: str) -> None:
    """Make what is missing of a path, as its volume may be used.

    Raises ValueError for one that leads out of the volume, OSError.
    """
    parts = [part for part in below.split("/") if part not in ("", ".")]
    if below.startswith("/") or ".." in parts:
        raise ValueError(f"{below!r} must be a path below the volume")
    above = top = os.open(base, os.O_PATH | os.O_CLOEXEC)
    try:
        for number, name in enumerate(parts, start=1):
            found = _opened(top, "/".join(parts[:number]))
            if found is None:
                found = _made(above, name, os.fstat(top).st_mode & 0o7777)
            if above != top:
                os.close(above)
            above = found
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise ValueError(f"{below!r} leads out of the volume") from error
        raise OSError(error.errno, error.strerror, below) from error
    finally:
        for each in {above, top}:
            os.close(each)


def _opened(top: int, path: str) -> int | None:
    try:
        return open_beneath(top, path)
    except FileNotFoundError:
        return None


def _made(above: int, name: str, mode: int) -> int:
    os.mkdir(name, dir_fd=above)  # a link that leads nowhere is in its place: FileExistsError
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    made = os.open(name, flags, dir_fd=above)
    try:
        os.fchmod(made, mode)  # whatever our umask is
    except OSError:
        os.close(made)
        raise
    return made
