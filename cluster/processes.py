"""Processes of this machine, as the kernel shows them: who was started with which environment."""

import contextlib
from pathlib import Path


def pids_with(variable: str, value: str) -> list[int]:
    """Of the processes that we may look into, with this in their environment."""
    wanted = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)
