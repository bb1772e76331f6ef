"""Rows of the scheduler's algorithm alone: nothing is written, and its own CPU time counts."""

from collections.abc import Sequence

from benchmarks import placement
from benchmarks.control_bars import Figures
from benchmarks.control_report import ControlPlan, Tell

_ROWS = {
    "place alone, 500 nodes": (500, "basic"),
    "place alone, 5000 nodes": (5_000, "basic"),
    "place alone, 5000 nodes, service": (5_000, "with a service"),
}
NAMES = tuple(_ROWS)


def run(names: Sequence[str], plan: ControlPlan, tell: Tell) -> None:
    """Measure the rows of these names."""
    loads = {load.name: load for load in placement.LOADS}
    for name in names:
        nodes, load = _ROWS[name]
        seconds, placed = placement.measure(loads[load], nodes, plan.placements)
        tell(
            name,
            Figures(
                rate=placed / seconds,
                cpu_us=seconds * 1e6 / max(placed, 1),
                failures=plan.placements - placed,
            ),
        )
