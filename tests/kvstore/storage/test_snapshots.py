"""Snapshot files: read as written, or refused."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.errors import DataFolderError, WalCorruptError
from kvstore.storage import snapshots
from kvstore.storage.log_storage import Identity
from kvstore.testing.simulation.disk import SimulatedFiles
from tests.kvstore.storage.logs import (
    IDENTITY,
    SNAP,
    disk,
    entries,
    meta,
    open_log,
    reopen,
    snapshot,
    write,
)

CHUNKS = [b"a" * 1000, b"", b"b" * 3000, b"c"]


async def one_snapshot(chunks: list[bytes]) -> tuple[SimulatedFiles, str]:
    """A closed log with one snapshot at index 5."""
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 5)])
    await snapshot(storage, 5, chunks)
    storage.close()
    (name,) = files.list(SNAP)
    return files, f"{SNAP}/{name}"


@pytest.mark.parametrize("chunks", [[], [b""], CHUNKS, [b"x" * 6_000_000, b"y" * 5_000_000]])
async def test_a_snapshot_is_read_as_it_was_written(chunks: list[bytes]) -> None:
    files, _ = await one_snapshot(chunks)
    storage = reopen(files)
    assert storage.recovery.snapshot == meta(5)
    assert list(storage.read_snapshot()) == chunks


async def test_there_is_nothing_to_read_before_the_first_snapshot() -> None:
    storage = open_log(disk())
    assert list(storage.read_snapshot()) == []
    assert storage.snapshot_bytes == 0


async def test_snapshot_bytes_is_the_size_of_the_file() -> None:
    files, path = await one_snapshot(CHUNKS)
    assert reopen(files).snapshot_bytes == files.size(path) > 4001


async def test_every_damaged_byte_of_a_snapshot_is_refused() -> None:
    whole, path = await one_snapshot([b"abc", b"defg"])
    for byte in range(whole.size(path)):
        files = copy.deepcopy(whole)
        files.flip_bit(path, byte * 8 + byte % 8)
        with pytest.raises(WalCorruptError, match="replace this member"):
            list(reopen(files).read_snapshot())


async def test_a_snapshot_cut_off_anywhere_is_refused() -> None:
    whole, path = await one_snapshot([b"abc", b"defg"])
    for size in range(whole.size(path)):
        files = copy.deepcopy(whole)
        files.open_append(path, size=size)
        with pytest.raises(WalCorruptError):
            list(reopen(files).read_snapshot())


async def test_a_missing_snapshot_is_refused() -> None:
    files, path = await one_snapshot(CHUNKS)
    await files.remove(path)
    await files.sync_folder(SNAP)
    with pytest.raises(WalCorruptError, match="missing"):
        reopen(files)


async def test_another_snapshot_under_the_name_is_refused() -> None:
    files, path = await one_snapshot(CHUNKS)
    with pytest.raises(WalCorruptError, match="the file says otherwise"):
        snapshots.read_header(files, path, IDENTITY, meta(5, term=9))


@pytest.mark.parametrize("other", [Identity(0xC1, 0xB2), Identity(0xD2, 0xA1)])
async def test_a_snapshot_of_another_member_or_cluster_is_refused(other: Identity) -> None:
    files, path = await one_snapshot(CHUNKS)
    with pytest.raises(DataFolderError, match="belongs to member a1 of cluster c1"):
        snapshots.read_header(files, path, other, meta(5))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=5000), max_size=6))
async def test_any_chunks_survive(chunks: list[bytes]) -> None:
    files, _ = await one_snapshot(chunks)
    assert list(reopen(files).read_snapshot()) == chunks
