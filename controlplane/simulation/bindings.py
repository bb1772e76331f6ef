"""Promise of the scheduler: a pod gets one node, once, that has room for it and takes pods. PURE.

That no node gets too much is exact, whoever leads and however old its caches are: only the one who
leads binds, and it has listed all pods after it began to lead. Whether a node takes pods it knows
from a cache.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.api import taints
from controlplane.api.record import from_object
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.scheduler.requests import amounts, requests_of
from controlplane.simulation import ledger as facts
from controlplane.simulation.ledger import Ledger, Recent, Step
from controlplane.simulation.rules import Moment
from kvstore.testing.history import ViolationError


class Bindings:
    """See above. `count`: how many pods were bound."""

    def __init__(self) -> None:
        self.count = 0
        self._takes: dict[str, Recent] = {}  # of each node: 1 while it takes pods of this run

    def see(self, step: Step, ledger: Ledger, moment: Moment) -> None:
        """See `Rule`."""
        for change in step.changes:
            if change.place == facts.NODES:
                recent = self._takes.setdefault(str(change.either["metadata"]["name"]), Recent())
                recent.note(step.at, int(change.new is not None and _takes_pods(change.new)))
            elif change.place == facts.PODS and change.new is not None:
                self._see_pod(step, change.old, change.new, ledger, moment)

    def _see_pod(
        self, step: Step, old: Object | None, new: Object, ledger: Ledger, moment: Moment
    ) -> None:
        is_same = old is not None and facts.uid_of(old) == facts.uid_of(new)
        before = facts.node_of(old) if old is not None and is_same else ""
        name = facts.node_of(new)
        if name == before:
            return
        who = f"revision {step.revision}: {facts.called(new)}"
        if before:
            raise ViolationError(f"{who} moved from {before} to {name or 'no node'}")
        self.count += 1
        if facts.is_going(new):
            raise ViolationError(f"{who} was bound while it was being deleted")
        lately = self._takes.get(name, Recent()).since(moment.believed_since(step.at))
        if not any(lately):
            raise ViolationError(f"{who} was bound to {name}, which took no pods")
        self._require_room(who, name, ledger)

    @staticmethod
    def _require_room(who: str, name: str, ledger: Ledger) -> None:
        node = ledger.get(facts.NODES, "", name)
        if node is None:
            return  # it was deleted just now
        room: Mapping[str, str] = facts.status_of(node).get("allocatable") or {}
        there = [
            one
            for one in ledger.all(facts.PODS)
            if facts.node_of(one) == name and not facts.has_ended(one)
        ]
        used: dict[str, int] = {"pods": len(there)}
        for pod in there:
            for resource, amount in requests_of(from_object(Pod, pod).spec).items():
                used[resource] = used.get(resource, 0) + amount
        for resource, has in amounts(room).items():
            if used.get(resource, 0) > has:
                told = f"{used[resource]} of {has} {resource}"
                raise ViolationError(f"{who} was bound to {name}, which then gives {told}")


def _takes_pods(node: Object) -> bool:
    """No pod of the simulation bears a taint of this effect."""
    spec: Mapping[str, Any] = node.get("spec") or {}
    is_held = any(one.get("effect") == taints.NO_SCHEDULE for one in spec.get("taints") or ())
    return not spec.get("unschedulable") and not is_held
