"""Resource quotas: what all objects of a namespace may use together. PURE.

Source: Kubernetes' "Resource Quotas"; kube-behaviour 8.2.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from controlplane.api import quantity, requirements
from controlplane.api.causes import invalid, invalid_as, required, shown
from controlplane.api.errors import CAUSES_MAX, Cause
from controlplane.api.kinds.resourcenames import faults_of_quota, is_integer, is_quota
from controlplane.api.resource import Object, Strategy

_POD_SCOPES = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort")
_SCOPES = (*_POD_SCOPES, "PriorityClass", "CrossNamespacePodAffinity")
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_POD_RESOURCES = frozenset(
    {
        "cpu",
        "memory",
        "ephemeral-storage",
        "pods",
        *(f"requests.{name}" for name in ("cpu", "memory", "ephemeral-storage")),
        *(f"limits.{name}" for name in ("cpu", "memory", "ephemeral-storage")),
    }
)


def _validate(quota: Object) -> list[Cause]:
    spec = quota.get("spec") or {}
    return [
        *_amounts(spec.get("hard") or {}, "spec.hard"),
        *islice(_scopes(spec, "spec.scopes"), CAUSES_MAX),
        *islice(_scope_selector(spec, "spec.scopeSelector.matchExpressions"), CAUSES_MAX),
    ]


def _amounts(hard: Object, path: str) -> Iterator[Cause]:
    for name, amount in sorted(hard.items()):
        place = f"{path}[{name}]"
        for fault in faults_of_quota(name):
            yield invalid(place, name, fault)
        number = requirements.amount(amount)
        if number is None:
            continue
        if number < 0:
            why = "must be greater than or equal to 0"
            yield invalid(place, quantity.canonical(amount), why)
        if is_integer(name) and number.denominator != 1:
            yield invalid(place, quantity.canonical(amount), "must be an integer")


def _misapplied(hard: Object) -> frozenset[str]:
    """A scope selects pods: a quota with one counts nothing else."""
    return frozenset(scope for scope in _SCOPES if not _applies(scope, hard))


def _applies(scope: str, hard: Object) -> bool:
    if scope == "BestEffort":
        return all(name == "pods" or not is_quota(name) for name in hard)
    return all(name in _POD_RESOURCES or not is_quota(name) for name in hard)


def _scopes(spec: Object, path: str) -> Iterator[Cause]:
    scopes, misapplied = spec.get("scopes") or [], _misapplied(spec.get("hard") or {})
    told = shown(scopes)
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid_as(path, told, "unsupported scope")
        elif scope in misapplied:
            yield invalid_as(path, told, "unsupported scope applied to resource")
    for pair in _CONFLICTS:
        if set(pair) <= set(scopes):
            yield invalid_as(path, told, "conflicting scopes")


def _scope_selector(spec: Object, path: str) -> Iterator[Cause]:
    terms: Sequence[Object] = (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    told, misapplied = shown(terms), _misapplied(spec.get("hard") or {})
    for term in terms:
        scope, operator = term.get("scopeName") or "", term.get("operator") or ""
        if scope not in _SCOPES:
            yield invalid(f"{path}.scopeName", scope, "unsupported scope")
        elif scope in misapplied:
            yield invalid_as(path, told, "unsupported scope applied to resource")
        if scope in _POD_SCOPES and operator != "Exists":
            why = (
                "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort and "
                "ResourceQuotaScopeNotBestEffort"
            )
            yield invalid(f"{path}.operator", operator, why)
        yield from _operator(operator, term.get("values") or [], path)
    chosen = {term.get("scopeName") or "" for term in terms}
    for pair in _CONFLICTS:
        if set(pair) <= chosen:
            yield invalid_as(path, told, "conflicting scopes")


def _operator(operator: str, values: Sequence[str], path: str) -> Iterator[Cause]:
    match operator:
        case "In" | "NotIn":
            if not values:
                why = "must be at least one value when `operator` is 'In' or 'NotIn'"
                yield required(f"{path}.values", f"{why} for scope selector")
        case "Exists" | "DoesNotExist":
            if values:
                why = "must be no value when `operator` is 'Exist' or 'DoesNotExist'"
                yield invalid(f"{path}.values", values, f"{why} for scope selector")
        case _:
            yield invalid(f"{path}.operator", operator, "not a valid selector operator")


def _usage(quota: Object, *, are_limits: bool) -> str:
    """`pods: 1/10, requests.cpu: 500m/2`."""
    status = quota.get("status") or {}
    used = status.get("used") or {}
    return ", ".join(
        f"{name}: {_shown(used.get(name, '0'))}/{_shown(hard)}"
        for name, hard in sorted((status.get("hard") or {}).items())
        if name.startswith("limits.") is are_limits
    )


def _shown(amount: str) -> str:
    return amount if requirements.amount(amount) is None else quantity.canonical(amount)


STRATEGY = Strategy(
    validate=_validate,
    cells={
        "request": lambda quota, now: _usage(quota, are_limits=False),
        "limit": lambda quota, now: _usage(quota, are_limits=True),
    },
)
