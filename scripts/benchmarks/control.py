"""`scripts/bench control`: an API server over one store member, mutual TLS, figures beside bars.

This process is the load generator; the API server and the member are processes of their own. Rows
go in their order, for later ones find what earlier ones have left: deletions come last.
"""

import datetime
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from benchmarks import control_servers, observe
from benchmarks.control_bars import BARS, NO_BAR, ControlBar, Figures
from benchmarks.control_loads import PAGE, PODS, TABLE, ControlLoads
from benchmarks.control_servers import Servers
from benchmarks.report import GENERATOR_CPU_MAX

_NAME_WIDTH = 34
_JSON = "application/json"
CLIENTS = (1, 16)
WATCHERS = (1, 100, 1_000)


class ControlPlan(msgspec.Struct, frozen=True):
    """How long each row is measured. lists, events: how many of each."""

    name: str
    seconds: float
    lists: int
    events: int


QUICK = ControlPlan("quick", seconds=2.0, lists=5, events=50)  # a minute in all, at most
FULL = ControlPlan("full", seconds=15.0, lists=30, events=500)

Measure = Callable[[ControlLoads, ControlPlan], Awaitable[Figures]]


class ControlRow(msgspec.Struct, frozen=True):
    """One line of the table; measure None: the memory of the API server as it is then."""

    name: str
    measure: Measure | None = None


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


IDLE = ControlRow("RSS idle")  # before there are any pods


def all_rows() -> list[ControlRow]:
    """In the order of the table."""
    return [
        IDLE,
        *(_closed("get pod", ControlLoads.get, clients) for clients in CLIENTS),
        _listing("JSON", lambda loads, plan: loads.list_all(_JSON, plan.lists)),
        _listing("Table", lambda loads, plan: loads.list_all(TABLE, plan.lists)),
        _listing(f"pages of {PAGE}", lambda loads, plan: loads.list_pages(plan.lists)),
        ControlRow(f"RSS with {PODS} pods"),
        *(_closed("create pod", ControlLoads.create, clients) for clients in CLIENTS),
        *(_closed("patch status", ControlLoads.patch_status, clients) for clients in CLIENTS),
        *(_watch(watchers) for watchers in WATCHERS),
        *(_closed("delete pod", ControlLoads.delete, clients) for clients in CLIENTS),
    ]


def _closed(
    name: str,
    load: Callable[[ControlLoads, int, float], Awaitable[Figures]],
    clients: int,
) -> ControlRow:
    told = f"{name}, {clients} client{'s' if clients > 1 else ''}"
    return ControlRow(told, lambda loads, plan: load(loads, clients, plan.seconds))


def _listing(form: str, measure: Measure) -> ControlRow:
    return ControlRow(f"list {PODS} pods, {form}", measure)


def _watch(watchers: int) -> ControlRow:
    told = f"watch, {watchers} watcher{'s' if watchers > 1 else ''}"
    return ControlRow(told, lambda loads, plan: loads.watch(watchers, plan.events))


def named(text: str) -> list[ControlRow]:
    """All rows whose name contains the text."""
    return [row for row in all_rows() if text in row.name]


def run(rows: Sequence[ControlRow], plan: ControlPlan, machine: str) -> ControlReport:
    """Print line by line, and return all of it."""
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    report = ControlReport(plan, machine, began)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        control_servers.running(Path(folder)) as servers,
    ):
        uvloop.run(_run(rows, servers, report))
    return report


async def _run(rows: Sequence[ControlRow], servers: Servers, report: ControlReport) -> None:
    loads = ControlLoads(servers)
    await loads.prepare()
    print(table_head(), flush=True)
    is_filled = False
    for row in rows:
        if row != IDLE and not is_filled:
            await loads.fill()
            is_filled = True
        if row.measure is None:
            found = Figures(mib=observe.rss_mib(servers.api_pid))
        else:
            found = await row.measure(loads, report.plan)
        judged = row_report(row, found)
        report.rows.append(judged)
        print(table_line(judged), flush=True)


def row_report(row: ControlRow, found: Figures) -> ControlRowReport:
    """Judge a row by its bar."""
    bar = BARS.get(row.name, NO_BAR)
    return ControlRowReport(row.name, found, bar, bar.misses(found))


# ------------------------------------------------------------------ text


def table_head() -> str:
    """The line above the rows."""
    return f"{'load':{_NAME_WIDTH}}{'/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'cpu us':>9}{'MiB':>7}"


def table_line(row: ControlRowReport) -> str:
    """One row, with what is to be said about it at the end."""
    found = row.found
    line = (
        f"{row.name:{_NAME_WIDTH}}{_number(found.rate, 8, 0)}{_number(found.p50_ms, 9, 2)}"
        f"{_number(found.p99_ms, 9, 2)}{_number(found.cpu_us, 9, 0)}{_number(found.mib, 7, 0)}"
    )
    if row.below:
        line += f"  below ({', '.join(row.below)})"
    if found.generator_cpu >= GENERATOR_CPU_MAX:
        line += "  generator-bound"
    return line


def _number(value: float | None, width: int, digits: int) -> str:
    return " " * width if value is None else f"{value:{width}.{digits}f}"
