"""Promise of disruption budgets: evictions never overdraw them. PURE.

* A budget that says so many disruptions are allowed gives no more of them than that: whoever is
  newly noted as disrupted was taken off what was allowed, and that is never below 0.
* A ready pod is marked as evicted only while its budget has noted it.
* While nothing goes wrong, a budget lets a pod go only if so many stay healthy as it asks for, as
  far as it could know: a pod that something else ended a moment ago still counts for its
  controller, in Kubernetes too.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from controlplane.api.resource import Object
from controlplane.simulation import ledger as facts
from controlplane.simulation.ledger import Change, Ledger, Step
from controlplane.simulation.rules import Moment
from kvstore.testing.history import ViolationError

_EVICTED = "EvictionByEvictionAPI"


class Budgets:
    """See above. `evicted`: how many ready pods evictions have ended."""

    def __init__(self) -> None:
        self.evicted = 0
        self._lost: deque[tuple[float, Object]] = deque()  # pods that were healthy until then

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """See `Rule`."""
        for change in step.changes:
            if change.old is None:
                continue
            if change.place == facts.PODS:
                self._note_loss(step.at, change.old, change.new)
                if _is_evicted(change):
                    self._see_eviction(step, change.old, ledger)
            elif change.place == facts.BUDGETS and change.new is not None:
                self._see_budget(step, change.old, change.new, ledger, moment)

    def _note_loss(self, at: float, old: Object, new: Object | None) -> None:
        """Of a pod that something else than an eviction ended."""
        is_lost = _is_healthy(old) and (new is None or not _is_healthy(new))
        if is_lost and not _has_mark(old) and not _has_mark(new):
            self._lost.append((at, old))

    def _see_budget(
        self, step: Step, old: Object, new: Object, ledger: Ledger, moment: Moment
    ) -> None:
        before, after = facts.status_of(old), facts.status_of(new)
        granted = set(_noted(after)) - set(_noted(before))
        had, left = (int(one.get("disruptionsAllowed") or 0) for one in (before, after))
        if left < 0 or (granted and had - left < len(granted)):
            who = f"revision {step.revision}: {facts.called(new)}"
            raise ViolationError(f"{who} had {had}, has {left}, and let {len(granted)} go")
        if granted and moment.is_calm(step.at):
            self._require_enough(step, new, ledger, moment)

    def _require_enough(self, step: Step, budget: Object, ledger: Ledger, moment: Moment) -> None:
        """`budget`: the pods that it has let go are noted in it."""
        while self._lost and self._lost[0][0] < moment.believed_since(step.at):
            self._lost.popleft()
        believed = [pod for _, pod in self._lost if _is_one_of(budget, pod)]
        needed = int(facts.status_of(budget)["desiredHealthy"])
        left = healthy(budget, ledger)
        if left + len(believed) < needed:
            who = f"revision {step.revision}: {facts.called(budget)} lets a pod go"
            raise ViolationError(f"{who}: {left} healthy pods are left, of {needed} needed")

    def _see_eviction(self, step: Step, pod: Object, ledger: Ledger) -> None:
        """`pod`: as it was before it was marked."""
        if not _is_healthy(pod):
            return
        self.evicted += 1
        for budget in ledger.all(facts.BUDGETS):
            is_noted = pod["metadata"]["name"] in _noted(facts.status_of(budget))
            if _is_one_of(budget, pod) and not is_noted:
                who = f"revision {step.revision}: {facts.called(pod)} is evicted"
                raise ViolationError(f"{who}, and {facts.called(budget)} knows nothing of it")


def healthy(budget: Object, ledger: Ledger) -> int:
    """How many of its pods are ready and stay."""
    noted = _noted(facts.status_of(budget))
    return sum(
        _is_healthy(pod) and pod["metadata"]["name"] not in noted
        for pod in ledger.all(facts.PODS)
        if _is_one_of(budget, pod)
    )


def _is_one_of(budget: Object, pod: Object) -> bool:
    """Whether it is one of those whose disruptions a budget bounds."""
    is_here = budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
    selector = budget["spec"].get("selector") or {}
    return is_here and facts.selects(selector.get("matchLabels"), pod)


def _is_healthy(pod: Object) -> bool:
    return facts.is_true(pod, "Ready") and not facts.is_going(pod)


def _noted(status: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = status.get("disruptedPods") or {}
    return found


def _is_evicted(change: Change) -> bool:
    """Whether this is the moment in which it was marked."""
    return not _has_mark(change.old) and _has_mark(change.new)


def _has_mark(pod: Object | None) -> bool:
    found = facts.status_of(pod or {}).get("conditions") or ()
    return any(one.get("reason") == _EVICTED and one["status"] == "True" for one in found)
