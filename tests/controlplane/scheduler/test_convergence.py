"""The scheduler in the simulation: members fail, its process is killed and cut off.

Numbers are rows of kube-behaviour.md.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.events import EventRecorder
from controlplane.informer import Informers
from controlplane.leader_election import LeaderElector, LeadershipLostError
from controlplane.objects import ObjectStore
from controlplane.scheduler.configuration import DEFAULT
from controlplane.scheduler.process import LEASE
from controlplane.scheduler.scheduler import Scheduler
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.killed import killed_at_end
from tests.controlplane.scheduler.objects import node, pod

REGISTRY = Registry.builtin()
NODES, PODS_A_NODE = 3, 3

lives = st.lists(st.integers(0, 6_000).map(lambda count: count / 1000), max_size=2)
"""Seconds after which the scheduler is killed, each time; then it stays."""


def _resource(plural: str) -> Resource:
    found = REGISTRY.storage("", plural)
    assert found is not None
    return found


PODS = _resource("pods")


async def _lead(world: World, store: ObjectStore, identity: str) -> None:
    async def work(guarded: ObjectStore) -> None:
        recorders = {"default-scheduler": EventRecorder(guarded, "test")}  # nobody reads them
        async with Informers(guarded, clock=world.clock, random=world.random) as informers:
            await Scheduler(
                guarded,
                informers,
                REGISTRY,
                DEFAULT,
                recorders,
                dice=world.random,
                clock=world.clock,
            ).run()

    elector = LeaderElector(store, LEASE, identity, clock=world.clock, random=world.random)
    while True:
        try:
            await elector.run(work)
        except LeadershipLostError:
            continue


@asynccontextmanager
async def _one_life(world: World, identity: str) -> AsyncIterator[ObjectStore]:
    async with world.connect() as store, killed_at_end(_lead(world, store, identity)):
        yield store


@asynccontextmanager
async def _process(
    world: World, lives: Sequence[float], cuts: Sequence[Cut]
) -> AsyncIterator[None]:
    """The scheduler's process: killed after each of its lives, and started again."""

    async def be() -> None:
        for number, seconds in enumerate(lives):
            async with _one_life(world, f"life-{number}"):
                await world.clock.sleep(seconds)
        async with _one_life(world, "last") as store, world.suffer(store, cuts):
            await asyncio.Event().wait()

    async with killed_at_end(be()):
        yield


async def _insist(world: World, store: ObjectStore, plural: str, obj: Object) -> None:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "uid"}
    while True:
        try:
            await store.create(_resource(plural), {**obj, "metadata": metadata})
        except ApiError as error:
            if error.reason != "AlreadyExists":
                await world.clock.sleep(0.5)
                continue
        return


@settings(deadline=None, max_examples=15)
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(),
    lives=lives,
    cuts=cuts(cuts_max=2),
)
def test_every_pod_gets_a_node_once_and_no_node_too_many(
    topology: kv.Topology, faults: kv.Schedule, lives: list[float], cuts: list[Cut]
) -> None:
    """7.1, 7.2: bound once, no node beyond what it has, whoever fails when."""

    async def application(world: World) -> None:
        async with world.connect() as user, _process(world, lives, cuts):
            for number in range(NODES):
                made = node(f"n{number}", allocatable={"pods": str(PODS_A_NODE)})
                await _insist(world, user, "nodes", made)
            for number in range(NODES * PODS_A_NODE + 1):
                await _insist(world, user, "pods", pod(f"p{number}", cpu="1"))
            await _insist(world, user, "pods", pod("gated", schedulingGates=[{"name": "g"}]))
            await world.heal()
            await world.until(lambda: _is_settled(user))
            await _check_history(user)

    run(application, topology=topology, faults=faults)


async def _is_settled(user: ObjectStore) -> bool:
    """As many pods as there is room for have a node, the others are told why they have none."""
    pods = (await user.list(PODS)).items
    bound = [one for one in pods if one["spec"].get("nodeName")]
    told = {
        condition.get("reason")
        for one in pods
        if one not in bound
        for condition in (one.get("status") or {}).get("conditions") or ()
    }
    is_told = told == {"Unschedulable", "SchedulingGated"}
    return len(bound) == NODES * PODS_A_NODE and is_told


async def _check_history(user: ObjectStore) -> None:
    """From the first revision on: nobody changes its node, and none has too many."""
    nodes: dict[str, str] = {}
    async with user.watch(PODS, revision=1) as changes:
        async for batch in changes:
            for change in batch:
                obj = change.object(PODS)
                assert obj is not None
                uid, name = obj["metadata"]["uid"], str(obj["spec"].get("nodeName", ""))
                assert nodes.get(uid) in (None, "", name)
                nodes[uid] = name
            counts = Counter(name for name in nodes.values() if name)
            assert max(counts.values(), default=0) <= PODS_A_NODE
            if counts.total() == NODES * PODS_A_NODE:
                return
