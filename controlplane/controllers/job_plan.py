"""What a Job needs next: what is counted, which pods go and which are made. PURE.

A plan is carried out in this order, and may end after any step: the next plan goes on from what is
stored. First `status` is written, if the job is as it was; then `released` lose their finalizer;
`dismissed` lose it and are deleted, in one write, if they have not ended; `doomed` are deleted;
`made` are created.

Source: Kubernetes' documentation, "Jobs"; kube-behaviour 4.11-4.13.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Literal

import msgspec

from controlplane.api import names, pods
from controlplane.api.meta import rfc3339
from controlplane.api.types.batch_v1 import Job, JobCondition, JobStatus
from controlplane.api.types.core_v1 import Pod
from controlplane.controllers import (
    job_accounting,
    job_backoff,
    job_census,
    job_verdict,
    scale_down,
)
from controlplane.controllers.job_backoff import Backoff
from controlplane.controllers.job_census import Census
from controlplane.controllers.job_pods import failures_before, finished_at, is_tracked
from controlplane.controllers.job_verdict import Verdict
from controlplane.controllers.patience import AGAIN_SECONDS_MIN
from controlplane.controllers.pod_failure_policy import ruling

ACTIONS_MAX = 500  # 4.11: pods that are made, or deleted, in one go
SUSPENDED = "Suspended"
_BASE_CHARS_MAX = 58  # 2.9

Happening = tuple[Literal["Normal", "Warning"], str, str]
"""Type, reason and message of an event."""


class NewPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod to be made.

    index     of an Indexed job; else None
    failures  of its index so far, those that count and those that are ignored; None: the indexes
              have no limit of their own
    """

    name: str
    index: int | None = None
    failures: tuple[int, int] | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """See above.

    backoff        as it is when `status` is written
    again_seconds  when to look again, if nothing happens until then
    happenings     to be told when `status` is written
    """

    status: JobStatus
    released: Sequence[Pod] = ()
    dismissed: Sequence[Pod] = ()
    doomed: Sequence[Pod] = ()
    made: Sequence[NewPod] = ()
    backoff: Backoff = Backoff()
    again_seconds: float | None = None
    happenings: Sequence[Happening] = ()


def plan(
    job: Job,
    found: Sequence[Pod],
    now: float,
    backoff: Backoff,
    is_taken: Callable[[str], bool] = lambda name: False,
) -> Plan:
    """Of a job that has not ended, and its pods.

    now       seconds since 1970
    backoff   from what was counted before
    is_taken  whether there is a pod of this name in the job's namespace

    Raises ValueError for indexes in its status that are none.
    """
    census = job_census.take(job, found)
    tracked = {pod.metadata.uid for pod in found if is_tracked(pod)}
    books = job_accounting.settled(_started(job, now), tracked)
    room = job_accounting.room(books)
    counted = census.ended[:room]
    books = job_accounting.entered(books, census.terms, counted)
    verdict = job_verdict.judge(job, census, books, now)
    in_vain = _in_vain(job, census, verdict)[: room - len(counted)]
    books = job_accounting.entered(books, census.terms, in_vain)
    if census.terms.is_indexed and census.terms.limit_per_index is not None:
        books = msgspec.structs.replace(books, failed_indexes=census.lost.text)
    drafted = Plan(
        status=_with_counts(books, census),
        released=(*census.noted, *counted, *in_vain),
        backoff=_backoff(census, counted, backoff),
    )
    if verdict is not None:
        return _ended(drafted, census, verdict, now)
    if job.metadata.deletion_timestamp is not None:
        # What collects them takes the job's place.
        free = (*census.active, *census.leaving)[:ACTIONS_MAX]
        return msgspec.structs.replace(drafted, released=(*drafted.released, *free))
    drafted = _with_suspension(drafted, job, now)
    backoff = _backoff(census, census.ended, backoff)
    return _going_on(drafted, job, census, backoff, now, is_taken)


def reconstructed(found: Iterable[Pod]) -> Backoff:
    """What a controller that has just begun can know of the past: pods that are counted."""
    ended = [pod for pod in found if pods.is_finished(pod) and not is_tracked(pod)]
    # Those that are deleted may have been told to go.
    return _after(Backoff(), [pod for pod in ended if not pods.is_deleted(pod)])


# ------------------------------------------------------------------------ what is counted


def _started(job: Job, now: float) -> JobStatus:
    if job.status.start_time is not None or job.spec.suspend:
        return job.status
    return msgspec.structs.replace(job.status, start_time=rfc3339(now))


def _in_vain(job: Job, census: Census, verdict: Verdict | None) -> Sequence[Pod]:
    """Pods that count as failed because the job ends, or goes.

    What runs is deleted first: one that was let go uncounted before is never seen as tracked and
    deleted, however late a cache is.
    """
    if verdict is None:
        is_deleted = job.metadata.deletion_timestamp is not None
        return list(census.kept.values()) if is_deleted else ()
    if verdict.is_success:
        return list(census.kept.values())
    return (*census.kept.values(), *census.leaving)


def _with_counts(books: JobStatus, census: Census) -> JobStatus:
    return msgspec.structs.replace(
        books,
        active=len(census.active),
        ready=sum(map(pods.is_ready, census.active)),
        terminating=census.terminating,
    )


def _backoff(census: Census, ended: Iterable[Pod], before: Backoff) -> Backoff:
    """Of a job whose indexes have limits of their own each has its own (`_wait`)."""
    return before if census.terms.limit_per_index is not None else _after(before, ended)


def _after(before: Backoff, ended: Iterable[Pod]) -> Backoff:
    ended = list(ended)
    return before.after(
        [finished_at(pod) for pod in ended if pod.status.phase == "Succeeded"],
        [finished_at(pod) for pod in ended if pod.status.phase != "Succeeded"],
    )


# ----------------------------------------------------------------------------- conditions


def _condition(kind: str, status: str, reason: str, message: str, now: float) -> JobCondition:
    time = rfc3339(now)
    return JobCondition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_probe_time=time,
        last_transition_time=time,
    )


def _with_condition(status: JobStatus, said: JobCondition) -> JobStatus:
    others = tuple(one for one in status.conditions if one.type != said.type)
    return msgspec.structs.replace(status, conditions=(*others, said))


def _with_suspension(drafted: Plan, job: Job, now: float) -> Plan:
    """4.13: the time that a job is suspended does not count towards its deadline."""
    before = next((one for one in job.status.conditions if one.type == SUSPENDED), None)
    is_said = before is not None and before.status == "True"
    if bool(job.spec.suspend) == is_said:
        return drafted
    if job.spec.suspend:
        said = _condition(SUSPENDED, "True", "JobSuspended", "Job suspended", now)
        happening: Happening = ("Normal", "Suspended", "Job suspended")
        start = None
    else:
        said = _condition(SUSPENDED, "False", "JobResumed", "Job resumed", now)
        happening = ("Normal", "Resumed", "Job resumed")
        start = rfc3339(now)
    status = msgspec.structs.replace(_with_condition(drafted.status, said), start_time=start)
    return msgspec.structs.replace(drafted, status=status, happenings=(happening,))


def _ended(drafted: Plan, census: Census, verdict: Verdict, now: float) -> Plan:
    """Everything goes; when it is gone, it is told."""
    status = drafted.status
    if all(one.type != verdict.type for one in status.conditions):
        said = _condition(verdict.type, "True", verdict.reason, verdict.message, now)
        status = _with_condition(status, said)
    happenings: list[Happening] = []
    if census.is_empty:
        said = _condition(verdict.end, "True", verdict.reason, verdict.message, now)
        status = _with_condition(status, said)
        if verdict.is_success:
            status = msgspec.structs.replace(status, completion_time=said.last_transition_time)
        happenings = list(_last_words(verdict, status, census.terms.completions))
    unneeded = (*census.active, *census.leaving) if verdict.is_success else ()
    doomed = (*census.strays, *(() if verdict.is_success else census.active))
    return msgspec.structs.replace(
        drafted,
        status=status,
        dismissed=unneeded[:ACTIONS_MAX],
        doomed=doomed[:ACTIONS_MAX],
        happenings=happenings,
    )


def _last_words(
    verdict: Verdict, status: JobStatus, completions: int | None
) -> Iterator[Happening]:
    if not verdict.is_success:
        yield ("Warning", verdict.reason, verdict.message)
        return
    if completions is not None and status.succeeded > completions:
        told = "Too many succeeded pods running after completion count reached"
        yield ("Warning", "TooManySucceededPods", told)
    yield ("Normal", "Completed", "Job completed")


# ------------------------------------------------------------------ which go, and are made


def _going_on(
    drafted: Plan,
    job: Job,
    census: Census,
    backoff: Backoff,
    now: float,
    is_taken: Callable[[str], bool],
) -> Plan:
    due = job_verdict.deadline(job)
    # Never longer than it has time: a clock that was set back may be put right by then.
    longest = max(job.spec.active_deadline_seconds or 0, AGAIN_SECONDS_MIN)
    again = [min(due - now, longest)] if due is not None else []
    doomed = census.strays[:ACTIONS_MAX]
    surplus = _surplus(census, drafted.status, now)
    if surplus or census.terms.is_suspended:
        return msgspec.structs.replace(
            drafted,
            dismissed=surplus[: ACTIONS_MAX - len(doomed)],
            doomed=doomed,
            again_seconds=min(again, default=None),
        )
    missing = _wanted(census, drafted.status) - len(census.active)
    if census.terms.waits_for_the_end:
        missing -= census.terminating
    missing = min(missing, ACTIONS_MAX)
    made: list[NewPod] = []
    if missing > 0:
        name = _Names(job, drafted.status, is_taken)
        wait = backoff.seconds_left(now) if census.terms.limit_per_index is None else 0.0
        if wait > 0:
            again.append(wait)
        elif census.terms.is_indexed:
            made, waits = _indexed(census, missing, name, now)
            again += waits
        else:
            made = [NewPod(name=name.next()) for _ in range(missing)]
    return msgspec.structs.replace(
        drafted, doomed=doomed, made=made, again_seconds=min(again, default=None)
    )


def _wanted(census: Census, status: JobStatus) -> int:
    """How many should run, also with what has ended and is not counted yet."""
    terms = census.terms
    if terms.is_suspended:
        return 0
    if terms.is_indexed:
        succeeded = len(census.completed)
    else:
        waiting = [pod for pod in census.ended if pod.status.phase == "Succeeded"]
        noted = job_accounting.noted(status)
        succeeded = job_accounting.succeeded(status)
        succeeded += sum(pod.metadata.uid not in noted for pod in waiting)
    if terms.completions is None:
        return len(census.active) if succeeded else terms.parallelism
    return max(0, min(terms.completions - succeeded, terms.parallelism))


def _surplus(census: Census, status: JobStatus, now: float) -> list[Pod]:
    """Whom nobody needs: of an index those beyond one, then who has done least."""
    is_indexed = census.terms.is_indexed
    doubles, others = _doubles(census, now) if is_indexed else ([], list(census.active))
    more = len(census.active) - _wanted(census, status) - len(doubles)
    if more > 0:
        doubles += scale_down.most_dispensable(others, more, census.active, now)
    return doubles


def _doubles(census: Census, now: float) -> tuple[list[Pod], list[Pod]]:
    """Pods of no index, or of one that another has, or has completed; and the others."""
    doubles: list[Pod] = []
    of_index: dict[int, list[Pod]] = {}
    for pod in census.active:
        index = census.terms.index_of(pod)
        if index is None or index in census.completed:
            doubles.append(pod)
        else:
            of_index.setdefault(index, []).append(pod)
    for index, same in of_index.items():
        if len(same) > 1:
            *more, best = scale_down.most_dispensable(same, len(same), census.active, now)
            doubles += more
            of_index[index] = [best]
    return doubles, [pod for same in of_index.values() for pod in same]


def _indexed(
    census: Census, missing: int, name: "_Names", now: float
) -> tuple[list[NewPod], list[float]]:
    """The first indexes that nobody has, and in how many seconds others may be tried again."""
    terms = census.terms
    running = [*census.active, *(census.leaving if terms.waits_for_the_end else ())]
    besides = {terms.index_of(pod) for pod in running}
    over = census.completed.joined(census.lost)
    made, waits = [], []
    for index in islice(over.missing(terms.completions or 0, besides), missing):
        before = census.kept.get(index)
        wait = 0.0 if before is None else _wait(before, now)
        if wait > 0:
            waits.append(wait)
            continue
        failures = None if terms.limit_per_index is None else _failures(census, before)
        made.append(NewPod(name=name.next(index), index=index, failures=failures))
    return made, waits


def _wait(before: Pod, now: float) -> float:
    return job_backoff.seconds_left(sum(failures_before(before)) + 1, finished_at(before), now)


def _failures(census: Census, before: Pod | None) -> tuple[int, int]:
    """Of an index, with that of `before`."""
    if before is None:
        return 0, 0
    counted, ignored = failures_before(before)
    if ruling(census.terms.policy, before).is_counted:
        return counted + 1, ignored
    return counted, ignored + 1


class _Names:
    """Names for new pods: the same in each plan until something of the job has ended.

    Who plans once more, without having seen what was made, finds the name taken: nothing is made
    twice.
    """

    def __init__(self, job: Job, status: JobStatus, is_taken: Callable[[str], bool]) -> None:
        ended = job_accounting.succeeded(status) + job_accounting.failed(status)
        self._seed = f"{job.metadata.uid}/{status.start_time}/{ended}"
        self._job = job.metadata.name
        self._is_taken = is_taken
        self._numbers = count()

    def next(self, index: int | None = None) -> str:
        """One that nobody has."""
        middle = "-" if index is None else f"-{index}-"
        base = self._job[: _BASE_CHARS_MAX - len(middle)] + middle
        numbers = self._numbers if index is None else count()
        for number in numbers:
            name = names.generate_name(base, _letters(f"{self._seed}/{index}/{number}"))
            if not self._is_taken(name):
                return name
        raise AssertionError("unreachable")


def _letters(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).digest()
    chars = names.SUFFIX_CHARS
    return "".join(chars[byte % len(chars)] for byte in digest[: names.SUFFIX_LENGTH])
