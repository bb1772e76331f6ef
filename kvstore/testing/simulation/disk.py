"""SimulatedFiles: a disk in memory that forgets at a crash what it never promised to keep.

What POSIX leaves open is decided by dice, against the program: of an unsynced write any part may
survive, and any creation, rename or removal whose folder was not synced may be undone. Sectors
are written whole or not at all. No real time, file or thread enters here.
"""

import asyncio
import copy
import errno
from collections.abc import Callable, Sequence

import msgspec

from kvstore.errors import DataFolderError
from kvstore.seams import Clock, Random
from kvstore.storage.files import disk_error
from kvstore.testing.simulation.process import SimulatedCrash
from kvstore.testing.simulation.worst import Worst

__all__ = ["Hook", "SimulatedAppendFile", "SimulatedCrash", "SimulatedFiles"]

_SECTOR_BYTES = 512
_PAGE_BYTES = 4096

# An I/O point and its path: what a hook is told before it happens.
# `write` and `sync` are the two halves of one AppendFile.sync; `synced` is its return.
Hook = Callable[[str, str], None]


class _Inode(msgspec.Struct):
    """A file's bytes: what readers see, what is durable, and the writes between the two."""

    path: str
    reserved: int = 0
    content: bytearray = msgspec.field(default_factory=bytearray)
    durable: bytearray = msgspec.field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes]] = msgspec.field(default_factory=list)
    is_mapped: bool = False
    """Its pages are memory of the process: each reaches the disk whole, as it was at some time."""

    def write(self, offset: int, data: bytes) -> None:
        _overwrite(self.content, offset, data)
        self.unsynced.append((offset, data))

    def make_durable(self) -> None:
        self.durable = bytearray(self.content)
        self.unsynced.clear()


class _FolderOperation(msgspec.Struct, frozen=True):
    """Not durable yet: `source` disappears, `target` becomes `inode`. Either may be empty."""

    source: str = ""
    target: str = ""
    inode: _Inode | None = None

    def apply(self, names: dict[str, _Inode]) -> None:
        names.pop(self.source, None)
        if self.inode is not None:
            names[self.target] = self.inode


class SimulatedAppendFile:
    """A file open for appending; implements `AppendFile`. Dead after its process crashed."""

    def __init__(self, files: "SimulatedFiles", inode: _Inode, size: int) -> None:
        self._files = files
        self._inode = inode
        self._life = files.life
        self._written = size
        self._queued: list[bytes] = []
        self._size = size
        self._syncing = asyncio.Lock()

    @property
    def size(self) -> int:
        """See `AppendFile.size`."""
        return self._size

    def append(self, data: bytes) -> None:
        """See `AppendFile.append`."""
        self._files.check_alive(self._life)
        self._queued.append(data)
        self._size += len(data)

    async def sync(self) -> None:
        """See `AppendFile.sync`."""
        self._files.check_alive(self._life)
        data, self._queued = b"".join(self._queued), []
        async with self._syncing:
            self._files.write(self._life, self._inode, self._written, data)
            self._written += len(data)
            await self._files.sync(self._life, self._inode)

    def close(self) -> None:
        """See `AppendFile.close`."""


class SimulatedPlainFile:
    """A file of a program that never syncs: each write is the kernel's at once, and durable only
    by luck or by `SimulatedFiles.write_back`. Dead after its process crashed."""

    def __init__(self, files: "SimulatedFiles", inode: _Inode) -> None:
        self._files = files
        self._inode = inode
        self._life = files.life

    @property
    def size(self) -> int:
        """Bytes."""
        return max(len(self._inode.content), self._inode.reserved)

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes."""
        self._files.check_alive(self._life)
        end = min(offset + count, self.size)
        return bytes(self._inode.content[offset:end]).ljust(max(end - offset, 0), b"\0")

    def write(self, offset: int, data: bytes) -> None:
        """Overwrite, or write behind the end."""
        self._files.check_alive(self._life)
        self._files.write(self._life, self._inode, offset, data)
        self._files.passed("written", self._life, self._inode.path)

    def extend(self, size: int) -> None:
        """Grow to `size` bytes, with zeros; durable at once."""
        self._files.check_alive(self._life)
        self._inode.reserved = max(self._inode.reserved, size)


class SimulatedFiles:
    """The disk of one simulated member; implements `Files`. `crash` is the member's death."""

    def __init__(
        self, random: Random, clock: Clock | None = None, *, sync_seconds: float = 0.0
    ) -> None:
        assert clock is not None or not sync_seconds, "latency needs a clock"
        self.life = 0
        """How many crashes this disk has seen."""
        self.hook: Hook | None = None
        """Called before every I/O point; may raise, `crash`, or append to a log."""
        self.free_bytes: int | None = None
        """ENOSPC once so many more bytes are used; None = endless."""
        self.syncs_until_error: int | None = None
        """EIO at the k-th sync of a file from now (1 = the next); None = never."""
        self.sync_seconds = Worst(sync_seconds)
        """How long a sync takes; needs a clock when it takes any time."""
        self._random = random
        self.clock = clock
        """What the time of a sync is taken from: the clock of whoever runs on this disk."""
        self.torn_tails = 0
        """How many files were opened to append before something that was written."""
        self._folders: set[str] = set()
        self._locked: set[str] = set()
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._unsynced: dict[str, list[_FolderOperation]] = {}
        self._failed: set[int] = set()
        self._image: dict[str, _Inode] | None = None

    @property
    def has_failed(self) -> bool:
        """Tell whether a sync or a write has failed since the last crash."""
        return bool(self._failed)

    @property
    def lies_about_sync(self) -> bool:
        """The negative control: from the moment this is set nothing becomes durable any more.

        Every sync still returns as if; a crash takes the disk back to the moment of the setting.
        """
        return self._image is not None

    @lies_about_sync.setter
    def lies_about_sync(self, is_lying: bool) -> None:
        self._image = copy.deepcopy(self._durable_names) if is_lying else None

    def crash(self) -> None:
        """Kill the process and cut the power: keep what is durable and, by dice, some of the rest.

        Open files of the dead process raise SimulatedCrash from now on.
        """
        self.life += 1
        self._locked.clear()
        self._failed.clear()
        if self._image is not None:
            self._durable_names = copy.deepcopy(self._image)
        else:
            for operations in self._unsynced.values():
                for operation in self._survivors(operations):
                    operation.apply(self._durable_names)
        self._unsynced.clear()
        self._names = dict(self._durable_names)
        for path, inode in self._names.items():
            self._tear(path, inode)

    def write_back(self) -> None:
        """What a kernel does by itself after a while: all that was written becomes durable."""
        for operations in self._unsynced.values():
            for operation in operations:
                operation.apply(self._durable_names)
        self._unsynced.clear()
        for inode in self._names.values():
            inode.make_durable()

    def flip_bit(self, path: str, bit: int) -> None:
        """Damage a durable file: bit 0 is the lowest of the first byte."""
        inode = self._names[path]
        for content in (inode.content, inode.durable):
            content[bit // 8] ^= 1 << bit % 8

    def check_alive(self, life: int) -> None:
        """Raise in a process that has crashed."""
        if life != self.life:
            raise SimulatedCrash

    def passed(self, operation: str, life: int, path: str) -> None:
        """An I/O point behind an operation of a program that never syncs."""
        self._at(operation, path)
        self.check_alive(life)

    def write(self, life: int, inode: _Inode, offset: int, data: bytes) -> None:
        """First half of a file's sync: the bytes are the kernel's, and any part may survive."""
        self._at("write", inode.path)
        self.check_alive(life)
        if id(inode) in self._failed:
            raise disk_error("write", inode.path, OSError(errno.EIO, "Input/output error"))
        fitting = self._charge(inode, offset + len(data))
        inode.write(offset, data[: fitting - offset])
        if fitting < offset + len(data):
            self._failed.add(id(inode))
            raise _no_space("write", inode.path)

    async def sync(self, life: int, inode: _Inode) -> None:
        """Second half: all that was written becomes durable."""
        if self.clock is not None and self.sync_seconds.now:
            await self.clock.sleep(self.sync_seconds.now)
        self.check_alive(life)
        self._at("sync", inode.path)
        self.check_alive(life)
        if self.syncs_until_error is not None:
            self.syncs_until_error -= 1
            if not self.syncs_until_error:
                self._failed.add(id(inode))
                raise disk_error("write", inode.path, OSError(errno.EIO, "Input/output error"))
        inode.make_durable()
        self._at("synced", inode.path)
        self.check_alive(life)

    def make_folder(self, path: str) -> None:
        """See `Files.make_folder`."""
        self._at("make_folder", path)
        while path:
            self._folders.add(path)
            path = path.rpartition("/")[0]

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        return path in self._names or path in self._folders

    def list(self, folder: str) -> list[str]:
        """See `Files.list`."""
        paths = (path.rpartition("/") for path in (*self._names, *self._folders))
        return sorted(name for parent, _, name in paths if parent == folder)

    def size(self, path: str) -> int:
        """See `Files.size`."""
        inode = self._names[path]
        return max(len(inode.content), inode.reserved)

    def read(self, path: str, offset: int = 0, count: int = -1) -> bytes:
        """See `Files.read`."""
        inode = self._names[path]
        data = bytes(inode.content).ljust(inode.reserved, b"\0")
        return data[offset:] if count < 0 else data[offset : offset + count]

    def create(self, path: str, *, preallocate: int = 0) -> SimulatedAppendFile:
        """See `Files.create`."""
        self._at("create", path)
        if path in self._names:
            raise disk_error("create", path, OSError(errno.EEXIST, "File exists"))
        inode = _Inode(path)
        self._change(path, _FolderOperation(target=path, inode=inode))
        if self._charge(inode, preallocate) < preallocate:
            raise _no_space("reserve space for", path)
        inode.reserved = preallocate
        return SimulatedAppendFile(self, inode, 0)

    def open_append(self, path: str, *, size: int) -> SimulatedAppendFile:
        """See `Files.open_append`."""
        self._at("open_append", path)
        inode = self._names[path]
        self.torn_tails += any(inode.content[size:])
        inode.content = inode.content[:size].ljust(size, b"\0")
        inode.make_durable()
        return SimulatedAppendFile(self, inode, size)

    def open_plain(self, path: str, *, is_mapped: bool = False) -> SimulatedPlainFile:
        """Open a file of a program that never syncs. `is_mapped`: by mmap, for good."""
        self._at("open", path)
        inode = self._names[path]
        inode.is_mapped = inode.is_mapped or is_mapped
        return SimulatedPlainFile(self, inode)

    async def rename(self, source: str, target: str) -> None:
        """See `Files.rename`."""
        self.move(source, target)

    def move(self, source: str, target: str) -> None:
        """`rename`, for a program that is not asynchronous."""
        assert source.rpartition("/")[0] == target.rpartition("/")[0], "one folder only"
        self._at("rename", source)
        inode = self._names[source]
        inode.path = target
        self._change(target, _FolderOperation(source=source, target=target, inode=inode))

    async def remove(self, path: str) -> None:
        """See `Files.remove`."""
        self.unlink(path)

    def unlink(self, path: str) -> None:
        """`remove`, for a program that is not asynchronous."""
        self._at("remove", path)
        if path not in self._names:
            raise disk_error("remove", path, OSError(errno.ENOENT, "No such file or directory"))
        self._change(path, _FolderOperation(source=path))

    async def sync_folder(self, path: str) -> None:
        """See `Files.sync_folder`."""
        self._at("sync_folder", path)
        for operation in self._unsynced.pop(path, []):
            operation.apply(self._durable_names)
        self._at("synced_folder", path)

    def lock(self, path: str) -> Callable[[], None]:
        """See `Files.lock`."""
        self._at("lock", path)
        if path in self._locked:
            raise DataFolderError(f"{path} is locked")
        self._locked.add(path)
        return lambda: self._locked.discard(path)

    def _at(self, operation: str, path: str) -> None:
        life = self.life
        if self.hook is not None:
            self.hook(operation, path)
        self.check_alive(life)

    def _change(self, path: str, operation: _FolderOperation) -> None:
        operation.apply(self._names)
        self._unsynced.setdefault(path.rpartition("/")[0], []).append(operation)

    def _charge(self, inode: _Inode, end: int) -> int:
        """Take space for a file to reach `end`; returns how far it can reach."""
        has = max(len(inode.content), inode.reserved)
        if self.free_bytes is None or end <= has:
            return end
        taken = min(end - has, self.free_bytes)
        self.free_bytes -= taken
        return has + taken

    def _survivors(self, operations: Sequence[_FolderOperation]) -> Sequence[_FolderOperation]:
        """A journal keeps a beginning of them; POSIX allows any."""
        if self._random.getrandbits(1):
            return operations[: self._random.randrange(0, len(operations) + 1)]
        return [operation for operation in operations if self._random.getrandbits(1)]

    def _tear(self, path: str, inode: _Inode) -> None:
        inode.path = path
        content = bytearray(inode.durable)
        if self._image is not None:
            pass
        elif inode.is_mapped:
            self._survive_by_page(content, inode.unsynced)
        else:
            for offset, data in inode.unsynced:
                self._survive(content, offset, data)
        inode.content = content
        inode.make_durable()

    def _survive_by_page(self, content: bytearray, writes: Sequence[tuple[int, bytes]]) -> None:
        """Each page as it was when the kernel last wrote it: behind any of its writes, or none."""
        by_page: dict[int, list[tuple[int, bytes]]] = {}
        for offset, data in writes:
            for page in range(offset // _PAGE_BYTES, (offset + len(data) - 1) // _PAGE_BYTES + 1):
                start, end = max(offset, page * _PAGE_BYTES), (page + 1) * _PAGE_BYTES
                part = data[start - offset : end - offset]
                by_page.setdefault(page, []).append((start, part))
        for parts in by_page.values():
            for start, part in parts[: self._random.randrange(0, len(parts) + 1)]:
                _overwrite(content, start, part)

    def _survive(self, content: bytearray, offset: int, data: bytes) -> None:
        """Nothing, everything, a beginning, or any of its sectors."""
        match self._random.randrange(0, 4):
            case 0:
                return
            case 1:
                _overwrite(content, offset, data)
            case 2:
                kept = self._random.randrange(0, len(data) + 1)
                _overwrite(content, offset, data[:kept])
            case _:
                start = offset
                while start < offset + len(data):
                    end = (start // _SECTOR_BYTES + 1) * _SECTOR_BYTES
                    if self._random.getrandbits(1):
                        _overwrite(content, start, data[start - offset : end - offset])
                    start = end


def _overwrite(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _no_space(action: str, path: str) -> BaseException:
    return disk_error(action, path, OSError(errno.ENOSPC, "No space left on device"))
