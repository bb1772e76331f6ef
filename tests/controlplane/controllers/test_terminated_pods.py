"""Pods that nobody will take away. Numbers are rows of kube-behaviour.md."""

from functools import partial
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from controlplane.api import stored
from controlplane.api.meta import rfc3339
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister
from controlplane.controllers import terminated_pods
from controlplane.controllers.context import ENDED_PODS_MAX, Context
from controlplane.controllers.terminated_pods import failed, is_lost, surplus_of
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.objects import ObjectStore
from kvstore.client import Client
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import NOW

GONE: dict[str, Any] = {"deletionTimestamp": rfc3339(NOW), "deletionGracePeriodSeconds": 30}
KINDS = ("nodes", "pods")
OUT = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}


def pod(
    name: str, *, node: str = "", phase: str = "Running", namespace: str = "n", **metadata: Any
) -> dict[str, Any]:
    spec = {"containers": [], **({"nodeName": node} if node else {})}
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


def node(*taints: Any, name: str = "n1", is_ready: bool = False) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True" if is_ready else "Unknown"}
    spec = {"taints": list(taints)}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [ready]}}


# ---------------------------------------------------------------------------------- plan


def test_the_oldest_beyond_so_many_go() -> None:
    """3.3: those that a node has evicted before all others."""
    ended = [pod(f"p{age}", creationTimestamp=rfc3339(NOW - age)) for age in range(5)]
    evicted: Object = {**pod("e", creationTimestamp=rfc3339(NOW)), "status": {"reason": "Evicted"}}
    found = surplus_of([*ended, evicted], 3)
    assert [one["metadata"]["name"] for one in found] == ["e", "p4", "p3"]
    assert not surplus_of(ended, 5)
    assert not surplus_of(ended, 0), "there is no limit"


def test_the_numbers_are_those_of_kubernetes() -> None:
    """3.3."""
    assert ENDED_PODS_MAX == 12_500
    assert terminated_pods.QUARANTINE_SECONDS == 40
    assert terminated_pods.CHECK_SECONDS == 20


@pytest.mark.parametrize(
    ("of", "on", "expected"),
    [
        (pod("p", node="n1", **GONE), node(OUT), True),
        (pod("p", node="n1", **GONE), node(), False),
        (pod("p", node="n1", **GONE), node(OUT, is_ready=True), False),
        (pod("p", node="n1"), node(OUT), False),
        (pod("p", node="n1", phase="Failed", **GONE), node(OUT), True),
        (pod("p", node="n1", **GONE), None, False),
    ],
)
def test_pods_of_a_node_out_of_service_are_lost(of: Object, on: Object, expected: bool) -> None:
    """6.3: the out-of-service taint, of a node that is not ready, and pods that are to go."""
    assert is_lost(of, on) == expected


def test_who_has_ended_stays_as_it_ended() -> None:
    ended = pod("p", phase="Succeeded")
    assert failed(ended, "why", NOW) is ended
    assert "conditions" not in failed(pod("p"), "", NOW)["status"]


# ------------------------------------------------------------------------------ on a store


class Lost:
    """Pods in a namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.pods = cluster.resource("pods")

    async def put(self, name: str, **told: Any) -> None:
        await self.cluster.create("pods", pod(name, namespace=self.namespace, **told))

    async def delete(self, name: str) -> None:
        await self.cluster.store.delete(self.pods, self.namespace, name)

    async def left(self, *names: str) -> bool:
        return await self.cluster.names("pods", self.namespace) == set(names)


@pytest.fixture
def lost(cluster: Cluster, namespace: str) -> Lost:
    return Lost(cluster, namespace)


async def test_pods_of_a_node_that_is_gone_go_after_a_while(lost: Lost) -> None:
    """3.3: marked as failed, condition DisruptionTarget DeletionByPodGC, then deleted by force."""
    name, other = f"node-{lost.namespace}", f"other-{lost.namespace}"
    await lost.cluster.create("nodes", node(name=other))
    await lost.put("a", node=name, finalizers=["example.com/look"])
    await lost.put("b", node=name)
    await lost.put("c", node=other)
    make = partial(terminated_pods.controller, quarantine_seconds=0.3)
    async with lost.cluster.running(make):
        await until(lambda: lost.left("a", "c"))
    found = await lost.cluster.find("pods", lost.namespace, "a")
    assert found is not None
    assert found["status"]["phase"] == "Failed"
    (condition,) = found["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("DisruptionTarget", "True")
    assert condition["reason"] == "DeletionByPodGC"
    assert condition["message"] == "PodGC: node no longer exists"


async def test_a_node_that_comes_back_in_time_keeps_its_pods(lost: Lost) -> None:
    """3.3: 40 s of quarantine."""
    name = f"node-{lost.namespace}"
    await lost.put("a", node=name)
    await lost.put("doomed", node=f"gone-{lost.namespace}")
    make = partial(terminated_pods.controller, quarantine_seconds=1.5)
    async with lost.cluster.running(make):
        await lost.cluster.create("nodes", node(name=name))
        await until(lambda: lost.left("a"))
    found = await lost.cluster.find("pods", lost.namespace, "a")
    assert found is not None
    assert found["status"]["phase"] == "Running"


async def test_who_is_to_go_and_has_no_node_goes(lost: Lost) -> None:
    """3.3: unscheduled terminating pods: what holds one still is told that it has failed."""
    for name in ("a", "b"):
        await lost.put(name, phase="Pending", finalizers=["example.com/look"])
    await lost.delete("b")

    async def phases() -> list[str]:
        found = (await lost.cluster.store.list(lost.pods, lost.namespace)).items
        return [one["status"]["phase"] for one in found]

    async def has_failed() -> bool:
        return await phases() == ["Pending", "Failed"]

    async with lost.cluster.running(terminated_pods.controller):
        await until(has_failed)


async def test_who_is_to_go_from_a_node_out_of_service_goes(lost: Lost) -> None:
    """6.3."""
    name = f"node-{lost.namespace}"
    await lost.cluster.create("nodes", node(name=name))
    await lost.put("a", node=name)
    await lost.put("b", node=name)
    await lost.delete("b")
    async with lost.cluster.running(terminated_pods.controller):
        await lost.cluster.store.update(
            lost.cluster.resource("nodes"), "", name, lambda old: {**old, "spec": {"taints": [OUT]}}
        )
        await until(lambda: lost.left("a"))


async def test_who_was_told_to_have_failed_there_goes_though_nobody_came_to_delete_it(
    lost: Lost,
) -> None:
    """6.3: whoever takes it away may end, or lose the store, between its two writes."""
    name = f"node-{lost.namespace}"
    await lost.cluster.create("nodes", node(OUT, name=name))
    await lost.put("a", node=name)
    await lost.delete("a")
    await lost.cluster.store.update(
        lost.pods, lost.namespace, "a", lambda old: {**old, "status": {"phase": "Failed"}}
    )
    async with lost.cluster.running(terminated_pods.controller):
        await until(lost.left)


async def test_a_clock_that_is_set_back_keeps_nobody_for_longer(
    client: Client, registry: Registry
) -> None:
    """3.3: 40 s, whatever the clock says."""
    wall = [NOW]
    store = ObjectStore(client, clock=lambda: wall[0])
    recorder = EventRecorder(store, "test")
    made = terminated_pods.controller(Context(registry=registry, recorder=recorder))
    nodes, pods = (next(one for one in registry.all() if one.plural == of) for of in KINDS)
    informers: dict[str, Informer[Object]] = {}
    for one in (nodes, pods):
        informers[one.key_prefix] = Informer(partial(stored.loads, one))
    for name, (resource, function) in made.indexes.items():
        informers[resource.key_prefix].indexer.add_index(name, function)
    left_behind = orjson.dumps(pod("p", node="n1"))
    informers[pods.key_prefix].replace({Key("n", "p"): left_behind}, 1)
    place, lister = Key("", "n1"), Lister(informers)
    assert await made.reconcile(place, lister, store) == 40.0
    wall[0] -= 3600
    assert await made.reconcile(place, lister, store) == 40.0
    wall[0] += 10
    assert await made.reconcile(place, lister, store) == 30.0


async def test_too_many_that_have_ended_go(cluster: Cluster, namespace: str) -> None:
    """3.3: the threshold is of the whole cluster, so that of others counts, too."""
    before = sum(
        one["status"].get("phase") in ("Succeeded", "Failed")
        for one in (await cluster.store.list(cluster.resource("pods"))).items
        if "phase" in (one.get("status") or {})
    )
    own = Lost(cluster, namespace)
    for age in range(4):
        # Older than whatever other tests have left.
        await own.put(f"p{age}", phase="Succeeded", creationTimestamp=rfc3339(NOW - 1e8 - age))
    await own.put("runs")

    def make(context: Context) -> Controller:
        return terminated_pods.controller(replace(context, ended_pods_max=before + 1))

    async with cluster.running(make):
        await until(lambda: own.left("p0", "runs"))
