"""The outgoing half of a connection: frames, both flow-control windows, who waits for them. Pure.

What fits goes out at once; the rest waits in its stream's queue and goes frame by frame, the
streams taking turns. Nothing goes out while the transport is full (`pause`).
"""

import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Final

from kvstore.http2 import frames, hpack
from kvstore.http2.grpc import MESSAGE_PREFIX_BYTES, RESPONSE_HEADERS, TRAILERS_OK, prefixed
from kvstore.http2.limits import (
    BATCH_BYTES_MAX,
    SENDING_BYTES_MAX,
    STREAM_BLOCKED_BYTES,
    STREAM_WRITABLE_BYTES,
)
from kvstore.http2.protocol import (
    FRAME_BYTES_DEFAULT,
    WINDOW_DEFAULT,
    WINDOW_MAX,
    ConnectionFaultError,
    ErrorCode,
    StreamFaultError,
)
from kvstore.http2.stream import Stream
from kvstore.http2.totals import Totals

# A unary answer is three frames around a message, most of whose bytes are the same each time.
_HEADERS_START: Final = frames.headers(0, RESPONSE_HEADERS, ends_stream=False)[:5]
_TRAILERS_START: Final = frames.headers(0, TRAILERS_OK, ends_stream=True)[:5]
# HEADERS; the head of DATA: length, kind and flags, stream; gRPC's prefix: not compressed, length.
_ANSWER_HEAD: Final = struct.Struct(f">5sI{len(RESPONSE_HEADERS)}sBHHIBI")
_ANSWER_TAIL: Final = struct.Struct(f">5sI{len(TRAILERS_OK)}s")
_ANSWER_FRAME_BYTES: Final = _ANSWER_HEAD.size + _ANSWER_TAIL.size - MESSAGE_PREFIX_BYTES


class Sender:
    """Frames on their way to one peer."""

    def __init__(
        self,
        totals: Totals,
        on_output: Callable[[], None],
        on_sent: Callable[[Stream], None],
        on_writable: Callable[[Stream], None],
    ) -> None:
        """`on_output`: there is something to `take`. `on_sent`: a stream's last frame is out.
        `on_writable`: a stream is no longer blocked."""
        self.window = WINDOW_DEFAULT
        self.initial_window = WINDOW_DEFAULT
        self.frame_bytes_max = FRAME_BYTES_DEFAULT
        self.queued_bytes = 0
        self.is_paused = False
        self.sent_count = 0
        """Grows with what is sent: pings are judged by whether there was anything before them."""
        self.answer_count = 0
        """Messages, or some together, that the server has had to say, whenever they leave."""
        self.held_bytes = 0
        """Of frames that no window holds back, and that nobody has taken yet."""
        self._totals = totals
        self._on_output = on_output
        self._on_sent = on_sent
        self._on_writable = on_writable
        self._out: list[bytes | memoryview] = []
        self._ready: OrderedDict[int, Stream] = OrderedDict()  # with data, and a window for it
        self._block_prefix = b""
        self._data_bytes = 0  # of bodies in `_out`

    @property
    def has_output(self) -> bool:
        """Tell whether there is something to take."""
        return bool(self._out)

    @property
    def is_full(self) -> bool:
        """Tell whether so much waits that no more should be taken on."""
        return self.queued_bytes >= SENDING_BYTES_MAX

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing waits, neither for a window nor to be taken."""
        return not self._out and not self.queued_bytes

    def take(self) -> bytes:
        """The bytes to write now; there may be more after them."""
        out, self._out = self._out, []
        self._data_bytes = self.held_bytes = 0
        if self._ready:
            self.pump()
        return b"".join(out)

    def put(self, frame: bytes) -> None:
        """A frame that no window holds back."""
        if not self._out:
            self._on_output()
        self.held_bytes += len(frame)
        self._out.append(frame)

    # ------------------------------------------------------------------ answers

    def answer(self, stream: Stream, message: bytes) -> None:
        """Headers, one message, trailers."""
        length = len(message)
        size = length + MESSAGE_PREFIX_BYTES
        if (
            size > self.frame_bytes_max
            or size > self.window
            or size > stream.send_window
            or self._ready
            or self.is_paused
            or self._block_prefix
            or self._data_bytes > BATCH_BYTES_MAX
        ):
            self.body(stream, prefixed(message))
            self.end(stream, TRAILERS_OK)
            return
        self.window -= size
        self._data_bytes += size
        self.held_bytes += _ANSWER_FRAME_BYTES
        self.sent_count += 1
        self.answer_count += 1
        if not self._out:
            self._on_output()
        stream_id = stream.id
        high, low = size >> 16, size & 0xFFFF
        self._out += (
            _ANSWER_HEAD.pack(
                _HEADERS_START, stream_id, RESPONSE_HEADERS, high, low, 0, stream_id, 0, length
            ),
            message,
            _ANSWER_TAIL.pack(_TRAILERS_START, stream_id, TRAILERS_OK),
        )
        self._on_sent(stream)

    def body(self, stream: Stream, data: bytes) -> None:
        """Prefixed messages, after headers if there were none yet."""
        if not stream.has_headers:
            stream.has_headers = True
            self._headers(stream.id, RESPONSE_HEADERS, ends_stream=False)
        self.answer_count += 1
        size = len(data)
        if (
            not stream.queue
            and size <= self.window
            and size <= stream.send_window
            and not self._ready
            and not self.is_paused
            and self._data_bytes + size <= BATCH_BYTES_MAX
        ):
            most = self.frame_bytes_max
            if size <= most:
                self._data(stream, data)
                return
            view = memoryview(data)
            for start in range(0, size, most):
                self._data(stream, view[start : start + most])
            return
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(memoryview(data))
        self._count(stream, size)
        if stream.send_window > 0:
            self._ready[stream.id] = stream
        # If this sends anything, nothing was ready before: no other stream is called from here.
        self.pump()
        is_full = self.is_full or self._totals.is_sending_full
        if stream.queued_bytes >= STREAM_BLOCKED_BYTES or (stream.queue and is_full):
            stream.is_blocked = True

    def end(self, stream: Stream, block: bytes) -> None:
        """The last header block, after what is queued."""
        if stream.queue:
            stream.final_block = block
        else:
            self._headers(stream.id, block, ends_stream=True)
            self._on_sent(stream)

    def refuse(self, stream_id: int, block: bytes) -> None:
        """Answer what never became a stream."""
        self._headers(stream_id, block, ends_stream=True)

    def drop_queue(self, stream: Stream) -> None:
        """Forget what waits."""
        self._count(stream, -stream.queued_bytes)
        stream.queue = stream.final_block = None
        self._ready.pop(stream.id, None)

    def _headers(self, stream_id: int, block: bytes, *, ends_stream: bool) -> None:
        self.sent_count += 1
        if self._block_prefix:
            block = self._block_prefix + block
            self._block_prefix = b""
        self.put(frames.headers(stream_id, block, ends_stream=ends_stream))

    # ------------------------------------------------------------------ flow control

    def pause(self) -> None:
        """The transport is full."""
        self.is_paused = True

    def resume(self) -> None:
        """The transport takes bytes again."""
        self.is_paused = False
        self.pump()

    def credit(self, increment: int) -> None:
        """The peer takes more on the whole connection (RFC 9113, 6.9.1)."""
        if self.window + increment > WINDOW_MAX:
            raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")
        self.window += increment
        self.pump()

    def credit_stream(self, stream: Stream, increment: int) -> None:
        """The peer takes more on one stream."""
        if stream.send_window + increment > WINDOW_MAX:
            raise StreamFaultError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")
        stream.send_window += increment
        if stream.queue and stream.send_window > 0:
            self._ready[stream.id] = stream
            self.pump()

    def resize_windows(self, size: int, streams: Iterable[Stream]) -> None:
        """The peer's initial window is another: so are those of all streams (6.9.2)."""
        change = size - self.initial_window
        self.initial_window = size
        for stream in streams:
            stream.send_window += change
            if stream.send_window > WINDOW_MAX:
                raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")
            if stream.queue and stream.send_window > 0:
                self._ready[stream.id] = stream
            else:
                self._ready.pop(stream.id, None)
        self.pump()

    def table_size(self, size: int) -> None:
        """Our blocks need no table: say so where the peer's grew smaller (RFC 7541, 4.2)."""
        if size < hpack.TABLE_BYTES:
            self._block_prefix = hpack.TABLE_EMPTIED

    def pump(self) -> None:
        """Send of what waits as much as the windows allow, a frame a stream in turn."""
        writable = []
        while (
            self._ready
            and self.window > 0
            and not self.is_paused
            and self._data_bytes < BATCH_BYTES_MAX
        ):
            stream_id, stream = self._ready.popitem(last=False)
            self._send_from(stream)
            if stream.queue and stream.send_window > 0:
                self._ready[stream_id] = stream
            if stream.is_blocked and stream.queued_bytes <= STREAM_WRITABLE_BYTES:
                stream.is_blocked = False
                writable.append(stream)
            if not stream.queue and stream.final_block is not None:
                self._headers(stream_id, stream.final_block, ends_stream=True)
                self._on_sent(stream)
        for stream in writable:
            if not stream.is_ended:
                self._on_writable(stream)

    def _send_from(self, stream: Stream) -> None:
        queue = stream.queue
        assert queue
        room = min(self.frame_bytes_max, self.window, stream.send_window)
        data = queue.popleft()
        if len(data) > room:
            queue.appendleft(data[room:])
            data = data[:room]
        self._count(stream, -len(data))
        self._data(stream, data)

    def _data(self, stream: Stream, data: bytes | memoryview) -> None:
        """One frame, whose body is copied when it is taken and not before."""
        size = len(data)
        self.window -= size
        stream.send_window -= size
        self._data_bytes += size
        self.sent_count += 1
        self.put(frames.data_header(stream.id, size))
        self._out.append(data)

    def _count(self, stream: Stream, size: int) -> None:
        stream.queued_bytes += size
        self.queued_bytes += size
        self._totals.sending_bytes += size
