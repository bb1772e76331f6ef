"""The client's end of a connection: calls out, answers in. Pure.

The peer is a store that its certificate names: what it may cost is not bounded here, as it is for
the server's clients; what it says must still be HTTP/2. Sections are those of RFC 9113.

A call's window is refilled as its bytes come, unless `is_held` says that its reader is behind:
then the server waits. The connection's never holds anybody back.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from kvstore.http2 import frames, grpc, hpack, limits, protocol
from kvstore.http2.grpc import MESSAGE_PREFIX_BYTES
from kvstore.http2.heads import Block
from kvstore.http2.protocol import (
    FRAME_BYTES_DEFAULT,
    FRAME_BYTES_MAX,
    FRAME_HEADER_BYTES,
    PREFACE,
    STREAM_ID_MAX,
    WINDOW_DEFAULT,
    WINDOW_MAX,
    ConnectionFaultError,
    ErrorCode,
    SettingCode,
)

CALL_WINDOW: Final = 1024 * 1024
"""Bytes that the server may send of a call beyond what was read of it."""

_STATUS: Final = b":status"
_OK: Final = b"200"
_HTTP_CODES: Final = {  # gRPC's "HTTP to gRPC Status Code Mapping"
    b"400": "INTERNAL",
    b"401": "UNAUTHENTICATED",
    b"403": "PERMISSION_DENIED",
    b"404": "UNIMPLEMENTED",
    b"429": "UNAVAILABLE",
    b"502": "UNAVAILABLE",
    b"503": "UNAVAILABLE",
    b"504": "UNAVAILABLE",
}


class Caller(Protocol):
    """Who has made a call, and is told what comes of it."""

    def message_received(self, message: bytes) -> None:
        """One message of the server."""

    def ended(self, code: str, text: str, *, is_sent: bool) -> None:
        """The call is over. `code`: gRPC's name; `is_sent`: False if surely nobody handled it."""


class ClientCall:
    """One call under way."""

    __slots__ = (
        "caller",
        "has_headers",
        "id",
        "is_closed",
        "is_held",
        "queue",
        "received",
        "send_window",
        "unread",
    )

    def __init__(self, stream_id: int, caller: Caller, send_window: int) -> None:
        self.id = stream_id
        self.caller = caller
        self.send_window = send_window
        self.queue: deque[tuple[memoryview, bool]] | None = None  # DATA that waits for a window
        self.received: bytearray | None = None  # of a message that is not complete
        self.unread = 0  # bytes that came since its window was refilled
        self.has_headers = False  # the server's have come
        self.is_held = False
        """Its reader is behind: the server is to wait."""
        self.is_closed = False
        """Our half is over."""


class ClientConnection:
    """Frames of one connection; `take` what is to be written, `feed` what comes."""

    def __init__(self, on_output: Callable[[], None]) -> None:
        """`on_output` is called when there is something to write where there was nothing."""
        self.calls: dict[int, ClientCall] = {}
        self.is_greeted = False
        """The server's settings have come: it speaks HTTP/2."""
        self.is_closing = False
        """Write what there is to `take`, then close: it is of no more use."""
        self._on_output = on_output
        self._out: list[bytes | memoryview] = []
        self._buffer = b""
        self._block: Block | None = None
        self._decoder = hpack.Decoder()
        self._known: dict[bytes, dict[bytes, bytes]] = {}
        self._generation = 0
        self._prefix = b""  # of our next header block
        self._next_id = 1
        self._is_drained = False
        self._calls_max = STREAM_ID_MAX
        self._window = WINDOW_DEFAULT
        self._initial_window = WINDOW_DEFAULT
        self._frame_bytes_max = FRAME_BYTES_DEFAULT
        self._unread = 0
        self._ready: OrderedDict[int, ClientCall] = OrderedDict()  # with data and a window for it
        settings = ((SettingCode.ENABLE_PUSH, 0), (SettingCode.INITIAL_WINDOW_SIZE, CALL_WINDOW))
        self._put(PREFACE + frames.settings(settings))
        self._put(frames.window_update(0, WINDOW_MAX - WINDOW_DEFAULT))

    @property
    def is_usable(self) -> bool:
        """Tell whether calls may begin; those under way may go on all the same."""
        return not (self.is_closing or self._is_drained) and self._next_id <= STREAM_ID_MAX

    @property
    def is_full(self) -> bool:
        """Tell whether as many calls are under way as the server allows."""
        return len(self.calls) >= self._calls_max

    # ------------------------------------------------------------------ calls

    def call(self, block: bytes, caller: Caller) -> ClientCall:
        """Begin a call by its header block."""
        assert self.is_usable
        call = ClientCall(self._next_id, caller, self._initial_window)
        self._next_id += 2
        self.calls[call.id] = call
        if self._prefix:
            block, self._prefix = self._prefix + block, b""
        self._put(frames.headers(call.id, block, ends_stream=False))
        return call

    def send(self, call: ClientCall, message: bytes, *, is_last: bool) -> None:
        """One message of a call; nothing, if that is over."""
        if call.id not in self.calls or call.is_closed:
            return
        data = grpc.prefixed(message)
        size = len(data)
        if size <= min(self._window, call.send_window, self._frame_bytes_max) and not (
            self._ready or call.queue
        ):
            self._data(call, data, is_last=is_last)
            return
        if call.queue is None:
            call.queue = deque()
        call.queue.append((memoryview(data), is_last))
        self._pump(call)

    def cancel(self, call: ClientCall) -> None:
        """Nobody wants what comes of it; its caller is told nothing."""
        if self.calls.pop(call.id, None) is not None:
            self._ready.pop(call.id, None)
            self._put(frames.reset(call.id, ErrorCode.CANCEL))

    def release(self, call: ClientCall) -> None:
        """Its reader has caught up."""
        call.is_held = False
        self._refill(call)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._put(frames.ping(b"keelson\0", is_ack=False))

    # ------------------------------------------------------------------ the driver's side

    def take(self) -> bytes:
        """The bytes to write now."""
        out, self._out = self._out, []
        return b"".join(out)

    def feed(self, data: bytes) -> None:
        """Bytes of the server. Never raises for what they are."""
        if self.is_closing:
            return
        try:
            self._feed(self._buffer + data if self._buffer else data)
        except ConnectionFaultError as fault:
            self._put(frames.goaway(0, fault.code, fault.reason))
            self.lost(str(fault))

    def lost(self, why: str, code: str = "UNAVAILABLE") -> None:
        """The transport is gone, or is to go: every call ends, and nobody knows how."""
        self.is_closing = True
        for call in list(self.calls.values()):
            self._end(call, code, why)

    # ------------------------------------------------------------------ frames

    def _feed(self, data: bytes) -> None:
        at, size = 0, len(data)
        unpack, handlers = frames.unpack_header, _HANDLERS
        while size - at >= FRAME_HEADER_BYTES:
            high, low, kind, flags, stream_id = unpack(data, at)
            start = at + FRAME_HEADER_BYTES
            end = start + (high << 8 | low)
            if end - start > FRAME_BYTES_DEFAULT:
                raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "too large")  # 4.2
            if end > size:
                break
            if not self.is_greeted and kind != protocol.SETTINGS:
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "no settings first")  # 3.4
            if self._block is not None and kind != protocol.CONTINUATION:
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "a block was cut")  # 6.10
            handler = handlers.get(kind)
            if handler is not None:  # others are to be ignored, section 4.1
                handler(self, flags, stream_id & STREAM_ID_MAX, data[start:end])
            if self.is_closing:
                return
            at = end
        self._buffer = data[at:]

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._unread += size
        if self._unread > WINDOW_MAX // 2:
            self._put(frames.window_update(0, self._unread))
            self._unread = 0
        call = self._call_of(stream_id)
        if call is None:
            return  # it crossed our own end of the call
        if not call.has_headers:
            self._break(call, "a message before the headers")  # 8.1
            return
        call.unread += size
        self._deliver(call, frames.unpadded(flags, payload))
        if flags & protocol.END_STREAM:
            self._end(call, "INTERNAL", "the answer ends without a status")
        elif not call.is_held:
            self._refill(call)

    def _call_of(self, stream_id: int) -> ClientCall | None:
        """A call under way; None for one that is over."""
        call = self.calls.get(stream_id)
        if call is None and (not stream_id & 1 or stream_id >= self._next_id):
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "no call of ours")  # 5.1
        return call

    def _deliver(self, call: ClientCall, body: bytes) -> None:
        """Whole messages to the caller; what is left is kept."""
        if call.received is None:
            size = len(body) - MESSAGE_PREFIX_BYTES
            if size >= 0 and body[0] == 0 and int.from_bytes(body[1:5]) == size:
                call.caller.message_received(body[MESSAGE_PREFIX_BYTES:])
                return
            call.received = bytearray()
        received = call.received
        received += body
        at = 0
        while len(received) - at >= MESSAGE_PREFIX_BYTES and call.id in self.calls:
            start = at + MESSAGE_PREFIX_BYTES
            if received[at]:
                self._break(call, "a message is compressed, which was not asked for")
                return
            end = start + int.from_bytes(received[at + 1 : start])
            if end > len(received):
                break
            call.caller.message_received(bytes(received[start:end]))
            at = end
        del received[:at]
        if not received:
            call.received = None

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & (protocol.PADDED | protocol.PRIORITIZED):
            payload = frames.unpadded(flags, payload)
            payload = payload[5 if flags & protocol.PRIORITIZED else 0 :]
        if flags & protocol.END_HEADERS:
            self._on_block(flags, stream_id, payload)
        else:
            self._block = Block(stream_id, payload, flags & protocol.END_STREAM)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or block.stream_id != stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "nothing to continue")  # 6.10
        block.add(payload)
        if flags & protocol.END_HEADERS:
            self._block = None
            self._on_block(block.end_stream, stream_id, bytes(block.data))

    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        """A whole header block: each is decoded, or the tables would be out of step."""
        fields = self._fields(block)
        call = self._call_of(stream_id)
        if call is None:
            return
        if not call.has_headers:
            status = fields.get(_STATUS, b"")
            if status[:1] == b"1" and not flags & protocol.END_STREAM:
                return  # there is more to come, section 8.1
            if status != _OK:
                text = f"HTTP status {status.decode('latin-1')}"
                self._break(call, text, _HTTP_CODES.get(status, "UNKNOWN"))
                return
            call.has_headers = True
        elif not flags & protocol.END_STREAM:
            self._break(call, "trailers that end nothing")  # 8.1
            return
        if flags & protocol.END_STREAM:
            code, text = grpc.status_of(fields)
            if code == "OK" and call.received:
                code, text = "INTERNAL", "the answer ends within a message"
            self._end(call, code, text)

    def _fields(self, block: bytes) -> dict[bytes, bytes]:
        """Blocks are few; the same bytes mean the same as long as the table stands."""
        known = self._known.get(block)
        if known is not None:
            return known
        fields = dict(self._decoder.decode(block))
        if self._decoder.generation != self._generation:
            self._generation = self._decoder.generation
            self._known.clear()
            return fields
        if len(self._known) >= limits.REMEMBERED_BLOCKS_MAX:
            self._known.clear()
        self._known[block] = fields
        return fields

    def _on_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        _check_size(payload, 4)  # 6.4
        call = self._call_of(stream_id)
        if call is None:
            return
        code = int.from_bytes(payload)
        # 8.7; but who has begun to answer has seen it, whatever it says.
        is_sent = code != ErrorCode.REFUSED_STREAM or call.has_headers
        call.is_closed = True  # and needs no reset of ours
        self._end(call, "UNAVAILABLE", f"the server reset the call: {code}", is_sent=is_sent)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        _check_whole(stream_id)  # 6.5
        if flags & protocol.ACK:
            return
        self.is_greeted = True
        for code, value in frames.parse_settings(payload):
            if code == SettingCode.INITIAL_WINDOW_SIZE:
                for call in self.calls.values():
                    call.send_window = _widened(call.send_window, value - self._initial_window)
                self._initial_window = _widened(0, value)
            elif code == SettingCode.MAX_FRAME_SIZE:
                if not FRAME_BYTES_DEFAULT <= value <= FRAME_BYTES_MAX:
                    raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE")  # 6.5.2
                self._frame_bytes_max = value
            elif code == SettingCode.MAX_CONCURRENT_STREAMS:
                self._calls_max = value
            elif code == SettingCode.HEADER_TABLE_SIZE and value < hpack.TABLE_BYTES:
                self._prefix = hpack.TABLE_EMPTIED  # RFC 7541, 4.2
        self._put(frames.SETTINGS_ACK)
        self._pump(*self.calls.values())

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "a push that was forbidden")  # 8.4

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        _check_whole(stream_id)  # 6.7
        _check_size(payload, 8)
        if not flags & protocol.ACK:
            self._put(frames.ping(payload, is_ack=True))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        """Calls beyond the last that it names were not handled, and never will be (6.8)."""
        _check_whole(stream_id)
        _check_size(payload[:8], 8)  # a reason may follow
        self._is_drained = True
        last = int.from_bytes(payload[:4]) & STREAM_ID_MAX
        for call in [call for call in self.calls.values() if call.id > last]:
            call.is_closed = True
            # Who has begun to answer has seen it, whatever it says.
            self._end(call, "UNAVAILABLE", "the server goes away", is_sent=call.has_headers)

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        _check_size(payload, 4)  # 6.9
        increment = int.from_bytes(payload) & WINDOW_MAX
        if not increment:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "a window that stays")  # 6.9
        if not stream_id:
            self._window = _widened(self._window, increment)
            self._pump()
            return
        call = self._call_of(stream_id)
        if call is not None:
            call.send_window = _widened(call.send_window, increment)
            self._pump(call)

    # ------------------------------------------------------------------ what goes out

    def _put(self, frame: bytes) -> None:
        if not self._out:
            self._on_output()
        self._out.append(frame)

    def _pump(self, *calls: ClientCall) -> None:
        """Send what waits as far as the windows allow; these calls may have got some."""
        for call in calls:
            if call.queue and call.send_window > 0:
                self._ready[call.id] = call
        while self._ready and self._window > 0:
            stream_id, call = self._ready.popitem(last=False)
            assert call.queue
            room = min(self._frame_bytes_max, self._window, call.send_window)
            if room <= 0:
                continue  # settings have shrunk its window since (6.9.2); an update is to come
            data, is_last = call.queue.popleft()
            if len(data) > room:
                call.queue.appendleft((data[room:], is_last))
                data, is_last = data[:room], False
            self._data(call, data, is_last=is_last)
            if call.queue and call.send_window > 0:
                self._ready[stream_id] = call

    def _data(self, call: ClientCall, data: bytes | memoryview, *, is_last: bool) -> None:
        size = len(data)
        self._window -= size
        call.send_window -= size
        call.is_closed = is_last
        self._put(frames.data_header(call.id, size, ends_stream=is_last))
        self._out.append(data)

    def _refill(self, call: ClientCall) -> None:
        if call.unread > CALL_WINDOW // 2 and call.id in self.calls:
            self._put(frames.window_update(call.id, call.unread))
            call.unread = 0

    # ------------------------------------------------------------------ ends

    def _break(self, call: ClientCall, why: str, code: str = "INTERNAL") -> None:
        """End a call of which nothing more can be understood."""
        call.is_closed = False  # so that the server is told
        self._end(call, code, why)

    def _end(self, call: ClientCall, code: str, text: str, *, is_sent: bool = True) -> None:
        if self.calls.pop(call.id, None) is None:
            return  # another call's end was its end, too
        self._ready.pop(call.id, None)
        if not call.is_closed and not self.is_closing:
            self._put(frames.reset(call.id, ErrorCode.CANCEL))
        call.caller.ended(code, text, is_sent=is_sent)


def _check_whole(stream_id: int) -> None:
    if stream_id:
        raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "it is the connection's, not a call's")


def _check_size(payload: bytes, size: int) -> None:
    if len(payload) != size:
        raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, f"not {size} bytes")


def _widened(window: int, increment: int) -> int:
    """Section 6.9.1."""
    if window + increment > WINDOW_MAX:
        raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")
    return window + increment


_Handler: TypeAlias = Callable[[ClientConnection, int, int, bytes], None]

_HANDLERS: Final[dict[int, _Handler]] = {
    protocol.DATA: ClientConnection._on_data,
    protocol.HEADERS: ClientConnection._on_headers,
    protocol.RST_STREAM: ClientConnection._on_reset,
    protocol.SETTINGS: ClientConnection._on_settings,
    protocol.PUSH_PROMISE: ClientConnection._on_push_promise,
    protocol.PING: ClientConnection._on_ping,
    protocol.GOAWAY: ClientConnection._on_goaway,
    protocol.WINDOW_UPDATE: ClientConnection._on_window_update,
    protocol.CONTINUATION: ClientConnection._on_continuation,
}
