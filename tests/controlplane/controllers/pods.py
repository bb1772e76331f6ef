"""Pods of the tests of workloads, as structs and as objects, and a stand-in for nodes."""

from collections.abc import Callable, Mapping
from typing import Any

from controlplane.api.meta import rfc3339
from controlplane.api.resource import Object, Resource
from controlplane.api.types.core_v1 import (
    ContainerStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
)
from controlplane.api.types.meta_v1 import ObjectMeta, OwnerReference
from controlplane.controller import Controller, Lister
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore
from tests.controlplane.controllers.objects import NOW


def pod(
    name: str = "p",
    *,
    phase: str = "Running",
    node: str = "n1",
    ready_at: float | None = None,
    created_at: float = NOW - 1000,
    cost: str = "",
    restarts: int = 0,
    owner_uid: str = "",
    labels: Mapping[str, str] = {},
    is_going: bool = False,
) -> Pod:
    """ready_at: since when, in seconds since 1970; None: it is not ready."""
    annotations = {"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {}
    owners = (OwnerReference(uid=owner_uid, controller=True),) if owner_uid else ()
    conditions: tuple[PodCondition, ...] = ()
    if ready_at is not None:
        conditions = (
            PodCondition(type="Ready", status="True", last_transition_time=rfc3339(ready_at)),
        )
    statuses = (ContainerStatus(name="c", restart_count=restarts),) if restarts else ()
    return Pod(
        metadata=ObjectMeta(
            name=name,
            uid=name,
            labels=labels,
            annotations=annotations,
            owner_references=owners,
            creation_timestamp=rfc3339(created_at),
            deletion_timestamp=rfc3339(NOW) if is_going else None,
        ),
        spec=PodSpec(node_name=node),
        status=PodStatus(phase=phase, conditions=conditions, container_statuses=statuses),
    )


def template(image: str = "app:1", **labels: str) -> dict[str, Any]:
    """A template as a user writes it."""
    return {
        "metadata": {"labels": labels or {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    }


def ready(found: Object, now: float) -> Object:
    """A pod as a node tells of it once its containers run."""
    status = {
        **(found.get("status") or {}),
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(now)}],
    }
    spec = {**(found.get("spec") or {}), "nodeName": "n1"}
    return {**found, "spec": spec, "status": status}


def node(pods: Resource, runs: Callable[[str], bool] = lambda image: True) -> Controller:
    """Stands in for scheduler and agents: new pods run and are ready, deleted ones are gone.

    runs  whether pods of an image become ready
    """

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        found = lister.get(pods, key)
        if found is None:
            return
        uid = found["metadata"]["uid"]
        if found["metadata"].get("deletionTimestamp"):
            options = DeleteOptions(grace_period_seconds=0, uid=uid)
            await store.delete(pods, *key, options=options)
        elif not found["spec"].get("nodeName") and runs(found["spec"]["containers"][0]["image"]):
            now = store.clock()
            await store.update(pods, *key, lambda old: ready(old, now), uid=uid)

    return Controller("node", pods, reconcile, workers=10)
