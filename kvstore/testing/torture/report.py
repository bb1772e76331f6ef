"""What a run did, in numbers: rounds, how long no write was acknowledged, and the table. PURE."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from kvstore.testing.torture.recorder import Acknowledgement

MEDIAN_SECONDS_MAX = 2.5
_TITLES = ("fault", "rounds", "operations", "median s", "max s", "gap s", "terms", "lag s")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One fault under load.

    operations           ended while it lasted
    unavailable_seconds  from the kill or heal to the next acknowledgement of a write that was
                         begun after it
    gap_seconds          the longest time between two acknowledgements, all the while
    terms                new ones, so at most as many new leaders
    lag_seconds          from the end until every member had what was committed then
    point                the failpoint that it was about, if it was
    evidence             what shows that the fault happened; empty: nothing does
    broken               a bound of the fault that was not kept; empty: none
    """

    fault: str
    detail: str = ""
    operations: int
    unavailable_seconds: float
    gap_seconds: float
    terms: int
    lag_seconds: float
    point: str = ""
    is_point_reached: bool = False
    evidence: str = ""
    broken: str = ""

    @property
    def told(self) -> str:
        """One line."""
        whom = f" {self.detail}" if self.detail else ""
        broken = f"; BROKEN: {self.broken}" if self.broken else ""
        return (
            f"{self.fault}{whom}: served again after {self.unavailable_seconds:.2f} s, "
            f"{self.operations} operations, {self.terms} new terms, "
            f"all caught up after {self.lag_seconds:.2f} s; "
            f"{self.evidence or 'NO EVIDENCE that it happened'}{broken}"
        )


def unavailable_seconds(
    acknowledgements: Sequence[Acknowledgement], moments: Sequence[float]
) -> float:
    """The longest time from one of `moments` to the next answer to a write begun after it.

    acknowledgements: in the order of their answers, with one for each moment at least.
    """
    return max(
        next(a.completed for a in acknowledgements if a.invoked > moment) - moment
        for moment in moments
    )


def gap_seconds(
    acknowledgements: Sequence[Acknowledgement], *, begun: float, ended: float
) -> float:
    """The longest time between `begun` and `ended` without an answer to a write."""
    times = [a.completed for a in acknowledgements if begun < a.completed < ended]
    edges = [begun, *times, ended]
    return max(after - before for before, after in pairwise(edges))


def table(rounds: Sequence[Round], not_run: dict[str, str]) -> str:
    """Faults, rounds and their longest unavailability, for people.

    not_run: fault → the reason.
    """
    names = sorted({one.fault for one in rounds})
    rows = [_TITLES, *(_row(name, [r for r in rounds if r.fault == name]) for name in names)]
    if len(names) > 1:
        rows.append(_row("all", rounds))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    lines = [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, *(f"{name}: not run: {why}" for name, why in not_run.items())])


def points(rounds: Sequence[Round], known: Iterable[str]) -> str:
    """Failpoints at which a member has ended, those that it did not come to, and of those that are
    `known` the ones that had no turn.
    """
    reached = {one.point for one in rounds if one.is_point_reached}
    tried = {one.point for one in rounds if one.point}
    missed, untried = sorted(tried - reached), sorted({*known} - tried)
    more = f"; not reached: {', '.join(missed)}" if missed else ""
    more += f"; not tried: {', '.join(untried)}" if untried else ""
    return f"a member ended at {len(reached)} failpoints: {', '.join(sorted(reached))}{more}"


def without_turn(faults: Iterable[str], rounds: Sequence[Round]) -> dict[str, str]:
    """Faults that could be had, and had no round → the reason."""
    had = {one.fault for one in rounds}
    return {name: "the run was over before its turn" for name in faults if name not in had}


def broken(rounds: Sequence[Round]) -> list[str]:
    """Bounds of time that were not kept: those of a round's fault, and the median of all."""
    told = [f"{one.fault} {one.detail}: {one.broken}" for one in rounds if one.broken]
    median = statistics.median(one.unavailable_seconds for one in rounds)
    if median > MEDIAN_SECONDS_MAX:
        told.append(f"the median of all rounds is {median:.2f} s until they served again")
    return told


def unproven(rounds: Sequence[Round]) -> list[str]:
    """Faults of which nothing shows in any of their rounds that they happened."""
    proven = {one.fault for one in rounds if one.evidence}
    return sorted({one.fault for one in rounds} - proven)


def _row(name: str, rounds: Sequence[Round]) -> tuple[str, ...]:
    seconds = [one.unavailable_seconds for one in rounds]
    return (
        name,
        str(len(rounds)),
        f"{sum(one.operations for one in rounds):,}",
        f"{statistics.median(seconds):.2f}",
        f"{max(seconds):.2f}",
        f"{max(one.gap_seconds for one in rounds):.2f}",
        str(max(one.terms for one in rounds)),
        f"{max(one.lag_seconds for one in rounds):.2f}",
    )
