"""WAL: the log on disk, in segments that are written in batches and dropped once covered.

Between two syncs records gather in memory; `sync` hands them to the file as one write. So a batch
begins on the disk only when the one before is durable: recovery relies on it (see `replay`).
A segment is made under a temporary name, with space reserved and its header durable, and only
then renamed: a segment that has its name is sound. Knows nothing of snapshot files.
"""

import asyncio
import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec

from kvstore.errors import DiskError
from kvstore.raft.types import Entry, HardState, SnapshotMeta
from kvstore.seams import AppendFile, Files
from kvstore.storage import records
from kvstore.storage.frames import FIRST_OF_BATCH, encode_frame
from kvstore.storage.records import Identity, RecordKind, SegmentHeader, SnapshotMarker
from kvstore.storage.replay import Replay

SEGMENT_BYTES = 64 * 1024 * 1024  # some ms to reserve, ~0.1 s to read at recovery


class _Segment(msgspec.Struct, frozen=True):
    sequence: int
    first_index: int
    name: str


class _Head(msgspec.Struct):
    """Where the log ends and what is true there: what a segment's header has to say."""

    chain: int
    position: int
    last_index: int
    hard_state: HardState
    snapshot: SnapshotMarker | None


class Wal:
    """The log of one member. Every method but `append` and `mark` may wait for the disk."""

    def __init__(
        self,
        files: Files,
        folder: str,
        identity: Identity,
        *,
        segment_bytes: int,
        salt: int,
        replay: Replay,
    ) -> None:
        self._files = files
        self._folder = folder
        self._identity = identity
        self._segment_bytes = segment_bytes
        self._salt = salt
        self._segments: list[_Segment] = []
        self.leftover_paths: list[str] = []
        """Files of an earlier life that nothing needs; the owner removes them."""
        self._file: AppendFile | None = None
        self._end = 0  # of the last segment's good bytes, at the start
        self._header_bytes = 0
        self._gathered: list[bytes] = []
        # `_head` follows what was appended, `_written` what was handed to the file.
        self._head = _Head(
            replay.chain, replay.position, replay.last_index, replay.hard_state, replay.snapshot
        )
        self._written = copy.copy(self._head)
        self._syncing = asyncio.Lock()
        self._is_broken = False

    @classmethod
    def open(
        cls,
        files: Files,
        folder: str,
        identity: Identity,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        salt: int = 0,
    ) -> tuple[Self, Replay]:
        """Replay what is there; `salt` is that of a WAL that begins now.

        Changes nothing on the disk (see `repair`).
        """
        segments, leftovers = _find_segments(files, folder)
        replay = Replay(identity)
        end = 0
        for segment in segments:
            path = f"{folder}/{segment.name}"
            is_last = segment is segments[-1]
            end = replay.segment(path, files.read(path), is_last=is_last)
        salt = replay.salt if segments else salt
        wal = cls(files, folder, identity, segment_bytes=segment_bytes, salt=salt, replay=replay)
        wal._segments, wal._end = segments, end
        if replay.snapshot is not None:
            leftovers += wal._take_covered(replay.snapshot.meta, replay.void_before)
        wal.leftover_paths = [f"{folder}/{name}" for name in leftovers]
        return wal, replay

    def repair(self) -> None:
        """Cut off a torn tail, and go on behind the last good record."""
        if self._segments:
            path = f"{self._folder}/{self._segments[-1].name}"
            self._file = self._files.open_append(path, size=self._end)

    @property
    def position(self) -> int:
        """Bytes of all records ever appended."""
        return self._head.position

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing was ever made durable here."""
        return not self._segments

    def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Gather one step's hard state and entries; all or nothing of it becomes durable."""
        head = self._head
        if entries:
            assert entries[0].index <= head.last_index + 1, "a gap in the log"
            head.last_index = entries[-1].index
        if hard_state is not None:
            head.hard_state = hard_state
        self._gather(RecordKind.APPEND, records.encode((hard_state, entries)))

    def mark(self, marker: SnapshotMarker) -> None:
        """Gather the marker of a durable snapshot."""
        self._head.snapshot = marker
        if marker.is_log_reset:
            self._head.last_index = marker.meta.index
        self._gather(RecordKind.SNAPSHOT_MARKER, records.encode(marker))

    async def sync(self) -> None:
        """Make everything gathered before the call durable; a failure is for good."""
        async with self._syncing:
            await self._sync()

    async def roll(self) -> int:
        """Sync, then begin a new segment; returns its sequence."""
        async with self._syncing:
            await self._sync()
            with self._writing():
                await self._roll()
            return self._segments[-1].sequence

    async def begin(self) -> None:
        """Make the first segment, if there is none."""
        async with self._syncing:
            if not self._segments:
                with self._writing():
                    await self._roll()

    async def drop_covered(self, snapshot: SnapshotMeta, *, void_before: int = 0) -> None:
        """Remove segments that hold nothing newer than the snapshot, whose marker is durable.

        Those with a sequence below `void_before` go whatever they hold: the marker voids them.
        Oldest first. Removals that a crash undoes are seen as leftovers at the next start.
        """
        dropped = self._take_covered(snapshot, void_before)
        for name in dropped:
            await self._files.remove(f"{self._folder}/{name}")
        if dropped:
            await self._files.sync_folder(self._folder)

    def close(self) -> None:
        """Release the file; what was not synced is lost, and nothing can be written any more."""
        self._is_broken = True
        if self._file is not None:
            self._file.close()

    def _gather(self, kind: RecordKind, payload: bytes) -> None:
        head = self._head
        stamp = kind if self._gathered else kind | FIRST_OF_BATCH
        frame, head.chain = encode_frame(stamp, payload, head.chain, self._salt)
        head.position += len(frame)
        self._gathered.append(frame)

    async def _sync(self) -> None:
        with self._writing():
            if not self._gathered:
                return
            gathered_bytes = self._head.position - self._written.position
            if self._file is None or self._is_full(self._file, gathered_bytes):
                await self._roll()
            # Nothing may be awaited between these lines: what is appended from here on belongs
            # to the next batch.
            file = self._file
            assert file is not None
            file.append(b"".join(self._gathered))
            self._gathered = []
            self._written = copy.copy(self._head)
            await file.sync()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A write that fails or is cancelled half-way leaves the file unknown: no second try."""
        if self._is_broken:
            raise DiskError("the WAL is closed or an earlier write to it failed; start again")
        self._is_broken = True
        yield
        self._is_broken = False

    def _is_full(self, file: AppendFile, more: int) -> bool:
        return file.size + more > self._segment_bytes and file.size > self._header_bytes

    async def _roll(self) -> None:
        written = self._written
        sequence = self._segments[-1].sequence + 1 if self._segments else 1
        segment = _Segment(
            sequence,
            written.last_index + 1,
            records.segment_name(sequence, written.last_index + 1),
        )
        header = SegmentHeader(
            version=records.FORMAT_VERSION,
            cluster_id=self._identity.cluster_id,
            member_id=self._identity.member_id,
            sequence=sequence,
            first_index=segment.first_index,
            position=written.position,
            chain=written.chain,
            hard_state=written.hard_state,
            snapshot=written.snapshot,
            salt=self._salt,
        )
        stamp = RecordKind.SEGMENT_HEADER | FIRST_OF_BATCH
        frame, _ = encode_frame(stamp, records.encode(header), 0)
        path = f"{self._folder}/{segment.name}"
        file = self._files.create(path + records.TMP_SUFFIX, preallocate=self._segment_bytes)
        file.append(frame)
        await file.sync()
        await self._files.rename(path + records.TMP_SUFFIX, path)
        await self._files.sync_folder(self._folder)
        if self._file is not None:
            self._file.close()
        self._file = file
        self._header_bytes = len(frame)
        self._segments.append(segment)

    def _take_covered(self, snapshot: SnapshotMeta, void_before: int) -> list[str]:
        covered = []
        while len(self._segments) > 1:
            oldest, following = self._segments[:2]
            is_void = oldest.sequence < void_before
            if not is_void and following.first_index - 1 > snapshot.index:
                break
            covered.append(self._segments.pop(0).name)
        return covered


def _find_segments(files: Files, folder: str) -> tuple[list[_Segment], list[str]]:
    """The segments that count, oldest first, and what is left over.

    Only the newest run without a hole counts. A hole comes of removals that a crash undid in
    part; if something needed was removed otherwise, the snapshot does not reach that far, and
    the replay refuses.
    """
    segments: list[_Segment] = []
    leftovers: list[str] = []
    for name in files.list(folder):
        parsed = records.parse_segment_name(name)
        if parsed is not None:
            if segments and parsed[0] != segments[-1].sequence + 1:
                leftovers += (segment.name for segment in segments)
                segments = []
            segments.append(_Segment(parsed[0], parsed[1], name))
        elif name.endswith(records.TMP_SUFFIX):
            leftovers.append(name)
    return segments, leftovers
