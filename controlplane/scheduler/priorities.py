"""How important a pod is. PURE.

Admission writes it into each pod; pods that controllers make past the API server are given here
what they would have been given there.
Source: Kubernetes, "Pod Priority and Preemption"; kube-behaviour 8.4.
"""

from collections.abc import Iterable

import msgspec

from controlplane.api.types.core_v1 import PodSpec
from controlplane.api.types.scheduling_v1 import PriorityClass

SYSTEM_CLASSES = {
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}
"""They need no object."""
_NEVER = "Never"


class Priority(msgspec.Struct, frozen=True):
    """is_preempting  whether others may go for it"""

    value: int = 0
    is_preempting: bool = True


NORMAL = Priority()


class Priorities:
    """The priority classes that there are."""

    def __init__(self) -> None:
        self._classes: dict[str, PriorityClass] = {}

    def set(self, name: str, found: PriorityClass | None) -> None:
        """A class; None: it is gone."""
        if found is None:
            self._classes.pop(name, None)
        else:
            self._classes[name] = found

    def of(self, spec: PodSpec) -> Priority:
        """Of a pod; what it says itself comes first."""
        value, policy = self._of_class(spec.priority_class_name)
        if spec.priority is not None:
            value = spec.priority
        return Priority(value, (spec.preemption_policy or policy) != _NEVER)

    def _of_class(self, name: str) -> tuple[int, str]:
        if name in SYSTEM_CLASSES:
            return SYSTEM_CLASSES[name], ""
        found = self._classes.get(name) if name else _default(self._classes.values())
        return (found.value, found.preemption_policy or "") if found else (0, "")


def _default(classes: Iterable[PriorityClass]) -> PriorityClass | None:
    """The global one; the lowest where there are several."""
    defaults = (one for one in classes if one.global_default)
    return min(defaults, key=lambda one: one.value, default=None)
