"""What is written into pods of what the scheduler decided, as changes of their JSON. PURE.

Source of conditions, reasons and messages: Kubernetes, "Pod Lifecycle", "Disruptions", "Pod
Scheduling Readiness"; kube-behaviour 7.1, 7.2, 7.7.
"""

import msgspec

from controlplane.api import pods
from controlplane.api.changes import carry
from controlplane.api.record import from_object
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod, PodCondition

UNSCHEDULABLE = "Unschedulable"
FAILED = "SchedulerError"
GATED = "SchedulingGated"
_GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"
_PREEMPTED = "PreemptionByScheduler"


class Verdict(msgspec.Struct, frozen=True):
    """Why a pod has no node.

    nominated_node  for which it waits; empty: for none; None: what it says stays
    """

    reason: str
    message: str
    nominated_node: str | None = None


GATED_VERDICT = Verdict(GATED, _GATED_MESSAGE)


def told(obj: Object, verdict: Verdict, now: float) -> Object:
    """The pod with a verdict; the very same if that changes nothing. `now`: since 1970.

    A pod that has a node by now stays as it is.
    """
    pod = from_object(Pod, obj)
    if pod.spec.node_name:
        return obj
    condition = PodCondition(
        type=pods.POD_SCHEDULED, status="False", reason=verdict.reason, message=verdict.message
    )
    return _changed(obj, pod, condition, now, verdict.nominated_node)


def without_nomination(obj: Object) -> Object:
    """The pod waits for no node any more."""
    pod = from_object(Pod, obj)
    status = msgspec.structs.replace(pod.status, nominated_node_name="")
    return carry(obj, pod, msgspec.structs.replace(pod, status=status))


def preempted(obj: Object, scheduler_name: str, now: float) -> Object:
    """A pod that goes for another. `now`: seconds since 1970."""
    condition = PodCondition(
        type=pods.DISRUPTION_TARGET,
        status="True",
        reason=_PREEMPTED,
        message=f"{scheduler_name}: preempting to accommodate a higher priority pod",
    )
    return _changed(obj, from_object(Pod, obj), condition, now, None)


def _changed(
    obj: Object, pod: Pod, condition: PodCondition, now: float, nominated: str | None
) -> Object:
    status = msgspec.structs.replace(
        pod.status,
        conditions=pods.with_conditions(pod.status.conditions, [condition], now),
        nominated_node_name=pod.status.nominated_node_name if nominated is None else nominated,
    )
    return carry(obj, pod, msgspec.structs.replace(pod, status=status))
