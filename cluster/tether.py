"""Becomes another program that is killed when its parent ends: `tether.py PARENT PROGRAM …`.

A file of its own, which loads nothing of ours: the launcher has threads of gRPC, and a process
forked from it may do nothing but become another one. Whatever runs in it before that - Python's
own preexec_fn, say - runs with gRPC's state half copied, and gRPC ends it at once, now and then.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Linux: a launcher that is killed must not leave members behind, whatever they are at. One
    that is stopped would hear of nothing milder than SIGKILL.
    """
    parent, *command = sys.argv[1:]
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)  # it was killed just before
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
