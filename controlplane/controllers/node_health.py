"""Whether nodes are heard of, and what their conditions make of them. PURE.

A node is heard of when its Lease is renewed or its agent posts its status: what counts is when we
see that something is new, never what the node's clock says.

Source: Kubernetes' documentation, "Node Status", "Nodes" ("Heartbeats"), "Taints and Tolerations"
("Taint Nodes by Condition"); kube-behaviour 6.1-6.4.
"""

from collections.abc import Iterable

import msgspec

from controlplane.api import taints
from controlplane.api.meta import rfc3339
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Node, NodeCondition, Taint

READY = "Ready"
OF_AGENTS = (READY, "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that only the node's agent knows."""

_PRESSURES = {
    "MemoryPressure": taints.MEMORY_PRESSURE,
    "DiskPressure": taints.DISK_PRESSURE,
    "PIDPressure": taints.PID_PRESSURE,
    "NetworkUnavailable": taints.NETWORK_UNAVAILABLE,
}
_AWAY = {"False": taints.NOT_READY, "Unknown": taints.UNREACHABLE}
_OURS = frozenset((*_PRESSURES.values(), *_AWAY.values(), taints.UNSCHEDULABLE))


class Sight(msgspec.Struct, frozen=True):
    """What was last heard of a node.

    renewed   renewTime of its Lease; empty: it has none
    posted    when its agent says that it looked at it
    at        when we saw that one of them was new, in seconds of our monotonic clock
    """

    renewed: str
    posted: str
    at: float


def sighted(before: Sight | None, node: Node, lease: Object | None, now: float) -> Sight:
    """What is known of a node now. `now`: in seconds of our monotonic clock."""
    spec = (lease or {}).get("spec") or {}
    renewed = str(spec.get("renewTime") or "")
    ready = condition(node, READY)
    posted = (ready.last_heartbeat_time if ready is not None else None) or ""
    if before is not None and (before.renewed, before.posted) == (renewed, posted):
        return before
    if before is not None and not renewed and posted == before.posted:
        return msgspec.structs.replace(before, renewed="")  # that a Lease goes is no sign of life
    return Sight(renewed, posted, now)


def condition(node: Node, kind: str) -> NodeCondition | None:
    """A node's condition of a type, if it has one."""
    return next((one for one in node.status.conditions if one.type == kind), None)


def is_ready(node: Node) -> bool:
    """Whether its condition Ready is True."""
    found = condition(node, READY)
    return found is not None and found.status == "True"


def silenced(node: Node, now: float) -> Node:
    """A node that was not heard of for too long: nobody knows how it is (6.2).

    now  seconds since 1970
    """
    there = {one.type for one in node.status.conditions}
    missing = [NodeCondition(type=kind) for kind in OF_AGENTS if kind not in there]
    known = (*node.status.conditions, *missing)
    conditions = tuple(_unknown(one, node, now) for one in known)
    if conditions == node.status.conditions:
        return node
    status = msgspec.structs.replace(node.status, conditions=conditions)
    return msgspec.structs.replace(node, status=status)


def _unknown(one: NodeCondition, node: Node, now: float) -> NodeCondition:
    if one.type not in OF_AGENTS or one.status == "Unknown":
        return one
    if not one.status:
        return NodeCondition(
            type=one.type,
            status="Unknown",
            reason="NodeStatusNeverUpdated",
            message="Kubelet never posted node status.",
            last_heartbeat_time=node.metadata.creation_timestamp,
            last_transition_time=rfc3339(now),
        )
    return msgspec.structs.replace(
        one,
        status="Unknown",
        reason="NodeStatusUnknown",
        message="Kubelet stopped posting node status.",
        last_transition_time=rfc3339(now),
    )


def is_evicting(node: Node) -> bool:
    """Whether it has a taint of ours by which pods leave it."""
    return any(_is_of_absence(one) for one in node.spec.taints)


def tainted(node: Node, *, evicts: bool, now: float) -> Node:
    """A node with the taints that its conditions ask for; those of others stay (6.2, 6.4).

    evicts  whether pods are to leave it, if it is not ready
    now     seconds since 1970
    """
    wanted = [(key, taints.NO_SCHEDULE) for key in _no_schedule_keys(node)]
    away = _absence(node)
    if evicts and away:
        wanted.append((away, taints.NO_EXECUTE))
    kept = [one for one in node.spec.taints if not _is_ours(one) or (one.key, one.effect) in wanted]
    there = {(one.key, one.effect) for one in kept}
    # Not ready or not reached: pods that bear it for a while do not begin anew with each change.
    since = _since([one for one in node.spec.taints if _is_of_absence(one)])
    added = [
        Taint(
            key=key,
            effect=effect,
            time_added=(since if effect == taints.NO_EXECUTE else None) or rfc3339(now),
        )
        for key, effect in wanted
        if (key, effect) not in there
    ]
    if not added and len(kept) == len(node.spec.taints):
        return node
    spec = msgspec.structs.replace(node.spec, taints=(*kept, *added))
    return msgspec.structs.replace(node, spec=spec)


def _no_schedule_keys(node: Node) -> list[str]:
    keys = [
        _PRESSURES[one.type]
        for one in node.status.conditions
        if one.type in _PRESSURES and one.status == "True"
    ]
    # A node of which nothing was said yet is not known to be ready.
    away = _absence(node) or ("" if is_ready(node) else taints.NOT_READY)
    keys += [away] if away else []
    keys += [taints.UNSCHEDULABLE] if node.spec.unschedulable else []
    return list(dict.fromkeys(keys))


def _absence(node: Node) -> str:
    """The taint of a node that is away; empty: it is there, or nobody said."""
    ready = condition(node, READY)
    return _AWAY.get(ready.status, "") if ready is not None else ""


def _is_ours(taint: Taint) -> bool:
    return _is_of_absence(taint) or (taint.key in _OURS and taint.effect == taints.NO_SCHEDULE)


def _is_of_absence(taint: Taint) -> bool:
    return taint.effect == taints.NO_EXECUTE and taint.key in _AWAY.values()


def _since(found: Iterable[Taint]) -> str | None:
    return min((one.time_added for one in found if one.time_added), default=None)
