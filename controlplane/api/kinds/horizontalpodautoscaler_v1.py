"""Autoscalers in v1, which knows one metric: cpu. The others travel in annotations. PURE.

Source: Kubernetes' API reference of HorizontalPodAutoscaler v1 and v2; kube-behaviour 4.15.
"""

from typing import Any

import orjson

from controlplane.api.cells import at
from controlplane.api.errors import Cause
from controlplane.api.kinds import horizontalpodautoscaler as v2
from controlplane.api.resource import Object, Strategy
from controlplane.api.tables import Cell

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS = f"{_PREFIX}metrics"
_BEHAVIOR = f"{_PREFIX}behavior"
_CURRENT = f"{_PREFIX}current-metrics"
_CONDITIONS = f"{_PREFIX}conditions"
_PERCENT = 80
_SAME_STATUS = ("currentReplicas", "desiredReplicas", "lastScaleTime", "observedGeneration")


def _cpu_metric(percent: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def to_storage(autoscaler: Object) -> Object:
    """As v2 has it. Who says nothing of metrics means 80 % of cpu."""
    spec: dict[str, Any] = dict(autoscaler.get("spec") or {})
    metadata, told = _told(autoscaler)
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    metrics: list[Object] = list(told.get(_METRICS) or ())
    if percent is None and not metrics:
        percent = _PERCENT
    if percent is not None:
        metrics.insert(0, _cpu_metric(percent))
    spec["metrics"] = metrics
    if told.get(_BEHAVIOR):
        spec["behavior"] = told[_BEHAVIOR]
    made: dict[str, Any] = {**autoscaler, "apiVersion": "autoscaling/v2"}
    made |= {"metadata": metadata, "spec": spec}
    if autoscaler.get("status") is not None:
        made["status"] = _new_status(autoscaler["status"], told)
    return made


def _told(autoscaler: Object) -> tuple[Object, dict[str, Any]]:
    """Metadata without our annotations, and what these say. What is no JSON says nothing."""
    metadata: Object = autoscaler.get("metadata") or {}
    annotations: Object = metadata.get("annotations") or {}
    told: dict[str, Any] = {}
    for key in (_METRICS, _BEHAVIOR, _CURRENT, _CONDITIONS):
        if key in annotations:
            told[key] = _parsed(annotations[key], dict if key == _BEHAVIOR else list)
    left = {key: value for key, value in annotations.items() if key not in told}
    if not told:
        return metadata, told
    without = {key: value for key, value in metadata.items() if key != "annotations"}
    return (without | {"annotations": left} if left else without), told


def _parsed(text: str, kind: type) -> Any:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if kind is list and isinstance(found, list):
        return [one for one in found if isinstance(one, dict)]
    return found if isinstance(found, kind) else None


def _new_status(status: Object, told: Object) -> Object:
    made = {field: status[field] for field in _SAME_STATUS if field in status}
    metrics: list[Object] = list(told.get(_CURRENT) or ())
    percent = status.get("currentCPUUtilizationPercentage")
    if percent is not None:
        current = {"averageUtilization": percent}
        resource = {"name": "cpu", "current": current}
        metrics.insert(0, {"type": "Resource", "resource": resource})
    if metrics:
        made["currentMetrics"] = metrics
    if told.get(_CONDITIONS):
        made["conditions"] = told[_CONDITIONS]
    return made


def from_storage(autoscaler: Object) -> Object:
    """As v1 has it; what it has no field for goes into annotations."""
    spec: dict[str, Any] = dict(autoscaler.get("spec") or {})
    status: Object = autoscaler.get("status") or {}
    percent, metrics = _without_cpu(spec.pop("metrics", None) or [], "target")
    used, current = _without_cpu(status.get("currentMetrics") or [], "current")
    told = {
        _METRICS: metrics,
        _BEHAVIOR: spec.pop("behavior", None),
        _CURRENT: current,
        _CONDITIONS: status.get("conditions"),
    }
    if percent is not None:
        spec["targetCPUUtilizationPercentage"] = percent
    made: dict[str, Any] = {field: status[field] for field in _SAME_STATUS if field in status}
    if used is not None:
        made["currentCPUUtilizationPercentage"] = used
    return {
        **autoscaler,
        "apiVersion": "autoscaling/v1",
        "metadata": _annotated(autoscaler.get("metadata") or {}, told),
        "spec": spec,
        **({"status": made} if "status" in autoscaler else {}),
    }


def _without_cpu(metrics: list[Object], value: str) -> tuple[int | None, list[Object]]:
    """The utilization of the first metric of cpu that has one, and all the others."""
    for position, metric in enumerate(metrics):
        percent = at(metric, "resource", value, "averageUtilization")
        if percent is not None and at(metric, "resource", "name") == "cpu":
            return percent, [*metrics[:position], *metrics[position + 1 :]]
    return None, metrics


def _annotated(metadata: Object, told: Object) -> Object:
    said = {key: orjson.dumps(value).decode() for key, value in told.items() if value}
    if not said:
        return metadata
    return {**metadata, "annotations": {**(metadata.get("annotations") or {}), **said}}


def _validate(autoscaler: Object) -> list[Cause]:
    validate = v2.STRATEGY.validate
    assert validate is not None
    return list(validate(to_storage(autoscaler)))


def _of_v2(cell: Cell) -> Cell:
    return lambda autoscaler, now: cell(to_storage(autoscaler), now)


STRATEGY = Strategy(
    validate=_validate,
    cells={name: _of_v2(cell) for name, cell in v2.CELLS.items()},
    to_storage=to_storage,
    from_storage=from_storage,
)
