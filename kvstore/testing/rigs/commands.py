"""Running the programs that build the rigs."""

import subprocess
from collections.abc import Sequence

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
