import asyncio
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import uvloop

from benchmarks import (
    control,
    control_cluster,
    control_footprint,
    control_hollow,
    control_report,
    control_requests,
    control_servers,
    control_starts,
    observe,
)
from benchmarks.control import STAGES, named
from benchmarks.control_bars import BARS, ControlBar, Figures
from benchmarks.control_cluster import LAUNCHER, MEMBERS, Cluster, schedulable
from benchmarks.control_footprint import ALL
from benchmarks.control_loads import ControlLoads
from benchmarks.control_pods import Arrivals, Namespace
from benchmarks.control_report import ControlReport, row_report

SMALL = msgspec.structs.replace(
    control_report.QUICK, name="small", seconds=0.2, lists=1, events=3, placements=20
)


def test_every_bar_belongs_to_a_row() -> None:
    names = named("")
    assert len(set(names)) == len(names)
    assert set(BARS) <= set(names)


def test_a_text_chooses_rows_of_all_stages() -> None:
    chosen = named("idle")
    assert "RSS idle" in chosen
    assert "idle, scheduler" in chosen
    assert all("idle" in name for name in chosen)


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (Figures(rate=392, p50_ms=12.0, mib=265.0, seconds=3.0, p99_ms=99.0), []),
        (
            Figures(rate=391, p50_ms=1, mib=1, seconds=1, p99_ms=1),
            ["rate 391/s < 392/s"],
        ),
        (
            Figures(rate=400, p50_ms=12.1, mib=1, seconds=1, p99_ms=1),
            ["p50 12.1 ms > 12 ms"],
        ),
        (
            Figures(rate=400, p50_ms=math.inf, mib=1, seconds=1, p99_ms=1),
            ["p50 inf ms > 12 ms"],
        ),
        (
            Figures(rate=400, p50_ms=1, mib=265.1, seconds=3.1, p99_ms=99.1),
            ["all 3.1 s > 3 s", "p99 99.1 ms > 99 ms", "RSS 265.1 MiB > 265 MiB"],
        ),
        (
            Figures(rate=400, p50_ms=1, mib=1, seconds=1, p99_ms=1, failures=2),
            ["2 failed"],
        ),
        (
            Figures(),
            [
                "rate 0/s < 392/s",
                "all none > 3 s",
                "p50 none > 12 ms",
                "p99 none > 99 ms",
                "RSS none > 265 MiB",
            ],
        ),
    ],
)
def test_a_bar_says_what_was_missed(found: Figures, missed: list[str]) -> None:
    bar = ControlBar(rate_min=392, seconds_max=3, p50_ms_max=12, p99_ms_max=99, mib_max=265)
    assert bar.misses(found) == missed


def test_a_row_below_its_bar_says_so_and_spoils_the_run(tmp_path: Path) -> None:
    [name] = named("create pod, 1 client")
    report = ControlReport(SMALL, "this machine: a test", "2026-01-02T03:04:05+00:00")
    report.rows.append(row_report(name, Figures(rate=392.0, p50_ms=2.0, p99_ms=3.0, cpu_us=9.0)))
    assert not report.is_below
    assert control_report.table_line(report.rows[0]).endswith("  reached")
    report.rows.append(row_report(name, Figures(rate=300.0, generator_cpu=0.95)))
    line = control_report.table_line(report.rows[1])
    assert line.endswith("below (rate 300/s < 392/s)  generator-bound")
    assert report.is_below
    report.write_json(tmp_path / "report.json")
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [one["below"] for one in rows] == [[], ["rate 300/s < 392/s"]]
    assert rows[0]["bar"]["rate_min"] == 392


def test_the_head_stands_above_its_columns() -> None:
    found = Figures(
        rate=1.0, seconds=1.0, p50_ms=1.0, p99_ms=1.0, cpu_us=1.0, cpu_percent=1.0, mib=1.0
    )
    line = control_report.table_line(row_report("a row without a bar", found))
    assert len(line) == len(control_report.table_head())


def test_the_algorithm_alone_places_all(capsys: pytest.CaptureFixture[str]) -> None:
    report = control.run(["place alone, 500 nodes"], SMALL, "this machine: a test")
    [row] = report.rows
    assert row.found.failures == 0
    assert row.found.rate
    assert row.name in capsys.readouterr().out


def test_only_nodes_that_are_ready_and_free_of_taints_count() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    unready = {"conditions": [{"type": "Ready", "status": "False"}]}
    nodes = [
        {"spec": {}, "status": ready},
        {"spec": {"taints": [{"key": "a"}]}, "status": ready},
        {"spec": {}, "status": unready},
        {},
    ]
    assert schedulable(json.dumps({"items": nodes}).encode()) == 1


async def test_arrivals_wait_for_as_many_as_are_asked_for() -> None:
    arrivals = Arrivals()
    waiting = asyncio.ensure_future(arrivals.until(3))
    arrivals.came(2)
    await asyncio.sleep(0)
    assert not waiting.done()
    arrivals.came(2)
    await waiting
    assert len(arrivals.at) == 4


def test_a_child_counts_for_who_started_it_unless_it_is_known_by_itself() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in observe.tree(os.getpid())
        assert child.pid not in observe.tree(os.getpid(), but=[child.pid])
        assert observe.tree(child.pid) == [child.pid]
    finally:
        child.communicate(b"\n")


def test_loads_find_what_they_ask_for_on_real_servers(tmp_path: Path) -> None:
    async def measure(servers: control_servers.Servers) -> dict[str, Figures]:
        loads = ControlLoads(servers, pods=30)
        await loads.prepare()
        await loads.fill()
        rows = [
            row for row in control_requests.all_rows() if row.measure and "1000" not in row.name
        ]
        return {row.name: await row.measure(loads, SMALL) for row in rows if row.measure}

    with control_servers.running(tmp_path) as servers:
        found = uvloop.run(measure(servers))
    assert {name: one.failures for name, one in found.items()} == dict.fromkeys(found, 0)
    assert all(one.rate for one in found.values())


def test_rows_of_whole_clusters_on_a_small_one(tmp_path: Path) -> None:
    """Of three hollow nodes: pods are placed, are made by a Deployment, and start."""

    async def measure(cluster: Cluster) -> list[Figures]:
        await cluster.have_hollow(3)
        async with Namespace.made(cluster.site, "few") as namespace:
            placed = await control_hollow.scheduled(cluster, namespace, 10)
            await namespace.clear()
        deployed = await control_hollow.deployed(cluster, 5)
        started = await control_starts.one_by_one(cluster.site, 2)
        footprint = await control_footprint.of(await cluster.pids(), 0.2)
        assert footprint.keys() >= {MEMBERS, LAUNCHER, "scheduler", "hollow", ALL}
        assert (footprint[ALL].mib or 0.0) > (footprint["scheduler"].mib or 0.0) > 20.0
        return [placed, deployed, started]

    with control_cluster.running(tmp_path, members=1, nodes=0) as cluster:
        placed, deployed, started = uvloop.run(measure(cluster))
    for found in (placed, deployed):
        assert found.rate
        assert found.cpu_us
        assert "scheduler" in found.cpu_us_of
        assert LAUNCHER not in found.cpu_us_of
    assert started.p50_ms
    assert started.p50_ms <= (started.p99_ms or 0.0)


def test_stages_share_no_row() -> None:
    rows = [name for stage in STAGES for name in stage.names]
    assert sorted(rows) == sorted(set(rows))
