"""`metadata.generation`: how often what is wanted of an object has changed. PURE.

Whoever writes asks here, the API server as the store that guards all writes.
Source: Kubernetes' API conventions, "Metadata"; kube-behaviour.md 2.12.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.api.resource import Object, Resource


def of_new(resource: Resource) -> int | None:
    """Of an object to be; None: its kind does not count."""
    return 1 if _is_counted(resource) else None


def of_changed(resource: Resource, new: Object, old: Object) -> int | None:
    """One more than before when the spec is another; None: there is none."""
    known: int | None = old["metadata"].get("generation")
    if not _is_counted(resource):
        return known
    return int(known or 0) + (not _is_same_spec(resource, new, old))


def of_doomed(metadata: Mapping[str, Any]) -> int | None:
    """That an object is to go is a change of what is wanted, of kinds that do not count as well."""
    known: int | None = metadata.get("generation")
    return known + 1 if known else known


def _is_counted(resource: Resource) -> bool:
    return resource.has_generation or resource.is_custom


def _is_same_spec(resource: Resource, new: Object, old: Object) -> bool:
    """Of custom resources all but metadata and status is spec."""
    if not resource.is_custom:
        return bool(new.get("spec") == old.get("spec"))
    outside = {"apiVersion", "kind", "metadata"}
    if "status" in resource.subresources:
        outside.add("status")
    return _without(new, outside) == _without(old, outside)


def _without(obj: Object, outside: set[str]) -> dict[str, Any]:
    return {name: child for name, child in obj.items() if name not in outside}
