"""The WAL: what is recovered, what is repaired, what is refused."""

import copy
import random
from collections.abc import Callable

import pytest

from kvstore.errors import DataFolderError, DiskError, WalCorruptError
from kvstore.raft.types import HardState
from kvstore.storage.log_storage import Identity
from kvstore.storage.records import RecordKind
from kvstore.testing.simulation.disk import SimulatedFiles
from tests.kvstore.storage.logs import (
    SEGMENT_BYTES,
    WAL,
    disk,
    entries,
    entry,
    indexes,
    open_log,
    reopen,
    segments,
    snapshot,
    write,
    write_until_refused,
)

BIG = 16 * 1024  # one segment holds a test's whole log


async def log_of(batches: int, segment_bytes: int = BIG) -> SimulatedFiles:
    """A closed log: entries 1 to `batches`, each in a batch of its own."""
    files = disk()
    storage = open_log(files, segment_bytes=segment_bytes)
    await write(storage, [[entry(index)] for index in range(1, batches + 1)])
    storage.close()
    return files


def used(files: SimulatedFiles, path: str) -> int:
    return len(files.read(path).rstrip(b"\0"))


def damage(files: SimulatedFiles, path: str, change: Callable[[bytearray], None]) -> None:
    """Change a file behind the back of its owner."""
    inode = files._names[path]
    for content in (inode.content, inode.durable):
        change(content)
    inode.reserved = min(inode.reserved, len(inode.content))


async def test_a_fresh_folder_recovers_nothing_and_writes_nothing() -> None:
    files = disk()
    storage = open_log(files)
    assert storage.recovery.entries == []
    assert storage.recovery.hard_state == HardState()
    assert storage.recovery.snapshot is None
    assert segments(files) == []


async def test_synced_entries_and_hard_state_survive_a_power_cut() -> None:
    files = disk()
    storage = open_log(files)
    storage.append(HardState(3, 2, 1), entries(1, 5, term=3))
    storage.append(None, entries(6, 7, term=3))
    await storage.sync()
    recovered = reopen(files).recovery
    assert recovered.entries == entries(1, 7, term=3)
    assert recovered.hard_state == HardState(3, 2, 1)


async def test_what_was_not_synced_is_not_on_the_disk() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 2)])
    storage.append(None, entries(3, 4))
    assert indexes(reopen(files)) == [1, 2]


async def test_a_hard_state_alone_survives() -> None:
    files = disk()
    storage = open_log(files)
    storage.append(HardState(7, 3, 0), ())
    await storage.sync()
    assert reopen(files).recovery.hard_state == HardState(7, 3, 0)


async def test_records_appended_during_a_sync_belong_to_the_next_batch() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 1)])

    def append_once(operation: str, path: str) -> None:
        if operation == "sync":
            files.hook = None
            storage.append(None, entries(3, 3))

    files.hook = append_once
    await write(storage, [entries(2, 2)])
    assert indexes(reopen(files)) == [1, 2]


async def test_a_conflicting_entry_overrides_those_from_its_index_on() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 9), entries(4, 5, term=2)])
    assert reopen(files).recovery.entries == entries(1, 3) + entries(4, 5, term=2)


async def test_an_override_reaches_into_older_segments() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [[entry(index)] for index in range(1, 61)])
    await write(storage, [[entry(5, term=2)], [entry(6, term=2)]])
    assert len(segments(files)) > 2
    assert reopen(files).recovery.entries == entries(1, 4) + entries(5, 6, term=2)


async def test_a_gap_in_appended_entries_is_our_bug() -> None:
    storage = open_log(disk())
    with pytest.raises(AssertionError, match="gap"):
        storage.append(None, entries(2, 3))


async def test_a_full_segment_is_followed_by_the_next_and_both_are_recovered() -> None:
    files = await log_of(100, SEGMENT_BYTES)
    assert len(segments(files)) > 3
    assert all(used(files, path) <= SEGMENT_BYTES for path in segments(files))
    assert indexes(reopen(files)) == list(range(1, 101))


async def test_an_entry_larger_than_a_segment_survives() -> None:
    files = disk()
    storage = open_log(files)
    large = entry(2, size=1_500_000)
    await write(storage, [[entry(1)], [large], [entry(3)]])
    assert reopen(files).recovery.entries == [entry(1), large, entry(3)]


async def test_a_recovered_log_goes_on() -> None:
    files = await log_of(3)
    for last in range(4, 8):
        storage = reopen(files)
        assert indexes(storage) == list(range(1, last))
        await write(storage, [[entry(last)]])


async def test_a_torn_tail_is_repaired_at_every_offset_of_the_last_record() -> None:
    whole = await log_of(4)
    (path,) = segments(whole)
    end = used(whole, path)
    start = used(await log_of(3), path)
    for cut in range(start, end):
        for keep_length in (True, False):
            files = copy.deepcopy(whole)

            def tear(content: bytearray, cut: int = cut, keep: bool = keep_length) -> None:
                content[cut:] = bytes(len(content) - cut) if keep else b""

            damage(files, path, tear)
            storage = reopen(files, segment_bytes=BIG)
            assert indexes(storage) == [1, 2, 3]
            await write(storage, [[entry(4, term=2)]])
            assert reopen(files).recovery.entries[3] == entry(4, term=2)


async def test_garbage_behind_the_last_record_is_cut_off() -> None:
    files = await log_of(4)
    (path,) = segments(files)
    damage(files, path, lambda content: content.extend(random.Random(1).randbytes(700)))
    assert indexes(reopen(files, segment_bytes=BIG)) == [1, 2, 3, 4]
    assert used(files, path) == len(files.read(path).rstrip(b"\0")) < 1000


async def test_every_flipped_bit_of_the_log_is_refused() -> None:
    whole = await log_of(3)
    (path,) = segments(whole)
    for bit in range(used(whole, path) * 8):
        files = copy.deepcopy(whole)
        files.flip_bit(path, bit)
        with pytest.raises(WalCorruptError, match=path):
            reopen(files, segment_bytes=BIG)


@pytest.mark.parametrize("kind", list(RecordKind)[:3])
async def test_a_flipped_bit_in_a_record_of_each_kind_in_the_middle_is_refused(
    kind: RecordKind,
) -> None:
    files = disk()
    storage = open_log(files, segment_bytes=BIG)
    await write(storage, [[entry(1)], [entry(2)]])
    await snapshot(storage, 1)
    await write(storage, [[entry(3)], [entry(4)]])
    (path,) = segments(files)
    marker = b"\xa7kS"
    data = files.read(path)
    at = next(
        position
        for position in range(len(data))
        if data[position + 1 : position + 4] == marker and data[position] & 0x7F == kind
    )
    files.flip_bit(path, (at + 8) * 8 + 3)
    with pytest.raises(WalCorruptError, match=r"offset \d+: .*replace this member"):
        reopen(files, segment_bytes=BIG)


async def test_a_zeroed_page_before_good_batches_is_refused() -> None:
    files = await log_of(200, 64 * 1024)
    (path,) = segments(files)
    assert used(files, path) > 3 * 4096

    def zero(content: bytearray) -> None:
        content[4096:8192] = bytes(4096)

    damage(files, path, zero)
    with pytest.raises(WalCorruptError, match="good ones follow"):
        reopen(files)


async def test_damage_in_an_older_segment_is_refused_even_at_its_end() -> None:
    files = await log_of(60, SEGMENT_BYTES)
    oldest = segments(files)[0]
    files.flip_bit(oldest, (used(files, oldest) - 10) * 8)
    with pytest.raises(WalCorruptError, match="newer segments follow"):
        reopen(files)


async def test_records_cut_off_at_the_end_of_an_older_segment_are_missed() -> None:
    files = await log_of(60, SEGMENT_BYTES)
    oldest = segments(files)[0]
    last_record = files.read(oldest).rindex(b"\xa7kS") - 13
    damage(files, oldest, lambda content: content.__delitem__(slice(last_record, None)))
    with pytest.raises(WalCorruptError, match="missing"):
        reopen(files)


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_missing_segment_is_refused(gone: int) -> None:
    files = await log_of(60, SEGMENT_BYTES)
    await files.remove(segments(files)[gone])
    await files.sync_folder(WAL)
    with pytest.raises(WalCorruptError, match="missing"):
        reopen(files)


async def test_a_renamed_segment_is_refused() -> None:
    files = await log_of(3)
    await files.rename(segments(files)[0], f"{WAL}/{5:016x}-{1:016x}.wal")
    await files.sync_folder(WAL)
    with pytest.raises(WalCorruptError, match="renamed"):
        reopen(files)


@pytest.mark.parametrize("other", [Identity(0xC1, 0xB2), Identity(0xD2, 0xA1)])
async def test_a_folder_of_another_member_or_cluster_is_refused(other: Identity) -> None:
    files = await log_of(3)
    with pytest.raises(DataFolderError, match="belongs to member a1 of cluster c1"):
        open_log(files, identity=other)
    assert indexes(open_log(files)) == [1, 2, 3]


async def test_a_refused_log_is_left_as_it_is() -> None:
    files = await log_of(5)
    path = segments(files)[0]
    files.flip_bit(path, 200 * 8)
    before = files.read(path)
    with pytest.raises(WalCorruptError):
        reopen(files)
    assert files.read(path) == before


async def test_a_failed_sync_is_never_tried_again() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [[entry(1)]])
    files.syncs_until_error = 1
    with pytest.raises(DiskError, match="disk is failing"):
        await write(storage, [[entry(2)]])
    with pytest.raises(DiskError, match="start again"):
        await write(storage, [[entry(3)]])
    assert indexes(reopen(files)) in ([1], [1, 2])


async def test_a_full_disk_loses_nothing_that_was_synced() -> None:
    files = disk()
    storage = open_log(files)
    files.free_bytes = 3000
    written: list[int] = []
    with pytest.raises(DiskError, match="free space on this disk"):
        await write_until_refused(storage, written, 300)
    assert len(written) > 3
    files.free_bytes = None
    storage = reopen(files)
    assert indexes(storage)[: len(written)] == written
    await write(storage, [[entry(indexes(storage)[-1] + 1)]])


async def test_an_unfinished_segment_is_removed_with_the_first_sync() -> None:
    files = await log_of(3)
    leftover = f"{WAL}/{2:016x}-{4:016x}.wal.tmp"
    files.create(leftover)
    await files.sync_folder(WAL)
    storage = reopen(files)
    await storage.sync()
    assert not files.exists(leftover)


async def test_wal_bytes_counts_what_is_newer_than_the_snapshot_also_after_a_restart() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 50)])
    before = storage.wal_bytes
    await snapshot(storage, 50)
    assert 0 < storage.wal_bytes < before / 10  # the marker alone
    await write(storage, [entries(51, 60)])
    assert reopen(files).wal_bytes == storage.wal_bytes
