"""Records of the WAL and of snapshot files: their payloads, and the names of the files. Pure.

What is durable is described here and nowhere else; nothing of this may do I/O.
"""

import re
from collections.abc import Sequence
from enum import IntEnum

import msgspec

from kvstore.raft.types import Entry, HardState, SnapshotMeta

FORMAT_VERSION = 1
TMP_SUFFIX = ".tmp"

_SEGMENT_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
_SNAPSHOT_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.snap")


class Identity(msgspec.Struct, frozen=True):
    """Whose data this is. Files of another member or cluster are refused."""

    cluster_id: int
    member_id: int

    def __str__(self) -> str:
        return f"member {self.member_id:x} of cluster {self.cluster_id:x}"


class RecordKind(IntEnum):
    """What a frame's payload is (below 0x80: the top bit belongs to the frame)."""

    SEGMENT_HEADER = 1
    APPEND = 2
    SNAPSHOT_MARKER = 3
    SNAPSHOT_HEADER = 4
    SNAPSHOT_CHUNK = 5
    SNAPSHOT_TRAILER = 6


class SnapshotMarker(msgspec.Struct, frozen=True, array_like=True):
    """The snapshot file of `meta` is durable and counts from here on.

    `position` is the place in the WAL from where on records are newer than the snapshot. With
    `is_log_reset` the snapshot came from a leader and voids all entries before this record.
    """

    meta: SnapshotMeta
    position: int
    is_log_reset: bool = False


class SegmentHeader(msgspec.Struct, frozen=True, array_like=True):
    """First frame of a segment: all that recovery needs of the segments before it.

    `first_index` follows the last entry of the log at the time. `position` counts the bytes of
    all records before; `chain` is the crc that the first record continues. `salt` is the WAL's
    (see `frames`): chosen with its first segment, and passed on to every later one.
    """

    version: int
    cluster_id: int
    member_id: int
    sequence: int
    first_index: int
    position: int
    chain: int
    hard_state: HardState
    snapshot: SnapshotMarker | None
    salt: int = 0


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True):
    """First frame of a snapshot file."""

    version: int
    cluster_id: int
    member_id: int
    meta: SnapshotMeta


class SnapshotTrailer(msgspec.Struct, frozen=True, array_like=True):
    """Last frame of a snapshot file; `checksum` is the CRC32C of all chunks in a row."""

    chunk_count: int
    chunk_bytes: int
    checksum: int


# One record holds a whole append: hard state and entries of one step become durable together, so
# a torn tail never leaves a commit hint without its entries, or entries without their term.
AppendRecord = tuple[HardState | None, Sequence[Entry]]

encode = msgspec.msgpack.Encoder().encode
decode_append = msgspec.msgpack.Decoder(tuple[HardState | None, list[Entry]]).decode
decode_marker = msgspec.msgpack.Decoder(SnapshotMarker).decode
decode_segment_header = msgspec.msgpack.Decoder(SegmentHeader).decode
decode_snapshot_header = msgspec.msgpack.Decoder(SnapshotHeader).decode
decode_snapshot_trailer = msgspec.msgpack.Decoder(SnapshotTrailer).decode


def segment_name(sequence: int, first_index: int) -> str:
    """Sorts by sequence."""
    return f"{sequence:016x}-{first_index:016x}.wal"


def parse_segment_name(name: str) -> tuple[int, int] | None:
    """Sequence and first index; None for a file that is no segment."""
    match = _SEGMENT_NAME.fullmatch(name)
    return (int(match[1], 16), int(match[2], 16)) if match else None


def snapshot_name(meta: SnapshotMeta) -> str:
    """Sorts by index."""
    return f"{meta.index:016x}-{meta.term:016x}.snap"


def is_snapshot_name(name: str) -> bool:
    """Tell a finished snapshot from other files."""
    return _SNAPSHOT_NAME.fullmatch(name) is not None
