"""Resources and objects of the machinery's tests."""

from collections.abc import Mapping
from typing import Any

from controlplane.api.lifecycle import pod_grace_seconds
from controlplane.api.resource import Object, Resource, Strategy
from controlplane.api.schema import Schema

ANYTHING = Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {})

WIDGETS = Resource(
    group="example.com",
    version="v1",
    kind="Widget",
    plural="widgets",
    singular="widget",
    is_namespaced=True,
    schema=ANYTHING,
    has_generation=True,
)
PODS = Resource(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    singular="pod",
    is_namespaced=True,
    schema=ANYTHING,
    has_generation=True,
    strategy=Strategy(grace_seconds=pod_grace_seconds),
)


def widget(namespace: str, name: str = "a", *, size: int = 1, **metadata: object) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"size": size},
    }


def with_size(obj: Object, size: int) -> Object:
    return {**obj, "spec": {**obj["spec"], "size": size}}


def with_metadata(obj: Object, **metadata: object) -> Object:
    kept: Mapping[str, Any] = {**obj["metadata"], **metadata}
    return {**obj, "metadata": {key: value for key, value in kept.items() if value is not None}}
