"""Frames: how a record lies in a WAL segment or a snapshot. Pure: bytes in, bytes out.

    crc u32 | previous u32 | length u32 | kind u8 | marker 3 B | payload | end 1 B

Little-endian. `crc` is the CRC32C of length, kind, marker and payload, *chained*: it starts from
`previous`, the crc of the frame before, so a frame that was lost, doubled or moved breaks the
chain. `previous` is stored as well: any frame can thus be checked by itself, which is what finds
the good frames behind a bad one. A WAL's secret `salt` is mixed into each crc: no client can put
into a value what looks like a good frame in the rest of a torn one. The top bit of `kind` says
that the frame was the first one of its batch, and a batch is handed to the disk only when all
before it is durable.

No file, clock or asyncio here; what a payload means is none of this module's business.
"""

import struct
from collections.abc import Iterator

import google_crc32c

MARKER = b"\xa7kS"
END = b"\x5a"  # not zero: a frame whose last byte never reached the disk does not have it
FIRST_OF_BATCH = 0x80
SECTOR_BYTES = 512  # what every disk writes whole or not at all

_HEADER = struct.Struct("<IIIB3s")
_BODY = struct.Struct("<IB3s")
_CRCS = struct.Struct("<II")
_BODY_OFFSET = _CRCS.size
_MARKER_OFFSET = _HEADER.size - len(MARKER)

OVERHEAD_BYTES = _HEADER.size + len(END)


def encode_frame(kind: int, payload: bytes, chain: int, salt: int = 0) -> tuple[bytes, int]:
    """The frame that follows one with crc `chain`, and its own crc."""
    body = _BODY.pack(len(payload), kind, MARKER) + payload
    crc: int = google_crc32c.extend(chain ^ salt, body)
    return b"".join((_CRCS.pack(crc, chain), body, END)), crc


class FrameReader:
    """Iterates (kind, payload) over the good frames of `data`, and stops before the first bad one.

    `offset` is the end of the last good frame, `chain` its crc.
    """

    __slots__ = ("_data", "chain", "offset", "salt")

    def __init__(self, data: bytes, chain: int = 0, offset: int = 0, salt: int = 0) -> None:
        self._data = data
        self.chain = chain
        self.offset = offset
        self.salt = salt

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        data, size = self._data, len(self._data)
        offset, chain, salt = self.offset, self.chain, self.salt
        unpack, extend = _HEADER.unpack_from, google_crc32c.extend
        while size - offset >= OVERHEAD_BYTES:
            crc, previous, length, kind, marker = unpack(data, offset)
            end = offset + OVERHEAD_BYTES + length
            if previous != chain or marker != MARKER or end > size or data[end - 1] != END[0]:
                return
            body = data[offset + _BODY_OFFSET : end - 1]
            if extend(chain ^ salt, body) != crc:
                return
            self.offset = offset = end
            self.chain = chain = crc
            yield kind & ~FIRST_OF_BATCH, body[_BODY.size :]


def is_good_frame(data: bytes, offset: int, salt: int = 0) -> bool:
    """Tell whether a complete frame lies at `offset`, whatever came before it."""
    if offset < 0 or len(data) - offset < OVERHEAD_BYTES:
        return False
    previous: int = _CRCS.unpack_from(data, offset)[1]
    reader = FrameReader(data, previous, offset, salt)
    return next(iter(reader), None) is not None


def first_proof_of_sync(data: bytes, offset: int, salt: int = 0) -> int | None:
    """Where a good frame at or behind `offset` says that what lies before it was durable once.

    Such a frame is the first of its batch. Good frames that are not prove nothing: the disk may
    have written the end of the last batch and not its beginning when the power went.
    """
    found = data.find(MARKER, offset)
    while found >= 0:
        start = found - _MARKER_OFFSET
        is_first = data[found - 1] & FIRST_OF_BATCH
        if is_first and start >= offset and is_good_frame(data, start, salt):
            return start
        found = data.find(MARKER, found + 1)
    return None


def was_written_whole(data: bytes, offset: int, chain: int, salt: int = 0) -> bool:
    """Tell whether the bad frame at `offset`, which follows `chain`, is damaged rather than torn.

    A torn write leaves sectors unwritten, and those of a segment are zero. A frame with a sound
    header, its end mark and no sector of zeros was written whole: its bits have changed since.
    So have those of a frame whose checksum is right once one bit of its header is put right.
    """
    if len(data) - offset < OVERHEAD_BYTES:
        return False
    crc, previous, length, kind, marker = _HEADER.unpack_from(data, offset)
    end = offset + OVERHEAD_BYTES + length
    is_header_sound = previous == chain and marker == MARKER and end <= len(data)
    if is_header_sound and data[end - 1] == END[0] and not _has_zero_sector(data, offset, end):
        return True
    lengths = (length, *(length ^ 1 << bit for bit in range(32)))
    return any(
        _has_payload(data, offset, size, kind=kind, seed=chain ^ salt, crc=crc) for size in lengths
    )


def _has_zero_sector(data: bytes, start: int, end: int) -> bool:
    while start < end:
        boundary = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if is_zero(data, start, boundary):
            return True
        start = boundary
    return False


def _has_payload(data: bytes, offset: int, length: int, *, kind: int, seed: int, crc: int) -> bool:
    """Tell whether `crc` fits the frame if its header said `length` (and its end was written)."""
    end = offset + OVERHEAD_BYTES + length
    if end > len(data) or not data[end - 1]:
        return False
    body = _BODY.pack(length, kind, MARKER) + data[offset + _HEADER.size : end - 1]
    matches: bool = google_crc32c.extend(seed, body) == crc
    return matches


def is_zero(data: bytes, start: int, end: int) -> bool:
    """Tell whether a stretch was never written."""
    return data[start:end] == bytes(max(0, min(end, len(data)) - start))
