"""Processes as /proc shows them: who is whose child, since when, and what they use.

Everything here may be gone while it is looked at: what is gone is left out.
"""

import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")
# How often a tree is looked at anew while it is killed: each time all that was seen is stopped
# first, so that only what was made in between is new.
_ROUNDS_MAX = 300


class Spent(NamedTuple):
    """What processes use together: seconds of CPU (with children that ended), resident bytes."""

    cpu_seconds: float
    memory: int
    pids: int


class _Stat(NamedTuple):
    state: str
    parent: int
    cpu_ticks: int
    start_ticks: int
    resident_pages: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name may hold anything, brackets and blanks too: what counts follows its last bracket.
    words = text.rpartition(")")[2].split()
    cpu_ticks = sum(int(word) for word in words[11:15])
    return _Stat(words[0], int(words[1]), cpu_ticks, int(words[19]), int(words[21]))


def start_ticks(pid: int) -> int:
    """When a process started, in ticks since the machine did; 0: there is none, or it has ended."""
    stat = _stat(pid)
    return 0 if stat is None or stat.state in "ZX" else stat.start_ticks


def boot() -> str:
    """Which start of the machine this is."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _numbers() -> list[int]:
    return [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit()]


class Snapshot:
    """All processes as they were at one time, or nearly. Reads all of /proc once."""

    def __init__(self) -> None:
        stats = ((number, _stat(number)) for number in _numbers())
        self._stats = {number: stat for number, stat in stats if stat is not None}
        self._children: dict[int, list[int]] = {}
        for number, stat in self._stats.items():
            self._children.setdefault(stat.parent, []).append(number)

    def children(self, pid: int) -> list[int]:
        """Those whose parent a process is."""
        return list(self._children.get(pid, ()))

    def descendants(self, pid: int) -> list[int]:
        """All below a process, parents first, without itself."""
        found = self.children(pid)
        for parent in found:
            found.extend(self._children.get(parent, ()))
        return found

    def spent(self, pids: Iterable[int]) -> Spent:
        """What some processes use together."""
        stats = [self._stats[pid] for pid in pids if pid in self._stats]
        alive = [stat for stat in stats if stat.state not in "ZX"]
        ticks = sum(stat.cpu_ticks for stat in alive)
        pages = sum(stat.resident_pages for stat in alive)
        return Spent(ticks / _TICKS, pages * _PAGE_BYTES, len(alive))


def descendants(pid: int) -> list[int]:
    """All below a process, parents first, without itself."""
    return Snapshot().descendants(pid)


def children(pid: int) -> list[int]:
    """Those whose parent a process is. Of many that come and go some may be left out; none is
    only said where there is none."""
    found: list[int] = []
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except FileNotFoundError:
        # The kernel tells no children (CONFIG_PROC_CHILDREN), or this one is gone.
        return Snapshot().children(pid)
    except OSError:
        return []
    return found


def is_alive(pid: int) -> bool:
    """It runs: it is neither gone nor only waits for its parent to see it."""
    return start_ticks(pid) != 0


def proportional_memory(pids: Iterable[int]) -> int:
    """Bytes that processes use together, where each page that several of them share counts once
    only. Costs more than `Snapshot.spent`; who may not look is told what that says."""
    total = 0
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "smaps_rollup").read_text()
        except FileNotFoundError:
            continue
        except OSError:
            stat = _stat(pid)
            total += 0 if stat is None else stat.resident_pages * _PAGE_BYTES
            continue
        found = re.search(r"^Pss: +([0-9]+) kB$", text, re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


def send_signal(pid: int, number: int) -> None:
    """To a process, if it is there."""
    if pid <= 0:
        return  # not known; the kernel would take it for a group, or for everybody
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or by now another's


def kill_descendants(pid: int) -> None:
    """Kill all below a process, also what is born meanwhile.

    A killed process' children become children of the nearest that adopts orphans: `pid` must be
    one that does, or nobody is found any more whose parent ended first.
    """
    for _ in range(_ROUNDS_MAX):
        if not children(pid):
            return
        found = [each for each in descendants(pid) if is_alive(each)]
        if not found:
            return
        for each in found:
            send_signal(each, signal.SIGSTOP)
        # Only what was stopped before it was looked for has made no child since.
        for each in descendants(pid):
            send_signal(each, signal.SIGKILL)


def marked(variable: str, value: str) -> list[int]:
    """Processes that were started with a variable in their environment."""
    wanted = f"{variable}={value}".encode()
    found = []
    for number in _numbers():
        try:
            environment = (_PROC / str(number) / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.append(number)
    return found


def kill_marked(variable: str, value: str) -> None:
    """Kill all that were started with a variable, and what is below them."""
    for _ in range(_ROUNDS_MAX):
        found = [number for number in marked(variable, value) if is_alive(number)]
        if not found:
            return
        for number in found:
            send_signal(number, signal.SIGSTOP)
        for number in found:
            for below in reversed(descendants(number)):
                send_signal(below, signal.SIGKILL)
            send_signal(number, signal.SIGKILL)
