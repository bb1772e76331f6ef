"""The command line of the torture, and its list of faults. Runs are in tests/robustness."""

from pathlib import Path
from random import Random

import pytest

from kvstore.errors import ConfigError
from kvstore.server.points import ALL_POINTS, NODE_POINTS
from kvstore.testing.__main__ import main
from kvstore.testing.torture import readback
from kvstore.testing.torture import run as torture
from kvstore.testing.torture.catalog import FAULTS
from kvstore.testing.torture.failpoints import JOIN_POINTS, RUNNING_POINTS
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import Need


def test_the_list_names_every_fault_and_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["torture", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FAULTS)
    assert all(len(line.split()) > 2 for line in lines)


def test_an_unknown_fault_is_refused_with_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["torture", "--faults", "kill,earthquake"]) == 2
    told = capsys.readouterr().out
    assert "there is no fault 'earthquake'" in told
    assert "power-cut" in told


def test_failpoints_are_for_our_members_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["torture", "--members", "etcd", "--faults", "kill,failpoint"]) == 2
    assert "failpoint is for our members only" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--minutes", "-1"], ["--hold", "nan"]])
def test_a_number_that_makes_no_sense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["torture", *arguments])
    assert caught.value.code == 2


def test_without_etcdctl_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt-get install etcd-client"):
        readback.require_etcdctl()


def test_a_machine_that_allows_none_of_the_faults_is_told_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No program at all is found on an empty path, whoever runs this."""
    monkeypatch.setenv("PATH", str(tmp_path))
    possible, not_run = torture.possible([FAULTS["kill"], FAULTS["cut-all"], FAULTS["slow-disk"]])
    assert [fault.name for fault in possible] == ["kill"]
    assert set(not_run) == {"cut-all", "slow-disk"}
    with pytest.raises(ConfigError, match="no fault can be had here: cut-all: "):
        torture.possible([FAULTS["cut-all"]])


def test_all_faults_take_their_turn_in_an_order_of_the_seed() -> None:
    faults = list(FAULTS.values())
    turns = torture.in_turn(faults, Random(1))
    first = [next(turns) for _ in faults]
    second = [next(turns) for _ in faults]
    assert sorted(f.name for f in first) == sorted(f.name for f in second) == sorted(FAULTS)
    assert first != second
    again = torture.in_turn(faults, Random(1))
    assert [next(again) for _ in faults] == first


def test_every_failpoint_has_its_turn_and_each_name_is_a_point() -> None:
    assert set(RUNNING_POINTS) | set(JOIN_POINTS) == {*ALL_POINTS, *NODE_POINTS}
    assert not set(RUNNING_POINTS) & set(JOIN_POINTS)


class _Made(Fault):
    name = "made"
    terms_max = 1
    catch_up_seconds_max = 10.0


def test_bounds_of_a_fault_that_were_not_kept_are_told() -> None:
    kept = torture.broken(_Made(), unavailable_seconds=5.0, terms=1, lag_seconds=10.0)
    assert kept == ""
    told = torture.broken(_Made(), unavailable_seconds=5.1, terms=2, lag_seconds=11.0)
    assert told.split("; ") == [
        "it did not serve within 5.0 s",
        "2 new terms, at most 1 may come of it",
        "a member had not caught up after 10.0 s",
    ]


def test_a_leader_that_is_none_must_step_down_in_time() -> None:
    fault = _Made()
    fault.note_step_down(1.9)
    assert (fault.detail, fault.broken) == (" (stepped down after 1.90 s)", [])
    fault.note_step_down(2.1)
    assert torture.broken(fault, unavailable_seconds=0.1, terms=0, lag_seconds=0.0) == (
        "it did not step down within 2.0 s"
    )


def test_faults_that_touch_the_machine_say_what_they_need() -> None:
    assert FAULTS["kill"].needs == frozenset()
    assert FAULTS["cut-one-way"].needs == {Need.NETWORKS}
    assert Need.DISKS in FAULTS["power-cut"].needs
