"""PersistentVolumes: what they are made of does not change. PURE.

Source: Kubernetes' API reference of PersistentVolume; kube-behaviour 9.1.
"""

from collections.abc import Iterator

from controlplane.api import syntaxes
from controlplane.api.causes import forbidden, invalid, not_supported, required
from controlplane.api.cells import at
from controlplane.api.checks import exactly_one, one_of_if_set, syntax_if_set, unchanged
from controlplane.api.errors import Cause
from controlplane.api.persistence import (
    CELLS,
    access_modes,
    validate_access_modes,
    validate_volume_mode,
)
from controlplane.api.placement import validate_node_selector
from controlplane.api.requirements import amount
from controlplane.api.resource import Object, Strategy

_RECLAIM = frozenset(("Delete", "Recycle", "Retain"))
_NOT_SOURCES = frozenset(
    (
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    )
)


def _prepare_create(volume: Object) -> Object:
    return {**volume, "status": {"phase": "Pending"}}


def _validate(volume: Object) -> list[Cause]:
    spec: Object = volume.get("spec") or {}
    return [
        *validate_access_modes(spec.get("accessModes") or [], "spec.accessModes"),
        *_capacity(spec),
        *_policies(spec),
        *_source(spec),
        *_affinity(spec),
    ]


def _capacity(spec: Object) -> Iterator[Cause]:
    capacity = spec.get("capacity") or {}
    if not capacity:
        yield required("spec.capacity")
    elif set(capacity) != {"storage"}:
        yield not_supported("spec.capacity", capacity, ("storage",))
    for name, value in capacity.items():
        number = amount(value)
        if number is not None and number <= 0:
            yield invalid(f"spec.capacity[{name}]", value, "must be greater than zero")


def _policies(spec: Object) -> Iterator[Cause]:
    policy = spec.get("persistentVolumeReclaimPolicy")
    yield from one_of_if_set("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM)
    if policy == "Recycle" and at(spec, "hostPath", "path") == "/":
        why = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden("spec.persistentVolumeReclaimPolicy", why)
    yield from validate_volume_mode(spec, "spec")
    name = spec.get("storageClassName")
    yield from syntax_if_set("spec.storageClassName", name, syntaxes.faults_of_subdomain)


def _source(spec: Object) -> Iterator[Cause]:
    kinds = [field for field in spec if field not in _NOT_SOURCES]
    yield from exactly_one("spec", spec, kinds, "volume type")
    needed = {"hostPath": ("path",), "local": ("path",), "csi": ("driver", "volumeHandle")}
    needed |= {"nfs": ("server", "path")}
    for kind, fields in needed.items():
        source = spec.get(kind)
        for field in fields if source is not None else ():
            if not (source or {}).get(field):
                yield required(f"spec.{kind}.{field}")
    path: str = at(spec, "hostPath", "path") or at(spec, "local", "path") or ""
    if ".." in path.split("/"):
        kind = "hostPath" if spec.get("hostPath") else "local"
        yield invalid(f"spec.{kind}.path", path, "must not contain '..'")


def _affinity(spec: Object) -> Iterator[Cause]:
    affinity = at(spec, "nodeAffinity", "required")
    if affinity is not None:
        yield from validate_node_selector(affinity, "spec.nodeAffinity.required")
    elif spec.get("nodeAffinity") is not None:
        yield required("spec.nodeAffinity.required", "must specify required node constraints")
    elif spec.get("local") is not None:
        yield required("spec.nodeAffinity", "Local volume requires node affinity")


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found: list[Cause] = []
    if _sources(spec) != _sources(before):
        why = "spec.persistentvolumesource is immutable after creation"
        found.append(forbidden("spec.persistentvolumesource", why))
    found += unchanged("spec.volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    if before.get("nodeAffinity"):
        now, was = spec.get("nodeAffinity"), before["nodeAffinity"]
        found += unchanged("spec.nodeAffinity", now, was)
    return found


def _sources(spec: Object) -> Object:
    return {field: value for field, value in spec.items() if field not in _NOT_SOURCES}


def _access_modes(volume: Object, now: float) -> str:
    return access_modes(at(volume, "spec", "accessModes"))


def _claim(volume: Object, now: float) -> str:
    claim = at(volume, "spec", "claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


STRATEGY = Strategy(
    prepare_create=_prepare_create,
    validate=_validate,
    validate_update=_validate_update,
    cells={**CELLS, "access_modes": _access_modes, "claim": _claim},
)
