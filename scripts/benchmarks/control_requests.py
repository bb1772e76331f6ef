"""Rows of one API server over one store member: reads, writes, lists, watches, its memory.

They go in their order, for later ones find what earlier ones have left: deletions come last.
"""

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from benchmarks import control_servers, observe
from benchmarks.control_bars import Figures
from benchmarks.control_loads import PAGE, PODS, TABLE, ControlLoads
from benchmarks.control_report import ControlPlan, Tell
from benchmarks.control_servers import Servers

_JSON = "application/json"
CLIENTS = (1, 16)
WATCHERS = (1, 100, 1_000)

Measure = Callable[[ControlLoads, ControlPlan], Awaitable[Figures]]


class RequestRow(msgspec.Struct, frozen=True):
    """One line of the table; measure None: the memory of the API server as it is then."""

    name: str
    measure: Measure | None = None


IDLE = RequestRow("RSS idle")  # before there are any pods


def all_rows() -> list[RequestRow]:
    """In the order of the table."""
    return [
        IDLE,
        *(_closed("get pod", ControlLoads.get, clients) for clients in CLIENTS),
        _listing("JSON", lambda loads, plan: loads.list_all(_JSON, plan.lists)),
        _listing("Table", lambda loads, plan: loads.list_all(TABLE, plan.lists)),
        _listing(f"pages of {PAGE}", lambda loads, plan: loads.list_pages(plan.lists)),
        RequestRow(f"RSS with {PODS} pods"),
        *(_closed("create pod", ControlLoads.create, clients) for clients in CLIENTS),
        *(_closed("patch status", ControlLoads.patch_status, clients) for clients in CLIENTS),
        *(_watch(watchers) for watchers in WATCHERS),
        *(_closed("delete pod", ControlLoads.delete, clients) for clients in CLIENTS),
    ]


def _closed(
    name: str,
    load: Callable[[ControlLoads, int, float], Awaitable[Figures]],
    clients: int,
) -> RequestRow:
    told = f"{name}, {clients} client{'s' if clients > 1 else ''}"
    return RequestRow(told, lambda loads, plan: load(loads, clients, plan.seconds))


def _listing(form: str, measure: Measure) -> RequestRow:
    return RequestRow(f"list {PODS} pods, {form}", measure)


def _watch(watchers: int) -> RequestRow:
    told = f"watch, {watchers} watcher{'s' if watchers > 1 else ''}"
    return RequestRow(told, lambda loads, plan: loads.watch(watchers, plan.events))


def run(names: Sequence[str], plan: ControlPlan, tell: Tell) -> None:
    """Measure the rows of these names. Raises MemberStartError, ServerStartError."""
    rows = [row for row in all_rows() if row.name in names]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        control_servers.running(Path(folder)) as servers,
    ):
        uvloop.run(_run(rows, servers, plan, tell))


async def _run(rows: Sequence[RequestRow], servers: Servers, plan: ControlPlan, tell: Tell) -> None:
    loads = ControlLoads(servers)
    await loads.prepare()
    is_filled = False
    for row in rows:
        if row != IDLE and not is_filled:
            await loads.fill()
            is_filled = True
        if row.measure is None:
            found = Figures(mib=observe.rss_mib(servers.api_pid))
        else:
            found = await row.measure(loads, plan)
        tell(row.name, found)
