"""A raw etcd v3 client for the conformance suite: grpcio and the protobuf messages, nothing else.

It shares no code with `kvstore.client`, so a fault there cannot hide one in the server. It takes
notes of every request field sent and every error text received: `coverage_table` claims are
checked against them while the tests run.
"""

import contextlib
import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from kvstore.pb import health_pb2, rpc_pb2
from kvstore.pb.mvcc_pb2 import Event
from kvstore.pb.rpc_pb2 import (
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
    TxnResponse,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)

TIMEOUT_SECONDS = 20.0  # of one call; far above what a busy machine needs
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
Metadata = Sequence[tuple[str, str]]

_METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in (rpc_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}


class Notes:
    """What was sent (`Message.field`, `Message.enum=VALUE`) and refused (`code text`) so far."""

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.refused: set[str] = set()

    def clear(self) -> None:
        """Forget everything: a new case begins."""
        self.sent.clear()
        self.refused.clear()

    def request(self, message: Message) -> None:
        """Note the type and each field that is set, down through nested messages."""
        kind = message.DESCRIPTOR.name
        self.sent.add(kind)
        for field, value in message.ListFields():
            values = value if field.is_repeated else [value]
            self.sent.add(f"{kind}.{field.name}")
            for item in values:
                if isinstance(item, Message):
                    self.request(item)
                elif field.enum_type is not None:
                    known = field.enum_type.values_by_number.get(item)
                    name = "unknown" if known is None else known.name
                    self.sent.add(f"{kind}.{field.name}={name}")


NOTES = Notes()


class Refused(Exception):  # noqa: N818 - as in `with refused(...)`
    """An RPC that ended with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text


def refusal(error: grpc.RpcError) -> Refused:
    """The status of a failed call, noted."""
    call = cast(grpc.Call, error)
    NOTES.refused.add(f"{call.code().name} {call.details()}")
    return Refused(call.code(), call.details() or "")


@contextlib.contextmanager
def refused(code: str, text: str) -> Iterator[None]:
    """The block must end in exactly this status."""
    with pytest.raises(Refused) as caught:
        yield
    assert (caught.value.code.name, caught.value.text) == (code, text)


class Client:
    """One connection to one member."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.channel = grpc.insecure_channel(
            endpoint,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 500),
            ],
        )
        self._callables: dict[str, Any] = {}

    def close(self) -> None:
        """Close the connection; streams on it end."""
        self.channel.close()

    def callable(self, path: str) -> Any:
        """The multicallable of a method by its full path, of whatever arity it is."""
        if path not in self._callables:
            method = _METHODS[path]
            make = {
                (False, False): self.channel.unary_unary,
                (False, True): self.channel.unary_stream,
                (True, True): self.channel.stream_stream,
            }[method.client_streaming, method.server_streaming]
            self._callables[path] = make(
                path,
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
        return self._callables[path]

    def unary(
        self,
        path: str,
        request: Message,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        metadata: Metadata = (),
    ) -> Any:
        """One request, one response; raises Refused."""
        NOTES.request(request)
        try:
            return self.callable(path)(request, timeout=timeout_seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise refusal(error) from None

    def stream(self, path: str, request: Message) -> list[Any]:
        """One request, all responses of a server stream; raises Refused."""
        NOTES.request(request)
        try:
            return list(self.callable(path)(request, timeout=TIMEOUT_SECONDS))
        except grpc.RpcError as error:
            raise refusal(error) from None

    def kv(self, request: Message, **call: Any) -> Any:
        """A request of the KV service; the method follows from the type."""
        name = type(request).__name__.removesuffix("Request")
        method = "Compact" if name == "Compaction" else name
        return self.unary(f"/etcdserverpb.KV/{method}", request, **call)

    def range(self, key: bytes, range_end: bytes = b"", **options: Any) -> RangeResponse:
        """KV.Range."""
        response = self.kv(RangeRequest(key=key, range_end=range_end, **options))
        return cast(RangeResponse, response)

    def put(self, key: bytes, value: bytes = b"", **options: Any) -> PutResponse:
        """KV.Put."""
        return cast(PutResponse, self.kv(PutRequest(key=key, value=value, **options)))

    def delete(self, key: bytes, range_end: bytes = b"", **options: Any) -> DeleteRangeResponse:
        """KV.DeleteRange."""
        request = DeleteRangeRequest(key=key, range_end=range_end, **options)
        return cast(DeleteRangeResponse, self.kv(request))

    def txn(
        self,
        compares: Sequence[Compare] = (),
        success: Sequence[RequestOp] = (),
        failure: Sequence[RequestOp] = (),
    ) -> TxnResponse:
        """KV.Txn."""
        request = TxnRequest(compare=compares, success=success, failure=failure)
        return cast(TxnResponse, self.kv(request))

    def compact(self, revision: int, *, physical: bool = False) -> rpc_pb2.CompactionResponse:
        """KV.Compact."""
        request = rpc_pb2.CompactionRequest(revision=revision, physical=physical)
        return cast(rpc_pb2.CompactionResponse, self.kv(request))

    def lease(self, request: Message, **call: Any) -> Any:
        """A unary request of the Lease service."""
        name = type(request).__name__.removesuffix("Request")
        return self.unary(f"/etcdserverpb.Lease/{name}", request, **call)

    def maintenance(self, request: Message, **call: Any) -> Any:
        """A unary request of the Maintenance service."""
        name = type(request).__name__.removesuffix("Request")
        return self.unary(f"/etcdserverpb.Maintenance/{name}", request, **call)

    def revision(self) -> int:
        """The store's revision now."""
        return self.range(b"\0", count_only=True).header.revision


class BidirectionalStream:
    """A stream in both directions; responses are read by a thread into a queue."""

    def __init__(self, client: Client, path: str, metadata: Metadata = ()) -> None:
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._responses: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._call = client.callable(path)(iter(self._requests.get, None), metadata=metadata)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for response in self._call:
                self._responses.put(response)
            self._responses.put(None)
        except grpc.RpcError as error:
            self._responses.put(refusal(error))

    def send(self, request: Message) -> None:
        """Send one request; requests are handled in order."""
        NOTES.request(request)
        self._requests.put(request)

    def half_close(self) -> None:
        """Tell the server that no more requests follow."""
        self._requests.put(None)

    def receive(self, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
        """The next response; raises Refused or EOFError at the stream's end."""
        try:
            response = self._responses.get(timeout=timeout_seconds)
        except queue.Empty:
            raise AssertionError(f"nothing arrived in {timeout_seconds} s") from None
        if isinstance(response, Refused):
            raise response
        if response is None:
            raise EOFError
        return response

    def waiting(self) -> list[Any]:
        """The responses that are here already."""
        return list(iter(self._take_or_none, None))

    def _take_or_none(self) -> Any:
        with contextlib.suppress(queue.Empty):
            return self._responses.get_nowait()
        return None

    def close(self) -> None:
        """Cancel the stream."""
        self._requests.put(None)
        self._call.cancel()
        self._reader.join()


class WatchStream(BidirectionalStream):
    """A Watch stream: many watchers, told apart by their ids."""

    def __init__(self, client: Client, metadata: Metadata = ()) -> None:
        super().__init__(client, "/etcdserverpb.Watch/Watch", metadata)

    def create(self, key: bytes, range_end: bytes = b"", **options: Any) -> None:
        """Ask for a watcher."""
        request = WatchCreateRequest(key=key, range_end=range_end, **options)
        self.send(WatchRequest(create_request=request))

    def created(self, key: bytes, range_end: bytes = b"", **options: Any) -> WatchResponse:
        """Ask for a watcher and take its `created` response, which must come next."""
        self.create(key, range_end, **options)
        response = self.receive()
        assert response.created
        assert not response.canceled, response
        return cast(WatchResponse, response)

    def cancel(self, watch_id: int) -> None:
        """Ask to end a watcher."""
        self.send(WatchRequest(cancel_request=WatchCancelRequest(watch_id=watch_id)))

    def progress(self) -> None:
        """Ask for the stream's progress."""
        self.send(WatchRequest(progress_request=WatchProgressRequest()))

    def responses_until(self, count: int) -> list[WatchResponse]:
        """Responses with events until these hold at least `count` events."""
        responses: list[WatchResponse] = []
        while sum(len(response.events) for response in responses) < count:
            response = self.receive()
            assert response.events, f"not events: {response}"
            responses.append(response)
        return responses

    def events(self, count: int) -> list[Any]:
        """The next `count` events, none more, of all the stream's watchers together."""
        responses = self.responses_until(count)
        events = list(itertools.chain.from_iterable(one.events for one in responses))
        assert len(events) == count, events
        return events


class KeepAliveStream(BidirectionalStream):
    """A LeaseKeepAlive stream."""

    def __init__(self, client: Client, metadata: Metadata = ()) -> None:
        super().__init__(client, "/etcdserverpb.Lease/LeaseKeepAlive", metadata)

    def keep_alive(self, lease_id: int) -> rpc_pb2.LeaseKeepAliveResponse:
        """Renew once."""
        self.send(rpc_pb2.LeaseKeepAliveRequest(ID=lease_id))
        return cast(rpc_pb2.LeaseKeepAliveResponse, self.receive())


def op_put(key: bytes, value: bytes = b"", **options: Any) -> RequestOp:
    """A put inside a txn."""
    return RequestOp(request_put=PutRequest(key=key, value=value, **options))


def op_range(key: bytes, range_end: bytes = b"", **options: Any) -> RequestOp:
    """A range inside a txn."""
    return RequestOp(request_range=RangeRequest(key=key, range_end=range_end, **options))


def op_delete(key: bytes, range_end: bytes = b"", **options: Any) -> RequestOp:
    """A delete inside a txn."""
    request = DeleteRangeRequest(key=key, range_end=range_end, **options)
    return RequestOp(request_delete_range=request)


def op_txn(
    compares: Sequence[Compare] = (),
    success: Sequence[RequestOp] = (),
    failure: Sequence[RequestOp] = (),
) -> RequestOp:
    """A txn inside a txn."""
    return RequestOp(
        request_txn=TxnRequest(compare=compares, success=success, failure=failure),
    )


def end_of(prefix: bytes) -> bytes:
    """The end of a prefix's range (prefixes of this suite end in `/`)."""
    return prefix[:-1] + b"0"


def summary(events: Sequence[Event]) -> list[tuple[str, bytes, bytes]]:
    """Type, key and value of each event."""
    return [(Event.EventType.Name(e.type), e.kv.key, e.kv.value) for e in events]
