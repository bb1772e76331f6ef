"""The Maintenance service on one real member, over a real connection."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from kvstore.apply import StateMachine
from kvstore.commands import Range
from kvstore.errors import DataFolderError
from kvstore.http2.limits import STREAM_BLOCKED_BYTES
from kvstore.pb import rpc_pb2 as pb
from kvstore.server import backup
from kvstore.server.maintenance import SCANS_MAX
from tests.kvstore.server.single import PATIENT, Running, running
from tests.kvstore.server.test_kv import LEADER_WANTED, LONELY

COMPACTED = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
FUTURE = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PATIENT) as member:
        yield member


async def _put(member: Running, key: bytes, value: bytes = b"") -> None:
    await member.call("KV/Put", pb.PutRequest(key=key, value=value), pb.PutResponse)


async def _put_all(member: Running, keys: list[bytes], value: bytes = b"") -> None:
    operations = [pb.RequestOp(request_put=pb.PutRequest(key=key, value=value)) for key in keys]
    await member.call("KV/Txn", pb.TxnRequest(success=operations), pb.TxnResponse)


async def _status(member: Running) -> pb.StatusResponse:
    response = await member.call("Maintenance/Status", pb.StatusRequest(), pb.StatusResponse)
    assert isinstance(response, pb.StatusResponse)
    return response


async def _alarm(
    member: Running, action: int, alarm: int = 0, member_id: int = 0
) -> list[tuple[int, int]]:
    request = pb.AlarmRequest(memberID=member_id)
    request.action, request.alarm = action, alarm  # type: ignore[assignment]
    response = await member.call("Maintenance/Alarm", request, pb.AlarmResponse)
    return [(item.memberID, item.alarm) for item in response.alarms]


GET, ACTIVATE, DEACTIVATE = range(3)
NONE, NOSPACE, CORRUPT = range(3)


# ---------------------------------------------------------------------- status, alarms


async def test_status_tells_of_leader_indexes_and_sizes(member: Running) -> None:
    await _put(member, b"k", bytes(1000))
    status, node = await _status(member), member.node
    assert status.version.startswith("3.5.")
    assert status.leader == node.member_id == status.header.member_id
    assert status.raftTerm == node.term
    assert status.raftIndex == status.raftAppliedIndex == node.machine.applied_index
    assert status.dbSizeInUse > 1000
    assert status.dbSize > 1000
    assert status.header.revision == 2
    assert not status.isLearner
    assert list(status.errors) == []


@pytest.mark.parametrize("is_learner", [False, True])
async def test_status_tells_a_learner_by_its_record(member: Running, is_learner: bool) -> None:
    records = member.node.machine.members.records
    own = records[member.node.member_id]
    records[member.node.member_id] = msgspec.structs.replace(own, is_learner=is_learner)
    assert (await _status(member)).isLearner is is_learner


async def test_status_without_a_leader_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, *LONELY) as member:
        status = await _status(member)
        assert status.leader == 0
        assert list(status.errors) == ["etcdserver: no leader"]
        wanted = await member.status(
            "Maintenance/Status", pb.StatusRequest(), pb.StatusResponse, LEADER_WANTED
        )
        assert wanted == ("UNAVAILABLE", "etcdserver: no leader")


async def test_alarms_are_raised_listed_by_type_and_disarmed(member: Running) -> None:
    assert await _alarm(member, ACTIVATE, NOSPACE, 7) == [(7, NOSPACE)]
    assert await _alarm(member, ACTIVATE, NONE, 6) == [(6, NONE)]
    assert await _alarm(member, GET) == [(6, NONE), (7, NOSPACE)]
    assert await _alarm(member, GET, NOSPACE) == [(7, NOSPACE)]
    assert await _alarm(member, GET, CORRUPT) == []
    # Word for word what etcd prints, trailing spaces included.
    assert list((await _status(member)).errors) == ["memberID:6 ", "memberID:7 alarm:NOSPACE "]
    assert await _alarm(member, DEACTIVATE, CORRUPT, 7) == []
    assert await _alarm(member, DEACTIVATE, NOSPACE, 7) == [(7, NOSPACE)]
    assert await _alarm(member, DEACTIVATE, NONE, 6) == [(6, NONE)]
    assert await _alarm(member, GET) == []


async def test_an_unknown_alarm_is_refused(member: Running) -> None:
    request = pb.AlarmRequest()
    request.action = 3  # type: ignore[assignment]
    code, text = await member.status("Maintenance/Alarm", request, pb.AlarmResponse)
    assert code == "UNIMPLEMENTED"
    assert text.startswith("unknown alarm")


# ---------------------------------------------------------------------- hashes


async def _hash_kv(member: Running, revision: int) -> pb.HashKVResponse:
    request = pb.HashKVRequest(revision=revision)
    response = await member.call("Maintenance/HashKV", request, pb.HashKVResponse)
    assert isinstance(response, pb.HashKVResponse)
    return response


async def test_hash_kv_is_that_of_the_store_at_the_revision(member: Running) -> None:
    for first in range(0, 600, 100):  # several slices
        await _put_all(member, [b"%d" % number for number in range(first, first + 100)])
    store = member.node.machine.store
    for revision in (0, 3, 7):
        response = await _hash_kv(member, revision)
        assert response.hash == store.hash_kv(revision)[0]
        assert response.header.revision == 7  # the present one
        assert response.compact_revision == -1
    assert (await _hash_kv(member, 3)).hash != (await _hash_kv(member, 0)).hash


async def test_hash_kv_of_what_is_not_there_is_refused(member: Running) -> None:
    await _put(member, b"a")
    await _put(member, b"a")
    await member.call("KV/Compact", pb.CompactionRequest(revision=2), pb.CompactionResponse)
    for revision, expected in ((1, COMPACTED), (2, COMPACTED), (4, FUTURE)):
        request = pb.HashKVRequest(revision=revision)
        assert await member.status("Maintenance/HashKV", request, pb.HashKVResponse) == expected
    assert (await _hash_kv(member, 3)).compact_revision == 2


async def test_the_hash_changes_with_the_state_and_only_then(member: Running) -> None:
    async def value() -> int:
        response = await member.call("Maintenance/Hash", pb.HashRequest(), pb.HashResponse)
        return int(response.hash)

    published = asyncio.Event()  # the member's own name is an entry too, soon after the start
    member.node.on_applied.append(lambda: published.set() if member.node.machine.members else None)
    await _put(member, b"a")
    async with asyncio.timeout(60):
        if not member.node.machine.members:
            await published.wait()
    before = await value()
    assert await value() == before
    await _put(member, b"k")
    assert await value() != before


# ---------------------------------------------------------------------- snapshot, defragment


async def _snapshot(stream: Any) -> list[pb.SnapshotResponse]:
    responses = []
    while (response := await stream.read()) is not grpc.aio.EOF:
        responses.append(response)
    return responses


async def test_a_snapshot_can_be_restored(member: Running) -> None:
    await _put_all(member, [b"%d" % number for number in range(100)], bytes(10_000))
    stream = member.stream("Maintenance/Snapshot", pb.SnapshotResponse)
    await stream.write(pb.SnapshotRequest())
    responses = await _snapshot(stream)
    file = b"".join(response.blob for response in responses)
    assert len(file) % 512 == 32  # etcdctl's test for a checksum at the end
    assert file[-32:] == hashlib.sha256(file[:-32]).digest() == responses[-1].blob
    remaining = [response.remaining_bytes for response in responses]
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[-1] == 0 < remaining[0]
    restored, now = StateMachine.restore(backup.chunks_of(file)), member.node.machine
    everything = Range(b"\0", b"\0")
    assert restored.store.range(everything) == now.store.range(everything)
    assert restored.members.records == now.members.records != {}


async def test_a_snapshot_waits_for_its_reader_and_shows_the_state_of_its_start(
    member: Running,
) -> None:
    value = bytes(STREAM_BLOCKED_BYTES // 2)
    for number in range(8):
        await _put(member, b"%d" % number, value)
    stream = member.stream("Maintenance/Snapshot", pb.SnapshotResponse)
    await stream.write(pb.SnapshotRequest())
    first = await stream.read()
    await _put(member, b"later")
    file = first.blob + b"".join(response.blob for response in await _snapshot(stream))
    restored = StateMachine.restore(backup.chunks_of(file))
    assert restored.store.range(Range(b"\0", b"\0", count_only=True)).count == 8


async def test_snapshots_and_hashes_at_a_time_are_bounded(member: Running) -> None:
    """Each pins the state of its start; readers that stop must not add up."""
    for number in range(24):
        await _put(member, b"%d" % number, bytes(1_000_000))
    streams = []
    for _ in range(SCANS_MAX):
        streams.append(member.stream("Maintenance/Snapshot", pb.SnapshotResponse))
        await streams[-1].write(pb.SnapshotRequest())
        await streams[-1].read()  # and no more: the rest waits for its reader
    refused = ("RESOURCE_EXHAUSTED", "etcdserver: too many requests")
    assert await member.status("Maintenance/Hash", pb.HashRequest(), pb.HashResponse) == refused
    assert (
        await member.status("Maintenance/HashKV", pb.HashKVRequest(), pb.HashKVResponse) == refused
    )
    one_more = member.stream("Maintenance/Snapshot", pb.SnapshotResponse)
    await one_more.write(pb.SnapshotRequest())
    with pytest.raises(grpc.aio.AioRpcError, match="too many requests"):
        await one_more.read()
    for stream in streams:
        assert await _snapshot(stream)
    for _ in range(2 * SCANS_MAX):
        await member.call("Maintenance/Hash", pb.HashRequest(), pb.HashResponse)


async def test_defragment_makes_a_snapshot_and_drops_the_log_before_it(member: Running) -> None:
    for _ in range(20):
        await _put(member, b"k", bytes(100_000))
    request = pb.CompactionRequest(revision=21, physical=True)
    await member.call("KV/Compact", request, pb.CompactionResponse)
    before = (await _status(member)).dbSize
    await member.call("Maintenance/Defragment", pb.DefragmentRequest(), pb.DefragmentResponse)
    after = (await _status(member)).dbSize
    assert before > 2_000_000
    assert after < 500_000


# ---------------------------------------------------------------------- leadership, versions


async def test_leadership_moves_to_voters_only(member: Running) -> None:
    def request(target: int) -> pb.MoveLeaderRequest:
        return pb.MoveLeaderRequest(targetID=target)

    bad = ("FAILED_PRECONDITION", "etcdserver: bad leader transferee")
    method, response = "Maintenance/MoveLeader", pb.MoveLeaderResponse
    await _put(member, b"k")  # has a leader
    assert await member.status(method, request(3), response) == bad
    await member.call(method, request(member.node.member_id), response)


async def test_only_the_leader_moves_leadership(tmp_path: Path) -> None:
    async with running(tmp_path, *LONELY) as member:
        status = await member.status(
            "Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=1), pb.MoveLeaderResponse
        )
        assert status == ("FAILED_PRECONDITION", "etcdserver: not leader")


async def test_downgrading_is_not_supported_yet(member: Running) -> None:
    code, text = await member.status(
        "Maintenance/Downgrade", pb.DowngradeRequest(), pb.DowngradeResponse
    )
    assert (code, text) == (
        "UNIMPLEMENTED",
        "etcdserver: not supported yet: downgrading the cluster",
    )


# ---------------------------------------------------------------------- the file


def _file(*chunks: bytes) -> bytes:
    return b"".join(backup.blobs(chunks))


@pytest.mark.parametrize("size", [0, 1, 480, 488, 489, 490, 512, 100_000])
def test_a_backup_gives_its_chunks_back(size: int) -> None:
    chunks = [b"x" * size, b"\0", b"last"] if size else []
    file = _file(*chunks)
    assert len(file) % 512 == 32
    assert list(backup.chunks_of(file)) == chunks


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "no snapshot"),
        (b"bolt" * 100, "no snapshot"),
        (_file(b"abc")[:-1], "not whole"),
        (_file(b"abc").replace(b"abc", b"abd"), "damaged"),
    ],
)
def test_a_damaged_backup_is_refused(file: bytes, reason: str) -> None:
    with pytest.raises(DataFolderError, match=reason):
        backup.chunks_of(file)
