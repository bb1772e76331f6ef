"""Maintenance: Status, Hash, HashKV, Snapshot, Defragment, MoveLeader."""

import hashlib
import time

import pytest

from kvstore.pb.rpc_pb2 import (
    DefragmentRequest,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    MoveLeaderRequest,
    SnapshotRequest,
    SnapshotResponse,
    StatusRequest,
    StatusResponse,
)
from kvstore.testing.processes import ClusterProcesses
from tests.conformance.client import Client, refused

covers = pytest.mark.covers
COMPACTED = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"


def status(client: Client) -> StatusResponse:
    response = client.maintenance(StatusRequest())
    assert isinstance(response, StatusResponse)
    return response


def hash_kv(client: Client, revision: int = 0) -> HashKVResponse:
    response = client.maintenance(HashKVRequest(revision=revision))
    assert isinstance(response, HashKVResponse)
    return response


def snapshot(client: Client) -> list[SnapshotResponse]:
    return client.stream(SNAPSHOT, SnapshotRequest())


@covers("StatusRequest")
def test_status_of_a_single_member_names_itself_as_leader(client: Client) -> None:
    response = status(client)
    assert response.leader == response.header.member_id != 0
    assert response.raftTerm == response.header.raft_term >= 1
    assert not response.isLearner
    assert list(response.errors) == []


def test_status_version_is_the_api_level_that_clients_gate_on(client: Client) -> None:
    major, minor, _patch = status(client).version.split(".")
    assert (major, minor) in {("3", "4"), ("3", "5")}


def test_status_sizes_are_positive_and_in_use_is_not_more(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    response = status(client)
    assert 0 < response.dbSizeInUse <= response.dbSize


def test_status_indexes_grow_with_writes(client: Client, prefix: bytes) -> None:
    before = status(client)
    for _ in range(10):
        client.put(prefix)
    after = status(client)
    assert after.raftIndex >= before.raftIndex + 10
    assert before.raftAppliedIndex + 10 <= after.raftAppliedIndex <= after.raftIndex


def test_status_carries_the_revision(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    assert status(client).header.revision == revision


def test_every_member_of_three_names_the_same_leader(
    leader: Client, followers: list[Client]
) -> None:
    leaders = {status(client).leader for client in (leader, *followers)}
    assert leaders == {status(leader).header.member_id}


@covers("HashKVRequest.revision")
def test_hash_kv_of_a_past_revision_is_what_it_was_then(client: Client, prefix: bytes) -> None:
    client.compact(client.put(prefix).header.revision)
    revision = client.put(prefix).header.revision
    then = hash_kv(client).hash
    client.put(prefix)
    assert hash_kv(client, revision).hash == then != hash_kv(client).hash


def test_hash_kv_of_the_future_is_refused(client: Client) -> None:
    with refused("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"):
        hash_kv(client, client.revision() + 1)


def test_hash_kv_up_to_the_compact_revision_is_refused(client: Client, prefix: bytes) -> None:
    older = client.put(prefix).header.revision
    compacted = client.put(prefix).header.revision
    client.put(prefix)
    client.compact(compacted, physical=True)
    for revision in (older, compacted):
        with refused(*COMPACTED):
            hash_kv(client, revision)
    assert hash_kv(client, compacted + 1).compact_revision == compacted


def test_hash_kv_is_repeatable(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    assert hash_kv(client).hash == hash_kv(client).hash


def test_hash_kv_is_equal_on_three_members(leader: Client, followers: list[Client]) -> None:
    for n in range(20):
        revision = leader.put(b"hash-%d" % (n % 3), b"%d" % n).header.revision
    for client in followers:
        assert client.revision() >= revision  # linearizable: it has applied what was written
    assert len({hash_kv(client, revision).hash for client in (leader, *followers)}) == 1


@covers("HashRequest")
def test_hash_of_the_backend_answers_with_the_revision(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    response = client.maintenance(HashRequest())
    assert response.hash != 0
    assert response.header.revision == revision


@covers("SnapshotRequest")
def test_a_snapshot_ends_with_the_sha256_of_what_came_before(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v" * 100_000)
    data = b"".join(response.blob for response in snapshot(client))
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    assert len(data) > 100_000


def test_snapshot_remaining_bytes_count_down_to_zero(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v" * 100_000)
    responses = snapshot(client)
    remaining = [response.remaining_bytes for response in responses]
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[-1] == 0
    # A server may stream what it has not made yet: then the first numbers are an estimate.
    total = sum(len(response.blob) for response in responses)
    assert remaining[0] + len(responses[0].blob) == pytest.approx(total, rel=0.1)


@covers("DefragmentRequest")
def test_defragment_keeps_every_key_and_the_revision(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    before, hash_before = client.revision(), hash_kv(client).hash
    client.maintenance(DefragmentRequest())
    assert client.range(prefix).kvs[0].value == b"v"
    assert (client.revision(), hash_kv(client).hash) == (before, hash_before)


def _full_size(client: Client, bytes_min: int) -> int:
    """The size once it shows what was written: etcd commits it to its file a little later."""
    deadline = time.monotonic() + 10
    while (size := status(client).dbSize) < bytes_min and time.monotonic() < deadline:
        time.sleep(0.05)
    return size


def test_defragment_after_delete_and_compaction_shrinks_the_store(
    fresh: Client,
) -> None:
    for n in range(20):
        fresh.put(b"k%d" % n, b"v" * 100_000)
    revision = fresh.delete(b"k", b"l").header.revision
    full = _full_size(fresh, 20 * 100_000)
    fresh.compact(revision, physical=True)
    fresh.maintenance(DefragmentRequest())
    assert status(fresh).dbSize < full / 2


@covers(
    "MoveLeaderRequest.targetID",
    "FAILED_PRECONDITION etcdserver: bad leader transferee",
)
def test_moving_leadership_to_an_unknown_member_is_refused(leader: Client) -> None:
    with refused("FAILED_PRECONDITION", "etcdserver: bad leader transferee"):
        leader.maintenance(MoveLeaderRequest(targetID=5))


def test_moving_leadership_to_nobody_is_refused(leader: Client) -> None:
    with refused("FAILED_PRECONDITION", "etcdserver: bad leader transferee"):
        leader.maintenance(MoveLeaderRequest())


@covers("FAILED_PRECONDITION etcdserver: not leader")
def test_a_follower_refuses_to_move_leadership(leader: Client, followers: list[Client]) -> None:
    target = status(leader).header.member_id
    with refused("FAILED_PRECONDITION", "etcdserver: not leader"):
        followers[0].maintenance(MoveLeaderRequest(targetID=target))


def test_moving_leadership_to_the_leader_changes_nothing(leader: Client) -> None:
    before = status(leader)
    leader.maintenance(MoveLeaderRequest(targetID=before.leader))
    after = status(leader)
    assert (after.leader, after.raftTerm) == (before.leader, before.raftTerm)


def test_moved_leadership_is_with_the_target_in_a_later_term(
    trio: ClusterProcesses, leader: Client, followers: list[Client]
) -> None:
    before = status(leader)
    target = status(followers[1]).header.member_id
    leader.maintenance(MoveLeaderRequest(targetID=target))
    trio.wait_ready()
    after = status(followers[1])
    assert (after.leader, after.raftTerm > before.raftTerm) == (target, True)
    leader.put(b"after-move")
