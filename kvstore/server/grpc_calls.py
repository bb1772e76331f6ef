"""`Call` and `StreamCall` on top of grpc.aio: one coroutine per RPC, none in the services.

Only this module and `front` know grpc. A call ends exactly once; what a handler says after that
is ignored, because the client may leave at any moment.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError, EncodeError, Message

from kvstore.errors import KvError, MalformedRequestError, ResponseTooLargeError, StoppedError
from kvstore.rpc_errors import status_of

# Both directions are bytes: parsing is ours, so that its errors get etcd's status.
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

# Bytes of one stream that wait for its client before the handler is told to hold back, and what
# must be left of them before it may go on. A handler may overshoot by what it has in its hand.
STREAM_BLOCKED_BYTES = 1024 * 1024
STREAM_WRITABLE_BYTES = STREAM_BLOCKED_BYTES // 4


def parse(request_type: type[Message], data: bytes) -> Any:
    """The request in `data`; MalformedRequestError when it is none."""
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        raise MalformedRequestError(str(error)) from None


def serialize(response: Any) -> bytes:
    """The bytes of a response, which may be bytes already. Raises ResponseTooLargeError."""
    if isinstance(response, bytes):
        return response
    try:
        data: bytes = response.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise ResponseTooLargeError(str(error)) from None
    return data


def set_status(context: Context, error: KvError) -> None:
    """Let the call end with the status of `error`."""
    status = status_of(error)
    context.set_code(grpc.StatusCode[status.code])
    context.set_details(status.text)


def _metadata(context: Context) -> dict[str, str]:
    pairs = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}


class UnaryCall:
    """One unary RPC; `answer` waits for what the handler says."""

    def __init__(self, context: Context) -> None:
        loop = asyncio.get_running_loop()
        remaining = context.time_remaining()
        self.deadline = None if remaining is None else loop.time() + remaining
        self.metadata = _metadata(context)
        self._outcome: asyncio.Future[bytes | KvError] = loop.create_future()

    def reply(self, response: Any) -> None:
        """Answer with a message or its bytes."""
        if self._outcome.done():
            return
        try:
            self._outcome.set_result(serialize(response))
        except ResponseTooLargeError as error:
            self._outcome.set_result(error)

    def fail(self, error: KvError) -> None:
        """End with the status of `error`."""
        if not self._outcome.done():
            self._outcome.set_result(error)

    async def answer(self, context: Context) -> bytes:
        """The bytes to send; empty when the status says it all."""
        outcome = await self._outcome
        if isinstance(outcome, KvError):
            set_status(context, outcome)
            return b""
        return outcome


def _ignore(*_: Any) -> None:
    """What a stream does with what its handler does not listen to."""


class BidirectionalCall:
    """One streaming RPC: requests go to `on_request` in order, responses through a bounded queue.

    While the client does not read, its requests are not read either: each may ask for a response.
    """

    def __init__(self, request_type: type[Message], context: Context) -> None:
        self.metadata = _metadata(context)
        self.on_request: Callable[[Any], None] = _ignore
        self.on_half_closed: Callable[[], None] = _ignore
        self.on_closed: Callable[[], None] = _ignore
        self.on_writable: Callable[[], None] = _ignore
        self._request_type = request_type
        self._context = context
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._is_blocked = False
        self._is_over = False
        self._error: KvError | None = None
        self._wake_writer = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()

    @property
    def is_blocked(self) -> bool:
        """True while the client does not keep up."""
        return self._is_blocked

    def send(self, response: Any) -> None:
        """Queue one response message or its bytes."""
        if self._is_over:
            return
        try:
            data = serialize(response)
        except ResponseTooLargeError as error:
            self.fail(error)
            return
        self._outgoing.append(data)
        self._outgoing_bytes += len(data)
        if self._outgoing_bytes >= STREAM_BLOCKED_BYTES:
            self._is_blocked = True
            self._may_read.clear()
        self._wake_writer.set()

    def end(self) -> None:
        """End with OK, after what is queued."""
        self._is_over = True
        self._wake_writer.set()

    def fail(self, error: KvError) -> None:
        """End with the status of `error`; what is queued is dropped."""
        if self._is_over:
            return
        self._is_over = True
        self._error = error
        self._outgoing.clear()
        self._wake_writer.set()

    async def serve(self) -> None:
        """Carry messages both ways until either side ends the call."""
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read())
                await self._write()
                reader.cancel()
        finally:
            self._is_over = True
            self._outgoing.clear()
            self.on_closed()
        if self._error is not None:
            set_status(self._context, self._error)

    async def _read(self) -> None:
        while True:
            await self._may_read.wait()
            data: object = await self._context.read()
            if self._is_over:
                return
            if data is grpc.aio.EOF:
                self.on_half_closed()
                return
            assert isinstance(data, bytes)
            try:
                self.on_request(parse(self._request_type, data))
            except KvError as error:
                self.fail(error)
                return

    async def _write(self) -> None:
        while True:
            while self._outgoing:
                data = self._outgoing.popleft()
                await self._context.write(data)
                self._outgoing_bytes -= len(data)
                self._unblock()
            if self._is_over:
                return
            self._wake_writer.clear()
            await self._wake_writer.wait()

    def _unblock(self) -> None:
        if self._is_blocked and self._outgoing_bytes <= STREAM_WRITABLE_BYTES:
            self._is_blocked = False
            self._may_read.set()
            if not self._is_over:
                self.on_writable()


class LiveCalls:
    """The calls under way, so that a member that stops can fail them."""

    def __init__(self) -> None:
        self._calls: set[UnaryCall | BidirectionalCall] = set()
        self._is_stopping = False

    async def serve_unary(
        self,
        handler: Callable[[Any, UnaryCall], None],
        request_type: type[Message],
        data: bytes,
        context: Context,
    ) -> bytes:
        """Run one unary RPC to its end."""
        call = UnaryCall(context)
        if self._is_stopping:
            call.fail(StoppedError())
            return await call.answer(context)
        self._calls.add(call)
        try:
            handler(parse(request_type, data), call)
        except KvError as error:
            call.fail(error)
        try:
            return await call.answer(context)
        finally:
            self._calls.discard(call)

    async def serve_stream(
        self,
        handler: Callable[[BidirectionalCall], None],
        request_type: type[Message],
        _requests: Any,
        context: Context,
    ) -> None:
        """Run one streaming RPC to its end."""
        call = BidirectionalCall(request_type, context)
        if self._is_stopping:
            call.fail(StoppedError())
        else:
            handler(call)
        self._calls.add(call)
        try:
            await call.serve()
        finally:
            self._calls.discard(call)

    def stop(self) -> None:
        """Fail every call, and those that come."""
        self._is_stopping = True
        for call in list(self._calls):
            call.fail(StoppedError())
