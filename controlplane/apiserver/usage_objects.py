"""metrics.k8s.io/v1beta1: its resources, and its objects out of what agents say. PURE.

Source: Kubernetes' documentation, "Resource metrics pipeline", and the API reference of
NodeMetrics and PodMetrics.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from controlplane.api import meta, quantity
from controlplane.api.resource import Column, Object, Resource
from controlplane.api.schema import Schema

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
NANOS = 1_000_000_000
WINDOW = "15s"
"""The time over which agents tell how much CPU was used."""

_TEXT: dict[str, Any] = {"type": "string"}
_USAGE: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}
_CONTAINERS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": _TEXT, "usage": _USAGE}},
}


def resources() -> tuple[Resource, Resource]:
    """Of nodes and of pods."""
    return (
        _resource("NodeMetrics", "nodes", {"usage": _USAGE}, is_namespaced=False),
        _resource("PodMetrics", "pods", {"containers": _CONTAINERS}, is_namespaced=True),
    )


def _resource(
    kind: str, plural: str, fields: Mapping[str, Any], *, is_namespaced: bool
) -> Resource:
    every = {
        "apiVersion": _TEXT,
        "kind": _TEXT,
        "metadata": {"type": "object"},
        "timestamp": _TEXT,
        "window": _TEXT,
        **fields,
    }
    return Resource(
        group=GROUP,
        version=VERSION,
        kind=kind,
        plural=plural,
        singular="",
        is_namespaced=is_namespaced,
        schema=Schema({"type": "object", "properties": every}, {}),
        storage_version=VERSION,
        list_kind=f"{kind}List",
        verbs=("get", "list"),
        columns=(
            Column(name="Name", format="name", path=".metadata.name"),
            Column(name="Window", path=".window"),
        ),
    )


def node_metrics(
    name: str, labels: Mapping[str, str], summary: Object, now: float
) -> Object | None:
    """Of a node; None: its agent does not know yet how much is used. now: seconds since 1970"""
    node = summary.get("node") or {}
    usage = _usage(node)
    if usage is None:
        return None
    return _object("NodeMetrics", {"name": name}, labels, node, now) | {"usage": usage}


def pod_metrics(labels: Mapping[str, str], told: Object, now: float) -> Object | None:
    """Of a pod of a summary; None: of none of its containers it is known yet how much is used."""
    containers = [
        {"name": str(one.get("name", "")), "usage": usage}
        for one in told.get("containers") or ()
        if (usage := _usage(one)) is not None
    ]
    if not containers:
        return None
    whom = told.get("podRef") or {}
    metadata = {"name": str(whom.get("name", "")), "namespace": str(whom.get("namespace", ""))}
    first = told["containers"][0]
    found = _object("PodMetrics", metadata, labels, first, now)
    return found | {"containers": containers}


def pods_of(summary: Object) -> Iterator[tuple[tuple[str, str], Object]]:
    """((namespace, name), what is told) of each pod of a summary."""
    for pod in summary.get("pods") or ():
        whom = pod.get("podRef") or {}
        yield (str(whom.get("namespace", "")), str(whom.get("name", ""))), pod


def _object(
    kind: str, metadata: Object, labels: Mapping[str, str], told: Object, now: float
) -> dict[str, Any]:
    known = {**metadata, "creationTimestamp": meta.rfc3339(now)}
    if labels:
        known["labels"] = dict(labels)
    return {
        "kind": kind,
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": known,
        "timestamp": str((told.get("cpu") or {}).get("time") or meta.rfc3339(now)),
        "window": WINDOW,
    }


def _usage(told: Object) -> dict[str, str] | None:
    nanos = (told.get("cpu") or {}).get("usageNanoCores")
    memory = (told.get("memory") or {}).get("workingSetBytes")
    if not isinstance(nanos, int) or not isinstance(memory, int):
        return None
    return {
        "cpu": quantity.render(Fraction(nanos, NANOS), "DecimalSI"),
        "memory": quantity.render(Fraction(memory), "BinarySI"),
    }
