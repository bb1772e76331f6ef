"""Bytes of any size and order of events arrive as they were sent, and so does the end."""

import asyncio
import hashlib
import random
import select
import socket
from collections.abc import Iterator

import pytest

from controlplane.network.tunnel import exchange
from tests.controlplane.network.conftest import soon


def _pair() -> tuple[socket.socket, socket.socket]:
    """A connection: what a client has of it, and what we have. The kernel holds little of it, so
    that what is sent has to wait.
    """
    with socket.socket() as listening:
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            listening.setsockopt(socket.SOL_SOCKET, buffer, 32_768)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        theirs = socket.socket()
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            theirs.setsockopt(socket.SOL_SOCKET, buffer, 32_768)
        theirs.connect(listening.getsockname())
        ours, _ = listening.accept()
    for one in (theirs, ours):
        one.setblocking(False)
    return theirs, ours


class Ends:
    """A client and a server, and the tunnel between them."""

    def __init__(self) -> None:
        self.client, self.near = _pair()
        self.server, self.far = _pair()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.ensure_future(exchange(self.near, self.far))

    async def end(self) -> None:
        """Return when the tunnel has."""
        assert self.task is not None
        async with asyncio.timeout(20):
            await self.task


@pytest.fixture
def ends() -> Iterator[Ends]:
    found = Ends()
    yield found
    for one in (found.client, found.near, found.server, found.far):
        one.close()


async def _send(opened: socket.socket, seed: int, size: int) -> str:
    """Send pseudo-random bytes in pieces, and the end; their digest."""
    dice, digest, loop = random.Random(seed), hashlib.sha256(), asyncio.get_running_loop()
    while size:
        piece = dice.randbytes(min(size, dice.choice([1, 1000, 70_000, 400_000])))
        size -= len(piece)
        digest.update(piece)
        await loop.sock_sendall(opened, piece)
        if dice.random() < 0.2:
            await asyncio.sleep(0.001)
    opened.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


async def _receive(opened: socket.socket, seed: int) -> str:
    dice, digest, loop = random.Random(seed), hashlib.sha256(), asyncio.get_running_loop()
    while data := await loop.sock_recv(opened, dice.choice([1, 5000, 300_000])):
        digest.update(data)
        if dice.random() < 0.02:
            await asyncio.sleep(0.001)
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("up", "down"), [(0, 0), (1, 0), (0, 1), (50_000, 60_000), (3_000_000,) * 2]
)
async def test_both_directions_arrive_whole(ends: Ends, up: int, down: int) -> None:
    """At once, each at its own pace: what waits is sent before the end is."""
    ends.start()
    async with asyncio.timeout(30):
        sent_up, sent_down, got_up, got_down = await asyncio.gather(
            _send(ends.client, 1, up),
            _send(ends.server, 2, down),
            _receive(ends.server, 3),
            _receive(ends.client, 4),
        )
    assert (got_up, got_down) == (sent_up, sent_down)
    await ends.end()
    assert ends.near.fileno() == ends.far.fileno() == -1


async def test_what_came_before_it_began_comes_first(ends: Ends) -> None:
    """Servers that speak first, and clients that have said all and ended."""
    ends.server.send(b"hello")
    ends.client.send(b"bye")
    ends.client.shutdown(socket.SHUT_WR)
    ends.start()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        assert await loop.sock_recv(ends.client, 100) == b"hello"
        assert await loop.sock_recv(ends.server, 100) == b"bye"
        assert await loop.sock_recv(ends.server, 100) == b""
        ends.server.send(b"and more")
        assert await loop.sock_recv(ends.client, 100) == b"and more"
    ends.server.close()
    await ends.end()


@pytest.mark.parametrize("is_client", [True, False])
async def test_reset_is_told_to_the_other_side(ends: Ends, is_client: bool) -> None:
    ends.start()
    loop = asyncio.get_running_loop()
    ends.client.send(b"1")
    ends.server.send(b"2")
    async with asyncio.timeout(20):
        await loop.sock_recv(ends.server, 1)
        await loop.sock_recv(ends.client, 1)
        one, other = (ends.client, ends.server) if is_client else (ends.server, ends.client)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.close()
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(other, 1)
    await ends.end()


async def test_reset_before_it_began_is_told(ends: Ends) -> None:
    ends.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.server.close()
    await soon(lambda: bool(select.select([ends.far], [], [], 0)[0]))  # told, and not read yet
    ends.start()
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionResetError):
            await asyncio.get_running_loop().sock_recv(ends.client, 1)
    await ends.end()


async def test_who_cancels_it_resets_both(ends: Ends) -> None:
    ends.start()
    loop = asyncio.get_running_loop()
    ends.client.send(b"1")
    async with asyncio.timeout(20):
        await loop.sock_recv(ends.server, 1)
        assert ends.task is not None
        ends.task.cancel()
        for one in (ends.client, ends.server):
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(one, 1)
