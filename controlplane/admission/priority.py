"""Priority: a pod's priority is the number behind the name of its class. PURE.

kube-behaviour 8.4. The two classes of the system need no object.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.admission.review import CREATE, UPDATE, Review
from controlplane.api import errors
from controlplane.api.resource import Object

SYSTEM_CLASSES = {
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}
_GROUP = "scheduling.k8s.io"


def mutate(review: Review, found: Object) -> Object:
    """Resolves the class of a new pod; keeps what an old one has. Raises ApiError 403."""
    if review.is_of("priorityclasses", _GROUP, CREATE, UPDATE):
        _require_one_default(review, found)
        return found
    if review.is_of("pods", "", UPDATE) and review.old is not None:
        return _kept(found, review.old)
    if not review.is_of("pods", "", CREATE):
        return found
    spec = found.get("spec") or {}
    name, value, policy = _class_of(review, str(spec.get("priorityClassName") or ""))
    stated = spec.get("priority")
    if stated is not None and stated != value:
        raise errors.forbidden(
            "pods",
            "",
            review.name,
            f"the integer value of priority ({stated}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name",
        )
    resolved = {**spec, "priority": value, "preemptionPolicy": spec.get("preemptionPolicy", policy)}
    if name:
        resolved["priorityClassName"] = name
    if resolved["preemptionPolicy"] != policy:
        raise errors.forbidden(
            "pods",
            "",
            review.name,
            f"the string value of PreemptionPolicy ({resolved['preemptionPolicy']}) must not be "
            f"provided in pod spec; priority admission controller computed {policy} from the "
            "given PriorityClass name",
        )
    return {**found, "spec": resolved}


def _class_of(review: Review, name: str) -> tuple[str, int, str]:
    """Name, value and preemption policy."""
    if name in SYSTEM_CLASSES:
        return name, SYSTEM_CLASSES[name], "PreemptLowerPriority"
    if not name:
        known = review.lister.list(_GROUP, "priorityclasses", "")
        defaults = [one for one in known if one.get("globalDefault")]
        if not defaults:
            return "", 0, "PreemptLowerPriority"
        return _told(min(defaults, key=lambda one: int(one.get("value", 0))))
    found = review.lister.get(_GROUP, "priorityclasses", "", name)
    if found is None:
        why = f"no PriorityClass with name {name} was found"
        raise errors.forbidden("pods", "", review.name, why)
    return _told(found)


def _told(found: Mapping[str, Any]) -> tuple[str, int, str]:
    policy = str(found.get("preemptionPolicy") or "PreemptLowerPriority")
    return str(found["metadata"]["name"]), int(found.get("value", 0)), policy


def _kept(found: Object, old: Object) -> Object:
    """Who changes a pod need not repeat what admission has set."""
    spec, before = found.get("spec") or {}, old.get("spec") or {}
    kept = {
        field: before[field]
        for field in ("priority", "preemptionPolicy")
        if field in before and field not in spec
    }
    return {**found, "spec": {**spec, **kept}} if kept else found


def _require_one_default(review: Review, found: Object) -> None:
    if not found.get("globalDefault"):
        return
    for other in review.lister.list(_GROUP, "priorityclasses", ""):
        name = other["metadata"]["name"]
        if other.get("globalDefault") and name != review.name:
            why = f"PriorityClass {name} is already marked as default. Only one default can exist"
            raise errors.forbidden("priorityclasses", _GROUP, review.name, why)
