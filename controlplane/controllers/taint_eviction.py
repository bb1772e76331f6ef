"""Pods leave nodes with a taint NoExecute: at once, or after the time for which they bear it.

The time counts from when the taint was added, or the pod came to the node, as the objects say; once
we have seen both, it is measured by our monotonic clock. So it survives a change of leader, and a
clock that jumps evicts nobody.

Source: Kubernetes' documentation, "Taints and Tolerations" ("Taint based Evictions"), "Disruptions"
("Pod disruption conditions"); kube-behaviour 6.3.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from controlplane.api import pods, taints
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Node, Pod, Taint
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.conditions import with_conditions
from controlplane.controllers.context import Context
from controlplane.controllers.parallel import each
from controlplane.controllers.readable import readable
from controlplane.indexer import Key
from controlplane.objects import Claim, DeleteOptions, ObjectStore
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock

WORKERS = 8  # as kube-controller-manager has
_NODE = "taint eviction: node"

Bearing = tuple[str, str, str, str | None]
"""That a pod bears a taint: its uid; the taint's key, value, and when it was added."""


class Plan(msgspec.Struct, frozen=True):
    """What becomes of the pods of a node.

    leave    those whose time is over
    waiting  namespace and name of those whose time will be over
    since    when each began to bear each taint, for the next plan
    wait     seconds until the next of them must leave; None: none must
    """

    leave: tuple[Pod, ...] = ()
    waiting: frozenset[tuple[str, str]] = frozenset()
    since: Mapping[Bearing, float] = {}
    wait: float | None = None


def controller(context: Context) -> Controller:
    """Of nodes."""
    eviction = _Eviction(context, AsyncioClock())
    return Controller(
        "taint eviction",
        eviction.nodes,
        eviction.reconcile,
        triggers=[Trigger(eviction.pods, _node_of_pod, part=_concern)],
        indexes={_NODE: (eviction.pods, _name_of_node)},
        workers=WORKERS,
    )


def plan(
    node: Node, found: Iterable[Pod], before: Mapping[Bearing, float], *, now: float, wall: float
) -> Plan:
    """Pure.

    before  `since` of the last plan
    now     seconds of a monotonic clock, the one of `before`
    wall    … and since 1970
    """
    effective = [one for one in node.spec.taints if one.effect == taints.NO_EXECUTE]
    since: dict[Bearing, float] = {}
    leave, waiting = [], {}
    for pod in found if effective else ():
        if pods.is_deleted(pod):
            continue
        due = _due(pod, effective, before, since, now - wall, now)
        if due is None:
            continue
        if due <= now:
            leave.append(pod)
        else:
            waiting[pod.metadata.namespace, pod.metadata.name] = due - now
    return Plan(tuple(leave), frozenset(waiting), since, min(waiting.values(), default=None))


def _due(
    pod: Pod,
    effective: Iterable[Taint],
    before: Mapping[Bearing, float],
    since: dict[Bearing, float],
    offset: float,
    now: float,
) -> float | None:
    """When a pod must leave, in monotonic seconds; None: never. `offset`: of these to the wall's"""
    due = []
    for taint in effective:
        toleration = taints.toleration_of(pod.spec.tolerations, taint)
        if toleration is None:
            return now
        if toleration.toleration_seconds is None:
            continue
        bearing = (pod.metadata.uid, taint.key, taint.value, taint.time_added)
        start = before.get(bearing)
        if start is None:
            start = min(now, _began(pod, taint, now - offset) + offset)
        since[bearing] = start
        due.append(start + max(0, toleration.toleration_seconds))
    return min(due, default=None)


def _began(pod: Pod, taint: Taint, wall: float) -> float:
    """When a pod met a taint, in seconds since 1970; nobody said when it was added: just now."""
    scheduled = pods.condition(pod, pods.POD_SCHEDULED)
    bound = scheduled.last_transition_time if scheduled is not None else None
    came = _seconds(bound or pod.metadata.creation_timestamp)
    added = _seconds(taint.time_added)
    return max(came or 0.0, wall if added is None else added)


def _seconds(text: str | None) -> float | None:
    """Of a time; None: there is none, or it is none."""
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None


class _Eviction:
    """`clock`: of durations."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self.nodes, self.pods = context.resource("", "nodes"), context.resource("", "pods")
        self._recorder = context.recorder
        self._clock = clock
        self._plans: dict[str, Plan] = {}

    async def reconcile(self, key: Key, lister: Lister, store: ObjectStore) -> float | None:
        node = lister.record(Node, self.nodes, key)
        before = self._plans.pop(key.name, Plan())
        if node is None:
            return None
        found = lister.by_index(self.pods, _NODE, key.name)
        readables = readable(lister, Pod, self.pods, found) if _has_effect(node) else []
        planned = plan(node, readables, before.since, now=self._clock.now(), wall=store.clock())
        if planned.since:
            self._plans[key.name] = planned
        by_place = {_place_of(pod): pod for pod in found}
        leaving = {(pod.metadata.namespace, pod.metadata.name) for pod in planned.leave}
        for place in before.waiting - planned.waiting - leaving:
            if place in by_place and not by_place[place]["metadata"].get("deletionTimestamp"):
                self._tell(by_place[place], "Cancelling deletion of Pod")
        guard = _guard_of(self.nodes.key("", key.name), node)

        async def evict(pod: Object) -> None:
            self._tell(pod, "Marking for deletion Pod")
            await self._evict(store, pod, guard)

        await each([by_place[place] for place in sorted(leaving)], evict)
        return planned.wait

    async def _evict(self, store: ObjectStore, pod: Object, guard: Claim) -> None:
        """Delete a pod that says why, unless the node's taints have changed meanwhile."""
        namespace, name = _place_of(pod)
        uid, now = pod["metadata"]["uid"], store.clock()
        try:
            marked = await store.update(
                self.pods,
                namespace,
                name,
                lambda current: disrupted(current, now),
                uid=uid,
                also=[guard],
                known=pod,
            )
            await store.delete(
                self.pods,
                namespace,
                name,
                options=DeleteOptions(uid=uid),
                also=[guard],
                known=marked,
            )
        except ApiError as error:
            if error.code != 404:
                raise

    def _tell(self, pod: Object, what: str) -> None:
        namespace, name = _place_of(pod)
        self._recorder.record(pod, "Normal", "TaintManagerEviction", f"{what} {namespace}/{name}")


def disrupted(pod: Object, now: float) -> Object:
    """A pod that says why it goes. Pure. `now`: seconds since 1970."""
    status = pod.get("status") or {}
    message = "Taint manager: deleting due to NoExecute taint"
    said = (pods.DISRUPTION_TARGET, True, "DeletionByTaintManager", message)
    conditions = with_conditions(status.get("conditions") or (), [said], now)
    return {**pod, "status": {**status, "conditions": conditions}}


def _guard_of(key: str, node: Node) -> Claim:
    return Claim(key.encode(), None, int(node.metadata.resource_version))


def _has_effect(node: Node) -> bool:
    return any(one.effect == taints.NO_EXECUTE for one in node.spec.taints)


def _place_of(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _name_of_node(pod: Object) -> list[str]:
    spec: Mapping[str, str] = pod.get("spec") or {}
    return [spec["nodeName"]] if spec.get("nodeName") else []


def _concern(pod: Object) -> object:
    """What of a pod decides whether it leaves."""
    spec: Mapping[str, Any] = pod.get("spec") or {}
    is_deleted = pod["metadata"].get("deletionTimestamp") is not None
    return spec.get("nodeName"), spec.get("tolerations"), is_deleted


def _node_of_pod(pod: Object) -> list[Key]:
    return [Key("", name) for name in _name_of_node(pod)]
