"""The garbage collector and kinds that definitions make. Numbers are rows of kube-behaviour.md.

In the simulation: that something stays takes no time to be seen.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.api.resource import Object, Resource
from controlplane.controllers import garbage_collector
from controlplane.controllers.context import custom_resource
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import World, run
from tests.controlplane.controllers.objects import (
    config_map,
    definition,
    established,
    reference_to,
)
from tests.controlplane.controllers.simulated import context_of, resource

MAPS = resource("", "configmaps")
DEFINITIONS = resource("apiextensions.k8s.io", "customresourcedefinitions")
FOREGROUND = DeleteOptions(propagation_policy="Foreground")
LONG_SECONDS = 120.0
"""By then whatever is to go has gone."""


async def _names(store: ObjectStore, resource: Resource) -> set[str]:
    return {str(one["metadata"]["name"]) for one in (await store.list(resource, "d")).items}


async def _gears(store: ObjectStore, **status: Any) -> Resource:
    made = established(definition("gears", "Gear"))
    made = {**made, "status": {**made["status"], **status}}
    gears = custom_resource(await store.create(DEFINITIONS, made))
    assert gears is not None
    return gears


async def _owned(store: ObjectStore, owner: Object, name: str) -> None:
    await store.create(MAPS, config_map("d", name, owner))


def _second(scope: str, **status: Any) -> Object:
    """A definition of the same kind, that comes first by its name."""
    made = definition("axles", "Gear")
    refused = [
        {"type": "NamesAccepted", "status": "False", "reason": "KindConflict"},
        {"type": "Established", "status": "False", "reason": "NotAccepted"},
    ]
    spec = {**made["spec"], "scope": scope}
    return {**made, "spec": spec, "status": {**made["status"], "conditions": refused, **status}}


@pytest.mark.parametrize("scope", ["Namespaced", "Cluster"])
def test_second_definition_of_a_kind_takes_nothing_from_its_objects(scope: str) -> None:
    """3.2, 11.7: names that were not accepted are not in discovery: owners are looked for, and let
    go, where they are.
    """

    async def application(world: World) -> None:
        async with world.connect() as store:
            gears = await _gears(store)
            await store.create(DEFINITIONS, _second(scope))
            gear = await store.create(gears, {"metadata": {"name": "g", "namespace": "d"}})
            await _owned(store, gear, "child")
            gone = {**gear, "metadata": {**gear["metadata"], "name": "gone", "uid": "gone"}}
            await _owned(store, gone, "garbage")
            async with world.running(garbage_collector.controller(context_of(store))):
                await world.clock.sleep(LONG_SECONDS)
                assert await _names(store, MAPS) == {"child"}
                await store.delete(gears, "d", "g", options=FOREGROUND)
                await world.clock.sleep(LONG_SECONDS)
                assert await _names(store, MAPS) == set()
                assert await _names(store, gears) == set()

    run(application, seconds_max=1000)


@pytest.mark.parametrize(
    "status",
    [
        {"acceptedNames": {}},
        {"acceptedNames": {"plural": "gears", "kind": "Wheel"}},
        {"conditions": [{"type": "Established", "status": "False"}]},
    ],
)
def test_kind_that_nobody_accepted_is_unknown(status: Mapping[str, Any]) -> None:
    """3.2: nothing is concluded of what cannot be looked for."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            await _gears(store, **status)
            reference = {"apiVersion": "example.com/v1", "kind": "Gear", "name": "g", "uid": "u"}
            child = config_map("d", "child", ownerReferences=[reference])
            await store.create(MAPS, child)
            async with world.running(garbage_collector.controller(context_of(store))):
                await world.clock.sleep(LONG_SECONDS)
                assert await _names(store, MAPS) == {"child"}

    run(application, seconds_max=1000)


def test_which_of_two_kinds_is_meant_is_not_guessed() -> None:
    """3.2: somebody accepted both."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            gears = await _gears(store)
            second = established(_second("Namespaced"))
            await store.create(DEFINITIONS, second)
            gear = await store.create(gears, {"metadata": {"name": "g", "namespace": "d"}})
            for name, owner in (("child", gear), ("of-nobody-known", "other")):
                reference = reference_to(gear) if owner is gear else reference_to(gear, uid=owner)
                await store.create(MAPS, config_map("d", name, ownerReferences=[reference]))
            async with world.running(garbage_collector.controller(context_of(store))):
                await world.clock.sleep(LONG_SECONDS)
                assert await _names(store, MAPS) == {"child", "of-nobody-known"}

    run(application, seconds_max=1000)


def test_owner_that_the_cache_has_is_there_whatever_its_kind_is_taken_for() -> None:
    """3.2: also where its definition is gone, or says that it has no namespace."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            gears = await _gears(store)
            gear = await store.create(gears, {"metadata": {"name": "g", "namespace": "d"}})
            await store.update(
                DEFINITIONS,
                "",
                "gears.example.com",
                lambda old: {**old, "spec": {**old["spec"], "scope": "Cluster"}},
            )
            await _owned(store, gear, "child")
            async with world.running(garbage_collector.controller(context_of(store))):
                await world.clock.sleep(LONG_SECONDS)
                assert await _names(store, MAPS) == {"child"}

    run(application, seconds_max=1000)
