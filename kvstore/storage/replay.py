"""Replay: what the segments of a WAL say. Pure: bytes in, state out; files are read elsewhere.

Torn tail or damage? A crash may tear only the *last batch of the last segment*: a batch goes to
the disk when all before it is durable. So bytes behind the last good frame of the last segment
are a torn tail, cut off and forgotten (nobody was promised anything about them), unless

1. a good frame behind them is the first of its batch: what lies before it was durable, so it has
   been damaged since; or
2. the bad frame was written whole, all its sectors and its end mark, but its checksum is wrong
   (or right again once a bit of its header is): no torn write looks so.

Then, and for bad bytes in any other segment, recovery refuses: to go on would forget a vote or an
acknowledged write. (A whole sector of the very last batch that turned to zeros, or the header of
its last record to garbage, looks like a torn write; no log can tell those apart.)
"""

from collections.abc import Sequence
from typing import NoReturn

import msgspec

from kvstore.errors import DataFolderError, WalCorruptError
from kvstore.raft.types import Entry, HardState, SnapshotMeta
from kvstore.storage import records
from kvstore.storage.frames import (
    FrameReader,
    first_proof_of_sync,
    is_zero,
    was_written_whole,
)
from kvstore.storage.records import Identity, RecordKind, SegmentHeader, SnapshotMarker

REMEDY = (
    "Nothing was changed on disk. If the other members are healthy, replace this member: etcdctl "
    "member remove, etcdctl member add, then start it with an empty --data-dir and "
    "--initial-cluster-state=existing; else restore the cluster from a backup"
)


class Recovery(msgspec.Struct, frozen=True):
    """What survived: `entries` are contiguous and all newer than the snapshot."""

    hard_state: HardState
    snapshot: SnapshotMeta | None
    entries: list[Entry]


class Replay:
    """Feed it the segments in order, then ask for `recovery()`."""

    def __init__(self, identity: Identity) -> None:
        self.hard_state = HardState()
        self.snapshot: SnapshotMarker | None = None
        self.chain = 0
        self.salt = 0
        self.position = 0
        self.void_before = 0  # segments of a lower sequence hold nothing but voided entries
        self.identity = identity
        self._first: SegmentHeader | None = None
        self._sequence = 0
        self._base = 0  # index before the first of `_entries`
        self._entries: list[Entry] = []

    @property
    def last_index(self) -> int:
        """Index of the last entry so far."""
        return self._base + len(self._entries)

    def segment(self, name: str, data: bytes, *, is_last: bool) -> int:
        """Replay one segment; returns where its good bytes end."""
        reader = FrameReader(data)
        header = self._header(name, reader)
        start = reader.offset
        reader.chain, reader.salt = header.chain, header.salt
        for kind, payload in reader:
            try:
                self._record(name, reader.offset, kind, payload)
            except msgspec.DecodeError as error:
                _refuse(name, reader.offset, f"a record of kind {kind} is unreadable ({error})")
        self.chain, self.salt = reader.chain, reader.salt
        self.position = header.position + reader.offset - start
        if not is_zero(data, reader.offset, len(data)):
            _check_tail(name, data, reader, is_last=is_last)
        return reader.offset

    def recovery(self) -> Recovery:
        """All that counts, once every segment has been fed."""
        if self.snapshot is None:
            if self._base:
                raise WalCorruptError(
                    f"the WAL starts at entry {self._base + 1} but names no snapshot: "
                    f"older segments are missing. {REMEDY}"
                )
            return Recovery(self.hard_state, None, self._entries)
        meta = self.snapshot.meta
        if self._base > meta.index:
            raise WalCorruptError(
                f"the WAL starts at entry {self._base + 1} but its snapshot ends at "
                f"{meta.index}: segments are missing. {REMEDY}"
            )
        newer = self._entries[meta.index - self._base :]
        return Recovery(_not_older(self.hard_state, meta), meta, newer)

    def _header(self, name: str, reader: FrameReader) -> SegmentHeader:
        frame = next(iter(reader), None)
        if frame is None or frame[0] != RecordKind.SEGMENT_HEADER:
            _refuse(name, 0, "the segment's header is damaged")
        try:
            header = records.decode_segment_header(frame[1])
        except msgspec.DecodeError as error:
            _refuse(name, 0, f"the segment's header is unreadable ({error})")
        self._check_identity(name, header)
        if self._first is None:
            self._first = header
            self._base = header.first_index - 1
            self.hard_state, self.snapshot = header.hard_state, header.snapshot
        elif header.sequence != self._sequence + 1 or header.chain != self.chain:
            _refuse(name, 0, "records between this segment and the one before are missing")
        self._sequence = header.sequence
        return header

    def _check_identity(self, name: str, header: SegmentHeader) -> None:
        owner = Identity(header.cluster_id, header.member_id)
        if owner != self.identity:
            raise DataFolderError(
                f"{name} belongs to {owner}, but this is {self.identity}: point --data-dir at "
                f"this member's own folder, or correct --name and --initial-cluster"
            )
        if header.version != records.FORMAT_VERSION:
            raise DataFolderError(
                f"{name} has format {header.version}, this program reads "
                f"{records.FORMAT_VERSION}: run the version that wrote it"
            )
        if records.segment_name(header.sequence, header.first_index) != name.rpartition("/")[2]:
            _refuse(name, 0, f"the segment was renamed; its header says {header.sequence:x}")

    def _record(self, name: str, offset: int, kind: int, payload: bytes) -> None:
        if kind == RecordKind.APPEND:
            hard_state, entries = records.decode_append(payload)
            if hard_state is not None:
                self.hard_state = hard_state
            if entries:
                self._append(name, offset, entries)
        elif kind == RecordKind.SNAPSHOT_MARKER:
            self._mark(records.decode_marker(payload))
        else:
            _refuse(name, offset, f"no record of kind {kind} belongs into a WAL")

    def _append(self, name: str, offset: int, entries: Sequence[Entry]) -> None:
        """A later entry overrides one of the same index and all after it (Raft, 5.3)."""
        first = entries[0].index
        expected = self.last_index + 1
        if first > expected:
            _refuse(name, offset, f"entries {expected} to {first - 1} are missing before it")
        if first <= self._base:
            self._entries.clear()
            self._base = first - 1
        elif first < expected:
            del self._entries[first - 1 - self._base :]
        self._entries.extend(entries)

    def _mark(self, marker: SnapshotMarker) -> None:
        self.snapshot = marker
        if marker.is_log_reset:
            self._entries.clear()
            self._base = marker.meta.index
            self.void_before = self._sequence


def _not_older(hard_state: HardState, meta: SnapshotMeta) -> HardState:
    """A crash may fall between a snapshot's marker and the hard state that came with it.

    The snapshot proves both its term and its commit. Entering a term without a vote is safe.
    """
    commit = max(hard_state.commit, meta.index)
    if hard_state.term < meta.term:
        return HardState(term=meta.term, commit=commit)
    return msgspec.structs.replace(hard_state, commit=commit)


def _check_tail(name: str, data: bytes, reader: FrameReader, *, is_last: bool) -> None:
    """Refuse what is damage; return for a torn tail (the rule is in the module's docstring)."""
    offset = reader.offset
    if not is_last:
        _refuse(name, offset, "the record there is damaged, and newer segments follow")
    proof = first_proof_of_sync(data, offset, reader.salt)
    if proof is not None:
        _refuse(name, offset, f"the record there is damaged; good ones follow at {proof}")
    if was_written_whole(data, offset, reader.chain, reader.salt):
        _refuse(name, offset, "the record there is complete, but its checksum is wrong")


def _refuse(name: str, offset: int, what: str) -> NoReturn:
    raise WalCorruptError(f"{name}, offset {offset}: {what}. {REMEDY}")
