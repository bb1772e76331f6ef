"""The real PeerTransport: frames between members over TCP or TLS.

Owns the listeners, the links and every connection; the rules of a connection are in
`peer_calling` and `peer_called`, its bytes in `peer_frames`. A member's frames travel on the
connection that this member made, so each pair of members has two. Only the running loop's
asyncio is used, any loop will do. Never pickle.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence, Set
from functools import partial
from typing import Any

from kvstore.errors import ConfigError
from kvstore.seams import Clock, PeerTransport, Random, SnapshotStream, Timer
from kvstore.server import peer_calling
from kvstore.server.bootstrap import ClusterSpec
from kvstore.server.config import Settings
from kvstore.server.peer_called import Called, IncomingSnapshot, consume_snapshot
from kvstore.server.peer_calling import PeerLink
from kvstore.server.peer_connection import TICKS_PER_IDLE_TIMEOUT, Limits, Local
from kvstore.server.peer_frames import Purpose
from kvstore.server.peer_journal import Fault, Journal, PeerCounters
from kvstore.server.tls import PeerTls, load_peers_for
from kvstore.urls import Url, parse_known_url, parse_url

logger = logging.getLogger(__name__)

# Two connections a member and some strangers; beyond it the oldest stranger has to go.
_CALLED_MAX = 128
# The kernel's queue of connections not accepted yet.
_BACKLOG = 128
# After accept() failed (no file descriptors left), before it is tried again.
_ACCEPT_PAUSE_SECONDS = 0.1
_CLOSED = -1  # the file descriptor of a closed socket
# What is written when the member stops (a leadership transfer!) gets that long to leave.
_CLOSE_SECONDS = 0.5


class TcpPeers(PeerTransport):
    """PeerTransport on asyncio sockets."""

    def __init__(
        self,
        *,
        cluster_id: int,
        member_id: int,
        listen_urls: Sequence[str],
        tls: PeerTls | None,
        clock: Clock,
        random: Random,
        idle_timeout_seconds: float,
        limits: Limits | None = None,
    ) -> None:
        journal = Journal(clock)
        self.local = Local(
            cluster_id=cluster_id,
            member_id=member_id,
            tls=tls,
            clock=clock,
            random=random,
            journal=journal,
            limits=limits or Limits(),
            idle_timeout_seconds=idle_timeout_seconds,
            connections=set(),
        )
        self._listen_urls = tuple(listen_urls)
        self.introduction = b""
        self._addresses: dict[int, tuple[str, ...]] = {}
        self._removed: Set[int] = frozenset()
        self._links: dict[int, PeerLink] = {}
        self._link_tasks: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []
        self._called: dict[Called, None] = {}  # in order of arrival
        self._callers: dict[int, Called] = {}  # the one connection for messages per sender
        self._snapshot_connection: Called | None = None
        self._timer: Timer | None = None
        self._is_started = False
        self._on_frame: Callable[[int, bytes], None]
        self._on_snapshot: Callable[[SnapshotStream], Awaitable[None]]
        self._on_unreachable: Callable[[int], None]
        self._on_removed: Callable[[], None]

    @property
    def counters(self) -> PeerCounters:
        """What happened so far."""
        return self.local.journal.counters

    def pending_bytes(self, member_id: int) -> int:
        """Bytes that wait in memory for a member."""
        return self._links[member_id].pending_bytes

    def is_connected(self, member_id: int) -> bool:
        """True while frames to the member can leave."""
        return member_id in self._links and self._links[member_id].is_connected

    # ------------------------------------------------------------------ PeerTransport

    async def start(
        self,
        on_frame: Callable[[int, bytes], None],
        on_snapshot: Callable[[SnapshotStream], Awaitable[None]],
        on_unreachable: Callable[[int], None],
        on_removed: Callable[[], None],
    ) -> None:
        """Listen, then call the others. Raises ConfigError when an address cannot be had."""
        assert not self._is_started, "started twice"
        self._on_frame = on_frame
        self._on_snapshot = on_snapshot
        self._on_unreachable = on_unreachable
        self._on_removed = on_removed
        try:
            for text in self._listen_urls:
                await self._listen(parse_url(text))
        except BaseException:
            await self.close()
            raise
        self._is_started = True
        for member_id in self._addresses:
            self._open_link(member_id)
        self._tick()

    def set_peers(
        self,
        addresses: dict[int, Sequence[str]],
        *,
        removed: Set[int] = frozenset(),
        introduction: bytes = b"",
    ) -> None:
        """Replace the members talked to; links to others are closed, both ways."""
        self._removed, self.introduction = removed, introduction
        wanted = {member_id: tuple(urls) for member_id, urls in addresses.items()}
        assert self.local.member_id not in wanted, "a member does not talk to itself"
        before, self._addresses = self._addresses, wanted
        for member_id, urls in before.items():
            if wanted.get(member_id) != urls:
                self._close_link(member_id)
        if self._is_started:
            for member_id in wanted:
                if member_id not in self._links:
                    self._open_link(member_id)

    def send(self, to: int, frames: Sequence[bytes]) -> None:
        """Queue frames for a member; those to nobody we know are dropped."""
        link = self._links.get(to)
        if link is None:
            self.counters.frames_dropped += len(frames)
            return
        link.send(frames)

    async def send_snapshot(self, to: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Stream a snapshot over a connection of its own."""
        urls = self._addresses.get(to)
        if urls is None:
            raise ConnectionError(f"member {to:x} is not in the cluster")
        # The address may only be tried before any chunk is taken, so the first one must do.
        await peer_calling.send_snapshot(self.local, to, urls[0], header, chunks)

    async def close(self) -> None:
        """Stop listening, let what is written leave, close every connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_started = False
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners.clear()
        connections = list(self.local.connections)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for connection in connections:
            connection.finish("the member stops")
        if connections:
            await asyncio.wait([c.lost for c in connections], timeout=_CLOSE_SECONDS)
        for connection in list(self.local.connections):
            connection.abort("the member stops")
        self._links.clear()
        self._link_tasks.clear()

    # ------------------------------------------------------------------ links

    def _open_link(self, member_id: int) -> None:
        link = PeerLink(
            self.local,
            member_id,
            self._addresses[member_id],
            self._on_unreachable,
            self._on_removed,
        )
        self._links[member_id] = link
        self._link_tasks[member_id] = self._spawn(link.run())

    def _close_link(self, member_id: int) -> None:
        self._links.pop(member_id, None)
        task = self._link_tasks.pop(member_id, None)
        if task is not None:
            task.cancel()
        caller = self._callers.get(member_id)
        if caller is not None:
            caller.abort("the member was removed or moved")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task that this transport owns; `close` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A bug of ours: the loop's handler decides what becomes of the process.
            task.get_loop().call_exception_handler(
                {
                    "message": "peer transport failed",
                    "exception": task.exception(),
                    "task": task,
                    "is_fatal": True,
                }
            )

    def _tick(self) -> None:
        for connection in list(self.local.connections):
            connection.tick()
        interval = self.local.idle_timeout_seconds / TICKS_PER_IDLE_TIMEOUT
        self._timer = self.local.clock.call_later(interval, self._tick)

    # ------------------------------------------------------------------ listening

    async def _listen(self, url: Url) -> None:
        """Bind every address of a URL (`localhost` may have two); one must be had."""
        context = self.local.tls.server if url.is_tls and self.local.tls is not None else None
        if url.is_tls and context is None:
            raise ConfigError(f"{url.text} needs --peer-cert-file and --peer-key-file")
        loop = asyncio.get_running_loop()
        failure = "it has no address"
        listeners: list[socket.socket] = []
        try:
            found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConfigError(f"cannot listen on {url.text}: {error.strerror}") from None
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
            try:
                listeners.append(_listening_socket(family, address))
            except OSError as error:
                failure = error.strerror or str(error)
        if not listeners:
            raise ConfigError(
                f"cannot listen for members on {url.text}: {failure}. Is another member running"
                " there? Give --listen-peer-urls another address, or stop it"
            )
        self._listeners += listeners
        for listener in listeners:
            self._accept_from(listener, context)

    def _accept_from(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        """Let the loop tell of callers. No task: one that is cancelled in `sock_accept` leaves a
        callback behind that finds the socket closed."""
        if listener.fileno() != _CLOSED:
            loop = asyncio.get_running_loop()
            loop.add_reader(listener, self._accept, listener, context)

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            sock, address = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # whoever called is gone again
        except OSError as error:
            logger.warning("cannot accept connections of members: %s", error)
            asyncio.get_running_loop().remove_reader(listener)
            again = partial(self._accept_from, listener, context)
            self.local.clock.call_later(_ACCEPT_PAUSE_SECONDS, again)
            return
        sock.setblocking(False)
        self._make_room()
        connection = Called(self, f"{address[0]}:{address[1]}")
        self._called[connection] = None
        self.local.connections.add(connection)
        self._spawn(self._open_called(connection, sock, context))

    async def _open_called(
        self, connection: Called, sock: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        """Give an accepted socket its protocol; with TLS this takes the handshake's time."""
        seconds = self.local.limits.connect_seconds
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=context,
                ssl_handshake_timeout=seconds if context is not None else None,
            )
        except OSError as error:
            connection.abort("no TLS handshake")
            self.forget(connection)
            text = f"refused a connection from {connection.where}: {_tls_words(error)}"
            self.local.journal.fault(Fault.TLS, text)

    def _make_room(self) -> None:
        """Strangers must not keep members out: the one that waits longest goes."""
        if len(self._called) < _CALLED_MAX:
            return
        strangers = (connection for connection in self._called if connection.hello is None)
        oldest = next(strangers, None) or next(iter(self._called))
        text = f"closed a connection from {oldest.where}: too many connections"
        self.local.journal.fault(Fault.CROWDED, text)
        oldest.abort("too many connections")
        self.forget(oldest)

    # ------------------------------------------------------------------ Host of called connections

    def hosts_of(self, member_id: int) -> list[str] | None:
        """Hosts of a member's peer URLs; None = not a member."""
        urls = self._addresses.get(member_id)
        return None if urls is None else [parse_known_url(url).host for url in urls]

    def is_removed(self, member_id: int) -> bool:
        """True for one that was a member and is none any more."""
        return member_id in self._removed

    def is_receiving_snapshot(self) -> bool:
        """True while one is coming in or being stored."""
        return self._snapshot_connection is not None

    def adopt(self, connection: Called) -> None:
        """A sender's new connection replaces its old one, so that order holds."""
        assert connection.hello is not None
        sender = connection.hello.sender
        if connection.hello.purpose is Purpose.SNAPSHOT:
            self._snapshot_connection = connection
            return
        old = self._callers.get(sender)
        self._callers[sender] = connection
        if old is not None:
            old.abort("replaced by a newer connection")
        if sender in self._links:
            self._links[sender].retry_now()

    def frame_received(self, sender: int, payload: bytes) -> None:
        """Hand a message on."""
        self._on_frame(sender, payload)

    def snapshot_begins(self, connection: Called, stream: IncomingSnapshot) -> None:
        """Hand a snapshot on."""
        self._spawn(self._receive_snapshot(connection, stream))

    async def _receive_snapshot(self, connection: Called, stream: IncomingSnapshot) -> None:
        try:
            refusal = await consume_snapshot(connection, stream, self._on_snapshot)
        finally:
            # Only now: the consumer may have had work to undo.
            self._snapshot_connection = None
            stream.discard()
        if refusal:
            text = f"a snapshot of member {stream.sender:x} was not stored: {refusal}"
            self.local.journal.fault(Fault.SNAPSHOT, text, member=stream.sender)
        else:
            self.counters.snapshots_received += 1

    def forget(self, connection: Called) -> None:
        """The connection is gone."""
        self.local.connections.discard(connection)
        self._called.pop(connection, None)
        hello = connection.hello
        if hello is None:
            return
        if self._callers.get(hello.sender) is connection:
            del self._callers[hello.sender]
        if connection is self._snapshot_connection and not connection.has_snapshot:
            self._snapshot_connection = None


def _listening_socket(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _tls_words(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    words = reason.replace("_", " ").lower() if isinstance(reason, str) else str(error)
    return f"no TLS with a certificate of ours: {words or 'it closed the connection'}"


def peers_of(settings: Settings, spec: ClusterSpec, clock: Clock, random: Random) -> TcpPeers:
    """The transport that a member's settings describe, ready to be started."""
    others = spec.peer_addresses.values()
    urls = [*settings.listen_peer_urls, *(url for of_member in others for url in of_member)]
    return TcpPeers(
        cluster_id=spec.cluster_id,
        member_id=spec.member_id,
        listen_urls=settings.listen_peer_urls,
        tls=load_peers_for(settings.peer_tls, urls),
        clock=clock,
        random=random,
        idle_timeout_seconds=settings.election_timeout_seconds,
    )
