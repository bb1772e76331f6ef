"""The real file system behind the seam: durable, locked, and clear when the disk refuses."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.errors import DataFolderError, DiskError
from kvstore.seams import Files
from kvstore.storage.files import ZEROED_BYTES, LocalFiles
from kvstore.storage.log_storage import LogStorage
from kvstore.storage.pace import QUICK_SECONDS, SMALL_BYTES_MAX, STALL_SECONDS, UNSTALLED_MIN
from tests.kvstore.storage.logs import (
    IDENTITY,
    entry,
    indexes,
    meta,
    snapshot,
    write,
    write_until_refused,
)

MiB = 1024 * 1024


@pytest.fixture
def files() -> Iterator[LocalFiles]:
    local = LocalFiles()
    yield local
    local.close()


def open_log(files: Files, folder: Path, segment_bytes: int = MiB) -> LogStorage:
    return LogStorage.open(files, str(folder), IDENTITY, segment_bytes=segment_bytes)


async def test_a_log_on_the_real_disk_survives_reopening(files: LocalFiles, tmp_path: Path) -> None:
    storage = open_log(files, tmp_path, segment_bytes=4096)
    await write(storage, [[entry(at, size=300)] for at in range(1, 101)])
    await snapshot(storage, 60, [b"state"])
    storage.close()
    storage = open_log(files, tmp_path)
    assert indexes(storage) == list(range(61, 101))
    assert list(storage.read_snapshot()) == [b"state"]
    storage.close()


async def test_a_torn_tail_on_the_real_disk_is_cut_off(files: LocalFiles, tmp_path: Path) -> None:
    storage = open_log(files, tmp_path)
    await write(storage, [[entry(1)], [entry(2)]])
    storage.close()
    (segment,) = (tmp_path / "member/wal").iterdir()
    data = segment.read_bytes()
    assert len(data) == MiB, "space is reserved"
    used = len(data.rstrip(b"\0"))
    segment.write_bytes(data[: used - 5])
    storage = open_log(files, tmp_path)
    assert indexes(storage) == [1]
    await write(storage, [[entry(2, term=2)]])
    storage.close()
    storage = open_log(files, tmp_path)
    assert storage.recovery.entries[1] == entry(2, term=2)
    storage.close()


async def test_what_lies_behind_the_good_bytes_is_zeroed(files: LocalFiles, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"good" + b"garbage")
    file = files.open_append(str(path), size=4)
    file.append(b"more")
    assert file.size == 8
    await file.sync()
    assert path.read_bytes() == b"goodmore\0\0\0"
    file.close()


async def test_files_and_folders_are_the_members_own(files: LocalFiles, tmp_path: Path) -> None:
    storage = open_log(files, tmp_path)
    await write(storage, [[entry(1)]])
    storage.close()
    member = tmp_path / "member"
    assert {path.stat().st_mode & 0o077 for path in (member, *member.rglob("*"))} == {0}


async def test_a_log_is_written_in_one_thread_that_is_not_the_loops(
    files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    fdatasync = os.fdatasync

    def spy(fd: int) -> None:
        threads.append(threading.current_thread().name)
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", spy)
    storage = open_log(files, tmp_path)
    await write(storage, [[entry(at)] for at in range(1, 6)])
    storage.close()
    assert threads == ["wal"] * 6  # the segment's header, five batches


async def test_the_loop_syncs_by_itself_while_the_disk_is_quick(
    files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    fdatasync = os.fdatasync
    clock = [0.0]
    seconds = [QUICK_SECONDS / 2]

    def spy(fd: int) -> None:
        threads.append(threading.current_thread().name)
        clock[0] += seconds[0]
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", spy)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    file = files.create(str(tmp_path / "file"), preallocate=MiB)
    for _ in range(UNSTALLED_MIN + 3):  # the first is about the space
        file.append(b"x")
        await file.sync()
    assert threads == ["wal"] * (UNSTALLED_MIN + 1) + ["MainThread"] * 2
    for size in (SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1, 1):
        file.append(bytes(size // 2))
        file.append(bytes(size - size // 2))
        await file.sync()
    assert threads[-3:] == ["MainThread", "wal", "MainThread"]
    seconds[0] = 2 * STALL_SECONDS
    for _ in range(3):
        file.append(b"x")
        await file.sync()
    assert threads[-3:] == ["MainThread", "wal", "wal"]
    file.close()


async def test_a_sync_that_writes_many_zeros_ahead_is_the_threads(
    files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    zeros: list[tuple[str, int]] = []
    pwrite = os.pwrite

    def spy(fd: int, data: bytes, offset: int) -> int:
        zeros.append((threading.current_thread().name, len(data)))
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", spy)
    monkeypatch.setattr(os, "fdatasync", lambda _: threads.append(threading.current_thread().name))
    monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
    file = files.create(str(tmp_path / "file"), preallocate=2 * MiB)
    for _ in range(UNSTALLED_MIN + 1):
        file.append(b"x")
        await file.sync()
    for _ in range(4 * ZEROED_BYTES // SMALL_BYTES_MAX):
        file.append(bytes(SMALL_BYTES_MAX))
        await file.sync()
    assert len(zeros) > 4
    assert set(zeros) == {("wal", ZEROED_BYTES)}
    assert threads[UNSTALLED_MIN + 1 :].count("MainThread") > len(zeros)
    file.close()


async def test_zeros_go_ahead_of_a_log_and_never_over_it(files: LocalFiles, tmp_path: Path) -> None:
    path = tmp_path / "file"
    file = files.create(str(path), preallocate=MiB)
    written = b""
    for number in range(1, 120):
        batch = bytes([number]) * (100 * number)
        written += batch
        file.append(batch)
        await file.sync()
        assert path.read_bytes() == written.ljust(MiB, b"\0")
    file.close()


def _wait_for(gate: threading.Event) -> None:
    gate.wait(30)


async def test_the_loop_runs_while_a_sync_waits(files: LocalFiles, tmp_path: Path) -> None:
    file = files.create(str(tmp_path / "file"), preallocate=MiB)
    gate = threading.Event()
    files._log_worker.post(lambda: _wait_for(gate))
    file.append(b"x")
    syncing = asyncio.ensure_future(file.sync())
    await asyncio.sleep(0)
    assert not syncing.done()
    gate.set()
    await syncing
    file.close()


async def test_a_cancelled_sync_does_not_close_the_file_beneath_its_write(
    files: LocalFiles, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    file = files.create(str(path), preallocate=MiB)
    gate = threading.Event()
    files._log_worker.post(lambda: _wait_for(gate))
    file.append(b"whole")
    syncing = asyncio.ensure_future(file.sync())
    await asyncio.sleep(0)
    syncing.cancel()
    file.close()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await syncing
    again = files.create(str(tmp_path / "other"), preallocate=MiB)
    await again.sync()  # one thread: the first file's write and close are done
    assert path.read_bytes()[:5] == b"whole"
    again.close()


async def test_the_lock_is_released_only_when_nothing_is_under_way(
    files: LocalFiles, tmp_path: Path
) -> None:
    """A rename whose waiter was cancelled still runs: the next owner must not meet it."""
    release = files.lock(str(tmp_path / "lock"))
    files.create(str(tmp_path / "a")).close()
    gate = threading.Event()
    files._bulk_worker.post(lambda: _wait_for(gate))
    renaming = asyncio.ensure_future(files.rename(str(tmp_path / "a"), str(tmp_path / "b")))
    await asyncio.sleep(0)
    renaming.cancel()
    releasing = threading.Thread(target=release)
    releasing.start()
    with pytest.raises(DataFolderError):
        files.lock(str(tmp_path / "lock"))
    gate.set()
    releasing.join()
    assert files.list(str(tmp_path)) == ["b", "lock"]
    files.lock(str(tmp_path / "lock"))()


async def test_reserved_space_that_cannot_be_had_fails_the_first_sync(
    files: LocalFiles, tmp_path: Path
) -> None:
    file = files.create(str(tmp_path / "file"), preallocate=1 << 62)
    file.append(b"x")
    with pytest.raises(DiskError, match="cannot write"):
        await file.sync()
    file.close()


async def test_renames_and_removals_are_seen(files: LocalFiles, tmp_path: Path) -> None:
    files.create(str(tmp_path / "a")).close()
    await files.rename(str(tmp_path / "a"), str(tmp_path / "b"))
    await files.sync_folder(str(tmp_path))
    assert files.list(str(tmp_path)) == ["b"]
    assert files.size(str(tmp_path / "b")) == 0
    await files.remove(str(tmp_path / "b"))
    assert not files.exists(str(tmp_path / "b"))


async def test_what_the_disk_refuses_is_a_disk_error(files: LocalFiles, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing" / "file")
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot create"):
        files.create(str(tmp_path / "file"))
    with pytest.raises(DiskError, match="cannot open"):
        files.open_append(missing, size=0)
    with pytest.raises(DiskError, match="cannot read"):
        files.read(missing)
    with pytest.raises(DiskError, match="cannot remove"):
        await files.remove(missing)
    with pytest.raises(DiskError, match="cannot rename"):
        await files.rename(missing, missing)
    with pytest.raises(DiskError, match="cannot sync"):
        await files.sync_folder(str(tmp_path / "missing"))
    with pytest.raises(DiskError, match="cannot create folder"):
        files.make_folder(str(tmp_path / "file" / "folder"))
    with pytest.raises(DiskError, match="cannot open"):
        files.lock(missing)


def test_one_process_at_a_time_holds_the_lock(files: LocalFiles, tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD_LOCK, path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(DataFolderError, match="another process runs on this data folder"):
        files.lock(path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    files.lock(path)()
    files.lock(path)()


_HOLD_LOCK = """
import sys, signal
from kvstore.storage.files import LocalFiles
release = LocalFiles().lock(sys.argv[1])
print("locked", flush=True)
signal.pause()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs needs root and mount(8)")
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("this container may not mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_is_a_clear_error_and_loses_nothing(
    files: LocalFiles, small_disk: Path
) -> None:
    storage = open_log(files, small_disk, segment_bytes=128 * 1024)
    written: list[int] = []
    with pytest.raises(DiskError, match=r"No space left on device; free space on this disk"):
        await write_until_refused(storage, written, 10_000)
    assert len(written) > 20
    storage.close()
    storage = open_log(files, small_disk, segment_bytes=128 * 1024)
    assert indexes(storage)[: len(written)] == written
    with pytest.raises(DiskError, match="free space"):  # still full: a snapshot fails as clearly
        await _snapshot_of(storage, len(written), 600_000)
    storage.close()


async def _snapshot_of(storage: LogStorage, index: int, size: int) -> None:
    writer = storage.create_snapshot(meta(index))
    writer.write(bytes(size))
    try:
        await writer.finish()
    finally:
        writer.abort()


def test_an_error_of_the_real_fdatasync_ends_the_log(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = ["strace", "-f", "-o", str(tmp_path / "trace"), "-e", "trace=fdatasync"]
    inject = ["-e", "inject=fdatasync:error=EIO:when=4"]
    program = [sys.executable, "-c", _WRITE_TEN, str(tmp_path)]
    run = subprocess.run(
        [*trace, *inject, *program], capture_output=True, text=True, timeout=100, check=False
    )
    if "ptrace" in run.stderr:
        pytest.skip("this container may not trace")
    # fdatasync 1 is the segment's header; 4 is the batch of entry 3.
    assert run.stdout.splitlines() == ["1", "2", "refused", "refused again"], run.stderr
    assert "the disk is failing" in run.stderr
    local = LocalFiles()
    storage = open_log(local, tmp_path)
    assert indexes(storage)[:2] == [1, 2]
    storage.close()
    local.close()


_WRITE_TEN = """
import asyncio, sys
from kvstore.errors import DiskError
from kvstore.storage.files import LocalFiles
from kvstore.storage.log_storage import Identity, LogStorage
from kvstore.raft.types import Entry

async def main():
    storage = LogStorage.open(LocalFiles(), sys.argv[1], Identity(0xC1, 0xA1), segment_bytes=65536)
    try:
        for index in range(1, 11):
            storage.append(None, [Entry(index, 1, b"x")])
            await storage.sync()
            print(index, flush=True)
    except DiskError as error:
        print("refused", flush=True)
        print(error, file=sys.stderr)
    try:
        await storage.sync()
    except DiskError:
        print("refused again", flush=True)

asyncio.run(main())
"""
