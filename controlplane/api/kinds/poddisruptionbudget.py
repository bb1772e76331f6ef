"""Disruption budgets. PURE.

Source: Kubernetes' API reference of PodDisruptionBudget; kube-behaviour 8.1.
"""

from collections.abc import Iterator

from controlplane.api import selectors
from controlplane.api.causes import invalid, not_supported
from controlplane.api.cells import at
from controlplane.api.checks import int_or_percent
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.rollout import at_most_all
from controlplane.api.tables import Cell
from controlplane.api.templates import validate_counts

_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_BOUNDS = ("minAvailable", "maxUnavailable")
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def _validate(budget: Object) -> list[Cause]:
    spec = budget.get("spec") or {}
    return [*_bounds(spec), *_others(spec)]


def _bounds(spec: Object) -> Iterator[Cause]:
    if all(spec.get(field) is not None for field in _BOUNDS):
        why = "minAvailable and maxUnavailable cannot be both set"
        yield invalid("spec", dict(spec), why)
    for field in _BOUNDS:
        yield from int_or_percent(f"spec.{field}", spec.get(field))
        yield from at_most_all(f"spec.{field}", spec.get(field))


def _others(spec: Object) -> Iterator[Cause]:
    yield from selectors.validate_selector(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        yield not_supported("spec.unhealthyPodEvictionPolicy", policy, _POLICIES)


def _validate_update(new: Object, old: Object) -> list[Cause]:
    status = new.get("status") or {}
    return [] if status == old.get("status") else [*validate_counts(status, "status", *_COUNTS)]


def _bound(field: str) -> Cell:
    def cell(budget: Object, now: float) -> str:
        value = at(budget, "spec", field)
        return "N/A" if value is None else str(value)

    return cell


STRATEGY = Strategy(
    validate=_validate,
    validate_update=_validate_update,
    cells={"min_available": _bound("minAvailable"), "max_unavailable": _bound("maxUnavailable")},
)
