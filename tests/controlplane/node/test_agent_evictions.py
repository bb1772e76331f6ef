"""The agent of a node that runs out of what its pods share, in a simulated world.

Numbers are rows of kube-behaviour.md.
"""

import os
from pathlib import Path

import msgspec

from controlplane.api.resource import Object
from controlplane.node.eviction_signals import Load
from controlplane.node.machine import Hollow
from controlplane.objects import ObjectStore
from controlplane.testing import World, run
from tests.controlplane.node.nodes import (
    Node,
    condition,
    events,
    is_ready,
    kinds,
    node,
    pod,
    status,
)
from tests.controlplane.node.waiting import until_phase, until_ready

GIB = 1 << 30
EMPTY_DIRS = "volumes/kubernetes.io~empty-dir"
LOW = "The node was low on resource: ephemeral-storage. "


class SmallDisk(Hollow):
    """Of 1 GiB, of which everything below a folder takes room 1,000 times as large as it is."""

    def __init__(self, folder: Path) -> None:
        super().__init__("node-1")
        self.folder = folder
        self.foreign = 0

    def load(self) -> Load:
        files = (one for one in self.folder.rglob("*") if one.is_file() and not one.is_symlink())
        used = self.foreign + 1_000 * sum(one.stat().st_size for one in files)
        found = super().load()
        return msgspec.structs.replace(found, disk=GIB, disk_available=max(GIB - used, 0))


async def write(here: Node, made: Object, count: int) -> Path:
    folder = here.root / "pods" / str(made["metadata"]["uid"]) / EMPTY_DIRS / "v"
    (folder / "big").write_bytes(b"x" * count)
    return folder


async def has_pressure(user: ObjectStore) -> bool:
    found = await user.get(kinds().nodes, "", "node-1")
    told = condition(found["status"], "DiskPressure")
    return bool(told["status"] == "True" and told["reason"] == "KubeletHasDiskPressure")


def test_who_fills_the_disk_is_evicted_and_its_neighbour_is_not() -> None:
    """6.4: one pod goes, its room is free, and after 5 minutes the node takes pods again."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            here.machine = SmallDisk(here.root)
            async with here.agent():
                volumes = [{"name": "v", "emptyDir": {}}]
                greedy = await user.create(kinds().pods, pod("p", volumes=volumes))
                await user.create(kinds().pods, pod("neighbour", volumes=volumes, priority=-1))
                await until_ready(world, user, "p")
                await until_ready(world, user, "neighbour")
                folder = await write(here, greedy, 1_050_000)
                told = await until_phase(world, user, "p", "Failed", seconds=30)
                assert told["reason"] == "Evicted"
                assert told["message"].startswith(LOW)
                disruption = condition(told, "DisruptionTarget")
                assert disruption["reason"] == "TerminationByKubelet"
                assert disruption["message"] == told["message"]
                assert ("Warning", "Evicted", told["message"]) in await events(user)
                await world.until(lambda: gone(folder), seconds_max=5)
                await world.until(lambda: has_pressure(user), seconds_max=15)
                await user.create(kinds().pods, pod("q"))
                refused = await until_phase(world, user, "q", "Failed", seconds=5)
                assert refused["reason"] == "Evicted"
                assert refused["message"] == (
                    "Pod was rejected: The node had condition: [DiskPressure]. "
                )
                await world.clock.sleep(330)
                assert not await has_pressure(user)
                neighbour = await status(user, "neighbour")
                assert is_ready(neighbour)
                assert neighbour["containerStatuses"][0]["restartCount"] == 0
                await user.create(kinds().pods, pod("r"))
                await until_ready(world, user, "r")

    run(application)


async def gone(folder: Path) -> bool:
    return not os.path.lexists(folder)  # noqa: ASYNC240 - nobody else runs here


def test_what_has_ended_is_given_back_before_anybody_is_evicted() -> None:
    """Logs and containers of pods that have ended; their objects stay."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            machine = here.machine = SmallDisk(here.root)
            async with here.agent():
                volumes = [{"name": "v", "emptyDir": {}}]
                await user.create(kinds().pods, pod("runs", volumes=volumes))
                await user.create(kinds().pods, pod("p", restartPolicy="Never"))
                await until_ready(world, user, "p")
                await until_ready(world, user, "runs")
                (logs,) = (here.root / "logs").glob("default_p_*")
                logs.joinpath("a.log").write_bytes(b"x" * 950_000)
                sandboxes = await here.runtime.list_sandboxes()
                ended = next(one for one in sandboxes if one.config.name == "p")
                containers = await here.runtime.list_containers()
                here.runtime.end(next(c.id for c in containers if c.sandbox_id == ended.id), 0)
                await until_phase(world, user, "p", "Succeeded")
                machine.foreign = 100_000_000
                await world.until(lambda: gone(logs), seconds_max=30)
                assert ended.id not in [one.id for one in await here.runtime.list_sandboxes()]
                told = await status(user, "p")
                assert told["phase"] == "Succeeded"
                assert told["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
                await world.clock.sleep(60)
                assert is_ready(await status(user, "runs"))

    run(application)


def test_volumes_of_a_pod_that_has_ended_are_gone() -> None:
    """9.3: also while its object stays: Secrets are among them."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            secret = {"metadata": {"name": "s", "namespace": "default"}, "data": {"k": "eA=="}}
            await user.create(kinds().secrets, secret)
            volumes = [{"name": "v", "secret": {"secretName": "s"}}]
            made = await user.create(kinds().pods, pod("p", volumes=volumes, restartPolicy="Never"))
            await until_ready(world, user, "p")
            folder = here.root / "pods" / str(made["metadata"]["uid"]) / "volumes"
            assert (folder / "kubernetes.io~secret" / "v" / "k").read_text() == "x"
            (one,) = await here.runtime.list_containers()
            here.runtime.end(one.id, 0)
            await until_phase(world, user, "p", "Succeeded")
            await world.until(lambda: gone(folder), seconds_max=5)
            assert len(await here.runtime.list_containers()) == 1  # its log can be asked for

    run(application)


def test_an_eviction_outlives_its_agent() -> None:
    """The status says Evicted before the last container has ended; another agent goes on."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user:
            volumes = [{"name": "v", "emptyDir": {"sizeLimit": "64Ki"}}]
            stored = pod("p", volumes=volumes)
            stored["status"] = {"phase": "Running", "reason": "Evicted", "message": "why"}
            async with here.agent():
                await user.create(kinds().pods, stored)
                told = await until_phase(world, user, "p", "Failed", seconds=15)
                assert (told["reason"], told["message"]) == ("Evicted", "why")

    run(application)
