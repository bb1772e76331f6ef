"""A node tells that it is there. Numbers are rows of kube-behaviour.md."""

import itertools
from datetime import datetime
from typing import Any

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import NodeCondition, NodeStatus
from controlplane.leader_election import LEASES
from controlplane.node import node_status
from controlplane.node.eviction_signals import Pressures
from controlplane.node.machine import Host
from controlplane.node.node_status import Facts, Identity
from controlplane.objects import ObjectStore
from controlplane.testing import World, run
from tests.controlplane.node.nodes import ADDRESS, NODE, kinds, node

GIB = 1 << 30
FACTS = Facts(hostname="h", cpus=4, memory=8 * GIB, disk=100 * GIB)
IDENTITY = Identity(
    name="n", address="192.0.2.1", runtime="process://1", isolation="namespaces+rootfs", port=10250
)
WALL = 1_700_000_000.0
NEW = NodeStatus()


def said(status: NodeStatus, kind: str) -> NodeCondition:
    return next(one for one in status.conditions if one.type == kind)


def told(*faults: str, before: NodeStatus = NEW, now: float = WALL, **felt: bool) -> NodeStatus:
    pressures = Pressures(**felt)
    return node_status.node_status(before, IDENTITY, FACTS, pressures, faults=faults, now=now)


def test_status_of_a_node_that_is_well() -> None:
    """6.1, 6.5: allocatable = capacity - eviction; 110 pods."""
    status = told()
    assert status.capacity == {
        "cpu": "4",
        "memory": "8Gi",
        "pods": "110",
        "ephemeral-storage": "100Gi",
    }
    assert status.allocatable["memory"] == f"{8 * 1024 - 100}Mi"
    assert status.allocatable["ephemeral-storage"] == str(90 * GIB)
    assert [(one.type, one.address) for one in status.addresses] == [
        ("InternalIP", "192.0.2.1"),
        ("Hostname", "h"),
    ]
    assert status.daemon_endpoints.kubelet_endpoint.port == 10250
    assert status.node_info.container_runtime_version == "process://1"
    assert {one.type: (one.status, one.reason) for one in status.conditions} == {
        "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID"),
        "Ready": ("True", "KubeletReady"),
    }


def test_status_of_a_node_that_is_not() -> None:
    status = told("PLEG is not healthy", "", "no network", memory=True)
    ready = said(status, "Ready")
    assert (ready.status, ready.reason) == ("False", "KubeletNotReady")
    assert ready.message == "PLEG is not healthy; no network"
    assert said(status, "MemoryPressure").reason == "KubeletHasInsufficientMemory"


def test_time_of_transition_and_of_heartbeat() -> None:
    before = told()
    later = told(before=before, now=WALL + 60)
    assert not node_status.is_news(before, later)
    assert said(later, "Ready").last_transition_time == said(before, "Ready").last_transition_time
    assert said(later, "Ready").last_heartbeat_time == "2023-11-14T22:14:20Z"
    assert node_status.is_news(before, told("x", before=before))


def test_conditions_of_others_stay() -> None:
    theirs = NodeCondition(type="NetworkUnavailable", status="False", reason="RouteCreated")
    status = told(before=NodeStatus(conditions=(theirs,)))
    assert said(status, "NetworkUnavailable") == theirs


def test_this_machine_is_told_of(tmp_path: Any) -> None:
    host = Host(tmp_path, hostname="h")
    facts, load = host.facts(), host.load()
    assert facts.cpus >= 1
    assert facts.memory > load.memory_available > 0
    assert load.disk > 0
    assert load.pids_max > load.pids > 0


async def lease(store: ObjectStore) -> Object:
    return await store.get(LEASES, "kube-node-lease", NODE)


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_lease_is_renewed_each_ten_seconds() -> None:
    """6.1: 40 s, renewed each 10 s; it goes with its Node."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await world.clock.sleep(1)
            first = await lease(user)
            assert first["spec"]["leaseDurationSeconds"] == 40
            assert first["spec"]["holderIdentity"] == NODE
            owner = first["metadata"]["ownerReferences"][0]
            found = await user.get(kinds().nodes, "", NODE)
            assert (owner["kind"], owner["uid"]) == ("Node", found["metadata"]["uid"])
            times = {moment(first["spec"]["renewTime"])}
            for _ in range(60):
                await world.clock.sleep(1)
                times.add(moment((await lease(user))["spec"]["renewTime"]))
            beats = sorted(times)
            gaps = [late - early for early, late in itertools.pairwise(beats)]
            assert len(gaps) in (5, 6)
            assert all(10 <= gap <= 10.6 for gap in gaps)

    run(application)


def test_status_is_posted_on_change_or_each_five_minutes() -> None:
    """6.1."""

    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await world.clock.sleep(1)

            async def version() -> str:
                found = await user.get(kinds().nodes, "", NODE)
                return str(found["metadata"]["resourceVersion"])

            first = await version()
            await world.clock.sleep(280)
            assert await version() == first
            await world.clock.sleep(35)
            assert await version() != first

            def break_it(current: Object) -> Object:
                return {**current, "status": {}}

            await user.update(kinds().nodes, "", NODE, break_it)

            async def is_mended() -> bool:
                found = await user.get(kinds().nodes, "", NODE)
                addresses = found["status"].get("addresses") or [{}]
                return bool(addresses[0].get("address") == ADDRESS)

            await world.until(is_mended, seconds_max=11)

    run(application)


def test_node_that_somebody_deletes_comes_back() -> None:
    async def application(world: World) -> None:
        async with node(world) as here, world.connect() as user, here.agent():
            await world.clock.sleep(1)
            await user.delete(kinds().nodes, "", NODE)
            await user.delete(LEASES, "kube-node-lease", NODE)

            async def is_back() -> bool:
                try:
                    await lease(user)
                    found = await user.get(kinds().nodes, "", NODE)
                except ApiError:
                    return False
                return bool(found["metadata"]["labels"]["kubernetes.io/hostname"] == NODE)

            await world.until(is_back, seconds_max=12)

    run(application)
