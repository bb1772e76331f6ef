"""Cluster.MemberAdd, Remove, Update and Promote, with members that really join and leave."""

from pathlib import Path

import pytest

from kvstore.pb.rpc_pb2 import (
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    StatusRequest,
)
from kvstore.testing.processes import ClusterProcesses
from tests.conformance.client import Client, Refused, refused
from tests.conformance.conftest import PATIENCE, StartCluster
from tests.conformance.membership import CLUSTER, Changes, Connect, ends, wait_until

covers = pytest.mark.covers
pytestmark = pytest.mark.slow

STATUS = "/etcdserverpb.Maintenance/Status"


@pytest.fixture
def trio_of_own(start_cluster: StartCluster) -> ClusterProcesses:
    return start_cluster(members=3, flags=PATIENCE)


@pytest.fixture
def changes(trio_of_own: ClusterProcesses, connect: Connect) -> Changes:
    return Changes(trio_of_own, connect)


@covers(
    "MemberAddRequest.peerURLs",
    "MemberAddRequest.isLearner",
    "MemberPromoteRequest.ID",
    "UNAVAILABLE etcdserver: rpc not supported for learner",
    "FAILED_PRECONDITION etcdserver: too many learner members in cluster",
    "FAILED_PRECONDITION etcdserver: can only promote a learner member",
)
def test_a_learner_joins_serves_old_reads_and_is_promoted(
    changes: Changes, connect: Connect, prefix: bytes
) -> None:
    changes.client.put(prefix, b"v")
    process, member = changes.join("m4", learner=True)
    assert member.isLearner
    assert changes.list()[process.peer_url].isLearner
    learner = connect(process.endpoint)
    wait_until(
        lambda: learner.range(prefix, serializable=True).count == 1, "the learner gets no data"
    )
    assert learner.unary(STATUS, StatusRequest()).isLearner
    for call in (lambda: learner.range(prefix), lambda: learner.put(prefix, b"w")):
        with refused("UNAVAILABLE", "etcdserver: rpc not supported for learner"):
            call()
    with refused("FAILED_PRECONDITION", "etcdserver: too many learner members in cluster"):
        changes.add("http://127.0.0.1:9", learner=True)
    changes.promote(member.ID)
    # By way of the leader: with etcd the member that was asked may be a moment behind.
    wait_until(lambda: not changes.list()[process.peer_url].isLearner, "still listed as a learner")
    wait_until(lambda: not learner.unary(STATUS, StatusRequest()).isLearner, "still a learner")
    learner.put(prefix, b"w")
    with refused("FAILED_PRECONDITION", "etcdserver: can only promote a learner member"):
        changes.promote(member.ID)


@covers(
    "FAILED_PRECONDITION etcdserver: can only promote a learner member which is in sync with leader"
)
def test_a_learner_that_has_not_started_is_not_promoted(changes: Changes, prefix: bytes) -> None:
    changes.client.put(prefix, b"v")
    member = changes.add("http://127.0.0.1:9", learner=True)
    text = "etcdserver: can only promote a learner member which is in sync with leader"
    # As etcd judges it a follower passes the question on; only the leader knows.
    with refused("FAILED_PRECONDITION", text):
        changes.client.unary(f"{CLUSTER}/MemberPromote", MemberPromoteRequest(ID=member.ID))


@covers(
    "MemberRemoveRequest.ID",
    "FAILED_PRECONDITION etcdserver: Peer URLs already exists",
    "NOT_FOUND etcdserver: member not found",
)
def test_a_member_is_added_and_a_removed_one_ends(
    changes: Changes, connect: Connect, prefix: bytes
) -> None:
    changes.client.put(prefix, b"v")
    process, member = changes.join("m4")
    with refused("FAILED_PRECONDITION", "etcdserver: Peer URLs already exists"):
        changes.add(process.peer_url)
    newcomer = connect(process.endpoint)
    assert newcomer.range(prefix).kvs[0].value == b"v"
    changes.remove(member.ID)
    assert process.peer_url not in changes.list()
    ends(process)
    with refused("NOT_FOUND", "etcdserver: member not found"):
        changes.remove(member.ID)
    changes.client.put(prefix, b"w")


def test_a_removed_leader_ends_and_the_others_go_on(changes: Changes, connect: Connect) -> None:
    leader = changes.processes.leader()
    assert leader is not None
    other = next(member for member in changes.processes.members if member is not leader)
    by_other = Changes(changes.processes, connect)
    by_other.client = connect(other.endpoint)
    by_other.remove(by_other.list()[leader.peer_url].ID)
    ends(leader)
    wait_until(lambda: _accepts_writes(by_other.client), "no leader any more")
    assert len(by_other.list()) == 2


def _accepts_writes(client: Client) -> bool:
    try:
        client.put(b"after-removal", b"v")
    except Refused:
        return False
    return True


@covers("MemberUpdateRequest.ID", "MemberUpdateRequest.peerURLs")
def test_an_update_moves_the_peer_urls(changes: Changes) -> None:
    member = changes.add("http://127.0.0.1:9")
    changes.update(member.ID, "http://127.0.0.1:11", "http://127.0.0.1:10")
    [found] = [one for one in changes.list().values() if one.ID == member.ID]
    assert sorted(found.peerURLs) == ["http://127.0.0.1:10", "http://127.0.0.1:11"]
    assert not found.name
    with refused("NOT_FOUND", "etcdserver: member not found"):
        changes.update(1, "http://127.0.0.1:12")


@covers("INVALID_ARGUMENT etcdserver: given member URLs are invalid")
@pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1:1", "http://127.0.0.1"])
def test_what_is_no_url_is_refused(client: Client, url: str) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: given member URLs are invalid"):
        client.unary(f"{CLUSTER}/MemberAdd", MemberAddRequest(peerURLs=[url]))


@covers("UNKNOWN etcdserver: re-configuration failed due to not enough started members")
def test_the_last_member_is_not_removed(client: Client, single: ClusterProcesses) -> None:
    [member] = client.unary(f"{CLUSTER}/MemberList", MemberListRequest()).members
    text = "etcdserver: re-configuration failed due to not enough started members"
    with refused("UNKNOWN", text):
        client.unary(f"{CLUSTER}/MemberRemove", MemberRemoveRequest(ID=member.ID))
    assert single.members[0].is_running


@covers("UNAVAILABLE etcdserver: unhealthy cluster")
def test_nobody_is_added_while_a_member_is_down(changes: Changes) -> None:
    leader = changes.processes.leader()
    down = next(m for m in changes.processes.members[1:] if m is not leader)
    down.kill()
    wait_until(lambda: _is_unhealthy(changes), "a member is down and nobody minds")
    voter = MemberAddRequest(peerURLs=["http://127.0.0.1:13"])
    with refused("UNAVAILABLE", "etcdserver: unhealthy cluster"):
        changes.client.unary(f"{CLUSTER}/MemberAdd", voter)
    changes.processes.start_member(down)
    changes.add("http://127.0.0.1:9")


def _is_unhealthy(changes: Changes) -> bool:
    # A learner, since the end of a connection is news that takes its time: with a voter more that
    # does not run, beside the one that is down, two would be no majority to remove it again.
    request = MemberAddRequest(peerURLs=["http://127.0.0.1:13"], isLearner=True)
    try:
        added = changes.client.unary(f"{CLUSTER}/MemberAdd", request).member
    except Refused as error:
        return error.text == "etcdserver: unhealthy cluster"
    changes.remove(added.ID)
    return False


def test_a_dead_member_is_replaced(changes: Changes, connect: Connect, prefix: bytes) -> None:
    changes.client.put(prefix, b"v")
    dead = changes.processes.members[2]
    dead.kill()
    # etcd loses a removal that is asked for while it elects: no answer until the deadline.
    changes.processes.wait_ready(changes.processes.members[:2])
    changes.remove(changes.list()[dead.peer_url].ID)
    changes.processes.leave(dead)
    process, _ = changes.join("m4")
    assert connect(process.endpoint).range(prefix).kvs[0].value == b"v"
    assert len(changes.list()) == 3


def test_a_wiped_member_does_not_come_back_as_it_was(changes: Changes) -> None:
    """It could vote twice in one term: etcd and we refuse, and say what to do."""
    wiped = changes.processes.members[2]
    wiped.kill()
    _wipe(wiped.data_folder)
    changes.processes.start_member(wiped)
    ends(wiped)
    said = wiped.log_tail()
    assert "already been bootstrapped" in said or "has been part of this cluster" in said


def _wipe(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()
