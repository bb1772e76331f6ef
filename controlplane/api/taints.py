"""Taints of nodes, and which pods bear them. PURE.

Source: Kubernetes' documentation, "Taints and Tolerations"; kube-behaviour 6.2-6.4.
"""

from collections.abc import Iterable

from controlplane.api.types.core_v1 import Taint, Toleration

NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
MEMORY_PRESSURE = "node.kubernetes.io/memory-pressure"
DISK_PRESSURE = "node.kubernetes.io/disk-pressure"
PID_PRESSURE = "node.kubernetes.io/pid-pressure"
NETWORK_UNAVAILABLE = "node.kubernetes.io/network-unavailable"


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether a toleration is of this taint; what it leaves out is of all."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in ("", "Equal") and toleration.value == taint.value


def toleration_of(tolerations: Iterable[Toleration], taint: Taint) -> Toleration | None:
    """The first one of a taint; it alone says for how long the taint is borne."""
    return next((one for one in tolerations if tolerates(one, taint)), None)
