"""How a pod ends: who is stopped when, and how long each may take. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle" (termination of pods), "Sidecar Containers"
(termination); kube-behaviour 10.3, 10.6.
"""

import msgspec

from controlplane.api.types.core_v1 import Pod
from controlplane.node.actions import (
    Action,
    Plan,
    RemoveContainer,
    RemoveSandbox,
    StopContainer,
    StopSandbox,
)
from controlplane.node.runtime.interface import Container
from controlplane.node.view import PodView, sidecars

OVERRUN_SECONDS = 2.0
"""What a container gets at least: after a preStop hook that took all of its grace, too."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why and until when a pod must end.

    reason, message  of its status; empty: it is deleted, or has ended by itself
    deadline         of the agent's monotonic clock, in seconds
    is_deleted       it shall leave nothing
    """

    reason: str = ""
    message: str = ""
    deadline: float
    is_deleted: bool = False


def grace_left(ending: Ending, now: float) -> float:
    """Seconds for a container whose stop begins now."""
    return max(ending.deadline - now, OVERRUN_SECONDS)


def wind_down(pod: Pod, view: PodView, ending: Ending, now: float) -> Plan:
    """What to do until nothing of it runs."""
    actions: list[Action] = [
        RemoveContainer(container_id=one.id, key_name=one.config.name)
        for one in view.containers
        if one.state == "created"
    ]
    running = view.running()
    actions += [
        StopContainer(
            name=one.config.name,
            container_id=one.id,
            deadline=now + grace_left(ending, now),
            message=f"Stopping container {one.config.name}",
        )
        for one in _to_stop(pod, running, is_late=now >= ending.deadline)
    ]
    if actions or running:
        wake_at = ending.deadline if ending.deadline > now else None
        return Plan(actions=tuple(actions), wake_at=wake_at, is_ended=True)
    actions += [StopSandbox(sandbox_id=one.id) for one in view.sandboxes if one.is_ready]
    is_over = not actions
    if ending.is_deleted and is_over:
        actions += [RemoveSandbox(sandbox_id=one.id) for one in view.sandboxes]
    return Plan(actions=tuple(actions), is_over=is_over, is_ended=True)


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
