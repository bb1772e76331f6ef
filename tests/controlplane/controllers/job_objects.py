"""Jobs and pods of the tests of what counts them."""

from typing import Any

from controlplane.api.meta import rfc3339
from controlplane.api.record import from_object
from controlplane.api.resource import Object
from controlplane.api.types.batch_v1 import Job
from controlplane.api.types.core_v1 import Pod
from controlplane.controllers.job_backoff import Backoff
from controlplane.controllers.job_plan import Plan, plan
from controlplane.controllers.job_pods import FAILURES, INDEX, TRACKING
from tests.controlplane.controllers.objects import NOW

UID = "job-uid"


def job(status: dict[str, Any] | None = None, **spec: Any) -> Job:
    """As the API server fills one in."""
    return from_object(Job, job_object(status, **spec))


def job_object(
    status: dict[str, Any] | None = None, *, name: str = "sum", namespace: str = "shop", **spec: Any
) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"batch.kubernetes.io/job-name": name}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "i"}],
            **spec.pop("pod", {}),
        },
    }
    filled = {"parallelism": 1, "backoffLimit": 6, "template": template, **spec}
    if "parallelism" not in spec and "completions" not in spec:
        filled["completions"] = 1
    metadata = {"name": name, "namespace": namespace, "uid": UID}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": filled,
        "status": status or {},
    }


def pod(
    name: str,
    phase: str = "Running",
    *,
    index: int | None = None,
    failures: int | None = None,
    is_tracked: bool = True,
    is_deleted: bool = False,
    ended: float = NOW,
    code: int | None = None,
    conditions: Any = (),
    restarts: int = 0,
    node: str = "n1",
) -> Pod:
    """One of the job's. `ended`: when its container did; `code`: how."""
    annotations = {}
    if index is not None:
        annotations[INDEX] = str(index)
    if failures is not None:
        annotations[FAILURES] = str(failures)
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "creationTimestamp": rfc3339(NOW - 100),
        "annotations": annotations,
        "finalizers": [TRACKING] if is_tracked else [],
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "sum", "uid": UID, "controller": True}
        ],
    }
    if is_deleted:
        metadata |= {"deletionTimestamp": rfc3339(NOW), "deletionGracePeriodSeconds": 30}
    state: Object = {"running": {}}
    if phase in ("Succeeded", "Failed"):
        exit_code = code if code is not None else int(phase == "Failed")
        state = {"terminated": {"exitCode": exit_code, "finishedAt": rfc3339(ended)}}
    container = {"name": "c", "state": state, "restartCount": restarts}
    status = {"phase": phase, "conditions": list(conditions), "containerStatuses": [container]}
    spec = {"nodeName": node, "containers": []}
    return from_object(Pod, {"metadata": metadata, "spec": spec, "status": status})


def planned(of: Job, *pods: Pod, now: float = NOW, backoff: Backoff | None = None) -> Plan:
    taken = {one.metadata.name for one in pods}
    return plan(of, pods, now, backoff or Backoff(), lambda name: name in taken)


def said(found: Plan) -> dict[str, tuple[str, str]]:
    """Its conditions: type -> status and reason."""
    return {one.type: (one.status, one.reason) for one in found.status.conditions}
