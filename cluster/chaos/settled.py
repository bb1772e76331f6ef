"""Whether all that users want is so. PURE."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.workloads import is_finished, is_rolled_out

KINDS = ("Deployment", "Job", "Pod", "ReplicaSet", "Service")

Objects = Mapping[str, Sequence[dict[str, Any]]]
"""Of a namespace, by kind."""


def late(objects: Objects) -> Iterator[str]:
    """What is not as it shall be yet."""
    for deployment in objects["Deployment"]:
        if not is_rolled_out(deployment):
            yield f"deployment {_name(deployment)} is not rolled out"
    for job in objects["Job"]:
        if not is_finished(job):
            yield f"job {_name(job)} has not ended"
    for kind in KINDS:
        for one in objects[kind]:
            if one["metadata"].get("deletionTimestamp"):
                yield f"{kind.lower()} {_name(one)} is still being deleted"


def _name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["name"])
