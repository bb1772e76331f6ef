import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks import observe, open_loop, store
from benchmarks.bars import BARS
from benchmarks.report import Report, row_report
from benchmarks.rows import FULL, QUICK, Plan, all_rows, named
from benchmarks.store import Choice
from kvstore.testing.processes import ETCD
from tests.benchmarks import made_up
from tests.benchmarks.made_up import outcome

BRIEF = Plan("brief", pairs=1, seconds=0.3, mixed_seconds=0.3)
needs_etcd = pytest.mark.skipif(shutil.which(ETCD[0]) is None, reason="etcd is not installed")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["scripts/bench", "store", *arguments])
    return entry.main()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Choice, Plan]]:
    """What the command line would have run; nothing runs."""
    calls: list[tuple[Choice, Plan]] = []
    slow_row = row_report(named("put 256 B, 1 client")[0], [(outcome(1_000), outcome(500))])

    def run(choice: Choice, plan: Plan, machine: str) -> Report:
        calls.append((choice, plan))
        return made_up.report(slow_row)

    monkeypatch.setattr(store, "run", run)
    monkeypatch.setattr(observe, "machine", lambda: "this machine: a test")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    return calls


def test_a_quick_run_of_all_is_the_default(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[Choice, Plan]]
) -> None:
    assert _run(monkeypatch) == 0
    [(choice, plan)] = ran
    assert [row.name for row in choice.rows] == [row.name for row in all_rows()]
    assert choice.peer
    assert choice.has_syncs
    assert plan == QUICK


def test_plans_measure_as_long_and_often_as_announced() -> None:
    assert (QUICK.pairs, FULL.pairs) == (3, 5)
    assert QUICK.seconds >= 1.5
    assert FULL.seconds >= 10
    assert FULL.mixed_seconds >= 60


def test_only_some_rows_are_run(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[Choice, Plan]]
) -> None:
    assert _run(monkeypatch, "--full", "--only", "PySyncObj put") == 0
    [(choice, plan)] = ran
    assert choice.rows == []
    assert [load.clients for load in choice.peer] == [1, 32, 500]
    assert not choice.has_syncs
    assert plan == FULL


def test_a_run_below_a_bar_ends_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = named("put 256 B, 1 client")[0]
    below = row_report(row, [(outcome(1_000), outcome(500))], BARS[row.name])
    monkeypatch.setattr(store, "run", lambda *_: made_up.report(below))
    monkeypatch.setattr(observe, "machine", lambda: "this machine: a test")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    path = tmp_path / "report.json"
    assert _run(monkeypatch, "--json", str(path)) == 1
    assert json.loads(path.read_text())["rows"][0]["below"] == ["rate 0.50 < 1.2"]


def test_what_is_missing_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ran: list[tuple[Choice, Plan]],
) -> None:
    def no_module(name: str) -> None:
        raise ModuleNotFoundError(name="matplotlib")

    assert _run(monkeypatch, "--only", "no such row") == 2
    assert _run(monkeypatch, "--json", "no/such/folder/report.json") == 2
    monkeypatch.setattr(importlib, "import_module", no_module)
    assert _run(monkeypatch, "--plot", "plot.png") == 2
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert _run(monkeypatch) == 2
    assert ran == []
    told = capsys.readouterr().err.splitlines()
    assert ["no such row" in told[0], "no/such/folder" in told[1]] == [True, True]
    assert "matplotlib" in told[2]
    assert "etcd is not installed" in told[3]


@needs_etcd
def test_both_systems_are_measured_and_all_of_it_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["put 256 B, 32 clients", "watch 10 streams x 100", "mixed, 2000/s open loop"]
    rows = [row for name in wanted for row in named(name) if row.name == name]
    monkeypatch.setattr(open_loop, "RATE", 100)  # any machine does so much
    report = store.run(Choice(rows, [], has_syncs=True), BRIEF, "a test")
    path = tmp_path / "report.json"
    report.write_json(path)
    found = json.loads(path.read_text())
    assert [row["name"] for row in found["rows"]] == wanted
    for row in found["rows"]:
        for one in (*row["etcd"], *row["ours"]):
            assert one["failures"] == 0, row
            assert one["completions"] > 0, row
            assert one["seconds"] > 0, row
            assert one["p50_ms"] <= one["p99_ms"], row
    if not found["syncs_note"]:
        assert all(sum(count["calls"].values()) > 0 for count in found["syncs"])
    assert {system: len(sizes) for system, sizes in found["rss_mib"].items()} == {
        "etcd": 3,
        "ours": 3,
    }


async def test_the_peer_is_measured(tmp_path: Path) -> None:
    peer = pytest.importorskip("benchmarks.pysyncobj_peer")
    pytest.importorskip("pysyncobj", reason="pysyncobj is not installed")
    measured = [row async for row in peer.run(peer.LOADS[1:5:3], BRIEF, tmp_path)]
    assert [row.name for row in measured] == [load.name for load in peer.LOADS[1:5:3]]
    for row in measured:
        assert row.medians.rate > 0
        assert sum(one.failures for one in row.outcomes) == 0
