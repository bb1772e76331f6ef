"""Connections to ports of a pod over one connection of kubectl. PURE.

For each that somebody makes to kubectl, it opens two streams of SPDY that share a `requestid`: one
for bytes, one on which it is told if there is no such connection. Frames of SPDY go as they are
(kubectl up to 1.30), or in messages of a WebSocket.

Source: kubectl-needs.md, "port-forward"; kube-behaviour 10.7.
"""

from typing import Protocol

import msgspec

from controlplane.streams import spdy, websocket
from controlplane.streams.spdy import Spdy
from controlplane.streams.violations import ViolationError
from controlplane.streams.websocket import WebSocket

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"SPDY/3.1+{PROTOCOL}"
"""The subprotocol of a WebSocket that carries SPDY."""

_PROTOCOL_ERROR = 1  # a status of RST_STREAM


class Wanted(msgspec.Struct, frozen=True):
    """A connection to a port is asked for. number: of its bytes, in all that follows"""

    number: int
    port: int


class Received(msgspec.Struct, frozen=True):
    """Bytes for it. Whoever has passed them on says so: `consumed`."""

    number: int
    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """No more of them."""

    number: int


class Dropped(msgspec.Struct, frozen=True):
    """Nobody wants it any more."""

    number: int


class Left(msgspec.Struct, frozen=True):
    """The client asks for no more."""


Event = Wanted | Received | Ended | Dropped | Left


class Carrier(Protocol):
    """What frames of SPDY are carried by."""

    def unwrap(self, data: bytes) -> tuple[bytes, bool]:
        """Frames out of what came; True: nothing follows. Raises ViolationError."""

    def wrap(self, frames: bytes) -> bytes:
        """What is to be sent for frames, and for what came before."""

    def end(self, error: ViolationError | None) -> bytes:
        """What is to be sent when nothing follows."""


class Bare:
    """The connection itself."""

    def unwrap(self, data: bytes) -> tuple[bytes, bool]:
        """As it is."""
        return data, False

    def wrap(self, frames: bytes) -> bytes:
        """As it is."""
        return frames

    def end(self, error: ViolationError | None) -> bytes:
        """Frames have said it."""
        return b""


class Tunnel:
    """Messages of a WebSocket; where a frame begins in them does not matter."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def unwrap(self, data: bytes) -> tuple[bytes, bool]:
        """Messages' content."""
        parts, is_closed = [], False
        for event in self._socket.receive(data):
            match event:
                case websocket.Message(message):
                    parts.append(message)
                case websocket.Closed():
                    is_closed = True
        return b"".join(parts), is_closed

    def wrap(self, frames: bytes) -> bytes:
        """One message."""
        if frames:
            self._socket.send(frames)
        return self._socket.take()

    def end(self, error: ViolationError | None) -> bytes:
        """A close frame."""
        if error is None:
            self._socket.close()
        else:
            self._socket.close(websocket.PROTOCOL_ERROR, error.why)
        return self._socket.take()


class Forwarding:
    """The server's end."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._spdy = Spdy(is_client=False)
        self._errors: dict[str, int] = {}  # request id -> stream of errors whose bytes are to come
        self._error_of: dict[int, int] = {}  # stream of bytes -> stream of errors
        self._last: list[bytes] = []

    def receive(self, data: bytes) -> list[Event]:
        """What the client says. Raises ViolationError: `break_off` tells it."""
        frames, is_closed = self._carrier.unwrap(data)
        events = [event for one in self._spdy.receive(frames) for event in self._events(one)]
        return [*events, Left()] if is_closed else events

    def _events(self, event: spdy.Event) -> list[Event]:
        match event:
            case spdy.Opened(number, headers):
                kind, request = headers.get("streamtype", ""), headers.get("requestid", "")
                return self._opened(number, kind, request, headers.get("port", ""))
            case spdy.Received(number, data):
                if number in self._error_of:
                    return [Received(number, data)]
                self._spdy.consumed(number, len(data))  # nobody has anything to say on the other
            case spdy.Ended(number) if number in self._error_of:
                return [Ended(number)]
            case spdy.Reset(number) if number in self._error_of:
                self.end(number)
                return [Dropped(number)]
            case spdy.Reset(number):
                self._errors = {key: one for key, one in self._errors.items() if one != number}
            case spdy.Left():
                return [Left()]
        return []

    def _opened(self, number: int, kind: str, request: str, port: str) -> list[Event]:
        is_port = port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 1 << 16
        is_first = kind == "error" and request not in self._errors
        is_second = kind == "data" and request in self._errors
        if not (is_port and (is_first or is_second)):
            self._spdy.reset(number, _PROTOCOL_ERROR)
            return []
        self._spdy.reply(number)
        if is_first:
            self._errors[request] = number
            return []
        self._error_of[number] = self._errors.pop(request)
        return [Wanted(number, int(port))]

    def ping(self) -> None:
        """Ask whether the client is alive. Its answer is no event."""
        self._spdy.ping()

    def write(self, number: int, data: bytes) -> None:
        """What came from the port."""
        self._spdy.write(number, data)

    def end(self, number: int, problem: str = "") -> None:
        """The connection is over, or there is none: why."""
        error = self._error_of.pop(number, None)
        self._spdy.end(number)
        if error is not None:
            self._spdy.write(error, problem.encode())
            self._spdy.end(error)

    def break_off(self, error: ViolationError) -> None:
        """Say what cannot be understood. Nothing follows."""
        self._spdy.go_away(error.code)
        self._last += (self._carrier.wrap(self._spdy.take()), self._carrier.end(error))

    def consumed(self, number: int, count: int) -> None:
        """So many bytes have been passed on to the port."""
        self._spdy.consumed(number, count)

    def is_held(self, number: int) -> bool:
        """Whether the client has to take more of a connection before more of it is written."""
        return self._spdy.held_bytes(number) > 0

    def take(self) -> bytes:
        """What is to be sent to the client now."""
        last, self._last = self._last, []
        return b"".join((*last, self._carrier.wrap(self._spdy.take())))
