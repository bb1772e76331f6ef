"""UDP on real sockets: a client's datagrams go to one endpoint, until it goes or they end."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import cast

import pytest

from controlplane.network import udp
from controlplane.network.plan import Endpoint, Place
from controlplane.network.sockets import Seams, bound, family_of
from controlplane.network.udp import UdpListener
from tests.controlplane.network.conftest import Process, balancer, free_place, soon


class Echo(asyncio.DatagramProtocol):
    """Answers a datagram with its name and the datagram."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is none by type

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        self.transport.sendto(self.name + data, addr)


class Echoes:
    """Three endpoints."""

    def __init__(self) -> None:
        self.endpoints: dict[bytes, Endpoint] = {}
        self.transports: dict[bytes, asyncio.DatagramTransport] = {}

    async def start(self) -> None:
        for name in (b"a", b"b", b"c"):
            place = free_place("UDP")
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                partial(Echo, name), sock=bound(place, socket.SOCK_DGRAM)
            )
            self.endpoints[name] = Endpoint(place.address, place.port)
            self.transports[name] = transport


@pytest.fixture
async def echoes() -> AsyncIterator[Echoes]:
    found = Echoes()
    await found.start()
    yield found
    for transport in found.transports.values():
        transport.close()


@pytest.fixture
async def place() -> Place:
    return free_place("UDP")


@pytest.fixture
async def listener(place: Place, process: Process, echoes: Echoes) -> AsyncIterator[UdpListener]:
    opened = UdpListener(place, balancer(list(echoes.endpoints.values())), process.seams)
    yield opened
    opened.close()
    assert process.descriptors.take(1000)  # no flow has kept one


class Client:
    """One client: a socket of its own."""

    def __init__(self, place: Place) -> None:
        self.socket = socket.socket(family_of(place.address), socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((place.address, place.port))

    async def ask(self, said: bytes = b"?") -> bytes:
        self.socket.send(said)
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65536)


async def test_client_stays_with_one_endpoint_and_clients_are_spread(
    listener: UdpListener, place: Place
) -> None:
    names: Counter[bytes] = Counter()
    for _ in range(40):
        client = Client(place)
        answers = {await client.ask(b"one"), await client.ask(b"one")}
        assert len(answers) == 1
        names[answers.pop()] += 1
        client.socket.close()
    assert set(names) == {b"aone", b"bone", b"cone"}


async def test_flow_leaves_an_endpoint_that_is_taken_away_at_once(
    listener: UdpListener, place: Place, echoes: Echoes
) -> None:
    """5.6: no datagram goes to what is not ready, whatever went there before."""
    client = Client(place)
    first = await client.ask()
    others = [one for name, one in echoes.endpoints.items() if name != first[:1]]
    listener.balancer = balancer(others)
    assert (await client.ask())[:1] != first[:1]
    client.socket.close()


async def test_flow_to_a_live_endpoint_survives_changes_of_others(
    listener: UdpListener, place: Place, echoes: Echoes
) -> None:
    client = Client(place)
    first = await client.ask()
    listener.balancer = balancer([echoes.endpoints[first[:1]]])
    listener.balancer = balancer(list(echoes.endpoints.values()))
    assert await client.ask() == first
    client.socket.close()


async def test_endpoint_that_is_gone_costs_datagrams_and_no_client(
    listener: UdpListener, place: Place, echoes: Echoes
) -> None:
    """The kernel tells that nobody listens there: what comes next goes elsewhere."""
    client = Client(place)
    gone = (await client.ask())[:1]
    echoes.transports.pop(gone).close()
    loop = asyncio.get_running_loop()
    for _ in range(100):
        client.socket.send(b"?")
        try:
            async with asyncio.timeout(0.1):
                assert (await loop.sock_recv(client.socket, 100))[:1] != gone
                break
        except TimeoutError:
            continue
    else:
        pytest.fail("no other endpoint was found")
    client.socket.close()


async def test_place_is_free_when_it_is_closed(listener: UdpListener, place: Place) -> None:
    client = Client(place)
    await client.ask()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await client.ask()
    client.socket.close()


async def test_flows_of_a_place_are_bounded(
    listener: UdpListener, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was silent for longest goes; its client begins anew."""
    monkeypatch.setattr(udp, "FLOWS_MAX", 2)
    clients = [Client(place) for _ in range(3)]
    for client in clients:
        await client.ask()
    assert len(listener._flows) == 2
    await clients[0].ask()
    for client in clients:
        client.socket.close()


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "HandClock":
        self.timers.append((self.seconds + seconds, callback))
        return self

    def cancel(self) -> None:
        raise NotImplementedError

    def move(self, seconds: float) -> None:
        self.seconds += seconds
        due = [timer for timer in self.timers if timer[0] <= self.seconds]
        self.timers = [timer for timer in self.timers if timer[0] > self.seconds]
        for _, callback in due:
            callback()


async def test_silent_flow_ends_and_one_that_speaks_does_not(
    place: Place, process: Process, echoes: Echoes
) -> None:
    clock = HandClock()
    seams = Seams(clock, process.descriptors, process.seams.spawn)
    listener = UdpListener(place, balancer(list(echoes.endpoints.values())), seams)
    silent, speaking = Client(place), Client(place)
    await silent.ask()
    await speaking.ask()
    clock.move(udp.FLOW_SECONDS / 2)
    await speaking.ask()
    clock.move(udp.FLOW_SECONDS / 2)
    assert [flow.peer[0][1] for flow in listener._flows.values()] == [
        speaking.socket.getsockname()[1]
    ]
    clock.move(udp.FLOW_SECONDS / 2)
    assert not listener._flows
    assert not clock.timers
    await soon(lambda: process.descriptors.take(1000))
    listener.close()
    for client in (silent, speaking):
        client.socket.close()


@pytest.mark.parametrize(
    ("wildcard", "ours"), [("0.0.0.0", ("127.0.0.7", "127.0.0.8")), ("::", ("::1", "::1"))]
)
async def test_answer_comes_from_the_address_that_was_asked(
    wildcard: str, ours: tuple[str, str], process: Process, echoes: Echoes
) -> None:
    """A connected client takes no answer from another, and a machine has many addresses."""
    place = Place(wildcard, free_place("UDP").port, "UDP")
    opened = UdpListener(place, balancer(list(echoes.endpoints.values())), process.seams)
    for address in ours:
        client = Client(Place(address, place.port, "UDP"))
        assert (await client.ask(b"one"))[1:] == b"one"
        client.socket.close()
    opened.close()


async def test_endpoint_whose_port_is_none_costs_datagrams_and_nothing_else(
    listener: UdpListener, place: Place, process: Process, echoes: Echoes
) -> None:
    """A stranger wrote it past validation."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    listener.balancer = balancer([Endpoint("127.0.0.1", 70_000)])
    client = Client(place)
    for _ in range(5):
        client.socket.send(b"lost")
    await asyncio.sleep(0.05)
    assert process.descriptors.take(1000)
    process.descriptors.give(1000)
    listener.balancer = balancer(list(echoes.endpoints.values()))
    assert (await client.ask(b"one"))[1:] == b"one"
    assert not faults
    client.socket.close()
