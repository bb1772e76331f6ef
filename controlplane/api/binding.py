"""What gives a pod its node, once: by a Binding, or by the scheduler. PURE.

Source: Kubernetes' API of `pods/binding`; kube-behaviour 7.2.
"""

from controlplane.api import errors
from controlplane.api.meta import rfc3339
from controlplane.api.resource import Object

_WHERE = "pods/binding"


def bound(pod: Object, node_name: str, now: float) -> Object:
    """The pod on a node, with the condition PodScheduled. `now`: seconds since 1970.

    Raises ApiError 409 when it has a node, waits for gates, or is being deleted.
    """
    spec, name = pod["spec"], str(pod["metadata"]["name"])
    if pod["metadata"].get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise errors.conflict(_WHERE, "", name, why)
    if spec.get("nodeName"):
        taken = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
        raise errors.conflict(_WHERE, "", name, taken)
    if spec.get("schedulingGates"):
        raise errors.conflict(_WHERE, "", name, f"pod {name} has non-empty .spec.schedulingGates")
    status = pod.get("status") or {}
    others = [one for one in status.get("conditions") or () if one.get("type") != "PodScheduled"]
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": rfc3339(now),
    }
    return {
        **pod,
        "spec": {**spec, "nodeName": node_name},
        "status": {**status, "conditions": [*others, scheduled]},
    }
