"""Control groups, version 1 and 2: bounds that the kernel keeps, for who may write them.

Names of files and their units: `Documentation/admin-guide/cgroup-v1` and `cgroup-v2.rst`. Where
they cannot be written (no root), `watch.py` and resource limits stand in for them.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.node.runtime.shim.processes import Spent, send_signal

UNIFIED = "unified"
CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
_PERIOD_MICROSECONDS = 100_000
_QUOTA_MICROSECONDS_MIN = 1_000
_NANOSECONDS = 1_000_000_000
_REMOVALS_MAX = 100
_REMOVAL_SECONDS = 0.005


def hierarchies(mounts: str, memberships: str) -> dict[str, str]:
    """Controller -> the folder of this process' own group, from the texts of /proc/self/mounts
    and /proc/self/cgroup. Version 2 is called `unified`; its folder is the top, for a group that
    has processes cannot have bounded groups below it. PURE."""
    own = {}
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path.strip("/")))
    found: dict[str, str] = {}
    for line in mounts.splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup2":
            found.setdefault(UNIFIED, folder)
        elif kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                found.setdefault(controller, str(Path(folder, own.get(controller, ""))))
    return found


def usable(node: str) -> dict[str, str]:
    """Controller -> a folder of the node's own, made now; those that cannot be written are left
    out."""
    mounts, memberships = Path("/proc/self/mounts"), Path("/proc/self/cgroup")
    folders = {}
    for controller, parent in hierarchies(mounts.read_text(), memberships.read_text()).items():
        folder = Path(parent, node)
        try:
            folder.mkdir(exist_ok=True)
            if controller == UNIFIED:
                _enable(Path(parent), folder)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            folders[controller] = str(folder)
    return folders


def _enable(top: Path, node: Path) -> None:
    """Have the controllers of version 2 that are there in groups below the node's."""
    there = set((top / "cgroup.controllers").read_text().split()) & set(CONTROLLERS)
    wanted = " ".join(f"+{controller}" for controller in sorted(there))
    if wanted:
        (top / "cgroup.subtree_control").write_text(wanted)
        (node / "cgroup.subtree_control").write_text(wanted)


@dataclass(frozen=True)
class Bounds:
    """0: none."""

    cpu_shares: int = 0
    cpu_nanocores: int = 0
    memory_bytes: int = 0
    pids: int = 0


def settings(bounds: Bounds, *, is_unified: bool) -> list[tuple[str, str, str]]:
    """(controller, file, text) of some bounds. PURE."""
    quota = max(
        _QUOTA_MICROSECONDS_MIN, bounds.cpu_nanocores * _PERIOD_MICROSECONDS // _NANOSECONDS
    )
    # Kubernetes' own conversion: shares of 2 … 262144 to a weight of 1 … 10000.
    weight = 1 + (max(bounds.cpu_shares, 2) - 2) * 9999 // 262142
    if is_unified:
        made = [
            (bounds.cpu_shares, "cpu", "cpu.weight", str(min(weight, 10_000))),
            (bounds.cpu_nanocores, "cpu", "cpu.max", f"{quota} {_PERIOD_MICROSECONDS}"),
            (bounds.memory_bytes, "memory", "memory.oom.group", "1"),
            (bounds.memory_bytes, "memory", "memory.max", str(bounds.memory_bytes)),
            (bounds.pids, "pids", "pids.max", str(bounds.pids)),
        ]
    else:
        made = [
            (bounds.cpu_shares, "cpu", "cpu.shares", str(max(bounds.cpu_shares, 2))),
            (bounds.cpu_nanocores, "cpu", "cpu.cfs_period_us", str(_PERIOD_MICROSECONDS)),
            (bounds.cpu_nanocores, "cpu", "cpu.cfs_quota_us", str(quota)),
            (bounds.memory_bytes, "memory", "memory.limit_in_bytes", str(bounds.memory_bytes)),
            (bounds.pids, "pids", "pids.max", str(bounds.pids)),
        ]
    return [(controller, file, text) for bound, controller, file, text in made if bound]


class Group:
    """The control group of one container, in every hierarchy that can be written."""

    def __init__(self, node: Mapping[str, str], name: str) -> None:
        self._folders = {controller: Path(folder, name) for controller, folder in node.items()}

    def create(self, bounds: Bounds) -> frozenset[str]:
        """Make it; the controllers whose bounds are kept. Raises OSError, and nothing is left."""
        kept = set()
        try:
            for folder in self._folders.values():
                folder.mkdir(exist_ok=True)
            for is_unified in (False, True):
                for controller, file, text in settings(bounds, is_unified=is_unified):
                    group = self._folder_of(UNIFIED if is_unified else controller)
                    if group is not None and (group / file).exists():
                        (group / file).write_text(text)
                        kept.add(controller)
        except OSError:
            self.remove()
            raise
        return frozenset(kept)

    def _folder_of(self, hierarchy: str) -> Path | None:
        return self._folders.get(hierarchy)

    def join(self) -> None:
        """Put this process into it. Raises OSError."""
        for folder in self._folders.values():
            (folder / "cgroup.procs").write_text("0")

    def kill(self) -> None:
        """SIGKILL to all that are in it, also to what they make meanwhile."""
        unified = self._folder_of(UNIFIED)
        if unified is not None:
            with contextlib.suppress(OSError):  # kernels before 5.14 have no such file
                (unified / "cgroup.kill").write_text("1")
                return
        for pid in self._members():
            send_signal(pid, signal.SIGKILL)

    def _members(self) -> list[int]:
        found: set[int] = set()
        for folder in self._folders.values():
            with contextlib.suppress(OSError):
                # 0 stands for one of another pid namespace.
                found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
        return sorted(found - {0})

    def remove(self) -> bool:
        """Whether it is gone. The kernel keeps a group until its last process is."""
        gone = True
        for folder in self._folders.values():
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                gone = False
        return gone

    def out_of_memory_kills(self) -> int:
        """How many of it the kernel has killed for want of memory."""
        kills = 0
        for hierarchy, file in (("memory", "memory.oom_control"), (UNIFIED, "memory.events")):
            folder = self._folder_of(hierarchy)
            if folder is not None:
                kills += _numbers(folder / file).get("oom_kill", 0)
        return kills

    def spent(self) -> Spent | None:
        """What it uses; None: nobody counts it. Memory is the working set: without what of the
        file cache was not used for long."""
        unified = self._folder_of(UNIFIED)
        if unified is not None and (unified / "memory.current").exists():
            cpu_seconds = _numbers(unified / "cpu.stat").get("usage_usec", 0) / 1e6
            memory = _number(unified / "memory.current")
            memory -= _numbers(unified / "memory.stat").get("inactive_file", 0)
            return Spent(cpu_seconds, max(memory, 0), _number(unified / "pids.current"))
        if {"cpuacct", "memory", "pids"} <= self._folders.keys():
            cpu_seconds = _number(self._folders["cpuacct"] / "cpuacct.usage") / _NANOSECONDS
            memory = _number(self._folders["memory"] / "memory.usage_in_bytes")
            memory -= _numbers(self._folders["memory"] / "memory.stat").get(
                "total_inactive_file", 0
            )
            pids = _number(self._folders["pids"] / "pids.current")
            return Spent(cpu_seconds, max(memory, 0), pids)
        return None


def remove_groups(node: Mapping[str, str], names: Iterable[str]) -> None:
    """Kill what is left in groups whose shim is gone, and remove them."""
    for name in names:
        group = Group(node, name)
        for _ in range(_REMOVALS_MAX):
            group.kill()
            if group.remove():
                break
            time.sleep(_REMOVAL_SECONDS)  # until the kernel has buried who was killed


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _numbers(path: Path) -> dict[str, int]:
    """Of a file of lines `NAME NUMBER`."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
