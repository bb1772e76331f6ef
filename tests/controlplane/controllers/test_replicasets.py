"""ReplicaSets have as many pods as they want. Numbers are rows of kube-behaviour.md."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import ApiError, forbidden
from controlplane.api.meta import rfc3339
from controlplane.api.types.apps_v1 import ReplicaSet, ReplicaSetSpec
from controlplane.api.types.meta_v1 import LabelSelector, ObjectMeta
from controlplane.controllers import replicasets, resource_quota, service_accounts
from controlplane.controllers.batches import in_batches
from controlplane.controllers.replica_status import Failure, again_in, status_of
from controlplane.controllers.replicasets import plan
from controlplane.controllers.scale_down import deletion_cost, most_dispensable
from controlplane.objects import ObjectStore
from kvstore.client import Client
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import NOW
from tests.controlplane.controllers.pods import node, pod, template


def replica_set(replicas: int | None, min_ready_seconds: int = 0, **metadata: Any) -> ReplicaSet:
    return ReplicaSet(
        metadata=ObjectMeta(name="rs", namespace="n", uid="rs", **metadata),
        spec=ReplicaSetSpec(
            replicas=replicas,
            min_ready_seconds=min_ready_seconds,
            selector=LabelSelector(match_labels={"app": "web"}),
        ),
    )


# ------------------------------------------------------------------------ the plan


def test_difference_to_active_pods_is_made_up() -> None:
    """4.1: at most 500 in one look."""
    assert plan(replica_set(3), [pod("a")], [], NOW).create == 2
    assert plan(replica_set(None), [], [], NOW).create == 1
    assert plan(replica_set(2), [pod("a"), pod("b")], [], NOW) == replicasets.Plan()
    assert plan(replica_set(1000), [], [], NOW).create == 500
    many = [pod(str(number)) for number in range(1200)]
    assert len(plan(replica_set(0), many, many, NOW).delete) == 500


def test_what_is_being_deleted_makes_nothing() -> None:
    """4.1."""
    going = replica_set(3, deletion_timestamp=rfc3339(NOW))
    assert plan(going, [], [], NOW) == replicasets.Plan()


ORDER = [
    pod("unscheduled", node="", phase="Pending"),
    pod("pending", phase="Pending"),
    pod("unknown", phase="Unknown"),
    pod("not-ready"),
    pod("cheap", ready_at=NOW - 500, cost="-1"),
    pod("crowded", ready_at=NOW - 500, node="n2"),
    pod("ready-lately", ready_at=NOW - 5),
    pod("restarting", ready_at=NOW - 500, restarts=3),
    pod("newer", ready_at=NOW - 500, created_at=NOW - 600),
    pod("older", ready_at=NOW - 500, created_at=NOW - 6000),
    pod("dear", ready_at=NOW - 5, cost="10"),
]
"""Each stands before the next for another reason."""


@given(st.integers(0, 1000))
def test_pods_go_in_kubernetes_order(seed: int) -> None:
    """4.1: unscheduled, Pending < Unknown < Running, not ready, cost, co-located, ready lately,
    restarts, newer.
    """
    crowd = [pod(f"sibling-{number}", node="n2") for number in range(20)]
    shuffled = Random(seed).sample(ORDER, len(ORDER))
    found = most_dispensable(shuffled, len(ORDER), [*shuffled, *crowd], NOW)
    assert [one.metadata.name for one in found] == [one.metadata.name for one in ORDER]


def test_pods_of_about_one_age_are_alike() -> None:
    """4.1: ages count by their magnitude, as in Kubernetes (LogarithmicScaleDown)."""
    alike = [
        pod("a", ready_at=NOW - 1000, created_at=NOW - 1020),
        pod("b", ready_at=NOW - 900, created_at=NOW - 910),
    ]
    assert most_dispensable(alike, 1, alike, NOW) == [alike[0]]


@pytest.mark.parametrize(
    ("told", "cost"),
    [("7", 7), ("-7", -7), ("+7", 0), ("07", 0), ("x", 0), ("2147483648", 0), ("٣", 0)],
)
def test_cost_is_a_plain_number(told: str, cost: int) -> None:
    """4.1: controller.kubernetes.io/pod-deletion-cost."""
    assert deletion_cost(pod(cost=told)) == cost


def test_nodes_with_more_pods_of_the_owner_are_relieved() -> None:
    """4.1: also those of its other ReplicaSets, as far as they are active."""
    mine = [pod("a", node="n1", ready_at=NOW - 9), pod("b", node="n2", ready_at=NOW - 9)]
    others = [pod("c", node="n2"), pod("d", node="n1", phase="Failed"), pod("e", is_going=True)]
    assert most_dispensable(mine, 1, [*mine, *others], NOW) == [mine[1]]


# ---------------------------------------------------------------------- the status


def test_status_counts_pods() -> None:
    """4.1: replicas, fullyLabeledReplicas, readyReplicas, availableReplicas, observedGeneration."""
    wanted = replica_set(3, min_ready_seconds=10, generation=7)
    active = [
        pod("a", ready_at=NOW - 10),
        pod("b", ready_at=NOW - 9),
        pod("c"),
    ]
    status = status_of(wanted, active, 2, None, NOW)
    assert (status.replicas, status.fully_labeled_replicas) == (3, 3)
    assert (status.ready_replicas, status.available_replicas) == (2, 1)
    assert (status.observed_generation, status.terminating_replicas) == (7, 2)
    assert again_in(wanted, active, NOW) == 1.0
    assert again_in(wanted, active[:1], NOW) is None
    assert again_in(wanted, active, NOW - 3600) == 10.0, "the clock was set back, or a node's"


def test_failure_is_a_condition_until_it_is_over() -> None:
    """4.1: ReplicaFailure."""
    wanted = replica_set(3)
    failed = status_of(wanted, [], 0, Failure("FailedCreate", "no"), NOW)
    [condition] = failed.conditions
    assert (condition.type, condition.status) == ("ReplicaFailure", "True")
    assert (condition.reason, condition.message) == ("FailedCreate", "no")
    later = ReplicaSet(spec=wanted.spec, status=failed)
    again = status_of(later, [], 0, Failure("FailedCreate", "still no"), NOW + 60)
    [lasting] = again.conditions
    assert lasting.message == "still no"
    assert lasting.last_transition_time == condition.last_transition_time
    assert status_of(later, [], 0, None, NOW).conditions == ()


# ------------------------------------------------------------------- many at once


async def _batches(count: int, *, failing_from: int | None = None) -> list[int]:
    """How many there were at once, each time."""
    begun, batches = 0, []
    waiting: list[asyncio.Future[None]] = []

    async def act() -> None:
        nonlocal begun
        begun += 1
        number = begun
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        await future
        if failing_from is not None and number >= failing_from:
            raise forbidden("pods", "", "", "no")

    task = asyncio.ensure_future(in_batches(count, act))
    while not task.done():
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if waiting:
            batches.append(len(waiting))
            for future in waiting:
                future.set_result(None)
            waiting.clear()
        await asyncio.sleep(0)
    if failing_from is not None:
        assert isinstance(task.result(), ApiError)
    else:
        assert task.result() is None
    return batches


async def test_creation_starts_slowly() -> None:
    """4.1: 1, 2, 4 …"""
    assert await _batches(20) == [1, 2, 4, 8, 5]
    assert await _batches(0) == []


async def test_creation_stops_at_the_first_batch_that_fails() -> None:
    """4.1."""
    assert await _batches(500, failing_from=1) == [1]
    assert await _batches(500, failing_from=3) == [1, 2]


# ----------------------------------------------------------------- on real stores


def _replica_set(namespace: str, replicas: int, name: str = "web", **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": "web"}}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": selector, "template": template(), **spec},
    }


async def _pods(cluster: Cluster, namespace: str) -> Sequence[Any]:
    page = await cluster.store.list(cluster.resource("pods"), namespace)
    return page.items


async def _has(cluster: Cluster, namespace: str, count: int, **status: int) -> bool:
    found = await cluster.find("replicasets", namespace, "web")
    told = (found or {}).get("status") or {}
    if any(told.get(name, 0) != value for name, value in status.items()):
        return False
    return len(await _pods(cluster, namespace)) == count


async def test_replica_set_makes_keeps_and_takes_away_pods(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """4.1: whole life."""
    pods = cluster.resource("pods")
    await cluster.namespace(namespace)
    async with cluster.running(
        service_accounts.controller, replicasets.controller, lambda context: node(pods)
    ):
        made = await cluster.create("replicasets", _replica_set(namespace, 3))
        await until(lambda: _has(cluster, namespace, 3, replicas=3, availableReplicas=3))
        found = await _pods(cluster, namespace)
        for one in found:
            name = one["metadata"]["name"]
            assert name.startswith("web-")
            assert len(name) == len("web-") + 5
            [owner] = one["metadata"]["ownerReferences"]
            assert owner == {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "web",
                "uid": made["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        await store.delete(pods, namespace, found[0]["metadata"]["name"])
        gone = found[0]["metadata"]["uid"]

        async def is_replaced() -> bool:
            now = {one["metadata"]["uid"] for one in await _pods(cluster, namespace)}
            return len(now) == 3 and gone not in now

        await until(is_replaced)
        await store.update(
            cluster.resource("replicasets"),
            namespace,
            "web",
            lambda old: {**old, "spec": {**old["spec"], "replicas": 1}},
        )
        await until(lambda: _has(cluster, namespace, 1, replicas=1, observedGeneration=2))


async def test_pods_are_what_the_api_server_would_make_of_them(
    cluster: Cluster, namespace: str
) -> None:
    """11.4, 8.4, 8.6, 6.3: defaults and admission hold for controllers' pods as well."""
    await cluster.namespace(namespace)
    await cluster.create(
        "limitranges",
        {
            "metadata": {"name": "l", "namespace": namespace},
            "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]},
        },
    )
    async with cluster.running(service_accounts.controller, replicasets.controller):
        await cluster.create("replicasets", _replica_set(namespace, 1))
        await until(lambda: _has(cluster, namespace, 1))
    [found] = await _pods(cluster, namespace)
    spec = found["spec"]
    assert {(one["key"], one["tolerationSeconds"]) for one in spec["tolerations"]} == {
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    }
    assert (spec["serviceAccountName"], spec["priority"]) == ("default", 0)
    assert spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]
    assert (spec["restartPolicy"], spec["dnsPolicy"]) == ("Always", "ClusterFirst")
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "1"}
    assert found["status"] == {"phase": "Pending", "qosClass": "Burstable"}


async def test_orphans_are_adopted_and_strangers_let_go(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """4.1."""
    pods = cluster.resource("pods")
    await cluster.namespace(namespace)
    orphan = {
        "metadata": {"name": "orphan", "namespace": namespace, "labels": {"app": "web"}},
        "spec": template()["spec"],
    }
    await store.create(pods, orphan)
    async with cluster.running(service_accounts.controller, replicasets.controller):
        made = await cluster.create("replicasets", _replica_set(namespace, 1))
        uid = made["metadata"]["uid"]

        async def owners(name: str) -> list[str]:
            found = await cluster.find("pods", namespace, name)
            assert found is not None
            return [one["uid"] for one in found["metadata"].get("ownerReferences") or ()]

        async def is_adopted() -> bool:
            return await owners("orphan") == [uid]

        await until(is_adopted)
        assert len(await _pods(cluster, namespace)) == 1, "it is the one that was wanted"
        await store.update(
            pods,
            namespace,
            "orphan",
            lambda old: {**old, "metadata": {**old["metadata"], "labels": {"app": "debug"}}},
        )

        async def is_released() -> bool:
            return await owners("orphan") == [] and len(await _pods(cluster, namespace)) == 2

        await until(is_released)
        # One that comes later is too many: of the two, one goes.
        await store.create(pods, {**orphan, "metadata": {**orphan["metadata"], "name": "late"}})

        async def is_one() -> bool:
            found = await _pods(cluster, namespace)
            owned = [one for one in found if one["metadata"].get("ownerReferences")]
            return len(owned) == 1 and len(found) == 2

        await until(is_one)


async def _refused(cluster: Cluster, namespace: str) -> str:
    """What its condition tells; empty: it has none."""
    found = await cluster.find("replicasets", namespace, "web")
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    expected = ("ReplicaFailure", "True", "FailedCreate")
    return next(
        (
            str(one["message"])
            for one in conditions
            if (one["type"], one["status"], one["reason"]) == expected
        ),
        "",
    )


async def test_quota_is_never_exceeded_and_used_up(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """8.2, 4.1: FailedCreate in Kubernetes' words, and the rest when there is room."""
    await cluster.namespace(namespace)
    quotas = cluster.resource("resourcequotas")
    quota = {"metadata": {"name": "q", "namespace": namespace}, "spec": {"hard": {"pods": "5"}}}
    refusal = "is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5"
    async with cluster.running(
        resource_quota.controller, service_accounts.controller, replicasets.controller
    ) as context:
        await store.create(quotas, quota)

        async def is_used(count: str) -> bool:
            found = await store.get(quotas, namespace, "q")
            return ((found.get("status") or {}).get("used") or {}).get("pods") == count

        await until(lambda: is_used("0"))
        await cluster.create("replicasets", _replica_set(namespace, 9))
        await cluster.create("replicasets", _replica_set(namespace, 9, name="other"))
        await until(lambda: is_used("5"))

        async def is_told() -> bool:
            return refusal in await _refused(cluster, namespace)

        await until(is_told)
        assert len(await _pods(cluster, namespace)) == 5
        await context.recorder.flush()
        page = await store.list(cluster.resource("events"), namespace)
        told = {(one["reason"], one["type"], one["message"]) for one in page.items}
        assert ("FailedCreate", "Warning", f'Error creating: pods "web-" {refusal}') in told
        await store.update(
            quotas, namespace, "q", lambda old: {**old, "spec": {"hard": {"pods": "18"}}}
        )

        async def is_whole() -> bool:
            is_over = not await _refused(cluster, namespace)
            return is_over and len(await _pods(cluster, namespace)) == 18

        await until(is_whole)


async def test_replication_controller_is_the_same(cluster: Cluster, namespace: str) -> None:
    """4.16: an equality selector; it, too, replaces, counts and lets go."""
    pods = cluster.resource("pods")
    await cluster.namespace(namespace)
    async with cluster.running(
        service_accounts.controller,
        replicasets.replication_controller,
        lambda context: node(pods),
    ):
        metadata = {"name": "rc", "namespace": namespace}
        spec = {"replicas": 2, "selector": {"app": "web"}, "template": template()}
        await cluster.create("replicationcontrollers", {"metadata": metadata, "spec": spec})

        async def is_there() -> bool:
            found = await cluster.find("replicationcontrollers", namespace, "rc")
            status = (found or {}).get("status") or {}
            return bool(status.get("availableReplicas") == 2 and status["replicas"] == 2)

        await until(is_there)
        found = await _pods(cluster, namespace)
        assert len(found) == 2
        owner = found[0]["metadata"]["ownerReferences"][0]
        assert (owner["apiVersion"], owner["kind"]) == ("v1", "ReplicationController")


async def test_pods_that_nobody_can_read_stop_nobody(
    cluster: Cluster, store: ObjectStore, client: Client, namespace: str
) -> None:
    """4.1: one that has the labels, and one that was ours."""
    pods = cluster.resource("pods")
    await cluster.namespace(namespace)
    key = pods.key(namespace, "strange")
    metadata = {"name": "strange", "namespace": namespace, "labels": {"app": "web"}}
    strange = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [3]}}
    await client.put(key, orjson.dumps(strange))
    async with cluster.running(service_accounts.controller, replicasets.controller):
        await cluster.create("replicasets", _replica_set(namespace, 2))
        await until(lambda: _has(cluster, namespace, 3, replicas=2))
        found = await _pods(cluster, namespace)
        name = next(one["metadata"]["name"] for one in found if "generateName" in one["metadata"])
        await store.update(pods, namespace, name, lambda old: {**old, "spec": {"containers": [3]}})
        await until(lambda: _has(cluster, namespace, 4, replicas=2))
    for one in await _pods(cluster, namespace):
        await client.delete(pods.key(namespace, one["metadata"]["name"]))


async def test_pods_become_available_by_waiting(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """4.1: minReadySeconds; nothing happens when they do."""
    pods = cluster.resource("pods")
    await cluster.namespace(namespace)
    async with cluster.running(
        service_accounts.controller, replicasets.controller, lambda context: node(pods)
    ):
        await cluster.create("replicasets", _replica_set(namespace, 2, minReadySeconds=2))
        await until(lambda: _has(cluster, namespace, 2, readyReplicas=2, availableReplicas=0))
        await until(lambda: _has(cluster, namespace, 2, readyReplicas=2, availableReplicas=2))


async def test_thousand_pods_are_a_matter_of_seconds(cluster: Cluster, namespace: str) -> None:
    """4.1: two looks of 500."""
    await cluster.namespace(namespace)
    async with cluster.running(service_accounts.controller, replicasets.controller):
        await cluster.create("replicasets", _replica_set(namespace, 1000))
        await until(lambda: _has(cluster, namespace, 1000, replicas=1000))
