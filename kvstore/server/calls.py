"""`Call` and `StreamCall` on streams of HTTP/2: messages parsed, errors made statuses.

No task and no future: a handler is called when the request is there, and what it says goes out.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.message import DecodeError, Message

from kvstore.errors import (
    KvError,
    MalformedRequestError,
    ResponseTooLargeError,
    StoppedError,
    TooManyRequestsError,
    UnknownMethodError,
)
from kvstore.http2.connection import Connection
from kvstore.http2.grpc import Head, prefix
from kvstore.http2.stream import Stream
from kvstore.rpc_errors import status_of
from kvstore.server.call import HANDLER_FAILED, Pieces, Service
from kvstore.server.wire import serialize

logger = logging.getLogger(__name__)

# What protobuf's implementations refuse to parse.
_MESSAGE_BYTES_MAX = 2**31 - 1
# Of a path that nobody serves so much is told back.
_PATH_CHARACTERS_MAX = 128


def _bytes_of(response: Message | bytes) -> bytes:
    """The bytes of a response, which may be bytes already. Raises ResponseTooLargeError."""
    if not isinstance(response, bytes):
        return serialize(response)
    if len(response) > _MESSAGE_BYTES_MAX:
        raise ResponseTooLargeError(f"{len(response)} bytes")
    return response


def _parse(request_type: type[Message], data: bytes) -> Any:
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        raise MalformedRequestError(str(error)) from None


class Route(NamedTuple):
    """Who serves a method."""

    call_type: "type[UnaryCall] | type[BidirectionalCall]"
    handler: Callable[..., None]
    request_type: type[Message]


class _CallBase(Stream):
    __slots__ = ()

    @property
    def metadata(self) -> dict[str, str]:
        """What the client sent along; not to be changed."""
        return self.head.metadata

    def fail(self, error: KvError) -> None:
        """End with the status of `error`; what is queued is dropped."""
        status = status_of(error)
        self.end(status.code, status.text, drop_queue=True)

    def _break(self, error: Exception) -> None:
        """A handler has raised: that ends this call, and no other of the connection.

        A broken invariant goes on: it ends the process before it answers anybody.
        """
        if isinstance(error, KvError):
            self.fail(error)
        elif isinstance(error, AssertionError):
            raise error
        else:
            logger.error("a handler of %s failed", self.head.path, exc_info=error)
            self.end("UNKNOWN", HANDLER_FAILED, drop_queue=True)


class UnaryCall(_CallBase):
    """One request, one answer."""

    __slots__ = ("_message", "_route")

    def __init__(self, connection: Connection, stream_id: int, head: Head, route: Route) -> None:
        super().__init__(connection, stream_id, head)
        self._route = route
        self._message: bytes | None = None

    def message_received(self, message: bytes) -> None:
        """The request; there is one."""
        if self._message is not None:
            self.end("INTERNAL", "a unary call has one request")
        self._message = message

    def half_closed(self) -> None:
        """The request is whole: do it."""
        if self._message is None:
            self.end("INTERNAL", "a unary call without its request")
            return
        try:
            route = self._route
            route.handler(_parse(route.request_type, self._message), self)
        except Exception as error:  # noqa: BLE001 (the top of every unary call)
            self._break(error)
        self._message = b""  # it may be large, and the answer may take its time

    def reply(self, response: Any, header: bytes = b"") -> None:
        """Answer with a message or its bytes, behind those of its header; ignored when the call is
        over.

        A client that reads nothing of what it got gets no more, and an error that is short.
        """
        if not self.accepts_answer():
            return
        try:
            self.answer(header + _bytes_of(response) if header else _bytes_of(response))
        except ResponseTooLargeError as error:
            self.fail(error)

    def accepts_answer(self) -> bool:
        """Tell whether an answer will be read; a client that does not read is refused now."""
        if self.connection.sender.is_full:
            self.fail(TooManyRequestsError())
        return not self.is_ended


def _ignore(*_: Any) -> None:
    """What a stream does with what its handler does not listen to."""


class BidirectionalCall(_CallBase):
    """Requests go to `on_request` in order, responses to the client as it reads."""

    def __init__(self, connection: Connection, stream_id: int, head: Head, route: Route) -> None:
        super().__init__(connection, stream_id, head)
        self.on_request: Callable[[Any], None] = _ignore
        self.on_half_closed: Callable[[], None] = _ignore
        self.on_closed: Callable[[], None] = _ignore
        self.on_writable: Callable[[], None] = _ignore
        self._route = route

    def _run(self, handler: Callable[..., None], *arguments: Any) -> None:
        try:
            handler(*arguments)
        except Exception as error:  # noqa: BLE001 (the top of every streaming call)
            self._break(error)

    def begun(self) -> None:
        """Let the handler listen."""
        self._run(self._route.handler, self)

    def message_received(self, message: bytes) -> None:
        """One request."""
        self._run(self._on_message, message)

    def _on_message(self, message: bytes) -> None:
        self.on_request(_parse(self._route.request_type, message))

    def half_closed(self) -> None:
        """The client sends no more."""
        self._run(self.on_half_closed)

    def writable(self) -> None:
        """The client reads again."""
        self._run(self.on_writable)

    def closed(self) -> None:
        """The call is over, whoever ended it."""
        self._run(self.on_closed)

    def send(self, response: Any) -> None:
        """Send one message or its bytes."""
        try:
            super().send(_bytes_of(response))
        except ResponseTooLargeError as error:
            self.fail(error)

    def send_all(self, responses: Sequence[Pieces]) -> None:
        """Send several messages in one go: most of their cost is that of a frame."""
        parts: list[bytes] = []
        for pieces in responses:
            size = sum(map(len, pieces))
            if size > _MESSAGE_BYTES_MAX:
                self.fail(ResponseTooLargeError(f"{size} bytes"))
                return
            parts.append(prefix(size))
            parts += pieces
        self.send_prefixed(b"".join(parts))


class RefusedCall(_CallBase):
    """A call that is over as it begins."""

    def __init__(self, connection: Connection, stream_id: int, head: Head, error: KvError) -> None:
        super().__init__(connection, stream_id, head)
        self._error = error

    def begun(self) -> None:
        """Say why."""
        self.fail(self._error)


AnyCall: TypeAlias = UnaryCall | BidirectionalCall | RefusedCall


class Router:
    """Which handler serves which method."""

    def __init__(self, services: Sequence[Service]) -> None:
        self.is_stopping = False
        self._routes: dict[str, Route] = {}
        for service in services:
            for name, (attribute, request_type, kind) in service.methods.items():
                assert name not in self._routes, f"two services serve {name}"
                call_type = UnaryCall if kind == "unary" else BidirectionalCall
                handler = getattr(service.handlers, attribute)
                self._routes[name] = Route(call_type, handler, request_type)
        self._services = {name.split("/")[1] for name in self._routes}

    def open(self, connection: Connection, stream_id: int, head: Head) -> AnyCall:
        """The call that begins; one for a method that is not there says so."""
        route = self._routes.get(head.path)
        if route is None:
            return RefusedCall(connection, stream_id, head, self._unknown(head.path))
        if self.is_stopping:
            return RefusedCall(connection, stream_id, head, StoppedError())
        return route.call_type(connection, stream_id, head, route)

    def _unknown(self, name: str) -> UnknownMethodError:
        name = name[:_PATH_CHARACTERS_MAX]
        service, _, method = name.removeprefix("/").rpartition("/")
        if service in self._services:
            return UnknownMethodError(f"method {method} for service {service}")
        return UnknownMethodError(f"service {service}")
