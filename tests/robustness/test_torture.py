"""Bounded runs of the torture; long ones by `python -m kvstore.testing torture --minutes 20`."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvstore.testing.history import ViolationError
from kvstore.testing.processes import ETCD
from kvstore.testing.rigs import claims
from kvstore.testing.rigs.requirements import RigError
from kvstore.testing.torture import run as torture
from kvstore.testing.torture.catalog import FAULTS
from kvstore.testing.torture.run import HISTORY_FILE, Plan
from kvstore.testing.torture.scene import missing_for

pytestmark = [
    pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed"),
    pytest.mark.timeout(600),
]
_COMMAND_SECONDS_MAX = 500
_GONE_SECONDS_MAX = 30
_COPIES_SECONDS_MAX = 120
_POLL_SECONDS = 0.02


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
    assert all(one.evidence for one in outcome.rounds)
    assert not outcome.unproven


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
    assert "an acknowledged write is lost" in run.stdout


@pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")
def test_etcd_itself_can_be_compared_with(tmp_path: Path) -> None:
    plan = Plan(faults=(FAULTS["kill-all"],), rounds=1, writers=8, program=ETCD)
    outcome = torture.run(tmp_path / "cluster", plan, print)
    assert outcome.verdict.written > 0


@pytest.mark.parametrize("is_broken", [False, True])
def test_rigs_that_cannot_be_taken_down_cost_nobody_the_verdict(
    is_broken: bool, tmp_path: Path
) -> None:
    """An image that is a folder by then cannot be deleted; the kernel still has the file."""
    why = "; ".join(filter(None, map(missing_for, FAULTS["power-cut"].needs)))
    if why:
        pytest.skip(why)
    folder, said = tmp_path / "cluster", list[str]()

    def spoil(told: str) -> None:
        said.append(told)
        image = folder / "m1.disk" / "disk.img"
        if not image.is_file():
            return
        image.unlink()
        image.mkdir()
        if is_broken:  # a member that ends unasked breaks a promise
            (victim,) = (p for p in children_of(os.getpid()) if "--name=m2" in command_line(p))
            os.kill(victim, signal.SIGKILL)

    plan = Plan(faults=(FAULTS["power-cut"],), rounds=1)
    wanted, words = (ViolationError, "m2 has ended") if is_broken else (RigError, "Is a directory")
    with pytest.raises(wanted, match=words):
        torture.run(folder, plan, spoil)
    assert any("the rigs could not be taken down" in told for told in said)
    assert any("keys are linearizable" in told for told in said) is not is_broken


class _Command:
    """A run under way."""

    def __init__(self, faults: str, *options: str, temporary: Path) -> None:
        """`temporary`: where it makes its folder."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kvstore.testing", "torture", "--faults", faults, *options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )

    def until_started(self, program: str, count: int) -> list[int]:
        """Process ids, once it has so many children of this name on their command lines."""
        deadline = time.monotonic() + _COMMAND_SECONDS_MAX
        while True:
            pids = [pid for pid in children_of(self.process.pid) if program in command_line(pid)]
            if len(pids) >= count:
                return pids
            assert self.process.poll() is None, "it has ended"
            assert time.monotonic() < deadline, "it never came"
            time.sleep(_POLL_SECONDS)

    def end(self, number: signal.Signals) -> str:
        """What it has said until it ended of this signal."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=_COMMAND_SECONDS_MAX)
        return said


def children_of(pid: int) -> list[int]:
    """Of all its threads."""
    children = list[int]()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # a thread may end meanwhile
            children += map(int, file.read_text().split())
    return children


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""


def left_of(folder: Path, pid: int) -> set[str]:
    """Processes, mounts, loop devices and namespaces of a run in this folder."""
    lines = [*Path("/proc/mounts").read_text().splitlines()]
    loops = Path("/sys/block").glob("loop*/loop/backing_file")
    processes = (
        command_line(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()
    )
    texts = {*lines, *(path.read_text() for path in loops), *processes}
    namespaces = {path.name for path in claims.NAMESPACES.glob(f"*-{pid}-*")}
    return namespaces | {text for text in texts if str(folder) in text}


def left_in_the_end_of(folder: Path, pid: int) -> set[str]:
    """The same, once nobody else holds a copy of a mount: a pod that another test starts has one
    of all that there are, for as long as it runs, and so long the kernel keeps a loop device.
    """
    deadline = time.monotonic() + _COPIES_SECONDS_MAX
    while (left := left_of(folder, pid)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def test_a_run_that_is_killed_leaves_no_member_and_the_next_sweeps_its_rigs(tmp_path: Path) -> None:
    names = ["cut-all", "power-cut", "slow-disk"]
    why = "; ".join(filter(None, (missing_for(need) for n in names for need in FAULTS[n].needs)))
    if why:
        pytest.skip(why)
    run = _Command(",".join(names), "--rounds", "3", temporary=tmp_path)
    members = run.until_started("kvstore", 4)  # and the switch
    assert run.process.stdout is not None
    assert run.process.stdout.readline().startswith("round 1")
    run.end(signal.SIGKILL)
    deadline = time.monotonic() + _GONE_SECONDS_MAX
    while (alive := [pid for pid in members if command_line(pid)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert not alive, "these had lived on"
    assert len(left_of(tmp_path, run.process.pid)) == 3 + 3 + 5, "disks and loops, namespaces"
    claims.sweep()
    assert left_in_the_end_of(tmp_path, run.process.pid) == set()


def test_a_run_that_is_interrupted_leaves_its_history_and_nobody(tmp_path: Path) -> None:
    why = "; ".join(filter(None, map(missing_for, FAULTS["slow-disk"].needs)))
    if why:
        pytest.skip(why)
    run = _Command("slow-disk", "--hold", "3600", temporary=tmp_path)
    run.until_started("strace", 1)
    said = run.end(signal.SIGTERM)
    assert run.process.returncode == 130
    assert "interrupted: nothing was judged" in said
    assert left_in_the_end_of(tmp_path, run.process.pid) == set()
    (history,) = tmp_path.glob(f"*/cluster/{HISTORY_FILE}")
    assert history.stat().st_size > 0
    check = command("check", str(history))
    assert "keys are linearizable" in check.stdout


def test_a_rig_that_breaks_in_mid_run_deletes_no_logs(tmp_path: Path) -> None:
    """Its status is that of a machine that does not allow it; but the work had begun."""
    why = "; ".join(filter(None, map(missing_for, FAULTS["power-cut"].needs)))
    if why:
        pytest.skip(why)
    run = _Command("power-cut", temporary=tmp_path)
    run.until_started("kvstore", 3)
    # Not sooner: a member does not start in a folder that has anything but its own in it.
    while not (found := list(tmp_path.glob("*/cluster/m1.disk/disk/m1.data/identity.json"))):
        assert run.process.poll() is None
        time.sleep(_POLL_SECONDS)
    with found[0].with_name("in-use").open("w"):  # so the power cannot come back
        said, _ = run.process.communicate(timeout=_COMMAND_SECONDS_MAX)
    assert run.process.returncode == 2, said
    assert "busy" in said
    (kept,) = tmp_path.glob("torture-*/cluster")
    assert said.splitlines()[-1] == f"logs and history: {kept}"
    assert (kept / HISTORY_FILE).stat().st_size > 0
    assert (kept / "m1.log").stat().st_size > 0
    assert left_in_the_end_of(tmp_path, run.process.pid) == set()
