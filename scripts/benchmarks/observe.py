"""What can be seen from outside: CPU, memory and metrics of a member, pauses of the machine."""

import contextlib
import os
import time
import urllib.request
from collections.abc import Collection
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SPIN_SECONDS = 3.0
_AWAY_SECONDS = 0.001  # a busy loop that does not look at the clock for so long was not running
_TIMERS = 20
_TIMER_SECONDS = 0.05


def machine() -> str:
    """What this machine gives to one busy loop and to a waiting one, with nothing else to do.

    Figures in seconds say little about a program where a virtual machine is held up itself.
    """
    ran, rate, longest = _spin()
    late = sorted(_lateness() * 1e3 for _ in range(_TIMERS))
    return (
        f"this machine: a busy loop ran {ran:.0%} of the time, {rate / 1e6:.1f} M rounds/s, away "
        f"for at most {longest * 1e3:.0f} ms; a sleep ends late by {late[_TIMERS // 2]:.1f} ms "
        f"(median), {late[-1]:.0f} ms (most)"
    )


def _spin() -> tuple[float, float, float]:
    """Share of the time that it ran, rounds a second, longest time away."""
    away = longest = 0.0
    rounds = 0
    began = last = time.perf_counter()
    while last < began + _SPIN_SECONDS:
        now = time.perf_counter()
        rounds += 1
        if now - last > _AWAY_SECONDS:
            away += now - last
            longest = max(longest, now - last)
        last = now
    seconds = last - began
    return 1 - away / seconds, rounds / seconds, longest


def _lateness() -> float:
    due = time.perf_counter() + _TIMER_SECONDS
    time.sleep(_TIMER_SECONDS)
    return time.perf_counter() - due


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int) -> float:
    """Resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def metrics(endpoint: str) -> dict[str, float]:
    """A member's /metrics by name."""
    with urllib.request.urlopen(f"http://{endpoint}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return {
        name: float(value) for name, value in (line.split() for line in lines if line[0] != "#")
    }


def tree(pid: int, *, but: Collection[int] = ()) -> list[int]:
    """A process and all that descend from it, without those of `but` and theirs."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:  # which grows
        found += [child for child, parent in parents.items() if parent == one and child not in but]
    return found
