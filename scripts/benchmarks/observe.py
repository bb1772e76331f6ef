"""What can be seen of a member from outside: CPU, memory, its metrics."""

import os
import urllib.request
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


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
