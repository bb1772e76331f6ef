"""Ranges for the pods of nodes. Numbers are rows of kube-behaviour.md."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.pod_ranges import PodRanges
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.controller import Controller
from controlplane.controllers import node_addresses, node_lifecycle
from controlplane.controllers.context import Context
from controlplane.controllers.node_addresses import RANGE_PREFIX, Allocation, ranges_of
from controlplane.events import EventRecorder
from controlplane.objects import ObjectStore
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.conftest import Cluster, until

NODES = Registry.builtin().storage("", "nodes")
assert NODES is not None


def within(cluster: str, mask_size: int = 24) -> Any:
    def make(context: Context) -> Controller:
        ranges = PodRanges(cluster, mask_size)
        return node_addresses.controller(msgspec.structs.replace(context, pod_ranges=ranges))

    return make


def new_node(name: str, *ranges: str) -> Object:
    spec = {"podCIDR": ranges[0], "podCIDRs": list(ranges)} if ranges else {}
    return {"metadata": {"name": name}, "spec": spec}


async def found_ranges(cluster: Cluster, names: Sequence[str]) -> list[list[str]]:
    found = [await cluster.find("nodes", "", name) for name in names]
    return [ranges_of(one) for one in found if one is not None]


@pytest.fixture
def number(namespace: str) -> int:
    """Of the test: each has ranges of its own, as their keys stay."""
    return int(namespace.rpartition("-")[2]) % 200


async def test_each_node_gets_a_range_of_its_own(
    cluster: Cluster, namespace: str, number: int
) -> None:
    """6.5: podCIDR and podCIDRs, a /24; what somebody gave is neither changed nor given again."""
    names = [f"{namespace}-{one}" for one in range(3)]
    await cluster.create("nodes", new_node(names[0]))
    await cluster.create("nodes", new_node(names[1], f"10.{number}.1.0/24"))
    async with cluster.running(within(f"10.{number}.0.0/22")):
        await cluster.create("nodes", new_node(names[2]))

        async def have_all() -> bool:
            return all(await found_ranges(cluster, names))

        await until(have_all)
    first, given, last = await found_ranges(cluster, names)
    assert given == [f"10.{number}.1.0/24"]
    assert len({first[0], given[0], last[0]}) == 3
    assert {first[0], last[0]} <= {f"10.{number}.{one}.0/24" for one in range(4)}
    found = await cluster.find("nodes", "", names[0])
    assert found is not None
    assert found["spec"]["podCIDR"] == first[0]


async def test_ranges_of_nodes_that_went_are_given_again(
    cluster: Cluster, namespace: str, number: int
) -> None:
    """6.5: none is lost; when all are taken, an event says so, and a node that goes helps."""
    whole = within(f"10.{number}.0.0/23")
    nodes = cluster.resource("nodes")
    for one in (0, 1):
        await cluster.create("nodes", new_node(f"{namespace}-{one}"))
    async with cluster.running(whole):

        async def have_both() -> bool:
            return all(await found_ranges(cluster, [f"{namespace}-0", f"{namespace}-1"]))

        await until(have_both)
    async with cluster.running(whole) as context:
        await cluster.create("nodes", new_node(f"{namespace}-2"))

        async def is_told() -> bool:
            await context.recorder.flush()
            page = await cluster.store.list(cluster.resource("events"))
            return any(
                one["reason"] == "CIDRNotAvailable"
                and one["message"] == f"Node {namespace}-2 status is now: CIDRNotAvailable"
                for one in page.items
            )

        await until(is_told)
    before = await found_ranges(cluster, [f"{namespace}-0"])
    await cluster.store.delete(nodes, "", f"{namespace}-0")
    # The same name again: it is another node.
    await cluster.create("nodes", new_node(f"{namespace}-0"))
    async with cluster.running(whole):

        async def has_one() -> bool:
            both = await found_ranges(cluster, [f"{namespace}-0", f"{namespace}-2"])
            return before[0] in both

        await until(has_one)


async def test_nobody_takes_what_somebody_has(
    cluster: Cluster, store: ObjectStore, namespace: str, number: int
) -> None:
    """6.5: a cache that does not know of a node yet gives its range to nobody else."""
    names = [f"{namespace}-{one}" for one in range(2)]
    taken = f"10.{number}.0.0/24"
    owner = await cluster.create("nodes", new_node(names[0], taken))
    await store.client.put(RANGE_PREFIX + taken, node_addresses.owner_of(owner))
    blind = await cluster.create("nodes", new_node(names[1]))
    context = Context(
        registry=cluster.registry,
        recorder=EventRecorder(store, "test"),
        pod_ranges=PodRanges(f"10.{number}.0.0/23", 24),
    )
    made = Allocation(context)
    assert not await made.give(store, blind, taken)
    assert await made.give(store, blind, f"10.{number}.1.0/24")
    with pytest.raises(ApiError):  # it has one by now
        await made.give(store, blind, f"10.{number}.0.0/24")


async def test_without_a_cluster_range_nobody_gets_one(cluster: Cluster, namespace: str) -> None:
    """6.5: that is for whoever has addresses by other means."""
    await cluster.create("nodes", new_node(namespace))
    async with cluster.running(node_addresses.controller, node_lifecycle.controller):

        async def was_looked_at() -> bool:
            found = await cluster.find("nodes", "", namespace)
            return found is not None and bool(found["spec"].get("taints"))

        await until(was_looked_at)
    assert await found_ranges(cluster, [namespace]) == [[]]


steps = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=6, max_size=14)


@settings(max_examples=10, deadline=None)
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(for_seconds_max=10.0),
    away=cuts(cuts_max=1, for_seconds_max=10.0),
    steps=steps,
)
def test_ranges_are_unique_whatever_happens(
    topology: kv.Topology, faults: kv.Schedule, away: list[Cut], steps: list[tuple[int, bool]]
) -> None:
    """6.5: nodes come and go, processes are killed: no two have the same, and none is lost."""
    assert NODES is not None

    async def application(world: World) -> None:
        async with world.connect() as store:
            context = Context(registry=Registry.builtin(), recorder=EventRecorder(store, "test"))
            make = within("10.0.0.0/30", 32)
            for number, is_there in steps:
                async with world.running(make(context)) as theirs, world.suffer(theirs, away):
                    await _set(world, store, f"n{number}", is_there=is_there)
                    await world.clock.sleep(0.3)
                _require_unique(await _nodes(world, store))
            await world.heal()
            async with world.running(make(context)):

                async def have_all() -> bool:
                    return all(ranges_of(one) for one in await _nodes(world, store))

                await world.until(have_all)
            _require_unique(await _nodes(world, store))

    run(application, topology=topology, faults=faults)


def _require_unique(nodes: Sequence[Object]) -> None:
    given = [one for node in nodes for one in ranges_of(node)]
    assert len(given) == len(set(given))


async def _nodes(world: World, store: ObjectStore) -> Sequence[Object]:
    assert NODES is not None
    while True:
        try:
            return (await store.list(NODES)).items
        except ApiError:
            await world.clock.sleep(0.5)


async def _set(world: World, store: ObjectStore, name: str, *, is_there: bool) -> None:
    """A node is made, or taken away, whatever it takes."""
    assert NODES is not None
    while True:
        try:
            if is_there:
                await store.create(NODES, new_node(name))
            else:
                await store.delete(NODES, "", name)
        except ApiError as error:
            if error.code not in (503, 504):
                return  # it is so already
        else:
            return
        await world.clock.sleep(0.5)
