"""Files: the real file system behind the seam `Files`, with a thread for what blocks.

The event loop does not wait for a slow disk: a sync is one hop to a thread that writes and
fdatasyncs, and comes back with `call_soon_threadsafe`; while the disk is quick (`pace`) it is no
hop at all. Files with reserved space are logs and share the log thread; everything else (snapshots,
renames, removals) uses a second one, so that flushing a snapshot never queues before a log's sync.
Nothing here knows what the bytes mean.
"""

import asyncio
import errno
import fcntl
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

from kvstore.errors import DataFolderError, DiskError
from kvstore.storage.pace import Pace

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_WAIT_SECONDS = 0.1  # between looks whether a thread has ended

ZEROED_BYTES = 256 * 1024
"""Zeros written ahead in a log at a time. To write into space that is only reserved costs the file
system a journal entry for every block; done for many blocks at once, a sync takes half as long."""

_REMEDIES = {
    errno.ENOSPC: "free space on this disk, then start the member again; it goes on where it was",
    errno.EDQUOT: "raise the quota of this user, then start the member again",
    errno.EROFS: "the file system is read-only: look for disk errors in the kernel's log",
    errno.EACCES: "let the member's user write there, then start it again",
    errno.EIO: (
        "the disk is failing: replace it and this member: etcdctl member remove, etcdctl member "
        "add, then start it with an empty --data-dir and --initial-cluster-state=existing"
    ),
}
_OTHER_REMEDY = "see the kernel's log for this disk, then start the member again"


def disk_error(action: str, path: str, error: OSError) -> DiskError:
    """What an operator has to know of a refusal by the disk."""
    remedy = _REMEDIES.get(error.errno or 0, _OTHER_REMEDY)
    return DiskError(f"cannot {action} {path}: {error.strerror or error}; {remedy}")


class _Worker:
    """One thread that runs calls in order. Its queue is as long as its callers are many."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], None]) -> Awaitable[None]:
        """Run a function in the thread; the awaitable raises what it raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._calls.put(lambda: _run_and_settle(loop, future, function))
        return future

    def post(self, function: Callable[[], None]) -> None:
        """Run a function in the thread after what is queued; nobody waits."""
        self._calls.put(function)

    def wait(self) -> None:
        """Block until what is queued now has run."""
        is_done = threading.Event()
        self._calls.put(is_done.set)
        while self._thread.is_alive() and not is_done.wait(_WAIT_SECONDS):
            pass

    def stop(self) -> None:
        """End the thread once its queue is empty, and wait for it."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (function := self._calls.get()) is not None:
            function()


def _run_and_settle(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[None], function: Callable[[], None]
) -> None:
    error: BaseException | None = None
    try:
        function()
    except BaseException as failure:  # noqa: BLE001  (the thread's top: whoever waits gets it)
        error = failure
    try:
        loop.call_soon_threadsafe(_settle, future, error)
    except RuntimeError:
        return  # the loop has ended, and with it whoever waited


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class LocalAppendFile:
    """A file descriptor that is only appended to; implements `AppendFile`."""

    def __init__(
        self,
        fd: int,
        path: str,
        size: int,
        worker: _Worker,
        *,
        reserve: int = 0,
        reserved: int = 0,
        pace: Pace | None = None,
        fdatasync: Callable[[int], None] | None = None,
    ) -> None:
        """`reserve`: bytes of space to ask for before the first write; `reserved`: those that it
        has. `pace`: a log's; without it every sync is the worker's. `fdatasync`: instead of the
        system's."""
        self._fd = fd
        self._path = path
        self._size = size
        self._worker = worker
        self._reserve = reserve
        self._reserved = reserved
        self._pace = pace
        self._fdatasync = fdatasync or os.fdatasync
        self._written = self._zeroed = size
        self._is_in_thread = False
        self._queued: list[bytes] = []
        self._failure: DiskError | None = None
        self._is_closed = False

    @property
    def size(self) -> int:
        """See `AppendFile.size`."""
        return self._size

    def append(self, data: bytes) -> None:
        """See `AppendFile.append`; bytes stay in memory until the next sync."""
        self._queued.append(data)
        self._size += len(data)

    async def sync(self) -> None:
        """See `AppendFile.sync`: one hop for write and fdatasync, or none."""
        assert not self._is_closed, "a closed file: its descriptor may be another's"
        queued, self._queued = self._queued, []
        if self._is_quick(sum(map(len, queued))):
            self._write_and_sync(queued)
        else:
            self._is_in_thread = True
            await self._worker.call(lambda: self._sync_in_thread(queued))

    def _is_quick(self, size: int) -> bool:
        if self._pace is None or self._reserve or self._is_in_thread:
            return False
        return self._pace.is_quick(size + self._zero_count(self._written + size))

    def close(self) -> None:
        """See `AppendFile.close`; after a sync that is under way, never beneath it."""
        if not self._is_closed:
            self._is_closed = True
            self._worker.post(lambda: os.close(self._fd))

    def _sync_in_thread(self, queued: list[bytes]) -> None:
        try:
            self._write_and_sync(queued)
        finally:
            self._is_in_thread = False  # also when nobody waits for it any more

    def _write_and_sync(self, queued: list[bytes]) -> None:
        # After a failed fdatasync the kernel may call the lost pages clean: a second one would
        # succeed and promise what is not there. So a failure is for good.
        if self._failure is not None:
            raise self._failure
        try:
            is_first = self._reserve > 0
            if is_first:
                os.posix_fallocate(self._fd, 0, self._reserve)
                self._reserved, self._reserve = self._reserve, 0
            data = b"".join(queued)
            began = time.perf_counter()
            _write_all(self._fd, data)
            self._written += len(data)
            zero_count = self._zero_ahead()
            self._fdatasync(self._fd)
            if self._pace is not None and not is_first:  # that one is about the space
                self._pace.count(len(data) + zero_count, time.perf_counter() - began)
        except OSError as error:
            self._failure = disk_error("write", self._path, error)
            raise self._failure from error

    def _zero_count(self, written: int) -> int:
        """How many zeros are due once so much is written, within the space that is reserved."""
        start = max(self._zeroed, written)
        if start - written >= ZEROED_BYTES // 2:
            return 0
        return max(0, min(ZEROED_BYTES, self._reserved - start))

    def _zero_ahead(self) -> int:
        """Write zeros where those of before come to an end; returns how many."""
        count = self._zero_count(self._written)
        if count:
            start = max(self._zeroed, self._written)
            self._zeroed = start + os.pwrite(self._fd, bytes(count), start)
        return count


class LocalFiles:
    """The file system of this machine; implements `Files`."""

    def __init__(self, *, fdatasync: Callable[[int], None] | None = None) -> None:
        """`fdatasync`: called with a descriptor where files are synced, instead of the system's."""
        self._fdatasync = fdatasync
        self._log_worker = _Worker("wal")
        self._log_pace = Pace()
        self._bulk_worker = _Worker("bulk-files")

    def make_folder(self, path: str) -> None:
        """See `Files.make_folder`; durable on return."""
        missing = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
                _sync_folder(str(folder.parent))
        except OSError as error:
            raise disk_error("create folder", path, error) from error

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        return Path(path).exists()

    def list(self, folder: str) -> list[str]:
        """See `Files.list`."""
        return sorted(entry.name for entry in Path(folder).iterdir())

    def size(self, path: str) -> int:
        """See `Files.size`."""
        return Path(path).stat().st_size

    def read(self, path: str, offset: int = 0, count: int = -1) -> bytes:
        """See `Files.read`."""
        try:
            with Path(path).open("rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError as error:
            raise disk_error("read", path, error) from error

    def create(self, path: str, *, preallocate: int = 0) -> LocalAppendFile:
        """See `Files.create`; space is reserved with the first sync, in the thread."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        except OSError as error:
            raise disk_error("create", path, error) from error
        if not preallocate:
            return LocalAppendFile(fd, path, 0, self._bulk_worker, fdatasync=self._fdatasync)
        return LocalAppendFile(
            fd,
            path,
            0,
            self._log_worker,
            reserve=preallocate,
            pace=self._log_pace,
            fdatasync=self._fdatasync,
        )

    def open_append(self, path: str, *, size: int) -> LocalAppendFile:
        """See `Files.open_append`.

        Blocks on an fsync: what a killed process left in the page cache was read as if it were
        durable, so it must become that before anybody acts on it.
        """
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise disk_error("open", path, error) from error
        try:
            reserved = os.fstat(fd).st_size
            os.ftruncate(fd, size)
            if reserved > size:
                os.posix_fallocate(fd, size, reserved - size)
            os.lseek(fd, size, os.SEEK_SET)
            os.fsync(fd)
        except OSError as error:
            _give_up(fd, "repair", path, error)
        return LocalAppendFile(
            fd,
            path,
            size,
            self._log_worker,
            reserved=reserved,
            pace=self._log_pace,
            fdatasync=self._fdatasync,
        )

    async def rename(self, source: str, target: str) -> None:
        """See `Files.rename`."""
        await self._bulk_worker.call(
            lambda: _guarded("rename", source, lambda: os.replace(source, target))  # noqa: PTH105 (one call)
        )

    async def remove(self, path: str) -> None:
        """See `Files.remove`."""
        await self._bulk_worker.call(lambda: _guarded("remove", path, Path(path).unlink))

    async def sync_folder(self, path: str) -> None:
        """See `Files.sync_folder`."""
        await self._bulk_worker.call(lambda: _guarded("sync", path, lambda: _sync_folder(path)))

    def lock(self, path: str) -> Callable[[], None]:
        """See `Files.lock`: flock, which the kernel releases when the process ends in any way.

        The release first waits for the threads: nothing of ours may touch the folder after it.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        except OSError as error:
            raise disk_error("open", path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise DataFolderError(
                f"{path} is locked: another process runs on this data folder; stop it, "
                f"or give this member a --data-dir of its own"
            ) from error

        def release() -> None:
            self._log_worker.wait()
            self._bulk_worker.wait()
            os.close(fd)

        return release

    def close(self) -> None:
        """Wait for what is under way and end the threads."""
        self._log_worker.stop()
        self._bulk_worker.stop()


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data) if data else 0
    while written < len(data):  # a disk that fills up takes a part first
        written += os.write(fd, memoryview(data)[written:])


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _guarded(action: str, path: str, function: Callable[[], None]) -> None:
    try:
        function()
    except OSError as error:
        raise disk_error(action, path, error) from error


def _give_up(fd: int, action: str, path: str, error: OSError) -> NoReturn:
    os.close(fd)
    raise disk_error(action, path, error) from error
