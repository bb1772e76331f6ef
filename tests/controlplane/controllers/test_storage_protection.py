"""What is in use is not deleted (kube-behaviour 9.1)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.persistence import CLAIM_PROTECTION, VOLUME_PROTECTION
from controlplane.api.resource import Object
from controlplane.controllers import claim_protection, garbage_collector, volume_protection
from controlplane.controllers.claim_protection import users_of
from controlplane.controllers.protection import plan
from controlplane.objects import DeleteOptions
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import reference_to

FINALIZER = "kubernetes.io/pvc-protection"
GONE = {"deletionTimestamp": "2026-01-02T03:04:05Z"}


def claim(*finalizers: str, **metadata: Any) -> Object:
    return {"metadata": {"name": "c", "finalizers": list(finalizers), **metadata}}


def pod(*volumes: Any, node: str = "n1", **metadata: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"volumes": list(volumes), "containers": []}
    if node:
        spec["nodeName"] = node
    return {"metadata": {"name": "p", "namespace": "shop", **metadata}, "spec": spec}


def uses(name: str) -> Any:
    return {"name": "v", "persistentVolumeClaim": {"claimName": name}}


# ------------------------------------------------------------------------------------ plan


def test_what_is_there_is_held() -> None:
    held = plan(claim("x/y"), FINALIZER, is_used=False)
    assert held is not None
    assert held["metadata"]["finalizers"] == ["x/y", FINALIZER]
    assert plan(held, FINALIZER, is_used=False) is None


def test_what_is_deleted_is_let_go_once_nobody_uses_it() -> None:
    deleted = claim("x/y", FINALIZER, **GONE)
    assert plan(deleted, FINALIZER, is_used=True) is None
    free = plan(deleted, FINALIZER, is_used=False)
    assert free is not None
    assert free["metadata"]["finalizers"] == ["x/y"]


def test_what_is_deleted_is_not_held_anew() -> None:
    """2.16: it would be refused."""
    assert plan(claim("x/y", **GONE), FINALIZER, is_used=True) is None


@given(
    st.lists(st.sampled_from(["x/y", FINALIZER, "a/b"]), unique=True), st.booleans(), st.booleans()
)
def test_a_plan_is_carried_out_once(finalizers: list[str], is_used: bool, is_deleted: bool) -> None:
    found = claim(*finalizers, **(GONE if is_deleted else {}))
    done = plan(found, FINALIZER, is_used=is_used)
    if done is not None:
        assert plan(done, FINALIZER, is_used=is_used) is None
        others = [one for one in done["metadata"]["finalizers"] if one != FINALIZER]
        assert others == [one for one in finalizers if one != FINALIZER]


# ----------------------------------------------------------------------------------- users


def test_a_pod_on_a_node_uses_its_claims() -> None:
    assert users_of(pod(uses("a"), {"name": "e", "emptyDir": {}}, uses("b"))) == [
        "shop/a",
        "shop/b",
    ]
    assert users_of(pod(uses("a"), node="")) == []


def test_a_pod_that_has_ended_uses_them_still() -> None:
    """Until it is deleted, as documented: "when a Pod object exists that is using the PVC"."""
    ended = pod(uses("a")) | {"status": {"phase": "Succeeded"}}
    assert users_of(ended) == ["shop/a"]


def test_a_claim_of_a_pods_own_is_used_until_the_pod_is_shut_down() -> None:
    own = {"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}
    assert users_of(pod(own)) == ["shop/p-v"]
    assert users_of(pod(own, **GONE, deletionGracePeriodSeconds=30)) == ["shop/p-v"]
    assert users_of(pod(own, **GONE, deletionGracePeriodSeconds=0)) == []


# ------------------------------------------------------------------------------ on a store


async def test_a_claim_goes_with_the_last_pod_that_uses_it(
    cluster: Cluster, namespace: str
) -> None:
    claims, pods = cluster.resource("persistentvolumeclaims"), cluster.resource("pods")
    for name in ("p1", "p2"):
        body = pod(uses("used"), name=name, namespace=namespace)
        await cluster.create("pods", body)
    for name in ("used", "free"):
        await cluster.create("persistentvolumeclaims", _in(namespace, name))
    async with cluster.running(claim_protection.controller):

        async def are_held() -> bool:
            found = (await cluster.store.list(claims, namespace)).items
            return all(one["metadata"].get("finalizers") == [CLAIM_PROTECTION] for one in found)

        await until(are_held)
        for name in ("used", "free"):
            await cluster.store.delete(claims, namespace, name)

        async def is_free_gone() -> bool:
            return await cluster.names("persistentvolumeclaims", namespace) == {"used"}

        await until(is_free_gone)
        at_once = DeleteOptions(grace_period_seconds=0)
        await cluster.store.delete(pods, namespace, "p1", options=at_once)
        assert await cluster.names("persistentvolumeclaims", namespace) == {"used"}
        await cluster.store.delete(pods, namespace, "p2", options=at_once)

        async def is_gone() -> bool:
            return not await cluster.names("persistentvolumeclaims", namespace)

        await until(is_gone)


async def test_a_pod_in_the_foreground_and_its_own_claim_do_not_wait_for_each_other(
    cluster: Cluster, namespace: str
) -> None:
    """The claim is free once the pod is shut down, though the pod is there until the claim goes."""
    pods, claims = cluster.resource("pods"), cluster.resource("persistentvolumeclaims")
    own = {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}
    made = await cluster.create("pods", pod(own, namespace=namespace))
    held = {**_in(namespace, "p-v"), "spec": {}}
    held["metadata"] |= {"finalizers": [FINALIZER], "ownerReferences": [reference_to(made)]}
    await cluster.create("persistentvolumeclaims", held)
    async with cluster.running(claim_protection.controller, garbage_collector.controller):
        options = DeleteOptions(propagation_policy="Foreground", grace_period_seconds=30)
        await cluster.store.delete(pods, namespace, "p", options=options)

        async def is_claim_deleted() -> bool:
            found = await cluster.store.get(claims, namespace, "p-v")
            return "deletionTimestamp" in found["metadata"]

        await until(is_claim_deleted)
        at_once = DeleteOptions(grace_period_seconds=0)
        deletion = await cluster.store.delete(pods, namespace, "p", options=at_once)
        assert not deletion.is_gone

        async def are_gone() -> bool:
            names = [await cluster.names(one.plural, namespace) for one in (pods, claims)]
            return not any(names)

        await until(are_gone)


async def test_a_volume_goes_once_it_is_no_longer_bound(cluster: Cluster, namespace: str) -> None:
    volumes = cluster.resource("persistentvolumes")
    made = {"metadata": {"name": namespace}, "spec": {}, "status": {"phase": "Bound"}}
    await cluster.create("persistentvolumes", made)

    async def finalizers() -> Any:
        found = await cluster.find("persistentvolumes", "", namespace)
        return None if found is None else found["metadata"].get("finalizers")

    async with cluster.running(volume_protection.controller):

        async def is_held() -> bool:
            return bool(await finalizers() == [VOLUME_PROTECTION])

        await until(is_held)
        await cluster.store.delete(volumes, "", namespace)
        await cluster.store.update(
            volumes, "", namespace, lambda old: {**old, "status": {"phase": "Released"}}
        )

        async def is_gone() -> bool:
            return await cluster.find("persistentvolumes", "", namespace) is None

        await until(is_gone)


def _in(namespace: str, name: str) -> Any:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {}}


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (claim_protection.controller, "persistentvolumeclaims"),
        (volume_protection.controller, "persistentvolumes"),
    ],
)
async def test_who_is_late_finds_it_held_already(
    cluster: Cluster, namespace: str, make: Any, kind: str
) -> None:
    """What the API server has held at its creation is not written again."""
    finalizer = CLAIM_PROTECTION if kind == "persistentvolumeclaims" else VOLUME_PROTECTION
    place = {"namespace": namespace} if kind == "persistentvolumeclaims" else {}
    names = (f"{namespace}-a", f"{namespace}-b")
    held = {"metadata": {"name": names[0], **place, "finalizers": [finalizer]}, "spec": {}}
    made = await cluster.create(kind, held)
    await cluster.create(kind, {"metadata": {"name": names[1], **place}, "spec": {}})
    async with cluster.running(make):

        async def is_other_held() -> bool:
            found = await cluster.find(kind, place.get("namespace", ""), names[1])
            return found is not None and [finalizer] == found["metadata"].get("finalizers")

        await until(is_other_held)
    found = await cluster.find(kind, place.get("namespace", ""), names[0])
    assert found == made
