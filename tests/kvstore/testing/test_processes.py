"""Member processes: where they run, with which flags, and how their end is noticed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvstore.testing.processes import ClusterProcesses, MemberProcess

_TELL = "import os, sys; print(os.environ['MEMBER_COLOR'], *sys.argv[1:], sep='\\n')"
_WAIT = "import signal; print('begun', flush=True); signal.pause()"
_ENDED_SECONDS_MAX = 60
_POLL_SECONDS = 0.01


def test_a_member_may_have_an_address_a_prefix_and_an_environment_of_its_own(
    tmp_path: Path,
) -> None:
    member = MemberProcess((sys.executable, "-c", _TELL), "m1", tmp_path)
    member.address, member.client_port, member.peer_port = "10.1.2.3", 2379, 2380
    member.command_prefix = ("/usr/bin/env", "MEMBER_SHAPE=round")
    member.environment = {"MEMBER_COLOR": "red"}
    member.data_folder = tmp_path / "elsewhere"
    member.start("m1=http://10.1.2.3:2380")
    assert member.ends_within(_ENDED_SECONDS_MAX)
    color, *flags = member.log_path.read_text().splitlines()
    assert color == "red"
    assert "--advertise-client-urls=http://10.1.2.3:2379" in flags
    assert "--listen-peer-urls=http://10.1.2.3:2380" in flags
    assert f"--data-dir={tmp_path}/elsewhere" in flags
    assert member.command("")[:2] == ["/usr/bin/env", "MEMBER_SHAPE=round"]


def test_a_member_that_runs_has_not_ended(tmp_path: Path) -> None:
    member = MemberProcess((sys.executable, "-c", _WAIT), "m1", tmp_path)
    member.start("")
    try:
        assert not member.ends_within(0.01)
        assert member.exit_status is None
    finally:
        assert member.kill() == -signal.SIGKILL
    assert member.exit_status is None, "it was told to end"
    assert member.kill() == member.stop() == 0, "there is nobody left"


def test_an_end_that_nobody_asked_for_is_told(tmp_path: Path) -> None:
    member = MemberProcess((sys.executable, "-c", "raise SystemExit(3)"), "m1", tmp_path)
    for end in (member.kill, member.stop):
        member.start("")
        assert member.ends_within(_ENDED_SECONDS_MAX)
        assert member.exit_status == 3
        assert end() == 3


def test_a_cluster_tells_who_had_ended_before_it_was_killed(tmp_path: Path) -> None:
    cluster = ClusterProcesses((sys.executable, "-c", _WAIT), tmp_path, count=3)
    for member in cluster.members:
        cluster.start_member(member)
    cluster.members[1].signal(signal.SIGTERM)
    assert cluster.members[1].ends_within(_ENDED_SECONDS_MAX)
    assert cluster.kill() == [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGKILL]


def test_the_log_of_a_life_begins_with_its_start(tmp_path: Path) -> None:
    member = MemberProcess((sys.executable, "-c", _TELL), "m1", tmp_path)
    for color in ("red", "blue"):
        member.environment = {"MEMBER_COLOR": color}
        member.start("")
        assert member.ends_within(_ENDED_SECONDS_MAX)
        assert member.log().splitlines()[0] == color
        member.kill()
    assert member.log_path.read_text().splitlines()[0] == "red"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ENDED_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(_POLL_SECONDS)


def test_a_paused_member_is_one_that_the_kernel_has_stopped(waiting: MemberProcess) -> None:
    assert not waiting.is_paused
    waiting.pause()
    until(lambda: waiting.is_paused)
    waiting.resume()
    until(lambda: not waiting.is_paused)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[MemberProcess]:
    """A process that does nothing, and has begun with it."""
    member = MemberProcess((sys.executable, "-c", _WAIT), "m1", tmp_path)
    member.start("")
    until(lambda: "begun" in member.log())
    yield member
    member.kill()


_START_AND_DIE = """
import os, signal, sys, time
from pathlib import Path
from kvstore.testing.processes import DIES_WITH_STARTER, MemberProcess
member = MemberProcess((sys.executable, "-c", sys.argv[1]), "m1", Path(sys.argv[2]))
member.command_prefix = DIES_WITH_STARTER if sys.argv[3] == "yes" else ()
member.start("")
while "begun" not in member.log():
    time.sleep(0.01)
print(member.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("dies", ["yes", "no"])
def test_a_member_may_die_with_whoever_started_it(tmp_path: Path, dies: str) -> None:
    starter = subprocess.run(
        [sys.executable, "-c", _START_AND_DIE, _WAIT, str(tmp_path), dies],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_ENDED_SECONDS_MAX,
        check=False,
    )
    assert starter.returncode == -signal.SIGKILL
    member = int(starter.stdout)
    try:
        if dies == "yes":
            until(lambda: not is_alive(member))
        else:
            assert is_alive(member)
    finally:
        if is_alive(member):
            os.kill(member, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"  # dead; nobody has asked what of


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_member_starts_again_with_the_flags_that_its_folder_was_made_with(
    tmp_path: Path, is_replaced: bool
) -> None:
    """A member refuses a folder that other flags have made."""
    program = (sys.executable, "-c", "import sys; print(*sys.argv[1:])")
    cluster = ClusterProcesses(program, tmp_path, count=2)
    first, second = cluster.members
    for member in cluster.members:
        cluster.start_member(member)
        assert member.ends_within(_ENDED_SECONDS_MAX)
    if is_replaced:
        cluster.leave(second)
        new = cluster.new_member("m3")
        cluster.join(new)
        assert new.ends_within(_ENDED_SECONDS_MAX)
    cluster.start_member(first)
    assert first.ends_within(_ENDED_SECONDS_MAX)
    once, again = first.log_path.read_text().splitlines()
    assert once == again
    assert "m2=" in again
