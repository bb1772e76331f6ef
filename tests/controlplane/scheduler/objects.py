"""Pods and nodes of the scheduler's tests, as their JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.record import from_object
from controlplane.api.selectors import LabelSelector
from controlplane.api.types.core_v1 import Node, Pod
from controlplane.scheduler.node_facts import NodeFacts, facts_of
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClasses, PodFacts
from controlplane.scheduler.priorities import Priorities

Object = dict[str, Any]
CLASSES = PodClasses()
GI = 1024**3


def node(name: str, labels: Mapping[str, str] = {}, **changes: Any) -> Object:
    """With 4 cores, 8 GiB and room for 110 pods."""
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "110", **changes.pop("allocatable", {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {
            key: value for key, value in changes.items() if key in ("taints", "unschedulable")
        },
        "status": {"allocatable": allocatable, "images": changes.get("images", [])},
    }


def pod(
    name: str,
    labels: Mapping[str, str] = {},
    *,
    cpu: str = "",
    memory: str = "",
    namespace: str = "default",
    containers: Sequence[Object] = (),
    requests: Mapping[str, str] = {},
    status: Object | None = None,
    **spec: Any,
) -> Object:
    """With one container that asks for what is given."""
    asked = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value} | dict(
        requests
    )
    one = {"name": "main", "image": "app", "resources": {"requests": asked}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": dict(labels),
        },
        "spec": {"containers": list(containers) or [one], **spec},
        "status": status or {},
    }


def facts(obj: Object, default: LabelSelector | None = None, **changes: Any) -> PodFacts:
    """As the scheduler knows a pod."""
    found = from_object(Pod, obj)
    changes.setdefault("priority", Priorities().of(found.spec))
    return CLASSES.facts(found, default=default, **changes)


def node_facts(obj: Object) -> NodeFacts:
    """As the scheduler knows a node."""
    return facts_of(from_object(Node, obj))


def table(nodes: Sequence[Object], placed: Sequence[tuple[Object, str]] = ()) -> NodeTable:
    """A table of nodes with pods on them."""
    made = NodeTable()
    for one in nodes:
        made.set_node(node_facts(one))
    for obj, name in placed:
        made.add_pod(facts(obj), name)
    return made
