"""The disk as one life of a process sees it: `Files` that end with the process.

The disk outlives its processes. A coroutine of a dead one may still wait somewhere and would go on
with the files of the life that has begun since.
"""

from collections.abc import Callable

from kvstore.seams import AppendFile
from kvstore.testing.simulation.disk import SimulatedFiles


class LifeFiles:
    """See above. After the life's end every method raises SimulatedCrash."""

    def __init__(self, disk: SimulatedFiles) -> None:
        """For the life that has begun with the latest crash."""
        self._disk = disk
        self._life = disk.life

    def make_folder(self, path: str) -> None:
        """See `Files`."""
        self._alive().make_folder(path)

    def exists(self, path: str) -> bool:
        """See `Files`."""
        return self._alive().exists(path)

    def list(self, folder: str) -> "list[str]":
        """See `Files`."""
        return self._alive().list(folder)

    def size(self, path: str) -> int:
        """See `Files`."""
        return self._alive().size(path)

    def read(self, path: str, offset: int = 0, count: int = -1) -> bytes:
        """See `Files`."""
        return self._alive().read(path, offset, count)

    def create(self, path: str, *, preallocate: int = 0) -> AppendFile:
        """See `Files`."""
        return self._alive().create(path, preallocate=preallocate)

    def open_append(self, path: str, *, size: int) -> AppendFile:
        """See `Files`."""
        return self._alive().open_append(path, size=size)

    async def rename(self, source: str, target: str) -> None:
        """See `Files`."""
        await self._alive().rename(source, target)

    async def remove(self, path: str) -> None:
        """See `Files`."""
        await self._alive().remove(path)

    async def sync_folder(self, path: str) -> None:
        """See `Files`."""
        await self._alive().sync_folder(path)

    def lock(self, path: str) -> Callable[[], None]:
        """See `Files`."""
        release = self._alive().lock(path)

        def unlock() -> None:
            if self._disk.life == self._life:
                release()

        return unlock

    def _alive(self) -> SimulatedFiles:
        self._disk.check_alive(self._life)
        return self._disk
