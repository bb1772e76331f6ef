"""The agent of a node, in a simulated world: from an object to containers, and back."""

from typing import Any

from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import World, run
from tests.controlplane.node.nodes import (
    ADDRESS,
    condition,
    container,
    find,
    is_ready,
    kinds,
    node,
    pod,
    status,
)


def test_pod_runs_and_tells_so() -> None:
    """10.1."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await user.create(kinds().pods, pod("p"))

            async def is_running() -> bool:
                return is_ready(await status(user, "p"))

            await world.until(is_running, seconds_max=10)
            told = await status(user, "p")
            assert told["phase"] == "Running"
            assert told["hostIP"] == ADDRESS
            assert told["podIP"].startswith("10.1.0.")
            assert told["podIPs"] == [{"ip": told["podIP"]}]
            assert told["containerStatuses"][0]["containerID"].startswith("fake://container-")
            kinds_told = {one["type"]: one["status"] for one in told["conditions"]}
            assert kinds_told == dict.fromkeys(
                (
                    "PodReadyToStartContainers",
                    "Initialized",
                    "Ready",
                    "ContainersReady",
                    "PodScheduled",
                ),
                "True",
            )
            await user.delete(kinds().pods, "default", "p")

            async def is_gone() -> bool:
                return await find(user, "p") is None and await here.is_empty()

            await world.until(is_gone, seconds_max=35)

    run(application)
