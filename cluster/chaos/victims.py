"""Processes that can be killed: those of the launcher, and those below node agents."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cluster import control
from cluster.processes import pids_with
from controlplane.node.runtime.process.folders import Folders
from controlplane.node.runtime.shim import records

_SHIM_MODULE = b"controlplane.node.runtime.shim"


class PodProcess(msgspec.Struct, frozen=True):
    """A process of a pod. containers: ids of those that its pod had."""

    pid: int
    uid: str
    containers: frozenset[str]


async def component_pids(folder: Path) -> dict[str, int]:
    """Of all that the launcher runs, by the names of `cluster status`."""
    answer = await control.request(folder, {"do": "pids"})
    return {name: pid for name, pid in answer.items() if pid is not None}


def zygotes(folder: Path) -> dict[str, int]:
    """Of each node that has one."""
    return {place.parent.name: pid for pid, place in _keepers(folder) if place.name == "runtime"}


def a_shim(folder: Path, dice: random.Random) -> PodProcess | None:
    """Of any pod that there is."""
    found = [one for one in _keepers(folder) if one[1].parent.name == records.SANDBOXES]
    if not found:
        return None
    pid, place = dice.choice(sorted(found))
    folders = Folders(place.parent.parent)
    record = folders.sandboxes().get(place.name)
    if record is None:
        return None
    return PodProcess(pid, record.config.uid, frozenset(folders.containers(place.name)))


def a_process(folder: Path, dice: random.Random) -> PodProcess | None:
    """The first one of a container, of any pod that there is."""
    shim = a_shim(folder, dice)
    if shim is None:
        return None
    with contextlib.suppress(OSError):  # its pod has just ended
        sandbox = Path(f"/proc/{shim.pid}/cwd").readlink().name
        marked = pids_with(records.MARKER, sandbox)
        if marked:
            return msgspec.structs.replace(shim, pid=marked[0])
    return None


def _keepers(folder: Path) -> Iterator[tuple[int, Path]]:
    """Zygotes and shims of this cluster, with the folder in which they work."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            place = (process / "cwd").readlink()
            if place.is_relative_to(folder) and _SHIM_MODULE in (process / "cmdline").read_bytes():
                yield int(process.name), place
