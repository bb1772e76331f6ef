"""The peer port's bytes, pure: frames, the handshake, the parts of a snapshot.

A frame is a length (four bytes, big-endian) and as many bytes; length 0 is a sign of life. The
first frame each way is the handshake in MessagePack. Then a connection carries either messages
(opaque to this layer), or one snapshot: header, chunks, end; or one introduction, for a member
that does not know its own id yet. No sockets, no clock, never pickle.
"""

import struct
import zlib
from enum import IntEnum
from typing import TypeVar

import msgspec

from kvstore.raft.codec import DECODE_ERRORS

MAGIC = "keelson-peer"
PROTOCOL_VERSION = 3

# Nobody is known before the handshake, so nobody may make us hold more than this.
HANDSHAKE_BYTES_MAX = 4 * 1024
# Room for the largest AppendEntries: one entry of `--max-request-bytes` many times over.
FRAME_BYTES_MAX = 64 * 1024 * 1024
# Chunks are at most 256 KiB by contract; a header names a membership, an introduction its members.
SNAPSHOT_FRAME_BYTES_MAX = 4 * 1024 * 1024

_LENGTH = struct.Struct(">I")
_LENGTH_BYTES = _LENGTH.size
SIGN_OF_LIFE = b"\0" * _LENGTH_BYTES
# One read of a socket; larger frames get a buffer of their own.
_BUFFER_BYTES = 256 * 1024
# A large frame's buffer grows with what has really arrived, so that a mere length costs nothing.
_GROWTH_FACTOR = 2


_Record = TypeVar("_Record")


class FrameError(Exception):
    """The other side does not speak our protocol."""


class Purpose(IntEnum):
    """What a connection is for."""

    MESSAGES = 0
    SNAPSHOT = 1
    INTRODUCTION = 2


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """First frame of who called; for an introduction all ids are 0."""

    magic: str
    version: int
    cluster_id: int
    sender: int
    receiver: int
    purpose: Purpose


class Welcome(msgspec.Struct, frozen=True, array_like=True):
    """First frame of who was called. `refusal` is empty when the connection stands."""

    magic: str
    version: int
    cluster_id: int
    member_id: int
    refusal: str = ""
    is_removed: bool = False  # the caller is no member any more, for good


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """First frame of a snapshot."""

    header: bytes


class SnapshotEnd(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """Last frame of a snapshot: what must have arrived."""

    size: int
    crc: int


class SnapshotReply(msgspec.Struct, frozen=True, array_like=True):
    """What became of a snapshot. `refusal` is empty when it is stored."""

    refusal: str = ""


# Chunks go without MessagePack, behind one byte that no fixarray begins with.
_CHUNK_MARK = b"\xc1"

_hello_decoder = msgspec.msgpack.Decoder(Hello)
_welcome_decoder = msgspec.msgpack.Decoder(Welcome)
_snapshot_decoder: msgspec.msgpack.Decoder[SnapshotHeader | SnapshotEnd] = msgspec.msgpack.Decoder(
    SnapshotHeader | SnapshotEnd
)
_reply_decoder = msgspec.msgpack.Decoder(SnapshotReply)
_encoder = msgspec.msgpack.Encoder()


def frame(payload: bytes) -> bytes:
    """A payload with its length in front."""
    return _LENGTH.pack(len(payload)) + payload


def record_frame(record: Hello | Welcome | SnapshotHeader | SnapshotEnd | SnapshotReply) -> bytes:
    """A record of this layer as a frame."""
    return frame(_encoder.encode(record))


def chunk_frame(chunk: bytes) -> bytes:
    """A snapshot's chunk as a frame."""
    assert len(chunk) < SNAPSHOT_FRAME_BYTES_MAX, "snapshot chunk too large"
    return b"".join((_LENGTH.pack(len(chunk) + 1), _CHUNK_MARK, chunk))


def read_hello(payload: bytes) -> Hello:
    """Decode the caller's first frame."""
    hello = _decode(_hello_decoder, payload)
    _check_magic(hello.magic)
    return hello


def read_welcome(payload: bytes) -> Welcome:
    """Decode the answer to it."""
    welcome = _decode(_welcome_decoder, payload)
    _check_magic(welcome.magic)
    return welcome


def read_reply(payload: bytes) -> SnapshotReply:
    """Decode the answer to a snapshot."""
    return _decode(_reply_decoder, payload)


def read_snapshot_part(payload: bytes) -> SnapshotHeader | SnapshotEnd | bytes:
    """Decode one frame of a snapshot; bytes are a chunk."""
    if payload.startswith(_CHUNK_MARK):
        return payload[1:]
    return _decode(_snapshot_decoder, payload)


def _decode(decoder: msgspec.msgpack.Decoder[_Record], payload: bytes) -> _Record:
    try:
        return decoder.decode(payload)
    except DECODE_ERRORS as error:
        raise FrameError(f"not a frame of ours: {error}") from None


def _check_magic(magic: str) -> None:
    if magic != MAGIC:
        raise FrameError("not a member of a keelson cluster")


class SnapshotSum:
    """Size and CRC-32 of the chunks so far, on both sides."""

    def __init__(self) -> None:
        self.size = 0
        self.crc = 0

    def add(self, chunk: bytes) -> None:
        """Count a chunk in."""
        self.size += len(chunk)
        self.crc = zlib.crc32(chunk, self.crc)

    def end(self) -> SnapshotEnd:
        """The last frame for these chunks."""
        return SnapshotEnd(self.size, self.crc)


class FrameReader:
    """Cuts a byte stream into frames, with as few copies as BufferedProtocol allows.

    `buffer()` is where the next bytes go, `received(count)` says how many came, `next_frame()`
    takes frames out until it returns None. `frame_bytes_max` may be raised in between (after the
    handshake).
    """

    def __init__(self, frame_bytes_max: int = HANDSHAKE_BYTES_MAX) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._buffer = bytearray(_BUFFER_BYTES)
        self._start = 0
        self._end = 0
        self._large: bytearray | None = None  # a frame that outgrows the buffer
        self._large_length = 0
        self._large_filled = 0

    def buffer(self) -> memoryview:
        """Room for the next bytes, never empty."""
        if self._large is not None:
            if self._large_filled == len(self._large):
                self._large = self._grown(self._large)
            return memoryview(self._large)[self._large_filled :]
        return memoryview(self._buffer)[self._end :]

    def received(self, count: int) -> None:
        """Take in that many bytes of `buffer()`."""
        if self._large is not None:
            self._large_filled += count
        else:
            self._end += count

    def next_frame(self) -> bytes | None:
        """One whole frame (empty = a sign of life); None = more bytes are needed."""
        if self._large is not None:
            return self._take_large()
        available = self._end - self._start
        if available < _LENGTH_BYTES:
            self._make_room()
            return None
        body = self._start + _LENGTH_BYTES
        (length,) = _LENGTH.unpack_from(self._buffer, self._start)
        if length > self.frame_bytes_max:
            raise FrameError(f"a frame of {length} bytes (at most {self.frame_bytes_max})")
        if available >= _LENGTH_BYTES + length:
            self._start = body + length
            return bytes(memoryview(self._buffer)[body : self._start])
        if _LENGTH_BYTES + length > len(self._buffer):
            self._begin_large(body, length)
        else:
            self._make_room()
        return None

    def _make_room(self) -> None:
        """Move what is left to the front, so that the buffer's end is free again."""
        if self._start == 0:
            return
        rest = self._end - self._start
        self._buffer[:rest] = self._buffer[self._start : self._end]
        self._start, self._end = 0, rest

    def _begin_large(self, body: int, length: int) -> None:
        filled = self._end - body
        self._large = bytearray(min(_BUFFER_BYTES, length))
        self._large[:filled] = self._buffer[body : self._end]
        self._large_length, self._large_filled = length, filled
        self._start = self._end = 0

    def _grown(self, full: bytearray) -> bytearray:
        # A new one instead of a resize: a transport may still hold a view of the old one.
        larger = bytearray(min(self._large_length, _GROWTH_FACTOR * len(full)))
        larger[: len(full)] = full
        return larger

    def _take_large(self) -> bytes | None:
        assert self._large is not None
        if self._large_filled < self._large_length:
            return None
        whole = bytes(self._large)
        self._large = None
        return whole
