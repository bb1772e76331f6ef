"""`scripts/bench store`: ours beside Debian's etcd, three members each, one run, ratios.

Both clusters stay up; measurements alternate pair by pair, so that a noisy machine hits both. Rate
ratio = ours / etcd, more is better; CPU ratio = CPU per completion, less is better.
"""

import statistics
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from benchmarks import loads, observe
from benchmarks.loads import Load, Outcome
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses

_GENERATOR_CPU_MAX = 0.9
Measure = Callable[[Sequence[str]], Awaitable[Outcome]]


def run(pairs: int, seconds: float) -> None:
    """Print the table. `seconds` is the time of one measurement."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ClusterProcesses(KEELSON, Path(folder) / "keelson", count=3) as ours,
        ClusterProcesses(ETCD, Path(folder) / "etcd", count=3) as etcd,
    ):
        uvloop.run(_compare(ours, etcd, pairs, seconds))


def _rows(seconds: float) -> list[tuple[str, Measure]]:
    def unary(load: Load, clients: int) -> tuple[str, Measure]:
        return (
            f"{load.name}, {clients} clients",
            lambda endpoints: loads.run(load, endpoints, clients, seconds),
        )

    rows = [unary(load, clients) for load in loads.UNARY for clients in (1, 32, 500)]
    rows += [unary(load, 32) for load in loads.RANGES]
    rows.append(("watch 1000 streams x 1", lambda e: loads.run_watch(e, seconds)))
    return rows


async def _compare(
    ours: ClusterProcesses, etcd: ClusterProcesses, pairs: int, seconds: float
) -> None:
    for cluster in (ours, etcd):
        await loads.fill(cluster.endpoints)
    print(
        f"{'load':34}{'etcd/s':>9}{'ours/s':>9}{'rate':>7}{'cpu':>7}"
        f"{'etcd p50/p99 ms':>18}{'ours p50/p99 ms':>18}",
        flush=True,
    )
    for name, measure in _rows(seconds):
        results = [
            (await _measure(etcd, measure), await _measure(ours, measure)) for _ in range(pairs)
        ]
        _print_row(name, results)
    for label, cluster in (("etcd", etcd), ("ours", ours)):
        sizes = ", ".join(f"{observe.rss_mib(member.pid):.0f}" for member in cluster.members)
        print(f"RSS of {label}'s members: {sizes} MiB")


async def _measure(cluster: ClusterProcesses, measure: Measure) -> tuple[Outcome, float]:
    """The outcome, and CPU microseconds of all members per completion."""
    before = sum(observe.cpu_seconds(member.pid) for member in cluster.members)
    outcome = await measure(cluster.endpoints)
    used = sum(observe.cpu_seconds(member.pid) for member in cluster.members) - before
    return outcome, used


def _print_row(
    name: str, results: list[tuple[tuple[Outcome, float], tuple[Outcome, float]]]
) -> None:
    median = statistics.median
    etcd = [outcome for (outcome, _), _ in results]
    ours = [outcome for _, (outcome, _) in results]
    rate = median(o.rate / max(e.rate, 1e-9) for e, o in zip(etcd, ours, strict=True))
    cpu = median(
        (used_o / max(o.rate, 1e-9)) / max(used_e / max(e.rate, 1e-9), 1e-12)
        for (e, used_e), (o, used_o) in results
    )
    notes = ""
    if max(o.generator_cpu for o in etcd + ours) > _GENERATOR_CPU_MAX:
        notes += " generator-bound"
    failures = sum(o.failures for o in etcd), sum(o.failures for o in ours)
    if any(failures):
        notes += f" failures etcd {failures[0]} ours {failures[1]}"

    def latency(outcomes: list[Outcome]) -> str:
        p50, p99 = median(o.p50_ms for o in outcomes), median(o.p99_ms for o in outcomes)
        return f"{p50:.1f}/{p99:.1f}"

    print(
        f"{name:34}{median(o.rate for o in etcd):9.0f}{median(o.rate for o in ours):9.0f}"
        f"{rate:7.2f}{cpu:7.2f}{latency(etcd):>18}{latency(ours):>18}{notes}",
        flush=True,
    )
