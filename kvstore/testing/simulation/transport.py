"""PeerTransport between simulated members: frames and snapshots on the simulated network."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from functools import partial
from typing import Any

import msgspec

from kvstore.errors import KvError
from kvstore.seams import SnapshotStream
from kvstore.testing.simulation.network import Link, Network
from kvstore.testing.simulation.process import Process, SimulatedCrash

_SNAPSHOT_QUEUE_CHUNKS = 4
_BROKEN = b""  # in place of a chunk

Point = Callable[[str], None]
"""Told the name of a point before it is passed; may raise or kill its process."""


class Wire:
    """Who listens on the network, and how many snapshots got through."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.listeners: dict[int, SimulatedTransport] = {}
        self.urls: dict[str, int] = {}
        """Whose peer URL it is."""
        self.snapshots_stored = 0
        """At their receivers."""
        self.snapshots_sent = 0
        """And their senders know it."""


class SimulatedIntroducer:
    """Introducer of one member, which may not know its id yet; the simulation does."""

    def __init__(self, wire: Wire, member_id: int, process: Process) -> None:
        self._wire = wire
        self._member_id = member_id
        self._process = process

    async def ask(self, url: str) -> bytes:
        """The introduction by the member at a peer URL. Raises ConnectionError."""
        network, target = self._wire.network, self._wire.urls.get(url, 0)
        await asyncio.sleep(network.delay_seconds() + network.delay_seconds())
        await self._process.turn()
        listener = self._wire.listeners.get(target)
        links: tuple[Link, Link] = ((self._member_id, target), (target, self._member_id))
        if listener is None or not listener.process.is_running or any(map(network.is_cut, links)):
            raise ConnectionRefusedError(f"nobody answers at {url}")
        if not listener.introduction:
            raise ConnectionRefusedError("it is not a member itself yet")
        return listener.introduction

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
        await self._process.turn()


class _Snapshot(SnapshotStream):
    """A snapshot on its way, as its receiver sees it."""

    def __init__(self, sender: int, header: bytes, receiver: Process) -> None:
        self.sender = sender
        self.header = header
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(_SNAPSHOT_QUEUE_CHUNKS)
        self._receiver = receiver
        self._is_whole = False
        self.chunks = self._read()

    async def put(self, chunk: bytes | None) -> None:
        """The sender's side: a chunk, or None behind the last one."""
        await self.queue.put(chunk)
        self._is_whole = chunk is None

    def lose(self) -> None:
        """The connection is gone: a snapshot that is not complete by now never will be."""
        if self._is_whole:
            return
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(_BROKEN)

    async def _read(self) -> AsyncIterator[bytes]:
        while True:
            chunk = await self.queue.get()
            if not self._receiver.is_running:
                await self._receiver.turn()
            if chunk is None:
                return
            if chunk == _BROKEN:
                raise ConnectionResetError("the sender is gone")
            yield chunk


class SimulatedTransport:
    """PeerTransport of one life of one member.

    `on_point` is told "frames send" before frames leave and "frames sent" after.
    """

    def __init__(self, wire: Wire, member_id: int, process: Process, on_point: Point) -> None:
        self.process = process
        self.is_closed = False
        self._wire = wire
        self._network = wire.network
        self._member_id = member_id
        self._on_point = on_point
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_frame: Callable[[int, bytes], None] | None = None
        self._on_snapshot: Callable[[SnapshotStream], Awaitable[None]] | None = None
        self._on_unreachable: Callable[[int], None] | None = None
        self._on_removed: Callable[[], None] | None = None
        self._removed: Set[int] = frozenset()
        self.introduction = b""

    async def start(
        self,
        on_frame: Callable[[int, bytes], None],
        on_snapshot: Callable[[SnapshotStream], Awaitable[None]],
        on_unreachable: Callable[[int], None],
        on_removed: Callable[[], None],
    ) -> None:
        """Listen."""
        self._on_frame, self._on_snapshot = on_frame, on_snapshot
        self._on_unreachable, self._on_removed = on_unreachable, on_removed
        self._wire.listeners[self._member_id] = self

    def set_peers(
        self,
        _addresses: dict[int, Sequence[str]],
        *,
        removed: Set[int] = frozenset(),
        introduction: bytes = b"",
    ) -> None:
        """Everybody knows everybody, but for those that were removed."""
        self._removed, self.introduction = removed, introduction

    def is_connected(self, member_id: int) -> bool:
        """True while frames to the member can leave."""
        is_cut = self._network.is_cut((self._member_id, member_id))
        return member_id in self._wire.listeners and not is_cut

    def send(self, to: int, frames: Sequence[bytes]) -> None:
        """Send frames, each with its own luck."""
        if self.is_closed:
            return
        self._on_point("frames send")
        lose = partial(self._lose, to)
        for frame in frames:
            self._network.deliver(
                (self._member_id, to), frame, partial(self._arrive, to, frame), lose
            )
        self._on_point("frames sent")

    async def send_snapshot(self, to: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Stream a snapshot; a cut or a death on either side breaks it off."""
        receiver = self._wire.listeners.get(to)
        if receiver is None:
            raise ConnectionRefusedError(f"member {to:x} does not listen")
        stream = _Snapshot(self._member_id, header, receiver.process)
        storing = asyncio.ensure_future(receiver.store(stream))
        try:
            async for chunk in chunks:
                await asyncio.sleep(self._network.delay_seconds())
                self._require_link(to, receiver)
                self._network.note(f"snapshot {self._member_id}>{to}", chunk)
                await self._put(stream, chunk, storing, receiver)
            await self._put(stream, None, storing, receiver)
            await _first_of(storing, receiver._gone)
            self._require_link(to, receiver)
            if refusal := storing.result():
                raise ConnectionResetError(refusal)
            await self.process.turn()
            self._wire.snapshots_sent += 1
        finally:
            stream.lose()

    async def store(self, stream: SnapshotStream) -> str:
        """The receiver's part; returns why it is not stored, empty when it is.

        Its errors are its own, as in the production transport, and so is its death.
        """
        assert self._on_snapshot is not None
        try:
            await self._on_snapshot(stream)
        except (ConnectionError, KvError, msgspec.DecodeError) as error:
            return str(error) or type(error).__name__
        except SimulatedCrash:
            return "the receiver died"
        self._wire.snapshots_stored += 1
        return ""

    async def close(self) -> None:
        """Die: nothing goes out or comes in any more."""
        self.abort()

    def abort(self) -> None:
        """See `close`."""
        self.is_closed = True
        if not self._gone.done():
            self._gone.set_result(None)
        if self._wire.listeners.get(self._member_id) is self:
            del self._wire.listeners[self._member_id]

    async def _put(
        self,
        stream: _Snapshot,
        chunk: bytes | None,
        storing: "asyncio.Future[str]",
        receiver: "SimulatedTransport",
    ) -> None:
        putting = asyncio.ensure_future(stream.put(chunk))
        await _first_of(putting, storing, receiver._gone)
        if not putting.done():
            putting.cancel()
            raise ConnectionResetError("the receiver ended early")

    def _require_link(self, to: int, receiver: "SimulatedTransport") -> None:
        links: tuple[Link, Link] = ((self._member_id, to), (to, self._member_id))
        is_broken = self.is_closed or receiver.is_closed or any(map(self._network.is_cut, links))
        if is_broken:
            raise ConnectionResetError(f"the connection to member {to:x} broke")

    def _arrive(self, to: int, frame: bytes) -> None:
        receiver = self._wire.listeners.get(to)
        if receiver is None or receiver._on_frame is None:
            self._lose(to)
        elif self._member_id in receiver._removed:
            self._lose(to)
            if not self.is_closed and self._on_removed is not None:
                self.process.run(self._on_removed)
        else:
            receiver._on_frame(self._member_id, frame)

    def _lose(self, to: int) -> None:
        if not self.is_closed and self._on_unreachable is not None:
            self.process.run(partial(self._on_unreachable, to))


async def _first_of(*futures: "asyncio.Future[Any]") -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
