"""kube-behaviour 5.1: healthCheckNodePort."""

import asyncio
import json
from typing import Any

import pytest

from controlplane.indexer import Key
from controlplane.network.health import CONNECTIONS_MAX, Health, HealthPorts, health_of
from controlplane.network.plan import Machine
from tests.controlplane.network.conftest import Process, ask, free_place
from tests.controlplane.network.objects import NOT_READY, endpoint, service, slice_of

HERE = Machine(nodes=frozenset({"a"}))
CHECKED: dict[str, Any] = {
    "type": "LoadBalancer",
    "externalTrafficPolicy": "Local",
    "healthCheckNodePort": 32000,
}


def test_ready_endpoints_of_this_machine_are_counted() -> None:
    slices = [
        slice_of(
            endpoint("10.0.0.1", nodeName="a"),
            endpoint("10.0.0.2", NOT_READY, nodeName="a"),
            endpoint("10.0.0.3", nodeName="elsewhere"),
        )
    ]
    assert health_of(service(**CHECKED), slices, HERE) == Health(32000, Key("default", "web"), 1)


@pytest.mark.parametrize(
    "change",
    [{"type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}, {"healthCheckNodePort": 0}],
)
def test_others_have_no_such_port(change: dict[str, Any]) -> None:
    assert health_of(service(**{**CHECKED, **change}), [], HERE) is None


async def test_load_balancer_is_told_whether_to_come(process: Process) -> None:
    place, key = free_place(), Key("default", "web")
    ports = HealthPorts(process.seams.spawn)
    asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for count, status in ((2, b"HTTP/1.1 200 OK"), (0, b"HTTP/1.1 503 Service Unavailable")):
        ports.put(key, Health(place.port, key, count), [place.address])
        head, _, body = (await ask(place, asked)).partition(b"\r\n\r\n")
        assert head.startswith(status)
        service = {"namespace": "default", "name": "web"}
        assert json.loads(body) == {"service": service, "localEndpoints": count}
    ports.put(key, None, ())
    with pytest.raises(ConnectionRefusedError):
        await ask(place, asked)


async def test_port_that_is_taken_is_told(process: Process) -> None:
    place, key, other = free_place(), Key("default", "web"), Key("default", "other")
    ports = HealthPorts(process.seams.spawn)
    ports.put(key, Health(place.port, key, 1), [place.address])
    with pytest.raises(OSError, match="in use"):
        ports.put(other, Health(place.port, other, 1), [place.address])
    ports.close()


async def test_connections_are_bounded(process: Process) -> None:
    """Whoever asks nothing keeps no descriptors from others."""
    place, key = free_place(), Key("default", "web")
    ports = HealthPorts(process.seams.spawn)
    ports.put(key, Health(place.port, key, 1), [place.address])
    open_: list[asyncio.StreamWriter] = []
    for _ in range(CONNECTIONS_MAX):
        _, writer = await asyncio.open_connection(place.address, place.port)
        open_.append(writer)
    reader, writer = await asyncio.open_connection(place.address, place.port)
    open_.append(writer)
    assert await reader.read() == b""
    for one in open_:
        one.close()
    ports.close()
