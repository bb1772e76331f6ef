"""Whole simulated runs: what they must hold, and that they notice what is broken."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.raft import read_index
from kvstore.raft.state import RaftState
from kvstore.raft.types import ReadState
from kvstore.testing.history import LostWriteError, ViolationError, Write
from kvstore.testing.simulation import command, report, scenario
from kvstore.testing.simulation.workload import LeasedKey, check_leases

SEEDS = 10  # scripts/test runs hundreds by the command
SEEDS_PER_TEST = 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first_seed", range(1, SEEDS + 1, SEEDS_PER_TEST))
def test_no_promise_is_broken_whatever_goes_wrong(first_seed: int) -> None:
    seeds = range(first_seed, first_seed + SEEDS_PER_TEST)
    reports = [scenario.run(seed) for seed in seeds]
    for each in reports:
        assert each.seconds >= 30
        assert each.operations >= 200
        assert each.fault_count >= 5
        assert each.events_watched > 0
    sums = report.total(reports)
    assert sums.elections > 0
    assert sums.snapshots_installed > 0


@pytest.mark.timeout(300)
def test_a_seed_replays_to_the_same_trace_in_another_process() -> None:
    """Hashes of strings, addresses of objects and the real clock must not matter."""
    hashes = set()
    for hash_seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-m", "kvstore.testing", "simulate", "--seed", "7"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        hashes.add(printed.split("trace hash ")[1].split()[0])
    assert len(hashes) == 1


def test_different_seeds_are_different_runs() -> None:
    assert scenario.run(7).trace_hash != scenario.run(8).trace_hash


def test_three_and_five_members_are_drawn() -> None:
    plan = scenario.Plan(seconds_min=0, operations_min=0, faults_min=0)
    assert {scenario.run(seed, plan).members for seed in range(1, 9)} == {3, 5}


def test_a_run_that_did_too_little_is_a_failure() -> None:
    with pytest.raises(scenario.IdleRunError, match="operations"):
        scenario.run(1, scenario.Plan(operations_min=1000, seconds_max=5))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(1, 6))
def test_without_the_sync_a_power_cut_loses_acknowledged_writes(seed: int) -> None:
    """The negative control: a simulation that did not notice this would prove nothing."""
    with pytest.raises(LostWriteError):
        scenario.run(seed, scenario.Plan(is_sync_removed=True))


@pytest.mark.timeout(300)
def test_reads_that_nobody_confirms_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another negative control: a member that reads without asking the leader."""

    def at_once(state: RaftState, _: int, context: int) -> bool:
        state.reads.append(ReadState(context, state.log.applied))
        return True

    monkeypatch.setattr(read_index, "read_index", at_once)
    outcomes = [command.hold(seed) for seed in range(1, 11)]
    assert any("was answered before" in outcome.failure for outcome in outcomes)


def test_a_failed_assertion_in_a_callback_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it ends the process in production."""

    def answer_read(*_: object) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr(RaftState, "answer_read", answer_read)
    with pytest.raises(ViolationError, match="planted"):
        scenario.run(1)


# ---------------------------------------------------------------------- leases


def test_a_lease_lasts_its_time_and_ends() -> None:
    lease = LeasedKey(b"k", 10.0, 3)
    writes = [Write(5, b"k", b"value"), Write(6, b"k", None)]
    check_leases([lease], writes, {5: 10.5, 6: 13.5})
    with pytest.raises(ViolationError, match="has outlived"):
        check_leases([lease], writes[:1], {5: 10.5})
    with pytest.raises(ViolationError, match=r"lasted 2\.500 s"):
        check_leases([lease], writes, {5: 10.5, 6: 12.5})


# ---------------------------------------------------------------------- the command


def said_by(*arguments: str) -> tuple[int, str]:
    """Exit status and output of `simulate`."""
    done = subprocess.run(
        [sys.executable, "-m", "kvstore.testing", "simulate", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.timeout(300)
def test_seeds_run_in_processes_and_are_summed_up() -> None:
    status, text = said_by("--first-seed", "3", "--seeds", "4", "--jobs", "2")
    assert status == 0
    assert "4 of 4 seeds held all promises" in text
    sums = report.total([scenario.run(seed) for seed in range(3, 7)])
    assert text.startswith(report.summary(sums))


@pytest.mark.timeout(300)
def test_a_seed_that_fails_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, **_: object) -> report.Report:
        if seed == 4:
            raise ViolationError("planted")
        return report.Report()

    monkeypatch.setattr(scenario, "run", fail)
    said: list[str] = []
    options = command_line("--first-seed", "3", "--seeds", "3", "--jobs", "1")
    assert command.run(options, said.append) == 1
    assert said[0] == (
        "seed 4: ViolationError: planted\n  repeat: python -m kvstore.testing simulate --seed 4"
    )
    assert said[-1].startswith("2 of 3 seeds held all promises")


def test_many_seeds_in_which_something_never_happens_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario, "run", lambda *_, **__: report.Report())
    said: list[str] = []
    few = command_line("--seeds", str(command.SEEDS_FOR_EVERYTHING - 1), "--jobs", "1")
    many = command_line("--seeds", str(command.SEEDS_FOR_EVERYTHING), "--jobs", "1")
    assert command.run(few, said.append) == 0
    assert command.run(many, said.append) == 1
    assert any("never: elections" in text for text in said)


@pytest.mark.timeout(300)
def test_a_story_is_written(tmp_path: Path) -> None:
    path = tmp_path / "story.html"
    status, text = said_by("--seed", "2", "--story", str(path))
    assert status == 0
    assert "trace hash" in text
    assert "Every promise was held." in path.read_text()
    assert said_by("--seeds", "2", "--story", str(path))[0] == 2


def command_line(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["simulate", *arguments])
