"""A Job's pods by what is to be done with them. PURE.

Source: Kubernetes' documentation, "Jobs"; kube-behaviour 4.11-4.13.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from controlplane.api import pods
from controlplane.api.types.batch_v1 import Job
from controlplane.api.types.core_v1 import Pod
from controlplane.controllers import indexes, job_accounting
from controlplane.controllers.indexes import Indexes
from controlplane.controllers.job_pods import (
    Terms,
    failures_before,
    finished_at,
    is_terminating,
    is_tracked,
    terms_of,
)
from controlplane.controllers.pod_failure_policy import ruling


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of a job.

    active       they count as its own, and have not ended
    strays       as active, but nobody would count them: they are replaced
    leaving      tracked, deleted and not ended, and that is no failure yet
    ended        tracked, and not noted yet
    kept         index -> its last failure, which tells its replacement how many there were
    noted        tracked, though counted
    terminating  how many are deleted, and may run still
    failing      all tracked ones that have failed
    completed    indexes that have succeeded, also those that are not counted yet
    lost         indexes that have failed for good
    """

    terms: Terms
    active: Sequence[Pod]
    strays: Sequence[Pod]
    leaving: Sequence[Pod]
    ended: Sequence[Pod]
    kept: Mapping[int, Pod]
    noted: Sequence[Pod]
    terminating: int
    failing: Sequence[Pod]
    completed: Indexes
    lost: Indexes

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs, and all is counted."""
        groups = (self.active, self.strays, self.leaving, self.ended, self.kept, self.noted)
        return not self.terminating and not any(groups)


def take(job: Job, found: Iterable[Pod]) -> Census:
    """Of the pods of a job."""
    found, terms = list(found), terms_of(job)
    noted_uids = job_accounting.noted(job.status)
    noted = [pod for pod in found if is_tracked(pod) and pod.metadata.uid in noted_uids]
    open_ = [pod for pod in found if is_tracked(pod) and pod.metadata.uid not in noted_uids]
    active = [pod for pod in open_ if pods.is_active(pod)]
    ended = [pod for pod in open_ if _has_ended(terms, pod)]
    failing = [pod for pod in (*ended, *noted) if _has_failed(terms, pod)]
    completed = _completed(job, terms, ended)
    lost = _lost(job, terms, failing)
    kept = _kept(terms, active, ended, completed, lost)
    kept_uids = {pod.metadata.uid for pod in kept.values()}
    return Census(
        terms=terms,
        active=active,
        strays=[pod for pod in found if pods.is_active(pod) and not is_tracked(pod)],
        leaving=[pod for pod in open_ if is_terminating(pod) and not _has_ended(terms, pod)],
        ended=[pod for pod in ended if pod.metadata.uid not in kept_uids],
        kept=kept,
        noted=noted,
        terminating=sum(map(is_terminating, found)),
        failing=failing,
        completed=completed,
        lost=lost,
    )


def _has_ended(terms: Terms, pod: Pod) -> bool:
    return pod.status.phase == "Succeeded" or terms.has_failed(pod)


def _has_failed(terms: Terms, pod: Pod) -> bool:
    return pod.status.phase != "Succeeded" and terms.has_failed(pod)


def _completed(job: Job, terms: Terms, ended: Iterable[Pod]) -> Indexes:
    """Empty of a job that has no indexes."""
    if not terms.is_indexed:
        return Indexes()
    before = indexes.parse(job.status.completed_indexes, terms.completions or 0)
    succeeded = (terms.index_of(pod) for pod in ended if pod.status.phase == "Succeeded")
    return before.adding(index for index in succeeded if index is not None)


def _lost(job: Job, terms: Terms, failing: Iterable[Pod]) -> Indexes:
    """Empty of a job whose indexes have no limit of their own."""
    if not terms.is_indexed or terms.limit_per_index is None:
        return Indexes()
    before = indexes.parse(job.status.failed_indexes or "", terms.completions or 0)
    lost = (terms.index_of(pod) for pod in failing if _is_last_failure(terms, pod))
    return before.adding(index for index in lost if index is not None)


def _is_last_failure(terms: Terms, pod: Pod) -> bool:
    """Whether its index may not fail once more."""
    assert terms.limit_per_index is not None
    ruled = ruling(terms.policy, pod)
    if ruled.action == "FailIndex":
        return True
    return ruled.is_counted and failures_before(pod)[0] >= terms.limit_per_index


def _kept(
    terms: Terms,
    active: Iterable[Pod],
    ended: Iterable[Pod],
    completed: Indexes,
    lost: Indexes,
) -> dict[int, Pod]:
    """The last failure of each index that is to be tried once more, and is not yet."""
    if not terms.is_indexed or terms.limit_per_index is None:
        return {}
    tried = {terms.index_of(pod) for pod in active}
    kept: dict[int, Pod] = {}
    for pod in ended:
        index = terms.index_of(pod)
        if index is None or index in tried or index in completed or index in lost:
            continue
        if index not in kept or _rank(kept[index]) <= _rank(pod):
            kept[index] = pod
    return kept


def _rank(pod: Pod) -> tuple[int, float]:
    return sum(failures_before(pod)), finished_at(pod)
