"""What pods do to a node, with a real agent and real processes: the pod's status says so in
Kubernetes' words, and its neighbour goes on serving.

Numbers are rows of kube-behaviour.md.
"""

import asyncio
import os
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.flags import StoreSettings
from controlplane.node import agent as agents
from controlplane.node import component, eviction_signals
from controlplane.node.runtime.process import ProcessRuntime
from controlplane.objects import DeleteOptions, ObjectStore
from kvstore.testing.processes import ClusterProcesses
from kvstore.testing.rigs import disks, requirements
from tests.controlplane.node.nodes import condition, container, events, is_ready, kinds, pod, status

pytestmark = pytest.mark.parametrize("member", ["keelson"], indirect=True, scope="package")

PATIENCE_SECONDS = 120.0
PORT = 8080
PIDS_MAX = 40
MIB = 1 << 20
NODE = "bad-input"
EMPTY = {"name": "v", "emptyDir": {}}


@asynccontextmanager
async def node(
    member: ClusterProcesses, root: Path, number: int, **fields: Any
) -> AsyncIterator[None]:
    """An agent; its pods and their processes end with it."""
    announced = asyncio.Event()
    settings = component.Settings(
        store=StoreSettings(endpoints=tuple(member.endpoints)),
        node=agents.Settings(
            name=NODE,
            address="127.0.0.1",
            root=root,
            pod_block=f"127.{100 + os.getpid() % 100}.{number}.0/24",
            pids_per_container=PIDS_MAX,
            **fields,
        ),
        runtime="process",
        port=0,
    )
    running = asyncio.ensure_future(component.run(settings, lambda _: announced.set()))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])
        await ProcessRuntime(root / "runtime").shut_down()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - the store does not know of conditions
            await asyncio.sleep(0.05)


async def until_ready(user: ObjectStore, name: str) -> dict[str, Any]:
    async def is_so() -> bool:
        return is_ready(await status(user, name))

    await until(is_so)
    return await status(user, name)


async def until_failed(user: ObjectStore, name: str) -> dict[str, Any]:
    async def is_so() -> bool:
        return (await status(user, name)).get("phase") == "Failed"

    await until(is_so)
    return await status(user, name)


async def until_told(user: ObjectStore, reason: str, words: str) -> None:
    async def is_so() -> bool:
        return any(one[1] == reason and words in one[2] for one in await events(user))

    await until(is_so)


async def until_ended(user: ObjectStore, name: str, reason: str) -> dict[str, Any]:
    """The end of its last attempt, or of the one before."""
    found: list[dict[str, Any]] = []

    async def is_so() -> bool:
        for one in (await status(user, name)).get("containerStatuses") or ():
            for state in (one["state"], one.get("lastState") or {}):
                found.extend(filter(None, [state.get("terminated")]))
        return any(one["reason"] == reason for one in found)

    await until(is_so)
    return next(one for one in found if one["reason"] == reason)


def busybox(**fields: Any) -> dict[str, Any]:
    """A container that runs a program of the host."""
    return container("a", image="busybox", **fields)


def sh(name: str, script: str, **fields: Any) -> dict[str, Any]:
    mounts = [{"name": one["name"], "mountPath": "/v"} for one in fields.get("volumes", ())]
    made = busybox(command=["sh", "-c", script], volumeMounts=mounts)
    return pod(name, made, node=NODE, terminationGracePeriodSeconds=0, **fields)


async def start_neighbour(user: ObjectStore) -> str:
    """A pod that serves; its address."""
    probe = {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1, "failureThreshold": 30}
    made = container(
        "web", image="local/http", env=[{"name": "PORT", "value": str(PORT)}], readinessProbe=probe
    )
    await user.create(kinds().pods, pod("neighbour", made, node=NODE))
    return str((await until_ready(user, "neighbour"))["podIP"])


async def assert_unharmed(user: ObjectStore, address: str) -> None:
    told = await status(user, "neighbour")
    assert is_ready(told)
    assert told["containerStatuses"][0]["restartCount"] == 0

    def ask() -> int:
        with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=30) as answer:
            return int(answer.status)

    assert await asyncio.to_thread(ask) == 200
    found = await user.get(kinds().nodes, "", NODE)
    assert condition(found["status"], "Ready")["status"] == "True"


async def clear(user: ObjectStore) -> None:
    """Tests of a store share it."""
    for one in (await user.list(kinds().pods, "default")).items:
        options = DeleteOptions(grace_period_seconds=0)
        await user.delete(kinds().pods, "default", one["metadata"]["name"], options=options)


async def test_bad_containers_harm_nobody(
    store: ObjectStore, member: ClusterProcesses, tmp_path: Path
) -> None:
    """A command that is not there, a bomb, a flooded log, a hanging probe, a missing volume."""
    await clear(store)
    async with node(member, tmp_path, 1):
        address = await start_neighbour(store)
        missing = busybox(command=["/no/such/program"])
        huge = busybox(command=["true"], env=[{"name": "X", "value": "x" * 200_000}])
        hangs = {
            "exec": {"command": ["sleep", "1000"]},
            "timeoutSeconds": 1,
            "periodSeconds": 1,
            "failureThreshold": 1,
        }
        slow = busybox(command=["sleep", "1000"], livenessProbe=hangs)
        absent = [{"name": "v", "hostPath": {"path": f"{tmp_path}/no", "type": "Directory"}}]
        for made in (
            pod("missing", missing, node=NODE),
            pod("huge", huge, node=NODE),
            sh("bomb", "f() { f | f & f; }; f"),
            sh("talks", "exec yes a line that is written again and again"),
            pod("slow", slow, node=NODE, terminationGracePeriodSeconds=0),
            sh("absent", "true", volumes=absent),
        ):
            await store.create(kinds().pods, made)
        ended = await until_ended(store, "missing", "StartError")
        assert ended["exitCode"] == 128
        assert 'exec: "/no/such/program": no such file or directory' in ended["message"]
        assert (
            "argument list too long" in (await until_ended(store, "huge", "StartError"))["message"]
        )
        await until_ended(store, "bomb", "Error")
        await until_told(store, "Unhealthy", 'command timed out: "sleep 1000" timed out after 1s')
        await until_told(store, "Killing", "Container a failed liveness probe, will be restarted")
        await until_told(store, "FailedMount", "hostPath type check failed")
        waiting = (await status(store, "absent"))["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == "ContainerCreating"
        assert is_ready(await status(store, "talks"))
        logs = sum(one.stat().st_size for one in (tmp_path / "logs").rglob("*") if one.is_file())
        assert logs < 200 * MIB
        await assert_unharmed(store, address)
        await clear(store)


@pytest.mark.skipif(
    bool(requirements.missing(disks.SMALL_PROGRAMS)),
    reason=requirements.missing(disks.SMALL_PROGRAMS),
)
async def test_full_disk(store: ObjectStore, member: ClusterProcesses) -> None:
    """6.4: who fills it is evicted, the node tells of it, takes no more, and recovers."""
    await clear(store)
    with (
        tempfile.TemporaryDirectory(prefix="n-") as folder,
        disks.SmallDisk(Path(folder, "d"), 64 * MIB) as disk,
    ):
        bounds = eviction_signals.thresholds_of("nodefs.available<8Mi")
        quick = {"monitor_seconds": 0.5, "pressure_seconds": 3.0}
        async with node(member, disk.path, 2, eviction_hard=bounds, **quick):
            address = await start_neighbour(store)
            await store.create(
                kinds().pods,
                sh("greedy", "cat /dev/zero > /v/big; sleep 1000", volumes=[EMPTY]),
            )
            told = await until_failed(store, "greedy")
            assert told["reason"] == "Evicted"
            low = "The node was low on resource: ephemeral-storage. Threshold quantity: 8Mi, avail"
            assert told["message"].startswith(low)
            await until(lambda: has_pressure(store, "True"))
            await assert_unharmed(store, address)
            await until(lambda: has_pressure(store, "False"))
            # Full by somebody else's doing: nobody may go for it but who has ended.
            disk.fill()
            await until(lambda: has_pressure(store, "True"))
            await store.create(kinds().pods, sh("late", "sleep 1000", volumes=[EMPTY]))
            refused = await until_failed(store, "late")
            assert refused["reason"] == "Evicted"
            assert "The node had condition: [DiskPressure]. " in refused["message"]
            disk.free()
            await until(lambda: has_pressure(store, "False"))
            await store.create(kinds().pods, sh("next", "sleep 1000", volumes=[EMPTY]))
            await until_ready(store, "next")
            await clear(store)


async def has_pressure(user: ObjectStore, word: str) -> bool:
    found = await user.get(kinds().nodes, "", NODE)
    return bool(condition(found["status"], "DiskPressure").get("status") == word)
