"""Promises of Deployments and ReplicaSets: never more pods than surge allows, never fewer available
than it must leave, by their own doing. PURE.

What Kubernetes bounds is what the ReplicaSets of a Deployment want together; each ReplicaSet makes
and ends its pods by itself. So the promises are:

* A ReplicaSet is made larger only as far as all of them together want no more than `replicas` and
  `maxSurge`, of a Deployment as it was at some moment that its controller may still believe in.
* A pod is made only as far as its ReplicaSet has no more active ones than it wanted at such a
  moment.
* A ReplicaSet is made smaller only as far as enough are left that were available, by what the
  ReplicaSets told, at such a moment; pods that serve nobody may always go, and so may those beyond
  what all together may want: a Deployment that is made smaller while it rolls takes from all of
  its ReplicaSets in proportion, whoever serves.

Pods that end, or lose their node, are nobody's doing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.resource import Object
from controlplane.api.rollout import count_of
from controlplane.simulation import ledger as facts
from controlplane.simulation.ledger import Change, Ledger, Recent, Step
from controlplane.simulation.rules import Moment
from kvstore.testing.history import ViolationError


class Sizes:
    """See above.

    created   how many pods ReplicaSets have made
    rollouts  how many ReplicaSets were made with pods to come
    """

    def __init__(self) -> None:
        self.created = 0
        self.rollouts = 0
        self._most: dict[str, Recent] = {}  # pods that a Deployment may have, by uid
        self._least: dict[str, Recent] = {}  # available ones that it must leave
        self._wanted: dict[str, Recent] = {}  # by a ReplicaSet, by uid
        self._available: dict[str, Recent] = {}  # as a ReplicaSet tells

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """See `Rule`."""
        since = moment.believed_since(step.at)
        for change in step.changes:
            if change.place == facts.DEPLOYMENTS and change.new is not None:
                self._note_deployment(step.at, change.new)
            elif change.place == facts.REPLICA_SETS and change.new is not None:
                self._see_replica_set(step, change, change.new, ledger, since)
                self._note_replica_set(step.at, change.new)
            elif change.place == facts.PODS and change.new is not None and change.old is None:
                self._see_pod(step, change.new, ledger, since)

    # ------------------------------------------------------------------- what is known

    def _note_deployment(self, at: float, deployment: Object) -> None:
        uid, spec = facts.uid_of(deployment), deployment["spec"]
        most, least = bounds(spec)
        self._most.setdefault(uid, Recent()).note(at, most)
        self._least.setdefault(uid, Recent()).note(at, least)

    def _note_replica_set(self, at: float, replica_set: Object) -> None:
        uid = facts.uid_of(replica_set)
        told = int(facts.status_of(replica_set).get("availableReplicas") or 0)
        self._wanted.setdefault(uid, Recent()).note(at, _size(replica_set))
        self._available.setdefault(uid, Recent()).note(at, told)

    # ------------------------------------------------------------------------ promises

    def _see_replica_set(
        self, step: Step, change: Change, new: Object, ledger: Ledger, since: float
    ) -> None:
        owner = facts.controller_uid(new)
        is_same = change.old is not None and facts.uid_of(change.old) == facts.uid_of(new)
        before = _size(change.old) if change.old is not None and is_same else 0
        if owner not in self._most or before == _size(new):
            return
        siblings = list(ledger.owned(facts.REPLICA_SETS, owner))
        who = f"revision {step.revision}: {facts.called(new)} went from {before} to {_size(new)}"
        total, allowed = sum(map(_size, siblings)), self._most[owner].since(since)
        if _size(new) > before:
            self.rollouts += change.old is None
            if total > max(allowed):
                told = f"all together want {total} pods, of {max(allowed)} allowed"
                raise ViolationError(f"{who}: {told}")
        elif total < min(allowed):
            self._require_available(who, new, siblings, min(self._least[owner].since(since)), since)

    def _require_available(
        self,
        who: str,
        new: Object,
        siblings: Sequence[Object],
        least: int,
        since: float,
    ) -> None:
        """Be it by what all of them told at one moment since it was given the size that it had:
        whoever makes it smaller has seen that.
        """
        uid = facts.uid_of(new)
        since = max(since, self._wanted[uid].changed_at)
        told = [(_size(one), self._available[facts.uid_of(one)]) for one in siblings]
        lefts = []
        for moment in sorted({at for _, one in told for at in one.changes(since)}):
            left = sum(min(size, one.at(moment)) for size, one in told)
            serving = self._available[uid].at(moment)
            if serving <= _size(new) or left >= least:  # who goes serves nobody, or enough are left
                return
            lefts.append(left)
        raise ViolationError(f"{who}: that leaves {max(lefts)} available pods, of {least} needed")

    def _see_pod(self, step: Step, pod: Object, ledger: Ledger, since: float) -> None:
        owner = facts.controller_uid(pod)
        if owner not in self._wanted:
            return
        self.created += 1
        active = sum(map(facts.is_active, ledger.owned(facts.PODS, owner)))
        most = max(self._wanted[owner].since(since))
        if active > most:
            told = f"{active} pods of one ReplicaSet that wants {most}"
            raise ViolationError(f"revision {step.revision}: {facts.called(pod)} was made: {told}")


def bounds(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Of a Deployment: how many pods there may be at most, and must be available at least."""
    wanted = int(spec["replicas"])
    strategy = spec.get("strategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return wanted, 0
    told = strategy.get("rollingUpdate") or {}
    surge = count_of(told.get("maxSurge"), wanted, rounds_up=True)
    unavailable = count_of(told.get("maxUnavailable"), wanted, rounds_up=False)
    if not surge and not unavailable:
        unavailable = 1
    return wanted + surge, max(wanted - unavailable, 0)


def _size(replica_set: Object) -> int:
    return int(replica_set["spec"]["replicas"])
