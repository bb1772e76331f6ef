"""Members, strangers and waits for the tests of the peer transport. Loopback only."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from kvstore.seams import SnapshotStream
from kvstore.server import peer_frames
from kvstore.server.clock import LoopClock
from kvstore.server.config import TlsFiles
from kvstore.server.peer_connection import Limits
from kvstore.server.peer_frames import FrameReader, Hello, Purpose
from kvstore.server.peer_journal import Fault
from kvstore.server.peers import TcpPeers
from kvstore.server.tls import load_peers

CLUSTER = 0xC1
# What a busy machine may need; every wait ends as soon as its condition holds.
PATIENCE_SECONDS = 60.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


class Member:
    """A transport and what it was told."""

    def __init__(
        self,
        member_id: int,
        urls: dict[int, str],
        *,
        cluster_id: int = CLUSTER,
        tls: TlsFiles | None = None,
        limits: Limits | None = None,
        idle_timeout_seconds: float = 5.0,
    ) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.unreachable: list[int] = []
        self.removals = 0
        self.snapshots: list[tuple[int, bytes, bytes]] = []
        self.consume: Callable[[SnapshotStream], Awaitable[None]] = self.keep
        self._changed = asyncio.Event()
        self.peers = TcpPeers(
            cluster_id=cluster_id,
            member_id=member_id,
            listen_urls=[urls[member_id]],
            tls=None if tls is None else load_peers(tls),
            clock=LoopClock(),
            random=random.Random(member_id),
            idle_timeout_seconds=idle_timeout_seconds,
            limits=limits or Limits(connect_seconds=PATIENCE_SECONDS),
        )
        self.peers.set_peers({id_: [url] for id_, url in urls.items() if id_ != member_id})

    async def start(self) -> None:
        await self.peers.start(
            self._take_frame, self.take_snapshot, self.unreachable.append, self._take_removal
        )

    def _take_removal(self) -> None:
        self.removals += 1
        self._changed.set()

    def _take_frame(self, sender: int, frame: bytes) -> None:
        self.frames.append((sender, frame))
        self._changed.set()

    async def take_snapshot(self, stream: SnapshotStream) -> None:
        await self.consume(stream)

    async def keep(self, stream: SnapshotStream) -> None:
        content = b"".join([chunk async for chunk in stream.chunks])
        self.snapshots.append((stream.sender, stream.header, content))

    async def frames_until(self, last: bytes) -> list[bytes]:
        """All frames, once one equal to `last` is there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(frame == last for _, frame in self.frames):
                self._changed.clear()
                await self._changed.wait()
        return [frame for _, frame in self.frames]

    def faults(self, kind: Fault) -> int:
        return self.peers.counters.faults[kind]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has no event of its own."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*members: Member) -> AsyncIterator[None]:
    try:
        for member in members:
            await member.start()
        yield
    finally:
        for member in members:
            await member.peers.close()


def urls_of(*member_ids: int, scheme: str = "http", host: str = "127.0.0.1") -> dict[int, str]:
    ports = free_ports(len(member_ids))
    return {id_: f"{scheme}://{host}:{port}" for id_, port in zip(member_ids, ports, strict=True)}


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def connected(*pairs: tuple[Member, int]) -> None:
    await until(lambda: all(member.peers.is_connected(to) for member, to in pairs))


async def call(
    url: str,
    *,
    magic: str = peer_frames.MAGIC,
    version: int = peer_frames.PROTOCOL_VERSION,
    cluster_id: int = CLUSTER,
    sender: int = 1,
    receiver: int = 2,
    purpose: Purpose = Purpose.MESSAGES,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(url))
    hello = Hello(magic, version, cluster_id, sender, receiver, purpose)
    writer.write(peer_frames.record_frame(hello))
    return reader, writer


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame that is no sign of life."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            length = int.from_bytes(await reader.readexactly(4), "big")
            if length:
                return await reader.readexactly(length)


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes, signs of life left out."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return (await reader.read()).lstrip(b"\0")
        except ConnectionError:
            return b""


class _Deaf(asyncio.Protocol):
    """Reads a hello, welcomes, and never reads again."""

    def __init__(self, member_id: int, hellos: list[bytes]) -> None:
        self._member_id = member_id
        self._hellos = hellos
        self._reader = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.buffer()[: len(data)] = data
        self._reader.received(len(data))
        hello = self._reader.next_frame()
        if hello is not None and not self._transport.is_closing():
            self._hellos.append(hello)
            answer = peer_frames.Welcome(peer_frames.MAGIC, 1, CLUSTER, self._member_id)
            self._transport.write(peer_frames.record_frame(answer))
            # Not a byte more: the kernel's buffers fill, then the sender's.
            self._transport.pause_reading()


@asynccontextmanager
async def deaf_member(url: str, *, member_id: int) -> AsyncIterator[list[bytes]]:
    """Welcomes whoever calls as `member_id` and never reads again; yields the hellos."""
    hellos: list[bytes] = []
    protocols: list[_Deaf] = []

    def make() -> _Deaf:
        protocols.append(_Deaf(member_id, hellos))
        return protocols[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", port_of(url))
    try:
        yield hellos
    finally:
        server.close()
        for protocol in protocols:
            protocol._transport.abort()
