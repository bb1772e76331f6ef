"""`controlplane agent` as a process of its own, on real stores, with each runtime there is."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.resource import Object
from controlplane.leader_election import LEASES
from controlplane.node.runtime.process import ProcessRuntime
from controlplane.objects import ObjectStore
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.network.conftest import ask, free_place
from tests.controlplane.node.nodes import container, find, is_ready, kinds, pod, status

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
UNTIL_SECONDS_MAX = 60.0


def command(member: ClusterProcesses, root: Path, runtime: str, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "controlplane", "agent", "--node-name=node-1", "--port=0"),
        *(f"--root-dir={root}", f"--runtime={runtime}", "--pod-cidr=127.77.0.0/24"),
        f"--store-endpoints={','.join(member.endpoints)}",
        *flags,
    ]


@contextmanager
def agent(
    member: ClusterProcesses, root: Path, runtime: str, *flags: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Killed at the end, if it has not ended before."""
    process = subprocess.Popen(command(member, root, runtime, *flags), cwd=ROOT, env=ENVIRONMENT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def root(tmp_path: Path) -> AsyncIterator[Path]:
    """A node's folder; pods and what starts them outlive an agent, but not the test."""
    yield tmp_path
    if (tmp_path / "runtime").exists():
        await ProcessRuntime(tmp_path / "runtime").shut_down()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(UNTIL_SECONDS_MAX):
        while not await condition():  # noqa: ASYNC110 - the store does not know of conditions
            await asyncio.sleep(0.05)


async def until_ready(store: ObjectStore) -> dict[str, Any]:
    async def is_so() -> bool:
        return is_ready(await status(store, "p"))

    await until(is_so)
    return await status(store, "p")


async def forget(store: ObjectStore) -> None:
    """All tests of a store share it, and a node's objects have no namespace."""
    for resource in (kinds().nodes, LEASES):
        for one in (await store.list(resource)).items:
            metadata = one["metadata"]
            namespace = metadata.get("namespace", "")
            await store.delete(resource, namespace, metadata["name"])


@pytest.mark.parametrize("runtime", ["fake", "process"])
async def test_pod_lives_and_dies(
    store: ObjectStore, member: ClusterProcesses, root: Path, runtime: str
) -> None:
    """10.1, 10.6; with real processes also over the death of the agent."""
    await forget(store)
    made: Object = pod("p", container("a", image="local/pause"), terminationGracePeriodSeconds=5)
    with agent(member, root, runtime) as first:
        await store.create(kinds().pods, made)
        before = await until_ready(store)
        assert before["podIP"].startswith("127.77.0.")
        first.kill()
        first.wait()
    with agent(member, root, runtime) as second:
        if runtime == "process":
            await asyncio.sleep(1)
            assert await until_ready(store) == before
        await store.delete(kinds().pods, "default", "p")

        async def is_gone() -> bool:
            return await find(store, "p") is None and not any((root / "pods").iterdir())

        await until(is_gone)
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
    await forget(store)


async def test_host_port_leads_to_its_pod(
    store: ObjectStore, member: ClusterProcesses, root: Path
) -> None:
    """hostPort, of TCP, at the node's address."""
    await forget(store)
    place = free_place()
    flags = [f"--node-ip={place.address}"]
    own = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    ports = [{"containerPort": 8080, "hostPort": place.port}]
    with agent(member, root, "process", *flags):
        await store.create(
            kinds().pods, pod("p", container("a", image="local/http", env=[own], ports=ports))
        )
        address = (await until_ready(store))["podIP"]

        async def is_served() -> bool:
            with suppress(OSError):
                said = await ask(place, b"GET /x HTTP/1.0\r\n\r\n")
                return f" {address} /x\n".encode() in said
            return False

        await until(is_served)
        await store.delete(kinds().pods, "default", "p")

        async def is_gone() -> bool:
            return await find(store, "p") is None

        await until(is_gone)
    await forget(store)


async def test_node_tells_where_its_server_is(
    store: ObjectStore, member: ClusterProcesses, root: Path
) -> None:
    """6.1."""
    await forget(store)
    with agent(member, root, "fake"):

        async def is_there() -> bool:
            nodes = (await store.list(kinds().nodes)).items
            leases = (await store.list(LEASES, "kube-node-lease")).items
            return bool(leases) and any(is_ready(one.get("status") or {}) for one in nodes)

        await until(is_there)
        (found,) = (await store.list(kinds().nodes)).items
        assert found["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] > 0
        again = await asyncio.create_subprocess_exec(
            *command(member, root, "fake"),
            cwd=ROOT,
            env=ENVIRONMENT,
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await again.communicate()
        assert again.returncode == 2
        assert b"another agent uses it" in told
    await forget(store)


@pytest.mark.parametrize("runtime", ["fake", "process"])
async def test_port_of_another_program_is_told_in_a_line(
    member: ClusterProcesses, root: Path, runtime: str
) -> None:
    """As every setting that cannot be used, though it shows only when all else runs."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        started = await asyncio.create_subprocess_exec(
            *command(member, root, runtime, f"--port={port}"),
            cwd=ROOT,
            env=ENVIRONMENT,
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await started.communicate()
    assert started.returncode == 2, told
    assert told.decode() == (
        f"controlplane agent: --port: port {port} of 127.0.0.1 is in use by another program: "
        "stop it, or name another\n"
    )
