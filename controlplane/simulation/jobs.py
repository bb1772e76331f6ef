"""Promises of Jobs: never two pods of one index, never more than parallelism, each end counted
once. PURE.

* No pod is made for an index that has an active one, or, where the Job waits for ends, one that
  still goes.
* A pod is made only as far as no more are active than `parallelism` was at some moment that the
  controller may still believe in.
* What is counted never shrinks, and in the end it is what the history tells: the pods that ended
  while the Job held them. A completed index has one that succeeded.

A pod that is deleted before it has ended counts as failed, as in Kubernetes; one that succeeds
after all, before its Job has counted it, may count as either. Those that go since their Job is
suspended count as nothing: who deletes them may not have heard yet that one was going already.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.api.resource import Object
from controlplane.simulation import ledger as facts
from controlplane.simulation.ledger import Ledger, Recent, Step
from controlplane.simulation.rules import Moment
from kvstore.testing.history import ViolationError

_TRACKING = "batch.kubernetes.io/job-tracking"
_INDEX = "batch.kubernetes.io/job-completion-index"


class Jobs:
    """See above. `finished`: how many Jobs came to their end."""

    def __init__(self) -> None:
        self.created = 0
        self.finished: set[str] = set()
        self._parallelism: dict[str, Recent] = {}
        self._succeeded: dict[str, dict[str, str]] = {}  # of each Job: uid of a pod -> its index
        self._failed: dict[str, set[str]] = {}
        self._spared: dict[str, set[str]] = {}  # which may count as nothing

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """See `Rule`."""
        for change in step.changes:
            new = change.new
            if new is None:
                continue
            if change.place == facts.JOBS:
                is_same = change.old is not None and facts.uid_of(change.old) == facts.uid_of(new)
                self._see_job(step, change.old if is_same else None, new)
            elif change.place == facts.PODS:
                self._note_end(new)
                self._note_spared(change.old, new, ledger)
                if change.old is None:
                    self._see_new_pod(step, new, ledger, moment.believed_since(step.at))

    def check_counts(self, ledger: Ledger) -> None:
        """Of all Jobs that have completed. Raises ViolationError."""
        for job in ledger.all(facts.JOBS):
            if facts.is_true(job, "Complete"):
                self._check_counts(job)

    def _see_job(self, step: Step, old: Object | None, new: Object) -> None:
        uid = facts.uid_of(new)
        self._parallelism.setdefault(uid, Recent()).note(step.at, int(new["spec"]["parallelism"]))
        if facts.is_true(new, "Complete") or facts.is_true(new, "Failed"):
            self.finished.add(uid)
        for count in ("succeeded", "failed"):
            before = int(facts.status_of(old or {}).get(count) or 0)
            after = int(facts.status_of(new).get(count) or 0)
            if after < before:
                who = f"revision {step.revision}: {facts.called(new)}"
                raise ViolationError(f"{who} had {before} {count}, and now has {after}")

    def _note_end(self, pod: Object) -> None:
        owner = facts.controller_uid(pod)
        if owner not in self._parallelism:
            return
        phase = facts.status_of(pod).get("phase")
        if not _is_held(pod):
            return
        if phase == "Succeeded":
            self._succeeded.setdefault(owner, {})[facts.uid_of(pod)] = _index_of(pod)
        elif phase == "Failed" or facts.is_going(pod):
            self._failed.setdefault(owner, set()).add(facts.uid_of(pod))

    def _note_spared(self, old: Object | None, new: Object, ledger: Ledger) -> None:
        """Let go before it has ended, while its Job is suspended."""
        owner = facts.controller_uid(new)
        if old is None or not _is_held(old) or _is_held(new) or facts.has_ended(new):
            return
        job = next((one for one in ledger.all(facts.JOBS) if facts.uid_of(one) == owner), None)
        if job is not None and job["spec"].get("suspend"):
            self._spared.setdefault(owner, set()).add(facts.uid_of(new))

    def _see_new_pod(self, step: Step, pod: Object, ledger: Ledger, since: float) -> None:
        owner = facts.controller_uid(pod)
        if owner not in self._parallelism:
            return
        self.created += 1
        who = f"revision {step.revision}: {facts.called(pod)} was made"
        pods = list(ledger.owned(facts.PODS, owner))
        active, most = [one for one in pods if facts.is_active(one)], self._parallelism[owner]
        if len(active) > max(most.since(since)):
            told = f"{len(active)} of {max(most.since(since))} at a time"
            raise ViolationError(f"{who}: {told}")
        index = _index_of(pod)
        same = [one for one in active if index and _index_of(one) == index]
        if len(same) > 1:
            names = ", ".join(str(one["metadata"]["name"]) for one in same)
            raise ViolationError(f"{who}: index {index} has {names}")

    def _check_counts(self, job: Object) -> None:
        uid, status, who = facts.uid_of(job), facts.status_of(job), facts.called(job)
        succeeded, failed = self._succeeded.get(uid, {}), self._failed.get(uid, set())
        spared = self._spared.get(uid, set()) & failed
        either = (succeeded.keys() & failed) | spared
        for word, did in (("succeeded", succeeded.keys()), ("failed", failed)):
            if not len(did - either) <= int(status.get(word) or 0) <= len(did):
                raise ViolationError(
                    f"{who}: {status.get(word)} {word}, it says, and {len(did)} did"
                )
        counted = sum(int(status.get(word) or 0) for word in ("succeeded", "failed"))
        all_ended = succeeded.keys() | failed
        if not len(all_ended - spared) <= counted <= len(all_ended):
            raise ViolationError(f"{who}: it counts {counted}, of {succeeded} and {failed}")
        if any((status.get("uncountedTerminatedPods") or {}).values()) or status.get("active"):
            raise ViolationError(f"{who} is complete, and has not counted all")
        if job["spec"].get("completionMode") == "Indexed":
            indexes = numbers_of(str(status.get("completedIndexes") or ""))
            sure = {int(index) for pod, index in succeeded.items() if pod not in either}
            if not sure <= set(indexes) <= set(map(int, succeeded.values())):
                raise ViolationError(f"{who}: indexes {indexes} completed, and {succeeded} did")


def _is_held(pod: Object) -> bool:
    """Whether its Job has not counted it yet."""
    return _TRACKING in (pod["metadata"].get("finalizers") or ())


def numbers_of(text: str) -> list[int]:
    """`0-2,5` → [0, 1, 2, 5]."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _index_of(pod: Object) -> str:
    annotations: Mapping[str, Any] = pod["metadata"].get("annotations") or {}
    return str(annotations.get(_INDEX, ""))
