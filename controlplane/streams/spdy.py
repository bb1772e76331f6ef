"""One end of a SPDY/3.1 connection: streams by number, and the bytes for the peer. PURE.

Source: "SPDY Protocol - Draft 3.1", section 2. kubectl (and the library that it uses) has no flow
control: it neither sends windows nor heeds them, and would be cut off for ever after 64 KiB. So a
window is heeded once a peer has shown that it knows of windows; what bounds memory in any case is
that whoever drives a connection reads no more while what came is not taken, and writes no more
while what was written is not taken.
"""

from collections import deque
from collections.abc import Iterator, Mapping

import msgspec

from controlplane.streams import spdy_frames as frames
from controlplane.streams.spdy_frames import violation

STREAMS_MAX = 1_000
"""Open ones of a connection; each further one is refused."""
WINDOW_BYTES = 64 * 1024  # of a stream, until its peer says otherwise (2.6.8)
WINDOW_BYTES_MAX = (1 << 31) - 1
DATA_BYTES = 32 * 1024
"""Of a frame that we send: others have their turns in between."""
_REFUSED_STREAM, _FLOW_CONTROL_ERROR = 3, 7  # statuses of RST_STREAM (2.6.3)


class Opened(msgspec.Struct, frozen=True):
    """The peer has opened a stream: `reply` takes it, `reset` refuses it."""

    stream: int
    headers: Mapping[str, str]


class Replied(msgspec.Struct, frozen=True):
    """The peer has taken a stream."""

    stream: int


class Received(msgspec.Struct, frozen=True):
    """Bytes of a stream. Whoever has used them says so: `consumed`."""

    stream: int
    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """The peer sends no more on a stream."""

    stream: int


class Reset(msgspec.Struct, frozen=True):
    """A stream is over, both ways."""

    stream: int


class Left(msgspec.Struct, frozen=True):
    """The peer opens no more streams."""


Event = Opened | Replied | Received | Ended | Reset | Left


class _Stream:
    __slots__ = ("held", "held_bytes", "is_ended", "is_ending", "is_finished", "unsaid", "window")

    def __init__(self, window: int) -> None:
        self.window = window  # so many bytes may be sent
        self.held: deque[bytes] = deque()  # for the window to open
        self.held_bytes = 0
        self.unsaid = 0  # bytes that were used, and the peer's window not widened by
        self.is_ending = False  # nothing follows what is held
        self.is_finished = False  # our end was sent
        self.is_ended = False  # the peer's end came


class Spdy:
    """A client's or a server's end."""

    def __init__(self, *, is_client: bool) -> None:
        self._decoder = frames.Decoder()
        self._encoder = frames.Encoder()
        self._is_client = is_client
        self._out: list[bytes] = []
        self._streams: dict[int, _Stream] = {}
        self._last_of_peer = 0
        self._next_own = 1 if is_client else 2
        self._initial_window = WINDOW_BYTES
        self._has_windows = False  # whether the peer knows of them

    # --------------------------------------------------------------- what comes

    def receive(self, data: bytes) -> Iterator[Event]:
        """What the peer says; to be exhausted. Raises ViolationError: it must be told
        `go_away(code)`, and nothing else."""
        for frame in self._decoder.feed(data):
            yield from self._taken(frame)

    def _taken(self, frame: frames.Frame) -> Iterator[Event]:
        match frame:
            case frames.Data(number, data, is_last):
                yield from self._data(number, data, is_last=is_last)
            case frames.SynStream():
                yield from self._opened(frame)
            case frames.SynReply(number, _, is_last):
                yield from self._named(number, Replied(number), is_last=is_last)
            case frames.Headers(number, _, is_last):
                yield from self._named(number, None, is_last=is_last)
            case frames.RstStream(number):
                if self._streams.pop(number, None) is not None:
                    yield Reset(number)
            case _:
                yield from self._told(frame)

    def _told(self, frame: frames.Frame) -> Iterator[Event]:
        """What is about the connection, or how much may be sent."""
        match frame:
            case frames.Ping(number):
                if bool(number % 2) is not self._is_client:
                    self._send(frame)
            case frames.GoAway():
                yield Left()
            case frames.Settings(window):
                self._set_window(window)
            case frames.WindowUpdate(number, delta):
                yield from self._widened(number, delta)

    def _named(self, number: int, event: Event | None, *, is_last: bool) -> Iterator[Event]:
        """Headers of a stream, which say nothing to us but that it is there, or ends."""
        if self._stream_of(number) is None:
            return
        if event is not None:
            yield event
        yield from self._ended(number, is_last=is_last)

    def _opened(self, frame: frames.SynStream) -> Iterator[Event]:
        number = frame.stream
        is_clients = bool(number % 2)
        if not number or is_clients is self._is_client or number <= self._last_of_peer:
            raise violation(f"it opens a stream {number} after {self._last_of_peer}")
        self._last_of_peer = number
        if len(self._streams) >= STREAMS_MAX:
            self._send(frames.RstStream(number, _REFUSED_STREAM))
            return
        self._streams[number] = _Stream(self._initial_window)
        yield Opened(number, frame.headers)
        yield from self._ended(number, is_last=frame.is_last)

    def _data(self, number: int, data: bytes, *, is_last: bool) -> Iterator[Event]:
        stream = self._stream_of(number)
        if stream is None:
            return  # it was on its way when the stream was reset
        if stream.is_ended:
            raise violation(f"data of stream {number}, which it had ended")
        if data:
            yield Received(number, data)
        yield from self._ended(number, is_last=is_last)

    def _ended(self, number: int, *, is_last: bool) -> Iterator[Event]:
        stream = self._streams.get(number)
        if is_last and stream is not None and not stream.is_ended:
            stream.is_ended = True
            self._forget_if_over(number, stream)
            yield Ended(number)

    def _stream_of(self, number: int) -> _Stream | None:
        """None: it is over. Raises ViolationError for one that there never was."""
        is_own = bool(number % 2) is self._is_client
        if not 0 < number <= (self._next_own - 2 if is_own else self._last_of_peer):
            raise violation(f"a frame of stream {number}, which nobody has opened")
        return self._streams.get(number)

    def _set_window(self, window: int | None) -> None:
        if window is None:
            return
        if window > WINDOW_BYTES_MAX:
            raise violation(f"a window of {window} bytes")
        self._has_windows = True
        by, self._initial_window = window - self._initial_window, window
        for number, stream in list(self._streams.items()):
            stream.window += by
            self._release(number, stream)

    def _widened(self, number: int, delta: int) -> Iterator[Event]:
        self._has_windows = True
        stream = self._streams.get(number)
        if stream is None:
            return  # it is over; or the connection's, which is wide enough for all of ours
        stream.window += delta
        if stream.window > WINDOW_BYTES_MAX:
            self.reset(number, _FLOW_CONTROL_ERROR)
            yield Reset(number)
            return
        self._release(number, stream)

    # --------------------------------------------------------------- what is said

    def open(self, headers: Mapping[str, str]) -> int:
        """A stream of our own; its number."""
        number = self._next_own
        self._next_own += 2
        self._streams[number] = _Stream(self._initial_window)
        self._send(frames.SynStream(number, headers))
        return number

    def reply(self, number: int) -> None:
        """Take a stream of the peer."""
        if number in self._streams:
            self._send(frames.SynReply(number, {}))

    def write(self, number: int, data: bytes) -> None:
        """Send bytes on a stream, or hold them for its window. Of one that is over: nothing."""
        stream = self._streams.get(number)
        if stream is None or stream.is_ending:
            return
        for at in range(0, len(data), DATA_BYTES):
            piece = data[at : at + DATA_BYTES]
            stream.held.append(piece)
            stream.held_bytes += len(piece)
        self._release(number, stream)

    def end(self, number: int) -> None:
        """Send no more on a stream than what was written."""
        stream = self._streams.get(number)
        if stream is not None and not stream.is_ending:
            stream.is_ending = True
            self._release(number, stream)

    def reset(self, number: int, status: int) -> None:
        """End a stream at once, both ways."""
        if self._streams.pop(number, None) is not None:
            self._send(frames.RstStream(number, status))

    def consumed(self, number: int, count: int) -> None:
        """So many bytes of what was received are used: the peer may send as many more."""
        stream = self._streams.get(number)
        if stream is None or stream.is_ended:
            return
        stream.unsaid += count
        if self._has_windows and stream.unsaid >= WINDOW_BYTES // 2:
            self._send(frames.WindowUpdate(number, stream.unsaid))
            stream.unsaid = 0

    def go_away(self, status: int = 0) -> None:
        """Take no more streams."""
        self._send(frames.GoAway(self._last_of_peer, status))

    def ping(self) -> None:
        """Ask whether the peer is alive. Its answer is no event."""
        self._send(frames.Ping(1 if self._is_client else 2))

    def held_bytes(self, number: int) -> int:
        """Of a stream: written, and held until the peer opens its window."""
        stream = self._streams.get(number)
        return 0 if stream is None else stream.held_bytes

    def take(self) -> bytes:
        """What is to be sent to the peer now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _release(self, number: int, stream: _Stream) -> None:
        while stream.held and (stream.window > 0 or not self._has_windows):
            piece = stream.held.popleft()
            if self._has_windows and len(piece) > stream.window:
                stream.held.appendleft(piece[stream.window :])
                piece = piece[: stream.window]
            stream.window -= len(piece)
            stream.held_bytes -= len(piece)
            self._send(frames.Data(number, piece))
        if stream.is_ending and not stream.held and not stream.is_finished:
            stream.is_finished = True
            self._send(frames.Data(number, b"", is_last=True))
            self._forget_if_over(number, stream)

    def _forget_if_over(self, number: int, stream: _Stream) -> None:
        if stream.is_finished and stream.is_ended:
            self._streams.pop(number, None)

    def _send(self, frame: frames.Frame) -> None:
        self._out.append(self._encoder.encode(frame))
