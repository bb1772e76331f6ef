"""The channel on our own HTTP/2, against servers that behave badly."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kvstore.client import Tls, http2_channel, open_http2_channel
from kvstore.client.methods import RANGE, WATCH
from kvstore.http2 import frames, grpc
from kvstore.http2.protocol import PING, PREFACE, ErrorCode, SettingCode
from kvstore.pb import rpc_pb2
from kvstore.seams import RpcChannel, RpcFailure
from tests.kvstore.client.test_channels import is_served, tls_front, tls_of
from tests.kvstore.http2.peer import Frame, message
from tests.kvstore.server.certificates import Authority

GREETING = frames.settings(())
GET = rpc_pb2.RangeRequest(key=b"k")

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[http2_channel.Http2Channel]:
    """A channel to a server that talks so, once per connection."""
    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        channel = open_http2_channel(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
        try:
            yield channel
        finally:
            await channel.close()


async def heard(reader: asyncio.StreamReader, kind: int, stream_id: int) -> Frame:
    """The next frame of a kind and stream."""
    while True:
        head = await reader.readexactly(9)
        found = Frame(head[3], head[4], int.from_bytes(head[5:]), b"")
        payload = await reader.readexactly(int.from_bytes(head[:3]))
        if (found.kind, found.stream_id) == (kind, stream_id):
            return found._replace(payload=payload)


async def failure_of(channel: RpcChannel, request: Any = GET) -> RpcFailure:
    with pytest.raises(RpcFailure) as caught:
        await channel.unary(RANGE.name, request, RANGE.response, timeout_seconds=30)
    return caught.value


async def test_who_greets_and_hangs_up_is_not_called_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2_channel, "RECONNECT_SECONDS_MIN", 3600)
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(GREETING + frames.goaway(0, ErrorCode.NO_ERROR, "no"))
        await reader.read()
        writer.close()

    async with serving(talk) as channel:
        for _ in range(10):
            failure = await failure_of(channel)
            assert (failure.code, failure.sent) == ("UNAVAILABLE", False)
        assert connections == 1


async def test_both_sides_of_a_stream_agree_whether_there_is_one() -> None:
    """The last one that the server allows: its sender was refused what its reader had got."""
    only_one = frames.settings([(SettingCode.MAX_CONCURRENT_STREAMS, 1)])
    received = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(only_one)
        await reader.readexactly(len(PREFACE))
        received.set_result((await heard(reader, 0, 1)).payload)
        await reader.read()
        writer.close()

    async with serving(talk) as channel:
        stream = channel.stream(WATCH.name, WATCH.response)
        await channel.connected()
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)  # it asks first
        request = rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=b"k"))
        await stream.send(request)
        assert await received == message(request.SerializeToString())
        other = channel.stream(WATCH.name, WATCH.response)
        for use in (other.receive(), other.send(request)):
            with pytest.raises(RpcFailure, match="too many calls") as caught:
                await use
            assert not caught.value.sent
        stream.cancel()
        with pytest.raises(RpcFailure, match="CANCELLED"):
            await receiving


class Unserializable:
    def SerializeToString(self) -> bytes:
        raise ValueError("more than 2 GiB")


async def test_a_call_that_cannot_be_made_occupies_nothing() -> None:
    only_one = frames.settings([(SettingCode.MAX_CONCURRENT_STREAMS, 1)])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(only_one)
        await reader.readexactly(len(PREFACE))
        await heard(reader, 0, 1)
        block = grpc.trailers_only("NOT_FOUND", "here I am")
        writer.write(frames.headers(1, block, ends_stream=True))
        await reader.read()
        writer.close()

    async with serving(talk) as channel:
        with pytest.raises(ValueError, match="2 GiB"):
            await channel.unary(RANGE.name, Unserializable(), RANGE.response)
        assert (await failure_of(channel)).details == "here I am"


async def test_an_answer_that_is_no_message_is_a_failure_of_the_call() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await reader.readexactly(len(PREFACE))
        for stream_id in (1, 3):
            await heard(reader, 0, stream_id)
            body = message(b"\xff")
            writer.write(frames.headers(stream_id, grpc.RESPONSE_HEADERS, ends_stream=False))
            writer.write(frames.data_header(stream_id, len(body)) + body)
            writer.write(frames.headers(stream_id, grpc.TRAILERS_OK, ends_stream=True))
        await reader.read()
        writer.close()

    async with serving(talk) as channel:
        failure = await failure_of(channel)
        assert (failure.code, failure.sent) == ("INTERNAL", True)
        stream = channel.stream(WATCH.name, WATCH.response)
        await stream.send(rpc_pb2.WatchRequest())
        with pytest.raises(RpcFailure, match="INTERNAL"):
            await stream.receive()


async def test_a_closed_channel_waits_for_nobody_who_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member that is paused, with more on its way than the kernel holds."""
    monkeypatch.setattr(http2_channel, "_TICK_SECONDS", 0.05)
    size = 64 * 1024 * 1024
    is_over = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room = frames.settings([(SettingCode.INITIAL_WINDOW_SIZE, size)])
        writer.write(room + frames.window_update(0, size))
        await is_over.wait()  # meanwhile its reader takes no more than its limit
        writer.close()

    async with serving(talk) as channel:
        stream = channel.stream(WATCH.name, WATCH.response)
        await stream.send(rpc_pb2.RangeRequest(key=bytes(size // 2)))
        await channel.close()
        async with asyncio.timeout(30):
            while True:
                if not channel._wires:
                    break
                await asyncio.sleep(0.01)
        is_over.set()


async def test_a_process_that_was_held_up_does_not_take_it_for_the_servers_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a whole machine is suspended: the answer to a ping comes once that is over."""
    monkeypatch.setattr(http2_channel, "_TICK_SECONDS", 0.05)
    monkeypatch.setattr(http2_channel, "PING_SECONDS", 0.05)
    monkeypatch.setattr(http2_channel, "PING_TIMEOUT_SECONDS", 1.0)
    loop = asyncio.get_running_loop()
    is_over = threading.Event()

    def hold() -> None:
        time.sleep(1.5)
        loop.call_later(0.1, is_over.set)

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, connection.makefile("rb") as file:
            connection.sendall(GREETING)
            file.read(len(PREFACE))
            while (head := file.read(9))[3] != PING:
                file.read(int.from_bytes(head[:3]))
            loop.call_soon_threadsafe(hold)
            is_over.wait()
            connection.sendall(frames.ping(file.read(8), is_ack=True))
            block = grpc.trailers_only("NOT_FOUND", "here I am")
            connection.sendall(frames.headers(1, block, ends_stream=True))
            file.read()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        channel = open_http2_channel(f"127.0.0.1:{listener.getsockname()[1]}", None)
        assert (await failure_of(channel)).details == "here I am"
        await channel.close()
        await asyncio.to_thread(server.join)


# ------------------------------------------------------------------ why there is no connection


async def why(channel: RpcChannel) -> set[str]:
    """What is said of it, at first and again."""
    failures = [await failure_of(channel) for _ in range(2)]
    await channel.close()
    assert not any(failure.sent for failure in failures)
    return {failure.details for failure in failures}


async def test_each_failed_call_says_why_there_is_no_connection(tmp_path: Path) -> None:
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    ours, stranger = authority.issue("server"), foreign.issue("stranger")
    named = authority.issue("named", hosts=("member.example",))
    async with tls_front(ours) as endpoint:
        (text,) = await why(open_http2_channel(endpoint, tls_of(ours, foreign)))
        assert "CERTIFICATE_VERIFY_FAILED" in text
        (text,) = await why(open_http2_channel(endpoint, tls_of(stranger, authority)))
        assert "is our certificate of an authority that it trusts" in text
        plain = endpoint.removeprefix("https://")
        (text,) = await why(open_http2_channel(plain, None))
        assert "does it want TLS" in text
    async with tls_front(named) as endpoint:
        (text,) = await why(open_http2_channel(endpoint, tls_of(named, authority)))
        assert "not valid for '127.0.0.1'" in text


async def test_what_is_written_beside_certificates_may_be_in_any_language(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("server")
    tls = tls_of(files, authority)
    assert tls.ca is not None
    commented = Tls("# Prüfstelle\n".encode() + tls.ca, tls.certificate, tls.key)
    async with tls_front(files) as endpoint:
        assert await is_served(open_http2_channel(endpoint, commented))
