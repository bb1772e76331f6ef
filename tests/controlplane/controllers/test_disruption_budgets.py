"""How many pods may be disrupted. Numbers are rows of kube-behaviour.md."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.meta import rfc3339
from controlplane.api.record import from_object
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.api.types.policy_v1 import PodDisruptionBudget
from controlplane.controllers import disruption_budgets
from controlplane.controllers.budget_status import Outlook, needs_scale, outlook, unknown
from controlplane.controllers.context import custom_resources
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import NOW, definition, established, reference_to

LABELS = {"app": "web"}


def budget(status: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b", "namespace": "shop", "generation": 3},
        "spec": {"selector": {"matchLabels": LABELS}, **spec},
        "status": status or {},
    }


def pod(
    name: str, *, is_ready: bool = True, namespace: str = "shop", owner: Any = None, **more: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": LABELS, **more}
    if owner is not None:
        metadata["ownerReferences"] = [reference_to(owner, controller=True)]
    ready = {"type": "Ready", "status": "True" if is_ready else "False"}
    status = {"phase": "Running", "conditions": [ready]}
    return {"metadata": metadata, "spec": {"containers": []}, "status": status}


def seen(
    of: Object, pods: list[dict[str, Any]], expected: int | None = None, now: float = NOW
) -> Outlook:
    record = from_object(PodDisruptionBudget, of)
    return outlook(record, [from_object(Pod, one) for one in pods], expected, now)


def ready(count: int) -> list[dict[str, Any]]:
    return [pod(f"p{number}") for number in range(count)]


# ---------------------------------------------------------------------------------- plan


@pytest.mark.parametrize(
    ("spec", "expected", "healthy", "desired", "allowed"),
    [
        ({"minAvailable": 2}, None, 3, 2, 1),
        ({"minAvailable": 2}, None, 2, 2, 0),
        ({"minAvailable": 5}, None, 2, 5, 0),
        ({"minAvailable": "50%"}, 7, 7, 4, 3),
        ({"minAvailable": "0%"}, 7, 7, 0, 7),
        ({"maxUnavailable": 1}, 4, 4, 3, 1),
        ({"maxUnavailable": 1}, 4, 3, 3, 0),
        ({"maxUnavailable": 9}, 4, 2, 0, 2),
        ({"maxUnavailable": "30%"}, 7, 7, 4, 3),
        ({}, None, 2, 0, 2),
    ],
)
def test_what_is_healthy_beyond_what_is_wanted_may_go(
    spec: Any, expected: int | None, healthy: int, desired: int, allowed: int
) -> None:
    """8.1: both bounds, counts and shares; shares are rounded up, both of them."""
    assert needs_scale(from_object(PodDisruptionBudget, budget(**spec)).spec) == bool(expected)
    found = seen(budget(**spec), ready(healthy), expected).status
    assert (found.current_healthy, found.desired_healthy) == (healthy, desired)
    assert found.disruptions_allowed == allowed
    assert found.expected_pods == (healthy if expected is None else expected)
    assert found.observed_generation == 3
    (condition,) = found.conditions
    assert (condition.type, condition.status, condition.reason) == (
        ("DisruptionAllowed", "True", "SufficientPods")
        if allowed
        else ("DisruptionAllowed", "False", "InsufficientPods")
    )


def test_without_pods_nothing_is_allowed() -> None:
    """8.1: the first ones may be there before the next look."""
    assert seen(budget(maxUnavailable=1), ready(2), 0).status.disruptions_allowed == 0


def test_who_is_not_ready_or_goes_is_not_healthy() -> None:
    """8.1."""
    pods = [*ready(2), pod("u", is_ready=False), pod("d", deletionTimestamp=rfc3339(NOW))]
    assert seen(budget(minAvailable=1), pods).status.current_healthy == 2


def test_who_was_evicted_is_not_healthy_for_two_minutes() -> None:
    """8.1: disruptedPods, 2 min; unless it is deleted, when it need not be remembered."""
    evicted = {name: rfc3339(NOW) for name in ("p0", "d", "gone")}
    of = budget({"disruptedPods": evicted}, minAvailable=1)
    pods = [*ready(3), pod("d", deletionTimestamp=rfc3339(NOW))]
    found = seen(of, pods, now=NOW + 119)
    assert found.status.current_healthy == 2
    assert found.status.disrupted_pods == {"p0": rfc3339(NOW)}
    assert found.again_seconds == 2
    assert not found.not_deleted
    late = seen(of, pods, now=NOW + 121)
    assert late.status.current_healthy == 3
    assert late.status.disrupted_pods == {}
    assert [one.metadata.name for one in late.not_deleted] == ["p0"]


def test_what_cannot_be_told_allows_nothing() -> None:
    """8.1: condition SyncFailed."""
    told = {"disruptionsAllowed": 2, "currentHealthy": 3, "observedGeneration": 2}
    found = unknown(from_object(PodDisruptionBudget, budget(told)), "why", NOW)
    assert (found.disruptions_allowed, found.current_healthy) == (0, 3)
    (condition,) = found.conditions
    assert (condition.status, condition.reason, condition.message) == ("False", "SyncFailed", "why")
    assert found.observed_generation == condition.observed_generation == 2


@given(st.integers(0, 100), st.integers(0, 40), st.integers(0, 40))
def test_a_share_is_never_less_than_it_says(share: int, expected: int, healthy: int) -> None:
    """8.1: rounded up."""
    least = seen(budget(minAvailable=f"{share}%"), ready(healthy), expected).status
    assert (least.desired_healthy - 1) * 100 < share * expected <= least.desired_healthy * 100
    most = seen(budget(maxUnavailable=f"{share}%"), ready(healthy), expected).status
    gone = expected - most.desired_healthy
    assert (gone - 1) * 100 < share * expected <= gone * 100
    for found in (least, most):
        assert found.disruptions_allowed <= max(0, healthy - found.desired_healthy)


# ------------------------------------------------------------------------------ on a store


class Shop:
    """A namespace with a budget."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.budgets = cluster.resource("poddisruptionbudgets")

    async def put(self, plural: str, name: str, owner: Any = None, **spec: Any) -> Object:
        metadata: dict[str, Any] = {"name": name, "namespace": self.namespace}
        if owner is not None:
            metadata["ownerReferences"] = [reference_to(owner, controller=True)]
        return await self.cluster.create(plural, {"metadata": metadata, "spec": spec})

    async def run(self, *names: str, owner: Any = None) -> None:
        for name in names:
            body = pod(name, namespace=self.namespace, owner=owner)
            await self.cluster.create("pods", body)

    async def budget(self, **spec: Any) -> None:
        metadata = {"name": "b", "namespace": self.namespace, "generation": 3}
        await self.cluster.create("poddisruptionbudgets", {**budget(**spec), "metadata": metadata})

    async def status(self) -> Any:
        found = await self.cluster.find("poddisruptionbudgets", self.namespace, "b")
        return (found or {}).get("status") or {}

    async def expects(self, expected: int, allowed: int) -> bool:
        status = await self.status()
        return (status.get("expectedPods"), status.get("disruptionsAllowed")) == (expected, allowed)


@pytest.fixture
def shop(cluster: Cluster, namespace: str) -> Shop:
    return Shop(cluster, namespace)


async def test_a_budget_follows_its_pods(shop: Shop) -> None:
    """8.1."""
    pods = shop.cluster.resource("pods")
    async with shop.cluster.running(disruption_budgets.controller):
        await shop.budget(minAvailable=1)
        await until(lambda: shop.expects(0, 0))
        await shop.run("a", "c")
        await until(lambda: shop.expects(2, 1))
        await shop.cluster.store.delete(pods, shop.namespace, "a")
        await until(lambda: shop.expects(1, 0))
        status = await shop.status()
        assert status["observedGeneration"] == 3
        assert status["desiredHealthy"] == status["currentHealthy"] == 1


async def test_the_scale_is_that_of_the_owners(shop: Shop) -> None:
    """8.1: a ReplicaSet of a Deployment counts as the Deployment, once; others count besides."""
    deployment = await shop.put("deployments", "d", replicas=8)
    replica_set = await shop.put("replicasets", "r", owner=deployment, replicas=3)
    old = await shop.put("replicasets", "o", owner=deployment, replicas=5)
    lone = await shop.put("replicasets", "l", replicas=2)
    stateful = await shop.put("statefulsets", "s", replicas=1)
    controller = await shop.put("replicationcontrollers", "c", replicas=4)
    for name, owner in (("a", replica_set), ("b", replica_set), ("c", old), ("d", lone)):
        await shop.run(name, owner=owner)
    await shop.run("e", owner=stateful)
    await shop.run("f", owner=controller)
    async with shop.cluster.running(disruption_budgets.controller):
        await shop.budget(maxUnavailable="80%")
        await until(lambda: shop.expects(15, 3))


async def test_custom_resources_have_a_scale(shop: Shop) -> None:
    """8.1: CRs by their scale sub-resource."""
    group = f"{shop.namespace}.example.com"
    body = established(definition("gears", "Gear", group))
    body["spec"]["versions"][0]["subresources"] = {
        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    }
    await shop.cluster.create("customresourcedefinitions", body)
    second = definition("axles", "Gear", group)  # never accepted: nobody looks there
    await shop.cluster.create("customresourcedefinitions", second)
    made = await shop.cluster.find("customresourcedefinitions", "", f"gears.{group}")
    assert made is not None
    gears = custom_resources([made])[0]
    metadata = {"name": "g", "namespace": shop.namespace}
    gear = await shop.cluster.store.create(gears, {"metadata": metadata, "spec": {"size": 3}})
    await shop.run("a", "b", owner=gear)
    async with shop.cluster.running(disruption_budgets.controller):
        await shop.budget(minAvailable="34%")
        await until(lambda: shop.expects(3, 0))


@pytest.mark.parametrize(
    ("plural", "message"),
    [
        ("configmaps", "configmaps does not implement the scale subresource"),
        ("", 'found no controllers for pod "a"'),
    ],
)
async def test_owners_without_a_scale_are_told(shop: Shop, plural: str, message: str) -> None:
    """8.1: SyncFailed."""
    owner: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "gone", "uid": "gone"},
    }
    if plural:
        owner = await shop.put(plural, "m")
    await shop.run("a", owner=owner)
    async with shop.cluster.running(disruption_budgets.controller):
        await shop.budget(maxUnavailable=1)

        async def is_told() -> bool:
            conditions = (await shop.status()).get("conditions") or [{}]
            return (conditions[0].get("reason"), conditions[0].get("message")) == (
                "SyncFailed",
                message,
            )

        await until(is_told)
    assert (await shop.status())["disruptionsAllowed"] == 0


async def test_an_eviction_is_not_forgotten(shop: Shop) -> None:
    """8.1: who counts and is overtaken by one has to count again."""
    await shop.budget(minAvailable=1)
    store = shop.cluster.store
    live = await store.get(shop.budgets, shop.namespace, "b")
    record = from_object(PodDisruptionBudget, live)
    spent = {"disruptionsAllowed": 0, "disruptedPods": {"a": rfc3339(NOW)}}
    await store.update(shop.budgets, shop.namespace, "b", lambda old: {**old, "status": spent})
    counted = seen(live, ready(2)).status
    with pytest.raises(ApiError) as raised:
        await disruption_budgets._write(store, shop.budgets, live, record, counted)
    assert raised.value.code == 409
    assert await shop.status() == spent


async def test_a_budget_is_counted_beside_what_is_none(shop: Shop) -> None:
    """8.1: neither a pod nor a budget that a stranger wrote keeps it from that."""
    broken = {"metadata": {"name": "x", "namespace": shop.namespace, "labels": LABELS}, "spec": 3}
    await shop.cluster.create("pods", broken)
    metadata = {"name": "a", "namespace": shop.namespace}
    await shop.cluster.create("poddisruptionbudgets", {"metadata": metadata, "spec": []})
    await shop.run("a", "c")
    async with shop.cluster.running(disruption_budgets.controller):
        await shop.budget(minAvailable=1)
        await until(lambda: shop.expects(2, 1))
