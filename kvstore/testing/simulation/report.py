"""What simulated runs did, in numbers; and what many of them together must have done."""

from collections.abc import Iterator, Sequence

import msgspec

from kvstore.server.points import ALL_POINTS
from kvstore.testing.simulation.contest import CONTEST_KIND
from kvstore.testing.simulation.faults import CUT_KINDS, MEMBERSHIP_KIND, PAUSE_KIND
from kvstore.testing.simulation.last_copy import LAST_COPY_KIND
from kvstore.testing.simulation.late_ack import LATE_ACK_KIND
from kvstore.testing.simulation.seeds import add_up

AT_A_RANDOM_MOMENT = ""
"""The cause of a crash that no I/O point and no disk brought about."""

_COURSES = (CONTEST_KIND, LAST_COPY_KIND, LATE_ACK_KIND)
_WIDTH = 100
_NAME_WIDTH = 12


class Report(msgspec.Struct, kw_only=True):
    """What one run did, or several together (`total`)."""

    runs: int = 1
    members: int = 0
    seconds: float = 0.0
    operations: int = 0
    unknown: int = 0
    """Operations without an outcome."""
    reads_across_elections: int = 0
    """Reads during which a new leader came."""
    events_watched: int = 0
    leases_expired: int = 0
    batches_observed: int = 0
    """How often the invariants were checked."""
    elections: int = 0
    terms: int = 0
    snapshots_taken: int = 0
    snapshots_sent: int = 0
    snapshots_installed: int = 0
    torn_tails: int = 0
    """Logs cut off at a restart behind what a crash had left whole."""
    frames_delivered: int = 0
    frames_lost: int = 0
    faults: dict[str, int] = {}
    """By kind."""
    completed: dict[str, int] = {}
    """Of the faults that take their course, by kind: those that came to their point."""
    crashes: dict[str, int] = {}
    """By cause: an I/O point, "disk failure", or "" for a random moment."""
    trace_hash: str = ""

    @property
    def fault_count(self) -> int:
        """Faults of all kinds."""
        return sum(self.faults.values())

    @property
    def cuts(self) -> int:
        """Cuts of any shape."""
        return sum(self.faults.get(kind, 0) for kind in CUT_KINDS)

    @property
    def pauses(self) -> int:
        """How often a member stood still."""
        return self.faults.get(PAUSE_KIND, 0)

    @property
    def membership_changes(self) -> int:
        """Changes of who belongs to the cluster."""
        return self.faults.get(MEMBERSHIP_KIND, 0)


def total(reports: Sequence[Report]) -> Report:
    """The sums; there is no hash of many."""
    return add_up(Report(runs=0), reports)


def never_happened(sums: Report) -> list[str]:
    """What the runs together should have been about, and were not."""
    demanded = {
        "elections": sums.elections,
        "snapshots taken": sums.snapshots_taken,
        "snapshots sent": sums.snapshots_sent,
        "snapshots installed": sums.snapshots_installed,
        "torn tails": sums.torn_tails,
        "cuts": sums.cuts,
        "pauses": sums.pauses,
        "membership changes": sums.membership_changes,
        "reads across elections": sums.reads_across_elections,
        "leases expired": sums.leases_expired,
        **{f"complete {kind}": sums.completed.get(kind, 0) for kind in _COURSES},
        **{f"crash at {point}": sums.crashes.get(point, 0) for point in ALL_POINTS},
    }
    return [name for name, count in demanded.items() if not count]


def summary(sums: Report) -> str:
    """A block for a person to read."""
    crashes = dict(sums.crashes)
    random = crashes.pop(AT_A_RANDOM_MOMENT, 0)
    rows = {
        "ran": f"{sums.runs:,} seeds, {sums.members:,} members, {sums.seconds:,.0f} simulated"
        f" seconds, {sums.batches_observed:,} checks of the invariants",
        "clients": f"{sums.operations:,} operations ({sums.unknown:,} without an outcome),"
        f" {sums.reads_across_elections:,} reads across an election,"
        f" {sums.events_watched:,} events watched, {sums.leases_expired:,} leases expired",
        "elections": f"{sums.elections:,} in {sums.terms:,} terms",
        "snapshots": f"{sums.snapshots_taken:,} taken, {sums.snapshots_sent:,} sent,"
        f" {sums.snapshots_installed:,} installed",
        "frames": f"{sums.frames_delivered:,} delivered, {sums.frames_lost:,} lost",
        "faults": f"{sums.fault_count:,}: {_listed(sums.faults)}",
        "complete": _listed(sums.completed),
        "cuts": f"{sums.cuts:,}",
        "pauses": f"{sums.pauses:,}",
        "members": f"{sums.membership_changes:,} membership changes",
        "crashes": f"{random + sum(crashes.values()):,}: {random:,} at a random moment,"
        f" {_listed(crashes)}",
        "torn tails": f"{sums.torn_tails:,}",
    }
    return "\n".join(line for name, text in rows.items() for line in wrapped(name, text))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


def wrapped(name: str, text: str) -> Iterator[str]:
    """Lines of a bounded length, broken at commas, the first with the name before it."""
    line = ""
    for part in text.split(", "):
        if line and len(line) + len(part) + 2 > _WIDTH - _NAME_WIDTH:
            yield f"{name:<{_NAME_WIDTH}}{line},"
            name, line = "", part
        else:
            line = f"{line}, {part}" if line else part
    yield f"{name:<{_NAME_WIDTH}}{line}"
