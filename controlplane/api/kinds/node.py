"""Nodes: taints, addresses, and what may be set once. PURE.

Source: Kubernetes' API reference of Node; kube-behaviour 6.4, 6.5.
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api import cells, syntaxes
from controlplane.api.causes import duplicate, forbidden, invalid
from controlplane.api.cells import NONE, UNKNOWN, at
from controlplane.api.checks import syntax
from controlplane.api.errors import Cause
from controlplane.api.placement import validate_taints
from controlplane.api.requirements import amount
from controlplane.api.resource import Object, Strategy
from controlplane.api.tables import Cell

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE = "kubernetes.io/role"
_ONCE = 'node updates may not change {} except from "" to valid'


def _validate(node: Object) -> list[Cause]:
    spec: Object = node.get("spec") or {}
    ranges = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return [
        *validate_taints(spec.get("taints") or [], "spec.taints"),
        *_ranges(ranges),
        *_status(node.get("status") or {}),
    ]


def _ranges(ranges: list[str]) -> Iterator[Cause]:
    for position, one in enumerate(ranges):
        yield from syntax(f"spec.podCIDRs[{position}]", one, syntaxes.faults_of_cidr)
    if len(ranges) > 2:
        why = "may specify no more than one CIDR for each IP family"
        yield invalid("spec.podCIDRs", ranges, why)


def _status(status: Object) -> Iterator[Cause]:
    seen: list[Any] = []
    for position, address in enumerate(status.get("addresses") or ()):
        if address in seen:
            yield duplicate(f"status.addresses[{position}]", dict(address))
        seen.append(address)
    for field in ("capacity", "allocatable"):
        for name, value in (status.get(field) or {}).items():
            number = amount(value)
            if number is not None and number < 0:
                why = "must be greater than or equal to 0"
                yield invalid(f"status.{field}.{name}", value, why)


def _default(node: Object) -> Object:
    """podCIDR is the first of podCIDRs; whoever knows only one of them sees both."""
    spec: Object = node.get("spec") or {}
    one, several = spec.get("podCIDR"), spec.get("podCIDRs")
    if one and not several:
        return {**node, "spec": {**spec, "podCIDRs": [one]}}
    if several and not one:
        return {**node, "spec": {**spec, "podCIDR": several[0]}}
    return node


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    return [
        forbidden(f"spec.{field}", _ONCE.format(told))
        for field, told in (("podCIDRs", "podCIDR"), ("providerID", "providerID"))
        if before.get(field) and before[field] != spec.get(field)
    ]


def _ready(node: Object, now: float) -> str:
    words = [
        "Ready" if one.get("status") == "True" else "NotReady"
        for one in at(node, "status", "conditions") or ()
        if one.get("type") == "Ready"
    ] or ["Unknown"]
    if at(node, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Object, now: float) -> str:
    labels = at(node, "metadata", "labels") or {}
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)} | {
        labels.get(_ROLE) or ""
    }
    return cells.joined(sorted(roles - {""}))


def _address(kind: str) -> Cell:
    def cell(node: Object, now: float) -> str:
        found = at(node, "status", "addresses") or ()
        return next((one.get("address") for one in found if one.get("type") == kind), NONE)

    return cell


def _known(field: str) -> Cell:
    return cells.text("status", "nodeInfo", field, otherwise=UNKNOWN)


STRATEGY = Strategy(
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    cells={
        "status": _ready,
        "roles": _roles,
        "internal_ip": _address("InternalIP"),
        "external_ip": _address("ExternalIP"),
        "os_image": _known("osImage"),
        "kernel_version": _known("kernelVersion"),
        "container_runtime": _known("containerRuntimeVersion"),
    },
)
