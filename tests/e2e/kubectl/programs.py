"""Which kubectls there are: the one on PATH, those beside it, those that scripts/kubectls got."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

OLDEST_MINOR = 27
"""Of this and newer ones all scenarios are run."""
DEBIAN_MINOR = 20
"""Debian's (bookworm), which knows none of the newer flags."""
FETCHED = Path(sys.prefix) / "kubectl"
"""Where scripts/kubectls puts those that the machine lacks."""

VERSIONS = ("newest", "oldest", f"1.{DEBIAN_MINOR}")
"""What is run unless all are asked for: the newest, the oldest that knows all, and Debian's.

PATH's is the newest only where none as new lies beside it. Google's is there to ask the server for
its version and then start one of those, which costs each command more than the command itself.
"""


@cache
def found(which: str) -> Path | None:
    """The program of one of VERSIONS, PATH's ("path") or that of a version such as 1.28; None:
    there is none.
    """
    versions = _versions()
    full = [minor for minor in versions if minor >= OLDEST_MINOR]
    match which:
        case "newest":
            released, on_path = max(full, default=OLDEST_MINOR - 1), found("path")
            if on_path is not None and minor_of(on_path) > released:
                return on_path
            return versions.get(released)
        case "path":
            name = shutil.which("kubectl")
            return None if name is None else Path(name)
        case "oldest":
            return versions.get(min(full, default=0))
        case _:
            return versions.get(int(which.removeprefix("1.")))


def all_versions() -> tuple[str, ...]:
    """PATH's, each that there is by its number, and Debian's."""
    numbers = sorted({DEBIAN_MINOR, *(one for one in _versions() if one >= OLDEST_MINOR)})
    return ("path", *(f"1.{minor}" for minor in numbers))


@cache
def minor_of(program: Path) -> int:
    """28 of kubectl 1.28.3."""
    said = subprocess.run(
        [program, "version", "--client", "--output=json"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    version = json.loads(said.stdout)["clientVersion"]
    match = re.match(r"\d+", version["minor"])
    assert match is not None, version
    return int(match[0])


@cache
def _versions() -> dict[int, Path]:
    on_path = shutil.which("kubectl")
    beside = [] if on_path is None else [Path(on_path).resolve().parent]
    return {
        int(match[1]): path
        for folder in (FETCHED, *beside)
        if folder.is_dir()
        for path in folder.iterdir()
        if (match := re.fullmatch(r"kubectl\.1\.(\d+)", path.name))
    }
