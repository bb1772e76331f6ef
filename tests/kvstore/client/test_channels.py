"""The client's channels, against members and against peers that are none."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from kvstore.client import Tls
from kvstore.client.methods import LEASE_KEEP_ALIVE, RANGE, WATCH
from kvstore.pb import health_pb2, rpc_pb2
from kvstore.seams import RpcChannel, RpcFailure, RpcStream
from kvstore.server import health
from kvstore.server.call import Service
from kvstore.server.config import TlsFiles
from kvstore.server.front import Front
from kvstore.server.tls import load_front
from kvstore.testing.processes import ClusterProcesses
from kvstore.urls import parse_url
from tests.kvstore.client.channels import CHANNELS, Open
from tests.kvstore.client.proxy import Proxy
from tests.kvstore.server.certificates import Authority

HEALTH = "/grpc.health.v1.Health/Check"
GET = rpc_pb2.RangeRequest(key=b"nothing")


@pytest.fixture(params=sorted(CHANNELS))
def open_channel(request: pytest.FixtureRequest) -> Open:
    return CHANNELS[request.param]


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """As a member looks that was stopped by a signal: the kernel accepts, nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def send(stream: RpcStream) -> None:
    with pytest.raises(RpcFailure) as caught:
        await stream.send(rpc_pb2.LeaseKeepAliveRequest(ID=1))
    assert caught.value.code == "CANCELLED"


async def failure_of(channel: RpcChannel, *, timeout_seconds: float = 30.0) -> tuple[str, bool]:
    """How a read fails: its code, and whether it may have been sent."""
    with pytest.raises(RpcFailure) as caught:
        await channel.unary(RANGE.name, GET, RANGE.response, timeout_seconds=timeout_seconds)
    return caught.value.code, caught.value.sent


async def succeeds(channel: RpcChannel) -> None:
    answer = await channel.unary(RANGE.name, GET, RANGE.response, timeout_seconds=30)
    assert answer.header.revision > 0


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_cancelled_stream_ends_its_sender_before_there_is_a_connection(
    silent_endpoint: str, is_before: bool, open_channel: Open
) -> None:
    channel = open_channel(silent_endpoint, None)
    stream = channel.stream(LEASE_KEEP_ALIVE.name, LEASE_KEEP_ALIVE.response)
    if is_before:
        stream.cancel()
    sending = asyncio.create_task(send(stream))
    await asyncio.sleep(0)
    stream.cancel()
    await sending
    await channel.close()


async def test_a_sender_that_is_cancelled_itself_stays_cancelled(
    silent_endpoint: str, open_channel: Open
) -> None:
    channel = open_channel(silent_endpoint, None)
    stream = channel.stream(LEASE_KEEP_ALIVE.name, LEASE_KEEP_ALIVE.response)
    sending = asyncio.create_task(stream.send(rpc_pb2.LeaseKeepAliveRequest(ID=1)))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await channel.close()


async def test_what_found_no_connection_was_surely_not_sent(
    silent_endpoint: str, open_channel: Open
) -> None:
    for endpoint in (silent_endpoint, "127.0.0.1:1"):
        channel = open_channel(endpoint, None)
        assert await failure_of(channel, timeout_seconds=0.5) == ("UNAVAILABLE", False)
        assert await failure_of(channel, timeout_seconds=0.5) == ("UNAVAILABLE", False)
        await channel.close()


async def test_who_does_not_speak_http2_is_no_member(open_channel: Open) -> None:
    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        channel = open_channel(f"127.0.0.1:{port}", None)
        assert await failure_of(channel) == ("UNAVAILABLE", False)
        await channel.close()


async def test_an_answer_that_does_not_come_in_time_is_not_awaited(
    single: ClusterProcesses, open_channel: Open
) -> None:
    async with Proxy(single.endpoints[0]) as proxy:
        channel = open_channel(proxy.endpoint, None)
        await succeeds(channel)
        proxy.drops_responses = True
        failure = await failure_of(channel, timeout_seconds=0.3)
        assert failure == ("DEADLINE_EXCEEDED", True)
        await channel.close()


async def test_a_broken_connection_leaves_calls_unknown_and_is_made_anew(
    single: ClusterProcesses, open_channel: Open
) -> None:
    async with Proxy(single.endpoints[0]) as proxy:
        channel = open_channel(proxy.endpoint, None)
        await succeeds(channel)
        proxy.drops_responses = True
        stream = channel.stream(WATCH.name, WATCH.response)
        await stream.send(rpc_pb2.WatchRequest())
        asking = asyncio.create_task(failure_of(channel))
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        proxy.break_connections()
        assert await asking == ("UNAVAILABLE", True)
        with pytest.raises(RpcFailure, match="UNAVAILABLE"):
            await receiving
        with pytest.raises(RpcFailure, match="UNAVAILABLE"):
            await stream.send(rpc_pb2.WatchRequest())
        proxy.drops_responses = False
        await _eventually(channel)
        await channel.close()


async def _eventually(channel: RpcChannel) -> None:
    """A connection is made anew after a while only."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await succeeds(channel)
            except RpcFailure:
                await asyncio.sleep(0.05)


async def test_who_gives_up_harms_no_other_call(
    single: ClusterProcesses, open_channel: Open
) -> None:
    channel = open_channel(single.endpoints[0], None)
    await succeeds(channel)
    for _ in range(20):
        asking = asyncio.create_task(succeeds(channel))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await succeeds(channel)
    await channel.close()


async def test_a_closed_channel_ends_its_calls_and_takes_no_more(
    single: ClusterProcesses, open_channel: Open
) -> None:
    async with Proxy(single.endpoints[0]) as proxy:
        channel = open_channel(proxy.endpoint, None)
        await succeeds(channel)
        proxy.drops_responses = True
        asking = asyncio.create_task(failure_of(channel))
        await asyncio.sleep(0.01)
        await channel.close()
        assert (await asking)[0] == "CANCELLED"
        assert await failure_of(channel) == ("UNAVAILABLE", False)
        with pytest.raises(RpcFailure, match="closed"):
            channel.stream(WATCH.name, WATCH.response)


async def test_members_end_streams_cleanly(single: ClusterProcesses, open_channel: Open) -> None:
    """A cancelled call is no clean end; what was received before it is there to be read."""
    channel = open_channel(single.endpoints[0], None)
    stream = channel.stream(WATCH.name, WATCH.response)
    create = rpc_pb2.WatchCreateRequest(key=b"channels", start_revision=1)
    await stream.send(rpc_pb2.WatchRequest(create_request=create))
    assert (await stream.receive()).created
    stream.cancel()
    with pytest.raises(RpcFailure) as caught:
        await stream.receive()
    assert caught.value.code == "CANCELLED"
    await channel.close()


def test_other_schemes_are_refused(open_channel: Open) -> None:
    with pytest.raises(ValueError, match="ftp"):
        open_channel("ftp://127.0.0.1:1", None)


# ------------------------------------------------------------------ TLS


@asynccontextmanager
async def tls_front(files: TlsFiles) -> AsyncIterator[str]:
    service = Service(health.HealthService(), health.METHODS)
    front = Front([service], [parse_url("https://127.0.0.1:0")], load_front(files))
    await front.start()
    try:
        yield f"https://127.0.0.1:{front.ports[0]}"
    finally:
        await front.stop()


def tls_of(files: TlsFiles, authority: Authority, server_name: str | None = None) -> Tls:
    return Tls.from_files(
        str(authority.ca_file), files.cert_file, files.key_file, server_name=server_name
    )


async def is_served(channel: RpcChannel) -> bool:
    """Whether the call is answered; a channel that is refused has sent nothing."""
    try:
        answer = await channel.unary(
            HEALTH,
            health_pb2.HealthCheckRequest(),
            health_pb2.HealthCheckResponse,
            timeout_seconds=10,
        )
    except RpcFailure as failure:
        return failure.sent
    finally:
        await channel.close()
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_both_ends_show_certificates(tmp_path: Path, open_channel: Open) -> None:
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    ours, stranger = authority.issue("server"), foreign.issue("stranger")
    expired = authority.issue("expired", expires_in=timedelta(hours=-1))
    async with tls_front(ours) as endpoint:
        assert await is_served(open_channel(endpoint, tls_of(ours, authority)))
        for files, trusted in ((stranger, authority), (expired, authority), (ours, foreign)):
            assert not await is_served(open_channel(endpoint, tls_of(files, trusted)))
        assert not await is_served(open_channel(endpoint, Tls(authority.ca_file.read_bytes())))


async def test_a_certificate_is_good_for_the_name_that_is_asked_for(
    tmp_path: Path, open_channel: Open
) -> None:
    authority = Authority(tmp_path)
    named = authority.issue("server", hosts=("member.example",))
    async with tls_front(named) as endpoint:
        assert not await is_served(open_channel(endpoint, tls_of(named, authority)))
        tls = tls_of(named, authority, "member.example")
        assert await is_served(open_channel(endpoint, tls))
