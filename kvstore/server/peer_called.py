"""The called side of the peer port: who may come in, and what they bring.

Until its handshake is over a connection is a stranger: little memory, little time, no answer to
garbage. Afterwards it carries messages of one member, or one snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from kvstore.errors import KvError
from kvstore.raft.codec import DECODE_ERRORS
from kvstore.seams import SnapshotStream
from kvstore.server import peer_frames
from kvstore.server.peer_connection import Connection, Local
from kvstore.server.peer_frames import (
    FRAME_BYTES_MAX,
    SNAPSHOT_FRAME_BYTES_MAX,
    FrameError,
    Hello,
    Purpose,
    SnapshotEnd,
    SnapshotHeader,
    SnapshotReply,
    SnapshotSum,
    Welcome,
)
from kvstore.server.peer_journal import Fault
from kvstore.server.tls import refusal_of_client, refusal_of_server

# What a slow consumer of a snapshot makes us hold, besides one read of the socket.
_SNAPSHOT_AHEAD_BYTES = 1024 * 1024


class Host(Protocol):
    """What a called connection needs of the transport that accepted it."""

    local: Local

    introduction: bytes

    def hosts_of(self, member_id: int) -> list[str] | None:
        """Hosts of a member's peer URLs; None = not a member."""

    def is_removed(self, member_id: int) -> bool:
        """True for one that was a member and is none any more."""

    def is_receiving_snapshot(self) -> bool:
        """True while one is coming in: a second one is refused."""

    def adopt(self, connection: Called) -> None:
        """The handshake went well: this is the sender's one connection for its purpose now."""

    def frame_received(self, sender: int, payload: bytes) -> None:
        """Hand a message on."""

    def snapshot_begins(self, connection: Called, stream: IncomingSnapshot) -> None:
        """Hand a snapshot on."""

    def forget(self, connection: Called) -> None:
        """The connection is gone."""


class Called(Connection):
    """A connection that somebody else made."""

    def __init__(self, host: Host, where: str) -> None:
        super().__init__()
        self.where = where
        self.hello: Hello | None = None
        self._host = host
        self._opened_at = host.local.clock.now()
        self._snapshot: IncomingSnapshot | None = None

    @property
    def has_snapshot(self) -> bool:
        """True once a snapshot has begun to come in."""
        return self._snapshot is not None

    def payload_received(self, payload: bytes) -> None:
        """Hello first, then messages or a snapshot."""
        if self.hello is None:
            self._shake_hands(peer_frames.read_hello(payload))
        elif self.hello.purpose is Purpose.MESSAGES:
            self._host.local.journal.counters.frames_received += 1
            self._host.local.journal.counters.bytes_received += len(payload)
            self._take_message(self.hello.sender, payload)
        elif self._snapshot is None:
            self._begin_snapshot(self.hello.sender, payload)
        else:
            self._snapshot.take(peer_frames.read_snapshot_part(payload))

    def _take_message(self, sender: int, payload: bytes) -> None:
        try:
            self._host.frame_received(sender, payload)
        except DECODE_ERRORS as error:
            raise FrameError(f"a message that cannot be decoded: {error}") from None

    def _shake_hands(self, hello: Hello) -> None:
        local = self._host.local
        refused = self._refusal_of(hello)
        welcome = Welcome(
            peer_frames.MAGIC,
            peer_frames.PROTOCOL_VERSION,
            local.cluster_id,
            local.member_id,
            "" if refused is None else refused[1],
            refused is not None and refused[0] is Fault.REMOVED,
        )
        self.write(peer_frames.record_frame(welcome))
        if refused is None and hello.purpose is Purpose.INTRODUCTION:
            self.write(peer_frames.frame(self._host.introduction))
            self.finish("introduced")
            return
        if refused is not None:
            kind, text = refused
            local.journal.fault(kind, f"refused a connection from {self.where}: {text}")
            self.finish(text)
            return
        self.hello = hello
        is_snapshot = hello.purpose is Purpose.SNAPSHOT
        self.reader.frame_bytes_max = SNAPSHOT_FRAME_BYTES_MAX if is_snapshot else FRAME_BYTES_MAX
        local.journal.counters.connections_accepted += 1
        self._host.adopt(self)

    def _refusal_of(self, hello: Hello) -> tuple[Fault, str] | None:
        """The first thing about a hello that is wrong."""
        local = self._host.local
        ours = peer_frames.PROTOCOL_VERSION
        if hello.version != ours:
            text = f"it speaks version {hello.version} of the peer protocol, we speak {ours}"
            return Fault.VERSION, text
        if hello.purpose is Purpose.INTRODUCTION:
            return self._refusal_of_stranger()
        if hello.cluster_id != local.cluster_id:
            text = f"it is of cluster {hello.cluster_id:x}, we are of {local.cluster_id:x}"
            return Fault.WRONG_CLUSTER, text
        if hello.receiver != local.member_id:
            text = f"it looks for member {hello.receiver:x}, we are {local.member_id:x}"
            return Fault.WRONG_MEMBER, text
        hosts = self._host.hosts_of(hello.sender)
        if hosts is None and self._host.is_removed(hello.sender):
            return Fault.REMOVED, f"member {hello.sender:x} was removed from the cluster"
        if hosts is None:
            return Fault.UNKNOWN_MEMBER, f"member {hello.sender:x} is not in the cluster"
        refused = self._refusal_of_certificate(hello.sender, hosts)
        is_snapshot = hello.purpose is Purpose.SNAPSHOT
        if refused is None and is_snapshot and self._host.is_receiving_snapshot():
            return Fault.CROWDED, "another snapshot is coming in"
        return refused

    def _refusal_of_stranger(self) -> tuple[Fault, str] | None:
        """Whoever has a certificate of ours may know who we are."""
        assert self.transport is not None
        certificate = self.transport.get_extra_info("peercert")
        tls = self._host.local.tls
        if not self._host.introduction:
            return Fault.UNKNOWN_MEMBER, "it is not a member itself yet"
        reason = refusal_of_server(tls, certificate) if tls is not None and certificate else None
        if reason is None:
            return None
        return Fault.CERTIFICATE, f"the certificate shown by a stranger is refused: {reason}"

    def _refusal_of_certificate(self, sender: int, hosts: list[str]) -> tuple[Fault, str] | None:
        assert self.transport is not None
        certificate = self.transport.get_extra_info("peercert")
        tls = self._host.local.tls
        if tls is None or not certificate:
            return None  # none was asked for, or the handshake would have failed
        reason = refusal_of_client(tls, certificate, hosts)
        if reason is None:
            return None
        text = f"the certificate shown for member {sender:x} is refused: {reason}"
        return Fault.CERTIFICATE, text

    def _begin_snapshot(self, sender: int, payload: bytes) -> None:
        first = peer_frames.read_snapshot_part(payload)
        if not isinstance(first, SnapshotHeader):
            raise FrameError("a snapshot that does not begin with its header")
        assert self.transport is not None
        self._snapshot = IncomingSnapshot(sender, first.header, self.transport)
        self._host.snapshot_begins(self, self._snapshot)

    def reply_to_snapshot(self, refusal: str) -> None:
        """Tell the sender; what it still sends is thrown away until it closes.

        Closing here could reset the connection under the reply, which the sender would not read.
        """
        assert self._snapshot is not None
        self.write(peer_frames.record_frame(SnapshotReply(refusal)))
        self._snapshot.discard()

    def garbage_received(self, error: FrameError) -> None:
        """Somebody else's protocol, or a broken member: the log says where it came from."""
        text = f"closed a connection from {self.where}: {error}"
        self._host.local.journal.fault(Fault.GARBAGE, text)

    def tick(self) -> None:
        """Close on silence; show the caller that we live and read."""
        local = self._host.local
        if self.hello is None:
            if local.clock.now() - self._opened_at > local.limits.connect_seconds:
                text = f"closed a connection from {self.where}: no handshake in time"
                local.journal.fault(Fault.SILENT, text)
                self.abort("no handshake in time")
        elif self.hello.purpose is Purpose.SNAPSHOT:
            self._tick_snapshot()
        elif self.is_silent():
            text = f"closed the connection from member {self.hello.sender:x}: no sign of life"
            local.journal.fault(Fault.SILENT, text, member=self.hello.sender)
            self.abort("no sign of life")
        elif not self.silent_ticks:
            self.give_sign_of_life()

    def _tick_snapshot(self) -> None:
        """Give the sender up when nothing comes although we would read."""
        local = self._host.local
        if self.is_heard or (self._snapshot is not None and self._snapshot.is_consumer_busy):
            self._opened_at, self.is_heard = local.clock.now(), False
        elif local.clock.now() - self._opened_at > local.limits.snapshot_stall_seconds:
            self.abort("the sender of the snapshot stalls")

    def closed(self) -> None:
        """Tell the snapshot's consumer and the transport."""
        if self._snapshot is not None:
            self._snapshot.lose(self.reason)
        self._host.forget(self)


class IncomingSnapshot(SnapshotStream):
    """Chunks of one snapshot: reading pauses while the consumer is behind."""

    def __init__(self, sender: int, header: bytes, transport: asyncio.Transport) -> None:
        self.sender = sender
        self.header = header
        self.chunks = self._chunks()
        self._transport = transport
        self._is_reading = True
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._sum = SnapshotSum()
        self._is_complete = False
        self._is_discarded = False
        self._lost: str | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def is_consumer_busy(self) -> bool:
        """True while the sender need not send: chunks wait, or all are here."""
        return bool(self._waiting) or (self._is_complete and not self._is_discarded)

    def take(self, part: SnapshotHeader | SnapshotEnd | bytes) -> None:
        """One frame of the snapshot."""
        if self._is_discarded:
            return
        if self._is_complete or isinstance(part, SnapshotHeader):
            raise FrameError("a snapshot whose parts are out of order")
        if isinstance(part, SnapshotEnd):
            if part != self._sum.end():
                raise FrameError("a snapshot that differs from what was sent")
            self._is_complete = True
        else:
            self._sum.add(part)
            self._waiting.append(part)
            self._waiting_bytes += len(part)
            self._read_or_pause()
        self._wake()

    def lose(self, reason: str) -> None:
        """The connection is gone: a snapshot not complete by now never will be."""
        self._lost = reason
        self._wake()

    def discard(self) -> None:
        """Nobody wants the rest."""
        self._is_discarded = True
        self._waiting.clear()
        self._waiting_bytes = 0
        self._read_or_pause()

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Chunks in order; ends only when all have come and their sum is right."""
        while True:
            while self._waiting:
                chunk = self._waiting.popleft()
                self._waiting_bytes -= len(chunk)
                self._read_or_pause()
                yield chunk
            if self._is_complete:
                return
            if self._lost is not None:
                raise ConnectionError(f"the snapshot broke off: {self._lost}")
            self._news = asyncio.get_running_loop().create_future()
            await self._news

    def _read_or_pause(self) -> None:
        is_wanted = self._waiting_bytes <= _SNAPSHOT_AHEAD_BYTES
        if is_wanted is self._is_reading or self._transport.is_closing():
            return
        self._is_reading = is_wanted
        if is_wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


async def consume_snapshot(
    connection: Called,
    stream: IncomingSnapshot,
    on_snapshot: Callable[[SnapshotStream], Awaitable[None]],
) -> str:
    """Run the consumer and tell the sender; returns the refusal, empty when it is stored."""
    try:
        await on_snapshot(stream)
    except (ConnectionError, KvError, *DECODE_ERRORS) as error:
        refusal = str(error) or type(error).__name__
    else:
        refusal = ""
    connection.reply_to_snapshot(refusal)
    return refusal
