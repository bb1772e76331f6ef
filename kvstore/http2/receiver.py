"""The incoming half of a connection: flow control, and messages out of DATA frames. Pure.

A stream's window is as large as a message may be, so none waits for credit halfway. The
connection's is refilled as bytes come, because messages of many streams arrive interleaved: what
of them is incomplete is bounded by itself.
"""

from typing import Final

from kvstore.http2 import frames, limits
from kvstore.http2.grpc import MESSAGE_PREFIX_BYTES
from kvstore.http2.limits import Limits
from kvstore.http2.protocol import ConnectionFaultError, ErrorCode, StreamFaultError
from kvstore.http2.sender import Sender
from kvstore.http2.stream import Stream
from kvstore.http2.totals import Totals

CONNECTION_WINDOW: Final = 16 * 1024 * 1024


class Receiver:
    """Bodies of requests of one connection."""

    def __init__(self, limits_: Limits, totals: Totals, sender: Sender) -> None:
        self.window = CONNECTION_WINDOW
        self._stream_window = limits_.stream_window
        self._message_bytes_max = limits_.message_bytes_max
        self._totals = totals
        self._sender = sender
        self.held_bytes = 0
        """Of messages that are not complete, and of long heads."""
        self._held_bytes_max = max(limits.RECEIVING_BYTES_MAX, 2 * limits_.message_bytes_max)

    def count(self, size: int) -> None:
        """DATA came, padding and all, for whatever stream (RFC 9113, 6.9.1)."""
        self.window -= size
        if self.window < 0:
            raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, "more than the window")
        if self.window < CONNECTION_WINDOW // 2:
            self._sender.put(frames.window_update(0, CONNECTION_WINDOW - self.window))
            self.window = CONNECTION_WINDOW

    def refill(self, stream: Stream) -> None:
        """Let the peer send more, unless it does not read what it gets for it."""
        missing = self._stream_window - stream.receive_window
        if missing > self._stream_window // 2 and not stream.is_blocked:
            stream.receive_window += missing
            self._sender.put(frames.window_update(stream.id, missing))

    def deliver(self, stream: Stream, body: bytes) -> None:
        """Hand whole messages to the stream, keep what is left."""
        if stream.is_ended:
            return
        if stream.received is None and not stream.is_blocked:
            size = len(body) - MESSAGE_PREFIX_BYTES
            if size >= 0 and body[0] == 0 and int.from_bytes(body[1:5]) == size:
                if size <= self._message_bytes_max:
                    stream.message_received(body[MESSAGE_PREFIX_BYTES:])
                else:
                    self._refuse_size(stream, size)
                return
        if stream.received is None:
            stream.received = bytearray()
        stream.received += body
        self._count(len(body))
        self._split(stream, stream.received)

    def resume(self, stream: Stream) -> None:
        """Go on with what came while the stream was blocked."""
        assert stream.received is not None
        self._split(stream, stream.received)

    def _split(self, stream: Stream, received: bytearray) -> None:
        at = 0
        while (
            len(received) - at >= MESSAGE_PREFIX_BYTES
            and not stream.is_ended
            and not stream.is_blocked
        ):
            start = at + MESSAGE_PREFIX_BYTES
            size = int.from_bytes(received[at + 1 : start])
            if not self._may_be(stream, received[at], size) or start + size > len(received):
                break
            at = start + size
            stream.message_received(bytes(received[start:at]))
        if stream.is_over:
            return  # and what there was is dropped
        del received[:at]
        self._count(-at)
        if not received:
            stream.received = None
        elif self._is_full:
            stream.end("RESOURCE_EXHAUSTED", "grpc: too many requests are incomplete")

    def hold(self, stream: Stream, size: int) -> None:
        """A head that is long costs as much as a message of its size."""
        stream.head_bytes = size
        self._count(size)
        if self._is_full:
            raise StreamFaultError(ErrorCode.REFUSED_STREAM, "too much is under way")  # 8.7

    def drop(self, stream: Stream) -> None:
        """Forget what there is of a message, and the head."""
        if stream.head_bytes:
            self._count(-stream.head_bytes)
            stream.head_bytes = 0
        if stream.received is not None:
            self._count(-len(stream.received))
            stream.received = None

    @property
    def _is_full(self) -> bool:
        return self.held_bytes > self._held_bytes_max

    def _count(self, size: int) -> None:
        self.held_bytes += size
        self._totals.receiving_bytes += size

    def _may_be(self, stream: Stream, flag: int, size: int) -> bool:
        """Refuse a message by its prefix."""
        if flag > 1:
            stream.end("INTERNAL", f"grpc: received unexpected payload format {flag}")
        elif flag == 1:
            encoding = stream.head.encoding
            text = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
            stream.end("UNIMPLEMENTED", text)
        elif size > self._message_bytes_max:
            self._refuse_size(stream, size)
        return not stream.is_ended

    def _refuse_size(self, stream: Stream, size: int) -> None:
        most = self._message_bytes_max
        text = f"grpc: received message larger than max ({size} vs. {most})"
        stream.end("RESOURCE_EXHAUSTED", text)
