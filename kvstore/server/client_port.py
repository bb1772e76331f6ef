"""The client port: tells plain HTTP from gRPC by the first bytes of a connection.

gRPC and TLS go on, unread, to the front's own socket; a `GET` gets a page and the end of the
connection. So one port serves clients, `/metrics` and `/health`, as etcd's does. Bounded both
ways: whoever does not read stops the other side's reading.
"""

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import msgspec


class Page(msgspec.Struct, frozen=True):
    """What a GET is answered with."""

    status: int
    content_type: str
    body: bytes


# Answers one path; called back at once or later.
Pages = Callable[[str, Callable[[Page], None]], None]

_GET = b"GET "
_REQUEST_BYTES_MAX = 8 * 1024
_REQUEST_SECONDS = 10.0
_CLOSE_SECONDS = 5.0


class ClientConnection(asyncio.Protocol):
    """One accepted connection, until it is known what it is and then until it ends."""

    def __init__(self, front_address: str, pages: Pages) -> None:
        self._front_address = front_address
        self._pages = pages
        self._first = b""
        self._opening: asyncio.Task[None] | None = None
        self._front: _Relay | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing is known yet."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        # A connection that says nothing is gRPC's business only once it has said something.
        self._timer = asyncio.get_running_loop().call_later(_REQUEST_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._front is not None:
            self._front.write(data)
            return
        self._first += data
        if self._opening is not None:
            return  # read before reading could be paused
        if not self._first.startswith(_GET[: len(self._first)]):
            self._timer.cancel()
            self._transport.pause_reading()
            self._opening = asyncio.get_running_loop().create_task(self._open())
        elif b"\r\n\r\n" in self._first:
            self._timer.cancel()
            self._answer()
        elif len(self._first) > _REQUEST_BYTES_MAX:
            self._transport.abort()

    def eof_received(self) -> bool:
        """The client will send no more: an HTTP client may still wait for its page."""
        return self._front is None and self._first.startswith(_GET)

    def connection_lost(self, error: Exception | None) -> None:
        """The client has gone."""
        self._timer.cancel()
        if self._opening is not None:
            self._opening.cancel()
        if self._front is not None:
            self._front.close()

    def pause_writing(self) -> None:
        """The client does not read."""
        if self._front is not None:
            self._front.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._front is not None:
            self._front.resume_reading()

    async def _open(self) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            # Not left to uvloop, which knows no address that begins with a NUL.
            connection.connect(self._front_address)
        except OSError:
            connection.close()
            self._transport.abort()  # the front has stopped, or cannot take more
            return
        _, front = await asyncio.get_running_loop().create_unix_connection(
            lambda: _Relay(self._transport), sock=connection
        )
        front.write(self._first)
        self._first = b""
        self._front = front
        self._transport.resume_reading()

    def _answer(self) -> None:
        path = self._first.split(b" ", 2)[1].partition(b"?")[0]
        self._pages(path.decode("latin-1"), self._send)

    def _send(self, page: Page) -> None:
        if self._transport.is_closing():
            return
        status = HTTPStatus(page.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {page.content_type}\r\n"
            f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + page.body)
        self._transport.close()


class _Relay(asyncio.Protocol):
    """The way from the front back to one client."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        front = cast(asyncio.Transport, transport)
        self.write = front.write
        self.close = front.close
        self.pause_reading = front.pause_reading
        self.resume_reading = front.resume_reading

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.close()
        # What is written may still leave, but not wait for a client that reads no more.
        asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self._client.abort)

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume_reading()
