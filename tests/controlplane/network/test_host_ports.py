"""Ports of a node that lead to one of its pods: Kubernetes' API reference of ContainerPort."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from controlplane.api.record import from_object
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.network.host_ports import HostPorts, wanted
from controlplane.network.plan import Endpoint, Place
from controlplane.network.sockets import bound
from kvstore.client.clock import AsyncioClock
from tests.controlplane.network.conftest import Server, ask, free_place, soon

NODE, POD = "192.0.2.1", "10.0.0.7"


def _pod(*ports: dict[str, Any], status: Object | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "nodeName": "here",
            "containers": [{"name": "c"}, {"name": "d", "ports": list(ports)}],
            **spec,
        },
        "status": {"phase": "Running", "podIP": POD, **(status or {})},
    }


def _wanted(*ports: dict[str, Any], **changes: Any) -> dict[Place, tuple[Endpoint, ...]]:
    found = wanted(from_object(Pod, _pod(*ports, **changes)), NODE)
    return {place: backend.endpoints for place, backend in found.items()}


_PORT = {"containerPort": 80, "hostPort": 8080}


def test_host_port_of_the_node_leads_to_the_port_of_the_container() -> None:
    there = (Endpoint(POD, 80),)
    assert _wanted(_PORT) == {Place(NODE, 8080, "TCP"): there}
    assert _wanted({**_PORT, "hostIP": "0.0.0.0"}) == {Place(NODE, 8080, "TCP"): there}
    assert _wanted({**_PORT, "hostIP": "127.0.0.1"}) == {Place("127.0.0.1", 8080, "TCP"): there}
    assert _wanted({**_PORT, "protocol": "UDP"}, _PORT) == {
        Place(NODE, 8080, "UDP"): there,
        Place(NODE, 8080, "TCP"): there,
    }
    sidecar = {"name": "s", "restartPolicy": "Always", "ports": [_PORT]}
    once = {"name": "i", "ports": [{**_PORT, "hostPort": 8081}]}
    assert _wanted(initContainers=[once, sidecar]) == {Place(NODE, 8080, "TCP"): there}


@pytest.mark.parametrize(
    ("port", "changes"),
    [
        ({"containerPort": 80}, {}),
        ({**_PORT, "protocol": "SCTP"}, {}),
        (_PORT, {"hostNetwork": True}),
        (_PORT, {"status": {"phase": "Pending"}}),
        (_PORT, {"status": {"phase": "Succeeded"}}),
        (_PORT, {"status": {"podIP": ""}}),
        ({**_PORT, "hostPort": 70_000}, {}),
        ({**_PORT, "hostPort": -1}, {}),
        ({**_PORT, "containerPort": 70_000}, {}),
        ({**_PORT, "containerPort": 0}, {}),
    ],
)
def test_nothing_is_opened_for_others(port: dict[str, Any], changes: dict[str, Any]) -> None:
    assert _wanted(port, **changes) == {}


class _Pods(Informer[Object]):
    """What the store says of pods, in a test's own words."""

    def __init__(self) -> None:
        super().__init__(json.loads)

    def tell(self, *pods: dict[str, Any]) -> None:
        found = {Key("default", one["metadata"]["name"]): json.dumps(one).encode() for one in pods}
        self.replace(found, self.revision + 1)


@pytest.fixture
async def pods() -> _Pods:
    return _Pods()


@pytest.fixture
async def place() -> Place:
    return free_place()


@asynccontextmanager
async def _opening(pods: _Pods, place: Place) -> AsyncIterator[list[tuple[Key, str]]]:
    """Whoever opens host ports, at work, and what it complains of."""
    told: list[tuple[Key, str]] = []
    found = HostPorts(
        pods, node_name="here", address=place.address, tell=lambda *what: told.append(what)
    )
    task = asyncio.ensure_future(found.run(AsyncioClock(), random.Random(6)))
    await asyncio.sleep(0)
    yield told
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.fixture
async def told(pods: _Pods, place: Place) -> AsyncIterator[list[tuple[Key, str]]]:
    async with _opening(pods, place) as told:
        yield told


def _leading(place: Place, server: Server, **spec: Any) -> dict[str, Any]:
    port = {"containerPort": server.place.port, "hostPort": place.port}
    return _pod(port, status={"podIP": server.place.address}, **spec)


async def test_host_port_is_there_as_long_as_its_pod(
    pods: _Pods, place: Place, told: list[tuple[Key, str]], servers: list[Server]
) -> None:
    pods.tell(_leading(place, servers[0]))
    assert await ask(place) == b"a"
    pods.tell(_leading(place, servers[1]))  # another one of its name
    assert await ask(place) == b"b"
    pods.tell(_leading(place, servers[1], nodeName="elsewhere"))
    with pytest.raises(ConnectionRefusedError):
        await ask(place)
    pods.tell(_leading(place, servers[2]))
    assert await ask(place) == b"c"
    unreadable = {**_leading(place, servers[2]), "status": {"podIP": 7}}
    pods.tell(unreadable)
    with pytest.raises(ConnectionRefusedError):
        await ask(place)
    assert told == []


async def test_host_port_that_somebody_has_is_told(
    pods: _Pods, place: Place, told: list[tuple[Key, str]], servers: list[Server]
) -> None:
    with closing(bound(place, socket.SOCK_STREAM)) as taken:
        taken.listen()
        pods.tell(_leading(place, servers[0]))
        await soon(lambda: told)
    why = f"can't open host port {place}, skipping it: another process listens there"
    assert told == [(Key("default", "p"), why)]


async def test_port_that_is_none_is_logged_and_keeps_no_other_from_its_place(
    pods: _Pods,
    place: Place,
    told: list[tuple[Key, str]],
    servers: list[Server],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A stranger wrote it past the API server."""
    pod = _leading(place, servers[0])
    ports = pod["spec"]["containers"][1]["ports"]
    ports.insert(0, {"containerPort": 80, "hostPort": 70_000})
    pods.tell(pod)
    assert await ask(place) == b"a"
    assert "host ports of default/p: 70000 to 80 is none, skipping it" in caplog.messages
    assert told == []


async def test_nothing_is_opened_any_more_at_the_end(
    pods: _Pods, place: Place, servers: list[Server]
) -> None:
    async with _opening(pods, place):
        pods.tell(_leading(place, servers[0]))
        assert await ask(place) == b"a"
    pods.tell()
    pods.tell(_leading(place, servers[1]))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.wait_for(ask(place), 10)
