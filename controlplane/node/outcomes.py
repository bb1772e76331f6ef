"""Whether a pod has ended by itself, and how; and its phase. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle" (phase); kube-behaviour 10.1, 10.2.
"""

from typing import Literal

from controlplane.api.pods import is_finished
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import Pod
from controlplane.node import restarts
from controlplane.node.view import PodView, is_sidecar, told_status, was_lost

Outcome = Literal["Succeeded", "Failed"]

LOST_EXIT_CODE = 137
"""Of a container of which nobody knows how it ended."""


def exit_code(pod: Pod, view: PodView, name: str) -> int | None:
    """With which a container ended last; None: it runs, or never ran."""
    container = view.latest(name)
    if container is not None:
        return container.exit_code if container.state == "exited" else None
    if not was_lost(pod, view, name):
        return None
    told = told_status(pod, name)
    ended = told.state.terminated if told is not None else None
    return LOST_EXIT_CODE if ended is None else ended.exit_code


def has_ended(pod: Pod, view: PodView) -> bool:
    """Whether it has by itself: what runs of it still is to end."""
    return is_finished(pod) or outcome(pod, view) is not None


def outcome(pod: Pod, view: PodView) -> Outcome | None:
    """How it has ended: no container of it is started again. Sidecars have no say (10.3)."""
    for spec in pod.spec.init_containers:
        if not is_sidecar(spec) and _has_failed_for_good(pod, view, spec):
            return "Failed"
    codes = []
    for spec in pod.spec.containers:
        code = exit_code(pod, view, spec.name)
        if code is None or restarts.is_wanted_again(restarts.policy_of(pod), code):
            return None
        container = view.latest(spec.name)
        if container is not None and container.config.image != spec.image:
            return None  # what it is to be now has not run yet
        codes.append(code)
    if not codes:
        return None
    return "Failed" if any(codes) else "Succeeded"


def _has_failed_for_good(pod: Pod, view: PodView, spec: Spec) -> bool:
    code = exit_code(pod, view, spec.name)
    policy = restarts.policy_of(pod, is_init=True)
    return bool(code) and not restarts.is_wanted_again(policy, code or 0)


def outcome_when_stopped(pod: Pod, view: PodView) -> Outcome:
    """… of one that was made to end: whatever did not end well, or at all, has failed."""
    codes = [exit_code(pod, view, one.name) for one in pod.spec.containers]
    return "Succeeded" if codes and all(code == 0 for code in codes) else "Failed"
