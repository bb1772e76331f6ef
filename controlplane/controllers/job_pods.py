"""What a Job asks of its pods. PURE.

Source: Kubernetes' documentation, "Jobs"; kube-behaviour 4.11-4.13.
"""

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from controlplane.api import pods
from controlplane.api.types.batch_v1 import Job, PodFailurePolicy
from controlplane.api.types.core_v1 import Pod

TRACKING = "batch.kubernetes.io/job-tracking"
"""The finalizer of a pod that is not counted yet."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""Annotation and label: which index of an Indexed job."""
FAILURES = "batch.kubernetes.io/job-index-failure-count"
"""Annotation: failures of the index before this pod, as far as they count."""
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
"""… and those that a podFailurePolicy ignores."""
_BACKOFF_LIMIT = 6
_NUMBER = re.compile("[0-9]{1,10}")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A job's spec with the defaults of its kind.

    completions        None: one success is enough, and others go on to their ends
    limit              failures that it survives
    limit_per_index    … that each index survives; None: there is no such limit
    waits_for_the_end  a pod is replaced when it has failed, not already when it is deleted
    """

    parallelism: int
    completions: int | None
    limit: int
    limit_per_index: int | None
    policy: PodFailurePolicy | None
    is_indexed: bool
    is_suspended: bool
    waits_for_the_end: bool

    def has_failed(self, pod: Pod) -> bool:
        """Whether it will not succeed any more."""
        if pod.status.phase == "Failed":
            return True
        return not self.waits_for_the_end and is_terminating(pod)

    def is_counted(self, pod: Pod) -> bool:
        """Whether its end means something: not that of an index which the job does not have."""
        return not self.is_indexed or self.index_of(pod) is not None

    def index_of(self, pod: Pod) -> int | None:
        """Of a pod of an Indexed job; None: it has none, or one that the job does not have."""
        index = _number(pod, INDEX)
        return index if index is not None and index < (self.completions or 0) else None


def terms_of(job: Job) -> Terms:
    """Also of a job that the API server has not filled in."""
    spec = job.spec
    return Terms(
        parallelism=1 if spec.parallelism is None else spec.parallelism,
        completions=spec.completions,
        limit=_BACKOFF_LIMIT if spec.backoff_limit is None else spec.backoff_limit,
        limit_per_index=spec.backoff_limit_per_index,
        policy=spec.pod_failure_policy,
        is_indexed=spec.completion_mode == "Indexed",
        is_suspended=bool(spec.suspend),
        waits_for_the_end=(
            spec.pod_replacement_policy == "Failed" or spec.pod_failure_policy is not None
        ),
    )


def is_tracked(pod: Pod) -> bool:
    """Whether it is not counted yet, or not known to be."""
    return TRACKING in pod.metadata.finalizers


def is_terminating(pod: Pod) -> bool:
    """It is to go, and may run still."""
    return pods.is_deleted(pod) and not pods.is_finished(pod)


def failures_before(pod: Pod) -> tuple[int, int]:
    """Of its index: those that count, and those that are ignored."""
    return _number(pod, FAILURES) or 0, _number(pod, IGNORED) or 0


def _number(pod: Pod, annotation: str) -> int | None:
    text = pod.metadata.annotations.get(annotation, "")
    return int(text) if _NUMBER.fullmatch(text) else None


def controller_uid(pod: Pod) -> str:
    """Of the job that it is one of."""
    owners = pod.metadata.owner_references
    return next((one.uid for one in owners if one.controller), "")


def seconds_of(time: str) -> float:
    """Since 1970."""
    return datetime.fromisoformat(time).timestamp()


def finished_at(pod: Pod) -> float:
    """When a pod ended, in seconds since 1970, as well as it can be told."""
    states = [one.state.terminated for one in pod.status.container_statuses]
    ends = [one.finished_at for one in states if one is not None and one.finished_at]
    if ends and len(ends) == len(states):
        return max(map(seconds_of, ends))
    ready = pods.condition(pod, pods.READY)
    if ready is not None and ready.status == "False" and ready.last_transition_time:
        return seconds_of(ready.last_transition_time)
    metadata = pod.metadata
    if metadata.deletion_timestamp is not None:
        grace = metadata.deletion_grace_period_seconds or 0
        return seconds_of(metadata.deletion_timestamp) - grace
    return seconds_of(metadata.creation_timestamp) if metadata.creation_timestamp else 0.0


def restarts(found: Iterable[Pod]) -> int:
    """Of all containers of pods that have not ended."""
    return sum(
        status.restart_count
        for pod in found
        if pod.status.phase in ("Running", "Pending")
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses)
    )
