"""Fuzzing of the HTTP/2 front's pure half: hostile and broken clients, made from one seed.

Every connection is a mixture of sense and nonsense: whole calls, single frames of any kind, header
blocks of random bytes, and all of it with bits flipped and cut to pieces. Whatever comes, the
connection must stand or end with a GOAWAY, leave nothing behind, and answer within bounds.
"""

import random
import struct

import msgspec

from kvstore.http2 import frames, grpc, hpack, protocol
from kvstore.http2.connection import Connection
from kvstore.http2.grpc import Head
from kvstore.http2.limits import BATCH_BYTES_MAX, Limits
from kvstore.http2.stream import Stream
from kvstore.http2.totals import Totals

_INPUTS_PER_CONNECTION_MAX = 200
_MESSAGE_BYTES_MAX = 4_096
_ANSWER_BYTES = 20_000
_BUFFERED_BYTES_MAX = protocol.FRAME_BYTES_DEFAULT + protocol.FRAME_HEADER_BYTES

_BLOCK = hpack.encode(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/fuzz.Fuzz/Call"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
)


class FuzzFailure(AssertionError):  # noqa: N818 - a finding, not a fault
    """What must never happen has."""


class Report(msgspec.Struct):
    """What a run came to."""

    inputs: int = 0
    connections: int = 0
    ended_by_server: int = 0
    calls: int = 0
    messages: int = 0
    output_bytes: int = 0


class _Call(Stream):
    """A service that answers in one of the ways that services do."""

    report: Report
    dice: random.Random

    def begun(self) -> None:
        self.report.calls += 1
        if self.dice.random() < 0.1:
            self.end("UNIMPLEMENTED", "no such method")

    def message_received(self, message: bytes) -> None:
        self.report.messages += 1
        if self.dice.random() < 0.3:
            self.send(bytes(self.dice.randrange(_ANSWER_BYTES)))

    def half_closed(self) -> None:
        self.answer(b"done") if self.dice.random() < 0.8 else self.end("NOT_FOUND", "ü %")


class _Client:
    """Bytes of one client."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._next_id = 1
        self._open_id = 0  # a stream that the client has not ended
        # Mad clients are gone soon; those that are nearly sane come further.
        self._madness = dice.choice((0.0, 0.003, 0.02, 0.3))
        self._sane = (
            *(self._call, self._call, self._call, self._body, self._credit, self._half_call),
            *(self._reset, self._ping),
        )
        self._mad = (self._settings, self._data, self._window, self._headers, self._any_frame)

    def greeting(self) -> bytes:
        if self._dice.random() < self._madness / 10:
            return self._garbage()
        return protocol.PREFACE + frames.settings(())

    def more(self) -> bytes:
        """The next input: often sound, sometimes damaged, sometimes only a part."""
        makers = self._mad if self._dice.random() < self._madness else self._sane
        data = b"".join(self._dice.choice(makers)() for _ in range(self._dice.randint(1, 3)))
        if self._dice.random() < self._madness / 4:
            damaged = bytearray(data)
            for _ in range(self._dice.randint(1, 4)):
                if damaged:
                    damaged[self._dice.randrange(len(damaged))] ^= 1 << self._dice.randrange(8)
            data = bytes(damaged)
        if self._dice.random() < self._madness / 4:
            data = data[: self._dice.randrange(len(data) + 1)]
        return data

    def _call(self) -> bytes:
        """A whole unary call."""
        body = grpc.prefixed(self._bytes(300))
        head = self._head()
        return head + frames.frame(protocol.DATA, protocol.END_STREAM, self._next_id - 2, body)

    def _half_call(self) -> bytes:
        head = self._head()
        self._open_id = self._next_id - 2
        return head

    def _head(self) -> bytes:
        stream_id, self._next_id = self._next_id, self._next_id + 2
        return frames.headers(stream_id, _BLOCK, ends_stream=False)

    def _body(self) -> bytes:
        """More of a call that the server may have ended by now, and sometimes its end."""
        if not self._open_id:
            return self._half_call()
        stream_id = self._open_id
        is_last = self._dice.random() < 0.3
        if is_last:
            self._open_id = 0
        body = grpc.prefixed(self._bytes(200))
        return frames.frame(protocol.DATA, protocol.END_STREAM * is_last, stream_id, body)

    def _credit(self) -> bytes:
        return frames.window_update(0, self._dice.randrange(1, 50_000))

    def _headers(self) -> bytes:
        block = self._bytes(60) if self._dice.random() < 0.3 else _BLOCK + self._bytes(10)
        kind = self._dice.choice((protocol.HEADERS, protocol.CONTINUATION))
        return frames.frame(kind, self._flags(), self._stream_id(), block)

    def _data(self) -> bytes:
        body = grpc.prefixed(self._bytes(200))[: self._dice.randrange(206)]
        return frames.frame(protocol.DATA, self._flags(), self._stream_id(), body)

    def _window(self) -> bytes:
        increment = self._dice.choice((0, 1, 1_000, 100_000, protocol.WINDOW_MAX))
        return frames.window_update(self._dice.choice((0, self._stream_id())), increment)

    def _settings(self) -> bytes:
        value = self._dice.choice((0, 1, 100, 16_384, 65_535, 1_000_000, 2**31, 2**32 - 1))
        payload = struct.pack(">HI", self._dice.randrange(8), value)
        return frames.frame(protocol.SETTINGS, 0, 0, payload)

    def _reset(self) -> bytes:
        self._open_id = 0
        last_id = self._next_id - 2
        return frames.reset(last_id, protocol.ErrorCode.CANCEL) if last_id > 0 else b""

    def _ping(self) -> bytes:
        return frames.ping(self._dice.randbytes(8), is_ack=self._dice.random() < 0.3)

    def _any_frame(self) -> bytes:
        kind = self._dice.randrange(12)
        return frames.frame(kind, self._flags(), self._stream_id(), self._bytes(40))

    def _garbage(self) -> bytes:
        return self._bytes(50)

    def _flags(self) -> int:
        return self._dice.choice((0, 1, 4, 5, 5, 5, 8, 0x20, self._dice.randrange(256)))

    def _stream_id(self) -> int:
        return max(0, self._next_id - self._dice.choice((-2, 0, 1, 2, 2, 2, 4, 6, 20)))

    def _bytes(self, count_max: int) -> bytes:
        return self._dice.randbytes(self._dice.randrange(count_max + 1))


def run(seed: int, inputs: int) -> Report:
    """Feed so many inputs. Raises FuzzFailure, or whatever escaped, for the seed that is named."""
    dice = random.Random(seed)
    report = Report()
    totals = Totals()

    class Call(_Call):
        pass

    Call.report, Call.dice = report, dice
    while report.inputs < inputs:
        _one_connection(dice, report, totals, Call)
    return report


def _one_connection(
    dice: random.Random, report: Report, totals: Totals, call_type: type[_Call]
) -> None:
    client, now = _Client(dice), 0.0

    def open_stream(connection: Connection, stream_id: int, head: Head) -> Stream:
        return call_type(connection, stream_id, head)

    limits = Limits(
        message_bytes_max=_MESSAGE_BYTES_MAX,
        streams_max=20,
        ping_interval_min_seconds=dice.choice((0.0, 5.0)),
    )
    connection = Connection(limits, totals, open_stream, lambda: None, now)
    report.connections += 1
    data = client.greeting()
    for _ in range(_INPUTS_PER_CONNECTION_MAX):
        report.inputs += 1
        now += dice.random() * 0.01
        connection.feed(data, now)
        _drive(connection, dice, now)
        _take(connection, report)
        if connection.is_closing:
            break
        data = client.more()
    report.ended_by_server += connection.is_closing
    connection.lost()
    left = (totals.streams, totals.receiving_bytes, totals.sending_bytes, len(connection.streams))
    if any(left):
        raise FuzzFailure(f"something is left of a connection: {left}")


def _drive(connection: Connection, dice: random.Random, now: float) -> None:
    """What the transport and the clock do meanwhile."""
    match dice.randrange(30):
        case 0:
            connection.sender.pause()
        case 1 | 2 | 3:
            connection.sender.resume()
        case 4:
            connection.tick(now)
        case 5 if dice.random() < 0.1:
            connection.drain()


def _take(connection: Connection, report: Report) -> None:
    if len(connection._buffer) > _BUFFERED_BYTES_MAX:
        raise FuzzFailure(f"{len(connection._buffer)} bytes of frames that are not whole")
    while data := connection.sender.take():
        report.output_bytes += len(data)
        if len(data) > 2 * BATCH_BYTES_MAX:
            raise FuzzFailure(f"{len(data)} bytes at once")
        _check_frames(data)


def _check_frames(data: bytes) -> None:
    at = 0
    while at < len(data):
        high, low, kind, _, _ = frames.unpack_header(data, at)
        at += protocol.FRAME_HEADER_BYTES + (high << 8 | low)
        if kind > protocol.CONTINUATION:
            raise FuzzFailure(f"a frame of kind {kind} of ours")
    if at != len(data):
        raise FuzzFailure("a part of a frame of ours")
