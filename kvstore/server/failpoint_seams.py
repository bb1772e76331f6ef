"""The seams of a member with failpoints: the real ones, each behind what tells of its points.

Only what is armed is wrapped (`kvstore.__main__` decides), so a member without failpoints runs the
seams themselves. Decides nothing: `failpoints` does.
"""

import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from pathlib import Path

from kvstore.raft.types import SnapshotMeta
from kvstore.seams import AppendFile, PeerTransport, SnapshotStream
from kvstore.server.failpoints import Failpoints
from kvstore.server.node import Node
from kvstore.server.points import point_of
from kvstore.storage.files import LocalFiles, disk_error


class _Passing:
    """Tells of points of files, and raises what the disk would."""

    def __init__(self, failpoints: Failpoints) -> None:
        self._failpoints = failpoints

    def __call__(self, operation: str, path: str) -> None:
        try:
            self._failpoints.pass_point(point_of(operation, path))
        except OSError as error:
            raise disk_error(operation, path, error) from error

    def fdatasync(self, fd: int) -> None:
        """In place of the system's: here the bytes are the kernel's, and nothing is durable."""
        path = str(Path(f"/proc/self/fd/{fd}").readlink())  # the name that it has by now
        self._failpoints.pass_point(point_of("sync", path))
        os.fdatasync(fd)


class FailpointAppendFile:
    """See `AppendFile`."""

    def __init__(self, file: AppendFile, path: str, passing: _Passing) -> None:
        self.path = path
        self._file = file
        self._passing = passing

    @property
    def size(self) -> int:
        """See `AppendFile.size`."""
        return self._file.size

    def append(self, data: bytes) -> None:
        """See `AppendFile.append`."""
        self._file.append(data)

    async def sync(self) -> None:
        """See `AppendFile.sync`."""
        self._passing("write", self.path)
        await self._file.sync()
        self._passing("synced", self.path)

    def close(self) -> None:
        """See `AppendFile.close`."""
        self._file.close()


class FailpointFiles:
    """`LocalFiles` with failpoints; implements `Files`."""

    def __init__(self, failpoints: Failpoints) -> None:
        self._passing = _Passing(failpoints)
        self._files = LocalFiles(fdatasync=self._passing.fdatasync)
        self._open: weakref.WeakValueDictionary[str, FailpointAppendFile] = (
            weakref.WeakValueDictionary()
        )

    def make_folder(self, path: str) -> None:
        """See `Files.make_folder`."""
        self._files.make_folder(path)

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        return self._files.exists(path)

    def list(self, folder: str) -> list[str]:
        """See `Files.list`."""
        return self._files.list(folder)

    def size(self, path: str) -> int:
        """See `Files.size`."""
        return self._files.size(path)

    def read(self, path: str, offset: int = 0, count: int = -1) -> bytes:
        """See `Files.read`."""
        return self._files.read(path, offset, count)

    def create(self, path: str, *, preallocate: int = 0) -> FailpointAppendFile:
        """See `Files.create`."""
        self._passing("create", path)
        return self._opened(self._files.create(path, preallocate=preallocate), path)

    def open_append(self, path: str, *, size: int) -> FailpointAppendFile:
        """See `Files.open_append`."""
        self._passing("open_append", path)
        return self._opened(self._files.open_append(path, size=size), path)

    async def rename(self, source: str, target: str) -> None:
        """See `Files.rename`."""
        self._passing("rename", source)
        await self._files.rename(source, target)
        if (file := self._open.pop(source, None)) is not None:
            file.path = target
            self._open[target] = file

    async def remove(self, path: str) -> None:
        """See `Files.remove`."""
        self._passing("remove", path)
        await self._files.remove(path)

    async def sync_folder(self, path: str) -> None:
        """See `Files.sync_folder`."""
        self._passing("sync_folder", path)
        await self._files.sync_folder(path)
        self._passing("synced_folder", path)

    def lock(self, path: str) -> Callable[[], None]:
        """See `Files.lock`."""
        return self._files.lock(path)

    def close(self) -> None:
        """See `LocalFiles.close`."""
        self._files.close()

    def _opened(self, file: AppendFile, path: str) -> FailpointAppendFile:
        opened = self._open[path] = FailpointAppendFile(file, path, self._passing)
        return opened


class FailpointTransport:
    """A `PeerTransport` with failpoints."""

    def __init__(self, transport: PeerTransport, failpoints: Failpoints) -> None:
        self._transport = transport
        self._failpoints = failpoints

    def send(self, to: int, frames: Sequence[bytes]) -> None:
        """See `PeerTransport.send`."""
        self._failpoints.pass_point("frames send")
        self._transport.send(to, frames)
        self._failpoints.pass_point("frames sent")

    async def send_snapshot(self, to: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """See `PeerTransport.send_snapshot`."""
        await self._transport.send_snapshot(to, header, chunks)

    def start(
        self,
        on_frame: Callable[[int, bytes], None],
        on_snapshot: Callable[[SnapshotStream], Awaitable[None]],
        on_unreachable: Callable[[int], None],
        on_removed: Callable[[], None],
    ) -> Awaitable[None]:
        """See `PeerTransport.start`."""
        return self._transport.start(on_frame, on_snapshot, on_unreachable, on_removed)

    def is_connected(self, member_id: int) -> bool:
        """See `PeerTransport.is_connected`."""
        return self._transport.is_connected(member_id)

    def set_peers(
        self,
        addresses: dict[int, Sequence[str]],
        *,
        removed: Set[int] = frozenset(),
        introduction: bytes = b"",
    ) -> None:
        """See `PeerTransport.set_peers`."""
        self._transport.set_peers(addresses, removed=removed, introduction=introduction)

    async def close(self) -> None:
        """See `PeerTransport.close`."""
        await self._transport.close()


def arm_node(node: Node, failpoints: Failpoints) -> None:
    """The points in memory: nothing of the disk or the network shows them."""
    node.on_commit = lambda: failpoints.pass_point("apply")
    node.on_applied.append(lambda: failpoints.pass_point("applied"))
    install = node.install_snapshot
    assert install is not None, "the keeper of snapshots comes first"

    async def install_with_points(meta: SnapshotMeta) -> None:
        failpoints.pass_point("snapshot install")
        await install(meta)
        failpoints.pass_point("snapshot installed")

    node.install_snapshot = install_with_points
