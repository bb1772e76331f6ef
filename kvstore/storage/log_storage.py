"""LogStorage: what one member knows after a crash. WAL and snapshots behind one door.

    DIR/member/wal    segments        DIR/member/snap    snapshots        DIR/member/lock

A snapshot counts from the moment its marker is durable in the WAL, and only then are the segments
and snapshots before it dropped: at every point of

    sync file -> rename -> sync folder -> marker, sync WAL -> drop

a crash leaves either the old snapshot with its whole log or the new one. Decides nothing about
Raft; reaches the disk through `Files` only.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from kvstore.errors import WalCorruptError
from kvstore.raft.types import Entry, HardState, SnapshotMeta
from kvstore.seams import Files
from kvstore.storage import records, snapshots
from kvstore.storage.records import Identity, SnapshotHeader, SnapshotMarker
from kvstore.storage.replay import REMEDY, Recovery, Replay
from kvstore.storage.snapshots import SnapshotWriter
from kvstore.storage.wal import SEGMENT_BYTES, Wal

__all__ = ["Identity", "LogStorage", "Recovery", "SnapshotWriter"]


class LogStorage:
    """The durable state of one member."""

    def __init__(self, files: Files, folder: str, wal: Wal, replay: Replay) -> None:
        """Use `open`."""
        self.recovery = replay.recovery()
        """What survived. The driver may clear `recovery.entries` once it has taken them."""
        self._files = files
        self._folder = folder
        self._identity = replay.identity
        self._wal = wal
        self._marker = replay.snapshot
        self._unlock: Callable[[], None] | None = None
        self._leftovers: set[str] = set()  # paths of files that nothing needs any more
        self._tidying = asyncio.Lock()
        self._starts: dict[int, int] = {}  # WAL position at which the snapshot of an index began

    @classmethod
    def open(
        cls,
        files: Files,
        folder: str,
        identity: Identity,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        salt: int = 0,
    ) -> Self:
        """Lock the data folder and recover. `salt`: 32 random bits, for a log that begins now.

        Raises DataFolderError when the folder is in use or another member's, WalCorruptError when
        it is damaged, DiskError when the disk refuses. Checks everything before it changes
        anything; leftovers are removed with the first sync.
        """
        member = f"{folder}/member"
        files.make_folder(f"{member}/wal")
        files.make_folder(f"{member}/snap")
        unlock = files.lock(f"{member}/lock")
        try:
            wal, replay = Wal.open(
                files, f"{member}/wal", identity, segment_bytes=segment_bytes, salt=salt
            )
            storage = cls(files, f"{member}/snap", wal, replay)
            storage._check_snapshots()
            wal.repair()
        except BaseException:
            unlock()
            raise
        storage._unlock = unlock
        return storage

    @property
    def wal_bytes(self) -> int:
        """Bytes of WAL records newer than the newest snapshot."""
        return self._wal.position - (self._marker.position if self._marker else 0)

    @property
    def snapshot_bytes(self) -> int:
        """Size of the newest snapshot's file."""
        return self._files.size(self._path(self._marker.meta)) if self._marker else 0

    def read_snapshot(self) -> Iterator[bytes]:
        """The newest snapshot's chunks, checked; a damaged one raises WalCorruptError.

        The last check comes after the last chunk: what was built counts only when this has ended.
        """
        if self._marker is None:
            return iter(())
        return snapshots.read_chunks(self._files, self._path(self._marker.meta))

    def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Gather a step's hard state and entries for the next sync."""
        self._wal.append(hard_state, entries)

    async def sync(self) -> None:
        """Make everything appended before the call durable. DiskError: the process must end."""
        if self._leftovers:
            await self._remove_leftovers()
        await self._wal.sync()

    def create_snapshot(self, meta: SnapshotMeta) -> SnapshotWriter:
        """Begin a snapshot file; several may be under way (an own one, one from a leader)."""
        path = self._path(meta)
        attempt = 0
        while self._files.exists(tmp := f"{path}.{attempt}{records.TMP_SUFFIX}"):
            attempt += 1
        self._starts[meta.index] = self._wal.position
        cluster_id, member_id = self._identity.cluster_id, self._identity.member_id
        return SnapshotWriter(
            self._files,
            path,
            tmp,
            SnapshotHeader(records.FORMAT_VERSION, cluster_id, member_id, meta),
            before_rename=self._before_rename,
            on_abort=self._leftovers.add,
        )

    async def mark_snapshot(self, meta: SnapshotMeta, *, reset_log: bool) -> None:
        """Let a finished snapshot count, then drop what it covers.

        `reset_log`: it came from a leader, and every entry appended before this call is void.
        """
        assert self._marker is None or meta.index >= self._marker.meta.index, "only forward"
        await self._remove_leftovers()
        # The marker of a reset begins a segment, so that all older ones can go.
        void_before = await self._wal.roll() if reset_log else 0
        position = self._wal.position
        marker = SnapshotMarker(
            meta, position if reset_log else self._starts.get(meta.index, position), reset_log
        )
        self._wal.mark(marker)
        await self._wal.sync()
        self._marker = marker
        self._starts = {index: at for index, at in self._starts.items() if index > meta.index}
        await self._wal.drop_covered(meta, void_before=void_before)
        self._leftovers |= self._snapshots_before(meta)
        await self._remove_leftovers()

    def close(self) -> None:
        """Release the files and the lock; what was not synced is lost."""
        self._wal.close()
        if self._unlock is not None:
            self._unlock()
            self._unlock = None

    def _path(self, meta: SnapshotMeta) -> str:
        return f"{self._folder}/{records.snapshot_name(meta)}"

    def _check_snapshots(self) -> None:
        names = self._files.list(self._folder)
        finished = {name for name in names if records.is_snapshot_name(name)}
        if finished and self._wal.is_empty:
            raise WalCorruptError(f"{self._folder} has snapshots, but the WAL is gone. {REMEDY}")
        if self._marker is not None:
            meta = self._marker.meta
            snapshots.read_header(self._files, self._path(meta), self._identity, meta)
            finished.discard(records.snapshot_name(meta))
        # Without a marker a snapshot is unfinished business, or older than the one that counts.
        unfinished = {name for name in names if name.endswith(records.TMP_SUFFIX)}
        self._leftovers = {f"{self._folder}/{name}" for name in finished | unfinished}
        self._leftovers |= set(self._wal.leftover_paths)

    def _snapshots_before(self, meta: SnapshotMeta) -> set[str]:
        """Older ones: replaced, or finished and never marked because the core had no need."""
        marked = records.snapshot_name(meta)
        names = filter(records.is_snapshot_name, self._files.list(self._folder))
        return {f"{self._folder}/{name}" for name in names if name < marked}

    async def _before_rename(self) -> None:
        """A snapshot file without a WAL means that the WAL was lost: never make one.

        And an unmarked file of the same name, left by a crash, must not be removed after it.
        """
        await self._remove_leftovers()
        await self._wal.begin()

    async def _remove_leftovers(self) -> None:
        async with self._tidying:
            folders = set()
            while self._leftovers:
                path = min(self._leftovers)
                if self._files.exists(path):
                    await self._files.remove(path)
                self._leftovers.discard(path)
                folders.add(path.rpartition("/")[0])
            for folder in sorted(folders):
                await self._files.sync_folder(folder)
