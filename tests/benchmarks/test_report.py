import json
from pathlib import Path

import pytest

from benchmarks import report as reporting
from benchmarks.bars import Bar
from benchmarks.outcome import Outcome
from benchmarks.report import PeerRow, RowReport, SyncCount, medians, row_report
from benchmarks.rows import named
from tests.benchmarks.made_up import outcome, report

PUT = named("put 256 B, 32 clients")[0]
BAR = Bar(rate_min=1.8, cpu_max=0.5)


def _row(*pairs: tuple[Outcome, Outcome], bar: Bar = BAR) -> RowReport:
    return row_report(PUT, list(pairs), bar)


def test_a_ratio_is_the_median_of_the_pairs_not_the_ratio_of_medians() -> None:
    row = _row(
        (outcome(100), outcome(200)),
        (outcome(1_000), outcome(3_000)),
        (outcome(500), outcome(5_000)),
    )
    assert row.ratios.rate == 3.0
    assert (row.medians_etcd.rate, row.medians_ours.rate) == (500, 3_000)


def test_a_row_that_reaches_its_bar_does_not_print_below() -> None:
    row = _row((outcome(1_000, cpu_us=100), outcome(1_800, cpu_us=50)))
    assert row.below == []
    assert "below" not in reporting.table_line(row)
    assert not report(row).is_below


def test_a_row_below_its_bar_says_so_and_spoils_the_run() -> None:
    row = _row((outcome(1_000, cpu_us=100), outcome(1_700, cpu_us=60)))
    assert "below (rate 1.70 < 1.8, cpu 0.60 > 0.5)" in reporting.table_line(row)
    assert report(row).is_below


@pytest.mark.parametrize("side", [0, 1])
def test_a_busy_generator_in_one_measurement_marks_the_row(side: int) -> None:
    pair = [outcome(), outcome(2_000, cpu_us=1)]
    pair[side] = outcome(2_000, cpu_us=1, generator_cpu=0.9)
    row = _row((outcome(), outcome(2_000)), (pair[0], pair[1]))
    assert "generator-bound" in reporting.table_line(row)


def test_failures_are_printed() -> None:
    row = _row((outcome(failures=2), outcome()), (outcome(failures=1), outcome(failures=4)))
    assert "failures etcd 3, ours 4" in reporting.table_line(row)


def test_a_system_that_answers_nothing_reaches_no_bar() -> None:
    row = _row((outcome(0), outcome(1_000)))
    assert row.below
    row = _row((outcome(1_000), outcome(0, p99_ms=float("inf"))), bar=Bar(p99_max=1.0))
    assert row.below


def test_the_head_stands_above_its_columns() -> None:
    row = _row((outcome(), outcome(2_000, cpu_us=10)))
    assert len(reporting.table_head()) == len(reporting.table_line(row))


def test_json_holds_every_measurement_and_what_follows_from_it(tmp_path: Path) -> None:
    whole = report(_row((outcome(1_000), outcome(500))))
    whole.peer.append(PeerRow("PySyncObj put", 1, [outcome()], medians([outcome()]), False))
    whole.syncs.append(SyncCount("etcd", 1, 100, {"fdatasync": 250, "fsync": 0}))
    whole.rss_mib["ours"] = [40.0, 41.5, 42.0]
    path = tmp_path / "report.json"
    whole.write_json(path)
    found = json.loads(path.read_text())
    assert found["machine"] == "this machine: a test"
    assert found["versions"] == {"etcd": "3.4.23"}
    assert found["began"] < found["ended"]
    [row] = found["rows"]
    assert (row["name"], row["clients"]) == ("put 256 B, 32 clients", 32)
    assert [one["rate"] for one in row["etcd"] + row["ours"]] == [1_000, 500]
    assert row["medians_ours"]["rate"] == 500
    assert row["ratios"]["rate"] == 0.5
    assert row["bar"] == {"rate_min": 1.8, "cpu_max": 0.5, "p99_max": None}
    assert len(row["below"]) == 2
    assert found["peer"][0]["outcomes"][0]["completions"] == 1_000
    assert found["syncs"][0]["calls"]["fdatasync"] == 250
    assert found["rss_mib"]["ours"] == [40.0, 41.5, 42.0]


def test_syncs_are_told_by_put() -> None:
    line = reporting.sync_line(SyncCount("ours", 1, 100, {"fdatasync": 300, "fsync": 2}))
    assert "3.02 a put" in line
    assert "300 fdatasync and 2 fsync" in line
