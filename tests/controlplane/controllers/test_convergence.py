"""All controllers in the simulation: whatever goes wrong, things come to be as they should.

Numbers are rows of kube-behaviour.md.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller
from controlplane.controllers import CONTROLLERS
from controlplane.controllers.conditions import is_true
from controlplane.controllers.context import Context, custom_resource
from controlplane.controllers.resource_quota import RESYNC_SECONDS
from controlplane.events import EventRecorder
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import Cut, World, cuts, run
from controlplane.tokens import Tokens
from kvstore.testing import properties as kv
from tests.controlplane.controllers.objects import (
    AUTHORITY,
    config_map,
    definition,
    reference_to,
    signing_key,
)

T = TypeVar("T")

REGISTRY = Registry.builtin()
SYSTEM = {"kube-root-ca.crt"}

lives = st.lists(st.integers(0, 6_000).map(lambda count: count / 1000), max_size=3)
"""Seconds after which the process of the controllers is killed, each time; then it stays."""


def _resource(group: str, plural: str) -> Resource:
    found = REGISTRY.storage(group, plural)
    assert found is not None
    return found


NAMESPACES, MAPS = _resource("", "namespaces"), _resource("", "configmaps")
QUOTAS, ACCOUNTS = _resource("", "resourcequotas"), _resource("", "serviceaccounts")
DEFINITIONS = _resource("apiextensions.k8s.io", "customresourcedefinitions")


class User:
    """Somebody who tries again until it is done."""

    def __init__(self, world: World, store: ObjectStore) -> None:
        self.world = world
        self.store = store

    async def create(self, resource: Resource, obj: Object) -> Object:
        metadata = obj["metadata"]
        place = (str(metadata.get("namespace", "")), str(metadata["name"]))

        async def attempt() -> Object:
            try:
                return await self.store.create(resource, obj)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                return await self.store.get(resource, *place)

        return await self._insist(attempt)

    async def delete(self, resource: Resource, namespace: str, name: str, policy: str) -> None:
        options = DeleteOptions(propagation_policy=policy)

        async def attempt() -> None:
            try:
                await self.store.delete(resource, namespace, name, options=options)
            except ApiError as error:
                if error.code != 404:
                    raise

        await self._insist(attempt)

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await attempt()
            except ApiError as error:
                if error.code not in (409, 503, 504):
                    raise
            await self.world.clock.sleep(0.5)


@asynccontextmanager
async def _process(
    world: World, context: Context, lives: Sequence[float], cuts: Sequence[Cut]
) -> AsyncIterator[None]:
    """The process of the controllers: killed after each of its lives, and started again."""

    async def be() -> None:
        for seconds in lives:
            async with world.running(*_fresh(context)):
                await world.clock.sleep(seconds)
        async with world.running(*_fresh(context)) as store, world.suffer(store, cuts):
            await asyncio.Event().wait()

    task = asyncio.create_task(be())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def _fresh(context: Context) -> list[Controller]:
    """Controllers that remember nothing."""
    return [make(context) for make in CONTROLLERS]


def _context(store: ObjectStore) -> Context:
    tokens = Tokens([signing_key()], issuer="us", audiences=("us",))
    recorder = EventRecorder(store, "test")  # nobody reads what it keeps
    return Context(registry=REGISTRY, recorder=recorder, authority=AUTHORITY, tokens=tokens)


async def _use(user: User) -> None:
    """A namespace that goes, one that stays, owners of all kinds, a definition that goes."""
    for name in ("doomed", "kept"):
        spec = {"finalizers": ["kubernetes"]}
        made = {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Active"}}
        await user.create(NAMESPACES, made)
    gears = custom_resource(await user.create(DEFINITIONS, definition("gears", "Gear")))
    cogs = custom_resource(await user.create(DEFINITIONS, definition("cogs", "Cog")))
    assert gears is not None
    assert cogs is not None
    for namespace in ("doomed", "kept"):
        await user.create(gears, {"metadata": {"name": "g", "namespace": namespace}})
        cog = await user.create(cogs, {"metadata": {"name": "c", "namespace": namespace}})
        await user.create(MAPS, config_map(namespace, "of-cog", cog))
    await user.delete(cogs, "kept", "c", "Background")
    quota = {"metadata": {"name": "q", "namespace": "kept"}}
    await user.create(QUOTAS, {**quota, "spec": {"hard": {"configmaps": "50"}}})
    for policy in ("Background", "Foreground", "Orphan"):
        name = policy.lower()
        owner = await user.create(MAPS, config_map("kept", name))
        child = await user.create(MAPS, config_map("kept", f"{name}-child", owner))
        await user.create(MAPS, config_map("kept", f"{name}-grandchild", child))
        await user.delete(MAPS, "kept", name, policy)
    living = await user.create(MAPS, config_map("kept", "living"))
    shared = config_map("kept", "shared", living)
    shared["metadata"]["ownerReferences"].append(reference_to(living, uid="gone", name="gone"))
    await user.create(MAPS, shared)
    await user.delete(NAMESPACES, "", "doomed", "Background")
    await user.delete(DEFINITIONS, "", "gears.example.com", "Background")


KEPT = SYSTEM | {"living", "shared", "orphan-child", "orphan-grandchild"}


async def _is_as_it_should_be(store: ObjectStore) -> bool:
    names = [one["metadata"]["name"] for one in (await store.list(NAMESPACES)).items]
    maps = {
        one["metadata"]["name"]: one["metadata"] for one in (await store.list(MAPS, "kept")).items
    }
    definitions = (await store.list(DEFINITIONS)).items
    quota = await store.get(QUOTAS, "kept", "q")
    accounts = [one["metadata"]["name"] for one in (await store.list(ACCOUNTS, "kept")).items]
    return (
        names == ["kept"]
        and accounts == ["default"]
        and maps.keys() == KEPT
        and "ownerReferences" not in maps["orphan-child"]
        and [one["name"] for one in maps["shared"]["ownerReferences"]] == ["living"]
        and [one["metadata"]["name"] for one in definitions] == ["cogs.example.com"]
        and is_true(definitions[0], "Established")
        and (quota.get("status") or {}).get("used") == {"configmaps": str(len(KEPT))}
    )


async def _left(store: ObjectStore) -> list[Object]:
    """What is in the namespace that went."""
    found = [(await store.list(resource, "doomed")).items for resource in (MAPS, ACCOUNTS)]
    return [one for items in found for one in items]


@settings(deadline=None, max_examples=25)
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(for_seconds_max=15.0),
    lives=lives,
    cuts=cuts(cuts_max=2),
)
def test_killed_and_cut_off_they_finish_all_the_same(
    topology: kv.Topology, faults: kv.Schedule, lives: list[float], cuts: list[Cut]
) -> None:
    """3.1, 3.2, 8.2, 11.7: convergence; what has a living owner is never collected."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            user = User(world, store)
            async with _process(world, _context(store), lives, cuts):
                await _use(user)
                await world.heal()
                await world.until(
                    lambda: _is_as_it_should_be(store), seconds_max=RESYNC_SECONDS + 60
                )
                assert await _left(store) == []

    run(application, topology=topology, faults=faults)
