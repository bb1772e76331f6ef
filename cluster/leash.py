"""Becomes a program that dies with whoever has started it (Linux), whatever it is at.

    python -I -S leash.py PARENT COMMAND…

It is a program of its own, since a fork that runs Python in the child before the program begins is
not safe in a process with threads: one of them, as gRPC has them, may hold a lock just then, and
the child would wait for it for ever, and its parent for the child.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_NOT_FOUND = 127  # what a shell ends with then


def command(parent: int, wanted: Sequence[str]) -> list[str]:
    """What starts a command so that it dies with a process; its id stays that of the command."""
    return [sys.executable, "-I", "-S", __file__, str(parent), *wanted]


def main(parent: int, wanted: Sequence[str]) -> int:
    """Be the command; the exit status where that cannot be."""
    # A process that is stopped would hear of nothing milder.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed just before
        return 1
    try:
        os.execvp(wanted[0], list(wanted))
    except OSError as error:
        sys.stderr.write(f"{wanted[0]} cannot be started: {error.strerror}\n")
        return _NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
