"""Whether a Job has come to its end, and which. PURE.

The end is told twice: SuccessCriteriaMet or FailureTarget when it is decided, Complete or Failed
when the last pod is gone and counted.

Source: Kubernetes' documentation, "Jobs", "Terminal Job conditions"; kube-behaviour 4.11-4.13.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from controlplane.api.types.batch_v1 import Job, JobCondition, JobStatus, SuccessPolicyRule
from controlplane.controllers import indexes, job_accounting
from controlplane.controllers.indexes import Indexes
from controlplane.controllers.job_census import Census
from controlplane.controllers.job_pods import restarts, seconds_of
from controlplane.controllers.pod_failure_policy import ruling

COMPLETE, FAILED = "Complete", "Failed"
SUCCESS, FAILURE = "SuccessCriteriaMet", "FailureTarget"


class Verdict(msgspec.Struct, frozen=True):
    """How a job ends, and why."""

    type: Literal["SuccessCriteriaMet", "FailureTarget"]
    reason: str
    message: str

    @property
    def is_success(self) -> bool:
        """Whether what runs still is not needed, rather than in vain."""
        return self.type == SUCCESS

    @property
    def end(self) -> str:
        """The condition that tells of it when all pods are gone."""
        return COMPLETE if self.is_success else FAILED


def is_finished(conditions: Sequence[JobCondition]) -> bool:
    """Whether a job has ended for good."""
    return any(one.type in (COMPLETE, FAILED) and one.status == "True" for one in conditions)


def judge(job: Job, found: Census, books: JobStatus, now: float) -> Verdict | None:
    """None: it goes on. `books`: its status with what is counted now; `now` since 1970."""
    for one in job.status.conditions:
        if one.type == SUCCESS and one.status == "True":
            return Verdict("SuccessCriteriaMet", one.reason, one.message)
    for one in job.status.conditions:
        if one.type == FAILURE and one.status == "True":
            return _failure(one.reason, one.message)
    return (
        _policy_failure(found)
        or _limit_failure(job, found, books)
        or _deadline_failure(job, now)
        or _index_failure(job, found)
        or _policy_success(job, books)
        or _success(found, books)
    )


def deadline(job: Job) -> float | None:
    """When it fails whatever it does, in seconds since 1970."""
    seconds, start = job.spec.active_deadline_seconds, job.status.start_time
    if seconds is None or start is None or job.spec.suspend:
        return None
    return seconds_of(start) + seconds


def _failure(reason: str, message: str) -> Verdict:
    return Verdict("FailureTarget", reason, message)


def _policy_failure(found: Census) -> Verdict | None:
    for pod in found.failing:
        ruled = ruling(found.terms.policy, pod)
        if ruled.action == "FailJob":
            return _failure("PodFailurePolicy", ruled.message)
    return None


def _limit_failure(job: Job, found: Census, books: JobStatus) -> Verdict | None:
    policy = found.terms.policy
    waiting = [pod for pod in found.kept.values() if ruling(policy, pod).is_counted]
    is_beyond = job_accounting.failed(books) + len(waiting) > found.terms.limit
    if not is_beyond and job.spec.template.spec.restart_policy == "OnFailure":
        is_beyond = restarts(found.active) >= max(found.terms.limit, 1)
    if not is_beyond:
        return None
    return _failure("BackoffLimitExceeded", "Job has reached the specified backoff limit")


def _deadline_failure(job: Job, now: float) -> Verdict | None:
    due = deadline(job)
    if due is None or now < due:
        return None
    return _failure("DeadlineExceeded", "Job was active longer than specified deadline")


def _index_failure(job: Job, found: Census) -> Verdict | None:
    limit = job.spec.max_failed_indexes
    if limit is not None and len(found.lost) > limit:
        told = "Job has exceeded the specified maximal number of failed indexes"
        return _failure("MaxFailedIndexesExceeded", told)
    ended = len(found.lost) + len(found.completed)
    if found.lost and ended >= (found.terms.completions or 0):
        return _failure("FailedIndexes", "Job has failed indexes")
    return None


def _policy_success(job: Job, books: JobStatus) -> Verdict | None:
    policy, end = job.spec.success_policy, job.spec.completions or 0
    if policy is None or job.spec.completion_mode != "Indexed":
        return None
    done = indexes.parse(books.completed_indexes, end)
    for position, rule in enumerate(policy.rules):
        if _is_met(rule, done, end):
            told = f"Matched rules at index {position}"
            return Verdict("SuccessCriteriaMet", "SuccessPolicy", told)
    return None


def _is_met(rule: SuccessPolicyRule, done: Indexes, end: int) -> bool:
    if rule.succeeded_indexes is None:
        return rule.succeeded_count is not None and len(done) >= rule.succeeded_count
    meant = indexes.parse(rule.succeeded_indexes, end)
    needed = len(meant) if rule.succeeded_count is None else rule.succeeded_count
    return done.count_of(meant) >= needed


def _success(found: Census, books: JobStatus) -> Verdict | None:
    completions, succeeded = found.terms.completions, job_accounting.succeeded(books)
    if completions is None:
        # Each pod knows whether all is done: after one success the others go on to their ends.
        is_done = succeeded > 0 and not found.active
    else:
        is_done = succeeded >= completions
    if not is_done:
        return None
    told = "Reached expected number of succeeded pods"
    return Verdict("SuccessCriteriaMet", "CompletionsReached", told)
