"""What clients that do not read cost a real server process (rows 2.4 and 2.23 of
kube-behaviour.md)."""

import asyncio
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from kvstore.client import Client, connect
from kvstore.client.operations import prefix_end
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.asked import pod
from tests.controlplane.test_tokens import pair, private_pem
from tests.e2e.component import Component

WATCHERS, PODS = 200, 2_000
POD_BYTES = 6_000
WAIT_SECONDS_MAX = 120.0
SPACE = "memory"


@pytest.fixture
def server(member: ClusterProcesses, tmp_path: Path) -> Iterator[Component]:
    """`controlplane apiserver` without TLS, whose administrator shows the token `admin`."""
    tokens, key = tmp_path / "tokens.csv", tmp_path / "tokens.key"
    for secret in (tokens, key):
        secret.touch(mode=0o600)
    tokens.write_text('admin,admin,1,"system:masters"\n')
    key.write_bytes(private_pem(pair("p256")))
    flags = [
        "--secure-port=0",
        f"--store-endpoints={','.join(member.endpoints)}",
        f"--token-auth-file={tokens}",
        f"--service-account-signing-key-file={key}",
    ]
    with Component("apiserver", tmp_path, flags, ready="serving") as component:
        yield component


def resident_bytes(server: Component) -> int:
    assert server._process is not None
    status = Path(f"/proc/{server._process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def get(server: Component, path: str) -> str:
    asked = urllib.request.Request(server.said + path, headers={"Authorization": "Bearer admin"})
    with urllib.request.urlopen(asked) as answer:
        return str(answer.read(), "utf-8")


def measured(server: Component, name: str) -> float:
    rows = re.findall(rf"^{name}(?:{{.*}})? (\d+)$", get(server, "/metrics"), re.MULTILINE)
    assert rows, name
    return sum(map(float, rows))


def silent(server: Component) -> socket.socket:
    """A watch of all pods whose client never reads, with the least buffer that the kernel gives."""
    place = urlsplit(server.said)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.connect((place.hostname, place.port))
    head = f"GET /api/v1/namespaces/{SPACE}/pods?watch=1 HTTP/1.1\r\nHost: x\r\n"
    made.sendall(f"{head}Authorization: Bearer admin\r\n\r\n".encode())
    return made


async def write(client: Client, count: int, letter: str) -> None:
    for number in range(count):
        made = pod(name=f"p{number:05}")
        made["metadata"] |= {"namespace": SPACE, "annotations": {"x": letter * POD_BYTES}}
        await client.put(f"/registry/core/pods/{SPACE}/p{number:05}", orjson.dumps(made))


async def until(server: Component, name: str, value: float) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await asyncio.to_thread(measured, server, name) != value:  # noqa: ASYNC110 (HTTP)
            await asyncio.sleep(0.1)


async def test_silent_watchers_of_many_pods_cost_a_bounded_amount(
    server: Component, member: ClusterProcesses
) -> None:
    """2.4. Neither what was there, nor what changes, is kept for each of them."""
    async with connect(member.endpoints) as client:
        await write(client, PODS, "x")
        listed = await asyncio.to_thread(get, server, f"/api/v1/namespaces/{SPACE}/pods")
        assert listed.count('"name":"p0') == PODS
        before = resident_bytes(server)
        clients = [await asyncio.to_thread(silent, server) for _ in range(WATCHERS)]
        try:
            await until(server, "apiserver_longrunning_requests", WATCHERS)
            for one in clients[: WATCHERS // 4]:
                one.close()  # vanished
            await until(server, "apiserver_longrunning_requests", WATCHERS - WATCHERS // 4)
            await write(client, PODS, "y")
            unsent = measured(server, "apiserver_unsent_bytes")
            assert 0 < unsent <= WATCHERS * 4 * 64 * 1024
            grown = resident_bytes(server) - before
            # Each alone would have had PODS * POD_BYTES, and as much again for the changes.
            assert grown < 10 * 2 * PODS * POD_BYTES, grown
        finally:
            for one in clients:
                one.close()
            place = f"/registry/core/pods/{SPACE}/"
            await client.delete(place, prefix_end(place.encode()))
        await until(server, "apiserver_longrunning_requests", 0)
        await until(server, "apiserver_unsent_bytes", 0)
