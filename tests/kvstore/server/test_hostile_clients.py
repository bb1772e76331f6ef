"""Clients that mean harm, over real connections: others are served as if they were not there."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from kvstore.http2 import frames, hpack, protocol
from kvstore.http2 import grpc as grpc_frames
from kvstore.http2.limits import RESETS_BURST
from kvstore.pb import rpc_pb2
from kvstore.server import client_port
from kvstore.server import front as front_module
from kvstore.server.call import Call, Methods, Service, StreamCall
from kvstore.server.front import Front
from kvstore.server.tls import load_front
from kvstore.urls import parse_url
from tests.kvstore.server.certificates import Authority

METHODS: Methods = {
    "/test.Echo/Put": ("put", rpc_pb2.PutRequest, "unary"),
    "/test.Echo/Watch": ("watch", rpc_pb2.PutRequest, "stream"),
}
SECONDS_MAX = 60.0  # for conditions; a busy machine may take its time


class Echo:
    """Answers with the value; a stream gets as much as it can be given."""

    def __init__(self) -> None:
        self.sent = 0

    def put(self, request: rpc_pb2.PutRequest, call: Call) -> None:
        call.reply(rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=len(request.value))))

    def watch(self, call: StreamCall) -> None:
        def pour() -> None:
            while not call.is_blocked:
                call.send(bytes(100_000))
                self.sent += 100_000

        call.on_request = lambda _: pour()
        call.on_writable = pour


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def front(echo: Echo) -> AsyncIterator[Front]:
    front = Front([Service(echo, METHODS)], [parse_url("http://127.0.0.1:0")])
    await front.start()
    yield front
    await front.stop()


async def _is_served(front: Front) -> None:
    """An ordinary client's calls work."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0]}") as channel:
        put: Any = channel.unary_unary(
            "/test.Echo/Put",
            request_serializer=rpc_pb2.PutRequest.SerializeToString,
            response_deserializer=rpc_pb2.PutResponse.FromString,
        )
        for size in (0, 10, 100_000):
            response = await put(rpc_pb2.PutRequest(key=b"k", value=bytes(size)))
            assert response.header.revision == size


def _head(path: bytes) -> bytes:
    return hpack.encode(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path),
            (b"content-type", b"application/grpc"),
        ]
    )


class Raw:
    """A connection whose bytes are the test's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_id = 1

    async def send(self, *data: bytes) -> None:
        self._writer.write(b"".join(data))
        await self._writer.drain()

    def head(self, path: bytes) -> tuple[int, bytes]:
        stream_id, self._next_id = self._next_id, self._next_id + 2
        return stream_id, frames.headers(stream_id, _head(path), ends_stream=False)

    async def until_closed(self) -> bytes:
        """All that comes, until the server hangs up."""
        async with asyncio.timeout(SECONDS_MAX):
            with contextlib.suppress(ConnectionError):
                return await self._reader.read()
        return b""

    def close(self) -> None:
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def _raw(front: Front, *, greets: bool = True) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.ports[0])
    raw = Raw(reader, writer)
    if greets:
        await raw.send(protocol.PREFACE, frames.settings(()))
    try:
        yield raw
    finally:
        raw.close()


async def test_rapid_reset_ends_its_connection_only(front: Front) -> None:
    async with _raw(front) as raw:
        for _ in range(RESETS_BURST + 10):
            stream_id, head = raw.head(b"/test.Echo/Put")
            try:
                await raw.send(head, frames.reset(stream_id, protocol.ErrorCode.CANCEL))
            except ConnectionError:
                break
        assert b"too many resets" in await raw.until_closed()
        await _is_served(front)


async def test_a_flood_of_continuations_ends_its_connection_only(front: Front) -> None:
    async with _raw(front) as raw:
        await raw.send(frames.frame(protocol.HEADERS, 0, 1))
        for _ in range(40):
            with contextlib.suppress(ConnectionError):
                await raw.send(frames.frame(protocol.CONTINUATION, 0, 1, b"\x82" * 100))
        assert b"a header block without end" in await raw.until_closed()
        await _is_served(front)


async def test_a_client_that_does_not_read_is_held(front: Front, echo: Echo) -> None:
    """Windows without end, and then it takes nothing: what waits for it is bounded."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    reader.connect(("127.0.0.1", front.ports[0]))
    try:
        window = frames.settings(
            ((protocol.SettingCode.INITIAL_WINDOW_SIZE, protocol.WINDOW_MAX),)
        ) + frames.window_update(0, protocol.WINDOW_MAX - protocol.WINDOW_DEFAULT)
        call = frames.headers(1, _head(b"/test.Echo/Watch"), ends_stream=False)
        body = grpc_frames.prefixed(rpc_pb2.PutRequest(key=b"k").SerializeToString())
        reader.sendall(protocol.PREFACE + window + call + frames.frame(protocol.DATA, 0, 1, body))
        async with asyncio.timeout(SECONDS_MAX):
            before = -1
            while before != echo.sent or not echo.sent:  # until it stands still
                before = echo.sent
                await asyncio.sleep(0.1)
        assert echo.sent < 32 * 1024 * 1024
        await _is_served(front)
    finally:
        reader.close()


async def test_who_answers_nothing_and_asks_much_is_closed(front: Front) -> None:
    """Pings are answered, the answers are not read: they must not add up."""
    async with _raw(front) as raw:
        flood = frames.ping(bytes(8), is_ack=False) * 1000
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                await raw.send(flood)
        assert b"too_many_pings" in await raw.until_closed()
        await _is_served(front)


@pytest.mark.parametrize(
    "first", [b"", b"P", b"GET /metr", b"\x16\x03\x01", b"SSH-2.0-x\r\n", protocol.PREFACE[:20]]
)
async def test_who_does_not_say_what_it_is_is_closed(
    front: Front, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "FIRST_BYTES_SECONDS", 0.1)
    async with _raw(front, greets=False) as raw:
        await raw.send(first)
        await raw.until_closed()
    await _is_served(front)


async def test_a_tls_handshake_that_stands_still_is_closed(
    echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "FIRST_BYTES_SECONDS", 0.5)
    tls = load_front(Authority(tmp_path).issue("server"))
    front = Front([Service(echo, METHODS)], [parse_url("https://127.0.0.1:0")], tls)
    await front.start()
    async with _raw(front, greets=False) as raw:
        await raw.send(b"\x16\x03\x01\x02\x00\x01")
        await raw.until_closed()
    await front.stop()


async def test_connections_beyond_the_limit_are_closed(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "CONNECTIONS_MAX", 5)
    front = Front([Service(echo, METHODS)], [parse_url("http://127.0.0.1:0")])
    await front.start()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(_raw(front))
        beyond = await stack.enter_async_context(_raw(front))
        assert await beyond.until_closed() == b""
    await _is_served(front)
    await front.stop()


async def test_what_follows_a_get_is_thrown_away_and_a_page_has_its_time(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "FIRST_BYTES_SECONDS", 0.5)
    monkeypatch.setattr(client_port, "_PAGE_SECONDS", 0.5)
    asked: list[str] = []
    url = parse_url("http://127.0.0.1:0")
    front = Front([Service(echo, METHODS)], [url], pages=lambda path, _: asked.append(path))
    await front.start()
    before = _rss_bytes()
    async with _raw(front, greets=False) as raw:
        await raw.send(b"GET /slow HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                await raw.send(bytes(1024 * 1024))
        assert _rss_bytes() - before < 32 * 1024 * 1024
        await raw.until_closed()
    assert asked == ["/slow"]
    await front.stop()


async def test_many_idle_streams_on_many_connections_are_cheap(front: Front) -> None:
    connections, streams = 100, 100
    before = _rss_bytes()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(connections):
            raw = await stack.enter_async_context(_raw(front))
            await raw.send(*(raw.head(b"/test.Echo/Watch")[1] for _ in range(streams)))
        await _until(lambda: front.totals.streams == connections * streams)
        assert _rss_bytes() - before < 100 * 1024 * 1024
        await _is_served(front)
    await _until(lambda: front.totals.streams == 0)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - counts of the server tell, no event does
            await asyncio.sleep(0.01)


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
