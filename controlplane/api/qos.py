"""The quality of service class of a pod: whom a node evicts first. PURE.

Source: Kubernetes, "Pod Quality of Service Classes" (kube-behaviour 8.6).
"""

from fractions import Fraction

from controlplane.api.requirements import amount
from controlplane.api.resource import Object

GUARANTEED = "Guaranteed"
BURSTABLE = "Burstable"
BEST_EFFORT = "BestEffort"

_COUNTED = ("cpu", "memory")


def qos_class(spec: Object) -> str:
    """Guaranteed: cpu and memory of every container are limited, and requested in full."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    asked = [_amounts(container, "requests") for container in containers]
    limits = [_amounts(container, "limits") for container in containers]
    if not any(asked) and not any(limits):
        return BEST_EFFORT
    for wanted, bound in zip(asked, limits, strict=True):
        # What is not requested is requested as it is limited (see podspec.default_requests).
        if len(bound) < len(_COUNTED) or bound | wanted != bound:
            return BURSTABLE
    return GUARANTEED


def _amounts(container: Object, kind: str) -> dict[str, Fraction]:
    told = (container.get("resources") or {}).get(kind) or {}
    found = ((name, amount(told.get(name))) for name in _COUNTED)
    return {name: value for name, value in found if value}
