"""Deployments in the simulation: whatever goes wrong, there are the pods that are wanted.

Numbers are rows of kube-behaviour.md.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controlplane.api.resource import Object
from controlplane.controllers import deployments, replicasets, service_accounts
from controlplane.objects import Change, ObjectStore, ObjectWatch
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.pods import node, template
from tests.controlplane.controllers.simulated import User, context_of, lives, process, resource

NAMESPACES, PODS = resource("", "namespaces"), resource("", "pods")
DEPLOYMENTS, REPLICA_SETS = resource("apps", "deployments"), resource("apps", "replicasets")
MAKES = (deployments.controller, replicasets.controller, service_accounts.controller)
SURGE = 2


class Wish(msgspec.Struct, frozen=True):
    """What somebody wants, and for how long he is content with it, in seconds."""

    image: str
    replicas: int
    for_seconds: float
    kills: bool = False


wishes = st.lists(
    st.builds(
        Wish,
        image=st.sampled_from(["app:1", "app:2", "app:3"]),
        replicas=st.integers(0, 5),
        for_seconds=st.integers(0, 4_000).map(lambda count: count / 1000),
        kills=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def _deployment(wish: Wish) -> dict[str, Any]:
    bounds = {"maxSurge": SURGE, "maxUnavailable": 1}
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": wish.replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(wish.image),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": bounds},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 1,
        },
    }


def _wished(wish: Wish, old: Object) -> Object:
    changed = {"replicas": wish.replicas, "template": template(wish.image)}
    return {**old, "spec": {**old["spec"], **changed}}


async def _use(world: World, user: User, wanted: Sequence[Wish]) -> None:
    active = {"phase": "Active"}
    spec = {"finalizers": ["kubernetes"]}
    await user.create(NAMESPACES, {"metadata": {"name": "shop"}, "spec": spec, "status": active})
    await user.create(DEPLOYMENTS, _deployment(wanted[0]))
    for wish in wanted:
        await user.update(DEPLOYMENTS, "shop", "web", partial(_wished, wish))
        await world.clock.sleep(wish.for_seconds)
        if wish.kills:
            page = await user.insist(lambda: user.store.list(PODS, "shop"))
            for one in page.items[:1]:
                await user.delete(PODS, "shop", str(one["metadata"]["name"]), "Background")


async def _is_as_it_should_be(store: ObjectStore, wish: Wish) -> bool:
    pods = (await store.list(PODS, "shop")).items
    images = [one["spec"]["containers"][0]["image"] for one in pods]
    found = await store.get(DEPLOYMENTS, "shop", "web")
    status = found.get("status") or {}
    sets = (await store.list(REPLICA_SETS, "shop")).items
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return (
        images == [wish.image] * wish.replicas
        and status.get("observedGeneration") == found["metadata"]["generation"]
        and all(status.get(count, 0) == wish.replicas for count in counts)
        and len(sets) <= 2
    )


@settings(deadline=None, max_examples=25)
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(for_seconds_max=15.0),
    lives=lives,
    cuts=cuts(cuts_max=2),
    wanted=wishes,
)
def test_killed_and_cut_off_they_bring_about_what_is_wanted(
    topology: kv.Topology,
    faults: kv.Schedule,
    lives: list[float],
    cuts: list[Cut],
    wanted: list[Wish],
) -> None:
    """4.1, 4.4, 4.5: convergence to the last wish, with no revision too many."""

    async def application(world: World) -> None:
        async with world.connect() as store, world.running(node(PODS)):
            user = User(world, store)
            async with process(world, context_of(store), MAKES, lives, cuts):
                await _use(world, user, wanted)
                await world.heal()
                await world.until(lambda: _is_as_it_should_be(store, wanted[-1]))

    run(application, topology=topology, faults=faults)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), wanted=wishes)
@example(  # the last pod of the old one goes after that of the new one has come: as they may
    seed=0,
    wanted=[Wish("app:1", 0, 0.014), Wish("app:1", 1, 0.156), Wish("app:2", 3, 0.0, kills=True)],
)
def test_there_are_never_more_pods_than_there_may_be(seed: int, wanted: list[Wish]) -> None:
    """4.4: as long as writes are answered, none is made twice. All ReplicaSets together want no
    more than there may be, and none has more pods than it ever wanted.
    """

    async def application(world: World) -> None:
        async with world.connect() as store, world.running(node(PODS)):
            user = User(world, store)
            async with store.watch(PODS, "shop") as pods, store.watch(REPLICA_SETS, "shop") as sets:
                await pods.created()
                await sets.created()
                async with process(world, context_of(store), MAKES, [], []):
                    await _use(world, user, wanted)
                    await world.until(lambda: _is_as_it_should_be(store, wanted[-1]))
                for last in (PODS, REPLICA_SETS):
                    await user.create(last, {"metadata": {"name": "last", "namespace": "shop"}})
                changes = [*await _until_last(pods), *await _until_last(sets)]
            _require_bounds(changes, max(wish.replicas for wish in wanted) + SURGE)

    run(application, topology=kv.Topology(seed=seed))


async def _until_last(watch: ObjectWatch) -> list[Change]:
    """All changes before that of the object `last`."""
    found: list[Change] = []
    async for batch in watch:
        for change in batch:
            if change.key.endswith(b"/last"):
                return found
            found.append(change)
    raise AssertionError("the watch has ended")


def _require_bounds(changes: Sequence[Change], most: int) -> None:
    sizes: dict[str, int] = {}
    largest: Counter[str] = Counter()
    owners: dict[bytes, str] = {}  # of each pod that stays
    for change in sorted(changes, key=lambda one: one.revision):
        if change.key.startswith(REPLICA_SETS.key_prefix.encode()):
            found = change.object(REPLICA_SETS)
            assert found is not None
            uid = found["metadata"]["uid"]
            sizes[uid] = found["spec"]["replicas"] if change.type == "PUT" else 0
            largest[uid] = max(largest[uid], sizes[uid])
            assert sum(sizes.values()) <= most
            continue
        found = change.object(PODS)
        assert found is not None
        if change.type == "PUT" and not found["metadata"].get("deletionTimestamp"):
            owners[change.key] = found["metadata"]["ownerReferences"][0]["uid"]
        else:
            owners.pop(change.key, None)
        assert Counter(owners.values()) <= largest


def test_where_a_namespace_ends_nothing_is_said_to_be_missing() -> None:
    """4.7: what is written there would only keep the namespace from its end."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            status = {"phase": "Terminating"}
            await store.create(NAMESPACES, {"metadata": {"name": "shop"}, "status": status})
            wish = Wish(image="app:1", replicas=1, for_seconds=0)
            made = await store.create(DEPLOYMENTS, _deployment(wish))
            async with world.running(deployments.controller(context_of(store))):
                await world.clock.sleep(60)
                assert await store.get(DEPLOYMENTS, "shop", "web") == made

    run(application, topology=kv.Topology(members=1))
