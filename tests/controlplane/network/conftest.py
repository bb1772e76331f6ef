"""Sockets of this machine: places that nobody has, and servers that say who they are."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import pytest
import uvloop

from controlplane.indexer import Key
from controlplane.network.balancer import Affinity, Balancer
from controlplane.network.descriptors import Descriptors
from controlplane.network.plan import Backend, Endpoint, Place, Port
from controlplane.network.sockets import Seams, bound
from kvstore.client.clock import AsyncioClock

DICE = random.Random(6)
PORT = Port(Key("default", "web"), "http", "TCP")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Components run on uvloop, which has sockets of its own making."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def free_place(protocol: str = "TCP") -> Place:
    """A port of a loopback address that hardly anybody else uses."""
    address = f"127.{random.randrange(70, 90)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    with closing(socket.socket(socket.AF_INET, kind)) as found:
        found.bind((address, 0))
        return Place(address, found.getsockname()[1], protocol)


def backend(endpoints: Sequence[Endpoint], **changes: Any) -> Backend:
    return Backend(port=PORT, endpoints=tuple(sorted(endpoints)), **changes)


def balancer(endpoints: Sequence[Endpoint], **changes: Any) -> Balancer:
    return Balancer(backend(endpoints, **changes), Affinity(), DICE)


class Process:
    """What a process gives its listeners. The work that they spawn must not fail."""

    def __init__(self, descriptors: int = 1000) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.descriptors = Descriptors(descriptors)
        self.seams = Seams(AsyncioClock(), self.descriptors, self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        found = await asyncio.gather(*self.tasks, return_exceptions=True)
        failed = [one for one in found if isinstance(one, Exception)]
        assert not failed, failed


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    found = Process()
    yield found
    await found.end()


class Server:
    """Says its name to whoever connects, and then what it is told, until that ends."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.accepted = 0
        self.place = free_place()
        self._listening = bound(self.place, socket.SOCK_STREAM)
        self._listening.listen(100)
        asyncio.get_running_loop().add_reader(self._listening.fileno(), self._accept_all)
        self._conversations: dict[asyncio.Task[None], socket.socket] = {}

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.place.address, self.place.port)

    def _accept_all(self) -> None:
        with suppress(BlockingIOError):
            while True:
                client, _ = self._listening.accept()
                client.setblocking(False)
                self.accepted += 1
                task = asyncio.ensure_future(self._converse(client))
                self._conversations[task] = client
                task.add_done_callback(self._conversations.pop)

    async def _converse(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with client, suppress(ConnectionError):
            await loop.sock_sendall(client, self.name)
            while data := await loop.sock_recv(client, 65536):
                await loop.sock_sendall(client, data)

    def refuse(self) -> None:
        """Take no more connections, as a process that ends well; those that are there stay."""
        if self._listening.fileno() >= 0:
            self._accept_all()
            asyncio.get_running_loop().remove_reader(self._listening.fileno())
            self._listening.close()

    def reset(self) -> None:
        """Break all connections."""
        for task, client in self._conversations.items():
            with suppress(OSError):  # it has ended just now
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            task.cancel()


@pytest.fixture
async def servers() -> AsyncIterator[list[Server]]:
    """Three of them: a, b and c."""
    found = [Server(name) for name in (b"a", b"b", b"c")]
    yield found
    for one in found:
        one.refuse()
        one.reset()


async def ask(place: Place, said: bytes = b"") -> bytes:
    """Everything that comes of a connection on which `said` is all that is said."""
    reader, writer = await asyncio.open_connection(place.address, place.port)
    try:
        writer.write(said)
        with suppress(OSError):  # it was reset already, as reading will tell
            writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def soon(condition: Any) -> None:
    """Return when it is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the kernel does not tell
            await asyncio.sleep(0.005)
