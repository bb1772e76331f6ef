"""Peers that are gone and peers that only read late: the first are noticed, the others have all."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from controlplane import peers, upgrades
from controlplane.peers import linger, notice_dead_peer, until_taken
from controlplane.upgrades import Connection, TakenOver, taken_over
from tests.controlplane.node.certificates import Authority
from tests.controlplane.test_upgrades import serving

WAIT_SECONDS_MAX = 30.0
SAID = bytes(range(256)) * 8192
"""More than the buffers of a client that does not read."""


def narrow(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


async def connected() -> tuple[Connection, Connection]:
    """Both ends of a connection that holds little."""
    one, other = socket.socketpair()
    narrow(one)
    narrow(other)
    return (
        await asyncio.open_connection(sock=one, limit=1024),
        await asyncio.open_connection(sock=other, limit=1024),
    )


async def goes_on(task: "asyncio.Task[None]", seconds: float = 0.5) -> bool:
    return not (await asyncio.wait([task], timeout=seconds))[0]


@pytest.mark.parametrize("may_pause", [False, True])
async def test_a_peer_that_lives_and_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, may_pause: bool
) -> None:
    """The kernel takes it for dead, unless it may pause."""
    monkeypatch.setattr(peers, "_UNANSWERED_MILLISECONDS", 500)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as silent,
    ):
        connection, _ = listening.accept()
        notice_dead_peer(connection, may_pause=may_pause)
        _, writer = await asyncio.open_connection(sock=connection)
        try:
            writer.write(bytes(16 * 1024 * 1024))
            lost = asyncio.ensure_future(writer.drain())
            done, _ = await asyncio.wait([lost], timeout=3.0 if may_pause else 30.0)
            assert bool(done) is not may_pause
            assert silent.recv(10) == bytes(10)
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)
            writer.transport.abort()


async def test_whoever_reads_late_has_all_before_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By TLS, as everywhere."""
    monkeypatch.setattr(upgrades, "FLUSH_SECONDS_MAX", 0.1)
    authority = Authority(tmp_path)
    own = authority.issue("server")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(own.certificate, own.key)
    trusting = ssl.create_default_context(cafile=authority.path)
    tasks: list[asyncio.Task[None]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        async with taken_over(request) as (_, writer):
            narrow(writer.get_extra_info("socket"))
            writer.write(SAID)
            tasks.append(asyncio.ensure_future(until_taken(writer.transport)))
            await tasks[0]
        return TakenOver()

    async with serving(handle, tls) as (_, port):
        client = socket.socket()
        narrow(client)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(
            sock=client, ssl=trusting, server_hostname="127.0.0.1", limit=1024
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not tasks:  # noqa: ASYNC110 (the server's)
            await asyncio.sleep(0.01)
        assert await goes_on(tasks[0])
        assert await reader.read(-1) == SAID
        await tasks[0]
        writer.close()


async def test_what_a_peer_says_last_is_dropped_and_it_may_take_its_time() -> None:
    near, far = await connected()
    near[1].write(SAID)
    lingering = asyncio.ensure_future(linger(near, seconds=0.1))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        far[1].write(bytes(1024 * 1024))
        await far[1].drain()
        assert await goes_on(lingering)
        assert await far[0].readexactly(len(SAID)) == SAID
        await lingering
    for _, writer in (near, far):
        writer.close()


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
async def test_whoever_has_gone_is_not_waited_for(seconds: float) -> None:
    near, far = await connected()
    near[1].write(SAID)
    lingering = asyncio.ensure_future(linger(near, seconds=seconds))
    assert await goes_on(lingering, 0.2)
    far[1].transport.abort()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await lingering
    near[1].close()


async def test_whoever_takes_nothing_for_hours_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "IDLE_SECONDS_MAX", 0.3)
    near, far = await connected()
    near[1].write(SAID)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await until_taken(near[1].transport)
    assert near[1].transport.get_write_buffer_size() > 0
    for _, writer in (near, far):
        writer.transport.abort()


async def test_there_is_no_connection_any_more() -> None:
    await until_taken(None)
    near, far = await connected()
    near[1].transport.abort()
    await until_taken(near[1].transport)
    far[1].close()
