"""Jobs: each pod is counted once, each index completed once. PURE.

A pod whose count is written has lost its finalizer; one that ended by itself stays. So what a Job
says can be counted again, but for pods that were deleted while they ran: these count as failed.
"""

from collections.abc import Iterator

from auditing.world import (
    TERMINAL,
    Object,
    World,
    called,
    is_true,
    owner,
    phase,
    uid,
)

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
_LIMIT_REASONS = ("BackoffLimitExceeded",)


def faults(world: World) -> Iterator[str]:
    """What cannot be."""
    jobs = list(world.all("batch/jobs"))
    there = {uid(job): job for job in jobs}
    for job in jobs:
        yield from _job(world, job)
    for pod in world.all("core/pods"):
        if TRACKING not in (pod["metadata"].get("finalizers") or ()):
            continue
        job_ = there.get(owner(pod))
        if job_ is None:
            yield f"{called(pod)} holds a finalizer of a job that is gone"
        elif phase(pod) in TERMINAL or _is_over(job_):
            yield f"{called(pod)} was never counted by {called(job_)}"


def _is_over(job: Object) -> bool:
    return is_true(job, "Complete") or is_true(job, "Failed")


def _job(world: World, job: Object) -> Iterator[str]:
    pods = [pod for pod in world.all("core/pods") if owner(pod) == uid(job)]
    status = job.get("status") or {}
    succeeded, failed = int(status.get("succeeded") or 0), int(status.get("failed") or 0)
    left = {name: sum(phase(pod) == name for pod in pods) for name in TERMINAL}
    if left["Succeeded"] != succeeded:
        yield f"{called(job)} counts {succeeded} succeeded pods: there are {left['Succeeded']}"
    if left["Failed"] > failed:
        yield f"{called(job)} counts {failed} failed pods: there are {left['Failed']}"
    uncounted = status.get("uncountedTerminatedPods") or {}
    if any(uncounted.values()):
        yield f"{called(job)} has not done with counting: {uncounted}"
    active = sum(phase(pod) not in TERMINAL for pod in pods)
    if int(status.get("active") or 0) != active:
        yield f"{called(job)} says active {status.get('active') or 0}: there are {active}"
    if not _is_over(job):
        return
    if active:
        yield f"{called(job)} is over, but {active} of its pods are not"
    if is_true(job, "Complete") and is_true(job, "Failed"):
        yield f"{called(job)} is both Complete and Failed"
    yield from _completed(job, pods, succeeded)
    yield from _failed(job, failed)


def _completed(job: Object, pods: list[Object], succeeded: int) -> Iterator[str]:
    if not is_true(job, "Complete"):
        return
    completions = job["spec"].get("completions")
    if completions is not None and succeeded != int(completions):
        yield f"{called(job)} is Complete with {succeeded} of {completions} completions"
    if job["spec"].get("completionMode") != "Indexed":
        return
    told = indexes((job.get("status") or {}).get("completedIndexes") or "")
    if told != list(range(int(completions))):
        yield f"{called(job)} has completed indexes {told} of 0 to {int(completions) - 1}"
    by_pods = sorted(
        int((pod["metadata"].get("annotations") or {}).get(INDEX, -1))
        for pod in pods
        if phase(pod) == "Succeeded"
    )
    if by_pods != told:
        yield f"{called(job)} tells indexes {told}: its pods completed {by_pods}"


def _failed(job: Object, failed: int) -> Iterator[str]:
    reasons = [
        one.get("reason")
        for one in job["status"].get("conditions") or ()
        if one["type"] == "Failed" and one["status"] == "True"
    ]
    limit = int(job["spec"].get("backoffLimit", 6))
    is_limited = any(reason in _LIMIT_REASONS for reason in reasons)
    if is_limited and failed <= limit:
        yield f"{called(job)} has failed by its limit of {limit} with {failed} failed pods"
    if is_true(job, "Complete") and failed > limit:
        yield f"{called(job)} is Complete with {failed} failed pods: its limit is {limit}"


def indexes(told: str) -> list[int]:
    """`0,2-4` as numbers. Raises ValueError."""
    found: list[int] = []
    for part in filter(None, told.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
