"""Whole runs: PySyncObj is caught, and not by what the control itself does."""

import logging
import os
import subprocess
import sys

import pysyncobj.journal
import pysyncobj.serializer
import pysyncobj.syncobj
import pytest

from kvstore.server.points import ALL_POINTS
from kvstore.testing.pysyncobj import hunt, scenario
from kvstore.testing.pysyncobj.__main__ import main
from kvstore.testing.pysyncobj.cluster import ControlCluster
from kvstore.testing.pysyncobj.member import ControlMember
from kvstore.testing.pysyncobj.moments import MOMENT_OF
from kvstore.testing.pysyncobj.scenario import Plan

SEEDS_MAX = 20  # within which it is caught; the promise is 1,000
KILLED_SEEDS_MAX = 100  # and where nothing that was written is lost


@pytest.mark.parametrize("loss", [0.0, 0.01])
@pytest.mark.parametrize("seed", range(1, 7))
def test_without_faults_its_history_passes(seed: int, loss: float) -> None:
    """The control of the control. Loss alone is no fault either: it is TCP's to mend."""
    report = scenario.run(seed, Plan(has_faults=False, loss=loss))
    assert report.findings == ()
    assert report.operations >= 200
    assert report.seconds >= 30
    assert not report.crashes
    assert report.unknown <= report.operations * loss * 4


@pytest.mark.timeout(120)
@pytest.mark.parametrize("first_seed", [1, 100_001])
def test_it_is_caught_soon(first_seed: int) -> None:
    catch = hunt.first_caught(first_seed, SEEDS_MAX)
    assert catch is not None
    assert first_seed <= catch.seed < first_seed + SEEDS_MAX
    assert catch.text.startswith(("lost write: ", "states differ: ", "not linearizable: "))


@pytest.mark.timeout(120)
def test_it_is_caught_even_if_no_power_cut_loses_what_it_wrote() -> None:
    """It does not only lack syncs."""
    assert hunt.first_caught(1, KILLED_SEEDS_MAX, Plan(is_power_kept=True)) is not None


def test_nothing_is_caught_where_nothing_is_wrong() -> None:
    assert hunt.first_caught(1, 2, Plan(has_faults=False, loss=0.0)) is None


def test_a_run_is_as_long_and_as_faulty_as_ours() -> None:
    report = scenario.run(2)
    assert report.operations >= 200
    assert report.seconds >= 30
    assert sum(report.faults.values()) >= 5
    assert report.crashes


def test_a_seed_repeats_itself() -> None:
    assert scenario.run(2) == scenario.run(2)


def test_different_seeds_are_different_runs() -> None:
    assert scenario.run(2).trace_hash != scenario.run(4).trace_hash


@pytest.mark.timeout(120)
def test_a_seed_repeats_itself_in_another_process() -> None:
    """Hashes of strings, addresses of objects and the real clock must not matter."""
    program = "from kvstore.testing.pysyncobj import scenario; print(scenario.run(2))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert printed == {f"{scenario.run(2)}\n"}


def test_each_of_our_points_is_a_moment_that_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a trap would never snap, and the control be kinder than it says."""
    assert set(MOMENT_OF) == set(ALL_POINTS)
    clusters: list[ControlCluster] = []

    class Remembered(ControlCluster):
        def leader(self) -> ControlMember | None:
            clusters.append(self)
            return super().leader()

    monkeypatch.setattr(scenario, "ControlCluster", Remembered)
    missing = set(MOMENT_OF.values())
    for seed in range(1, 11):
        scenario.run(seed)
        missing -= {moment for member in clusters[-1].members for moment in member.passed}
        if not missing:
            return
    raise AssertionError(f"never passed: {missing}")


# ---------------------------------------------------------------------- what a run leaves behind


def doors() -> list[object]:
    journal, serializer, syncobj = pysyncobj.journal, pysyncobj.serializer, pysyncobj.syncobj
    return [
        *(syncobj.monotonicTime, syncobj.random, syncobj.time, syncobj.os),
        *(journal.os, journal.mmap, journal.shutil, journal.__dict__.get("open")),
        *(serializer.gzip, serializer.atomicReplace, serializer.__dict__.get("open")),
        *(logging.getLogger("pysyncobj").handlers, logging.getLogger("pysyncobj").propagate),
    ]


def test_pysyncobj_is_as_before_after_a_run() -> None:
    before = doors()
    scenario.run(1, Plan(has_faults=False, seconds_min=1, operations_min=1))
    assert doors() == before


def test_pysyncobj_is_as_before_after_a_run_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error outside of its code is no finding: it fails the run."""

    def answer_wrongly(*_: object) -> None:
        raise RuntimeError("planted")

    before = doors()
    monkeypatch.setattr(scenario, "judge", answer_wrongly)
    with pytest.raises(RuntimeError, match="planted"):
        scenario.run(1, Plan(has_faults=False, seconds_min=1, operations_min=1))
    assert doors() == before


# ---------------------------------------------------------------------- the command


def test_the_command_prints_findings_and_says_by_its_status_whether_it_was_caught() -> None:
    catch = hunt.first_caught(1, SEEDS_MAX)
    assert catch is not None
    said: list[str] = []
    assert main(["--first-seed", str(catch.seed), "--seeds", "1"], said.append) == 0
    assert said[0].startswith(f"seed {catch.seed}: {catch.text}"[:100])
    assert said[-1].startswith("1 of 1 seeds caught PySyncObj 0.3.17")


def test_the_command_fails_when_it_was_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    report = scenario.run(1, Plan(has_faults=False, seconds_min=1, operations_min=1))
    monkeypatch.setattr(scenario, "run", lambda *_: report)
    said: list[str] = []
    assert main(["--seeds", "3"], said.append) == 1
    assert said[-1].startswith("0 of 3 seeds caught")


@pytest.mark.parametrize(
    ("planted", "wanted"),
    [
        ("sys.modules['pysyncobj'] = None", "needs PySyncObj: pip install pysyncobj==0.3.17"),
        ("import pysyncobj.version; pysyncobj.version.VERSION = '0.4'", "this is 0.4: pip install"),
    ],
)
def test_a_missing_or_another_pysyncobj_is_named(planted: str, wanted: str) -> None:
    program = f"import sys; {planted}; import kvstore.testing.pysyncobj"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert wanted in done.stderr
