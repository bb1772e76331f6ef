"""Seams: the only doors through which drivers reach time, disk, network and dice.

Protocols only. Each has a real implementation (`kvstore.server`, `kvstore.storage.files`,
`kvstore.client`) and a simulated one (`kvstore.testing.simulation`). A driver gets them in its
constructor; nothing in `server/` or `client/` may use asyncio timers, threads, sockets, grpc or
the file system past them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from typing import Any, Protocol


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it ran already."""


class Clock(Protocol):
    """Monotonic time of one process."""

    def now(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once, after `seconds`."""


class Random(Protocol):
    """Dice. `random.Random` is one."""

    def random(self) -> float:
        """A float in [0, 1)."""

    def randrange(self, start: int, stop: int) -> int:
        """An integer in [start, stop)."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of k random bits."""


class AppendFile(Protocol):
    """A file open for appending. Bytes are durable only after `sync` has returned."""

    @property
    def size(self) -> int:
        """Bytes appended so far, synced or not (what was preallocated does not count)."""

    def append(self, data: bytes) -> None:
        """Queue bytes; they reach the disk with the next `sync`, in any part until it returns.

        They never reach it before a sync that was called earlier has returned, nor after one
        that has failed: a batch on the disk proves that the batches before it are whole.
        """

    async def sync(self) -> None:
        """Write and fdatasync all that was appended before the call, off the event loop.

        Raises DiskError when the disk refuses: then nothing about the file is known any more,
        and the process must end; a sync is never tried again.
        """

    def close(self) -> None:
        """Release the file without a sync."""


class Files(Protocol):
    """A file system. Paths are strings; `/` separates folders."""

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents, if missing (mode 0700); durable on return."""

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""

    def list(self, folder: str) -> list[str]:
        """Names in a folder, sorted."""

    def size(self, path: str) -> int:
        """Size of a file in bytes."""

    def read(self, path: str, offset: int = 0, count: int = -1) -> bytes:
        """Bytes of a file from `offset`; all of the rest when `count` is negative."""

    def create(self, path: str, *, preallocate: int = 0) -> AppendFile:
        """Create an empty file (it must not exist).

        `preallocate` bytes of space are reserved for it now or with its first sync, which fails
        when they cannot be had.
        """

    def open_append(self, path: str, *, size: int) -> AppendFile:
        """Open a file to append after its first `size` bytes; what lies behind is zeroed.

        Both are durable on return (a killed process may have left them in the page cache only).
        """

    async def rename(self, source: str, target: str) -> None:
        """Rename atomically; durable only after `sync_folder`."""

    async def remove(self, path: str) -> None:
        """Delete a file; durable only after `sync_folder`."""

    async def sync_folder(self, path: str) -> None:
        """Make creations, renames and removals in a folder durable."""

    def lock(self, path: str) -> Callable[[], None]:
        """Take the exclusive lock file; returns its release. DataFolderError when taken."""


class SnapshotStream(Protocol):
    """The receiving side of one snapshot that a peer sends over a connection of its own."""

    sender: int
    header: bytes
    chunks: AsyncIterator[bytes]


class PeerTransport(Protocol):
    """Frames between members. Never blocks: queues are bounded, they drop and count."""

    def send(self, to: int, frames: Sequence[bytes]) -> None:
        """Queue frames for a member; each arrives whole, in order and at most once, or not."""

    async def send_snapshot(self, to: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Stream a snapshot over a connection of its own; returns when the peer has all of it.

        Raises ConnectionError when the peer is gone or refuses.
        """

    def start(
        self,
        on_frame: Callable[[int, bytes], None],
        on_snapshot: Callable[[SnapshotStream], Awaitable[None]],
        on_unreachable: Callable[[int], None],
        on_removed: Callable[[], None],
    ) -> Awaitable[None]:
        """Listen and connect. `on_frame(sender, frame)` runs on the loop for each frame.

        `on_snapshot` consumes one incoming snapshot; returning tells the sender it is stored.
        `on_unreachable(member)` runs whenever a connection is lost or frames were dropped.
        `on_removed` runs when a peer says that the cluster has removed this member.
        """

    def is_connected(self, member_id: int) -> bool:
        """True while frames to the member can leave."""

    def set_peers(
        self,
        addresses: dict[int, Sequence[str]],
        *,
        removed: Set[int] = frozenset(),
        introduction: bytes = b"",
    ) -> None:
        """Replace the members talked to: id → peer URLs (without this member).

        Those of `removed` are told so when they call; `introduction` is for who wants to join.
        """

    async def close(self) -> None:
        """Stop listening, close every connection."""


class RpcStream(Protocol):
    """One bidirectional call as the client sees it."""

    async def send(self, request: Any) -> None:
        """Send one request message."""

    async def receive(self) -> Any:
        """The next response message; None at a clean end. Raises RpcFailure."""

    def cancel(self) -> None:
        """End the call from this side."""


class RpcFailure(Exception):  # noqa: N818  (the word of the field: a call fails with a status)
    """A call ended with a gRPC status other than OK."""

    def __init__(self, code: str, details: str, *, sent: bool = True) -> None:
        """`code`: gRPC's name (`UNAVAILABLE`); `sent`: False only if it surely never left us."""
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.sent = sent


class RpcChannel(Protocol):
    """gRPC calls to one endpoint."""

    async def unary(
        self,
        method: str,
        request: Any,
        response_type: Any,
        *,
        timeout_seconds: float | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """Call `method` (`/etcdserverpb.KV/Put`) with a protobuf message. Raises RpcFailure."""

    def stream(
        self, method: str, response_type: Any, *, metadata: Sequence[tuple[str, str]] = ()
    ) -> RpcStream:
        """Open a streaming call."""

    async def close(self) -> None:
        """Close the connection; calls under way fail."""
