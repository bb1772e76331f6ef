"""StatefulSets: most of the spec is settled when they are made. PURE.

Source: Kubernetes' API reference of StatefulSet; kube-behaviour 4.9.
"""

from collections.abc import Iterator

from controlplane.api import cells
from controlplane.api.causes import forbidden, invalid, not_supported, required
from controlplane.api.checks import at_least, int_or_percent
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.templates import (
    default_template,
    in_spec,
    prepare_create,
    prepare_update,
    validate_counts,
    validate_selected_template,
)

_MANAGEMENT = ("OrderedReady", "Parallel")
_RETENTION = ("Delete", "Retain")
_MAY_CHANGE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_MAY_NOT = (
    "updates to statefulset spec for fields other than "
    + ", ".join(f"'{field}'" for field in _MAY_CHANGE[:-1])
    + f" and '{_MAY_CHANGE[-1]}' are forbidden"
)


def _default(given: Object) -> Object:
    spec = default_template(given, "template")
    strategy: Object = spec.get("updateStrategy") or {}
    if strategy.get("type") == "RollingUpdate":
        bounds = {"partition": 0} | (strategy.get("rollingUpdate") or {})
        return {**spec, "updateStrategy": {**strategy, "rollingUpdate": bounds}}
    return spec


def _validate(stateful_set: Object) -> list[Cause]:
    spec = stateful_set.get("spec") or {}
    return [
        *_management(spec),
        *_update_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy"),
        *_retention(spec.get("persistentVolumeClaimRetentionPolicy") or {}),
        *validate_counts(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit"),
        *at_least("spec.ordinals.start", (spec.get("ordinals") or {}).get("start")),
        *validate_selected_template(spec, "spec", "StatefulSet"),
    ]


def _management(spec: Object) -> Iterator[Cause]:
    policy = spec.get("podManagementPolicy")
    if policy not in _MANAGEMENT:
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")


def _update_strategy(strategy: Object, path: str) -> Iterator[Cause]:
    kind, bounds = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        yield required(path)
    elif kind == "RollingUpdate":
        for field in ("partition", "maxUnavailable"):
            yield from int_or_percent(f"{path}.rollingUpdate.{field}", (bounds or {}).get(field))
    elif kind != "OnDelete":
        yield invalid(path, dict(strategy), "must be 'RollingUpdate' or 'OnDelete'")
    elif bounds is not None:
        why = "only allowed for updateStrategy 'RollingUpdate'"
        yield invalid(f"{path}.rollingUpdate", bounds, why)


def _retention(policy: Object) -> Iterator[Cause]:
    for field in ("whenDeleted", "whenScaled"):
        if policy.get(field) not in _RETENTION:
            path = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            yield not_supported(path, policy.get(field) or "", _RETENTION)


def _validate_update(new: Object, old: Object) -> list[Cause]:
    if _settled(new) != _settled(old):
        return [forbidden("spec", _MAY_NOT)]
    return []


def _settled(stateful_set: Object) -> Object:
    spec = stateful_set.get("spec") or {}
    return {key: value for key, value in spec.items() if key not in _MAY_CHANGE and value}


def _ready(stateful_set: Object, now: float) -> str:
    ready = cells.at(stateful_set, "status", "readyReplicas") or 0
    return f"{ready}/{cells.at(stateful_set, 'spec', 'replicas') or 0}"


STRATEGY = Strategy(
    default=in_spec(_default),
    prepare_create=prepare_create("spec", "template"),
    prepare_update=prepare_update("spec", "template"),
    validate=_validate,
    validate_update=_validate_update,
    name_rule="label",  # its pods' host names begin with it
    cells={"ready": _ready, **cells.workload("spec", "template", "spec")},
)
