"""The command line of the torture, and its list of faults. Runs are in tests/robustness."""

import shutil
from pathlib import Path
from random import Random

import pytest

from kvstore.errors import ConfigError
from kvstore.server.points import ALL_POINTS, NODE_POINTS
from kvstore.testing.__main__ import main
from kvstore.testing.history import LostWriteError, ViolationError
from kvstore.testing.processes import MemberStartError
from kvstore.testing.torture import command, readback
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


@pytest.mark.parametrize(
    ("flag", "number", "bounds"),
    [
        ("--rounds", "0", "a whole number from 1 to 1000000"),
        ("--rounds", "many", "a whole number from 1 to 1000000"),
        ("--minutes", "-1", "a number from 0.1 to 120"),
        ("--minutes", "0.0000001", "a number from 0.1 to 120"),
        ("--minutes", "inf", "a number from 0.1 to 120"),
        ("--minutes", "nan", "a number from 0.1 to 120"),
        ("--hold", "nan", "a number from 0.01 to 3600"),
        ("--hold", "inf", "a number from 0.01 to 3600"),
        ("--hold", "long", "a number from 0.01 to 3600"),
        ("--writers", "-5", "a whole number from 0 to 10000"),
        ("--clients", "100000000", "a whole number from 1 to 1000"),
        ("--snapshot-count", "1.5", "a whole number from 1 to 1000000000"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(
    flag: str, number: str, bounds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["torture", "--list", f"{flag}={number}"])
    assert caught.value.code == 2
    assert f"argument {flag}: '{number}': {bounds}" in capsys.readouterr().err


@pytest.mark.parametrize("numbers", [["--writers=0", "--minutes=120"], ["--hold=3600"]])
def test_a_bound_is_within(numbers: list[str]) -> None:
    assert main(["torture", "--list", *numbers]) == 0


@pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed")
def test_a_used_folder_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    used = tmp_path / "cluster" / "m1.log"
    used.parent.mkdir()
    used.write_text("before")
    assert main(["torture", "--rounds", "1", "--folder", str(tmp_path)]) == 2
    told = capsys.readouterr().out
    assert f"{used.parent} is not empty: remove it, or name another --folder" in told
    assert [path.name for path in used.parent.iterdir()] == ["m1.log"]
    assert used.read_text() == "before"


def test_a_named_fault_must_run_and_a_listed_one_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faults = [FAULTS["kill"], FAULTS["cut-all"]]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert torture.possible(faults)[0] == (FAULTS["kill"],)
    with pytest.raises(ConfigError, match="not every fault can be had here: cut-all: "):
        torture.possible(faults, must_run=True)


@pytest.mark.parametrize(
    ("error", "is_control", "status"),
    [
        (LostWriteError("b'k' = b'v' was acknowledged, and is lost"), True, 0),
        (LostWriteError("b'k' = b'v' was acknowledged, and is lost"), False, 1),
        (ViolationError("no leader for 60 s"), True, 1),
        (ViolationError("no leader for 60 s"), False, 1),
        (MemberStartError("m1 ended"), True, 1),
    ],
)
def test_only_a_lost_write_is_what_the_control_run_is_for(
    error: ViolationError | MemberStartError, is_control: bool, status: int
) -> None:
    found, told = command.judged(error, is_control=is_control)
    assert found == status
    assert told.endswith(f": {error}")
    assert told.startswith("a promise is broken") is bool(status)


def test_a_large_value_is_told_without_its_padding() -> None:
    error = ViolationError(f"b'1.7{'.' * 1_400_000}' was lost...")
    assert command.judged(error, is_control=False)[1].endswith(": b'1.7…' was lost...")


def test_without_etcdctl_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt-get install etcd-client"):
        readback.require_etcdctl()


def test_without_setpriv_it_says_so_before_it_builds_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etcdctl").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["torture", "--rounds", "1", "--folder", str(tmp_path / "run")]) == 2
    assert "setpriv is not installed" in capsys.readouterr().out
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").rglob("*.log"))


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
