"""kube-behaviour 5.1: healthCheckNodePort."""

import asyncio
import json
import socket
from typing import Any

import pytest

from controlplane.indexer import Key
from controlplane.network.health import CONNECTIONS_MAX, Health, HealthPorts, health_of
from controlplane.network.plan import Machine, Place
from controlplane.network.sockets import bound
from tests.controlplane.network.conftest import Process, ask, free_place
from tests.controlplane.network.objects import NOT_READY, endpoint, service, slice_of

HERE = Machine(nodes=frozenset({"a"}))
CHECKED: dict[str, Any] = {
    "type": "LoadBalancer",
    "externalTrafficPolicy": "Local",
    "healthCheckNodePort": 32000,
}

ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def _until_answered(place: Place) -> bytes:
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask(place, ASKED)
            except ConnectionRefusedError:  # the kernel does not tell when it is open
                await asyncio.sleep(0.05)


def _nobody(health: Health, why: str) -> None:
    pytest.fail(f"{health} should be open: {why}")


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
    ports = HealthPorts(process.seams, _nobody)
    for count, status in ((2, b"HTTP/1.1 200 OK"), (0, b"HTTP/1.1 503 Service Unavailable")):
        ports.put(key, Health(place.port, key, count), [place.address])
        head, _, body = (await ask(place, ASKED)).partition(b"\r\n\r\n")
        assert head.startswith(status)
        service = {"namespace": "default", "name": "web"}
        assert json.loads(body) == {"service": service, "localEndpoints": count}
    ports.put(key, None, ())
    with pytest.raises(ConnectionRefusedError):
        await ask(place, ASKED)


async def test_port_that_is_taken_is_told_once_and_had_when_it_is_free(process: Process) -> None:
    place, key, other = free_place(), Key("default", "web"), Key("default", "other")
    told: list[tuple[Health, str]] = []
    ports = HealthPorts(process.seams, lambda health, why: told.append((health, why)))
    ports.put(key, Health(place.port, key, 1), [place.address])
    ports.put(other, Health(place.port, other, 1), [place.address])
    ports.put(other, Health(place.port, other, 2), [place.address])
    assert told == [(Health(place.port, other, 1), "another process listens there")]
    ports.put(key, None, ())
    said = await _until_answered(place)
    assert said.endswith(b'"localEndpoints": 2}')
    assert len(told) == 1
    ports.close()


async def test_port_that_is_wanted_no_longer_is_not_tried_again(process: Process) -> None:
    place, key, other = free_place(), Key("default", "web"), Key("default", "other")
    ports = HealthPorts(process.seams, lambda health, why: None)
    ports.put(key, Health(place.port, key, 1), [place.address])
    ports.put(other, Health(place.port, other, 1), [place.address])
    ports.put(other, None, ())
    ports.put(key, None, ())
    # Another that fails and comes again after it has waited as long as the first would have.
    later = free_place()
    with bound(later, socket.SOCK_STREAM) as taken:
        taken.listen()
        ports.put(key, Health(later.port, key, 1), [later.address])
    await _until_answered(later)
    with pytest.raises(ConnectionRefusedError):
        await ask(place)
    ports.close()


async def test_connections_are_bounded(process: Process) -> None:
    """Whoever asks nothing keeps no descriptors from others."""
    place, key = free_place(), Key("default", "web")
    ports = HealthPorts(process.seams, _nobody)
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
