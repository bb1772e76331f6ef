"""Pseudo-terminals: one end for the shim or its client, the other for a program. See pty(7)."""

import fcntl
import os
import pty
import struct
import termios
from pathlib import Path

_ROWS, _COLUMNS = 24, 80
_MULTIPLEXER = os.makedev(5, 2)
# Not in `termios`: asm-generic/ioctls.h
_UNLOCK, _OPEN_PEER = 0x40045431, 0x5441


def open_terminal(root: Path | None = None) -> tuple[int, int]:
    """Our end, and the program's.

    root  of the container: it is a terminal of that, whose programs find its name in their
          /dev/pts. The container cannot replace what is opened there: they are mounts.
    Raises OSError.
    """
    ours, child = pty.openpty() if root is None else _open_in(root)
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    return ours, child


def _open_in(root: Path) -> tuple[int, int]:
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    ours = os.open(root / "dev/pts/ptmx", flags | os.O_NOFOLLOW)
    try:
        if os.fstat(ours).st_rdev != _MULTIPLEXER:
            raise OSError("the container has no terminals")
        fcntl.ioctl(ours, _UNLOCK, struct.pack("i", 0))
        return ours, fcntl.ioctl(ours, _OPEN_PEER, flags)
    except OSError:
        os.close(ours)
        raise
