"""A DNS server of ours, and an upstream that says what it is asked."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controlplane.indexer import Key
from controlplane.network.dns.forwarder import Forwarder
from controlplane.network.dns.messages import (
    CNAME,
    MESSAGE_BYTES_MAX,
    NXDOMAIN,
    A,
    Answer,
    Query,
    Record,
    name_of,
    read_query,
    write_answer,
)
from controlplane.network.dns.server import DnsServer, Resolver
from controlplane.network.dns.zone import Zone
from controlplane.network.plan import Place
from controlplane.network.sockets import bound
from kvstore.client.clock import AsyncioClock
from tests.controlplane.network.conftest import free_place, soon
from tests.controlplane.network.objects import endpoint, service, slice_of

KNOWN = {
    name_of("example.com"): Record(name_of("example.com"), A, 60, bytes((192, 0, 2, 1))),
    name_of("alias.example.com"): Record(
        name_of("alias.example.com"), CNAME, 60, name_of("example.com")
    ),
}


class Upstream:
    """The resolver of the host, by UDP and TCP. `asked`: what came, and whether by TCP."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.asked: list[tuple[bytes, bool]] = []
        self.is_silent = False
        self.lies: list[bytes] = []
        """Sent before the answer."""
        self.udp_bytes = MESSAGE_BYTES_MAX
        """So many fit into an answer by UDP."""
        loop = asyncio.get_running_loop()
        self._udp = bound(place, socket.SOCK_DGRAM)
        loop.add_reader(self._udp.fileno(), self._receive)
        self._tcp: asyncio.Server | None = None

    async def start(self) -> None:
        self._tcp = await asyncio.start_server(self._converse, self.place.address, self.place.port)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._udp.fileno())
        self._udp.close()
        assert self._tcp is not None
        self._tcp.close()

    def _receive(self) -> None:
        data, client = self._udp.recvfrom(4096)
        self.asked.append((data, False))
        for lie in self.lies:
            self._udp.sendto(lie, client)
        if not self.is_silent:
            self._udp.sendto(self._answer(data, self.udp_bytes), client)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack(">H", await reader.readexactly(2))
        data = await reader.readexactly(size)
        self.asked.append((data, True))
        answer = self._answer(data, MESSAGE_BYTES_MAX)
        writer.write(struct.pack(">H", len(answer)) + answer)
        await writer.drain()
        writer.close()

    def _answer(self, data: bytes, bytes_max: int) -> bytes:
        query = read_query(data)
        found: list[Record] = []
        name = query.name
        while record := KNOWN.get(name):
            found.append(record)
            if record.type != CNAME:
                break
            name = name_of("example.com")
        answer = Answer(rcode=0 if found else NXDOMAIN, answers=found, is_authoritative=False)
        return write_answer(query, answer, bytes_max)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    found = Upstream(free_place("UDP"))
    await found.start()
    yield found
    found.close()


class Dns:
    """The server, at `place`."""

    def __init__(self, place: Place, forwarder: Forwarder) -> None:
        self.place = place
        dice = random.Random(6)
        self.resolver = Resolver(Zone("cluster.local"), forwarder, dice)
        self.told: list[str] = []
        self.server = DnsServer(
            self.resolver,
            AsyncioClock(),
            self.told.append,
            address=place.address,
            port=place.port,
        )
        self._task = asyncio.ensure_future(self.server.run())

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        assert self._task.cancelled()

    def fill(self) -> None:
        """A service, a headless one of many endpoints, and an alias out of the cluster."""
        self.resolver.on_service(Key("default", "web"), service(), [])
        many = slice_of(*(endpoint(f"10.0.0.{number}") for number in range(1, 101)))
        headless = service("db", clusterIP="None")
        self.resolver.on_service(Key("default", "db"), headless, [many])
        alias = service("out", type="ExternalName", clusterIP="", externalName="alias.example.com")
        self.resolver.on_service(Key("default", "out"), alias, [])
        self.resolver.is_current = True

    async def ask(self, query: Query | bytes) -> bytes:
        """By UDP."""
        data = query if isinstance(query, bytes) else as_asked(query)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((self.place.address, self.place.port))
            client.send(data)
            async with asyncio.timeout(10):
                return await loop.sock_recv(client, 65536)


def as_asked(query: Query) -> bytes:
    """A query without EDNS, as the oldest clients have it: RFC 1035 only."""
    labels = b"".join(bytes((len(label),)) + label for label in query.name) + b"\0"
    head = struct.pack(">HHHHHH", query.id, 0x0100, 1, 0, 0, 0)
    return head + labels + struct.pack(">HH", query.type, query.klass)


@pytest.fixture
async def dns(upstream: Upstream) -> AsyncIterator[Dns]:
    async with _serving(upstream, try_seconds=10) as found:
        found.fill()
        yield found


@pytest.fixture
async def empty_dns(upstream: Upstream) -> AsyncIterator[Dns]:
    """Which was told of no service yet."""
    async with _serving(upstream, try_seconds=10) as found:
        yield found


@pytest.fixture
async def impatient_dns(upstream: Upstream) -> AsyncIterator[Dns]:
    """Where the upstream does not answer."""
    async with _serving(upstream, try_seconds=0.1) as found:
        found.fill()
        yield found


@asynccontextmanager
async def _serving(upstream: Upstream, *, try_seconds: float) -> AsyncIterator[Dns]:
    place = upstream.place
    forwarder = Forwarder(
        [place.address], random.Random(6), port=place.port, try_seconds=try_seconds
    )
    found = Dns(free_place("UDP"), forwarder)
    await soon(lambda: found.server.is_listening)
    yield found
    await found.end()
