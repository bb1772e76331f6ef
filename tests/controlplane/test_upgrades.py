"""Connections that leave HTTP: what is passed on, how fast, and when it ends."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from controlplane import upgrades
from controlplane.peers import READ_BYTES
from controlplane.upgrades import (
    CallError,
    Connection,
    TakenOver,
    body_of,
    call,
    pipe,
    switching,
    taken_over,
)
from tests.controlplane.node.certificates import Authority

WAIT_SECONDS_MAX = 30.0
ASKED = [("Connection", "Upgrade"), ("Upgrade", "x")]


async def connected() -> tuple[Connection, Connection]:
    """Both ends of a connection."""
    one, other = socket.socketpair()
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=other)


class Piped:
    """client ⇄ (near ⇄ far) ⇄ server"""

    def __init__(
        self, client: Connection, server: Connection, piping: "asyncio.Task[None]"
    ) -> None:
        self.client = client
        self.server = server
        self.piping = piping


@asynccontextmanager
async def piped(idle_seconds: float = 1_000.0) -> AsyncIterator[Piped]:
    client, near = await connected()
    server, far = await connected()

    async def run() -> None:
        await pipe(near, far, idle_seconds=idle_seconds)
        for _, writer in (near, far):
            await upgrades.leave(writer)

    piping = asyncio.create_task(run())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        yield Piped(client, server, piping)
        piping.cancel()
        await asyncio.gather(piping, return_exceptions=True)
        for _, writer in (client, near, server, far):
            writer.close()


async def test_bytes_go_both_ways_and_all_of_them_before_the_end() -> None:
    async with piped() as both:
        both.client[1].write(b"question")
        assert await both.server[0].readexactly(8) == b"question"
        answer = bytes(range(256)) * 10_000
        both.server[1].write(answer)
        both.server[1].close()
        assert await both.client[0].read(-1) == answer
        await both.piping


async def test_no_more_is_read_than_is_taken() -> None:
    """10.7, back-pressure: whoever writes waits for whoever does not read."""
    async with piped() as both:
        both.client[0]._transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0

        async def write() -> None:
            nonlocal sent
            while True:
                both.server[1].write(bytes(READ_BYTES))
                await both.server[1].drain()
                sent += READ_BYTES

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write(), 0.5)
        assert sent < 100 * READ_BYTES, "what four buffers of the kernel and two of ours hold"
        both.client[0]._transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await both.client[0].readexactly(sent)) == sent


async def test_an_idle_connection_is_ended_and_one_that_is_used_is_not() -> None:
    async with piped(idle_seconds=0.3) as both:
        for _ in range(5):
            await asyncio.sleep(0.1)
            both.client[1].write(b"x")
            assert await both.server[0].readexactly(1) == b"x"
        assert await both.server[0].read() == b""
        await both.piping


async def test_whoever_leaves_ends_it_for_the_other() -> None:
    async with piped() as both:
        both.client[1].transport.abort()
        assert await both.server[0].read() == b""
        await both.piping


# ------------------------------------------------------------------------ out of a server


Serve = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    handle: Serve, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[web.Server, int]]:
    server = web.Server(handle, handler_cancellation=True)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, "127.0.0.1", 0, ssl=tls)
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            yield server, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await server.shutdown(1.0)


async def test_a_connection_is_taken_and_forgotten_when_it_is_over() -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        async with taken_over(request) as (reader, writer):
            writer.write(switching([*ASKED, ("X-Told", "yes")]))
            while data := await reader.read(READ_BYTES):
                writer.write(data.upper())
        return TakenOver()

    async with serving(handle) as (server, port):
        answered = await call(("127.0.0.1", port), None, "POST", "/", ASKED)
        assert (answered.status, answered.headers["x-told"]) == (101, "yes")
        answered.writer.write(b"abc")
        assert await answered.reader.readexactly(3) == b"ABC"
        assert len(server.connections) == 1
        answered.writer.close()
        while server.connections:  # noqa: ASYNC110 (aiohttp's own)
            await asyncio.sleep(0.01)


async def test_what_was_said_before_it_is_closed_is_heard(tmp_path: Path) -> None:
    """The client's end does not cut off what it has sent: aiohttp would cancel who reads it. (By
    TLS, where a connection has no half.)
    """
    authority = Authority(tmp_path)
    own = authority.issue("server")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(own.certificate, own.key)
    trusting = ssl.create_default_context(cafile=authority.path)
    heard = asyncio.get_running_loop().create_future()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        async with taken_over(request) as (reader, writer):
            writer.write(switching(ASKED))
            await asyncio.sleep(0.2)
            heard.set_result(await reader.read(-1))
        return TakenOver()

    async with serving(handle, tls) as (_, port):
        answered = await call(("127.0.0.1", port), trusting, "GET", "/", ASKED)
        answered.writer.write(b"last words")
        answered.writer.close()
        assert await heard == b"last words"


async def test_another_answer_is_read_as_far_as_it_is_wanted() -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403, text="no " * 1_000)

    async with serving(handle) as (_, port):
        answered = await call(("127.0.0.1", port), None, "GET", "/", ASKED)
        assert (answered.status, await body_of(answered, 5)) == (403, b"no no")


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 what\r\n\r\n", b"x" * 200_000]
)
async def test_whoever_speaks_no_http(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        place = listening.sockets[0].getsockname()[:2]
        with pytest.raises(CallError, match=r"127\.0\.0\.1:"):
            await call(place, None, "GET", "/", ASKED)


async def test_a_header_is_one_line() -> None:
    with pytest.raises(ValueError, match="more than one line"):
        switching([("X", "a\r\nSet-Cookie: b")])
