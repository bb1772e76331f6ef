"""Which kubectls there are: the one on PATH, and the oldest of the versions beside it."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

OLDEST_MINOR = 27
VERSIONS = ("newest", "oldest")


@cache
def found(which: str) -> Path | None:
    """The program; None: there is none."""
    on_path = shutil.which("kubectl")
    if on_path is None:
        return None
    if which == "newest":
        return Path(on_path)
    versions = {
        int(match[1]): path
        for path in Path(on_path).resolve().parent.iterdir()
        if (match := re.fullmatch(r"kubectl\.1\.(\d+)", path.name))
    }
    return versions.get(min((one for one in versions if one >= OLDEST_MINOR), default=0))


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
