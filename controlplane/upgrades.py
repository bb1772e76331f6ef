"""Connections that leave HTTP for a protocol of their own: taken from a server, or called for.

Source: RFC 9110, 7.8 (Upgrade). Who asks for another protocol says nothing in it before he has the
answer, so nothing of it is lost in the parser of HTTP.
"""

import asyncio
import contextlib
import ssl
import time
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
from aiohttp import web

from controlplane.peers import IDLE_SECONDS_MAX, READ_BYTES, notice_dead_peer

HEAD_BYTES_MAX = 64 * 1024
CALL_SECONDS_MAX = 30.0  # to connect, and to have the head of an answer
FLUSH_SECONDS_MAX = 10.0  # for a peer to take what was written before it is cut off

Headers = Sequence[tuple[str, str]]
Connection = tuple[Reader, Writer]


class CallError(Exception):
    """Nobody answers, or not in HTTP; the message says who."""


class Answered(msgspec.Struct):
    """The head of an answer; what follows it is to be read. headers: names in lower case"""

    status: int
    headers: Mapping[str, str]
    reader: Reader
    writer: Writer


def switching(headers: Headers) -> bytes:
    """The head of the answer after which the other protocol begins."""
    return _head("HTTP/1.1 101 Switching Protocols", headers)


class TakenOver(web.StreamResponse):
    """What aiohttp is given as the answer of a request whose connection is its own no more."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """It has been sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        """… and its end is no part of HTTP."""


@contextlib.asynccontextmanager
async def taken_over(request: web.BaseRequest) -> AsyncIterator[Connection]:
    """The connection of a request, raw, for the block. Raises ConnectionError: it is gone."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has gone")
    await request.writer.drain()  # of an answer before; none is heard of again after this
    loop = asyncio.get_running_loop()
    notice_dead_peer(transport.get_extra_info("socket"), may_pause=True)
    reader = Reader(limit=READ_BYTES, loop=loop)
    protocol = _Taken(reader, loop, request.protocol)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    writer = Writer(transport, protocol, reader, loop)
    try:
        yield reader, writer
    finally:
        await leave(writer)
        protocol.give_back()


class _Taken(asyncio.StreamReaderProtocol):
    """aiohttp hears that its connection is lost only when whoever has taken it is done: on hearing
    of it, it cancels what runs for it."""

    def __init__(
        self, reader: Reader, loop: asyncio.AbstractEventLoop, before: asyncio.BaseProtocol
    ) -> None:
        super().__init__(reader, loop=loop)
        self._before: asyncio.BaseProtocol | None = before
        self._is_lost, self._is_done = False, False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._is_lost = True
        self._tell()

    def give_back(self) -> None:
        """Nobody uses it any more."""
        self._is_done = True
        self._tell()

    def _tell(self) -> None:
        if self._is_lost and self._is_done and self._before is not None:
            before, self._before = self._before, None
            asyncio.get_running_loop().call_soon(before.connection_lost, None)


async def send(writer: Writer, data: bytes) -> None:
    """Return when it is taken, but for some KiB. Raises ConnectionError: nobody takes it any more,
    which uvloop's transports call a RuntimeError."""
    if data and writer.is_closing():
        raise ConnectionResetError("it is closed")
    writer.write(data)
    await writer.drain()


async def leave(writer: Writer) -> None:
    """Close a connection when its peer has taken what was written, or after some seconds."""
    writer.close()
    try:
        async with asyncio.timeout(FLUSH_SECONDS_MAX):
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
    except OSError:
        pass  # its peer was faster
    except asyncio.CancelledError:
        writer.transport.abort()
        raise


async def call(
    place: tuple[str, int], tls: ssl.SSLContext | None, method: str, path: str, headers: Headers
) -> Answered:
    """Ask a server for another protocol. Raises CallError."""
    host, port = place
    try:
        async with asyncio.timeout(CALL_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=READ_BYTES)
            try:
                notice_dead_peer(writer.get_extra_info("socket"), may_pause=True)
                at = f"[{host}]" if ":" in host else host
                asked = _head(f"{method} {path} HTTP/1.1", [("Host", f"{at}:{port}"), *headers])
                writer.write(asked)
                status, found = _parsed(await reader.readuntil(b"\r\n\r\n"))
            except BaseException:
                writer.close()
                raise
    except TimeoutError:
        raise CallError(f"{host}:{port} does not answer") from None
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise CallError(f"{host}:{port}: {error or type(error).__name__}") from None
    return Answered(status, found, reader, writer)


async def body_of(answered: Answered, bytes_max: int) -> bytes:
    """As much of an answer's body as comes, for who only wants to know what is wrong. The
    connection is closed then.
    """
    length = answered.headers.get("content-length", "")
    wanted = min(int(length), bytes_max) if length.isdecimal() and length.isascii() else bytes_max
    body = b""
    try:
        async with asyncio.timeout(CALL_SECONDS_MAX):
            body = await answered.reader.readexactly(wanted)
    except asyncio.IncompleteReadError as error:
        body = error.partial
    except (TimeoutError, OSError):
        pass  # what there is says it all
    finally:
        answered.writer.close()
    return body


async def pipe(
    one: Connection,
    other: Connection,
    *,
    idle_seconds: float = IDLE_SECONDS_MAX,
) -> None:
    """Bytes both ways, no faster than they are taken, until one end is closed or nothing has moved
    for so long.
    """
    moved = [time.monotonic()]
    tasks = [
        asyncio.ensure_future(_copy(one[0], other[1], moved)),
        asyncio.ensure_future(_copy(other[0], one[1], moved)),
    ]
    try:
        while (left := moved[0] + idle_seconds - time.monotonic()) > 0:
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: Reader, writer: Writer, moved: list[float]) -> None:
    while data := await reader.read(READ_BYTES):
        await send(writer, data)
        moved[0] = time.monotonic()


def _head(first: str, headers: Headers) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of more than one line")
    return "\r\n".join((*lines, "", "")).encode()


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers. Raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError("it speaks no HTTP")
    pairs = (line.partition(":") for line in lines if line)
    return int(status), {name.strip().lower(): value.strip() for name, _, value in pairs}
