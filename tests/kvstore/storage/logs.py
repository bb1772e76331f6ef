"""What the tests of the storage share: an identity, entries, a log on a simulated disk."""

import random
from collections.abc import Iterable, Sequence

from kvstore.raft.types import Entry, HardState, Membership, SnapshotMeta
from kvstore.storage.log_storage import Identity, LogStorage
from kvstore.testing.simulation.disk import SimulatedFiles

IDENTITY = Identity(cluster_id=0xC1, member_id=0xA1)
DIR = "data"
WAL = f"{DIR}/member/wal"
SNAP = f"{DIR}/member/snap"
SEGMENT_BYTES = 2048
MEMBERS = Membership(voters=(1, 2, 3))


def disk(seed: int = 0) -> SimulatedFiles:
    return SimulatedFiles(random.Random(seed))


def open_log(
    files: SimulatedFiles, *, identity: Identity = IDENTITY, segment_bytes: int = SEGMENT_BYTES
) -> LogStorage:
    return LogStorage.open(files, DIR, identity, segment_bytes=segment_bytes)


def reopen(files: SimulatedFiles, *, segment_bytes: int = SEGMENT_BYTES) -> LogStorage:
    """Recover after the power was cut."""
    files.crash()
    return open_log(files, segment_bytes=segment_bytes)


def entry(index: int, term: int = 1, size: int = 40) -> Entry:
    return Entry(index, term, index.to_bytes(8, "big").rjust(size, b"."))


def entries(first: int, last: int, term: int = 1, size: int = 40) -> list[Entry]:
    return [entry(index, term, size) for index in range(first, last + 1)]


def meta(index: int, term: int = 1) -> SnapshotMeta:
    return SnapshotMeta(index, term, MEMBERS)


async def write(storage: LogStorage, batches: Iterable[Sequence[Entry]]) -> None:
    """Append and sync batch by batch."""
    for batch in batches:
        storage.append(HardState(batch[-1].term, 1, batch[0].index - 1), batch)
        await storage.sync()


async def write_until_refused(storage: LogStorage, written: list[int], size: int) -> None:
    """Append and sync one entry after the other, noting each that was promised."""
    while True:
        following = len(written) + 1
        await write(storage, [[entry(following, size=size)]])
        written.append(following)


async def snapshot(
    storage: LogStorage, index: int, chunks: Sequence[bytes] = (b"state",), *, reset: bool = False
) -> None:
    """The whole protocol for one snapshot."""
    writer = storage.create_snapshot(meta(index))
    for chunk in chunks:
        writer.write(chunk)
    await writer.finish()
    await storage.mark_snapshot(writer.meta, reset_log=reset)


def indexes(storage: LogStorage) -> list[int]:
    return [recovered.index for recovered in storage.recovery.entries]


def segments(files: SimulatedFiles) -> list[str]:
    return [f"{WAL}/{name}" for name in files.list(WAL) if name.endswith(".wal")]
