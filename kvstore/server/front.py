"""The RPC front: client ports, TLS, limits, and the clock of all connections.

Services are transport-free objects with a table of their methods; `calls` mounts the tables on the
streams of `http2`. One timer serves all connections.
"""

import asyncio
import contextlib
import resource
import ssl
from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec

from kvstore.errors import ConfigError, StoppedError
from kvstore.http2.connection import Connection
from kvstore.http2.limits import Limits
from kvstore.http2.totals import Totals
from kvstore.server.call import Service
from kvstore.server.calls import Router
from kvstore.server.client_port import ClientConnection, Page, Pages
from kvstore.urls import Url

# gRPC's own limit leaves room around a request of the largest size (etcd's overhead).
MESSAGE_OVERHEAD_BYTES = 512 * 1024
# Time that calls which were failed at the end have to reach their clients.
STOP_GRACE_SECONDS = 1.0
# A connection has so long to say what it is, TLS handshake and first bytes each.
FIRST_BYTES_SECONDS = 10.0
# Connections of a process; those beyond are closed as they come.
CONNECTIONS_MAX = 50_000
# Descriptors that clients must leave for the WAL, snapshots and peers.
RESERVED_FILES = 256
# Streams of one connection, whatever the operator allows.
STREAMS_MAX = 100_000
_TICK_SECONDS = 0.5
_INT32_MAX = 2**31 - 1


class FrontLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what clients may do; the defaults are etcd's."""

    request_bytes_max: int = 1_572_864
    concurrent_streams_max: int = _INT32_MAX
    keepalive_min_interval_seconds: float = 5.0
    keepalive_interval_seconds: float = 2 * 3600.0
    keepalive_timeout_seconds: float = 20.0


class Front:
    """Serves `services` at `urls` from `start` to `stop`."""

    def __init__(
        self,
        services: Sequence[Service],
        urls: Sequence[Url],
        tls: ssl.SSLContext | None = None,
        limits: FrontLimits | None = None,
        pages: Pages | None = None,
    ) -> None:
        """`pages` answers plain GETs; without it every one is not found."""
        self.pages = pages or _no_pages
        self.ports: list[int] = []  # as bound, in the order of the URLs (one may ask for port 0)
        self._connections: set[ClientConnection] = set()
        self._all_closed: asyncio.Event | None = None
        self.totals = Totals()
        self._router = Router(services)
        self._urls = urls
        self._tls = tls
        self._limits = _http2_limits(limits or FrontLimits())
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen and serve. Raises ConfigError naming the address at fault."""
        self.loop = asyncio.get_running_loop()
        self._connections_max = _connections_max()
        try:
            for url in self._urls:
                await self._listen(url)
        except ConfigError:
            self._close_listeners()
            raise
        self._tick()

    async def stop(self) -> None:
        """Fail the calls under way with StoppedError, then close every connection."""
        self._close_listeners()
        if self._timer is not None:
            self._timer.cancel()
        self._router.is_stopping = True
        for connection in list(self._connections):
            connection.fail_calls(StoppedError())
            connection.drain()
        if self._connections:
            self._all_closed = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_GRACE_SECONDS):
                    await self._all_closed.wait()
        for connection in list(self._connections):
            connection.abort()

    def opened(self, connection: ClientConnection) -> None:
        """A client has connected; beyond the limit it is closed."""
        self._connections.add(connection)
        if self._router.is_stopping or len(self._connections) > self._connections_max:
            connection.abort()

    def closed(self, connection: ClientConnection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections and self._all_closed is not None:
            self._all_closed.set()

    def open_connection(self, on_output: Callable[[], None]) -> Connection:
        """The HTTP/2 side of a connection whose first bytes have come."""
        now = self.loop.time()
        return Connection(self._limits, self.totals, self._router.open, on_output, now)

    def _tick(self) -> None:
        self._timer = self.loop.call_later(_TICK_SECONDS, self._tick)
        now = self.loop.time()
        for connection in list(self._connections):
            connection.tick(now, FIRST_BYTES_SECONDS)

    async def _listen(self, url: Url) -> None:
        if url.is_tls and self._tls is None:
            raise ConfigError("cannot listen on an https URL without --cert-file and --key-file")
        try:
            listener = await self.loop.create_server(
                lambda: ClientConnection(self),
                url.host,
                url.port,
                ssl=self._tls if url.is_tls else None,
                ssl_handshake_timeout=FIRST_BYTES_SECONDS if url.is_tls else None,
                backlog=1024,
            )
        except OSError as error:
            reason = f"is the port in use? ({error})"
            raise ConfigError(f"cannot listen on {url.text}: {reason}") from None
        self._listeners.append(listener)
        self.ports.append(listener.sockets[0].getsockname()[1])

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


def _connections_max() -> int:
    """As many as the process may open files, which is raised as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files_max = CONNECTIONS_MAX if hard == resource.RLIM_INFINITY else hard - RESERVED_FILES
    return max(1, min(CONNECTIONS_MAX, files_max))


def _http2_limits(limits: FrontLimits) -> Limits:
    return Limits(
        message_bytes_max=min(limits.request_bytes_max + MESSAGE_OVERHEAD_BYTES, _INT32_MAX),
        streams_max=min(limits.concurrent_streams_max, STREAMS_MAX),
        ping_interval_min_seconds=limits.keepalive_min_interval_seconds,
        keepalive_interval_seconds=limits.keepalive_interval_seconds,
        keepalive_timeout_seconds=limits.keepalive_timeout_seconds,
    )


def _no_pages(_path: str, reply: Callable[[Page], None]) -> None:
    reply(Page(HTTPStatus.NOT_FOUND, "text/plain", b"404 page not found\n"))
