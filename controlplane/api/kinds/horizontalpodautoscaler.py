"""Autoscalers in v2, in which they are stored. PURE.

Source: Kubernetes' API reference of HorizontalPodAutoscaler v2; kube-behaviour 4.15.
"""

from typing import Any

from controlplane.api import autoscaling
from controlplane.api.cells import UNSET, at
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.tables import Cell
from controlplane.api.templates import in_spec

_CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
_FIFTEEN_SECONDS = 15
_SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": _FIFTEEN_SECONDS},
        {"type": "Percent", "value": 100, "periodSeconds": _FIFTEEN_SECONDS},
    ],
}
_SCALE_DOWN = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": _FIFTEEN_SECONDS}],
}


def _default(given: Object) -> Object:
    spec = dict(given)
    if not spec.get("metrics"):
        spec["metrics"] = [_CPU]
    behavior = spec.get("behavior")
    if behavior is not None:
        spec["behavior"] = {
            "scaleUp": _SCALE_UP | _given(behavior.get("scaleUp")),
            "scaleDown": _SCALE_DOWN | _given(behavior.get("scaleDown")),
        }
    return spec


def _given(rules: Object | None) -> dict[str, Any]:
    return {field: value for field, value in (rules or {}).items() if value is not None}


def _validate(autoscaler: Object) -> list[Cause]:
    return list(autoscaling.validate_spec(autoscaler.get("spec") or {}))


def _reference(autoscaler: Object, now: float) -> str:
    target = at(autoscaler, "spec", "scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


def _targets(autoscaler: Object, now: float) -> str:
    return autoscaling.targets(autoscaler)


def _min_pods(autoscaler: Object, now: float) -> str:
    least = at(autoscaler, "spec", "minReplicas")
    return UNSET if least is None else str(least)


CELLS: dict[str, Cell] = {
    "reference": _reference,
    "targets": _targets,
    "min_pods": _min_pods,
}

STRATEGY = Strategy(default=in_spec(_default), validate=_validate, cells=CELLS)
