"""The KV service on one real member, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvstore.errors import ResponseTooLargeError
from kvstore.pb import rpc_pb2 as pb
from kvstore.server import convert, kv, range_encoding
from tests.kvstore.server.single import PATIENT, Running, running

LEADER_WANTED = [("hasleader", "true")]
LONELY = (
    "--initial-cluster=default=http://localhost:2380,other=http://127.0.0.1:1,third=http://127.0.0.1:3",
)


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PATIENT) as member:
        yield member


async def _put(member: Running, key: bytes, value: bytes = b"", **fields: int) -> pb.PutResponse:
    request = pb.PutRequest(key=key, value=value, **fields)  # type: ignore[arg-type]
    response = await member.call("KV/Put", request, pb.PutResponse)
    assert isinstance(response, pb.PutResponse)
    return response


async def _range(member: Running, key: bytes, **fields: int) -> pb.RangeResponse:
    request = pb.RangeRequest(key=key, **fields)  # type: ignore[arg-type]
    response = await member.call("KV/Range", request, pb.RangeResponse)
    assert isinstance(response, pb.RangeResponse)
    return response


def _put_op(key: bytes) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(key=key))


async def _fill(member: Running, prefix: bytes, count: int) -> None:
    puts = [_put_op(b"%s%03d" % (prefix, number)) for number in range(count)]
    await member.call("KV/Txn", pb.TxnRequest(success=puts), pb.TxnResponse)


# ---------------------------------------------------------------------- the way of a request


async def test_what_was_put_is_read(member: Running) -> None:
    first = await _put(member, b"k", b"1")
    second = await _put(member, b"k", b"2", prev_kv=True)
    assert (first.header.revision, second.header.revision) == (2, 3)
    assert second.prev_kv.value == b"1"
    for serializable in (False, True):
        response = await _range(member, b"k", serializable=serializable)
        (kv,) = response.kvs
        assert (kv.value, kv.version, kv.mod_revision) == (b"2", 2, 3)
        assert response.count == 1


async def test_a_header_names_cluster_member_revision_and_term(member: Running) -> None:
    header = (await _put(member, b"k")).header
    node = member.node
    assert header.cluster_id == node.cluster_id != 0
    assert header.member_id == node.member_id != 0
    assert header.revision == node.machine.store.revision == 2
    assert header.raft_term == node.term > 0


async def test_delete_range_tells_what_it_deleted(member: Running) -> None:
    await _put(member, b"a", b"1")
    await _put(member, b"b")
    request = pb.DeleteRangeRequest(key=b"a", range_end=b"c", prev_kv=True)
    response = await member.call("KV/DeleteRange", request, pb.DeleteRangeResponse)
    assert response.deleted == 2
    assert [kv.key for kv in response.prev_kvs] == [b"a", b"b"]
    assert response.header.revision == 4


async def test_a_txn_takes_one_branch_in_one_revision(member: Running) -> None:
    request = pb.TxnRequest(
        compare=[pb.Compare(key=b"k", target=pb.Compare.VERSION, version=0)],
        success=[_put_op(b"k"), pb.RequestOp(request_range=pb.RangeRequest(key=b"k"))],
        failure=[pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"k"))],
    )
    response = await member.call("KV/Txn", request, pb.TxnResponse)
    assert response.succeeded
    assert response.header.revision == 2
    assert response.responses[1].response_range.count == 1
    response = await member.call("KV/Txn", request, pb.TxnResponse)
    assert not response.succeeded
    assert response.responses[0].response_delete_range.deleted == 1


async def test_a_txn_that_only_reads_is_no_log_entry(member: Running) -> None:
    await _put(member, b"k", b"1")
    before = member.node.raft.last_index
    for serializable in (False, True):
        read = pb.RangeRequest(key=b"k", serializable=serializable)
        request = pb.TxnRequest(success=[pb.RequestOp(request_range=read)])
        response = await member.call("KV/Txn", request, pb.TxnResponse)
        assert response.responses[0].response_range.kvs[0].value == b"1"
    assert member.node.raft.last_index == before


async def test_a_read_in_a_read_only_txn_may_be_refused(member: Running) -> None:
    for serializable in (False, True):
        read = pb.RangeRequest(key=b"k", revision=99, serializable=serializable)
        request = pb.TxnRequest(success=[pb.RequestOp(request_range=read)])
        status = await member.status("KV/Txn", request, pb.TxnResponse)
        assert status == (
            "OUT_OF_RANGE",
            "etcdserver: mvcc: required revision is a future revision",
        )


@pytest.mark.parametrize("physical", [False, True])
async def test_compaction_forgets_history(member: Running, physical: bool) -> None:
    for value in (b"1", b"2", b"3"):
        await _put(member, b"k", value)
    request = pb.CompactionRequest(revision=3, physical=physical)
    response = await member.call("KV/Compact", request, pb.CompactionResponse)
    assert response.header.revision == 4
    if physical:
        assert member.node.machine.store.row_count == 2
    compacted = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
    old = pb.RangeRequest(key=b"k", revision=2)
    assert await member.status("KV/Range", old, pb.RangeResponse) == compacted
    assert (await _range(member, b"k", revision=3)).kvs[0].value == b"2"
    assert await member.status("KV/Compact", request, pb.CompactionResponse) == compacted


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (pb.PutRequest(), "key is not provided"),
        (pb.PutRequest(key=b"k", value=b"v", ignore_value=True), "value is provided"),
        (pb.PutRequest(key=b"k", lease=1, ignore_lease=True), "lease is provided"),
        (pb.PutRequest(key=b"missing", ignore_value=True), "key not found"),
        (pb.PutRequest(key=b"k", value=bytes(1_572_864)), "request is too large"),
    ],
)
async def test_a_bad_put_is_refused(member: Running, request_: pb.PutRequest, text: str) -> None:
    status = await member.status("KV/Put", request_, pb.PutResponse)
    assert status == ("INVALID_ARGUMENT", f"etcdserver: {text}")
    assert member.node.machine.store.revision == 1


async def test_a_put_with_an_unknown_lease_is_refused(member: Running) -> None:
    request = pb.PutRequest(key=b"k", lease=5)
    status = await member.status("KV/Put", request, pb.PutResponse)
    assert status == ("NOT_FOUND", "etcdserver: requested lease not found")


async def test_a_range_and_a_delete_need_a_key(member: Running) -> None:
    expected = ("INVALID_ARGUMENT", "etcdserver: key is not provided")
    assert await member.status("KV/Range", pb.RangeRequest(), pb.RangeResponse) == expected
    request = pb.DeleteRangeRequest()
    assert await member.status("KV/DeleteRange", request, pb.DeleteRangeResponse) == expected


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ([_put_op(b"a"), _put_op(b"a")], "duplicate key given in txn request"),
        ([_put_op(b"%d" % n) for n in range(129)], "too many operations in txn request"),
        ([pb.RequestOp()], "key not found"),
    ],
)
async def test_a_bad_txn_is_refused(
    member: Running, operations: list[pb.RequestOp], text: str
) -> None:
    status = await member.status("KV/Txn", pb.TxnRequest(success=operations), pb.TxnResponse)
    assert status == ("INVALID_ARGUMENT", f"etcdserver: {text}")


async def test_the_largest_value_is_that_of_etcd(member: Running) -> None:
    # etcd 3.4.23 takes 1,572,834 bytes under a key of three and refuses 1,572,839.
    await _put(member, b"big", bytes(1_572_834))
    request = pb.PutRequest(key=b"big", value=bytes(1_572_839))
    status = await member.status("KV/Put", request, pb.PutResponse)
    assert status == ("INVALID_ARGUMENT", "etcdserver: request is too large")


# ---------------------------------------------------------------------- no leader, no space


async def test_without_a_leader_only_serializable_reads_are_served(tmp_path: Path) -> None:
    async with running(tmp_path, *LONELY) as member:
        no_leader = ("UNAVAILABLE", "etcdserver: no leader")
        assert (await _range(member, b"k", serializable=True)).count == 0
        local = pb.RangeRequest(key=b"k", serializable=True)
        put = pb.PutRequest(key=b"k")
        assert await member.status("KV/Range", local, pb.RangeResponse, LEADER_WANTED) == no_leader
        assert await member.status("KV/Put", put, pb.PutResponse, LEADER_WANTED) == no_leader
        waiting = asyncio.create_task(member.status("KV/Put", put, pb.PutResponse))
        reading = pb.RangeRequest(key=b"k")
        waiting_read = asyncio.create_task(member.status("KV/Range", reading, pb.RangeResponse))
        await asyncio.sleep(0)  # both are sent now
        await _range(member, b"k", serializable=True)  # and this came after them
        member.node.stop()
        stopped = ("UNAVAILABLE", "etcdserver: server stopped")
        assert await waiting == stopped
        assert await waiting_read == stopped


async def test_beyond_the_quota_puts_are_refused_until_it_is_disarmed(tmp_path: Path) -> None:
    async with running(tmp_path, PATIENT, "--quota-backend-bytes=20000") as member:
        no_space = ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
        await _put(member, b"a", bytes(10_000))
        large = pb.PutRequest(key=b"b", value=bytes(10_000))
        small = pb.PutRequest(key=b"b")
        assert await member.status("KV/Put", large, pb.PutResponse) == no_space
        alarms = [(alarm.member_id, alarm.alarm.name) for alarm in member.node.machine.alarms]
        assert alarms == [(member.node.member_id, "NOSPACE")]
        assert await member.status("KV/Put", large, pb.PutResponse) == no_space
        # There would be room for this one, but the alarm counts until somebody disarms it.
        assert await member.status("KV/Put", small, pb.PutResponse) == no_space
        txn = pb.TxnRequest(success=[pb.RequestOp(request_put=small)])
        assert await member.status("KV/Txn", txn, pb.TxnResponse) == no_space
        assert (await _range(member, b"a")).count == 1
        delete = pb.DeleteRangeRequest(key=b"a")
        await member.call("KV/DeleteRange", delete, pb.DeleteRangeResponse)
        compact = pb.CompactionRequest(revision=3, physical=True)
        await member.call("KV/Compact", compact, pb.CompactionResponse)
        disarm = pb.AlarmRequest(
            action=pb.AlarmRequest.DEACTIVATE,
            memberID=member.node.member_id,
            alarm=pb.AlarmType.NOSPACE,
        )
        await member.call("Maintenance/Alarm", disarm, pb.AlarmResponse)
        await member.call("KV/Put", large, pb.PutResponse)


async def test_a_txn_costs_its_larger_branch(tmp_path: Path) -> None:
    async with running(tmp_path, PATIENT, "--quota-backend-bytes=20000") as member:
        large = pb.RequestOp(request_put=pb.PutRequest(key=b"b", value=bytes(20_000)))
        nested = pb.RequestOp(request_txn=pb.TxnRequest(failure=[large]))
        for operation in (large, nested):
            txn = pb.TxnRequest(failure=[operation])
            status = await member.status("KV/Txn", txn, pb.TxnResponse)
            assert status == ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
        read = pb.RequestOp(request_range=pb.RangeRequest(key=b"b"))
        await member.call("KV/Txn", pb.TxnRequest(success=[read]), pb.TxnResponse)


# ---------------------------------------------------------------------- large ranges


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A range of more than one row is large, and pauses after each."""
    monkeypatch.setattr(kv, "LARGE_ROWS", 1)
    monkeypatch.setattr(range_encoding, "SLICE_ROWS", 1)


@pytest.mark.parametrize("is_write", [True, False])
async def test_an_answer_that_cannot_be_made_ends_its_call_and_not_the_member(
    member: Running, monkeypatch: pytest.MonkeyPatch, is_write: bool
) -> None:
    def refuse(_: object) -> bytes:
        raise ResponseTooLargeError("2 GiB")

    read = pb.RequestOp(request_range=pb.RangeRequest(key=b"k"))
    txn = pb.TxnRequest(success=[read, _put_op(b"k")] if is_write else [read])
    with monkeypatch.context() as patched:
        patched.setattr(convert, "serialize", refuse)
        status = await member.status("KV/Txn", txn, pb.TxnResponse)
    assert status[0] == "RESOURCE_EXHAUSTED"
    await _put(member, b"other")
    assert (await _range(member, b"k")).count == is_write  # it was written all the same


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("keys_only", [False, True])
async def test_a_large_range_is_whole(member: Running, keys_only: bool) -> None:
    await _fill(member, b"large/", 100)
    request = pb.RangeRequest(key=b"large/", range_end=b"large0", limit=90, keys_only=keys_only)
    response = await member.call("KV/Range", request, pb.RangeResponse)
    assert [kv.key for kv in response.kvs] == [b"large/%03d" % number for number in range(90)]
    assert (response.more, response.count) == (True, 100)
