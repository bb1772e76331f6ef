"""Conversions between etcd's messages and our commands and results. Pure.

Values of an enumeration that do not exist are refused, or get the meaning that etcd's code gives
them by falling through its cases (compares). No service, transport or state may enter.
"""

import functools
from collections.abc import Iterable
from typing import Protocol, TypeAlias, assert_never

from kvstore.commands import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Operation,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)
from kvstore.errors import InvalidSortOptionError, KeyNotFoundError
from kvstore.mvcc.types import (
    DeleteRangeResult,
    KeyValue,
    OperationResult,
    PutResult,
    RangeResult,
    TxnResult,
)
from kvstore.pb import mvcc_pb2, rpc_pb2
from kvstore.server.wire import HEADER_TAG, REVISION_TAG, serialize, varint, with_length

_SORT_ORDERS = {int(order): order for order in SortOrder}
_SORT_TARGETS = {int(target): target for target in SortTarget}
_COMPARE_RESULTS = frozenset(CompareResult)
_COMPARE_TARGETS = frozenset(CompareTarget)

_SUCCEEDED = b"\x10\x01"  # field 2 of a TxnResponse: true
_RESPONSES_TAG = b"\x1a"  # its field 3, length-delimited
_RESPONSE_PUT_TAG = b"\x12"  # field 2 of a ResponseOp, length-delimited

# ---------------------------------------------------------------------- requests to commands


def range_(request: rpc_pb2.RangeRequest) -> Range:
    """The read that a RangeRequest asks for. Raises InvalidSortOptionError."""
    order = _SORT_ORDERS.get(request.sort_order)
    target = _SORT_TARGETS.get(request.sort_target)
    if order is None or target is None:
        raise InvalidSortOptionError
    return Range(  # by position, which is twice as fast
        request.key,
        request.range_end,
        request.limit,
        request.revision,
        order,
        target,
        request.keys_only,
        request.count_only,
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )


def put(request: rpc_pb2.PutRequest) -> Put:
    """The write that a PutRequest asks for."""
    return Put(
        request.key,
        request.value,
        request.lease,
        request.prev_kv,
        request.ignore_value,
        request.ignore_lease,
    )


def delete_range(request: rpc_pb2.DeleteRangeRequest) -> DeleteRange:
    """The deletion that a DeleteRangeRequest asks for."""
    return DeleteRange(request.key, request.range_end, prev_kv=request.prev_kv)


def txn(request: rpc_pb2.TxnRequest) -> Txn:
    """The txn that a TxnRequest asks for.

    Raises KeyNotFoundError for an operation that is not set, as etcd does.
    """
    return Txn(
        compares=tuple([compare(item) for item in request.compare]),
        success=_operations(request.success),
        failure=_operations(request.failure),
    )


def _operations(requests: Iterable[rpc_pb2.RequestOp]) -> tuple[Operation, ...]:
    return tuple([_operation(request) for request in requests])


def _operation(request: rpc_pb2.RequestOp) -> Operation:
    match request.WhichOneof("request"):
        case "request_range":
            return range_(request.request_range)
        case "request_put":
            return put(request.request_put)
        case "request_delete_range":
            return delete_range(request.request_delete_range)
        case "request_txn":
            return txn(request.request_txn)
        case None:
            raise KeyNotFoundError
        case unreachable:
            assert_never(unreachable)


def compare(request: rpc_pb2.Compare) -> Compare:
    """The condition that a Compare message states.

    The member of the union that does not belong to the target reads as 0 or empty. A relation
    that does not exist holds always, but for the value of a missing key; on a target that does
    not exist every key looks equal.
    """
    key, range_end = request.key, request.range_end
    result, target = int(request.result), int(request.target)
    if result in _COMPARE_RESULTS and target in _COMPARE_TARGETS:
        operand = _operand(CompareTarget(target), request)
        return Compare(CompareResult(result), CompareTarget(target), key, operand, range_end)
    if target == CompareTarget.VALUE:  # true for every key that exists
        return Compare(CompareResult.GREATER, CompareTarget.VERSION, key, 0, range_end)
    if result not in _COMPARE_RESULTS or result == CompareResult.EQUAL:  # always true
        return Compare(CompareResult.GREATER, CompareTarget.VERSION, key, -1, range_end)
    return Compare(CompareResult.LESS, CompareTarget.VERSION, key, 0, range_end)  # never true


def _operand(target: CompareTarget, request: rpc_pb2.Compare) -> int | bytes:
    match target:
        case CompareTarget.VERSION:
            return request.version
        case CompareTarget.CREATE:
            return request.create_revision
        case CompareTarget.MOD:
            return request.mod_revision
        case CompareTarget.VALUE:
            return request.value
        case CompareTarget.LEASE:
            return request.lease
        case _:
            assert_never(target)


def is_read_only(request: rpc_pb2.TxnRequest) -> bool:
    """Tell whether a txn only reads; a nested txn counts as a write, as in etcd."""
    return all(operation.HasField("request_range") for operation in _both_branches(request))


def is_serializable(request: rpc_pb2.TxnRequest) -> bool:
    """Tell whether every read of a read-only txn may be served from local state."""
    return all(operation.request_range.serializable for operation in _both_branches(request))


def _both_branches(request: rpc_pb2.TxnRequest) -> Iterable[rpc_pb2.RequestOp]:
    yield from request.success
    yield from request.failure


# ---------------------------------------------------------------------- results to responses


class Answerer(Protocol):
    """Who answers: a node, as far as a header tells of it."""

    cluster_id: int
    member_id: int

    @property
    def term(self) -> int:
        """The current Raft term."""


def header(answerer: Answerer, revision: int) -> rpc_pb2.ResponseHeader:
    """The header of a response; `revision` is the store's when the request was served."""
    return rpc_pb2.ResponseHeader(
        cluster_id=answerer.cluster_id,
        member_id=answerer.member_id,
        revision=revision,
        raft_term=answerer.term,
    )


def key_value(kv: KeyValue) -> mvcc_pb2.KeyValue:
    """One version of a key."""
    return mvcc_pb2.KeyValue(
        key=kv.key,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=kv.value,
        lease=kv.lease,
    )


# A response without its header is one to whose bytes the caller adds those of the header.
Header: TypeAlias = rpc_pb2.ResponseHeader | None


def range_response(result: RangeResult, header: Header = None) -> rpc_pb2.RangeResponse:
    """The answer to a Range."""
    return rpc_pb2.RangeResponse(
        header=header,
        kvs=[key_value(kv) for kv in result.kvs],
        more=result.more,
        count=result.count,
    )


def put_response(result: PutResult, header: Header = None) -> rpc_pb2.PutResponse:
    """The answer to a Put."""
    if result.prev_kv is None:
        return rpc_pb2.PutResponse(header=header)
    return rpc_pb2.PutResponse(header=header, prev_kv=key_value(result.prev_kv))


def delete_range_response(
    result: DeleteRangeResult, header: Header = None
) -> rpc_pb2.DeleteRangeResponse:
    """The answer to a DeleteRange."""
    return rpc_pb2.DeleteRangeResponse(
        header=header,
        deleted=result.deleted,
        prev_kvs=[key_value(kv) for kv in result.prev_kvs],
    )


def txn_response(result: TxnResult, header: Header = None) -> rpc_pb2.TxnResponse:
    """The answer to a Txn."""
    return rpc_pb2.TxnResponse(
        header=header,
        succeeded=result.succeeded,
        responses=[_operation_response(response) for response in result.responses],
    )


def txn_answer(result: TxnResult) -> bytes:
    """The answer to a Txn without its header, as bytes: most of its puts say the same.

    Raises ResponseTooLargeError.
    """
    parts = [_SUCCEEDED] if result.succeeded else []
    for response in result.responses:
        if isinstance(response, PutResult) and response.prev_kv is None:
            parts.append(_plain_put_field(response.revision))
        else:
            message = serialize(_operation_response(response))
            parts += (_RESPONSES_TAG, varint(len(message)), message)
    return b"".join(parts)


@functools.lru_cache(maxsize=1)
def _plain_put_field(revision: int) -> bytes:
    header = REVISION_TAG + varint(revision)
    response = _RESPONSE_PUT_TAG + with_length(HEADER_TAG + with_length(header))
    return _RESPONSES_TAG + with_length(response)


def _operation_response(result: OperationResult) -> rpc_pb2.ResponseOp:
    # Within a txn, etcd's headers carry nothing but the revision, those of nested txns not even
    # that.
    header = rpc_pb2.ResponseHeader(revision=result.revision)
    match result:
        case RangeResult():
            return rpc_pb2.ResponseOp(response_range=range_response(result, header))
        case PutResult():
            return rpc_pb2.ResponseOp(response_put=put_response(result, header))
        case DeleteRangeResult():
            response = delete_range_response(result, header)
            return rpc_pb2.ResponseOp(response_delete_range=response)
        case TxnResult():
            empty = rpc_pb2.ResponseHeader()
            return rpc_pb2.ResponseOp(response_txn=txn_response(result, empty))
        case _:
            assert_never(result)
