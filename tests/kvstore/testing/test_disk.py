"""The simulated disk keeps what it promised, and may lose all else."""

import random
from collections.abc import Callable

import pytest

from kvstore.errors import DataFolderError, DiskError
from kvstore.testing.simulation.disk import (
    SimulatedAppendFile,
    SimulatedCrash,
    SimulatedFiles,
    SimulatedPlainFile,
)
from kvstore.testing.simulation.life_files import LifeFiles

SEEDS = range(200)


def disk(seed: int = 0) -> SimulatedFiles:
    return SimulatedFiles(random.Random(seed))


async def durable_file(files: SimulatedFiles, content: bytes) -> SimulatedAppendFile:
    file = files.create("folder/file", preallocate=4096)
    file.append(content)
    await file.sync()
    await files.sync_folder("folder")
    return file


async def write_without_sync(files: SimulatedFiles, file: SimulatedAppendFile, data: bytes) -> None:
    """Crash between the two halves of a sync."""

    def crash(operation: str, path: str) -> None:
        if operation == "sync":
            files.crash()

    file.append(data)
    files.hook = crash
    with pytest.raises(SimulatedCrash):
        await file.sync()
    files.hook = None


class _Clock:
    """Counts what is slept."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "_Clock":
        raise NotImplementedError

    def cancel(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("seed", range(20))
async def test_synced_bytes_of_a_synced_name_survive(seed: int) -> None:
    files = disk(seed)
    await durable_file(files, b"promised")
    files.crash()
    assert files.read("folder/file") == b"promised".ljust(4096, b"\0")


async def test_any_part_of_an_unsynced_write_may_survive() -> None:
    survived = set()
    data = b"x" * 1500
    for seed in SEEDS:
        files = disk(seed)
        file = await durable_file(files, b"promised")
        await write_without_sync(files, file, data)
        content = files.read("folder/file")
        assert content[:8] == b"promised"
        assert set(content[8:]) <= {0, ord("x")}
        survived.add(content[8:1508])
    assert data in survived
    assert bytes(1500) in survived
    holes = [part for part in survived if b"x" in part and part.rstrip(b"\0") != part.strip(b"\0")]
    assert holes, "a later sector may survive without an earlier one"
    assert len(survived) > 20


async def test_bytes_that_no_sync_was_asked_for_never_survive() -> None:
    for seed in SEEDS:
        files = disk(seed)
        file = await durable_file(files, b"promised")
        file.append(b"queued")
        files.crash()
        assert files.read("folder/file").rstrip(b"\0") == b"promised"


async def test_folder_operations_that_were_not_synced_may_be_undone() -> None:
    seen = set()
    for seed in SEEDS:
        files = disk(seed)
        for name in ("a", "b"):
            await files.create(f"folder/{name}").sync()
        await files.sync_folder("folder")
        await files.rename("folder/a", "folder/c")
        await files.remove("folder/b")
        files.crash()
        seen.add(tuple(files.list("folder")))
    assert seen == {("a", "b"), ("b", "c"), ("a",), ("c",)}


async def test_synced_folder_operations_stay() -> None:
    for seed in SEEDS:
        files = disk(seed)
        await durable_file(files, b"x")
        await files.rename("folder/file", "folder/other")
        await files.sync_folder("folder")
        files.crash()
        assert files.list("folder") == ["other"]


async def test_a_dead_process_can_do_nothing_more() -> None:
    files = disk()
    file = await durable_file(files, b"x")
    files.crash()
    with pytest.raises(SimulatedCrash):
        file.append(b"y")
    with pytest.raises(SimulatedCrash):
        await file.sync()


async def test_a_crash_releases_locks() -> None:
    files = disk()
    files.lock("lock")
    with pytest.raises(DataFolderError):
        files.lock("lock")
    files.crash()
    release = files.lock("lock")
    release()
    files.lock("lock")


async def test_the_hook_sees_every_point_before_it_happens() -> None:
    files = disk()
    seen: list[tuple[str, str]] = []
    files.hook = lambda operation, path: seen.append((operation, path))
    files.make_folder("d")
    file = files.create("d/a")
    await file.sync()
    await files.rename("d/a", "d/b")
    await files.sync_folder("d")
    files.open_append("d/b", size=0)
    await files.remove("d/b")
    assert seen == [
        ("make_folder", "d"),
        ("create", "d/a"),
        ("write", "d/a"),
        ("sync", "d/a"),
        ("synced", "d/a"),
        ("rename", "d/a"),
        ("sync_folder", "d"),
        ("synced_folder", "d"),
        ("open_append", "d/b"),
        ("remove", "d/b"),
    ]


async def test_a_sync_takes_its_time_from_the_clock() -> None:
    clock = _Clock()
    files = SimulatedFiles(random.Random(0), clock, sync_seconds=0.25)
    file = files.create("a")
    await file.sync()
    await file.sync()
    assert clock.slept == 0.5


async def test_a_full_disk_takes_what_fits_and_then_refuses_for_good() -> None:
    files = disk()
    files.free_bytes = 10
    file = files.create("a")
    file.append(b"123456")
    await file.sync()
    file.append(b"789012")
    with pytest.raises(DiskError, match="No space left on device"):
        await file.sync()
    assert files.read("a") == b"1234567890"
    with pytest.raises(DiskError):
        await file.sync()


async def test_reserved_space_is_paid_at_once_and_then_free() -> None:
    files = disk()
    files.free_bytes = 100
    file = files.create("a", preallocate=100)
    file.append(b"x" * 100)
    await file.sync()
    with pytest.raises(DiskError, match="reserve space"):
        files.create("b", preallocate=1)


async def test_the_chosen_sync_fails_and_the_file_stays_failed() -> None:
    files = disk()
    files.syncs_until_error = 2
    file = files.create("a")
    await file.sync()
    file.append(b"x")
    with pytest.raises(DiskError, match="Input/output error"):
        await file.sync()
    with pytest.raises(DiskError, match="Input/output error"):
        await file.sync()


async def test_a_flipped_bit_stays_flipped() -> None:
    files = disk()
    await durable_file(files, b"\x00\x00")
    files.flip_bit("folder/file", 9)
    assert files.read("folder/file", 0, 2) == b"\x00\x02"
    files.crash()
    assert files.read("folder/file", 0, 2) == b"\x00\x02"


async def test_a_lying_disk_falls_back_to_where_it_began_to_lie() -> None:
    files = disk()
    file = await durable_file(files, b"true")
    files.lies_about_sync = True
    file.append(b"lie")
    await file.sync()
    await files.create("folder/new").sync()
    await files.sync_folder("folder")
    assert files.read("folder/file").rstrip(b"\0") == b"truelie"
    files.crash()
    assert files.lies_about_sync
    assert files.list("folder") == ["file"]
    assert files.read("folder/file").rstrip(b"\0") == b"true"


async def test_one_seed_gives_one_outcome() -> None:
    outcomes = []
    for _ in range(2):
        files = disk(7)
        file = await durable_file(files, b"promised")
        await write_without_sync(files, file, bytes(range(1, 256)) * 8)
        outcomes.append(files.read("folder/file"))
    assert outcomes[0] == outcomes[1]


async def test_a_created_file_must_not_exist() -> None:
    files = disk()
    files.create("a")
    with pytest.raises(DiskError, match="File exists"):
        files.create("a")
    with pytest.raises(DiskError, match="No such file"):
        await files.remove("b")


# ---------------------------------------------------------------------- programs that never sync


def plain_file(files: SimulatedFiles, *, is_mapped: bool = False) -> SimulatedPlainFile:
    files.create("folder/plain")
    return files.open_plain("folder/plain", is_mapped=is_mapped)


@pytest.mark.parametrize("is_mapped", [False, True])
def test_what_is_never_synced_may_be_lost_or_not(is_mapped: bool) -> None:
    found = set()
    for seed in SEEDS:
        files = disk(seed)
        plain_file(files, is_mapped=is_mapped).write(0, b"data")
        files.crash()
        found.add(files.read("folder/plain") if files.exists("folder/plain") else None)
    assert {None, b"", b"data"} <= found


def test_what_the_kernel_has_written_back_survives() -> None:
    for seed in SEEDS:
        files = disk(seed)
        plain_file(files).write(0, b"data")
        files.write_back()
        files.crash()
        assert files.read("folder/plain") == b"data"


def test_a_mapped_page_survives_as_it_was_at_one_time() -> None:
    """Of two stores to one page the second never survives alone; of two pages either may."""
    one_page: set[tuple[bytes, bytes]] = set()
    two_pages: set[tuple[bytes, bytes]] = set()
    for seed in SEEDS:
        for offset, found in ((100, one_page), (5000, two_pages)):
            files = disk(seed)
            file = plain_file(files, is_mapped=True)
            file.extend(8192)
            files.write_back()
            file.write(0, b"1")
            file.write(offset, b"2")
            files.crash()
            read = files.read("folder/plain")
            found.add((read[0:1], read[offset : offset + 1]))
    assert one_page == {(b"\0", b"\0"), (b"1", b"\0"), (b"1", b"2")}
    assert two_pages == one_page | {(b"\0", b"2")}


def test_a_store_across_two_pages_can_be_torn_between_them() -> None:
    found = set()
    for seed in SEEDS:
        files = disk(seed)
        file = plain_file(files, is_mapped=True)
        file.extend(8192)
        files.write_back()
        file.write(4094, b"abcd")
        files.crash()
        found.add(files.read("folder/plain", 4094, 4))
    assert found == {b"\0\0\0\0", b"ab\0\0", b"\0\0cd", b"abcd"}


def test_a_plain_file_reads_zeros_where_it_was_extended_and_nothing_behind() -> None:
    file = plain_file(disk())
    file.write(0, b"data")
    file.extend(6)
    assert (file.size, file.read(2, 100), file.read(6, 1)) == (6, b"ta\0\0", b"")


def test_a_plain_file_of_a_dead_process_is_dead() -> None:
    files = disk()
    file = plain_file(files)
    files.crash()
    with pytest.raises(SimulatedCrash):
        file.write(0, b"data")
    with pytest.raises(SimulatedCrash):
        file.read(0, 1)


async def test_a_dead_life_has_no_disk_any_more() -> None:
    files = disk()
    before = LifeFiles(files)
    before.create("a/x")
    unlock = before.lock("a/lock")
    files.crash()
    after = LifeFiles(files)
    after.create("a/y")
    after.lock("a/lock")
    unlock()
    with pytest.raises(DataFolderError):
        after.lock("a/lock")
    calls: list[Callable[[str], object]] = [before.list, before.exists, before.read, before.size]
    for call in (*calls, before.lock, before.create, before.make_folder):
        with pytest.raises(SimulatedCrash):
            call("a/y")
    with pytest.raises(SimulatedCrash):
        await before.rename("a/y", "a/z")
    with pytest.raises(SimulatedCrash):
        await before.remove("a/y")
    with pytest.raises(SimulatedCrash):
        await before.sync_folder("a")
    assert "y" in after.list("a")
