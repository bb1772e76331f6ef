"""One connection of a client: frames in, calls to streams, frames out. Pure.

`feed` takes bytes as they come; streams are made by `open_stream` as calls begin, and told what
happens by their methods. What is to be written waits in `sender`. A fault of the peer ends
its stream or its connection, and nothing else: `is_closing` says that the driver should write what
is left and close. Sections are those of RFC 9113.
"""

from collections.abc import Callable
from typing import TypeAlias

from kvstore.http2 import frames, grpc, limits, protocol
from kvstore.http2.grpc import Head
from kvstore.http2.heads import Block, Heads
from kvstore.http2.limits import Bucket, Limits
from kvstore.http2.pings import KEEPALIVE_PAYLOAD, Pings
from kvstore.http2.protocol import (
    FRAME_BYTES_DEFAULT,
    FRAME_HEADER_BYTES,
    PREFACE,
    STREAM_ID_MAX,
    WINDOW_DEFAULT,
    WINDOW_MAX,
    ConnectionFaultError,
    ErrorCode,
    SettingCode,
    StreamFaultError,
)
from kvstore.http2.receiver import Receiver
from kvstore.http2.sender import Sender
from kvstore.http2.stream import Stream
from kvstore.http2.totals import Totals

OpenStream: TypeAlias = "Callable[[Connection, int, Head], Stream]"


class Connection:
    """The server's end. Times are seconds of the driver's clock, given with each call."""

    def __init__(
        self,
        limits_: Limits,
        totals: Totals,
        open_stream: OpenStream,
        on_output: Callable[[], None],
        now: float,
    ) -> None:
        """`on_output` is called when there is something to write where there was nothing."""
        self.limits = limits_
        self.stream_window = limits_.stream_window
        self.totals = totals
        self.now = self._heard = now
        self.is_closing = False
        self.streams: dict[int, Stream] = {}
        self.sender = Sender(totals, on_output, self._on_sent, self._on_writable)
        self.receiver = Receiver(limits_, totals, self.sender)
        self._open_stream = open_stream
        self._buffer = b""
        self._is_greeted = False
        self._handlers = _FIRST  # of the frames that may come now, by kind
        self._heads = Heads()
        self._block: Block | None = None
        self._last_id = 0
        self._drained_id = STREAM_ID_MAX  # streams beyond are refused
        self._forgotten: dict[int, None] = {}
        self._forgotten_below = 0  # what is older may have been one of them
        self._answers_counted = 0
        self._sent_before_ping = 0
        self._resets = Bucket(limits.RESETS_BURST, limits.RESETS_PER_SECOND, now)
        self._idle_frames = Bucket(limits.IDLE_FRAMES_BURST, limits.IDLE_FRAMES_PER_SECOND, now)
        self._pings = Pings(limits_)
        totals.enter(self)
        self.sender.put(
            frames.settings(
                (
                    (SettingCode.MAX_CONCURRENT_STREAMS, limits_.streams_max),
                    (SettingCode.INITIAL_WINDOW_SIZE, limits_.stream_window),
                    (SettingCode.MAX_HEADER_LIST_SIZE, limits.HEADER_LIST_BYTES_MAX),
                )
            )
            + frames.window_update(0, self.receiver.window - WINDOW_DEFAULT)
        )

    @property
    def stream_count(self) -> int:
        """See `Holder`."""
        return len(self.streams)

    @property
    def receiving_bytes(self) -> int:
        """See `Holder`."""
        return self.receiver.held_bytes

    @property
    def sending_bytes(self) -> int:
        """See `Holder`."""
        return self.sender.queued_bytes

    @property
    def is_done(self) -> bool:
        """Tell whether no call is under way and all that was answered is taken."""
        return not self.streams and self.sender.is_empty

    # ------------------------------------------------------------------ the driver's side

    def feed(self, data: bytes, now: float) -> None:
        """Bytes of the peer. Never raises for what they are."""
        if self.is_closing:
            return
        self.now = self._heard = now
        try:
            self._feed(self._buffer + data if self._buffer else data)
        except ConnectionFaultError as fault:
            self._fail(fault)
        self.totals.relieve()

    def tick(self, now: float) -> None:
        """Time passes: deadlines of calls, keep-alive (gRPC A9)."""
        if self.is_closing:
            return
        self.now = now
        timed = [s for s in self.streams.values() if s.deadline is not None and s.deadline <= now]
        for stream in timed:
            if stream.is_ended:
                self.reset(stream, ErrorCode.CANCEL)  # the answer is there, and nobody takes it
            else:
                stream.end("DEADLINE_EXCEEDED", "context deadline exceeded", drop_queue=True)
        try:
            if self._pings.is_due(now, self._heard):
                self.sender.put(frames.ping(KEEPALIVE_PAYLOAD, is_ack=False))
        except ConnectionFaultError as fault:
            self._fail(fault)
        self.totals.relieve()

    def drain(self) -> None:
        """Take no new streams (section 6.8); those under way may end."""
        if not self.is_closing and self._drained_id == STREAM_ID_MAX:
            self._drained_id = self._last_id
            self.sender.put(frames.goaway(self._last_id, ErrorCode.NO_ERROR, "the member stops"))

    def lost(self) -> None:
        """The transport is gone: every call ends."""
        self.is_closing = True
        self.totals.leave(self)
        for stream in list(self.streams.values()):
            self._close(stream)

    def give_up(self) -> None:
        """End: this connection holds most of what the process has too little of."""
        self._fail(ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "the server is full"))

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End one stream of ours without a status."""
        if not stream.is_over:
            self._forget(stream.id)
            self._close(stream)
            self.sender.put(frames.reset(stream.id, code))

    # ------------------------------------------------------------------ frames

    def _feed(self, data: bytes) -> None:
        if not self._is_greeted:
            if not data.startswith(PREFACE[: len(data)]):
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "no preface")  # 3.4
            if len(data) < len(PREFACE):
                self._buffer = data
                return
            self._is_greeted = True
            data = data[len(PREFACE) :]
        at, size = 0, len(data)
        sender = self.sender
        while size - at >= FRAME_HEADER_BYTES:
            high, low, kind, flags, stream_id = frames.unpack_header(data, at)
            start = at + FRAME_HEADER_BYTES
            at = start + (high << 8 | low)
            if at - start > FRAME_BYTES_DEFAULT:
                raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "too large")  # 4.2
            if at > size:
                at = start - FRAME_HEADER_BYTES
                break
            handler = self._handlers.get(kind, Connection._on_other)
            stream_id &= STREAM_ID_MAX
            try:
                handler(self, flags, stream_id, data[start:at])
            except StreamFaultError as fault:
                self._fail_stream(stream_id, fault)
            if sender.held_bytes > limits.HELD_BYTES_MAX:
                text = "too much to answer for one who does not read"
                raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, text)
        self._buffer = data[at:]

    def _on_other(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        """A frame of a kind that may not come now, or that is to be ignored (section 4.1)."""
        if self._handlers is _FIRST:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "no settings first")  # 3.4
        if self._handlers is _WITHIN_BLOCK:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "a block was interrupted")  # 6.10
        self._count_idle_frame()

    def _on_first_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & protocol.ACK:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "no settings first")  # 3.4
        self._handlers = _HANDLERS
        self._on_settings(flags, stream_id, payload)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self.receiver.count(size)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_closed(stream_id)
            return
        if stream.is_half_closed:
            raise StreamFaultError(ErrorCode.STREAM_CLOSED, "DATA after the end")  # 5.1
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFaultError(ErrorCode.FLOW_CONTROL_ERROR, "more than the window")  # 6.9.1
        body = frames.unpadded(flags, payload) if flags & protocol.PADDED else payload
        if flags & protocol.END_STREAM:
            stream.is_half_closed = True
            self.receiver.deliver(stream, body)
            self._half_close(stream)
            return
        self.receiver.deliver(stream, body)
        # A first part may be small: some clients send a message's prefix by itself.
        is_middle = stream.received is not None and len(stream.received) > len(body)
        if len(body) < limits.CRUMB_BYTES and (is_middle or not body):
            self._count_idle_frame()
        if not stream.is_over:
            self.receiver.refill(stream)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "not a client's stream")  # 5.1.1
        if flags & (protocol.PADDED | protocol.PRIORITIZED):
            payload = frames.unpadded(flags, payload)
            if flags & protocol.PRIORITIZED:
                if len(payload) < 5:
                    raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "half a priority")
                payload = payload[5:]
        if flags & protocol.END_HEADERS:
            self._on_block(stream_id, payload, flags & protocol.END_STREAM)
        else:
            self._block = Block(stream_id, payload, flags & protocol.END_STREAM)
            self._handlers = _WITHIN_BLOCK

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or block.stream_id != stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "nothing to continue")  # 6.10
        block.add(payload)
        if flags & protocol.END_HEADERS:
            self._block = None
            self._handlers = _HANDLERS
            self._on_block(stream_id, bytes(block.data), block.end_stream)

    def _on_block(self, stream_id: int, block: bytes, end_stream: int) -> None:
        """A whole header block; `end_stream` is the flag that came with it."""
        if stream_id > self._last_id:
            self._last_id = stream_id
            head = self._heads.head(block)
            if stream_id <= self._drained_id:  # or the peer was told, section 6.8
                self._begin(stream_id, head, end_stream)
            return
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_trailers(stream, block, end_stream)
        else:
            self._heads.fields(block)  # or the tables would be out of step
            self._check_closed(stream_id)

    def _begin(self, stream_id: int, head: Head, end_stream: int) -> None:
        if len(self.streams) >= self.limits.streams_max or self.sender.is_full:
            raise StreamFaultError(ErrorCode.REFUSED_STREAM, "too much under way")  # 8.7
        if head.refusal is not None:
            self.sender.refuse(stream_id, head.refusal)
            if not end_stream:
                self._forget(stream_id)
                self.sender.put(frames.reset(stream_id, ErrorCode.NO_ERROR))  # 8.1
            return
        stream = self._open_stream(self, stream_id, head)
        if head.timeout_seconds is not None:
            stream.deadline = self.now + head.timeout_seconds
        self.streams[stream_id] = stream
        self.totals.streams += 1
        if head.size > limits.SMALL_HEAD_BYTES:
            self.receiver.hold(stream, head.size)
        stream.begun()
        if end_stream:
            self._half_close(stream)

    def _on_trailers(self, stream: Stream, block: bytes, end_stream: int) -> None:
        fields = self._heads.fields(block)
        if stream.is_half_closed:
            raise StreamFaultError(ErrorCode.STREAM_CLOSED, "HEADERS after the end")  # 5.1
        if not end_stream:
            raise StreamFaultError(ErrorCode.PROTOCOL_ERROR, "trailers that end nothing")  # 8.1
        grpc.check_trailers(fields)
        self._half_close(stream)

    def _half_close(self, stream: Stream) -> None:
        stream.is_half_closed = True
        if stream.received and stream.is_blocked:
            return  # requests wait until answers are read, and the end waits behind them
        if stream.received:
            stream.end("INTERNAL", "the request ends within a message")
        elif not stream.is_ended:
            stream.half_closed()

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._count_idle_frame()  # deprecated, section 5.3.2
        if not stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "PRIORITY of no stream")  # 6.3
        if len(payload) != 5:
            self._check_not_idle(stream_id)  # or we would reset what never was
            raise StreamFaultError(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of another size")  # 6.3

    def _on_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM")  # 6.4
        self._check_not_idle(stream_id)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._count_idle_frame()  # it crossed our own end of the stream
            return
        self._count_reset()
        self._close(stream)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._count_idle_frame()
        if stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "SETTINGS of a stream")  # 6.5
        if flags & protocol.ACK:
            if payload:
                raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "an ACK of more")  # 6.5
            return
        window = None
        for code, value in frames.parse_settings(payload):
            if code == SettingCode.INITIAL_WINDOW_SIZE:
                window = value
                if value > WINDOW_MAX:
                    raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE")
            else:
                self._apply_setting(code, value)
        if window is not None:  # the last one counts: each costs a walk over all streams
            self._count_idle_frame(1 + len(self.streams) // limits.STREAMS_PER_IDLE_FRAME)
            self.sender.resize_windows(window, self.streams.values())
        self.sender.put(frames.SETTINGS_ACK)

    def _apply_setting(self, code: int, value: int) -> None:
        """Section 6.5.2. Unknown ones are ignored; limits on what servers begin mean nothing."""
        if code == SettingCode.HEADER_TABLE_SIZE:
            self.sender.table_size(value)
        elif code == SettingCode.ENABLE_PUSH:
            if value > 1:
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH")
        elif code == SettingCode.MAX_FRAME_SIZE:
            if not FRAME_BYTES_DEFAULT <= value <= protocol.FRAME_BYTES_MAX:
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE")
            self.sender.frame_bytes_max = value

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "a client's push")  # 8.4

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "PING of a stream")  # 6.7
        if len(payload) != 8:
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "PING")  # 6.7
        if flags & protocol.ACK:
            self._count_idle_frame()
            return
        self.sender.put(frames.ping(payload, is_ack=True))
        if self.sender.sent_count != self._sent_before_ping:
            # Clients measure the way with a ping for what comes.
            self._sent_before_ping = self.sender.sent_count
            self._pings.welcome(self.now)
        else:
            self._count_idle_frame()
            self._pings.judge(self.now, has_calls=bool(self.streams))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "GOAWAY of a stream")  # 6.8
        if len(payload) < 8:
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY")  # 6.8
        self._count_idle_frame()  # it begins no more streams, or so it says; the rest goes on

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE")  # 6.9
        increment = int.from_bytes(payload) & WINDOW_MAX
        if increment < limits.CRUMB_BYTES:
            self._count_idle_frame()
        if not stream_id:
            if not increment:
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "an update of none")  # 6.9
            self.sender.credit(increment)
            return
        self._check_not_idle(stream_id)
        stream = self.streams.get(stream_id)
        if stream is not None:
            if not increment:
                raise StreamFaultError(ErrorCode.PROTOCOL_ERROR, "an update of none")  # 6.9
            self.sender.credit_stream(stream, increment)

    # ------------------------------------------------------------------ ends

    def _check_not_idle(self, stream_id: int) -> None:
        if not stream_id or stream_id > self._last_id or not stream_id & 1:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "an idle stream")  # 5.1

    def _check_closed(self, stream_id: int) -> None:
        """Bear what was sent before the peer knew that we had ended the stream (section 5.1)."""
        self._check_not_idle(stream_id)
        is_remembered = stream_id in self._forgotten or stream_id < self._forgotten_below
        if not is_remembered and stream_id <= self._drained_id:
            raise ConnectionFaultError(ErrorCode.STREAM_CLOSED, "a closed stream")

    def _count_idle_frame(self, count: int = 1) -> None:
        answers = self.sender.answer_count
        self._idle_frames.refill((answers - self._answers_counted) * limits.IDLE_FRAMES_PER_ANSWER)
        self._answers_counted = answers
        if not self._idle_frames.take(self.now, count):
            raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "too many idle frames")

    def _count_reset(self) -> None:
        if not self._resets.take(self.now):
            raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "too many resets")

    def _on_sent(self, stream: Stream) -> None:
        """Our half is over; so is the peer's, if it means to send more (section 8.1)."""
        if not stream.is_half_closed:
            self._forget(stream.id)
            self.sender.put(frames.reset(stream.id, ErrorCode.NO_ERROR))
        self._close(stream)

    def _on_writable(self, stream: Stream) -> None:
        """The peer reads again: what it asked for meanwhile comes next."""
        stream.writable()
        if stream.received is not None and not stream.is_ended:
            self.receiver.resume(stream)
            if stream.is_half_closed and not stream.is_over:
                self._half_close(stream)
        if not stream.is_half_closed and not stream.is_over:
            self.receiver.refill(stream)

    def _close(self, stream: Stream) -> None:
        if stream.is_over:
            return  # another stream's end was its end, too
        stream.is_over = stream.is_ended = True
        del self.streams[stream.id]
        self.totals.streams -= 1
        if stream.received is not None or stream.head_bytes:
            self.receiver.drop(stream)
        if stream.queue:
            self.sender.drop_queue(stream)
        stream.closed()

    def _forget(self, stream_id: int) -> None:
        self._forgotten[stream_id] = None
        if len(self._forgotten) > limits.FORGOTTEN_STREAMS_MAX:
            oldest = next(iter(self._forgotten))
            del self._forgotten[oldest]
            self._forgotten_below = max(self._forgotten_below, oldest + 1)

    def _fail_stream(self, stream_id: int, fault: StreamFaultError) -> None:
        self._count_reset()
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._close(stream)
        self._forget(stream_id)
        self.sender.put(frames.reset(stream_id, fault.code))

    def _fail(self, fault: ConnectionFaultError) -> None:
        self.sender.put(frames.goaway(self._last_id, fault.code, fault.reason))
        self.lost()


Handlers: TypeAlias = dict[int, Callable[[Connection, int, int, bytes], None]]

_HANDLERS: Handlers = {
    protocol.DATA: Connection._on_data,
    protocol.HEADERS: Connection._on_headers,
    protocol.PRIORITY: Connection._on_priority,
    protocol.RST_STREAM: Connection._on_reset,
    protocol.SETTINGS: Connection._on_settings,
    protocol.PUSH_PROMISE: Connection._on_push_promise,
    protocol.PING: Connection._on_ping,
    protocol.GOAWAY: Connection._on_goaway,
    protocol.WINDOW_UPDATE: Connection._on_window_update,
    protocol.CONTINUATION: Connection._on_continuation,
}
_FIRST: Handlers = {protocol.SETTINGS: Connection._on_first_settings}
_WITHIN_BLOCK: Handlers = {protocol.CONTINUATION: Connection._on_continuation}
