"""Priority classes: a value that never changes; the highest are the system's. PURE.

Source: Kubernetes' "Pod Priority and Preemption"; kube-behaviour 8.4.
"""

from collections.abc import Iterator

from controlplane.api.causes import forbidden, not_supported, required
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy

USER_VALUE_MAX = 1_000_000_000
SYSTEM_VALUES = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}
_POLICIES = ("Never", "PreemptLowerPriority")


def _validate(priority_class: Object) -> list[Cause]:
    return [*_value(priority_class), *_preemption_policy(priority_class)]


def _value(priority_class: Object) -> Iterator[Cause]:
    name = (priority_class.get("metadata") or {}).get("name") or ""
    value = priority_class.get("value") or 0
    if name.startswith("system-"):
        why = _not_of_the_system(name, value, bool(priority_class.get("globalDefault")))
        if why:
            told = "priority class names with 'system-' prefix are reserved for system use only"
            yield forbidden("metadata.name", f"{told}. error: {why}")
    elif value > USER_VALUE_MAX:
        told = f"maximum allowed value of a user defined priority is {USER_VALUE_MAX}"
        yield forbidden("value", told)


def _not_of_the_system(name: str, value: int, is_default: bool) -> str:
    """Why it is not one of the two classes that Kubernetes has itself; empty: it is."""
    if name not in SYSTEM_VALUES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_VALUES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_VALUES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def _preemption_policy(priority_class: Object) -> Iterator[Cause]:
    policy = priority_class.get("preemptionPolicy")
    if not policy:
        yield required("preemptionPolicy")
    elif policy not in _POLICIES:
        yield not_supported("preemptionPolicy", policy, _POLICIES)


def _validate_update(new: Object, old: Object) -> list[Cause]:
    if (new.get("value") or 0) != (old.get("value") or 0):
        return [forbidden("value", "may not be changed in an update.")]
    return []


STRATEGY = Strategy(
    validate=_validate,
    validate_update=_validate_update,
    cells={
        "value": lambda priority_class, now: int(priority_class.get("value") or 0),
        "global_default": lambda priority_class, now: bool(priority_class.get("globalDefault")),
    },
)
