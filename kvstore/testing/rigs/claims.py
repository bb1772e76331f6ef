"""Who has built what, so that what a killed run has left is taken down by the next one.

A claim is a file that its owner has locked for as long as it lives: the kernel lets go of the lock
whatever its owner dies of, and a process id that is used again misleads nobody. What is about to be
built is written there first. A claim that nobody holds is one of the dead.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from kvstore.testing.rigs import commands
from kvstore.testing.rigs.requirements import RigError

NAMESPACES = Path("/run/netns")
"""Where `ip netns` keeps them."""

_FOLDER = Path("/run/keelson-rigs")
_SUFFIX = ".claim"
_GATE_SECONDS_MAX = 60.0  # whoever holds it takes down the rigs of a run or two at most
_POLL_SECONDS = 0.01


class Kind(StrEnum):
    """What can be claimed, and taken down by its name alone."""

    NAMESPACE = "namespace"
    MOUNT = "mount"
    IMAGE = "image"


class Claim:
    """What one rig of this process has built."""

    def __init__(self) -> None:
        """Take down what dead processes have left, then claim nothing yet. Raises RigError."""
        with _gate():
            _sweep()
            self._fd, path = tempfile.mkstemp(suffix=_SUFFIX, dir=_FOLDER)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._path = Path(path)

    def note(self, kind: Kind, name: str) -> None:
        """This is going to be built."""
        os.write(self._fd, f"{kind} {name}\n".encode())

    def release(self) -> None:
        """Nothing is left of it."""
        with _gate():
            self._path.unlink()
            os.close(self._fd)


def sweep() -> None:
    """Take down what dead processes have left, and nothing of the living. Raises RigError."""
    with _gate():
        _sweep()


def _sweep() -> None:
    for path in sorted(_FOLDER.glob(f"*{_SUFFIX}")):
        with path.open() as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its owner lives
            # What resists is tried again by the next sweep; it keeps nobody from his own rigs, and
            # neither does a claim that cannot be read.
            with contextlib.suppress(RigError, OSError, ValueError):
                for line in claim:
                    kind, _, name = line.rstrip("\n").partition(" ")
                    _take_down(Kind(kind), name)
                path.unlink()


def _take_down(kind: Kind, name: str) -> None:
    """As far as it is there: its owner may have died before it was built."""
    match kind:
        case Kind.NAMESPACE:
            if (NAMESPACES / name).exists():
                commands.run(["ip", "netns", "del", name])
        case Kind.MOUNT:
            commands.unmount(Path(name))
        case Kind.IMAGE:
            Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def _gate() -> Iterator[None]:
    """Claims come and go one at a time: none is taken for dead that is being made or released."""
    _FOLDER.mkdir(mode=0o700, exist_ok=True)
    deadline = time.monotonic() + _GATE_SECONDS_MAX
    with (_FOLDER / "gate").open("w") as gate:
        while True:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RigError(f"{gate.name} is locked since {_GATE_SECONDS_MAX:g} s") from None
                time.sleep(_POLL_SECONDS)
            else:
                break
        yield
