"""Snapshot files: a header, the state machine's chunks, a trailer; each a checksummed frame.

A snapshot is written under a temporary name, made durable, renamed, and its folder made durable;
it counts only once the WAL has a marker for it (`log_storage`). A damaged one is refused, never
replaced by an older one: the log between the two is gone.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn

import google_crc32c
import msgspec

from kvstore.errors import DataFolderError, WalCorruptError
from kvstore.raft.types import SnapshotMeta
from kvstore.seams import Files
from kvstore.storage import records
from kvstore.storage.frames import FrameReader, encode_frame
from kvstore.storage.records import Identity, RecordKind, SnapshotHeader, SnapshotTrailer
from kvstore.storage.replay import REMEDY

_READ_BYTES = 4 * 1024 * 1024  # a block of reading: many chunks, little memory


class SnapshotWriter:
    """Writes one snapshot. Chunks wait in memory until `sync`: call it every few MiB."""

    def __init__(
        self,
        files: Files,
        path: str,
        tmp_path: str,
        header: SnapshotHeader,
        *,
        before_rename: Callable[[], Awaitable[None]],
        on_abort: Callable[[str], None],
    ) -> None:
        self.meta = header.meta
        self._files = files
        self._path = path
        self._tmp_path = tmp_path
        self._before_rename = before_rename
        self._on_abort = on_abort
        self._file = files.create(tmp_path)
        self._chain = 0
        self._chunk_count = 0
        self._chunk_bytes = 0
        self._checksum = 0
        self._write(RecordKind.SNAPSHOT_HEADER, records.encode(header))

    def write(self, chunk: bytes) -> None:
        """Add a chunk of the state machine."""
        self._chunk_count += 1
        self._chunk_bytes += len(chunk)
        self._checksum = google_crc32c.extend(self._checksum, chunk)
        self._write(RecordKind.SNAPSHOT_CHUNK, chunk)

    async def sync(self) -> None:
        """Bring to the disk what was written so far."""
        await self._file.sync()

    async def finish(self) -> None:
        """Make the file whole and durable, then visible (raft.md's order: file, name, folder)."""
        trailer = SnapshotTrailer(self._chunk_count, self._chunk_bytes, self._checksum)
        self._write(RecordKind.SNAPSHOT_TRAILER, records.encode(trailer))
        await self._file.sync()
        self._file.close()
        await self._before_rename()
        await self._files.rename(self._tmp_path, self._path)
        await self._files.sync_folder(self._path.rpartition("/")[0])

    def abort(self) -> None:
        """Give up; the unfinished file is removed later."""
        self._file.close()
        self._on_abort(self._tmp_path)

    def _write(self, kind: RecordKind, payload: bytes) -> None:
        frame, self._chain = encode_frame(kind, payload, self._chain)
        self._file.append(frame)


def read_header(files: Files, path: str, identity: Identity, meta: SnapshotMeta) -> None:
    """Refuse a file that is not this member's snapshot `meta`."""
    if not files.exists(path):
        _refuse(path, "the snapshot that the WAL names is missing")
    kind, payload = next(_frames(files, path), (0, b""))
    if kind != RecordKind.SNAPSHOT_HEADER:
        _refuse(path, "its header is damaged")
    try:
        header = records.decode_snapshot_header(payload)
    except msgspec.DecodeError as error:
        _refuse(path, f"its header is unreadable ({error})")
    owner = Identity(header.cluster_id, header.member_id)
    if owner != identity:
        raise DataFolderError(
            f"{path} belongs to {owner}, but this is {identity}: "
            f"point --data-dir at this member's own folder"
        )
    if header.version != records.FORMAT_VERSION or header.meta != meta:
        _refuse(path, f"the WAL names a snapshot at {meta.index}, the file says otherwise")


def read_chunks(files: Files, path: str) -> Iterator[bytes]:
    """The chunks, each checked before it is handed out; raises at damage or a missing end."""
    count = size = checksum = 0
    trailer = None
    for kind, payload in _frames(files, path):
        if kind == RecordKind.SNAPSHOT_CHUNK:
            count, size = count + 1, size + len(payload)
            checksum = google_crc32c.extend(checksum, payload)
            yield payload
        elif kind == RecordKind.SNAPSHOT_TRAILER:
            trailer = records.decode_snapshot_trailer(payload)
    if trailer != SnapshotTrailer(count, size, checksum):
        _refuse(path, f"it is damaged or cut off after {count} chunks")


def _frames(files: Files, path: str) -> Iterator[tuple[int, bytes]]:
    """Good frames up to the first bad one, read block by block."""
    rest, offset, chain = b"", 0, 0
    wanted = _READ_BYTES
    while True:
        block = files.read(path, offset, wanted)
        offset += len(block)
        data = rest + block
        reader = FrameReader(data, chain)
        yield from reader
        if len(block) < wanted:
            return
        # A frame larger than all that was read so far needs more; a bad one ends at the file's.
        wanted = max(_READ_BYTES, 0 if reader.offset else len(data))
        rest, chain = data[reader.offset :], reader.chain


def _refuse(path: str, what: str) -> NoReturn:
    raise WalCorruptError(f"{path}: {what}. {REMEDY}")
