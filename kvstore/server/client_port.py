"""One client's connection: plain HTTP or gRPC over HTTP/2, told apart by its first bytes.

Drives `http2.Connection` with what the transport gives, and writes once for all that a turn of the
loop has made. A plain `GET` gets a page and the end of the connection, as on etcd's client port.
"""

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import msgspec

from kvstore.errors import KvError
from kvstore.http2.connection import Connection
from kvstore.http2.protocol import PREFACE
from kvstore.server.calls import AnyCall

if TYPE_CHECKING:
    from kvstore.server.front import Front


class Page(msgspec.Struct, frozen=True):
    """What a GET is answered with."""

    status: int
    content_type: str
    body: bytes


# Answers one path; called back at once or later.
Pages = Callable[[str, Callable[[Page], None]], None]

_GET = b"GET "
_REQUEST_BYTES_MAX = 8 * 1024
_PAGE_SECONDS = 30.0  # that a page may take beyond the time for its request
_CLOSE_SECONDS = 1.0  # for the last bytes to leave, and for the client to hang up


class ClientConnection(asyncio.Protocol):
    """One accepted connection, until it ends."""

    def __init__(self, front: "Front") -> None:
        self.http2: Connection | None = None
        self.opened_at = 0.0
        self._front = front
        self._loop = front.loop
        self._first = b""
        self._is_feeding = False
        self._is_paused = False
        self._has_page = False
        self._is_draining = False
        self._is_closing = False
        self._is_lost = False

    # ------------------------------------------------------------------ the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing is known yet; `tick` sees to it that something soon is."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self.opened_at = self._loop.time()
        self._front.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._is_closing or self._has_page:
            return
        if self.http2 is None:
            self._first += data
            if self._first.startswith(_GET[: len(self._first)]):
                self._on_page_bytes()
                return
            if len(self._first) < len(PREFACE) and PREFACE.startswith(self._first):
                return
            data, self._first = self._first, b""
            self.http2 = self._front.open_connection(self._on_output)
        self._is_feeding = True
        try:
            self.http2.feed(data, self._loop.time())
        finally:
            self._is_feeding = False
            if self.http2.sender.has_output or self.http2.is_closing or self._is_draining:
                self._flush()

    def eof_received(self) -> bool:
        """The client will send no more: an HTTP client may still wait for its page."""
        return self.http2 is None and self._first.startswith(_GET)

    def connection_lost(self, error: Exception | None) -> None:
        """The client has gone."""
        self._is_lost = True
        self._front.closed(self)
        if self.http2 is not None:
            self.http2.lost()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._is_paused = True
        if self.http2 is not None:
            self.http2.sender.pause()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_paused = False
        if self.http2 is not None:
            self.http2.sender.resume()
            self._flush()

    # ------------------------------------------------------------------ the front's side

    def tick(self, now: float, first_bytes_seconds: float) -> None:
        """Time passes."""
        if self.http2 is not None:
            self.http2.tick(now)
            self._flush()
        else:
            seconds = first_bytes_seconds + (_PAGE_SECONDS if self._has_page else 0.0)
            if now - self.opened_at >= seconds:
                self._transport.abort()

    def abort(self) -> None:
        """Close now; what is not written is lost."""
        self._transport.abort()

    def fail_calls(self, error: KvError) -> None:
        """End every call under way."""
        if self.http2 is not None:
            for stream in list(self.http2.streams.values()):
                cast(AnyCall, stream).fail(error)

    def drain(self) -> None:
        """Close once all is answered and written; the front cuts off who does not read it."""
        self._is_draining = True
        if self.http2 is None:
            self._close()
        else:
            self.http2.drain()
            self._flush()

    # ------------------------------------------------------------------ writing

    def _on_output(self) -> None:
        if not self._is_feeding:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        http2 = self.http2
        assert http2 is not None
        if self._is_lost or self._is_closing:
            return
        sender = http2.sender
        while sender.has_output and (http2.is_closing or not self._is_paused):
            self._transport.write(sender.take())
        if http2.is_closing or (self._is_draining and http2.is_done):
            self._close()

    def _close(self) -> None:
        """Say that we are done, and let the client hang up.

        To close at once would make the kernel reset the connection if bytes are still coming, and
        the client would never read why. What comes meanwhile is thrown away.
        """
        if self._is_closing:
            return
        self._is_closing = True
        if self._transport.can_write_eof():
            with contextlib.suppress(OSError):  # asyncio's own says so when the client has gone
                self._transport.write_eof()
        else:
            self._transport.close()
        self._loop.call_later(_CLOSE_SECONDS, self._transport.abort)

    # ------------------------------------------------------------------ plain HTTP

    def _on_page_bytes(self) -> None:
        if self._has_page:
            return
        if b"\r\n\r\n" in self._first:
            self._has_page = True
            path = self._first.split(b" ", 2)[1].partition(b"?")[0]
            self._front.pages(path.decode("latin-1"), self._send_page)
        elif len(self._first) > _REQUEST_BYTES_MAX:
            self._transport.abort()

    def _send_page(self, page: Page) -> None:
        if self._transport.is_closing():
            return
        status = HTTPStatus(page.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {page.content_type}\r\n"
            f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + page.body)
        self._close()
