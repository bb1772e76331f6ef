"""Reads the log of a container, over the files that it was rotated into, and as it grows.

A log is `NAME/ATTEMPT.log`; what was put aside of it is `ATTEMPT.log.20261129-200000` beside it.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from controlplane.api.podlogs import LogOptions
from controlplane.node.log_lines import Lines, Tail

READ_BYTES = 64 * 1024
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.05, 0.5
_ALIVE_SECONDS = 1.0
"""How often it is asked whether anything may still be written."""
_UNREADABLE = (".gz", ".tmp")


async def read_log(
    path: Path, options: LogOptions, is_running: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    """What is wanted of a log, in parts; when it is followed, until nobody writes it any more."""
    lines = Lines(options, options.since(time.time()))
    cursor = await asyncio.to_thread(_Cursor.at, path, options.tail_lines)
    pause, alive_until, is_over = _PAUSE_SECONDS_MIN, 0.0, False
    try:
        while not lines.is_full:
            data, is_new_file = await asyncio.to_thread(cursor.read)
            if is_new_file:
                lines.end_of_file()
            if data:
                pause = _PAUSE_SECONDS_MIN
                if text := lines.feed(data):
                    yield text
            elif not options.follows or is_over:
                return
            elif time.monotonic() >= alive_until:
                alive_until = time.monotonic() + _ALIVE_SECONDS
                is_over = not await is_running()  # if so, once more to the end
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _PAUSE_SECONDS_MAX)
    finally:
        cursor.close()


def files_of(path: Path) -> list[Path]:
    """Files of a log that there are, the oldest first."""
    try:
        names = sorted(one.name for one in path.parent.iterdir())
    except OSError:
        return []
    rotated = [name for name in names if name.startswith(f"{path.name}.")]
    found = [path.with_name(name) for name in rotated if not name.endswith(_UNREADABLE)]
    return [*found, path] if path.name in names else found


def remove_log(path: Path) -> None:
    """All files of a log, those that nobody can read as well. Blocks. Raises OSError."""
    for one in (*path.parent.glob(f"{path.name}.*"), path):
        one.unlink(missing_ok=True)


class _Cursor:
    """A place in a log. Everything may block for as long as a disk takes."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor  # None: there is no file yet
        # Who gives up waiting for `read` does not end it, and must not take its file away.
        self._lock = threading.Lock()
        self._is_closed = False

    @classmethod
    def at(cls, path: Path, tail_lines: int | None) -> "_Cursor":
        """At the beginning, or before the last lines."""
        files = [] if tail_lines is None else files_of(path)
        tail = Tail(tail_lines or 0)
        for file in reversed(files):
            descriptor = _opened(file)
            if descriptor is None:
                continue
            begin = _begin_of(descriptor, tail)
            if begin is not None:
                os.lseek(descriptor, begin, os.SEEK_SET)
                return cls(path, descriptor)
            os.close(descriptor)
        return cls(path, _first(files_of(path)))

    def read(self) -> tuple[bytes, bool]:
        """What comes next, and whether it begins another file; nothing: that is all as yet."""
        with self._lock:
            return (b"", False) if self._is_closed else self._read()

    def _read(self) -> tuple[bytes, bool]:
        if self._descriptor is None:
            self._descriptor = _first(files_of(self._path))
            if self._descriptor is None:
                return b"", False
        if data := os.read(self._descriptor, READ_BYTES):
            return data, False
        following = self._following()
        if following is None:
            return b"", False
        # Its writer has gone over to the next file: now nothing more comes to this one.
        if data := os.read(self._descriptor, READ_BYTES):
            return data, False
        descriptor = _opened(following)
        if descriptor is None:
            return b"", False
        os.close(self._descriptor)
        self._descriptor = descriptor
        return os.read(descriptor, READ_BYTES), True

    def close(self) -> None:
        """Leave the log."""
        with self._lock:
            self._is_closed = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _following(self) -> Path | None:
        """The file after the one that is open."""
        assert self._descriptor is not None
        own = os.fstat(self._descriptor).st_ino
        files = files_of(self._path)
        inodes = [_inode(file) for file in files]
        # Where it was removed, all that is left is newer.
        newer = files[inodes.index(own) + 1 :] if own in inodes else files
        return newer[0] if newer else None


def _begin_of(descriptor: int, tail: Tail) -> int | None:
    """Where the last lines begin in a file; None: before it."""
    at = os.fstat(descriptor).st_size
    while at > 0:
        size = min(READ_BYTES, at)
        at -= size
        block = os.pread(descriptor, size, at)
        begin = tail.feed(block) if at else _of_first_block(tail, block)
        if begin is not None:
            return at + begin
    return None


def _of_first_block(tail: Tail, block: bytes) -> int | None:
    begin = tail.feed(block)
    return tail.begin_of_file() if begin is None else begin


def _first(files: list[Path]) -> int | None:
    for file in files:
        descriptor = _opened(file)
        if descriptor is not None:
            return descriptor
    return None


def _opened(path: Path) -> int | None:
    """None: it is not there any more."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
