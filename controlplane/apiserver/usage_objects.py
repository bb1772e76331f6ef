"""metrics.k8s.io/v1beta1: its resources, and its objects out of what agents say. PURE.

An agent is believed of its own node and the pods that are bound to it only, and not at all when
what it says has not the shape of a summary.

Source: Kubernetes' documentation, "Resource metrics pipeline", "Node metrics data" (summary), and
the API reference of NodeMetrics and PodMetrics.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

import msgspec

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


class _Word(msgspec.Struct, frozen=True, rename="camel"):
    """A part of a summary; what it does not know yet is null or left out."""


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Cpu(_Word, frozen=True):
    time: str | None = None
    usage_nano_cores: _Count | None = None


class _Memory(_Word, frozen=True):
    working_set_bytes: _Count | None = None


class Used(_Word, frozen=True):
    """By a container, or by a node."""

    name: str = ""
    cpu: _Cpu | None = None
    memory: _Memory | None = None


class _PodReference(_Word, frozen=True):
    name: str = ""
    namespace: str = ""


class PodUsed(_Word, frozen=True):
    """By the containers of a pod."""

    pod_ref: _PodReference = _PodReference()
    containers: tuple[Used, ...] | None = None


class Summary(_Word, frozen=True):
    """What an agent says."""

    node: Used | None = None
    pods: tuple[PodUsed, ...] | None = None


def summary_of(told: object) -> Summary | None:
    """What an agent answered, decoded from JSON; None: it is no summary."""
    try:
        return msgspec.convert(told, Summary)
    except msgspec.ValidationError:
        return None


def node_metrics(
    name: str, labels: Mapping[str, str], summary: Summary, now: float
) -> Object | None:
    """Of a node; None: its agent does not know yet how much is used. now: seconds since 1970"""
    usage = _usage(summary.node)
    if summary.node is None or usage is None:
        return None
    return _object("NodeMetrics", {"name": name}, labels, summary.node, now) | {"usage": usage}


def pod_metrics(labels: Mapping[str, str], told: PodUsed, now: float) -> Object | None:
    """Of a pod of a summary; None: of none of its containers it is known yet how much is used."""
    known = [(one, usage) for one in told.containers or () if (usage := _usage(one)) is not None]
    if not known:
        return None
    metadata = {"name": told.pod_ref.name, "namespace": told.pod_ref.namespace}
    found = _object("PodMetrics", metadata, labels, known[0][0], now)
    return found | {"containers": [{"name": one.name, "usage": usage} for one, usage in known]}


def pods_of(summaries: Mapping[str, Summary]) -> dict[tuple[str, str, str], PodUsed]:
    """What is told of pods, by the node whose agent tells it, namespace and name."""
    return {
        (node, one.pod_ref.namespace, one.pod_ref.name): one
        for node, summary in summaries.items()
        for one in summary.pods or ()
    }


def _object(
    kind: str, metadata: Object, labels: Mapping[str, str], told: Used, now: float
) -> dict[str, Any]:
    known = {**metadata, "creationTimestamp": meta.rfc3339(now)}
    if labels:
        known["labels"] = dict(labels)
    return {
        "kind": kind,
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": known,
        "timestamp": (told.cpu and told.cpu.time) or meta.rfc3339(now),
        "window": WINDOW,
    }


def _usage(told: Used | None) -> dict[str, str] | None:
    if told is None or told.cpu is None or told.memory is None:
        return None
    nanos, memory = told.cpu.usage_nano_cores, told.memory.working_set_bytes
    if nanos is None or memory is None:
        return None
    return {
        "cpu": quantity.render(Fraction(nanos, NANOS), "DecimalSI"),
        "memory": quantity.render(Fraction(memory), "BinarySI"),
    }
