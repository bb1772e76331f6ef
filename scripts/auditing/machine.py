"""Processes of this machine, by `ps` and `/proc`, and what nodes have written down of pods."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditing.world import Process, Sandbox

_MARKER, _ADDRESS = "KEELSON_SANDBOX", "POD_IP"
_GROUP = "/keelson/"
_DELETED = " (deleted)"
_SECONDS_MAX = 30


def processes() -> dict[int, Process]:
    """All that we may look into; what has ended and only waits for its parent is none."""
    told = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=,ppid=,stat=,args="],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS_MAX,
        check=True,
    ).stdout
    found = {}
    for line in told.splitlines():
        pid, parent, state, *command = line.split(None, 3)
        if state.startswith("Z"):
            continue
        with suppress(OSError):
            found[int(pid)] = _process(int(pid), int(parent), command[0] if command else "")
    return found


def _process(pid: int, parent: int, command: str) -> Process:
    folder = Path("/proc", str(pid))
    environment = dict(_environment(folder))
    groups = (folder / "cgroup").read_text().splitlines()
    return Process(
        pid=pid,
        parent=parent,
        command=command,
        sandbox=environment.get(_MARKER, ""),
        address=environment.get(_ADDRESS, ""),
        folder=_work_folder(folder),
        containers=frozenset(line.partition(_GROUP)[2] for line in groups if _GROUP in line),
    )


def _environment(folder: Path) -> Iterator[tuple[str, str]]:
    for line in (folder / "environ").read_bytes().split(b"\0"):
        name, _, value = line.decode(errors="replace").partition("=")
        yield name, value


def _work_folder(folder: Path) -> str:
    try:
        return str((folder / "cwd").readlink()).removesuffix(_DELETED)
    except OSError:  # a thread of the kernel's
        return ""


def nodes(folder: Path) -> frozenset[str]:
    """That have a runtime here."""
    return frozenset(path.parent.name for path in folder.glob("*/runtime"))


def sandboxes(folder: Path) -> dict[str, Sandbox]:
    """Of all nodes, by id."""
    found = {}
    for path in folder.glob("*/runtime/sandboxes/*/config.json"):
        if not path.parent.name.isalnum():
            continue
        with suppress(FileNotFoundError):
            record = json.loads(path.read_text())
            name, node = path.parent.name, path.parent.parent.parent.parent.name
            found[name] = Sandbox(name, node, record["config"]["uid"])
    return found


def rests(folder: Path) -> frozenset[str]:
    """Folders of sandboxes that nobody has finished, making or removing them."""
    return frozenset(
        str(path) for path in folder.glob("*/runtime/sandboxes/*") if not path.name.isalnum()
    )


def volumes(folder: Path) -> frozenset[tuple[str, str]]:
    """(node, uid) of pods for which nodes have folders."""
    return frozenset((path.parent.parent.name, path.name) for path in folder.glob("*/pods/*"))
