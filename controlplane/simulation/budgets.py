"""Promise of disruption budgets: evictions never overdraw them. PURE.

* A budget that says so many disruptions are allowed gives no more of them than that: whoever is
  newly noted as disrupted was taken off what was allowed, and that is never below 0.
* A ready pod is marked as evicted only while its budget has noted it.
* While nothing goes wrong, so many pods stay healthy as the budget asks for.
"""

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

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """See `Rule`."""
        for change in step.changes:
            if change.old is None or change.new is None:
                continue
            if change.place == facts.BUDGETS:
                self._see_budget(step, change.old, change.new)
            elif change.place == facts.PODS and _is_evicted(change):
                self._see_eviction(step, change.old, ledger, is_calm=moment.is_calm(step.at))

    @staticmethod
    def _see_budget(step: Step, old: Object, new: Object) -> None:
        before, after = facts.status_of(old), facts.status_of(new)
        granted = set(_noted(after)) - set(_noted(before))
        had, left = (int(one.get("disruptionsAllowed") or 0) for one in (before, after))
        if left < 0 or (granted and had - left < len(granted)):
            who = f"revision {step.revision}: {facts.called(new)}"
            raise ViolationError(f"{who} had {had}, has {left}, and let {len(granted)} go")

    def _see_eviction(self, step: Step, pod: Object, ledger: Ledger, *, is_calm: bool) -> None:
        """`pod`: as it was before it was marked."""
        metadata = pod["metadata"]
        if not facts.is_true(pod, "Ready") or facts.is_going(pod):
            return
        self.evicted += 1
        for budget in ledger.all(facts.BUDGETS):
            is_here = budget["metadata"]["namespace"] == metadata["namespace"]
            if not is_here or not selected_by(budget, pod):
                continue
            who = f"revision {step.revision}: {facts.called(pod)} is evicted"
            status = facts.status_of(budget)
            if metadata["name"] not in _noted(status):
                raise ViolationError(f"{who}, and {facts.called(budget)} knows nothing of it")
            if is_calm:
                _require_enough(who, budget, ledger)


def selected_by(budget: Object, pod: Object) -> bool:
    """Whether it is one of those whose disruptions a budget bounds."""
    return facts.selects((budget["spec"].get("selector") or {}).get("matchLabels"), pod)


def healthy(budget: Object, ledger: Ledger) -> int:
    """How many of its pods are ready and stay."""
    namespace, noted = budget["metadata"]["namespace"], _noted(facts.status_of(budget))
    return sum(
        facts.is_true(pod, "Ready")
        and not facts.is_going(pod)
        and pod["metadata"]["name"] not in noted
        for pod in ledger.all(facts.PODS)
        if pod["metadata"]["namespace"] == namespace and selected_by(budget, pod)
    )


def _require_enough(who: str, budget: Object, ledger: Ledger) -> None:
    needed, left = int(facts.status_of(budget)["desiredHealthy"]), healthy(budget, ledger)
    if left < needed:
        raise ViolationError(f"{who}: {left} healthy pods are left, of {needed} needed")


def _noted(status: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = status.get("disruptedPods") or {}
    return found


def _is_evicted(change: Change) -> bool:
    """Whether this is the moment in which it was marked."""
    return not _has_mark(change.old) and _has_mark(change.new)


def _has_mark(pod: Object | None) -> bool:
    found = facts.status_of(pod or {}).get("conditions") or ()
    return any(one.get("reason") == _EVICTED and one["status"] == "True" for one in found)
