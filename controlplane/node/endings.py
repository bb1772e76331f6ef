"""How a pod ends: who is stopped when, and how long each may take. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle" (termination of pods), "Sidecar Containers"
(termination); kube-behaviour 10.3, 10.6.
"""

from collections.abc import Collection
from datetime import datetime

import msgspec

from controlplane.api import pods
from controlplane.api.types.core_v1 import Pod
from controlplane.node.actions import (
    Action,
    Plan,
    RemoveContainer,
    RemoveFiles,
    RemoveSandbox,
    RemoveVolumes,
    RunPreStop,
    StopContainer,
    StopSandbox,
)
from controlplane.node.eviction_plan import EVICTED
from controlplane.node.runtime.interface import Container
from controlplane.node.view import PodView, sidecars

OVERRUN_SECONDS = 2.0
"""What a container gets at least: after a preStop hook that took all of its grace, too."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why and until when a pod must end.

    reason, message  of its status; empty: it is deleted, or has ended by itself
    deadline         of the agent's monotonic clock, in seconds
    is_deleted       it shall leave nothing
    is_disrupted     the node had too little left
    """

    reason: str = ""
    message: str = ""
    deadline: float
    is_deleted: bool = False
    is_disrupted: bool = False


def grace_left(ending: Ending, now: float) -> float:
    """Seconds for a container whose stop begins now."""
    return max(ending.deadline - now, OVERRUN_SECONDS)


def wind_down(
    pod: Pod, view: PodView, ending: Ending, now: float, pre_stopped: Collection[str] = ()
) -> Plan:
    """What to do until nothing of it runs.

    All preStop hooks run at once, those of sidecars too: only the signals wait for their turn.

    pre_stopped  ids of containers whose hooks were run by themselves
    """
    actions: list[Action] = [
        RemoveContainer(container_id=one.id, key_name=one.config.name)
        for one in view.containers
        if one.state == "created"
    ]
    running = view.running()
    to_stop = _to_stop(pod, running, is_late=now >= ending.deadline)
    deadline = now + grace_left(ending, now)
    for one in running:
        name = one.config.name
        message = f"Stopping container {name}"
        if one in to_stop:
            stop = StopContainer(
                name=name,
                container_id=one.id,
                deadline=deadline,
                message=message,
                is_again=one.id in pre_stopped,
            )
            actions.append(stop)
        elif one.id not in pre_stopped:
            actions.append(
                RunPreStop(name=name, container_id=one.id, deadline=deadline, message=message)
            )
    if actions or running:
        wake_at = ending.deadline if ending.deadline > now else None
        return Plan(actions=tuple(actions), wake_at=wake_at, is_ended=True)
    actions += [StopSandbox(sandbox_id=one.id) for one in view.sandboxes if one.is_ready]
    is_over = not actions
    if ending.is_deleted and is_over:
        actions += [RemoveSandbox(sandbox_id=one.id) for one in view.sandboxes]
    return Plan(actions=tuple(actions), is_over=is_over, is_ended=True)


def clear_away(
    view: PodView, *, has_volumes: bool, has_files: bool, is_reclaimed: bool
) -> tuple[Action, ...]:
    """Of a pod that has ended for good, while its object is still there.

    Its volumes go at once, Secrets among them; its containers and logs can be asked for until the
    node needs their room.
    """
    found: list[Action] = [RemoveVolumes()] if has_volumes else []
    if is_reclaimed:
        found += [RemoveSandbox(sandbox_id=one.id) for one in view.sandboxes]
        if not view.sandboxes and has_files:
            found.append(RemoveFiles())
    return tuple(found)


def _to_stop(pod: Pod, running: list[Container], *, is_late: bool) -> list[Container]:
    """All at once, but sidecars: they see the others end, and the last of them goes first."""
    order = [one.name for one in sidecars(pod)]
    others = [one for one in running if one.config.name not in order]
    if is_late:
        return running
    if others:
        return others
    for name in reversed(order):
        found = [one for one in running if one.config.name == name]
        if found:
            return found
    return []


DEADLINE_EXCEEDED = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent remembers of a pod between two looks, on its monotonic clock, in seconds.

    began        since when the pod is active
    kill_at      when a pod that is deleted is to be killed; None: it is not
    kill_grace   the grace period by which that was found
    end_at       … one that was active for too long, or was evicted
    evicted      why it was
    is_disrupted … by the node's need, not by its own fault
    over_at      when it was seen that it has ended by itself: all its sidecars have one grace
    """

    began: float
    kill_at: float | None = None
    kill_grace: int = 0
    end_at: float | None = None
    evicted: str = ""
    is_disrupted: bool = False
    over_at: float | None = None


def first_moments(pod: Pod, *, now: float, wall: float) -> Moments:
    """Of a pod that this agent has not seen before; only here the wall clock counts.

    A pod whose deletion is old has had part of its grace already: by another agent, or by one
    that was killed.
    """
    started = _seconds_of(pod.status.start_time, wall)
    moments = Moments(began=now - max(wall - started, 0.0))
    if pod.status.reason == EVICTED:  # an agent before this one has begun it
        is_disrupted = pods.is_true(pod, pods.DISRUPTION_TARGET)
        moments = msgspec.structs.replace(
            moments, end_at=now, evicted=pod.status.message, is_disrupted=is_disrupted
        )
    if pod.metadata.deletion_timestamp is None:
        return moments
    grace = pod.metadata.deletion_grace_period_seconds or 0
    left = _seconds_of(pod.metadata.deletion_timestamp, wall) - wall
    return msgspec.structs.replace(
        moments, kill_at=now + min(max(left, 0.0), grace), kill_grace=grace
    )


def next_moments(
    before: Moments, pod: Pod, *, now: float, grace_seconds: float, has_ended: bool
) -> Moments:
    """As they are at `now`. A grace period counts from when the deletion is seen, by a clock that
    nobody sets; a repeated deletion may shorten it.

    grace_seconds  of the pod's spec
    has_ended      by itself
    """
    found = before
    if (before.over_at is not None) != has_ended:
        found = msgspec.structs.replace(found, over_at=now if has_ended else None)
    if pod.metadata.deletion_timestamp is not None:
        grace = pod.metadata.deletion_grace_period_seconds or 0
        if before.kill_at is None:
            found = msgspec.structs.replace(found, kill_at=now + grace, kill_grace=grace)
        elif grace < before.kill_grace:
            at = min(before.kill_at, now + grace)
            found = msgspec.structs.replace(found, kill_at=at, kill_grace=grace)
    due = active_until(before, pod)
    # A pod that has ended by itself stays as it ended.
    if not has_ended and before.end_at is None and due is not None and now >= due:
        found = msgspec.structs.replace(found, end_at=now + grace_seconds)
    return found


def active_until(moments: Moments, pod: Pod) -> float | None:
    """When it will have been active for too long; None: never."""
    seconds = pod.spec.active_deadline_seconds
    return None if seconds is None else moments.began + seconds


def ending_of(moments: Moments) -> Ending | None:
    """Why it must end."""
    deadlines = [at for at in (moments.kill_at, moments.end_at) if at is not None]
    if not deadlines:
        return None
    reason = message = ""
    if moments.end_at is not None and moments.evicted:
        reason, message = EVICTED, moments.evicted
    elif moments.end_at is not None:
        reason, message = DEADLINE_EXCEEDED, DEADLINE_MESSAGE
    return Ending(
        reason=reason,
        message=message,
        deadline=min(deadlines),
        is_deleted=moments.kill_at is not None,
        is_disrupted=moments.is_disrupted,
    )


def _seconds_of(moment: str | None, otherwise: float) -> float:
    """Since 1970. What is no time says nothing."""
    if moment is None:
        return otherwise
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return otherwise
