"""The files of one life, as PySyncObj's modules ask for them: open, mmap, exists, move.

It never syncs (no fsync, and msync only when it is shut down in order), so all that it writes is
the simulated kernel's, which writes it back in its own time.
"""

import io
from types import TracebackType

from kvstore.testing.simulation.disk import SimulatedFiles, SimulatedPlainFile

_BUFFER_BYTES = io.DEFAULT_BUFFER_SIZE


class WrittenFile:
    """A file opened by "wb" (buffered, as Python's are) or by "r+b" (to be mapped)."""

    def __init__(self, file: SimulatedPlainFile, path: str) -> None:
        self.path = path
        self._file = file
        self._offset = 0
        self._buffer = b""

    def __enter__(self) -> "WrittenFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> "WrittenFile":
        """What `mmap` is told: here the file itself."""
        return self

    def write(self, data: bytes) -> int:
        """Buffer bytes; more than a buffer goes to the kernel."""
        self._buffer += data
        if len(self._buffer) >= _BUFFER_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Give the kernel what is buffered."""
        data, self._buffer = self._buffer, b""
        if data:
            self._file.write(self._offset, data)
            self._offset += len(data)

    def close(self) -> None:
        """As `flush`."""
        self.flush()


class MappedFile:
    """`mmap.mmap` of a whole file: each store is in the page cache at once."""

    def __init__(self, file: SimulatedPlainFile) -> None:
        self._file = file

    def size(self) -> int:
        """Bytes."""
        return self._file.size

    def resize(self, size: int) -> None:
        """Grow, with zeros."""
        self._file.extend(size)

    def __getitem__(self, where: slice) -> bytes:
        return self._file.read(where.start, where.stop - where.start)

    def __setitem__(self, where: slice, data: bytes) -> None:
        if where.stop - where.start != len(data) or where.stop > self._file.size:
            raise IndexError("mmap slice assignment is wrong size")
        self._file.write(where.start, data)


class ProgramFiles:
    """One life's view of its disk; dead when the life is over."""

    def __init__(self, files: SimulatedFiles) -> None:
        self._files = files
        self._life = files.life

    def exists(self, path: str) -> bool:
        """`os.path.exists` and `isfile`."""
        self._files.check_alive(self._life)
        return self._files.exists(path)

    def open(self, path: str, mode: str) -> WrittenFile | io.BytesIO:
        """`open`: "rb" reads what is there now, and goes on doing so when it is replaced."""
        self._files.check_alive(self._life)
        if mode == "wb":
            if self._files.exists(path):
                self._files.unlink(path)
            self._files.create(path)
            return WrittenFile(self._files.open_plain(path), path)
        if not self._files.exists(path):
            raise FileNotFoundError(path)
        if mode == "rb":
            return io.BytesIO(self._files.read(path))
        assert mode == "r+b", f"PySyncObj is not known to open files by {mode!r}"
        return WrittenFile(self._files.open_plain(path), path)

    def map(self, file: WrittenFile, length: int) -> MappedFile:
        """`mmap.mmap` of all of a file."""
        self._files.check_alive(self._life)
        assert length == 0, "PySyncObj is known to map whole files only"
        if not self._files.size(file.path):
            raise ValueError("cannot mmap an empty file")
        return MappedFile(self._files.open_plain(file.path, is_mapped=True))

    def move(self, source: str, target: str) -> None:
        """`os.rename`."""
        self._files.check_alive(self._life)
        self._files.move(source, target)
        self._files.passed("renamed", self._life, target)
