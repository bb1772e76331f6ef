"""The whole component on a real store: what is written there is where connections go."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.events import EVENTS, EventRecorder
from controlplane.flags import StoreSettings
from controlplane.network import proxy
from controlplane.network.dns.messages import Query, name_of
from controlplane.network.plan import NOT_LISTENING, Place
from controlplane.network.proxy import Settings
from controlplane.network.sockets import bound
from controlplane.objects import ObjectStore
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.network.conftest import Server, ask, free_place
from tests.controlplane.network.dns.conftest import as_asked
from tests.controlplane.network.objects import (
    ENDING,
    READY,
    endpoint,
    service_object,
    slice_object,
)

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

REGISTRY = Registry.builtin()


def _resource(group: str, plural: str) -> Resource:
    found = REGISTRY.storage(group, plural)
    assert found is not None
    return found


SERVICES = _resource("", "services")
SLICES = _resource("discovery.k8s.io", "endpointslices")
NODES = _resource("", "nodes")


class Writer:
    """Whoever writes services: an API server and its controllers."""

    def __init__(self, store: ObjectStore, namespace: str) -> None:
        self.store = store
        self.namespace = namespace

    async def service(self, place: Place, name: str = "web") -> Object:
        port = {"name": "http", "protocol": "TCP", "port": place.port}
        wanted = service_object(
            name, namespace=self.namespace, ports=[port], clusterIP=place.address
        )
        return await self.store.create(SERVICES, wanted)

    async def endpoints(
        self, *servers: tuple[Server, Mapping[str, Any]], name: str = "web"
    ) -> None:
        """A slice for each server: their ports differ."""
        for server, conditions in servers:
            slice_name = f"{name}-{server.place.port}"
            wanted = slice_object(
                endpoint(server.place.address, conditions),
                name=slice_name,
                service=name,
                namespace=self.namespace,
                ports=[{"name": "http", "protocol": "TCP", "port": server.place.port}],
            )
            try:
                await self.store.create(SLICES, wanted)
            except ApiError:
                change = partial(_with_endpoints, wanted["endpoints"])
                await self.store.update(SLICES, self.namespace, slice_name, change)


def _with_endpoints(endpoints: list[Any], current: Object) -> dict[str, Any]:
    return {**current, "endpoints": endpoints}


@pytest.fixture
def writer(store: ObjectStore, namespace: str) -> Writer:
    return Writer(store, namespace)


@pytest.fixture
async def dns_place() -> Place:
    return free_place("UDP")


@pytest.fixture
async def running(
    store: ObjectStore, member: ClusterProcesses, dns_place: Place
) -> AsyncIterator[None]:
    settings = Settings(
        store=StoreSettings(endpoints=tuple(member.endpoints)),
        cluster_dns=dns_place.address,
        dns_port=dns_place.port,
    )
    async with _running(settings, store):
        yield


@asynccontextmanager
async def _running(settings: Settings, store: ObjectStore) -> AsyncIterator[None]:
    is_current = asyncio.Event()
    async with EventRecorder(store, "kube-proxy") as recorder:
        work = proxy.work(settings, store, recorder, lambda what: is_current.set())
        task = asyncio.ensure_future(work)
        try:
            async with asyncio.timeout(20):
                await is_current.wait()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()  # it ends by its own fault only


async def _until(wanted: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await wanted():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)


async def _answer(place: Place) -> bytes | None:
    """None: nobody takes the connection."""
    with suppress(ConnectionError):
        return await ask(place)
    return None


@pytest.mark.usefixtures("running")
async def test_service_is_served_as_long_as_it_has_endpoints(
    writer: Writer, servers: list[Server]
) -> None:
    """5.6: rules are updated when slices change; refused where none is ready."""
    place = free_place()
    await writer.service(place)
    assert await _answer(place) is None
    await writer.endpoints((servers[0], READY))
    await _until(lambda: _is(place, {b"a"}))
    await writer.endpoints((servers[1], READY))
    await _until(lambda: _is(place, {b"a", b"b"}))
    await writer.endpoints((servers[0], ENDING))
    await _until(lambda: _is(place, {b"b"}))
    await writer.endpoints((servers[1], ENDING))
    await _until(lambda: _is(place, {b"a", b"b"}))  # none is ready
    await writer.store.delete(SERVICES, writer.namespace, "web")
    await _until(lambda: _is(place, {None}))


async def _is(place: Place, wanted: set[bytes | None]) -> bool:
    return {await _answer(place) for _ in range(20)} == wanted


@pytest.mark.usefixtures("running")
async def test_no_request_fails_in_a_rolling_update(writer: Writer, servers: list[Server]) -> None:
    """5.6 from the slice to the socket. A pod stops listening as soon as it is told to end, while
    the slice that says so is still on its way.
    """
    place, loop = free_place(), asyncio.get_running_loop()
    await writer.service(place)
    await writer.endpoints(*((one, READY) for one in servers))
    await _until(lambda: _is(place, {b"a", b"b", b"c"}))
    answers: list[bytes] = []
    clients = [loop.create_task(_ask_always(place, answers)) for _ in range(4)]
    now = list(servers)
    for _ in range(3):
        new = Server(b"n")
        servers.append(new)
        old = now.pop(0)
        await writer.endpoints((new, READY))
        old.refuse()
        await writer.endpoints((old, ENDING))
        await writer.store.delete(SLICES, writer.namespace, f"web-{old.place.port}")
        await _until(partial(_grown, answers, len(answers) + 20))
    await _until(lambda: _is(place, {b"n"}))
    for client in clients:
        assert not client.done(), client
        client.cancel()
    await asyncio.wait(clients)
    assert {answer[1:] for answer in answers} == {b"!"}


async def _ask_always(place: Place, answers: list[bytes]) -> None:
    while True:
        answers.append(await ask(place, b"!"))


async def _grown(answers: list[bytes], count: int) -> bool:
    return len(answers) >= count


@pytest.mark.usefixtures("running")
async def test_name_of_a_service_is_answered(writer: Writer, dns_place: Place) -> None:
    """5.5"""
    place = free_place()
    await writer.service(place)
    name = name_of(f"web.{writer.namespace}.svc.cluster.local")
    address = socket.inet_aton(place.address)
    await _until(lambda: _is_answered(dns_place, as_asked(Query(id=1, name=name)), address))


async def _is_answered(server: Place, asked: bytes, address: bytes) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((server.address, server.port))
        client.send(asked)
        async with asyncio.timeout(10):
            return (await asyncio.get_running_loop().sock_recv(client, 512)).endswith(address)


@pytest.mark.usefixtures("running")
async def test_place_that_is_taken_is_an_event_of_its_service(
    writer: Writer, servers: list[Server]
) -> None:
    taken, other = free_place(), free_place()
    with closing(bound(taken, socket.SOCK_STREAM)) as first:
        first.listen()
        for name, place in (("taken", taken), ("other", other)):
            await writer.service(place, name)
            await writer.endpoints((servers[0], READY), name=name)
        await _until(lambda: _is(other, {b"a"}))

        async def is_told() -> bool:
            events = await writer.store.list(EVENTS, writer.namespace)
            told = [(one["involvedObject"]["name"], one["reason"]) for one in events.items]
            return told == [("taken", NOT_LISTENING)]

        await _until(is_told)


@pytest.mark.usefixtures("running")
async def test_node_port_follows_the_nodes_addresses(writer: Writer, servers: list[Server]) -> None:
    """5.1"""
    place, node = free_place(), free_place()
    name = f"node-{writer.namespace}"
    port = {"name": "http", "protocol": "TCP", "port": place.port, "nodePort": node.port}
    wanted = service_object(
        namespace=writer.namespace, ports=[port], type="NodePort", clusterIP=place.address
    )
    await writer.store.create(SERVICES, wanted)
    await writer.endpoints((servers[0], READY))
    await _until(lambda: _is(place, {b"a"}))
    addresses = [{"type": "InternalIP", "address": node.address}]
    status = {"addresses": addresses}
    await writer.store.create(NODES, {"metadata": {"name": name}, "status": status})
    await _until(lambda: _is(node, {b"a"}))
    await writer.store.delete(NODES, "", name)
    await _until(lambda: _is(node, {None}))


@pytest.mark.usefixtures("running")
async def test_what_cannot_be_read_stops_nobody(writer: Writer, servers: list[Server]) -> None:
    """Objects that a stranger wrote past the API server."""
    namespace = writer.namespace
    bad = {"metadata": {"name": "bad", "namespace": namespace}, "spec": {"ports": "none"}}
    await writer.store.create(SERVICES, bad)
    worse = service_object("worse", namespace=namespace, externalIPs=["nonsense"])
    await writer.store.create(SERVICES, worse)
    odd = slice_object(name="odd", namespace=namespace) | {"endpoints": 7}
    await writer.store.create(SLICES, odd)
    place = free_place()
    await writer.service(place)
    await writer.endpoints((servers[0], READY))
    await _until(lambda: _is(place, {b"a"}))


async def test_component_serves_until_it_is_told_to_end(
    store: ObjectStore, writer: Writer, member: ClusterProcesses, servers: list[Server]
) -> None:
    place = free_place()
    await writer.service(place)
    await writer.endpoints((servers[0], READY))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controlplane",
        "proxy",
        "--store-endpoints",
        ",".join(member.endpoints),
        "--cluster-dns",
        place.address.rpartition(".")[0] + ".255",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(120):
            line = await process.stdout.readline()
        assert line.startswith(b"proxying ")
        assert await ask(place) == b"a"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
