"""Member processes: where they run, with which flags, and how their end is noticed."""

import sys
from pathlib import Path

import pytest

from kvstore.testing.processes import ClusterProcesses, MemberProcess

_TELL = "import os, sys; print(os.environ['MEMBER_COLOR'], *sys.argv[1:], sep='\\n')"
_ENDED_SECONDS_MAX = 60


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
    waits = "import signal; signal.pause()"
    member = MemberProcess((sys.executable, "-c", waits), "m1", tmp_path)
    member.start("")
    try:
        assert not member.ends_within(0.01)
    finally:
        member.kill()


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
