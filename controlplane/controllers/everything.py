"""All objects of all resources as one: who they are, whose they are, and what holds them. PURE.

One list and one watch tell of all of them, custom ones as well, in the order of their writes: so
whoever has heard that an owner is deleted has heard of each dependant that was there by then.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.api.resource import Object, Resource, Strategy
from controlplane.api.schema import Schema

_KEPT = (
    "uid",
    "name",
    "namespace",
    "resourceVersion",
    "finalizers",
    "deletionTimestamp",
)


class _Everything(Resource, frozen=True):
    """The keys of all resources. `Key.namespace` is the whole place: `core/pods/default`."""

    @property
    def key_prefix(self) -> str:
        return "/registry/"


def _trimmed(obj: Object) -> Object:
    """What anyone asks for here: a process holds all objects, and most of them are large."""
    found = obj.get("metadata")
    metadata: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    kept = {field: metadata[field] for field in _KEPT if field in metadata}
    owners = metadata.get("ownerReferences")
    if isinstance(owners, list):
        kept["ownerReferences"] = [one for one in owners if isinstance(one, Mapping)]
    trimmed = {
        "apiVersion": str(obj.get("apiVersion", "")),
        "kind": str(obj.get("kind", "")),
        "metadata": kept,
    }
    status = obj.get("status")
    phase = status.get("phase") if isinstance(status, Mapping) else None
    return {**trimmed, "status": {"phase": phase}} if isinstance(phase, str) else trimmed


EVERYTHING = _Everything(
    group="",
    version="",
    kind="",
    plural="everything",
    singular="",
    is_namespaced=False,
    schema=Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {}),
    strategy=Strategy(from_storage=_trimmed),
)
"""To be listed and watched only: nothing is written by it."""
