"""DaemonSets. PURE.

Source: Kubernetes' API reference of DaemonSet; kube-behaviour 4.10.
"""

from collections.abc import Iterator

from controlplane.api import cells
from controlplane.api.causes import invalid, not_supported, required
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

_TYPES = ("OnDelete", "RollingUpdate")
_ROLLING_UPDATE = {"maxUnavailable": 1, "maxSurge": 0}


def _default(given: Object) -> Object:
    spec = default_template(given, "template")
    strategy: Object = spec.get("updateStrategy") or {}
    if strategy.get("type") == "RollingUpdate":
        bounds = _ROLLING_UPDATE | (strategy.get("rollingUpdate") or {})
        return {**spec, "updateStrategy": {**strategy, "rollingUpdate": bounds}}
    return spec


def _validate(daemon_set: Object) -> list[Cause]:
    spec = daemon_set.get("spec") or {}
    return [
        *validate_selected_template(spec, "spec", "DaemonSet"),
        *validate_counts(spec, "spec", "minReadySeconds", "revisionHistoryLimit"),
        *_update_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy"),
    ]


def _update_strategy(strategy: Object, path: str) -> Iterator[Cause]:
    kind, bounds = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in _TYPES:
        yield not_supported(f"{path}.type", kind or "", _TYPES)
    elif kind == "RollingUpdate" and bounds is None:
        yield required(f"{path}.rollingUpdate")
    elif kind == "RollingUpdate" and bounds is not None:
        yield from _rolling_update(bounds, f"{path}.rollingUpdate")


def _rolling_update(bounds: Object, path: str) -> Iterator[Cause]:
    """Pods of one node go before they come, or come before they go: not both, and not neither."""
    for field in ("maxUnavailable", "maxSurge"):
        yield from int_or_percent(f"{path}.{field}", bounds.get(field))
        yield from at_most_all(f"{path}.{field}", bounds.get(field))
    has_unavailable = not is_zero(bounds.get("maxUnavailable"))
    has_surge = not is_zero(bounds.get("maxSurge"))
    if has_unavailable and has_surge:
        why = "may not be set when maxUnavailable is non-zero"
        yield invalid(f"{path}.maxSurge", bounds.get("maxSurge"), why)
    elif not has_unavailable and not has_surge:
        yield required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def _node_selector(daemon_set: Object, now: float) -> str:
    return cells.labels(cells.at(daemon_set, "spec", "template", "spec", "nodeSelector"))


STRATEGY = Strategy(
    default=in_spec(_default),
    prepare_create=prepare_create("spec", "template"),
    prepare_update=prepare_update("spec", "template"),
    validate=_validate,
    cells={"node_selector": _node_selector, **cells.workload("spec", "template", "spec")},
)
