"""Nodes that are not heard of any more. Numbers are rows of kube-behaviour.md.

Times of Kubernetes are tried in the simulation, where they take no time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controlplane.api import record, stored
from controlplane.api.errors import ApiError
from controlplane.api.meta import rfc3339
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister, key_of
from controlplane.controllers import garbage_collector, node_lifecycle, taint_eviction
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.objects import ObjectStore
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import reference_to
from tests.controlplane.controllers.serving import node, pod

REGISTRY = Registry.builtin()
LEASES_NAMESPACE = "kube-node-lease"
RENEW_SECONDS = 10.0  # 6.1
GRACE_SECONDS = 50.0  # 6.2
TOLERATION = {
    "key": "node.kubernetes.io/unreachable",
    "operator": "Exists",
    "effect": "NoExecute",
}


def _resource(group: str, plural: str) -> Resource:
    found = REGISTRY.storage(group, plural)
    assert found is not None
    return found


NODES, PODS = _resource("", "nodes"), _resource("", "pods")
LEASES = _resource("coordination.k8s.io", "leases")


def lease_of(found: Object, at: float) -> Object:
    metadata = {
        "name": found["metadata"]["name"],
        "namespace": LEASES_NAMESPACE,
        "ownerReferences": [reference_to(found)],
    }
    return {"metadata": metadata, "spec": {"renewTime": rfc3339(at), "leaseDurationSeconds": 40}}


def marks(found: Object) -> set[tuple[str, str]]:
    taints = (found.get("spec") or {}).get("taints") or ()
    return {(one["key"].removeprefix("node.kubernetes.io/"), one["effect"]) for one in taints}


def status_of(found: Object, kind: str = "Ready") -> str:
    conditions = (found.get("status") or {}).get("conditions") or ()
    return str(next((one["status"] for one in conditions if one["type"] == kind), ""))


def ready_pod(number: int, name: str, namespace: str = "default", seconds: int = 300) -> Object:
    made = record.to_object(pod(number, namespace=namespace, node=name))
    tolerations = [{**TOLERATION, "tolerationSeconds": seconds}]
    return {**made, "spec": {**made["spec"], "tolerations": tolerations}}


# ---------------------------------------------------------------------- real stores


def with_grace(seconds: float) -> Any:
    def make(context: Context) -> Controller:
        changed = msgspec.structs.replace(
            context,
            node_monitor_grace_seconds=seconds,
            node_startup_grace_seconds=seconds,
            node_monitor_period_seconds=0.05,
        )
        return node_lifecycle.controller(changed)

    return make


async def test_a_node_that_falls_silent(cluster: Cluster, namespace: str) -> None:
    """6.2, 6.3: Unknown, tainted, its pods get no requests; it is told; unknown fields stay."""
    silent = f"a-{namespace}"
    made = record.to_object(node(silent, zone=namespace))
    made["status"]["later"] = {"x": 1}
    found = await cluster.create("nodes", made)
    await cluster.create("leases", lease_of(found, 1.7e9))
    await cluster.create("pods", ready_pod(1, silent, namespace))

    async def is_unreachable() -> bool:
        found = await cluster.find("nodes", "", silent)
        behind = await cluster.find("pods", namespace, "pod-1")
        assert found is not None
        assert behind is not None
        return (
            marks(found) == {("unreachable", "NoSchedule")}
            and status_of(found) == status_of(found, "DiskPressure") == "Unknown"
            and status_of(behind) == "False"
            and found["status"]["later"] == {"x": 1}
        )

    async with cluster.running(with_grace(0.2)) as context:
        await until(is_unreachable)

        async def is_told() -> bool:
            await context.recorder.flush()
            page = await cluster.store.list(cluster.resource("events"), namespace)
            return [one["message"] for one in page.items] == ["Node is not ready"]

        await until(is_told)
    assert await told_of(cluster, silent) == {
        ("RegisteredNode", f"Node {silent} event: Registered Node {silent} in Controller"),
        ("NodeNotReady", f"Node {silent} status is now: NodeNotReady"),
    }
    await cluster.store.delete(cluster.resource("nodes"), "", silent)


async def told_of(cluster: Cluster, name: str) -> set[tuple[str, str]]:
    """Reasons and messages of a node's events."""
    events = (await cluster.store.list(cluster.resource("events"), "default")).items
    return {
        (one["reason"], one["message"]) for one in events if one["involvedObject"]["name"] == name
    }


async def test_the_lease_of_a_node_goes_with_it(cluster: Cluster, namespace: str) -> None:
    """6.1: by its owner; also when somebody else deletes the node."""
    name = f"a-{namespace}"
    found = await cluster.create("nodes", record.to_object(node(name)))
    await cluster.create("leases", lease_of(found, 1.7e9))
    async with cluster.running(node_lifecycle.controller, garbage_collector.controller):
        await cluster.store.delete(cluster.resource("nodes"), "", name)

        async def is_gone() -> bool:
            return await cluster.find("leases", LEASES_NAMESPACE, name) is None

        await until(is_gone)


async def test_a_node_that_a_stranger_broke_stops_nobody(cluster: Cluster, namespace: str) -> None:
    """6.2."""
    broken = {"metadata": {"name": f"0-{namespace}"}, "spec": {"taints": 7}, "status": {}}
    await cluster.create("nodes", broken)
    await cluster.create("nodes", record.to_object(node(f"a-{namespace}", unschedulable=True)))
    async with cluster.running(node_lifecycle.controller):

        async def is_tainted() -> bool:
            found = await cluster.find("nodes", "", f"a-{namespace}")
            return found is not None and ("unschedulable", "NoSchedule") in marks(found)

        await until(is_tainted)
    for name in (f"0-{namespace}", f"a-{namespace}"):
        await cluster.store.delete(cluster.resource("nodes"), "", name)


# ---------------------------------------------------------------------- simulated


class Agent:
    """A node's agent as far as others see it: it renews, and says that it is ready."""

    def __init__(
        self, world: World, store: ObjectStore, name: str, renew_seconds: float = RENEW_SECONDS
    ) -> None:
        self.world, self.store, self.name = world, store, name
        self.renew_seconds = renew_seconds
        self.renewed_at = 0.0

    async def register(self) -> None:
        made = await self.insist(NODES, record.to_object(node(self.name)))
        await self.insist(LEASES, lease_of(made, self.world.now()))

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.store.update(LEASES, LEASES_NAMESPACE, self.name, self._renewed)
                await self.store.update(NODES, "", self.name, self._ready)
            except ApiError:
                await self.world.clock.sleep(1.0)
                continue
            self.renewed_at = self.world.now()
            await self.world.clock.sleep(self.renew_seconds)

    def _renewed(self, lease: Object) -> Object:
        return {**lease, "spec": {**lease["spec"], "renewTime": rfc3339(self.world.now())}}

    def _ready(self, found: Object) -> Object:
        if status_of(found) == "True":
            return found
        ready = {
            "type": "Ready",
            "status": "True",
            "lastHeartbeatTime": rfc3339(self.world.now()),
            "lastTransitionTime": rfc3339(self.world.now()),
        }
        others = [one for one in found["status"]["conditions"] if one["type"] != "Ready"]
        return {**found, "status": {**found["status"], "conditions": [*others, ready]}}

    async def insist(self, resource: Resource, obj: Object) -> Object:
        """Nobody else makes it: if it is there after all, an answer was lost."""
        metadata = obj["metadata"]
        while True:
            try:
                return await self.store.create(resource, obj)
            except ApiError as error:
                if error.reason == "AlreadyExists":
                    return await self.store.get(
                        resource, metadata.get("namespace", ""), metadata["name"]
                    )
                if error.code not in (503, 504):
                    raise
            await self.world.clock.sleep(0.5)

    async def node(self) -> Object:
        return await self.store.get(NODES, "", self.name)


@asynccontextmanager
async def living(*agents: Agent) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(agent.live()) for agent in agents]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()


def controllers(store: ObjectStore, **changes: float) -> list[Controller]:
    recorder = EventRecorder(store, "test")  # nobody reads what it keeps
    context = msgspec.structs.replace(Context(registry=REGISTRY, recorder=recorder), **changes)
    return [node_lifecycle.controller(context), taint_eviction.controller(context)]


def test_from_the_last_heartbeat_to_the_eviction() -> None:
    """6.2, 6.3: 50 s to unreachable, pods not ready at once, 300 s more until they are deleted;
    what is on other nodes stays; a node that is back has no taint.
    """

    async def application(world: World) -> None:
        async with world.connect() as store:
            agents = [Agent(world, store, name) for name in ("n1", "n2", "n3")]
            for agent in agents:
                await agent.register()
            silent = agents[0]
            await store.create(PODS, ready_pod(1, "n1"))
            await store.create(PODS, ready_pod(2, "n2"))
            async with living(*agents[1:]), world.running(*controllers(store)):
                async with living(silent):
                    await world.clock.sleep(200)
                    assert status_of(await silent.node()) == "True"
                    assert marks(await silent.node()) == set()

                async def is_unknown() -> bool:
                    return status_of(await silent.node()) == "Unknown"

                await world.until(is_unknown)
                assert GRACE_SECONDS <= world.now() - silent.renewed_at <= GRACE_SECONDS + 1
                since = world.now()

                async def is_unready() -> bool:
                    return status_of(await store.get(PODS, "default", "pod-1")) == "False"

                await world.until(is_unready, seconds_max=1)
                effects = {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
                assert marks(await silent.node()) == effects

                async def is_going() -> bool:
                    found = await store.get(PODS, "default", "pod-1")
                    return "deletionTimestamp" in found["metadata"]

                await world.clock.sleep(295)
                assert not await is_going()
                await world.until(is_going, seconds_max=15)
                assert 299 <= world.now() - since <= 302
                kept = await store.get(PODS, "default", "pod-2")
                assert "deletionTimestamp" not in kept["metadata"]
                assert status_of(kept) == "True"
                async with living(silent):

                    async def is_back() -> bool:
                        return not marks(await silent.node())

                    await world.until(is_back, seconds_max=30)

    run(application, seconds_max=1200)


def test_a_node_of_which_nothing_was_ever_said() -> None:
    """6.2: it has a minute to begin; no pod is put there meanwhile."""

    async def application(world: World) -> None:
        async with world.connect() as store, world.running(*controllers(store)):
            silent = Agent(world, store, "n1")
            await store.create(NODES, record.to_object(node("n1", ready="")))
            await world.clock.sleep(55)
            assert marks(await silent.node()) == {("not-ready", "NoSchedule")}
            assert status_of(await silent.node()) == ""
            await world.clock.sleep(10)
            found = await silent.node()
            reasons = {one["reason"] for one in found["status"]["conditions"]}
            assert reasons == {"NodeStatusNeverUpdated"}
            assert marks(found) == {("unreachable", "NoSchedule")}, "all are away: no eviction"

    run(application, seconds_max=300)


def test_nodes_are_tainted_one_by_one() -> None:
    """6.3: 0.1 node/s; when none is there any more, none is left to be evicted from."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            agents = [Agent(world, store, f"n{number}") for number in range(6)]
            for agent in agents:
                await agent.register()

            async def evicted() -> int:
                page = await store.list(NODES)
                return sum(("unreachable", "NoExecute") in marks(one) for one in page.items)

            async with living(*agents[:4]), world.running(*controllers(store)):
                await world.clock.sleep(GRACE_SECONDS + 4)
                assert await evicted() == 1
                await world.clock.sleep(12)
                assert await evicted() == 2
            async with world.running(*controllers(store)):
                await world.clock.sleep(GRACE_SECONDS + 15)
                assert await evicted() == 0
                page = await store.list(NODES)
                assert all(marks(one) == {("unreachable", "NoSchedule")} for one in page.items)

    run(application, seconds_max=600)


@pytest.mark.parametrize("is_silent", [True, False])
@pytest.mark.parametrize("for_seconds", [55.0, 120.0])
def test_who_is_heard_of_is_never_called_unreachable(
    *, is_silent: bool, for_seconds: float
) -> None:
    """6.2: however long we were away, and whatever our caches did not hear meanwhile."""
    faults = [Cut(at_seconds=12.0, for_seconds=for_seconds, is_silent=is_silent)]

    async def application(world: World) -> None:
        async with world.connect() as store:
            agents = [Agent(world, store, name) for name in ("n1", "n2")]
            for agent in agents:
                await agent.register()
            seen: set[str] = set()

            async def watch() -> None:
                async with store.watch(NODES) as changes:
                    async for batch in changes:
                        found = [one.object(NODES) for one in batch if one.type == "PUT"]
                        seen.update(status_of(one) for one in found if one is not None)

            watching = asyncio.create_task(watch())
            async with living(*agents), world.running(*controllers(store)) as theirs:
                async with world.suffer(theirs, faults):
                    await world.clock.sleep(200)
                # So that something is written, which the watch has then heard of.
                await store.update(
                    NODES, "", "n1", lambda old: {**old, "spec": {"unschedulable": True}}
                )

                async def is_tainted() -> bool:
                    return ("unschedulable", "NoSchedule") in marks(await agents[0].node())

                await world.until(is_tainted)
            watching.cancel()
            await asyncio.wait([watching])
            assert watching.cancelled()
            assert seen == {"True"}

    run(application, seconds_max=900)


def test_a_late_cache_of_leases_hides_no_node_that_is_away() -> None:
    """6.2, 6.4: who was heard of, as the store tells, is not counted among those that are away:
    from others, which are, pods are evicted at once.
    """

    async def application(world: World) -> None:
        async with world.connect() as store:
            late: dict[str, Informer[Object]] = {}
            for resource in (NODES, PODS, LEASES):
                late[resource.key_prefix] = Informer(partial(stored.loads, resource))
            agents = [Agent(world, store, name) for name in ("n1", "n2", "n3")]
            for agent in agents:
                await agent.register()
                await store.update(NODES, "", agent.name, agent._ready)
            for resource in (NODES, LEASES):
                page = await store.list(resource)
                found = {key_of(one): orjson.dumps(one) for one in page.items}
                late[resource.key_prefix].replace(found, page.revision)
            lifecycle = controllers(store)[0]
            for name, (resource, function) in lifecycle.indexes.items():
                late[resource.key_prefix].indexer.add_index(name, function)

            async def look(name: str) -> float | None:
                return await lifecycle.reconcile(Key("", name), Lister(late), store)

            for agent in agents:
                await look(agent.name)
            await world.clock.sleep(GRACE_SECONDS + 1)
            for agent in agents[:2]:
                await store.update(LEASES, LEASES_NAMESPACE, agent.name, agent._renewed)
                assert await look(agent.name) == GRACE_SECONDS
            await look("n3")
            assert [marks(await agent.node()) for agent in agents] == [
                set(),
                set(),
                {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")},
            ]

    run(application)


@settings(max_examples=4, deadline=None)
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(for_seconds_max=15.0),
    away=cuts(cuts_max=2, within_seconds=60.0, for_seconds_max=30.0),
    lives=st.lists(st.integers(1, 60).map(float), max_size=2),
)
@example(  # no node could be written, so that all were thought to be away
    topology=kv.Topology(), faults=(), away=[Cut(at_seconds=2.733, for_seconds=24.305)], lives=[]
)
def test_pods_leave_the_node_that_is_gone_and_no_other(
    topology: kv.Topology, faults: kv.Schedule, away: list[Cut], lives: list[float]
) -> None:
    """6.2, 6.3: whoever is killed or cut off meanwhile, store, leader or network."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            agents = [Agent(world, store, name, 4.0) for name in ("n1", "n2", "n3")]
            for number, agent in enumerate(agents):
                await agent.register()
                await agent.insist(PODS, ready_pod(number, agent.name, seconds=60))

            def ours() -> list[Controller]:
                return controllers(store, node_monitor_grace_seconds=20.0)

            async with living(*agents[1:]):
                for seconds in lives:
                    async with world.running(*ours()):
                        await world.clock.sleep(seconds)
                async with world.running(*ours()) as theirs, world.suffer(theirs, away):
                    await world.heal()
                    await world.until(lambda: _is_healed(store), seconds_max=300)

    run(application, topology=topology, faults=faults)


async def _is_healed(store: ObjectStore) -> bool:
    nodes = {one["metadata"]["name"]: one for one in (await store.list(NODES)).items}
    pods = (await store.list(PODS)).items
    going = [one["metadata"]["name"] for one in pods if "deletionTimestamp" in one["metadata"]]
    assert set(going) <= {"pod-0"}
    return (
        going == ["pod-0"]
        and status_of(nodes["n1"]) == "Unknown"
        and all(status_of(nodes[name]) == "True" for name in ("n2", "n3"))
        and not marks(nodes["n2"]) | marks(nodes["n3"])
    )
