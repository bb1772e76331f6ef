"""`scripts/bench control`: the control plane's figures beside its bars.

This process is the load generator; what is measured runs in processes of its own. The rows of a
stage share these, so they go in their order; stages do not know of each other.
"""

import datetime
from collections.abc import Callable, Sequence

import msgspec

from benchmarks import control_hollow, control_placing, control_requests, control_stock
from benchmarks.control_bars import Figures
from benchmarks.control_report import (
    ControlPlan,
    ControlReport,
    Tell,
    row_report,
    table_head,
    table_line,
)


class Stage(msgspec.Struct, frozen=True):
    """Rows that share processes.

    names  of its rows, in the order of the table
    run    measures those of some names
    """

    names: tuple[str, ...]
    run: Callable[[Sequence[str], ControlPlan, Tell], None]


STAGES = (
    Stage(tuple(row.name for row in control_requests.all_rows()), control_requests.run),
    Stage(control_placing.NAMES, control_placing.run),
    Stage(control_stock.NAMES, control_stock.run),
    Stage(control_hollow.NAMES, control_hollow.run),
)


def named(text: str) -> list[str]:
    """All rows whose name contains the text."""
    return [name for stage in STAGES for name in stage.names if text in name]


def run(names: Sequence[str], plan: ControlPlan, machine: str) -> ControlReport:
    """Print line by line, and return all of it."""
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    report = ControlReport(plan, machine, began)

    def tell(name: str, found: Figures) -> None:
        report.rows.append(row_report(name, found))
        print(table_line(report.rows[-1]), flush=True)

    print(table_head(), flush=True)
    for stage in STAGES:
        wanted = [name for name in stage.names if name in names]
        if wanted:
            stage.run(wanted, plan, tell)
    return report
