"""Running the programs that build the rigs."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kvstore.testing.rigs.requirements import RigError

_SECONDS_MAX = 60.0  # none of them takes longer than a moment


def run(command: Sequence[str], text: str = "") -> None:
    """Run a program with `text` as its input. Raises RigError with what it said when it fails."""
    try:
        result = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        raise RigError(f"{' '.join(command)}: no end after {_SECONDS_MAX:g} s") from None
    if result.returncode:
        raise RigError(f"{' '.join(command)}: {result.stderr.strip()}")


def unmount(path: Path) -> None:
    """Gone from the tree at once, however often it was mounted; the kernel lets go of it, and of
    its loop device, when its last user ends. `path`: a resolved one. Raises RigError when the
    machine refuses."""
    while is_mounted(path):
        run(["umount", "--lazy", str(path)])


def is_mounted(path: Path) -> bool:
    """As the kernel tells it: whoever asked the file system itself would fail if it is broken.

    So nothing is resolved here either: `path` has to be, or it is never found.
    """
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(_unescaped(line.split()[4]) == str(path) for line in lines)


def _unescaped(text: str) -> str:
    r"""The kernel writes a blank in a path as `\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
