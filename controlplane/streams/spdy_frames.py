"""Frames of SPDY/3.1 and the bytes that they are. PURE.

Source: "SPDY Protocol - Draft 3.1", sections 2.2 and 2.6. Blocks of headers of a connection are
one zlib stream for each direction, which starts from a dictionary that both ends know.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from enum import IntEnum

import msgspec

from controlplane.streams.spdy_dictionary import DICTIONARY
from controlplane.streams.violations import ViolationError

PROTOCOL_ERROR, INTERNAL_ERROR = 1, 2  # statuses of GOAWAY (2.6.6)

CONTROL_BYTES_MAX = 64 * 1024
"""Of a control frame as it comes; ours and kubectl's have a few hundred."""
HEADERS_BYTES_MAX = 64 * 1024
"""Of a block of headers when it is inflated: a few bytes may say millions of zeros."""
HEADERS_MAX = 100
DATA_BYTES_MAX = (1 << 24) - 1

_FIN = 1
_ID_MASK = 0x7FFFFFFF
_INITIAL_WINDOW_SIZE = 7  # id of a setting (2.6.4)
_PIECE_BYTES = 64 * 1024


class _Kind(IntEnum):
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class SynStream(msgspec.Struct, frozen=True):
    """Opens a stream. is_last: its sender sends nothing on it."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool = False
    priority: int = 0


class SynReply(msgspec.Struct, frozen=True):
    """Takes a stream."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool = False


class RstStream(msgspec.Struct, frozen=True):
    """Ends a stream at once, both ways."""

    stream: int
    status: int


class Settings(msgspec.Struct, frozen=True):
    """initial_window  None: it says nothing about that"""

    initial_window: int | None = None


class Ping(msgspec.Struct, frozen=True):
    """To be sent back as it is; whose it is its number says: odd ones are a client's."""

    number: int


class GoAway(msgspec.Struct, frozen=True):
    """Its sender takes no more streams; those up to `last` it has taken."""

    last: int
    status: int = 0


class Headers(msgspec.Struct, frozen=True):
    """Further headers of a stream."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool = False


class WindowUpdate(msgspec.Struct, frozen=True):
    """So many bytes more may be sent on a stream (0: on the connection)."""

    stream: int
    delta: int


class Data(msgspec.Struct, frozen=True):
    """Bytes of a stream: a frame, or a part of one. is_last: its sender sends no more on it."""

    stream: int
    data: bytes
    is_last: bool = False


Frame = SynStream | SynReply | RstStream | Settings | Ping | GoAway | Headers | WindowUpdate | Data


def violation(why: str) -> ViolationError:
    """The peer speaks no SPDY."""
    return ViolationError(why, PROTOCOL_ERROR)


class Decoder:
    """Frames out of the bytes of one peer. Data come as they are there, not by whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflater = zlib.decompressobj(zdict=DICTIONARY)
        self._data_left = 0
        self._data_stream, self._data_is_last = 0, False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """What has come with `data`. Raises ViolationError, after which nothing comes any more.

        To be exhausted before the next call.
        """
        self._buffer += data
        while True:
            frame = self._data_part() if self._data_left else self._next()
            if frame is None:
                return
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 8:
            return None
        first, word = struct.unpack_from(">II", buffer)
        flags, length = word >> 24, word & 0xFFFFFF
        if not first >> 31:
            del buffer[:8]
            self._data_stream, self._data_is_last = first, bool(flags & _FIN)
            self._data_left = length
            return self._data_part() if length else Data(first, b"", bool(flags & _FIN))
        version = first >> 16 & 0x7FFF
        if version != 3:
            raise violation(f"SPDY's version is 3, not {version}")
        if length > CONTROL_BYTES_MAX:
            raise violation(f"a control frame of {length} bytes")
        if len(buffer) < 8 + length:
            return None
        body = bytes(buffer[8 : 8 + length])
        del buffer[: 8 + length]
        return self._control(first & 0xFFFF, flags, body)

    def _data_part(self) -> Frame | None:
        part = bytes(self._buffer[: min(self._data_left, _PIECE_BYTES)])
        if not part:
            return None
        del self._buffer[: len(part)]
        self._data_left -= len(part)
        return Data(self._data_stream, part, self._data_is_last and not self._data_left)

    def _control(self, kind: int, flags: int, body: bytes) -> Frame:
        is_last = bool(flags & _FIN)
        match kind:
            case _Kind.SYN_STREAM:
                stream, _, priority = _unpacked(">IIB", body)
                headers = self._headers(body[10:])
                return SynStream(stream & _ID_MASK, headers, is_last, priority >> 5)
            case _Kind.SYN_REPLY:
                return SynReply(_stream(body), self._headers(body[4:]), is_last)
            case _Kind.RST_STREAM:
                stream, status = _unpacked(">II", body)
                return RstStream(stream & _ID_MASK, status)
            case _Kind.SETTINGS:
                return _settings(body)
            case _Kind.PING:
                return Ping(*_unpacked(">I", body))
            case _Kind.GOAWAY:
                last, status = _unpacked(">II", body)
                return GoAway(last & _ID_MASK, status)
            case _Kind.HEADERS:
                return Headers(_stream(body), self._headers(body[4:]), is_last)
            case _Kind.WINDOW_UPDATE:
                stream, delta = _unpacked(">II", body)
                return WindowUpdate(stream & _ID_MASK, delta & _ID_MASK)
            case _:
                raise violation(f"a frame of type {kind}")

    def _headers(self, block: bytes) -> Mapping[str, str]:
        try:
            text = self._inflater.decompress(block, HEADERS_BYTES_MAX)
        except zlib.error as error:
            raise violation(f"headers that are not compressed as SPDY has it: {error}") from None
        if self._inflater.unconsumed_tail:
            raise violation(f"more than {HEADERS_BYTES_MAX} bytes of headers")
        return _headers_of(text)


class Encoder:
    """Bytes of frames for one peer. Headers must be sent in the order in which they are made."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        """Its bytes."""
        match frame:
            case Data(stream, data, is_last):
                assert len(data) <= DATA_BYTES_MAX
                return struct.pack(">II", stream, is_last << 24 | len(data)) + data
            case SynStream(stream, headers, is_last, priority):
                body = struct.pack(">IIBB", stream, 0, priority << 5, 0) + self._block(headers)
                return _control(_Kind.SYN_STREAM, body, is_last=is_last)
            case SynReply(stream, headers, is_last):
                body = struct.pack(">I", stream) + self._block(headers)
                return _control(_Kind.SYN_REPLY, body, is_last=is_last)
            case Headers(stream, headers, is_last):
                body = struct.pack(">I", stream) + self._block(headers)
                return _control(_Kind.HEADERS, body, is_last=is_last)
            case RstStream(stream, status):
                return _control(_Kind.RST_STREAM, struct.pack(">II", stream, status))
            case Settings(window):
                rows = () if window is None else (1, _INITIAL_WINDOW_SIZE, window)
                return _control(_Kind.SETTINGS, struct.pack(f">{len(rows) or 1}I", *(rows or (0,))))
            case Ping(number):
                return _control(_Kind.PING, struct.pack(">I", number))
            case GoAway(last, status):
                return _control(_Kind.GOAWAY, struct.pack(">II", last, status))
            case WindowUpdate(stream, delta):
                return _control(_Kind.WINDOW_UPDATE, struct.pack(">II", stream, delta))

    def _block(self, headers: Mapping[str, str]) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                parts += (struct.pack(">I", len(text)), text)
        packed = self._deflater.compress(b"".join(parts))
        return packed + self._deflater.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, body: bytes, *, is_last: bool = False) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, is_last << 24 | len(body)) + body


def _unpacked(form: str, body: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, body)
    except struct.error:
        raise violation("a frame that is too short for what it says") from None


def _stream(body: bytes) -> int:
    return _unpacked(">I", body)[0] & _ID_MASK


def _settings(body: bytes) -> Settings:
    [count] = _unpacked(">I", body)
    if len(body) != 4 + 8 * count:
        raise violation(f"{count} settings in {len(body)} bytes")
    window = None
    for flags_and_id, value in struct.iter_unpack(">II", body[4:]):
        if flags_and_id & 0xFFFFFF == _INITIAL_WINDOW_SIZE:
            window = value
    return Settings(window)


def _headers_of(text: bytes) -> Mapping[str, str]:
    """Names in lower case; of a repeated value (joined by NUL) the first."""
    if not text:
        return {}
    [count] = _unpacked(">I", text)
    if count > HEADERS_MAX:
        raise violation(f"{count} headers")
    at, headers = 4, dict[str, str]()
    for _ in range(count):
        name, at = _text(text, at)
        value, at = _text(text, at)
        headers[name.lower()] = value.partition("\0")[0]
    return headers


def _text(block: bytes, at: int) -> tuple[str, int]:
    try:
        [length] = struct.unpack_from(">I", block, at)
    except struct.error:
        raise violation("a block of headers that ends too soon") from None
    text = block[at + 4 : at + 4 + length]
    if len(text) != length:
        raise violation("a block of headers that ends too soon")
    return text.decode(errors="replace"), at + 4 + length
