"""What the garbage collector knows of owners that went. Numbers are rows of kube-behaviour.md."""

from typing import Any

import msgspec
import pytest

from controlplane.api.errors import conflict
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister
from controlplane.controllers import garbage_collector
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import World, run
from tests.controlplane.controllers.objects import config_map, reference_to
from tests.controlplane.controllers.simulated import context_of, resource

MAPS, ROLES = resource("", "configmaps"), resource("rbac.authorization.k8s.io", "clusterroles")
LONG = 60.0


async def has(store: ObjectStore, kind: Resource, namespace: str, name: str) -> bool:
    found = (await store.list(kind, namespace)).items
    return name in {one["metadata"]["name"] for one in found}


@pytest.mark.parametrize("named", [{}, {"kind": "Secret"}, {"name": "other"}])
def test_cluster_object_outlives_a_namespaced_owner_that_was_seen_to_go(
    named: dict[str, str],
) -> None:
    """3.2; "Owners and dependents": such a reference is never resolved, whoever goes."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            owner = await store.create(MAPS, config_map("d", "owner"))
            async with world.running(garbage_collector.controller(context_of(store))):
                reference = {**reference_to(owner), **named}
                metadata = {"name": "role", "ownerReferences": [reference]}
                await store.create(ROLES, {"metadata": metadata, "rules": []})
                await store.create(MAPS, config_map("d", "child", owner))
                await world.clock.sleep(LONG)
                await store.delete(MAPS, "d", "owner")
                await world.clock.sleep(LONG)
                assert not await has(store, MAPS, "d", "child")
                assert await has(store, ROLES, "", "role")

    run(application)


def test_an_owner_of_a_kind_that_nobody_knows_is_not_one_that_went() -> None:
    """3.2: whose uid a reference bears says nothing when all else is another's."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            owner = await store.create(MAPS, config_map("d", "owner"))
            async with world.running(garbage_collector.controller(context_of(store))):
                child = config_map("d", "child")
                strange = reference_to(owner, kind="Nobody", apiVersion="x.example.com/v1")
                child["metadata"]["ownerReferences"] = [strange]
                await store.create(MAPS, child)
                await world.clock.sleep(LONG)
                await store.delete(MAPS, "d", "owner")
                await world.clock.sleep(LONG)
                assert await has(store, MAPS, "d", "child")

    run(application)


class _Refusing:
    """A store that takes no deletion at first, as of an object that was changed just now."""

    def __init__(self, store: ObjectStore, refusals: list[str]) -> None:
        self._store, self._refusals = store, refusals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def delete(
        self, kind: Resource, namespace: str, name: str, *, options: DeleteOptions
    ) -> Any:
        if not self._refusals:
            self._refusals.append(name)
            raise conflict(kind.plural, kind.group, name)
        return await self._store.delete(kind, namespace, name, options=options)


def test_owner_in_the_foreground_is_let_go_only_after_its_dependants() -> None:
    """3.2: or what could not be deleted just then would stay, for nobody waits any more."""
    refusals: list[str] = []

    def refusing(made: Controller) -> Controller:
        async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
            refused: Any = _Refusing(store, refusals)
            return await made.reconcile(key, lister, refused)

        return msgspec.structs.replace(made, reconcile=reconcile)

    async def application(world: World) -> None:
        async with world.connect() as store:
            owner: Object = config_map("d", "owner", finalizers=["example.com/held"])
            owner = await store.create(MAPS, owner)
            child = config_map("d", "child")
            child["metadata"]["ownerReferences"] = [reference_to(owner, blocks=False)]
            await store.create(MAPS, child)
            async with world.running(refusing(garbage_collector.controller(context_of(store)))):
                options = DeleteOptions(propagation_policy="Foreground")
                await store.delete(MAPS, "d", "owner", options=options)
                await world.clock.sleep(LONG)
                assert refusals == ["child"]
                assert not await has(store, MAPS, "d", "child")
                kept = await store.get(MAPS, "d", "owner")
                assert kept["metadata"]["finalizers"] == ["example.com/held"]

    run(application)
