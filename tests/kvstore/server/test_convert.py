import pytest

from kvstore.commands import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)
from kvstore.errors import InvalidSortOptionError, KeyNotFoundError
from kvstore.lease import Lessor
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import (
    DeleteRangeResult,
    KeyValue,
    PutResult,
    RangeResult,
    TxnResult,
)
from kvstore.pb import mvcc_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.server import convert

KV = KeyValue(b"k", b"v", 2, 5, 1, 3, 7)
PB_KV = mvcc_pb2.KeyValue(
    key=b"k", value=b"v", create_revision=2, mod_revision=5, version=3, lease=7
)
HEADER = pb.ResponseHeader(cluster_id=1, member_id=2, revision=9, raft_term=3)


# ---------------------------------------------------------------------- requests


def test_every_field_of_a_range_is_taken_over() -> None:
    request = pb.RangeRequest(
        key=b"a",
        range_end=b"b",
        limit=1,
        revision=2,
        sort_order=pb.RangeRequest.DESCEND,
        sort_target=pb.RangeRequest.MOD,
        serializable=True,
        keys_only=True,
        count_only=True,
        min_mod_revision=3,
        max_mod_revision=4,
        min_create_revision=5,
        max_create_revision=6,
    )
    assert {field.name for field, _ in request.ListFields()} == {
        field.name for field in pb.RangeRequest.DESCRIPTOR.fields
    }
    assert convert.range_(request) == Range(
        b"a",
        b"b",
        limit=1,
        revision=2,
        sort_order=SortOrder.DESCEND,
        sort_target=SortTarget.MOD,
        keys_only=True,
        count_only=True,
        min_mod_revision=3,
        max_mod_revision=4,
        min_create_revision=5,
        max_create_revision=6,
    )


def test_every_field_of_a_put_is_taken_over() -> None:
    request = pb.PutRequest(
        key=b"a", value=b"b", lease=3, prev_kv=True, ignore_value=True, ignore_lease=True
    )
    assert len(request.ListFields()) == len(pb.PutRequest.DESCRIPTOR.fields)
    assert convert.put(request) == Put(
        b"a", b"b", lease=3, prev_kv=True, ignore_value=True, ignore_lease=True
    )


def test_every_field_of_a_delete_range_is_taken_over() -> None:
    request = pb.DeleteRangeRequest(key=b"a", range_end=b"b", prev_kv=True)
    assert len(request.ListFields()) == len(pb.DeleteRangeRequest.DESCRIPTOR.fields)
    assert convert.delete_range(request) == DeleteRange(b"a", b"b", prev_kv=True)


@pytest.mark.parametrize("field", ["sort_order", "sort_target"])
def test_an_unknown_sort_option_is_refused(field: str) -> None:
    request = pb.RangeRequest(key=b"a")
    setattr(request, field, 7)
    with pytest.raises(InvalidSortOptionError):
        convert.range_(request)


def test_a_txn_nests() -> None:
    inner = pb.TxnRequest(failure=[pb.RequestOp(request_put=pb.PutRequest(key=b"x"))])
    request = pb.TxnRequest(
        compare=[pb.Compare(key=b"k", target=pb.Compare.MOD, mod_revision=4)],
        success=[
            pb.RequestOp(request_range=pb.RangeRequest(key=b"a")),
            pb.RequestOp(request_txn=inner),
        ],
        failure=[pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"d"))],
    )
    assert convert.txn(request) == Txn(
        compares=(Compare(CompareResult.EQUAL, CompareTarget.MOD, b"k", 4),),
        success=(Range(b"a"), Txn(failure=(Put(b"x"),))),
        failure=(DeleteRange(b"d"),),
    )


def test_an_operation_that_is_not_set_is_etcds_key_not_found() -> None:
    with pytest.raises(KeyNotFoundError):
        convert.txn(pb.TxnRequest(success=[pb.RequestOp()]))


@pytest.mark.parametrize(
    ("target", "field", "operand", "absent"),
    [
        (pb.Compare.VERSION, "version", 3, 0),
        (pb.Compare.CREATE, "create_revision", 3, 0),
        (pb.Compare.MOD, "mod_revision", 3, 0),
        (pb.Compare.VALUE, "value", b"x", b""),
        (pb.Compare.LEASE, "lease", 3, 0),
    ],
)
def test_a_compare_reads_the_member_of_the_union_that_its_target_names(
    target: int, field: str, operand: int | bytes, absent: int | bytes
) -> None:
    request = pb.Compare(key=b"k", range_end=b"l", result=pb.Compare.GREATER)
    request.target = target  # type: ignore[assignment]
    setattr(request, field, operand)
    expected = Compare(CompareResult.GREATER, CompareTarget(target), b"k", operand, b"l")
    assert convert.compare(request) == expected
    other = "version" if field != "version" else "lease"
    setattr(request, other, 9)
    expected = Compare(CompareResult.GREATER, CompareTarget(target), b"k", absent, b"l")
    assert convert.compare(request) == expected


def _holds(result: int, target: int, key: bytes) -> bool:
    """What a compare says of a store with the key `b` only (etcd 3.4.23 was asked the same)."""
    store = Store(Lessor())
    store.put(Put(b"b", b"2"))
    request = pb.Compare(key=key)
    request.result, request.target = result, target  # type: ignore[assignment]
    return store.txn(Txn(compares=(convert.compare(request),))).succeeded


UNKNOWN = 5


@pytest.mark.parametrize("target", [*range(5), UNKNOWN])
@pytest.mark.parametrize("key", [b"b", b"missing"])
def test_an_unknown_relation_holds_but_for_the_value_of_a_missing_key(
    target: int, key: bytes
) -> None:
    is_missing_value = target == pb.Compare.VALUE and key == b"missing"
    assert _holds(UNKNOWN, target, key) is not is_missing_value


@pytest.mark.parametrize("result", range(4))
@pytest.mark.parametrize("key", [b"b", b"missing"])
def test_on_an_unknown_target_every_key_looks_equal(result: int, key: bytes) -> None:
    assert _holds(result, UNKNOWN, key) is (result == pb.Compare.EQUAL)


RANGE_OP = pb.RequestOp(request_range=pb.RangeRequest(key=b"a"))
LOCAL_RANGE_OP = pb.RequestOp(request_range=pb.RangeRequest(key=b"a", serializable=True))
PUT_OP = pb.RequestOp(request_put=pb.PutRequest(key=b"a"))
TXN_OP = pb.RequestOp(request_txn=pb.TxnRequest(success=[RANGE_OP]))


@pytest.mark.parametrize(
    ("request_", "is_read_only", "is_serializable"),
    [
        (pb.TxnRequest(), True, True),
        (pb.TxnRequest(success=[LOCAL_RANGE_OP], failure=[LOCAL_RANGE_OP]), True, True),
        (pb.TxnRequest(success=[LOCAL_RANGE_OP], failure=[RANGE_OP]), True, False),
        (pb.TxnRequest(success=[RANGE_OP]), True, False),
        (pb.TxnRequest(success=[RANGE_OP], failure=[PUT_OP]), False, False),
        (pb.TxnRequest(success=[TXN_OP]), False, False),
    ],
)
def test_a_txn_of_ranges_only_reads_and_a_nested_one_counts_as_a_write(
    request_: pb.TxnRequest, is_read_only: bool, is_serializable: bool
) -> None:
    assert convert.is_read_only(request_) is is_read_only
    assert convert.is_serializable(request_) is is_serializable


# ---------------------------------------------------------------------- responses


def test_every_field_of_a_key_value_is_taken_over() -> None:
    assert len(PB_KV.ListFields()) == len(mvcc_pb2.KeyValue.DESCRIPTOR.fields)
    assert convert.key_value(KV) == PB_KV


def test_a_header_names_the_answerer() -> None:
    class Node:
        cluster_id, member_id, term = 1, 2, 3

    assert convert.header(Node(), 9) == HEADER


def test_results_become_responses() -> None:
    assert convert.range_response(RangeResult(9, (KV,), True, 4), HEADER) == pb.RangeResponse(
        header=HEADER, kvs=[PB_KV], more=True, count=4
    )
    assert convert.put_response(PutResult(9), HEADER) == pb.PutResponse(header=HEADER)
    assert convert.put_response(PutResult(9, KV), HEADER) == pb.PutResponse(
        header=HEADER, prev_kv=PB_KV
    )
    result = DeleteRangeResult(9, 1, (KV,))
    assert convert.delete_range_response(result, HEADER) == pb.DeleteRangeResponse(
        header=HEADER, deleted=1, prev_kvs=[PB_KV]
    )


def mixed_txn_result(*, succeeded: bool) -> TxnResult:
    responses = (RangeResult(8), PutResult(9), DeleteRangeResult(9), TxnResult(9, False))
    return TxnResult(9, succeeded, responses)


@pytest.mark.parametrize("revision", [2, 127, 128, 2**31, 2**62])
@pytest.mark.parametrize("succeeded", [True, False])
def test_the_bytes_of_a_txns_answer_are_those_of_its_message(
    revision: int, succeeded: bool
) -> None:
    puts = (PutResult(revision), PutResult(revision), PutResult(revision, KV))
    for result in (
        TxnResult(revision, succeeded),
        TxnResult(revision, succeeded, puts),
        mixed_txn_result(succeeded=succeeded),
    ):
        assert convert.txn_answer(result) == convert.txn_response(result).SerializeToString()


def test_headers_within_a_txn_carry_the_revision_only_and_nested_txns_not_even_that() -> None:
    result = mixed_txn_result(succeeded=True)
    assert convert.txn_response(result, HEADER) == pb.TxnResponse(
        header=HEADER,
        succeeded=True,
        responses=[
            pb.ResponseOp(response_range=pb.RangeResponse(header=pb.ResponseHeader(revision=8))),
            pb.ResponseOp(response_put=pb.PutResponse(header=pb.ResponseHeader(revision=9))),
            pb.ResponseOp(
                response_delete_range=pb.DeleteRangeResponse(header=pb.ResponseHeader(revision=9))
            ),
            pb.ResponseOp(response_txn=pb.TxnResponse(header=pb.ResponseHeader())),
        ],
    )
