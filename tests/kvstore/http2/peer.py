"""A client's end, of frames made by hand and header blocks made by PyPI's `hpack`."""

import struct
from typing import Any, NamedTuple

import hpack

from kvstore.http2.connection import Connection
from kvstore.http2.grpc import Head
from kvstore.http2.limits import Limits
from kvstore.http2.protocol import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
)
from kvstore.http2.stream import Stream
from kvstore.http2.totals import Totals

REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Echo/Put"),
    (":authority", "localhost"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def parse(data: bytes) -> list[Frame]:
    found, at = [], 0
    while at < len(data):
        high, low, kind, flags, stream_id = struct.unpack_from(">BHBBI", data, at)
        at += 9 + (high << 16 | low)
        assert at <= len(data), "whole frames only"
        found.append(Frame(kind, flags, stream_id, data[at - (high << 16 | low) : at]))
    return found


def message(payload: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(payload).to_bytes(4) + payload


class Call(Stream):
    """Notes what happens."""

    def __init__(self, connection: Connection, stream_id: int, head: Head) -> None:
        super().__init__(connection, stream_id, head)
        self.messages: list[bytes] = []
        self.happened: list[str] = []

    def message_received(self, message: bytes) -> None:
        super().message_received(message)
        self.messages.append(message)

    def half_closed(self) -> None:
        super().half_closed()
        self.happened.append("half-closed")

    def writable(self) -> None:
        super().writable()
        self.happened.append("writable")

    def closed(self) -> None:
        super().closed()
        self.happened.append("closed")


class Answering(Call):
    """Answers a unary call with its own message."""

    def half_closed(self) -> None:
        super().half_closed()
        self.answer(self.messages[0] if self.messages else b"")


class Peer:
    """One connection and its client. `now` is what the server's clock says."""

    def __init__(
        self,
        limits: Limits | None = None,
        totals: Totals | None = None,
        *,
        call_type: type[Call] = Call,
        is_greeted: bool = True,
    ) -> None:
        self.now = 100.0
        self.calls: dict[int, Call] = {}
        self.outputs = 0
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self._call_type = call_type
        self._next_id = 1
        self.totals = totals or Totals()
        self.connection = Connection(
            limits or Limits(), self.totals, self._open, self._on_output, self.now
        )
        self.greeting = parse(self.connection.sender.take())
        if is_greeted:
            self.send(PREFACE, frame(SETTINGS))
            self.take()

    def _open(self, connection: Connection, stream_id: int, head: Head) -> Stream:
        self.calls[stream_id] = self._call_type(connection, stream_id, head)
        return self.calls[stream_id]

    def _on_output(self) -> None:
        self.outputs += 1

    def send(self, *data: bytes) -> None:
        self.connection.feed(b"".join(data), self.now)

    def take(self) -> list[Frame]:
        taken = b""
        while data := self.connection.sender.take():
            taken += data
        return parse(taken)

    def headers(self, stream_id: int, fields: Any = REQUEST, *, flags: int = END_HEADERS) -> bytes:
        return frame(HEADERS, flags, stream_id, self.encoder.encode(fields))

    def next_id(self) -> int:
        stream_id = self._next_id
        self._next_id += 2
        return stream_id

    def begin(self, fields: Any = REQUEST, *, flags: int = END_HEADERS) -> Call:
        """Open a stream; the server's call."""
        stream_id = self.next_id()
        self.send(self.headers(stream_id, fields, flags=flags))
        return self.calls[stream_id]

    def data(self, call: Stream | int, payload: bytes, *, is_last: bool = False) -> None:
        stream_id = call if isinstance(call, int) else call.id
        self.send(frame(DATA, END_STREAM if is_last else 0, stream_id, payload))

    def window(self, stream_id: int, increment: int) -> None:
        self.send(frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4)))

    def settings(self, *pairs: tuple[int, int]) -> None:
        self.send(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs)))

    def fields(self, answer: Frame) -> dict[str, str]:
        return {str(name): str(value) for name, value in self.decoder.decode(answer.payload)}

    def fault(self) -> ErrorCode | None:
        """Why the server closes the connection; None while it does not."""
        goaways = [f for f in self.take() if f.kind == GOAWAY]
        assert bool(goaways) == self.connection.is_closing
        return ErrorCode(int.from_bytes(goaways[-1].payload[4:8])) if goaways else None

    def stream_fault(self, stream_id: int) -> ErrorCode | None:
        """Why the server reset a stream; None when it did not. The connection goes on."""
        assert not self.connection.is_closing
        resets = [f for f in self.take() if f.kind == RST_STREAM and f.stream_id == stream_id]
        return ErrorCode(int.from_bytes(resets[-1].payload)) if resets else None
