"""PersistentVolumeClaims: they may grow, once they are bound. PURE.

Source: Kubernetes' API reference of PersistentVolumeClaim; kube-behaviour 9.1.
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api import selectors, syntaxes
from controlplane.api.causes import forbidden, invalid, required
from controlplane.api.cells import at
from controlplane.api.checks import syntax_if_set
from controlplane.api.errors import Cause
from controlplane.api.persistence import (
    CELLS,
    access_modes,
    validate_access_modes,
    validate_volume_mode,
)
from controlplane.api.requirements import amount
from controlplane.api.resource import Object, Strategy

_REQUEST = "spec.resources.requests.storage"
_MAY_CHANGE = (
    "spec is immutable after creation except resources.requests and "
    "volumeAttributesClassName for bound claims"
)


def _prepare_create(claim: Object) -> Object:
    return {**claim, "status": {"phase": "Pending"}}


def _validate(claim: Object) -> list[Cause]:
    spec: Object = claim.get("spec") or {}
    name = spec.get("storageClassName")
    return [
        *validate_access_modes(spec.get("accessModes") or [], "spec.accessModes"),
        *selectors.validate_selector(spec.get("selector"), "spec.selector"),
        *_size(spec),
        *syntax_if_set("spec.storageClassName", name, syntaxes.faults_of_subdomain),
        *validate_volume_mode(spec, "spec"),
    ]


def _size(spec: Object) -> Iterator[Cause]:
    value = at(spec, "resources", "requests", "storage")
    number = amount(value)
    if value is None:
        yield required(f"{_REQUEST.removesuffix('.storage')}[storage]")
    elif number is not None and number <= 0:
        at_size = f"{_REQUEST.removesuffix('.storage')}[storage]"
        yield invalid(at_size, value, "must be greater than zero")


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec == before:
        return []
    is_bound = at(old, "status", "phase") == "Bound"
    found: list[Cause] = []
    if _settled(spec, before, is_bound=is_bound) != _settled(before, before, is_bound=is_bound):
        found.append(forbidden("spec", _MAY_CHANGE))
    size = amount(at(spec, "resources", "requests", "storage"))
    was = amount(at(before, "resources", "requests", "storage"))
    has = amount(at(old, "status", "capacity", "storage"))
    # A failed expansion may be taken back, but never below what is there already.
    if size is not None and was is not None and size < was and (has is None or size < has):
        found.append(forbidden(_REQUEST, "field can not be less than status.capacity"))
    return found


def _settled(spec: Object, before: Object, *, is_bound: bool) -> dict[str, Any]:
    """What may not change: a volume and a class may be found once, a bound claim may grow."""
    left = {key: value for key, value in spec.items() if value is not None}
    if not before.get("volumeName"):
        left.pop("volumeName", None)
    if before.get("storageClassName") is None and not is_bound:
        left.pop("storageClassName", None)
    if is_bound:
        left.pop("volumeAttributesClassName", None)
        resources = dict(left.get("resources") or {})
        resources.pop("requests", None)
        left["resources"] = resources
    return left


def _capacity(claim: Object, now: float) -> str:
    return at(claim, "status", "capacity", "storage") or "" if _is_placed(claim) else ""


def _access_modes(claim: Object, now: float) -> str:
    return access_modes(at(claim, "status", "accessModes")) if _is_placed(claim) else ""


def _is_placed(claim: Object) -> bool:
    return bool(at(claim, "spec", "volumeName"))


STRATEGY = Strategy(
    prepare_create=_prepare_create,
    validate=_validate,
    validate_update=_validate_update,
    cells={**CELLS, "capacity": _capacity, "access_modes": _access_modes},
)
