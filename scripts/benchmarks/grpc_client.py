"""A lean gRPC client for loads: many calls on one HTTP/2 connection, little CPU per call.

It sends what the benchmark needs (literal headers, DATA within the peer's windows) and reads no
header values: a call with a message before its trailers counts as answered, one without as failed.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
_END_STREAM, _END_HEADERS, _ACK, _PADDED = 0x1, 0x4, 0x1, 0x8
_FRAME_BYTES_MAX = 16_384
_WINDOW_MAX = 2**31 - 1
_TOP_UP_BYTES = 2**29
_SETTINGS_INITIAL_WINDOW = 0x4
_DEFAULT_WINDOW = 65_535
_HEAD = struct.Struct(">BHBBI")  # a length of 24 bits, kind, flags, stream
_HEAD_BYTES = _HEAD.size
_PREFIX_BYTES = 5  # of a gRPC message: compressed or not, length

ANSWER_SECONDS_MAX = 60.0

OnMessage = Callable[[bytes], None]
OnEnd = Callable[[bool], None]  # told whether a message came: an answer, not only a status


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return _head(kind, flags, stream, len(payload)) + payload


def _head(kind: int, flags: int, stream: int, length: int) -> bytes:
    return _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream)


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing (RFC 7541, 6.2.2); lengths below 127."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def headers(path: str) -> bytes:
    """The header block of a call."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"bench"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    return b"".join(_literal(name, value) for name, value in fields)


def message(payload: bytes) -> bytes:
    """gRPC's length-prefixed message."""
    return struct.pack(">BI", 0, len(payload)) + payload


class _Unary:
    """A call whose request has left and whose answer is not looked into."""

    __slots__ = ("is_answered", "on_end")

    def __init__(self, on_end: OnEnd) -> None:
        self.on_end = on_end
        self.is_answered = False


class _Stream:
    __slots__ = ("is_answered", "missing", "on_end", "on_message", "parts", "window")

    def __init__(self, window: int, on_message: OnMessage | None, on_end: OnEnd) -> None:
        self.window = window
        self.on_message = on_message
        self.on_end = on_end
        self.is_answered = False
        self.parts: list[bytes] = []  # of a message that is not whole yet
        self.missing = 0  # bytes of it

    def feed(self, data: bytes) -> None:
        """Cut into messages."""
        if self.parts:
            self.parts.append(data)
            self.missing -= len(data)
            if self.missing > 0:
                return
            data = b"".join(self.parts)
            self.parts.clear()
        position, end, needed = 0, len(data), _PREFIX_BYTES
        while end - position >= _PREFIX_BYTES:
            needed = _PREFIX_BYTES + int.from_bytes(data[position + 1 : position + 5], "big")
            if end - position < needed:
                break
            self.is_answered = True
            if self.on_message is not None:
                self.on_message(data[position + _PREFIX_BYTES : position + needed])
            position += needed
            needed = _PREFIX_BYTES
        if position < end:
            self.parts.append(data[position:])
            self.missing = needed - (end - position)


class GrpcConnection(asyncio.Protocol):
    """One connection; calls are started with `open` and fed with `send`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = b""
        self._streams: dict[int, _Stream] = {}
        self._unary: dict[int, _Unary] = {}
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._initial_window = _DEFAULT_WINDOW
        self._unsent: deque[tuple[int, memoryview, bool]] = deque()
        self._consumed = 0
        self._writes: list[bytes] = []
        self.is_lost = False

    # ------------------------------------------------------------------ calls

    def call(self, header_block: bytes, data: bytes, on_end: OnEnd) -> None:
        """A unary call whose answer is not looked into: the cheapest there is."""
        size, block_size = len(data), len(header_block)
        is_cut = size > self._window or size > self._initial_window or size > _FRAME_BYTES_MAX
        if is_cut or self._unsent or self.is_lost:
            self.send(self.open(header_block, None, on_end), data, last=True)
            return
        stream = self._next_stream
        self._next_stream += 2
        self._window -= size
        self._unary[stream] = _Unary(on_end)
        head = _HEAD.pack(block_size >> 16, block_size & 0xFFFF, _HEADERS, _END_HEADERS, stream)
        body = _HEAD.pack(size >> 16, size & 0xFFFF, _DATA, _END_STREAM, stream)
        if not self._writes:
            self._loop.call_soon(self._flush)
        self._writes += (head, header_block, body, data)

    def open(self, header_block: bytes, on_message: OnMessage | None, on_end: OnEnd) -> int:
        """Start a call; returns its stream id."""
        if self.is_lost:
            raise ConnectionResetError("the member hung up")
        stream = self._next_stream
        self._next_stream += 2
        self._streams[stream] = _Stream(self._initial_window, on_message, on_end)
        self._write(_frame(_HEADERS, _END_HEADERS, stream, header_block))
        return stream

    def send(self, stream: int, data: bytes, *, last: bool) -> None:
        """Send message bytes on a call, as far as the windows allow now."""
        self._unsent.append((stream, memoryview(data), last))
        self._send_unsent()

    def _send_unsent(self) -> None:
        while self._unsent:
            stream_id, data, last = self._unsent[0]
            stream = self._streams.get(stream_id)
            if stream is None:
                self._unsent.popleft()
                continue
            size = min(len(data), self._window, stream.window, _FRAME_BYTES_MAX)
            if size == 0 and data:
                return
            self._unsent.popleft()
            is_end = last and size == len(data)
            flag = _END_STREAM if is_end else 0
            self._write(_frame(_DATA, flag, stream_id, data[:size].tobytes()))
            self._window -= size
            stream.window -= size
            if size < len(data):
                self._unsent.appendleft((stream_id, data[size:], last))

    def _write(self, data: bytes) -> None:
        if not self._writes:
            self._loop.call_soon(self._flush)
        self._writes.append(data)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._writes))
        self._writes.clear()

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, with windows so large that the server never waits for us."""
        self._transport = transport  # type: ignore[assignment]
        self._loop = asyncio.get_running_loop()
        settings = struct.pack(">HI", _SETTINGS_INITIAL_WINDOW, _WINDOW_MAX)
        update = struct.pack(">I", _WINDOW_MAX - _DEFAULT_WINDOW)
        self._write(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW, 0, 0, update))

    def connection_lost(self, error: Exception | None) -> None:
        """Every call fails."""
        self.is_lost = True
        ended: list[_Stream | _Unary] = [*self._streams.values(), *self._unary.values()]
        self._streams, self._unary = {}, {}
        for call in ended:
            call.on_end(False)

    def data_received(self, data: bytes) -> None:
        """Cut into frames."""
        received = self._received + data if self._received else data
        position, end = 0, len(received)
        unary, unpack = self._unary, _HEAD.unpack_from
        while end - position >= _HEAD_BYTES:
            high, low, kind, flags, stream = unpack(received, position)
            begin = position + _HEAD_BYTES
            after = begin + (high << 16 | low)
            if after > end:
                break
            call = unary.get(stream)
            if call is None:
                self._on_frame(kind, flags, stream & _WINDOW_MAX, received[begin:after])
            else:
                if kind == _DATA and after > begin:
                    call.is_answered = True
                    self._consumed += after - begin
                # Of the other kinds none has this flag but trailers.
                if flags & _END_STREAM or kind == _RST:
                    del unary[stream]
                    call.on_end(call.is_answered and kind != _RST)
            position = after
        self._received = received[position:]
        if self._consumed > _TOP_UP_BYTES:
            self._top_up()

    def _top_up(self) -> None:
        self._write(_frame(_WINDOW, 0, 0, struct.pack(">I", self._consumed)))
        self._consumed = 0

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == _DATA:
            self._on_data(flags, stream_id, payload)
        elif kind == _HEADERS:
            if flags & _END_STREAM:
                self._end(stream_id)
        elif kind == _WINDOW:
            self._on_window(stream_id, int.from_bytes(payload, "big"))
        elif kind == _SETTINGS and not flags & _ACK:
            self._on_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self._write(_frame(_PING, _ACK, 0, payload))
        elif kind == _RST:
            self._end(stream_id)
        elif kind == _GOAWAY:
            self._transport.close()

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        assert not flags & _PADDED, "nobody pads"
        self._consumed += len(payload)
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if payload:
            stream.feed(payload)
        if flags & _END_STREAM:
            self._end(stream_id)

    def _on_window(self, stream_id: int, increment: int) -> None:
        if stream_id == 0:
            self._window += increment
        elif stream_id in self._streams:
            self._streams[stream_id].window += increment
        self._send_unsent()

    def _on_settings(self, payload: bytes) -> None:
        for position in range(0, len(payload), 6):
            identifier, value = struct.unpack_from(">HI", payload, position)
            if identifier == _SETTINGS_INITIAL_WINDOW:
                for stream in self._streams.values():
                    stream.window += value - self._initial_window
                self._initial_window = value
        self._write(_frame(_SETTINGS, _ACK, 0))
        self._send_unsent()

    def _end(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.on_end(stream.is_answered)

    def pause_reading(self) -> None:
        """Take no more bytes from the socket."""
        self._transport.pause_reading()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


async def connect(endpoint: str) -> GrpcConnection:
    """A connection to `host:port`."""
    host, _, port = endpoint.rpartition(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(GrpcConnection, host, int(port))
    return connection


async def ask(connection: GrpcConnection, method: str, data: bytes) -> bytes:
    """One unary call with its answer."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_message(received: bytes) -> None:
        if not answer.done():  # it may have been given up
            answer.set_result(received)

    def on_end(is_answered: bool) -> None:
        if not is_answered and not answer.done():
            answer.set_exception(ConnectionError(f"{method} failed"))

    stream = connection.open(headers(method), on_message, on_end)
    connection.send(stream, message(data), last=True)
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        return await answer
