"""What volumes, claims and classes share. PURE.

Source: Kubernetes, "Persistent Volumes", "Storage Classes"; kube-behaviour 9.1.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.api.causes import forbidden, not_supported, required
from controlplane.api.cells import UNSET, at, joined
from controlplane.api.checks import one_of_if_set
from controlplane.api.errors import Cause
from controlplane.api.resource import Object
from controlplane.api.tables import Cell

ACCESS_MODES: Mapping[str, str] = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
"""Mode -> how kubectl prints it, in the order in which it does."""
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
"""Finalizers that keep what is in use."""
VOLUME_MODES = frozenset(("Block", "Filesystem"))
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def validate_access_modes(modes: list[str], path: str) -> Iterator[Cause]:
    """At least one, and one that stands alone."""
    if not modes:
        yield required(path, "at least 1 access mode is required")
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield not_supported(path, mode, ACCESS_MODES.keys())
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden(path, "may not use ReadWriteOncePod with other access modes")


def validate_volume_mode(spec: Object, path: str) -> Iterator[Cause]:
    """Filesystem or Block."""
    yield from one_of_if_set(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)


def access_modes(modes: Any) -> str:
    """`RWO,ROX`."""
    return joined((short for mode, short in ACCESS_MODES.items() if mode in (modes or ())), "")


def phase(obj: Object, now: float) -> str:
    """The phase, or that it is about to go."""
    if at(obj, "metadata", "deletionTimestamp"):
        return "Terminating"
    return at(obj, "status", "phase") or ""


def storage_class(obj: Object, now: float) -> str:
    """By the annotation of old, or the field."""
    annotations = at(obj, "metadata", "annotations") or {}
    return annotations.get(_CLASS_ANNOTATION) or at(obj, "spec", "storageClassName") or ""


def or_unset(*path: str) -> Cell:
    """A field that has no default of its own in a Table."""

    def cell(obj: Object, now: float) -> str:
        value = at(obj, *path)
        return UNSET if value is None else str(value)

    return cell


CELLS: Mapping[str, Cell] = {
    "status": phase,
    "storage_class": storage_class,
    "attributes_class": or_unset("spec", "volumeAttributesClassName"),
    "volume_mode": or_unset("spec", "volumeMode"),
}
