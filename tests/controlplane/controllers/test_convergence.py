"""All controllers in the simulation: whatever goes wrong, things come to be as they should.

Numbers are rows of kube-behaviour.md.
"""

from hypothesis import given, settings

from controlplane.api.resource import Object
from controlplane.controllers import CONTROLLERS
from controlplane.controllers.conditions import is_true
from controlplane.controllers.context import custom_resource
from controlplane.controllers.resource_quota import RESYNC_SECONDS
from controlplane.objects import ObjectStore
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.objects import (
    config_map,
    definition,
    reference_to,
)
from tests.controlplane.controllers.simulated import User, context_of, lives, process, resource

SYSTEM = {"kube-root-ca.crt"}

NAMESPACES, MAPS = resource("", "namespaces"), resource("", "configmaps")
QUOTAS, ACCOUNTS = resource("", "resourcequotas"), resource("", "serviceaccounts")
DEFINITIONS = resource("apiextensions.k8s.io", "customresourcedefinitions")


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
            async with process(world, context_of(store), CONTROLLERS, lives, cuts):
                await _use(user)
                await world.heal()
                await world.until(
                    lambda: _is_as_it_should_be(store), seconds_max=RESYNC_SECONDS + 60
                )
                assert await _left(store) == []

    run(application, topology=topology, faults=faults)
