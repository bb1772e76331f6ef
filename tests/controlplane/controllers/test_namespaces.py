"""Namespaces that are deleted. Numbers are rows of kube-behaviour.md."""

import asyncio
from typing import Any

import pytest

from controlplane import controller
from controlplane.api.resource import Object, Resource
from controlplane.controllers import namespaces
from controlplane.controllers.context import custom_resource
from controlplane.controllers.namespaces import Content, plan
from controlplane.controllers.patience import again_seconds
from controlplane.objects import DeleteOptions, Deletion, ObjectStore
from controlplane.testing import World, run
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import NOW, config_map, definition
from tests.controlplane.controllers.simulated import context_of
from tests.controlplane.controllers.simulated import resource as simulated

DELETED: Object = {
    "metadata": {"name": "n", "deletionTimestamp": "2023-11-14T22:13:20Z"},
    "spec": {"finalizers": ["kubernetes", "example.com/other"]},
    "status": {"phase": "Terminating"},
}


def _said(namespace: Object) -> dict[str, tuple[str, str, str]]:
    return {
        one["type"]: (one["status"], one["reason"], one["message"])
        for one in namespace["status"]["conditions"]
    }


# ------------------------------------------------------------------------ the plan


def test_empty_namespace_loses_the_finalizer_of_the_controller_only() -> None:
    """3.1."""
    done = plan(DELETED, Content(), NOW)
    assert done["spec"]["finalizers"] == ["example.com/other"]
    assert {kind: said[0] for kind, said in _said(done).items()} == dict.fromkeys(
        (
            "NamespaceDeletionDiscoveryFailure",
            "NamespaceDeletionGroupVersionParsingFailure",
            "NamespaceDeletionContentFailure",
            "NamespaceContentRemaining",
            "NamespaceFinalizersRemaining",
        ),
        "False",
    )


def test_conditions_tell_what_remains_and_what_holds_it() -> None:
    """3.1."""
    content = Content({"pods.": 2, "deployments.apps": 1}, {"example.com/hold": 3})
    left = plan(DELETED, content, NOW)
    assert left["spec"] == DELETED["spec"]
    said = _said(left)
    assert said["NamespaceContentRemaining"] == (
        "True",
        "SomeResourcesRemain",
        (
            "Some resources are remaining: deployments.apps has 1 resource instances, "
            "pods. has 2 resource instances"
        ),
    )
    assert said["NamespaceFinalizersRemaining"] == (
        "True",
        "SomeFinalizersRemain",
        (
            "Some content in the namespace has finalizers remaining: "
            "example.com/hold in 3 resource instances"
        ),
    )


def test_what_could_not_be_deleted_keeps_the_namespace() -> None:
    """3.1: NamespaceDeletionContentFailure."""
    failed = plan(DELETED, Content(failures=["widgets.example.com: no"]), NOW)
    assert failed["spec"] == DELETED["spec"]
    assert _said(failed)["NamespaceDeletionContentFailure"][:2] == ("True", "ContentDeletionFailed")


@pytest.mark.parametrize(("waited", "again"), [(0, 1), (4, 1), (20, 5), (4000, 30), (-9, 1)])
def test_who_waits_for_long_is_looked_at_seldom(waited: float, again: float) -> None:
    assert again_seconds(DELETED, NOW + waited) == again


# ------------------------------------------------------------------ on real stores


async def _is_there(cluster: Cluster, name: str) -> bool:
    return await cluster.find("namespaces", "", name) is not None


async def test_all_in_it_goes_and_then_the_namespace(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.1: deletes all namespaced resources, custom ones too, then finalizes."""
    group = f"{namespace}.example.com"
    cogs = custom_resource(
        await cluster.create("customresourcedefinitions", definition("cogs", "Cog", group))
    )
    assert cogs is not None
    await cluster.namespace(namespace)
    await store.create(cogs, {"metadata": {"name": "c", "namespace": namespace}})
    for number in range(20):
        await cluster.create("configmaps", config_map(namespace, f"m{number}"))
    metadata = {"name": "d", "namespace": namespace}
    await cluster.create("deployments", {"metadata": metadata, "spec": {}})
    await cluster.create("configmaps", config_map(f"{namespace}-other", "kept"))
    async with cluster.running(namespaces.controller):
        deletion = await store.delete(cluster.resource("namespaces"), "", namespace)
        assert not deletion.is_gone
        assert deletion.object["status"]["phase"] == "Terminating"
        assert "deletionGracePeriodSeconds" not in deletion.object["metadata"]

        async def is_gone() -> bool:
            return not await _is_there(cluster, namespace)

        await until(is_gone)
    assert not (await store.list(cogs, namespace)).raw
    assert not await cluster.names("configmaps", namespace)
    assert not await cluster.names("deployments", namespace)
    assert await cluster.names("configmaps", f"{namespace}-other") == {"kept"}


class _Busy(ObjectStore):
    """Each of the first ConfigMaps that go has somebody make one more pod, and one more of them."""

    rounds = 0

    async def delete(self, resource: Resource, *args: Any, **options: Any) -> Deletion:
        deletion = await super().delete(resource, *args, **options)
        if resource.plural == "configmaps" and self.rounds:
            type(self).rounds -= 1
            for plural in ("pods", "configmaps"):
                metadata = {"namespace": "n", "name": f"late-{self.rounds}"}
                late = {"metadata": metadata, **({"spec": {}} if plural == "pods" else {})}
                await self.create(simulated("", plural), late)
        return deletion


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_what_is_made_while_others_are_deleted_goes_as_well(rounds: int) -> None:
    """3.1: the namespace goes after a look that found nothing, however many that takes."""
    spaces = simulated("", "namespaces")

    async def application(world: World) -> None:
        async with world.connect() as user, world.connect() as process:
            body = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}
            await user.create(spaces, {**body, "status": {"phase": "Active"}})
            await user.create(simulated("", "configmaps"), config_map("n", "m"))
            await user.delete(spaces, "", "n")
            busy = _Busy(process.client, clock=world.now, dice=world.random)
            _Busy.rounds = rounds
            made = namespaces.controller(context_of(user))
            task = asyncio.create_task(controller.run([made], busy, clock=world.clock))

            async def is_gone() -> bool:
                return not (await user.list(spaces)).raw

            await world.until(is_gone, seconds_max=30)
            assert _Busy.rounds == 0
            for plural in ("pods", "configmaps"):
                assert not (await user.list(simulated("", plural), "n")).raw
            task.cancel()

    run(application)


async def test_pods_go_before_the_rest(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.1; OrderedNamespaceDeletion."""
    await cluster.namespace(namespace)
    pod = {"metadata": {"name": "p", "namespace": namespace}, "spec": {"nodeName": "n1"}}
    await cluster.create("pods", pod)
    await cluster.create("configmaps", config_map(namespace, "m"))
    async with cluster.running(namespaces.controller):
        await store.delete(cluster.resource("namespaces"), "", namespace)

        async def waits_for_the_pod() -> bool:
            found = await cluster.find("namespaces", "", namespace)
            assert found is not None
            conditions = found["status"].get("conditions") or ()
            return any("pods. has 1" in one["message"] for one in conditions)

        await until(waits_for_the_pod)
        assert await cluster.names("configmaps", namespace) == {"m"}
        (doomed,) = (await store.list(cluster.resource("pods"), namespace)).items
        assert doomed["metadata"]["deletionGracePeriodSeconds"] == 30
        from_node = DeleteOptions(grace_period_seconds=0)
        await store.delete(cluster.resource("pods"), namespace, "p", options=from_node)

        async def is_gone() -> bool:
            return not await _is_there(cluster, namespace)

        await until(is_gone)


async def test_finalizers_of_content_hold_the_namespace(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """3.1: NamespaceFinalizersRemaining."""
    await cluster.namespace(namespace)
    held = config_map(namespace, "held", finalizers=["example.com/hold"])
    await cluster.create("configmaps", held)
    await store.delete(cluster.resource("namespaces"), "", namespace)
    async with cluster.running(namespaces.controller):

        async def is_told() -> bool:
            found = await cluster.find("namespaces", "", namespace)
            assert found is not None
            conditions = found["status"].get("conditions") or ()
            return any(
                one["type"] == "NamespaceFinalizersRemaining" and one["status"] == "True"
                for one in conditions
            )

        await until(is_told)
        await store.update(
            cluster.resource("configmaps"),
            namespace,
            "held",
            lambda old: {**old, "metadata": {**old["metadata"], "finalizers": []}},
        )

        async def is_gone() -> bool:
            return not await _is_there(cluster, namespace)

        await until(is_gone)


async def test_namespace_that_is_not_deleted_is_left_alone(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    made = await cluster.namespace(namespace)
    await cluster.namespace(f"{namespace}-doomed")
    await cluster.create("configmaps", config_map(namespace, "m"))
    async with cluster.running(namespaces.controller):
        await store.delete(cluster.resource("namespaces"), "", f"{namespace}-doomed")

        async def is_other_gone() -> bool:
            return not await _is_there(cluster, f"{namespace}-doomed")

        await until(is_other_gone)
    assert await cluster.find("namespaces", "", namespace) == made
    assert await cluster.names("configmaps", namespace) == {"m"}
