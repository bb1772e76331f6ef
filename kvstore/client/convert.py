"""Between the client's records and etcd's protobuf messages.

Pure. Commands go out (the records of `kvstore.commands` are the operations that a caller builds),
responses come in. Nothing here knows connections.
"""

from typing import assert_never

from kvstore.client.types import (
    DeleteResponse,
    Event,
    EventType,
    Header,
    KeyValue,
    Member,
    OperationResponse,
    PutResponse,
    RangeResponse,
    TxnResponse,
)
from kvstore.commands import (
    Compare,
    CompareTarget,
    DeleteRange,
    Operation,
    Put,
    Range,
    Txn,
)
from kvstore.pb import mvcc_pb2, rpc_pb2

_TARGET_FIELDS = {
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE: "create_revision",
    CompareTarget.MOD: "mod_revision",
    CompareTarget.VALUE: "value",
    CompareTarget.LEASE: "lease",
}


def range_request(command: Range, *, serializable: bool = False) -> rpc_pb2.RangeRequest:
    """etcd's RangeRequest."""
    return rpc_pb2.RangeRequest(
        key=command.key,
        range_end=command.range_end,
        limit=command.limit,
        revision=command.revision,
        sort_order=command.sort_order.value,  # type: ignore[arg-type]
        sort_target=command.sort_target.value,  # type: ignore[arg-type]
        serializable=serializable,
        keys_only=command.keys_only,
        count_only=command.count_only,
        min_mod_revision=command.min_mod_revision,
        max_mod_revision=command.max_mod_revision,
        min_create_revision=command.min_create_revision,
        max_create_revision=command.max_create_revision,
    )


def put_request(command: Put) -> rpc_pb2.PutRequest:
    """etcd's PutRequest."""
    return rpc_pb2.PutRequest(
        key=command.key,
        value=command.value,
        lease=command.lease,
        prev_kv=command.prev_kv,
        ignore_value=command.ignore_value,
        ignore_lease=command.ignore_lease,
    )


def delete_request(command: DeleteRange) -> rpc_pb2.DeleteRangeRequest:
    """etcd's DeleteRangeRequest."""
    return rpc_pb2.DeleteRangeRequest(
        key=command.key, range_end=command.range_end, prev_kv=command.prev_kv
    )


def txn_request(command: Txn) -> rpc_pb2.TxnRequest:
    """etcd's TxnRequest, nested txns included."""
    return rpc_pb2.TxnRequest(
        compare=[_compare(compare) for compare in command.compares],
        success=[_operation(operation) for operation in command.success],
        failure=[_operation(operation) for operation in command.failure],
    )


def _compare(compare: Compare) -> rpc_pb2.Compare:
    message = rpc_pb2.Compare(
        result=compare.result.value,  # type: ignore[arg-type]
        target=compare.target.value,  # type: ignore[arg-type]
        key=compare.key,
        range_end=compare.range_end,
    )
    setattr(message, _TARGET_FIELDS[compare.target], compare.value)
    return message


def _operation(operation: Operation) -> rpc_pb2.RequestOp:
    match operation:
        case Range():
            return rpc_pb2.RequestOp(request_range=range_request(operation))
        case Put():
            return rpc_pb2.RequestOp(request_put=put_request(operation))
        case DeleteRange():
            return rpc_pb2.RequestOp(request_delete_range=delete_request(operation))
        case Txn():
            return rpc_pb2.RequestOp(request_txn=txn_request(operation))
        case _:
            assert_never(operation)


def header(message: rpc_pb2.ResponseHeader) -> Header:
    """The header of any response."""
    return Header(
        cluster_id=message.cluster_id,
        member_id=message.member_id,
        revision=message.revision,
        raft_term=message.raft_term,
    )


def key_value(message: mvcc_pb2.KeyValue) -> KeyValue:
    """One key-value."""
    return KeyValue(
        key=message.key,
        value=message.value,
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
        version=message.version,
        lease=message.lease,
    )


def put_response(message: rpc_pb2.PutResponse) -> PutResponse:
    """Result of a put."""
    prev_kv = key_value(message.prev_kv) if message.HasField("prev_kv") else None
    return PutResponse(header(message.header), prev_kv)


def range_response(message: rpc_pb2.RangeResponse) -> RangeResponse:
    """Result of a range."""
    kvs = tuple(key_value(kv) for kv in message.kvs)
    return RangeResponse(header(message.header), kvs, message.more, message.count)


def delete_response(message: rpc_pb2.DeleteRangeResponse) -> DeleteResponse:
    """Result of a delete."""
    prev_kvs = tuple(key_value(kv) for kv in message.prev_kvs)
    return DeleteResponse(header(message.header), message.deleted, prev_kvs)


def txn_response(message: rpc_pb2.TxnResponse) -> TxnResponse:
    """Result of a txn."""
    responses = tuple(_operation_response(response) for response in message.responses)
    return TxnResponse(header(message.header), message.succeeded, responses)


def _operation_response(message: rpc_pb2.ResponseOp) -> OperationResponse:
    match message.WhichOneof("response"):
        case "response_range":
            return range_response(message.response_range)
        case "response_put":
            return put_response(message.response_put)
        case "response_delete_range":
            return delete_response(message.response_delete_range)
        case _:
            return txn_response(message.response_txn)


def event(message: mvcc_pb2.Event) -> Event:
    """One event of a watch."""
    prev_kv = key_value(message.prev_kv) if message.HasField("prev_kv") else None
    return Event(EventType(message.type), key_value(message.kv), prev_kv)


def member(message: rpc_pb2.Member) -> Member:
    """One member of the cluster."""
    return Member(
        member_id=message.ID,
        name=message.name,
        peer_urls=tuple(message.peerURLs),
        client_urls=tuple(message.clientURLs),
        is_learner=message.isLearner,
    )
