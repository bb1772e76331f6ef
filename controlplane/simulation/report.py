"""What simulated runs did, in numbers; and what many of them together must have done."""

from collections.abc import Mapping, Sequence

import msgspec

from kvstore.testing.simulation.report import wrapped
from kvstore.testing.simulation.seeds import add_up

_DEMANDED_FAULTS = (
    "process dies",
    "all processes die",
    "process stands still",
    "cut",
    "silent cut",
    "clock jump",
    "node loses power",
    "container ends",
    "store: crash",
    "store: power cut",
    "store: split",
    "store: cut off",
)
_DEMANDED_ACTS = ("scale", "roll out", "roll back", "pause", "suspend", "drain", "evict")


class Report(msgspec.Struct, kw_only=True):
    """What one run did, or several together (`total`). Times are simulated seconds."""

    runs: int = 1
    seconds: float = 0.0
    convergence_seconds: float = 0.0
    """From healing until all was as it should be; of several the sum."""
    convergence_seconds_max: float = 0.0
    revisions: int = 0
    """Each is looked at by every rule."""
    changes: int = 0
    pods_made: int = 0
    pods_bound: int = 0
    containers_started: int = 0
    replica_sets_made: int = 0
    jobs_finished: int = 0
    ready_pods_evicted: int = 0
    leaders: int = 0
    """How often somebody began to lead, controllers and schedulers together."""
    deaths: int = 0
    elections: int = 0
    frames: int = 0
    acts: dict[str, int] = {}
    """What users did."""
    faults: dict[str, int] = {}
    """By kind."""
    trace_hash: str = ""


def total(reports: Sequence[Report]) -> Report:
    """The sums; there is no hash of many."""
    return add_up(Report(runs=0), reports)


def never_happened(sums: Report) -> list[str]:
    """What the runs together should have been about, and were not."""
    demanded: dict[str, int] = {
        "pods bound": sums.pods_bound,
        "jobs finished": sums.jobs_finished,
        "ready pods evicted": sums.ready_pods_evicted,
        **{act: sums.acts.get(act, 0) for act in _DEMANDED_ACTS},
        **{fault: sums.faults.get(fault, 0) for fault in _DEMANDED_FAULTS},
    }
    return [name for name, count in demanded.items() if not count]


def summary(sums: Report) -> str:
    """A block for a person to read."""
    mean = sums.convergence_seconds / max(sums.runs, 1)
    rows = {
        "ran": f"{sums.runs:,} seeds, {sums.seconds:,.0f} simulated seconds",
        "judged": f"{sums.revisions:,} revisions, {sums.changes:,} changes of objects,"
        f" {sums.containers_started:,} starts of containers",
        "pods": f"{sums.pods_made:,} made, {sums.pods_bound:,} bound,"
        f" {sums.ready_pods_evicted:,} evicted while ready",
        "owners": f"{sums.replica_sets_made:,} ReplicaSets made, {sums.jobs_finished:,} Jobs"
        " finished",
        "users": _listed(sums.acts),
        "faults": f"{sum(sums.faults.values()):,}: {_listed(sums.faults)}",
        "processes": f"{sums.deaths:,} died, {sums.leaders:,} times one began to lead,"
        f" {sums.elections:,} elections of the store",
        "converged": f"{mean:.0f} s after healing on average, {sums.convergence_seconds_max:.0f} s"
        " at most",
    }
    return "\n".join(line for name, text in rows.items() for line in wrapped(name, text))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
