"""The calling side of the peer port: one link per member for messages, a call per snapshot.

A link keeps one connection up and sends on nothing else; frames that come back on it are only
signs of life. What cannot be sent soon is dropped: Raft repeats what matters.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from kvstore.server import peer_frames
from kvstore.server.peer_connection import Connection, Local
from kvstore.server.peer_frames import (
    FRAME_BYTES_MAX,
    FrameError,
    Hello,
    Purpose,
    SnapshotHeader,
    SnapshotReply,
    SnapshotSum,
    Welcome,
)
from kvstore.server.peer_journal import Fault
from kvstore.server.tls import refusal_of_server
from kvstore.urls import parse_known_url

# A member that restarts is reached within half a second of its listening again.
_BACKOFF_SECONDS_MIN = 0.05
_BACKOFF_SECONDS_MAX = 0.5
# Small frames are written together, up to about this much at a time.
_WRITE_BYTES = 256 * 1024


class RefusedError(ConnectionError):
    """The other member answered, and said no."""


class RemovedError(RefusedError):
    """The other member says that we are none any more."""


class Calling(Connection):
    """A connection that we made: says hello and waits for the welcome."""

    def __init__(self, local: Local, peer_id: int, purpose: Purpose) -> None:
        super().__init__()
        self.local = local
        self.peer_id = peer_id
        self.is_welcome = False
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._purpose = purpose

    def opened(self) -> None:
        """Say hello, if the certificate is one of the cluster's."""
        assert self.transport is not None
        self.local.connections.add(self)
        certificate = self.transport.get_extra_info("peercert")
        if certificate and self.local.tls is not None:
            refusal = refusal_of_server(self.local.tls, certificate)
            if refusal is not None:
                self.abort(f"its certificate is refused: {refusal}")
                return
        local = self.local
        hello = Hello(
            peer_frames.MAGIC,
            peer_frames.PROTOCOL_VERSION,
            local.cluster_id,
            local.member_id,
            self.peer_id,
            self._purpose,
        )
        self.write(peer_frames.record_frame(hello))

    def payload_received(self, payload: bytes) -> None:
        """The welcome, then whatever the purpose brings."""
        if self.is_welcome:
            self.answer_received(payload)
            return
        welcome = peer_frames.read_welcome(payload)
        stranger = self.refusal_of(welcome)
        refusal = welcome.refusal or stranger
        if refusal:
            # Only who is of our cluster knows that we are not any more.
            error = RemovedError if welcome.is_removed and not stranger else RefusedError
            _fail(self.welcomed, error(refusal))
            self.abort(refusal)
            return
        self.is_welcome = True
        self.local.journal.counters.connections_made += 1
        if not self.welcomed.done():  # who called may have given up a moment ago
            self.welcomed.set_result(None)

    def refusal_of(self, welcome: Welcome) -> str:
        """Why we do not want who welcomes us; empty if we do."""
        if welcome.cluster_id != self.local.cluster_id:
            return f"it is of cluster {welcome.cluster_id:x}"
        if welcome.member_id != self.peer_id:
            return f"it is member {welcome.member_id:x}"
        return ""

    def answer_received(self, payload: bytes) -> None:
        """A frame after the welcome."""
        raise FrameError("an answer where none is due")

    def closed(self) -> None:
        """Tell who waits for the welcome."""
        self.local.connections.discard(self)
        _fail(self.welcomed, ConnectionError(self.reason))


def _fail(future: asyncio.Future[Any], error: ConnectionError) -> None:
    """Fail a future that perhaps nobody waits for any more."""
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen: asyncio need not complain


_AnyCalling = Callable[[], Calling]


async def call(local: Local, url_text: str, make: _AnyCalling) -> Calling:
    """Connect and shake hands. Raises OSError (TimeoutError, ConnectionError, SSLError)."""
    url = parse_known_url(url_text)
    if url.is_tls and local.tls is None:
        raise ConnectionError("it needs --peer-cert-file and --peer-key-file")
    context = local.tls.client if url.is_tls and local.tls is not None else None
    connection = make()
    try:
        async with asyncio.timeout(local.limits.connect_seconds):
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                url.host,
                url.port,
                ssl=context,
                server_hostname=url.host if context is not None else None,
            )
            await connection.welcomed
    except UnicodeError as error:
        # A name that cannot be looked up; one such peer URL in the log must not end the member.
        connection.abort("gave up")
        raise ConnectionError(f"{url.host!r} is no host name: {error}") from None
    except BaseException:
        connection.abort("gave up")
        raise
    return connection


# ---------------------------------------------------------------------- messages


class _MessageCalling(Calling):
    """Carries a link's frames."""

    def __init__(self, local: Local, link: "PeerLink") -> None:
        super().__init__(local, link.peer_id, Purpose.MESSAGES)
        self._link = link

    def writable(self) -> None:
        """Go on with the queue."""
        self._link.flush()

    def tick(self) -> None:
        """Show that we live; see whether they do."""
        if self.is_welcome:
            if self.is_silent():
                self.abort("no sign of life")
            else:
                self.give_sign_of_life()


class PeerLink:
    """Frames to one member: a bounded queue, a connection, and the back-off between two."""

    def __init__(
        self,
        local: Local,
        peer_id: int,
        urls: Sequence[str],
        on_unreachable: Callable[[int], None],
        on_removed: Callable[[], None],
    ) -> None:
        self.peer_id = peer_id
        self.urls = tuple(urls)
        self._local = local
        self._on_unreachable = on_unreachable
        self._on_removed = on_removed
        self._is_unreachable_due = False
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._connection: _MessageCalling | None = None
        self._backoff_seconds = _BACKOFF_SECONDS_MIN
        self._retry: asyncio.Future[None] | None = None

    @property
    def is_connected(self) -> bool:
        """True while frames can leave."""
        return self._connection is not None

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait in memory, here or in the transport."""
        unsent = 0 if self._connection is None else self._connection.unsent_bytes
        return self._queued_bytes + unsent

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue what fits, drop the rest, flush once."""
        limits = self._local.limits
        room = limits.queue_bytes_max - self.pending_bytes
        for payload in frames:
            assert 0 < len(payload) <= FRAME_BYTES_MAX, "frame of a forbidden size"
            # An empty queue takes any frame, or a large one could never leave.
            if len(self._queue) >= limits.queue_frames_max or (
                len(payload) > room and self.pending_bytes
            ):
                self._dropped(1, "the queue is full")
                continue
            self._queue.append(payload)
            self._queued_bytes += len(payload)
            room -= len(payload)
        self.flush()

    def flush(self) -> None:
        """Write the queue as far as the connection takes it."""
        connection = self._connection
        if connection is None or connection.is_closed:
            return
        counters = self._local.journal.counters
        while self._queue and not connection.is_write_paused:
            parts: list[bytes] = []
            size = 0
            while self._queue and size < _WRITE_BYTES:
                payload = self._queue.popleft()
                parts.append(peer_frames.frame(payload))
                size += len(payload)
            self._queued_bytes -= size
            counters.frames_sent += len(parts)
            counters.bytes_sent += size
            connection.write(b"".join(parts) if len(parts) > 1 else parts[0])

    def retry_now(self) -> None:
        """The member is known to live (it called us): end the back-off."""
        if self._retry is not None and not self._retry.done():
            self._retry.set_result(None)

    async def run(self) -> None:
        """Keep a connection up until cancelled."""
        try:
            while True:
                for url in self.urls:
                    await self._run_once(url)
        finally:
            self._drop_queue("the link is closed", is_reported=False)

    async def _run_once(self, url: str) -> None:
        """One connection from its making to its loss, and the pause after it."""
        local = self._local
        try:
            called = await call(local, url, lambda: _MessageCalling(local, self))
        except OSError as error:
            text = f"cannot reach member {self.peer_id:x} at {url}: {words(error)}"
            local.journal.fault(Fault.UNREACHABLE, text, member=self.peer_id)
            self._drop_queue("the member cannot be reached")
            if isinstance(error, RemovedError):
                self._on_removed()
            await self._back_off()
            return
        assert isinstance(called, _MessageCalling)
        made_at = local.clock.now()
        self._connection = called
        try:
            self.flush()
            reason = await asyncio.shield(called.lost)  # `close` waits for it, too
        finally:
            self._connection = None
            called.finish("the link is closed")
        text = f"lost the connection to member {self.peer_id:x} at {url}: {reason}"
        local.journal.fault(Fault.LOST, text, member=self.peer_id)
        self._drop_queue("the connection was lost")
        self._report_unreachable()
        # Who lets us in only to close at once must not make us spin.
        if local.clock.now() - made_at > _BACKOFF_SECONDS_MAX:
            self._backoff_seconds = _BACKOFF_SECONDS_MIN
        await self._back_off()

    async def _back_off(self) -> None:
        """Wait: twice as long each time, bounded, with jitter; `retry_now` ends it."""
        retry: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._retry = retry
        seconds = self._backoff_seconds * (0.5 + self._local.random.random() / 2)
        self._backoff_seconds = min(2 * self._backoff_seconds, _BACKOFF_SECONDS_MAX)
        timer = self._local.clock.call_later(seconds, self.retry_now)
        try:
            await retry
        finally:
            timer.cancel()

    def _drop_queue(self, why: str, *, is_reported: bool = True) -> None:
        """Nothing waits longer than one attempt to connect: Raft would not want it any more."""
        count = len(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        if count and is_reported:
            self._dropped(count, why)

    def _dropped(self, count: int, why: str) -> None:
        journal = self._local.journal
        journal.counters.frames_dropped += count
        text = f"dropped frames to member {self.peer_id:x}: {why}"
        journal.fault(Fault.DROPPED, text, member=self.peer_id)
        self._report_unreachable()

    def _report_unreachable(self) -> None:
        """Once per turn of the loop, and never from within `send`: its caller is in mid-step."""
        if not self._is_unreachable_due:
            self._is_unreachable_due = True
            asyncio.get_running_loop().call_soon(self._tell_unreachable)

    def _tell_unreachable(self) -> None:
        self._is_unreachable_due = False
        self._on_unreachable(self.peer_id)


def words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return error.strerror or str(error) or "it closed the connection"


# ---------------------------------------------------------------------- snapshots


class _SnapshotCalling(Calling):
    """Carries one snapshot; gives up when nothing moves."""

    def __init__(self, local: Local, peer_id: int) -> None:
        super().__init__(local, peer_id, Purpose.SNAPSHOT)
        self.reply: asyncio.Future[SnapshotReply] = asyncio.get_running_loop().create_future()
        self._room: asyncio.Future[None] | None = None
        self._unsent_before = 0
        self._moved_at: float | None = None
        self.is_all_written = False

    def answer_received(self, payload: bytes) -> None:
        """The receiver's verdict."""
        reply = peer_frames.read_reply(payload)
        if not self.reply.done():
            self.reply.set_result(reply)
        self.writable()

    async def wait_for_room(self) -> None:
        """Return when the socket takes more. Raises ConnectionError when it is gone."""
        while self.is_write_paused and not self.is_closed and not self.reply.done():
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self.is_closed:
            raise ConnectionError(self.reason)

    def writable(self) -> None:
        """Wake the writer."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def tick(self) -> None:
        """Abort when neither bytes leave nor an answer comes for too long."""
        is_moving = self.is_heard or self.unsent_bytes != self._unsent_before
        is_waiting = self.is_write_paused or self.is_all_written
        self._unsent_before, self.is_heard = self.unsent_bytes, False
        now = self.local.clock.now()
        if is_moving or not is_waiting or self._moved_at is None:
            self._moved_at = now
        elif now - self._moved_at > self.local.limits.snapshot_stall_seconds:
            self.abort("the receiver takes no more")

    def closed(self) -> None:
        """Tell who waits."""
        super().closed()
        _fail(self.reply, ConnectionError(self.reason))
        self.writable()


async def send_snapshot(
    local: Local, peer_id: int, url: str, header: bytes, chunks: AsyncIterator[bytes]
) -> None:
    """Stream a snapshot; returns when the receiver has stored it. Raises ConnectionError."""
    try:
        called = await call(local, url, lambda: _SnapshotCalling(local, peer_id))
    except OSError as error:
        raise ConnectionError(
            f"cannot send a snapshot to member {peer_id:x} at {url}: {words(error)}"
        ) from error
    assert isinstance(called, _SnapshotCalling)
    try:
        reply = await _stream(called, header, chunks)
    finally:
        called.abort("done")
    if reply.refusal:
        raise ConnectionError(f"member {peer_id:x} did not store the snapshot: {reply.refusal}")
    local.journal.counters.snapshots_sent += 1


async def _stream(
    called: _SnapshotCalling, header: bytes, chunks: AsyncIterator[bytes]
) -> SnapshotReply:
    total = SnapshotSum()
    called.write(peer_frames.record_frame(SnapshotHeader(header)))
    async for chunk in chunks:
        total.add(chunk)
        called.write(peer_frames.chunk_frame(chunk))
        await called.wait_for_room()
        if called.reply.done():
            break  # the receiver knows already: it has it, or cannot take it
    else:
        called.write(peer_frames.record_frame(total.end()))
    called.is_all_written = True
    return await called.reply
