"""What objects tell of how far they are. PURE."""

from collections.abc import Mapping
from typing import Any

MANAGED_BY = "app.kubernetes.io/managed-by"
"""Kubernetes' recommended label: the tool that an object is of."""
_FINISHED = ("Complete", "Failed")
_REVISION = "deployment.kubernetes.io/revision"


def is_ready(pod: Mapping[str, Any]) -> bool:
    """It serves, and is not about to end."""
    return _is_true(pod, "Ready") and not pod["metadata"].get("deletionTimestamp")


def is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    """All of its replicas are of its current template, and available."""
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    return (
        int(status.get("observedGeneration", 0)) >= int(deployment["metadata"]["generation"])
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def revision(replica_set: Mapping[str, Any]) -> int:
    """Of the Deployment, that a replica set is of; 0: none is told."""
    return int((replica_set["metadata"].get("annotations") or {}).get(_REVISION, 0))


def is_finished(job: Mapping[str, Any]) -> bool:
    """Whether a Job has come to its end."""
    return any(_is_true(job, one) for one in _FINISHED)


def _is_true(obj: Mapping[str, Any], condition: str) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)
