"""Limit ranges: bounds and defaults of what a container, pod or claim asks for. PURE.

Source: Kubernetes' "Limit Ranges"; kube-behaviour 8.3.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.api import quantity
from controlplane.api.causes import duplicate, forbidden, invalid, required
from controlplane.api.errors import Cause
from controlplane.api.kinds.resourcenames import (
    faults_of_container_resource,
    faults_of_resource,
    may_overcommit,
)
from controlplane.api.kinds.role import created_at
from controlplane.api.requirements import amount
from controlplane.api.resource import Object, Strategy
from controlplane.api.syntaxes import faults_of_qualified_name

_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_LISTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_Limits = Mapping[str, str]


def _default(limit_range: Object) -> Object:
    spec = limit_range.get("spec") or {}
    limits = spec.get("limits")
    if not limits:
        return limit_range
    return {**limit_range, "spec": {**spec, "limits": [_default_item(item) for item in limits]}}


def _default_item(item: Object) -> Object:
    """A container's limit is the maximum, its request is the limit or else the minimum."""
    if item.get("type") != "Container":
        return item
    limit = {**(item.get("max") or {}), **(item.get("default") or {})}
    request = {**(item.get("min") or {}), **limit, **(item.get("defaultRequest") or {})}
    given = {"default": limit, "defaultRequest": request}
    return {**item, **{name: limits for name, limits in given.items() if limits}}


def _validate(limit_range: Object) -> list[Cause]:
    limits = (limit_range.get("spec") or {}).get("limits") or ()
    found: list[Cause] = []
    seen = set()
    for position, item in enumerate(limits):
        path, kind = f"spec.limits[{position}]", item.get("type") or ""
        found += [invalid(f"{path}.type", kind, fault) for fault in _faults_of_type(kind)]
        if kind in seen:
            found.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        found += _names(item, path)
        found += _of_type(item, path)
        found += _bounds(item, path)
    return found


def _faults_of_type(kind: str) -> list[str]:
    faults = faults_of_qualified_name(kind)
    if not faults and "/" not in kind and kind not in _TYPES:
        return ["must be a standard limit type or fully qualified"]
    return faults


def _names(item: Object, path: str) -> Iterator[Cause]:
    is_pod = item.get("type") in ("Pod", "Container")
    check = faults_of_container_resource if is_pod else faults_of_resource
    for name in _LISTS:
        if item.get("type") == "Pod" and name.startswith("default"):
            continue
        for resource in sorted(item.get(name) or {}):
            for fault in check(resource):
                yield invalid(f"{path}.{name}[{resource}]", resource, fault)


def _of_type(item: Object, path: str) -> Iterator[Cause]:
    if item.get("type") == "Pod":
        for name in ("default", "defaultRequest"):
            if item.get(name):
                yield forbidden(f"{path}.{name}", "may not be specified when `type` is 'Pod'")
    elif item.get("type") == "PersistentVolumeClaim":
        bounds = (item.get("min") or {}, item.get("max") or {})
        if not any("storage" in bound for bound in bounds):
            why = "either minimum or maximum storage value is required, but neither was provided"
            yield required(f"{path}.limits", why)


def _bounds(item: Object, path: str) -> Iterator[Cause]:
    """min <= default request <= default <= max, wherever two of them are known."""
    lists: dict[str, _Limits] = {name: _amounts(item.get(name) or {}) for name in _LISTS}
    if item.get("type") == "Pod":
        lists |= {"default": {}, "defaultRequest": {}}
    for resource in sorted(set().union(*lists.values())):
        for lower, upper, place, words in _ORDER:
            low, high = lists[lower].get(resource), lists[upper].get(resource)
            if low is not None and high is not None and quantity.compare(low, high) > 0:
                shown = low if _SHOWS[lower, upper] == lower else high
                told = f"{words[0]} {_text(low)} is greater than {words[1]} {_text(high)}"
                yield invalid(f"{path}.{place}[{resource}]", _text(shown), told)
        yield from _ratio(lists, resource, f"{path}.maxLimitRequestRatio[{resource}]")
        yield from _equal(lists, resource, f"{path}.defaultRequest[{resource}]")


_ORDER = (
    ("min", "max", "min", ("min value", "max value")),
    ("min", "defaultRequest", "defaultRequest", ("min value", "default request value")),
    ("defaultRequest", "max", "defaultRequest", ("default request value", "max value")),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        ("default request value", "default limit value"),
    ),
    ("min", "default", "default", ("min value", "default value")),
    ("default", "max", "default", ("default value", "max value")),
)
"""Lower, upper, whose path the fault has, and how both are called in it."""

_SHOWS = {
    ("min", "max"): "min",
    ("min", "defaultRequest"): "defaultRequest",
    ("defaultRequest", "max"): "defaultRequest",
    ("defaultRequest", "default"): "defaultRequest",
    ("min", "default"): "min",
    ("default", "max"): "max",
}
"""Which of the two is shown as the invalid value; users know it so."""


def _amounts(limits: Object) -> dict[str, str]:
    """Without those that the schema finds to be none."""
    return {name: value for name, value in limits.items() if amount(value) is not None}


def _text(value: Any) -> str:
    return quantity.canonical(value)


def _ratio(lists: Mapping[str, _Limits], resource: str, path: str) -> Iterator[Cause]:
    ratio = lists["maxLimitRequestRatio"].get(resource)
    if ratio is None:
        return
    if quantity.compare(ratio, 1) < 0:
        yield invalid(path, _text(ratio), f"ratio {_text(ratio)} is less than 1")
    low, high = lists["min"].get(resource), lists["max"].get(resource)
    if low is None or high is None or not quantity.parse(low):
        return
    most = quantity.parse(high) / quantity.parse(low)
    if quantity.parse(ratio) > most:
        told = f"ratio {_text(ratio)} is greater than max/min = {float(most):f}"
        yield invalid(path, _text(ratio), told)


def _equal(lists: Mapping[str, _Limits], resource: str, path: str) -> Iterator[Cause]:
    """Huge pages and extended resources: what is asked for is what one gets."""
    limit, request = lists["default"].get(resource), lists["defaultRequest"].get(resource)
    if limit is None or request is None or may_overcommit(resource):
        return
    if quantity.compare(limit, request) != 0:
        told = (
            f"default value {_text(limit)} must equal to defaultRequest value "
            f"{_text(request)} in {resource}"
        )
        yield invalid(path, _text(request), told)


STRATEGY = Strategy(default=_default, validate=_validate, cells={"created_at": created_at})
