"""What chaos tells at its end. PURE."""

import shlex
from collections.abc import Sequence

from cluster.chaos.wounds import Wounds

_WIDTH = 18


def table(victims: Sequence[str], wounds: Wounds) -> str:
    """A row for each victim."""
    lines = [f"{'KILLED':<{_WIDTH}}{'KILLS':>6}{'LONGEST HEAL':>15}"]
    for name in victims:
        longest = wounds.longest.get(name)
        told = "-" if longest is None else f"{longest:.1f} s"
        lines.append(f"{name:<{_WIDTH}}{wounds.kills[name]:>6}{told:>15}")
    return "\n".join(lines)


def counts(kills: int, pods: int, jobs: int, minutes: float) -> str:
    """How much there was of it."""
    return f"{kills} kills in {minutes:.1f} minutes, while {pods:,} pods and {jobs:,} jobs ran"


def audit(folder: str) -> str:
    """What judges it: to be pasted."""
    return f"scripts/audit {shlex.quote(folder)}"
