"""kube-behaviour 5.6 on real sockets: connections are spread, drained, and avoid what ends."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from ipaddress import ip_network

import pytest

from controlplane.network import tcp
from controlplane.network.plan import Endpoint, Place
from controlplane.network.tcp import TcpListener
from tests.controlplane.network.conftest import (
    Process,
    Server,
    ask,
    balancer,
    free_place,
    soon,
)


@pytest.fixture
async def place() -> Place:
    return free_place()


@pytest.fixture
async def listener(
    place: Place, process: Process, servers: list[Server]
) -> AsyncIterator[TcpListener]:
    opened = TcpListener(place, balancer([one.endpoint for one in servers]), process.seams)
    yield opened
    opened.close()


async def test_connections_are_spread_and_carry_bytes_both_ways(
    listener: TcpListener, place: Place
) -> None:
    answers = Counter([await ask(place, b" hears") for _ in range(60)])
    assert set(answers) == {b"a hears", b"b hears", b"c hears"}


async def test_end_of_one_direction_leaves_the_other(listener: TcpListener, place: Place) -> None:
    """Half-close: the server hears the end, and what it says afterwards arrives (`ask`)."""
    said = b"x" * 3_000_000  # more than all buffers between hold
    assert (await ask(place, said))[1:] == said


async def test_endpoint_that_refuses_is_passed_over(
    listener: TcpListener, place: Place, servers: list[Server]
) -> None:
    """5.6: an endpoint that has just ended costs no client its connection."""
    for server in servers[:2]:
        server.refuse()
    answers = [await ask(place) for _ in range(40)]
    assert answers == [b"c"] * 40


async def test_the_proxy_does_not_connect_to_itself(
    listener: TcpListener, place: Place, process: Process, servers: list[Server]
) -> None:
    """A connection to where we listen would be accepted, and passed on, without an end."""
    own = [Place(*one.endpoint, "TCP") for one in servers]
    process.seams.places.update(own[:2])
    assert [await ask(place) for _ in range(20)] == [b"c"] * 20
    process.seams.places.update(own)
    with pytest.raises(ConnectionResetError):
        await ask(place)
    assert [one.accepted for one in servers[:2]] == [0, 0]


async def test_only_a_few_endpoints_are_asked_for_one_connection(
    place: Place, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many do not answer: the client's patience has an end, too."""
    refusing = [free_place() for _ in range(20)]
    chooser = balancer([Endpoint(one.address, one.port) for one in refusing])
    asked: list[tuple[Endpoint, ...]] = []
    choose = chooser.choose

    def counted(client: str, now: float, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        asked.append(tuple(tried))
        return choose(client, now, tried)

    monkeypatch.setattr(chooser, "choose", counted)
    listener = TcpListener(place, chooser, process.seams)
    with pytest.raises(ConnectionResetError):
        await ask(place)
    assert [len(tried) for tried in asked] == list(range(tcp.TRIES_MAX))
    listener.close()


async def test_established_connections_live_on_when_their_endpoint_goes(
    listener: TcpListener, place: Place, servers: list[Server]
) -> None:
    """5.6: connection drain. New ones go elsewhere at once."""
    reader, writer = await asyncio.open_connection(place.address, place.port)
    name = await reader.readexactly(1)
    others = [one for one in servers if one.name != name]
    listener.balancer = balancer([one.endpoint for one in others])
    assert {await ask(place) for _ in range(30)} == {one.name for one in others}
    listener.close()
    writer.write(b"still here")
    assert await reader.readexactly(10) == b"still here"
    writer.close()


async def test_closed_place_refuses(listener: TcpListener, place: Place) -> None:
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await ask(place)


async def test_reset_of_a_server_reaches_the_client(
    listener: TcpListener, place: Place, servers: list[Server]
) -> None:
    """It must not look like an answer that has come to its end."""
    reader, writer = await asyncio.open_connection(place.address, place.port)
    await reader.readexactly(1)
    for server in servers:
        server.reset()
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()


async def test_who_does_not_read_is_not_read_for(place: Place, process: Process) -> None:
    """Back-pressure: what a client does not take stays with the server."""
    sent = 0
    source = free_place()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            with suppress(ConnectionError):
                await writer.drain()
            sent += 65536

    server = await asyncio.start_server(pour, source.address, source.port)
    listener = TcpListener(place, balancer([Endpoint(source.address, source.port)]), process.seams)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.connect((place.address, place.port))
    before = -1
    while sent != before:  # until nothing moves any more
        before = sent
        await asyncio.sleep(0.2)
    assert sent < 30_000_000  # the buffers of the kernel, and a chunk of ours
    client.close()
    await asyncio.gather(*process.tasks)
    listener.close()
    server.close()


async def test_client_outside_the_source_ranges_is_reset(
    place: Place, process: Process, servers: list[Server]
) -> None:
    ranges = (ip_network("192.0.2.0/24"),)
    chooser = balancer([servers[0].endpoint], source_ranges=ranges)
    listener = TcpListener(place, chooser, process.seams)
    with pytest.raises(ConnectionResetError):
        await ask(place)
    assert servers[0].accepted == 0
    listener.close()


async def test_who_finds_no_descriptor_waits_in_the_backlog(
    place: Place, servers: list[Server]
) -> None:
    """No connection fails because there are too many; it waits for the end of another."""
    process = Process(descriptors=2 * tcp.PER_CONNECTION)
    listener = TcpListener(place, balancer([servers[0].endpoint]), process.seams)
    held = [await asyncio.open_connection(place.address, place.port) for _ in range(5)]
    await soon(lambda: servers[0].accepted == 2)
    for reader, writer in held:
        assert await reader.readexactly(1) == b"a"
        writer.close()
    await soon(lambda: servers[0].accepted == 5)
    await asyncio.gather(*process.tasks)
    assert process.descriptors.take(2 * tcp.PER_CONNECTION)
    listener.close()
    await process.end()


async def test_whoever_fills_one_place_leaves_room_for_others(
    place: Place, servers: list[Server]
) -> None:
    """Nobody has more than are free besides."""
    process = Process(descriptors=8 * tcp.PER_CONNECTION)
    greedy, modest = servers[:2]
    other = free_place()
    listeners = [
        TcpListener(place, balancer([greedy.endpoint]), process.seams),
        TcpListener(other, balancer([modest.endpoint]), process.seams),
    ]
    held = [await asyncio.open_connection(place.address, place.port) for _ in range(12)]
    await soon(lambda: greedy.accepted == 5)  # three are free, of which no more are for it
    assert await ask(other) == b"b"
    assert greedy.accepted == 5
    for _, writer in held:
        writer.close()
    await soon(lambda: greedy.accepted == 12)
    for listener in listeners:
        listener.close()
    await process.end()


async def test_descriptors_are_given_back_however_a_connection_ends(
    listener: TcpListener, place: Place, process: Process, servers: list[Server]
) -> None:
    await ask(place)
    _, writer = await asyncio.open_connection(place.address, place.port)
    writer.transport.abort()
    for server in servers:
        server.refuse()
    with pytest.raises(ConnectionResetError):
        await ask(place)
    await soon(lambda: all(task.done() for task in process.tasks))
    assert process.descriptors.take(1000)


async def test_no_request_fails_while_all_endpoints_are_replaced(
    listener: TcpListener, place: Place, servers: list[Server]
) -> None:
    """5.6: a rolling update. Each endpoint stops listening before the proxy hears of it, which is
    the wrong order, and the one that a kill brings.
    """
    answers: list[bytes] = []
    is_over = False

    async def client() -> None:
        while not is_over:
            answers.append(await ask(place, b"!"))

    clients = [asyncio.ensure_future(client()) for _ in range(4)]
    now = list(servers)
    for _ in range(6):
        new = Server(b"n")
        now.append(new)
        listener.balancer = balancer([one.endpoint for one in now])
        seen = len(answers)
        await soon(lambda seen=seen: len(answers) > seen + 20)
        old = now.pop(0)
        old.refuse()
        seen = len(answers)
        await soon(lambda seen=seen: len(answers) > seen + 20)
        listener.balancer = balancer([one.endpoint for one in now])
        servers.append(new)
    is_over = True
    await asyncio.gather(*clients)
    assert {answer[1:] for answer in answers} == {b"!"}
