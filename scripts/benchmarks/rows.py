"""The rows of the store benchmark: which load, how many clients, on which members."""

from collections.abc import Awaitable, Callable

import msgspec

from benchmarks import loads, open_loop, streams
from benchmarks.loads import Load
from benchmarks.outcome import Outcome, Target

CLIENTS = (1, 32, 500)
LARGE_CLIENTS = 8


class Plan(msgspec.Struct, frozen=True):
    """How often and how long each row is measured."""

    name: str
    pairs: int
    seconds: float
    mixed_seconds: float


QUICK = Plan("quick", pairs=3, seconds=1.5, mixed_seconds=3.0)  # six minutes in all, at most
FULL = Plan("full", pairs=5, seconds=10.0, mixed_seconds=60.0)

Measure = Callable[[Target, Plan], Awaitable[Outcome]]


class Row(msgspec.Struct, frozen=True):
    """One line of the table; `load` and `clients` say where it belongs in the plot."""

    name: str
    load: str
    clients: int
    measure: Measure
    is_on_leader: bool = False


def all_rows() -> list[Row]:
    """In the order of the table; large values last, for what they leave in memory."""
    unary = (loads.PUT, loads.GET, loads.SERIALIZABLE_GET, loads.TXN)
    ranges = (loads.RANGE_100, loads.RANGE_1000)
    large = (loads.LARGE_PUT, loads.LARGE_GET)
    return [
        *(_unary(load, clients) for load in unary for clients in CLIENTS),
        *(_unary(load, 32, is_on_leader=True) for load in (loads.PUT, loads.GET)),
        *(_unary(load, 32) for load in ranges),
        *(_watch(count, watchers) for count, watchers in ((1_000, 1), (10, 100))),
        Row(
            f"lease keep-alive, {streams.LEASE_STREAMS} streams",
            "lease keep-alive",
            streams.LEASE_STREAMS,
            lambda target, plan: streams.run_keep_alive(target, plan.seconds),
        ),
        Row(
            f"mixed, {open_loop.RATE}/s open loop",
            "mixed",
            open_loop.CONNECTIONS,
            lambda target, plan: open_loop.run_mixed(target, plan.mixed_seconds),
        ),
        *(_unary(load, LARGE_CLIENTS) for load in large),
    ]


def named(text: str) -> list[Row]:
    """The rows whose name contains the text."""
    return [row for row in all_rows() if text in row.name]


def client_count(clients: int) -> str:
    """As it stands in a row's name."""
    return "1 client" if clients == 1 else f"{clients} clients"


def _unary(load: Load, clients: int, *, is_on_leader: bool = False) -> Row:
    return Row(
        f"{load.name}, {client_count(clients)}" + (" on the leader" if is_on_leader else ""),
        load.name,
        clients,
        lambda target, plan: loads.run(load, target, clients, plan.seconds),
        is_on_leader,
    )


def _watch(count: int, watchers: int) -> Row:
    return Row(
        f"watch {count} streams x {watchers}",
        f"watch x {watchers}",
        count,
        lambda target, plan: streams.run_watch(
            target, streams=count, watchers=watchers, seconds=plan.seconds
        ),
    )
