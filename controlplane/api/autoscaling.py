"""Autoscalers: validation of targets and behaviour, and how metrics are told. PURE.

Source: Kubernetes' API reference of HorizontalPodAutoscaler v2; kube-behaviour 4.15.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from controlplane.api import syntaxes
from controlplane.api.causes import forbidden, invalid, not_supported, required
from controlplane.api.cells import NONE, UNKNOWN, at
from controlplane.api.checks import above_zero, at_least, one_of, one_of_if_set, syntax
from controlplane.api.errors import Cause
from controlplane.api.requirements import amount
from controlplane.api.resource import Object

SOURCES: Mapping[str, str] = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
"""Type of a metric -> the field that tells of it."""
_TARGETS = frozenset(("AverageValue", "Utilization", "Value"))


class _Values(msgspec.Struct, frozen=True):
    """What a kind of metric may be compared with: one of the fields, of which `missing` is asked
    for in words, and `clash` may not be there beside another."""

    fields: tuple[str, ...]
    missing: str
    why_missing: str
    clash: str = ""
    why_clash: str = ""


_OF_RESOURCE = _Values(
    ("averageUtilization", "averageValue"),
    "averageUtilization",
    "must set either a target raw value or a target utilization",
    "averageValue",
    "may not set both a target raw value and a target utilization",
)
_VALUES: Mapping[str, _Values] = {
    "resource": _OF_RESOURCE,
    "containerResource": _OF_RESOURCE,
    "pods": _Values(
        ("averageValue",), "averageValue", "must specify a positive target averageValue"
    ),
    "object": _Values(
        ("value", "averageValue"),
        "averageValue",
        "must set either a target value or a target averageValue",
    ),
    "external": _Values(
        ("value", "averageValue"),
        "averageValue",
        "must set either a target value for metric or a per-pod target",
        "value",
        "may not set both a target value for metric and a per-pod target",
    ),
}
_SELECT = frozenset(("Disabled", "Max", "Min"))
_POLICIES = frozenset(("Percent", "Pods"))
_PERIOD_SECONDS_MAX = 1800
_WINDOW_SECONDS_MAX = 3600
_METRICS_SHOWN = 2


def validate_spec(spec: Object) -> Iterator[Cause]:
    """All that is wrong with the spec of an autoscaler, in v2's fields."""
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    yield from at_least("spec.minReplicas", least, 1)
    yield from above_zero("spec.maxReplicas", most)
    if least is not None and most < least:
        why = "must be greater than or equal to `minReplicas`"
        yield invalid("spec.maxReplicas", most, why)
    yield from _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    for position, metric in enumerate(spec.get("metrics") or ()):
        yield from _metric(metric, f"spec.metrics[{position}]")
    for field in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(field)
        if rules is not None:
            yield from _rules(rules, f"spec.behavior.{field}")


def _reference(reference: Object, path: str) -> Iterator[Cause]:
    for field in ("kind", "name"):
        value = reference.get(field)
        if not value:
            yield required(f"{path}.{field}")
        elif "/" in value or "%" in value or value in (".", ".."):
            yield invalid(f"{path}.{field}", value, "may not contain '/' or '%'")


def _metric(metric: Object, path: str) -> Iterator[Cause]:
    kind = metric.get("type")
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
        return
    if kind not in SOURCES:
        yield not_supported(f"{path}.type", kind, SOURCES.keys())
        return
    field = SOURCES[kind]
    for other in SOURCES.values():
        if other != field and metric.get(other) is not None:
            yield forbidden(f"{path}.{other}", "must populate the given metric source only")
    source = metric.get(field)
    if source is None:
        yield required(f"{path}.{field}", "must populate information for the given metric source")
    else:
        yield from _source(source, field, f"{path}.{field}")


def _source(source: Object, field: str, path: str) -> Iterator[Cause]:
    if field in ("resource", "containerResource"):
        if not source.get("name"):
            yield required(f"{path}.name", "must specify a resource name")
        if field == "containerResource":
            container = source.get("container")
            yield from syntax(f"{path}.container", container, syntaxes.faults_of_label)
    else:
        name = (source.get("metric") or {}).get("name")
        if not name:
            yield required(f"{path}.metric.name", "must specify a metric name")
    if field == "object":
        yield from _reference(source.get("describedObject") or {}, f"{path}.describedObject")
    yield from _target(source.get("target") or {}, _VALUES[field], f"{path}.target")


def _target(target: Object, values: _Values, path: str) -> Iterator[Cause]:
    kind = target.get("type")
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in _TARGETS:
        why = "must be either Utilization, Value, or AverageValue"
        yield invalid(f"{path}.type", kind or "", why)
    for field in ("value", "averageValue", "averageUtilization"):
        value = target.get(field)
        number = amount(value)
        if number is not None and number <= 0:
            what = "must be greater than 0" if field == "averageUtilization" else "must be positive"
            yield invalid(f"{path}.{field}", value, what)
    given = [field for field in values.fields if target.get(field) is not None]
    if not given:
        yield required(f"{path}.{values.missing}", values.why_missing)
    elif len(given) > 1 and values.clash:
        yield forbidden(f"{path}.{values.clash}", values.why_clash)


def _rules(rules: Object, path: str) -> Iterator[Cause]:
    window = rules.get("stabilizationWindowSeconds")
    yield from at_least(f"{path}.stabilizationWindowSeconds", window)
    if window is not None and window > _WINDOW_SECONDS_MAX:
        why = f"must be less than or equal to {_WINDOW_SECONDS_MAX}"
        yield invalid(f"{path}.stabilizationWindowSeconds", window, why)
    yield from one_of_if_set(f"{path}.selectPolicy", rules.get("selectPolicy"), _SELECT)
    policies = rules.get("policies") or ()
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for position, policy in enumerate(policies):
        at_policy = f"{path}.policies[{position}]"
        yield from one_of(f"{at_policy}.type", policy.get("type"), _POLICIES)
        yield from above_zero(f"{at_policy}.value", policy.get("value") or 0)
        period = policy.get("periodSeconds") or 0
        yield from above_zero(f"{at_policy}.periodSeconds", period)
        if period > _PERIOD_SECONDS_MAX:
            why = f"must be less than or equal to {_PERIOD_SECONDS_MAX}"
            yield invalid(f"{at_policy}.periodSeconds", period, why)


def targets(autoscaler: Object) -> str:
    """What is measured and what it should be: `cpu: 10%/80%, memory: <unknown>/100Mi`."""
    wanted: list[Object] = at(autoscaler, "spec", "metrics") or []
    measured: list[Object] = at(autoscaler, "status", "currentMetrics") or []
    if not wanted:
        return NONE
    told = [
        _told(metric, measured[position] if position < len(measured) else {})
        for position, metric in enumerate(wanted[:_METRICS_SHOWN])
    ]
    text = ", ".join(told)
    more = len(wanted) - _METRICS_SHOWN
    return f"{text} + {more} more..." if more > 0 else text


def _told(metric: Object, measured: Object) -> str:
    field = SOURCES.get(metric.get("type", ""), "")
    target = at(metric, field, "target") or {}
    current = at(measured, field, "current") or {}
    if field in ("resource", "containerResource"):
        name = at(metric, field, "name")
        if target.get("averageValue") is None:
            percent = current.get("averageUtilization")
            shown = UNKNOWN if percent is None else f"{percent}%"
            wanted = target.get("averageUtilization")
            return f"{name}: {shown}/" + ("<auto>" if wanted is None else f"{wanted}%")
        return f"{name}: {_or_unknown(current, 'averageValue')}/{target['averageValue']}"
    if target.get("averageValue") is not None:
        average = f"{_or_unknown(current, 'averageValue')}/{target['averageValue']}"
        return average if field == "pods" else f"{average} (avg)"
    return f"{_or_unknown(current, 'value')}/{target.get('value')}"


def _or_unknown(current: Object, field: str) -> Any:
    return UNKNOWN if current.get(field) is None else current[field]
