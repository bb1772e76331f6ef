import json
import math
from pathlib import Path

import pytest
import uvloop

from benchmarks import control, control_servers
from benchmarks.control import ControlPlan, ControlReport, all_rows, named, row_report
from benchmarks.control_bars import BARS, ControlBar, Figures
from benchmarks.control_loads import ControlLoads

SMALL = ControlPlan("small", seconds=0.2, lists=1, events=3)


def test_every_bar_belongs_to_a_row() -> None:
    names = [row.name for row in all_rows()]
    assert len(set(names)) == len(names)
    assert set(BARS) <= set(names)


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (Figures(rate=392, p50_ms=12.0, mib=265.0), []),
        (Figures(rate=391, p50_ms=1, mib=1), ["rate 391/s < 392/s"]),
        (Figures(rate=400, p50_ms=12.1, mib=1), ["p50 12.1 ms > 12 ms"]),
        (Figures(rate=400, p50_ms=math.inf, mib=1), ["p50 inf ms > 12 ms"]),
        (Figures(rate=400, p50_ms=1, mib=265.1), ["RSS 265.1 MiB > 265 MiB"]),
        (Figures(rate=400, p50_ms=1, mib=1, failures=2), ["2 failed"]),
        (
            Figures(),
            ["rate 0/s < 392/s", "p50 none > 12 ms", "RSS none > 265 MiB"],
        ),
    ],
)
def test_a_bar_says_what_was_missed(found: Figures, missed: list[str]) -> None:
    assert ControlBar(rate_min=392, p50_ms_max=12, mib_max=265).misses(found) == missed


def test_a_row_below_its_bar_says_so_and_spoils_the_run(tmp_path: Path) -> None:
    [row] = named("create pod, 1 client")
    report = ControlReport(SMALL, "this machine: a test", "2026-01-02T03:04:05+00:00")
    report.rows.append(row_report(row, Figures(rate=392.0, p50_ms=2.0, p99_ms=3.0, cpu_us=9.0)))
    assert not report.is_below
    assert "below" not in control.table_line(report.rows[0])
    report.rows.append(row_report(row, Figures(rate=300.0, generator_cpu=0.95)))
    line = control.table_line(report.rows[1])
    assert line.endswith("below (rate 300/s < 392/s)  generator-bound")
    assert report.is_below
    report.write_json(tmp_path / "report.json")
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [one["below"] for one in rows] == [[], ["rate 300/s < 392/s"]]
    assert rows[0]["bar"]["rate_min"] == 392


def test_the_head_stands_above_its_columns() -> None:
    found = Figures(rate=1.0, p50_ms=1.0, p99_ms=1.0, cpu_us=1.0, mib=1.0)
    line = control.table_line(row_report(named("patch status, 1 client")[0], found))
    assert len(line) == len(control.table_head())


def test_loads_find_what_they_ask_for_on_real_servers(tmp_path: Path) -> None:
    async def measure(servers: control_servers.Servers) -> dict[str, Figures]:
        loads = ControlLoads(servers, pods=30)
        await loads.prepare()
        await loads.fill()
        rows = [row for row in all_rows() if row.measure and "1000" not in row.name]
        return {row.name: await row.measure(loads, SMALL) for row in rows if row.measure}

    with control_servers.running(tmp_path) as servers:
        found = uvloop.run(measure(servers))
    assert {name: one.failures for name, one in found.items()} == dict.fromkeys(found, 0)
    assert all(one.rate for one in found.values())
