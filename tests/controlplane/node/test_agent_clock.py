"""The clock of a node is set, by hours and both ways, below a real agent and real processes: no pod
is harmed, and the node goes on (rows 6.1, 10.4 and 10.5 of kube-behaviour.md).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.leader_election import LEASES
from controlplane.node.runtime.process import ProcessRuntime
from controlplane.objects import ObjectStore
from kvstore.testing.processes import ClusterProcesses
from kvstore.testing.rigs.clocks import JumpingClock, missing
from tests.controlplane.node.nodes import condition, container, is_ready, kinds, pod, status
from tests.controlplane.node.test_agent_process import ENVIRONMENT, ROOT, command, forget, until

pytestmark = [
    pytest.mark.parametrize("member", ["keelson"], indirect=True, scope="package"),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

HOUR = 3_600.0
PROBE = {"exec": {"command": ["true"]}, "periodSeconds": 1}
CRASHES = ["sh", "-c", "exit 3"]


@asynccontextmanager
async def agent(member: ClusterProcesses, root: Path, clock: JumpingClock) -> AsyncIterator[None]:
    """Ended at the end, with all that it has started."""
    environment = ENVIRONMENT | clock.environment()
    process = await asyncio.create_subprocess_exec(
        *command(member, root, "process"), cwd=ROOT, env=environment
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
        await ProcessRuntime(root / "runtime").shut_down()


async def restarts(store: ObjectStore, name: str) -> int:
    (told,) = (await status(store, name)).get("containerStatuses") or [{"restartCount": 0}]
    return int(told["restartCount"])


async def renewed_at(store: ObjectStore) -> str:
    found = await store.get(LEASES, "kube-node-lease", "node-1")
    return str(found["spec"]["renewTime"])


async def serves(store: ObjectStore, name: str, **fields: Any) -> None:
    """A new pod comes to be ready."""
    made = container("a", image="local/pause", readinessProbe=PROBE, **fields)
    await store.create(kinds().pods, pod(name, made, terminationGracePeriodSeconds=1))

    async def is_so() -> bool:
        return is_ready(await status(store, name))

    await until(is_so)


async def test_whoever_sets_the_clock_harms_no_pod(
    store: ObjectStore, member: ClusterProcesses, tmp_path: Path
) -> None:
    await forget(store)
    clock = JumpingClock(tmp_path)
    async with agent(member, tmp_path / "root", clock):
        await serves(store, "before", livenessProbe=PROBE)
        crashing = container("a", image="busybox", command=CRASHES)
        await store.create(kinds().pods, pod("crashing", crashing, terminationGracePeriodSeconds=1))
        for hours in (5, -7):
            seen, before = await restarts(store, "crashing"), await renewed_at(store)
            clock.jump(hours * HOUR)
            wanted = hours > 0

            async def is_told(wanted: bool = wanted, before: str = before) -> bool:
                now = await renewed_at(store)
                return now != before and (now > before) == wanted

            async def goes_on(seen: int = seen) -> bool:
                return await restarts(store, "crashing") > seen

            await until(is_told)
            await serves(store, f"after-{abs(hours)}")
            await until(goes_on)  # its back-off is one of 10 s or 20 s, not of hours
            assert await restarts(store, "before") == 0
            assert is_ready(await status(store, "before"))
            node = await store.get(kinds().nodes, "", "node-1")
            assert condition(node["status"], "Ready")["status"] == "True"
        for one in (await store.list(kinds().pods, "default")).items:
            await store.delete(kinds().pods, "default", one["metadata"]["name"])

        async def is_empty() -> bool:
            return not (await store.list(kinds().pods, "default")).items

        await until(is_empty)
    await forget(store)
