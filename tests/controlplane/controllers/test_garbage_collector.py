"""The garbage collector. Numbers are rows of kube-behaviour.md."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.resource import Object
from controlplane.controllers import garbage_collector
from controlplane.controllers.context import custom_resource
from controlplane.controllers.garbage_collector import (
    Delete,
    Disown,
    Keep,
    State,
    disowned,
    plan,
    policy_of,
    unblocking,
)
from controlplane.objects import DeleteOptions, ObjectStore
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import (
    config_map,
    definition,
    established,
    reference_to,
)

STATES: Sequence[State] = ("solid", "waiting", "absent", "impossible")


def _owned(count: int, **metadata: Any) -> Object:
    references = [{"uid": f"u{number}", "blockOwnerDeletion": True} for number in range(count)]
    return {"metadata": {"name": "a", "ownerReferences": references, **metadata}}


# ------------------------------------------------------------------------ the plan


@given(states=st.lists(st.sampled_from(STATES), max_size=4), has_dependants=st.booleans())
def test_object_is_deleted_only_when_no_owner_is_left(
    states: list[State], has_dependants: bool
) -> None:
    """3.2: dependants whose owners are all gone are deleted."""
    verdict = plan(_owned(len(states)), states, has_dependants=has_dependants)
    may_go = bool(states) and set(states) <= {"absent", "waiting"}
    assert isinstance(verdict, Delete) == may_go


@given(states=st.lists(st.sampled_from(STATES), max_size=4), has_dependants=st.booleans())
def test_whoever_is_gone_is_no_owner_beside_one_that_is_there(
    states: list[State], has_dependants: bool
) -> None:
    """3.2."""
    dependant = _owned(len(states))
    verdict = plan(dependant, states, has_dependants=has_dependants)
    if isinstance(verdict, Disown):
        kept = disowned(dependant, verdict.uids)["metadata"]["ownerReferences"]
        assert [one["uid"] for one in kept] == [
            f"u{number}" for number, state in enumerate(states) if state == "solid"
        ]
        assert kept, "somebody owns it still"


def test_dependants_of_a_waiting_owner_wait_for_theirs() -> None:
    """3.2: foreground goes all the way down."""
    assert plan(_owned(1), ["waiting"], has_dependants=True) == Delete("Foreground")
    assert plan(_owned(1), ["waiting"], has_dependants=False) == Delete("Background")


def test_own_finalizers_say_what_becomes_of_dependants() -> None:
    """2.17."""
    for finalizers, policy in (
        (["orphan"], "Orphan"),
        (["foregroundDeletion"], "Foreground"),
        (["example.com/x"], "Background"),
        ([], "Background"),
    ):
        assert policy_of(finalizers) == policy
        found = _owned(1, finalizers=finalizers)
        assert plan(found, ["absent"], has_dependants=False) == Delete(policy)


def test_what_is_deleted_already_is_left_alone() -> None:
    found = _owned(1, deletionTimestamp="2023-11-14T22:13:20Z")
    assert plan(found, ["absent"], has_dependants=False) == Keep()


def test_object_without_owners_is_nobodys_garbage() -> None:
    assert plan({"metadata": {"name": "a"}}, [], has_dependants=True) == Keep()


def test_last_reference_leaves_no_empty_list() -> None:
    assert disowned(_owned(1), ["u0"]) == {"metadata": {"name": "a"}}


def test_unblocking_changes_nothing_else() -> None:
    changed = unblocking(_owned(2, labels={"a": "b"}))
    assert changed["metadata"]["labels"] == {"a": "b"}
    assert [one["blockOwnerDeletion"] for one in changed["metadata"]["ownerReferences"]] == [
        False,
        False,
    ]


# ------------------------------------------------------------------ on real stores


async def _delete(store: ObjectStore, cluster: Cluster, obj: Object, policy: str) -> None:
    metadata = obj["metadata"]
    await store.delete(
        cluster.resource("configmaps"),
        metadata["namespace"],
        metadata["name"],
        options=DeleteOptions(propagation_policy=policy),
    )


async def test_twenty_look_after_garbage_at_once(cluster: Cluster) -> None:
    """3.2: 20 workers, as kube-controller-manager's --concurrent-gc-syncs."""
    async with cluster.running() as context:
        assert garbage_collector.controller(context).workers == 20


async def test_background_deletes_all_below(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2, 2.17."""
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    child = await cluster.create("configmaps", config_map(namespace, "child", owner))
    await cluster.create("configmaps", config_map(namespace, "grandchild", child))
    await cluster.create("configmaps", config_map(namespace, "stranger"))
    async with cluster.running(garbage_collector.controller):
        await _delete(store, cluster, owner, "Background")

        async def is_collected() -> bool:
            return await cluster.names("configmaps", namespace) == {"stranger"}

        await until(is_collected)


async def test_what_was_orphaned_while_nobody_looked_is_collected(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: an owner that the graph does not have is looked for, and is not there."""
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    await cluster.create("configmaps", config_map(namespace, "kept", owner))
    gone = {**owner, "metadata": {**owner["metadata"], "name": "gone", "uid": "another"}}
    await cluster.create("configmaps", config_map(namespace, "child", gone))
    replaced = {**owner, "metadata": {**owner["metadata"], "uid": "of one that was before it"}}
    await cluster.create("configmaps", config_map(namespace, "older", replaced))
    async with cluster.running(garbage_collector.controller):

        async def is_collected() -> bool:
            return await cluster.names("configmaps", namespace) == {"owner", "kept"}

        await until(is_collected)


async def test_owner_in_the_foreground_waits_for_those_that_block_it(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: foreground waits for dependants with blockOwnerDeletion=true; the others go as well."""
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    held = config_map(namespace, "held", owner, finalizers=["example.com/hold"])
    await cluster.create("configmaps", held)
    loose = config_map(namespace, "loose")
    loose["metadata"]["ownerReferences"] = [reference_to(owner, blocks=False)]
    await cluster.create("configmaps", {**loose, "data": {"x": "y"}})
    async with cluster.running(garbage_collector.controller):
        await _delete(store, cluster, owner, "Foreground")

        async def is_held_deleted() -> bool:
            found = await cluster.find("configmaps", namespace, "held")
            assert found is not None
            return "deletionTimestamp" in found["metadata"]

        await until(is_held_deleted)

        async def is_loose_gone() -> bool:
            return await cluster.find("configmaps", namespace, "loose") is None

        await until(is_loose_gone)
        waiting = await cluster.find("configmaps", namespace, "owner")
        assert waiting is not None
        assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
        await store.update(
            cluster.resource("configmaps"),
            namespace,
            "held",
            lambda old: {**old, "metadata": {**old["metadata"], "finalizers": []}},
        )

        async def is_empty() -> bool:
            return not await cluster.names("configmaps", namespace)

        await until(is_empty)


async def test_orphans_stay_and_nobody_owns_them(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: ownerReferences removed first."""
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    other = await cluster.create("configmaps", config_map(namespace, "other"))
    for number in range(30):
        made = config_map(namespace, f"child-{number}", owner, other)
        await cluster.create("configmaps", {**made, "data": {"x": "y"}})
    async with cluster.running(garbage_collector.controller):
        await _delete(store, cluster, owner, "Orphan")

        async def is_gone() -> bool:
            return await cluster.find("configmaps", namespace, "owner") is None

        await until(is_gone)
        page = await store.list(cluster.resource("configmaps"), namespace)
        children = [one for one in page.items if one["metadata"]["name"] != "other"]
        assert len(children) == 30
        for child in children:
            assert [one["name"] for one in child["metadata"]["ownerReferences"]] == ["other"]
            assert child["data"] == {"x": "y"}


async def test_objects_that_own_each_other_go_together(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: nobody waits for ever."""
    one = await cluster.create("configmaps", config_map(namespace, "one"))
    other = await cluster.create("configmaps", config_map(namespace, "other", one))
    first = await store.update(
        cluster.resource("configmaps"),
        namespace,
        "one",
        lambda old: {
            **old,
            "metadata": {**old["metadata"], "ownerReferences": [reference_to(other)]},
        },
    )
    async with cluster.running(garbage_collector.controller):
        await _delete(store, cluster, first, "Foreground")

        async def is_empty() -> bool:
            return not await cluster.names("configmaps", namespace)

        await until(is_empty)


async def test_owner_of_another_namespace_is_none_and_an_event_tells(
    cluster: Cluster, namespace: str
) -> None:
    """3.2: event OwnerRefInvalidNamespace, treated as absent."""
    owner = await cluster.create("configmaps", config_map(f"{namespace}-other", "owner"))
    child = await cluster.create("configmaps", config_map(namespace, "child", owner))
    async with cluster.running(garbage_collector.controller) as context:

        async def is_gone() -> bool:
            return await cluster.find("configmaps", namespace, "child") is None

        await until(is_gone)
        await context.recorder.flush()
        (event,) = (await cluster.store.list(cluster.resource("events"), namespace)).items
        assert (event["reason"], event["type"]) == ("OwnerRefInvalidNamespace", "Warning")
        assert event["involvedObject"]["kind"] == "ConfigMap"
        assert event["involvedObject"]["uid"] == child["metadata"]["uid"]
        uid = owner["metadata"]["uid"]
        assert event["message"] == (
            f"ownerRef [v1/ConfigMap, namespace: {namespace}, name: owner, uid: {uid}] "
            f'does not exist in namespace "{namespace}"'
        )


async def test_cluster_object_of_a_namespaced_owner_is_never_collected(
    cluster: Cluster, namespace: str
) -> None:
    """3.2; "Owners and dependents": its reference cannot be resolved."""
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": f"{namespace}-u"}
    metadata = {"name": f"{namespace}-role", "ownerReferences": [reference]}
    await cluster.create("clusterroles", {"metadata": metadata, "rules": []})
    canary = {**reference, "apiVersion": "v1", "kind": "Namespace", "name": "no-such-namespace"}
    other = {"name": f"{namespace}-canary", "ownerReferences": [canary]}
    async with cluster.running(garbage_collector.controller) as context:

        async def is_told() -> bool:
            await context.recorder.flush()
            page = await cluster.store.list(cluster.resource("events"), "default")
            told = {one["involvedObject"]["name"] for one in page.items}
            return metadata["name"] in told

        await until(is_told)
        await cluster.create("clusterroles", {"metadata": other, "rules": []})

        async def is_canary_gone() -> bool:
            return await cluster.find("clusterroles", "", str(other["name"])) is None

        await until(is_canary_gone)
        assert await cluster.find("clusterroles", "", str(metadata["name"])) is not None


async def test_custom_resources_own_and_are_owned(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: graph from ownerReferences of all resources."""
    group = f"{namespace}.example.com"
    body = established(definition("gears", "Gear", group))
    made = await cluster.create("customresourcedefinitions", body)
    gears = custom_resource(made)
    assert gears is not None
    async with cluster.running(garbage_collector.controller):
        gear = await store.create(gears, {"metadata": {"name": "g", "namespace": namespace}})
        await cluster.create("configmaps", config_map(namespace, "child", gear))
        tooth = {"name": "tooth", "namespace": namespace, "ownerReferences": [reference_to(gear)]}
        await store.create(gears, {"metadata": tooth})
        await store.delete(gears, namespace, "g")

        async def is_empty() -> bool:
            left = await store.list(gears, namespace)
            return not left.raw and not await cluster.names("configmaps", namespace)

        await until(is_empty)


async def test_dependants_of_a_kind_that_goes_with_its_objects_are_collected(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: nobody can ask for their owner any more, but it was seen to go."""
    group = f"{namespace}.example.com"
    definitions = cluster.resource("customresourcedefinitions")
    body = established(definition("gears", "Gear", group))
    gears = custom_resource(await store.create(definitions, body))
    assert gears is not None
    gear = await store.create(gears, {"metadata": {"name": "g", "namespace": namespace}})
    async with cluster.running(garbage_collector.controller):
        await cluster.create("configmaps", config_map(namespace, "canary", uid=f"{namespace}-u"))
        canary = await cluster.find("configmaps", namespace, "canary")
        assert canary is not None
        await cluster.create("configmaps", config_map(namespace, "child", gear))
        await cluster.create("configmaps", config_map(namespace, "after", canary))
        await store.delete(cluster.resource("configmaps"), namespace, "canary")

        async def is_running() -> bool:
            return await cluster.find("configmaps", namespace, "after") is None

        await until(is_running)
        await store.delete(gears, namespace, "g")
        await store.delete(definitions, "", f"gears.{group}")
        await store.update(
            definitions,
            "",
            f"gears.{group}",
            lambda old: {**old, "metadata": {**old["metadata"], "finalizers": []}},
        )

        async def is_empty() -> bool:
            return not await cluster.names("configmaps", namespace)

        await until(is_empty)


async def test_owner_that_comes_back_with_its_uid_is_there(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: as from a backup; that it was gone before says nothing."""
    maps = cluster.resource("configmaps")
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    uid = owner["metadata"]["uid"]

    async def is_collected(name: str) -> bool:
        return name not in await cluster.names("configmaps", namespace)

    async with cluster.running(garbage_collector.controller):
        await cluster.create("configmaps", config_map(namespace, "before", owner))
        await store.delete(maps, namespace, "owner")
        await until(lambda: is_collected("before"))
        back = await cluster.create("configmaps", config_map(namespace, "owner", uid=uid))
        assert back["metadata"]["uid"] == uid
        await cluster.create("configmaps", config_map(namespace, "kept", back))
        # A canary: when it is collected, whatever came before it has been looked at.
        gone = {**back, "metadata": {**back["metadata"], "uid": "another"}}
        for number in range(3):
            name = f"canary-{number}"
            await cluster.create("configmaps", config_map(namespace, name, gone))
            await until(partial(is_collected, name))
        assert await cluster.names("configmaps", namespace) == {"owner", "kept"}


async def test_killed_in_the_middle_the_next_one_goes_on(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.2: nothing is lost but time."""
    owner = await cluster.create("configmaps", config_map(namespace, "owner"))
    for number in range(200):
        await cluster.create("configmaps", config_map(namespace, f"child-{number}", owner))
    await _delete(store, cluster, owner, "Foreground")
    async with cluster.running(garbage_collector.controller):

        async def has_begun() -> bool:
            return len(await cluster.names("configmaps", namespace)) < 201

        await until(has_begun)
    async with cluster.running(garbage_collector.controller):

        async def is_empty() -> bool:
            return not await cluster.names("configmaps", namespace)

        await until(is_empty)
