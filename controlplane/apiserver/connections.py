"""Connections of clients: how many, how long they may be idle, how much is written ahead.

Beside `http` and `delivery` the only module that knows aiohttp. Source of the times: the HTTP
server of Kubernetes' API server (a head has 32 s to come, idle connections end after 90 s).
"""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from controlplane.peers import notice_dead_peer

CONNECTIONS_MAX = 10_000
RESERVED_FILES = 100  # what else the process has open: its store, its log, its certificates
IDLE_SECONDS_MAX = 90.0
LINGER_SECONDS = 5.0
"""So long what a refused client still sends is read, so that the refusal reaches it."""
HEAD_BYTES_MAX = 64 * 1024
"""Of a request's line and headers together; what is sent before a head is whole is kept."""
HEAD_SECONDS_MAX = 32.0
LINE_BYTES_MAX = 16 * 1024
"""Of one line: a selector of a few thousand characters and a token of a service account fit."""
READ_BYTES_MAX = 64 * 1024
WRITE_BYTES_MAX = 64 * 1024
"""Written ahead of what the client takes; whoever has more to write waits."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

_log = logging.getLogger(__name__)

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _is_ours(record: logging.LogRecord) -> bool:
    """What strangers send that is no HTTP they are told, and no log is filled with it."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_log.addFilter(_is_ours)


class Connections(web.Server):
    """All that there are; whoever takes them (`listening`) looks whether it `is_full`."""

    def __init__(self, handle: Handle, *, connections_max: int = CONNECTIONS_MAX) -> None:
        super().__init__(
            handle,
            handler_cancellation=True,
            access_log=None,
            logger=_log,
            keepalive_timeout=IDLE_SECONDS_MAX,
            lingering_time=LINGER_SECONDS,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            read_bufsize=READ_BYTES_MAX,
            auto_decompress=False,  # a small body could be a large one
        )
        self._connections_max = max(1, min(connections_max, _files_max() - RESERVED_FILES))
        self._transports: dict[RequestHandler, asyncio.Transport] = {}
        self.begun = 0
        """So many were taken, and are none of ours before their handshakes are done."""
        self.refused = 0
        """So many were too many."""

    def __call__(self) -> RequestHandler:
        """The protocol of a new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Somebody has connected (by TLS: and shaken hands)."""
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)
        notice_dead_peer(transport.get_extra_info("socket"))

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Somebody has gone."""
        super().connection_lost(handler, exc)
        self._transports.pop(handler, None)

    @property
    def count(self) -> int:
        """How many there are, and are begun."""
        return len(self._transports) + self.begun

    @property
    def is_full(self) -> bool:
        """Whether a further one would be too many."""
        return self.count >= self._connections_max

    @property
    def buffered_bytes(self) -> int:
        """What was written and not taken yet, of all connections."""
        return sum(_unsent_bytes(one) for one in self._transports.values())


def _unsent_bytes(transport: asyncio.Transport) -> int:
    try:
        return transport.get_write_buffer_size()
    except AttributeError:  # asyncio's TLS one, closed twice before its end was told: it has none
        return 0


class _Connection(RequestHandler):
    """Bounds what is sent of a head that is not whole yet, and its time."""

    __slots__ = ("_head_bytes", "_head_timer")

    def __init__(
        self, manager: Connections, *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        before, is_of_head = self._request_count, self._expects_head
        super().data_received(data)
        if self._request_count != before or not is_of_head or self._messages:
            self._end_head()  # a head is whole, or those that are keep the next one from being read
            return
        self._head_bytes += len(data)  # also while a request before it is not done with
        if self._head_timer is None and data and self._waiter is not None:
            self._head_timer = self._loop.call_later(HEAD_SECONDS_MAX, self.force_close)
        if self._head_bytes > HEAD_BYTES_MAX and self.transport is not None:
            self.transport.write(_TOO_LARGE)
            self.force_close()

    @property
    def _expects_head(self) -> bool:
        """Whether nothing of a body is to come, not even of one that nobody wants."""
        request = self._current_request
        return self._waiter is not None or (request is not None and request.content.is_eof())

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._end_head()
        super().connection_lost(exc)

    def _end_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _files_max() -> int:
    """As many files as the process may have open, which is raised as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return CONNECTIONS_MAX + RESERVED_FILES if hard == resource.RLIM_INFINITY else hard
