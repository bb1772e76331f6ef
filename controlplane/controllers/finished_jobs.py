"""Jobs that have ended and say for how long they are of interest: then they go, pods first.

Source: Kubernetes' documentation, "Automatic Cleanup for Finished Jobs"; kube-behaviour 4.13.
"""

from controlplane.api.types.batch_v1 import Job
from controlplane.controller import Controller, Lister
from controlplane.controllers.context import Context
from controlplane.controllers.job_pods import seconds_of
from controlplane.controllers.job_verdict import COMPLETE, FAILED
from controlplane.controllers.patience import AGAIN_SECONDS_MIN
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

WORKERS = 5  # kube-controller-manager's --concurrent-ttl-after-finished-syncs


def controller(context: Context) -> Controller:
    """Of jobs."""
    jobs = context.resource("batch", "jobs")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        job = lister.record(Job, jobs, key)
        due = due_at(job) if job is not None else None
        if job is None or due is None:
            return None
        left = due - store.clock()
        if left > 0:
            # A clock that was set back may be put right by then.
            return min(left, max(job.spec.ttl_seconds_after_finished or 0, AGAIN_SECONDS_MIN))
        # Whoever has changed it since may want to keep it: the next look will tell.
        options = DeleteOptions(
            propagation_policy="Foreground",
            uid=job.metadata.uid,
            resource_version=job.metadata.resource_version,
        )
        await store.delete(jobs, key.namespace, key.name, options=options)
        return None

    return Controller("ttl-after-finished", jobs, reconcile, workers=WORKERS)


def due_at(job: Job) -> float | None:
    """When it is to go, in seconds since 1970; None: never, or not yet known. Pure."""
    seconds = job.spec.ttl_seconds_after_finished
    if seconds is None or job.metadata.deletion_timestamp is not None:
        return None
    for one in job.status.conditions:
        if one.type in (COMPLETE, FAILED) and one.status == "True" and one.last_transition_time:
            return seconds_of(one.last_transition_time) + seconds
    return None
