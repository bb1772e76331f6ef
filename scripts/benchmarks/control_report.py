"""What a run of `scripts/bench control` says: lines of a table, and all figures as JSON."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.control_bars import BARS, NO_BAR, ControlBar, Figures
from benchmarks.report import GENERATOR_CPU_MAX

_NAME_WIDTH = 34


class ControlPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How long, and how often, things are measured.

    seconds     of a closed loop
    lists       how many of each form
    events      that watchers are sent
    placements  pods that the scheduler's algorithm finds nodes for
    starts      of pods, one after the other
    idle_seconds  of doing nothing
    """

    name: str
    seconds: float
    lists: int
    events: int
    placements: int
    starts: int
    idle_seconds: float


QUICK = ControlPlan(
    name="quick", seconds=2.0, lists=5, events=50, placements=2_000, starts=30, idle_seconds=15.0
)
FULL = ControlPlan(
    name="full", seconds=10.0, lists=30, events=300, placements=5_000, starts=200, idle_seconds=60.0
)

Tell = Callable[[str, Figures], None]
"""Takes the name of a row and what was found."""


class ControlRowReport(msgspec.Struct, frozen=True):
    """One line, judged."""

    name: str
    found: Figures
    bar: ControlBar
    below: list[str]


class ControlReport(msgspec.Struct):
    """A whole run; rows are filled as it goes on."""

    plan: ControlPlan
    machine: str
    began: str
    rows: list[ControlRowReport] = []

    @property
    def is_below(self) -> bool:
        """True when some row misses its bar."""
        return any(row.below for row in self.rows)

    def write_json(self, path: Path) -> None:
        """All figures and bars; what is infinite becomes null."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")


def row_report(name: str, found: Figures) -> ControlRowReport:
    """Judge a row by its bar."""
    bar = BARS.get(name, NO_BAR)
    return ControlRowReport(name, found, bar, bar.misses(found))


# ------------------------------------------------------------------ text


def table_head() -> str:
    """The line above the rows."""
    return (
        f"{'load':{_NAME_WIDTH}}{'/s':>8}{'s':>8}{'p50 ms':>9}{'p99 ms':>9}{'cpu us':>8}"
        f"{'cpu %':>7}{'MiB':>6}"
    )


def table_line(row: ControlRowReport) -> str:
    """One row, with what is to be said about it at the end."""
    found = row.found
    line = (
        f"{row.name:{_NAME_WIDTH}}{_number(found.rate, 8, 0)}{_number(found.seconds, 8, 1)}"
        f"{_number(found.p50_ms, 9, 2)}{_number(found.p99_ms, 9, 2)}{_number(found.cpu_us, 8, 0)}"
        f"{_number(found.cpu_percent, 7, 1)}{_number(found.mib, 6, 0)}"
    )
    if row.below:
        line += f"  below ({', '.join(row.below)})"
    elif row.bar != NO_BAR:
        line += "  reached"
    if found.generator_cpu >= GENERATOR_CPU_MAX:
        line += "  generator-bound"
    return line


def _number(value: float | None, width: int, digits: int) -> str:
    return " " * width if value is None else f"{value:{width}.{digits}f}"
