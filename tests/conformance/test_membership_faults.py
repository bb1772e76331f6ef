"""Changes of the membership while members stand still, die, or come back that have no right to."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvstore.pb.rpc_pb2 import MemberAddRequest
from kvstore.testing.processes import ClusterProcesses
from tests.conformance.client import Refused
from tests.conformance.conftest import PATIENCE, StartCluster
from tests.conformance.membership import (
    CLUSTER,
    PASSING,
    TIMED_OUT,
    Changes,
    Connect,
    ends,
    wait_until,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def trio(start_cluster: StartCluster) -> ClusterProcesses:
    return start_cluster(members=3, flags=PATIENCE)


@pytest.fixture
def changes(trio: ClusterProcesses, connect: Connect) -> Changes:
    return Changes(trio, connect)


def test_of_two_additions_at_once_each_is_made_whole_or_refused(
    changes: Changes, connect: Connect
) -> None:
    """Asked of two members at the same moment; the cluster takes one change at a time."""
    before = set(changes.list())
    askers = [connect(member.endpoint) for member in changes.processes.members[:2]]
    urls = [f"http://127.0.0.1:{port}" for port in (9, 11)]

    def add(number: int) -> bool | None:
        """Whether it was added; None: nobody can tell from the answer."""
        request = MemberAddRequest(peerURLs=[urls[number]])
        try:
            askers[number].unary(f"{CLUSTER}/MemberAdd", request)
        except Refused as refusal:
            # etcd drops a change that meets another one on its way, and never answers.
            if refusal.text in (TIMED_OUT, "Deadline Exceeded"):
                return None
            if refusal.text not in PASSING:
                raise
            return False
        return True

    # etcd wants connections of some seconds before it takes anybody in.
    changes.remove(changes.add("http://127.0.0.1:13").ID)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(add, range(2)))
    made = {url for url, is_added in zip(urls, outcomes, strict=True) if is_added}
    # etcd 3.4 lists what the member that is asked has applied: another one took the request.
    wait_until(lambda: made <= set(changes.list()), "a member that was added is not listed")
    now = set(changes.list())
    assert now - before <= set(urls)
    assert before <= now
    for url, is_added in zip(urls, outcomes, strict=True):
        assert is_added in (None, url in now), url
    assert set(outcomes) != {False}, "one of them was first"


def test_a_member_that_was_removed_does_not_come_back(changes: Changes) -> None:
    leader = changes.processes.leader()
    removed = next(m for m in changes.processes.members[1:] if m is not leader)
    changes.remove(changes.list()[removed.peer_url].ID)
    ends(removed)
    for _ in range(2):
        removed.stop()
        said_before = len(removed.log_path.read_bytes())
        changes.processes.start_member(removed)
        ends(removed)
        # Not its last lines only: etcd says why, and then much more on its way out.
        assert b"removed" in removed.log_path.read_bytes()[said_before:]
    assert removed.peer_url not in changes.list()
    changes.processes.wait_ready([m for m in changes.processes.members if m is not removed])
    changes.client.put(b"after-the-return", b"v")


def test_whoever_stands_still_is_removed_without_being_asked(changes: Changes) -> None:
    """The change needs the others only; the one that stood still learns of it when it goes on."""
    leader = changes.processes.leader()
    still = next(m for m in changes.processes.members[1:] if m is not leader)
    member_id = changes.list()[still.peer_url].ID
    still.pause()
    changes.remove(member_id)
    changes.client.put(b"without-it", b"v")
    still.signal(signal.SIGCONT)
    ends(still)


def test_a_change_survives_the_death_of_all(changes: Changes, connect: Connect) -> None:
    """All are killed between the addition and the newcomer's start."""
    process = changes.processes.new_member("m4")
    changes.add(process.peer_url)
    members = list(changes.processes.members)
    changes.processes.kill()
    for member in members:
        changes.processes.start_member(member)
    changes.processes.wait_ready(members)
    assert process.peer_url in changes.list()
    changes.client.put(b"before-it-joins", b"v")
    changes.processes.join(process)
    wait_until(lambda: changes.list()[process.peer_url].name == "m4", "m4 does not join")
    found = connect(process.endpoint).range(b"before-it-joins")
    assert found.kvs[0].value == b"v"
