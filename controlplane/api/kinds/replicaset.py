"""ReplicaSets. PURE.

Source: Kubernetes' API reference of ReplicaSet; kube-behaviour 4.1.
"""

from collections.abc import Iterator

from controlplane.api import cells
from controlplane.api.causes import invalid
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.templates import (
    default_template,
    prepare_create,
    prepare_update,
    validate_counts,
    validate_selected_template,
)

_AT_MOST_REPLICAS = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def _default(replica_set: Object) -> Object:
    return default_template(replica_set, "spec", "template")


def _validate(replica_set: Object) -> list[Cause]:
    spec = replica_set.get("spec") or {}
    return [
        *validate_counts(spec, "spec", "replicas", "minReadySeconds"),
        *validate_selected_template(spec, "spec", "ReplicaSet"),
    ]


def _validate_update(new: Object, old: Object) -> list[Cause]:
    status = new.get("status") or {}
    return [] if status == old.get("status") else list(_status(status))


def _status(status: Object) -> Iterator[Cause]:
    counts = ("replicas", *_AT_MOST_REPLICAS, "observedGeneration")
    yield from validate_counts(status, "status", *counts)
    replicas = status.get("replicas") or 0
    for field in _AT_MOST_REPLICAS:
        found = status.get(field) or 0
        if found > replicas:
            yield invalid(f"status.{field}", found, "cannot be greater than status.replicas")
    available = status.get("availableReplicas") or 0
    if available > (status.get("readyReplicas") or 0):
        yield invalid("status.availableReplicas", available, "cannot be greater than readyReplicas")


STRATEGY = Strategy(
    default=_default,
    prepare_create=prepare_create("spec", "template"),
    prepare_update=prepare_update("spec", "template"),
    validate=_validate,
    validate_update=_validate_update,
    cells={
        **cells.workload("spec", "template", "spec"),
    },
)
