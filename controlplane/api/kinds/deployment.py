"""Deployments: a rolling update has bounds, and they cannot both be zero. PURE.

Source: Kubernetes' API reference of Deployment; kube-behaviour 4.2, 4.3.
"""

from collections.abc import Iterator

from controlplane.api import cells
from controlplane.api.causes import forbidden, invalid, not_supported, required
from controlplane.api.checks import int_or_percent
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.rollout import at_most_all, is_zero
from controlplane.api.templates import (
    default_template,
    in_spec,
    prepare_create,
    prepare_update,
    validate_counts,
    validate_selected_template,
)

_TYPES = ("Recreate", "RollingUpdate")
_ROLLING_UPDATE = {"maxUnavailable": "25%", "maxSurge": "25%"}


def _default(given: Object) -> Object:
    spec = default_template(given, "template")
    strategy: Object = spec.get("strategy") or {}
    if strategy.get("type") == "RollingUpdate":
        bounds = _ROLLING_UPDATE | (strategy.get("rollingUpdate") or {})
        return {**spec, "strategy": {**strategy, "rollingUpdate": bounds}}
    return spec


def _validate(deployment: Object) -> list[Cause]:
    spec = deployment.get("spec") or {}
    return [
        *validate_counts(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit"),
        *validate_selected_template(spec, "spec", "ReplicaSet"),
        *_strategy(spec.get("strategy") or {}, "spec.strategy"),
        *_progress(spec),
    ]


def _strategy(strategy: Object, path: str) -> Iterator[Cause]:
    kind, bounds = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in _TYPES:
        yield not_supported(f"{path}.type", kind or "", _TYPES)
    elif kind == "Recreate" and bounds is not None:
        why = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden(f"{path}.rollingUpdate", why)
    elif kind == "RollingUpdate" and bounds is None:
        yield required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
    elif bounds is not None:
        yield from _rolling_update(bounds, f"{path}.rollingUpdate")


def _rolling_update(bounds: Object, path: str) -> Iterator[Cause]:
    """maxUnavailable and maxSurge: something must be allowed to move (4.3)."""
    for field in ("maxUnavailable", "maxSurge"):
        yield from int_or_percent(f"{path}.{field}", bounds.get(field))
    unavailable = bounds.get("maxUnavailable")
    if is_zero(unavailable) and is_zero(bounds.get("maxSurge")):
        why = "may not be 0 when `maxSurge` is 0"
        yield invalid(f"{path}.maxUnavailable", unavailable, why)
    yield from at_most_all(f"{path}.maxUnavailable", unavailable)


def _progress(spec: Object) -> Iterator[Cause]:
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is None:
        return
    yield from validate_counts(spec, "spec", "progressDeadlineSeconds")
    if deadline <= (spec.get("minReadySeconds") or 0):
        why = "must be greater than minReadySeconds"
        yield invalid("spec.progressDeadlineSeconds", deadline, why)


def _ready(deployment: Object, now: float) -> str:
    ready = cells.at(deployment, "status", "readyReplicas") or 0
    return f"{ready}/{cells.at(deployment, 'spec', 'replicas') or 0}"


STRATEGY = Strategy(
    default=in_spec(_default),
    prepare_create=prepare_create("spec", "template"),
    prepare_update=prepare_update("spec", "template"),
    validate=_validate,
    cells={
        "ready": _ready,
        **cells.workload("spec", "template", "spec"),
    },
)
