"""What controllers, scheduler and node agents ask of a pod. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle"; kube-behaviour 4.1, 10.1.
"""

from collections.abc import Iterable

import msgspec

from controlplane.api.meta import rfc3339, seconds_of
from controlplane.api.types.core_v1 import Pod, PodCondition

READY = "Ready"
CONTAINERS_READY = "ContainersReady"
INITIALIZED = "Initialized"
POD_SCHEDULED = "PodScheduled"
READY_TO_START = "PodReadyToStartContainers"
DISRUPTION_TARGET = "DisruptionTarget"


def is_finished(pod: Pod) -> bool:
    """It has ended for good."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_deleted(pod: Pod) -> bool:
    """It is to go, though it may run still."""
    return pod.metadata.deletion_timestamp is not None


def is_active(pod: Pod) -> bool:
    """It counts as one of its controller's (4.1)."""
    return not is_finished(pod) and not is_deleted(pod)


def condition(pod: Pod, kind: str) -> PodCondition | None:
    """Its condition of a type, if it has one."""
    return next((one for one in pod.status.conditions if one.type == kind), None)


def is_true(pod: Pod, kind: str) -> bool:
    """Whether its condition of this type is True."""
    found = condition(pod, kind)
    return found is not None and found.status == "True"


def is_ready(pod: Pod) -> bool:
    """It may be sent requests."""
    return is_true(pod, READY)


def ready_since(pod: Pod) -> float | None:
    """Since when it has been ready, in seconds since 1970; None: it is not, or nobody knows."""
    found = condition(pod, READY)
    if found is None or found.status != "True":
        return None
    return seconds_of(found.last_transition_time)


def available_at(pod: Pod, min_ready_seconds: int) -> float | None:
    """When it has been ready for so long, in seconds since 1970; None: it is not ready (4.1)."""
    if not min_ready_seconds:
        return 0.0 if is_ready(pod) else None
    since = ready_since(pod)
    return None if since is None else since + min_ready_seconds


def with_conditions(
    conditions: Iterable[PodCondition], said: Iterable[PodCondition], now: float
) -> tuple[PodCondition, ...]:
    """Conditions with those that are said now; a time changes with the status only.

    now  seconds since 1970
    """
    found = {one.type: one for one in conditions}
    for one in said:
        before = found.get(one.type)
        is_same = before is not None and before.status == one.status
        since = before.last_transition_time if is_same and before is not None else None
        found[one.type] = msgspec.structs.replace(one, last_transition_time=since or rfc3339(now))
    return tuple(found.values())
