"""Counting a Job's pods: each once, whatever happens between two writes. PURE.

A pod that has ended goes through three steps, and after each the next can be told from what is
stored, by whoever comes:

    1. its uid is written to status.uncountedTerminatedPods (of an Indexed job its success is
       written to completedIndexes, a set, which cannot count twice)
    2. the finalizer that tracks it is taken away
    3. its uid is taken from the list, and the number beside it grows, in one write

A pod with the finalizer that is in no list is to be counted; one that is in a list has been, and
what is in a list and has no finalizer any more may become a number.

Who counts may see the pods as they were, if only never older than he, or any before him, saw them:
a status is written to the job as it was read, so what he has not seen there nobody has written, and
a number grows only when somebody has seen the finalizer gone. Caches hold to that: they never go
back, and a leader's begin when nobody else writes any more.

Source: Kubernetes' documentation, "Job termination and cleanup", and API reference of
UncountedTerminatedPods; kube-behaviour 4.11.
"""

from collections.abc import Collection, Iterable

import msgspec

from controlplane.api.types.batch_v1 import JobStatus, UncountedTerminatedPods
from controlplane.api.types.core_v1 import Pod
from controlplane.controllers import indexes
from controlplane.controllers.job_pods import Terms
from controlplane.controllers.pod_failure_policy import ruling

UNCOUNTED_MAX = 500  # 4.11: uids in a status, which are some 20 kB

_NOTHING = UncountedTerminatedPods()


def uncounted(status: JobStatus) -> UncountedTerminatedPods:
    """Those that wait for step 2 or 3."""
    return status.uncounted_terminated_pods or _NOTHING


def noted(status: JobStatus) -> frozenset[str]:
    """Their uids."""
    waiting = uncounted(status)
    return frozenset((*waiting.succeeded, *waiting.failed))


def room(status: JobStatus) -> int:
    """How many more may be noted."""
    return max(0, UNCOUNTED_MAX - len(noted(status)))


def settled(status: JobStatus, tracked: Collection[str]) -> JobStatus:
    """Step 3, for all whose finalizer is gone. `tracked`: uids of pods that have it."""
    waiting = uncounted(status)
    succeeded = tuple(uid for uid in waiting.succeeded if uid in tracked)
    failed = tuple(uid for uid in waiting.failed if uid in tracked)
    if (succeeded, failed) == (waiting.succeeded, waiting.failed):
        return status
    return msgspec.structs.replace(
        status,
        succeeded=status.succeeded + len(waiting.succeeded) - len(succeeded),
        failed=status.failed + len(waiting.failed) - len(failed),
        uncounted_terminated_pods=UncountedTerminatedPods(succeeded=succeeded, failed=failed),
    )


def entered(status: JobStatus, terms: Terms, ended: Iterable[Pod]) -> JobStatus:
    """Step 1, for pods that are not noted yet. Whoever has not succeeded has failed."""
    waiting = uncounted(status)
    succeeded, failed, done = list(waiting.succeeded), list(waiting.failed), []
    for pod in ended:
        if not terms.is_counted(pod):
            continue
        if pod.status.phase == "Succeeded":
            index = terms.index_of(pod)
            if index is None:
                succeeded.append(pod.metadata.uid)
            else:
                done.append(index)
        elif ruling(terms.policy, pod).is_counted:
            failed.append(pod.metadata.uid)
    if len(succeeded) + len(failed) > len(waiting.succeeded) + len(waiting.failed):
        waiting = UncountedTerminatedPods(succeeded=tuple(succeeded), failed=tuple(failed))
        status = msgspec.structs.replace(status, uncounted_terminated_pods=waiting)
    return _with_indexes(status, terms, done) if terms.is_indexed else status


def _with_indexes(status: JobStatus, terms: Terms, done: Iterable[int]) -> JobStatus:
    completed = indexes.parse(status.completed_indexes, terms.completions or 0).adding(done)
    return msgspec.structs.replace(
        status, completed_indexes=completed.text, succeeded=len(completed)
    )


def succeeded(status: JobStatus) -> int:
    """All that have, numbers and lists together."""
    return status.succeeded + len(uncounted(status).succeeded)


def failed(status: JobStatus) -> int:
    """All that have, numbers and lists together."""
    return status.failed + len(uncounted(status).failed)
