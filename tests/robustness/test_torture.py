"""Bounded runs of the torture; long ones by `python -m kvstore.testing torture --minutes 20`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.testing.processes import ETCD
from kvstore.testing.torture import run as torture
from kvstore.testing.torture.catalog import FAULTS
from kvstore.testing.torture.run import HISTORY_FILE, Plan
from kvstore.testing.torture.scene import missing_for

pytestmark = [
    pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed"),
    pytest.mark.timeout(600),
]
_COMMAND_SECONDS_MAX = 500


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kvstore.testing", *arguments],
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS_MAX,
        check=False,
    )


def test_no_acknowledged_write_is_lost(tmp_path: Path) -> None:
    names = ["kill", "kill-all", "replace"]
    plan = Plan(faults=tuple(FAULTS[name] for name in names), rounds=3, writers=32)
    outcome = torture.run(tmp_path / "cluster", plan, print)
    assert sorted(one.fault for one in outcome.rounds) == names
    assert outcome.verdict.unknown > 0, "whoever kills has clients without an answer"
    assert outcome.verdict.written > 32 * 16
    assert outcome.verdict.operations > 0


def test_a_kept_history_can_be_judged_again(tmp_path: Path) -> None:
    """Loopback or namespaces, whatever the machine allows; the leader is paused or cut off."""
    faults = ["pause", "kill-follower"]
    if not any(map(missing_for, FAULTS["cut-leader"].needs)):
        faults = ["pause", "cut-leader"]
    options = ["--faults", ",".join(faults), "--rounds", "2", "--hold", "2.5"]
    run = command("torture", *options, "--folder", str(tmp_path))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "etcdctl reads what was written" in run.stdout
    history = tmp_path / "cluster" / HISTORY_FILE
    check = command("check", str(history))
    assert check.returncode == 0, check.stdout
    # … and it is not the check that lets everything pass:
    lines = history.read_bytes().splitlines(keepends=True)
    lost = max(n for n, line in enumerate(lines) if line.startswith(b'{"type":"write"'))
    history.write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
    assert command("check", str(history)).returncode == 1


def test_without_its_syncs_a_member_loses_writes_and_that_is_seen() -> None:
    """The negative control of all the rest."""
    why = "; ".join(filter(None, map(missing_for, FAULTS["power-cut"].needs)))
    if why:
        pytest.skip(why)
    run = command("torture", "--remove-sync", "--rounds", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "as it must be without a sync: " in run.stdout


@pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")
def test_etcd_itself_can_be_compared_with(tmp_path: Path) -> None:
    plan = Plan(faults=(FAULTS["kill-all"],), rounds=1, writers=8, program=ETCD)
    outcome = torture.run(tmp_path / "cluster", plan, print)
    assert outcome.verdict.written > 0
