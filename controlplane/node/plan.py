"""What is to be done for a pod, by what is wanted and what there is. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle", "Init Containers", "Sidecar Containers";
kube-behaviour 10.2 to 10.6. A look begins with nothing but the pod, what the runtime tells, and a
few moments that the worker remembers: whatever is lost on the way, the next look finds out.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import Pod
from controlplane.node import restarts
from controlplane.node.actions import (
    Action,
    Plan,
    RemoveContainer,
    RemoveSandbox,
    RunSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
)
from controlplane.node.endings import Ending, wind_down
from controlplane.node.outcomes import has_ended
from controlplane.node.restarts import StartFailure
from controlplane.node.runtime.interface import Container, Sandbox
from controlplane.node.view import PodView, is_sidecar, told_status, was_lost

SANDBOX = ""
"""The name under which failures of the sandbox are known."""

GRACE_SECONDS_DEFAULT = 30


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What probes say of a container that runs.

    is_started  its startup probe was answered, and with it a sidecar's successor may come
    failed      `liveness` or `startup`: it is to be killed
    """

    is_started: bool = True
    is_ready: bool = True
    failed: str = ""


def assumed_health(spec: Spec) -> Health:
    """Of a container that was never asked yet."""
    is_started = spec.startup_probe is None
    return Health(is_started=is_started, is_ready=is_started and spec.readiness_probe is None)


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan is made of. Times are of the agent's monotonic clock, in seconds.

    health    by id of container
    failures  of starts, by name of container; SANDBOX: of the sandbox and its volumes
    ended_at  by id of container
    ending    why the pod must end, if it must
    over_at   when it was seen that the pod has ended by itself; None: now, or it has not
    pre_stopped  ids of containers whose preStop hooks were run before their turn to end came
    """

    pod: Pod
    view: PodView
    now: float
    health: Mapping[str, Health] = {}
    failures: Mapping[str, StartFailure] = {}
    ended_at: Mapping[str, float] = {}
    ending: Ending | None = None
    over_at: float | None = None
    pre_stopped: Collection[str] = ()

    def health_of(self, spec: Spec, container: Container) -> Health:
        """What is known, or else what its probes leave open."""
        return self.health.get(container.id) or assumed_health(spec)


class _Draft:
    """A plan in the making."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.wake_at: float | None = None

    def add(self, *actions: Action) -> None:
        self.actions += actions

    def wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def finish(self) -> Plan:
        return Plan(actions=tuple(self.actions), wake_at=self.wake_at)


def plan(situation: Situation) -> Plan:
    """What to do now."""
    pod, view = situation.pod, situation.view
    if situation.ending is not None or has_ended(pod, view):
        over_at = situation.now if situation.over_at is None else situation.over_at
        ending = situation.ending or Ending(deadline=over_at + grace_seconds(pod))
        return wind_down(pod, view, ending, situation.now, situation.pre_stopped)
    draft = _Draft()
    draft.add(*_old_sandboxes(view), *_old_containers(view))
    sandbox = view.sandbox
    if sandbox is None or not sandbox.is_ready:
        _plan_sandbox(situation, sandbox, draft)
    else:
        _plan_containers(situation, draft)
    return draft.finish()


def grace_seconds(pod: Pod) -> float:
    """How long its containers may take to end."""
    grace = pod.spec.termination_grace_period_seconds
    return float(GRACE_SECONDS_DEFAULT if grace is None else grace)


# ------------------------------------------------------------------------------- sandboxes


def _plan_sandbox(situation: Situation, sandbox: Sandbox | None, draft: _Draft) -> None:
    if sandbox is not None and situation.view.running():
        draft.add(StopSandbox(sandbox_id=sandbox.id))
        return
    failure = situation.failures.get(SANDBOX)
    if failure is not None and failure.due > situation.now:
        draft.wake(failure.due)
        return
    attempt = 0 if sandbox is None else sandbox.config.attempt + 1
    draft.add(RunSandbox(attempt=attempt, is_replacement=sandbox is not None))


def _old_sandboxes(view: PodView) -> Sequence[Action]:
    """What an earlier agent left, and sandboxes that died: they go with their last container that
    tells something still.
    """
    found: list[Action] = []
    needed = {one.sandbox_id for one in _told(view)}
    for sandbox in view.sandboxes[1:]:
        if sandbox.is_ready:
            found.append(StopSandbox(sandbox_id=sandbox.id))
        elif sandbox.id not in needed:
            found.append(RemoveSandbox(sandbox_id=sandbox.id))
    return found


def _old_containers(view: PodView) -> Sequence[Action]:
    """Of each container the last two attempts stay: the state, and the last state."""
    told = {one.id for one in _told(view)}
    return [
        RemoveContainer(container_id=one.id, key_name=one.id)
        for one in view.containers
        if one.id not in told and one.state == "exited"
    ]


def _told(view: PodView) -> list[Container]:
    counts: dict[str, int] = {}
    found = []
    for one in view.containers:
        if one.state == "created":
            continue
        counts[one.config.name] = counts.get(one.config.name, 0) + 1
        if counts[one.config.name] <= 2:
            found.append(one)
    return found


# ------------------------------------------------------------------------------ containers


def _plan_containers(situation: Situation, draft: _Draft) -> None:
    pod, view = situation.pod, situation.view
    _plan_ephemeral(situation, draft)  # first: they are for pods that do not come up, too
    has_begun = any(view.current(one.name) is not None for one in pod.spec.containers)
    if has_begun:
        for spec in pod.spec.init_containers:
            if is_sidecar(spec):
                _plan_container(situation, spec, draft)
    elif not _plan_initialization(situation, draft):
        return
    for spec in pod.spec.containers:
        _plan_container(situation, spec, draft)


def _plan_initialization(situation: Situation, draft: _Draft) -> bool:
    """One step after another (10.2, 10.3); whether all are taken."""
    for spec in situation.pod.spec.init_containers:
        container = situation.view.current(spec.name)
        if is_sidecar(spec):
            _plan_container(situation, spec, draft)
            if container is None or container.state != "running":
                return False
            if not situation.health_of(spec, container).is_started:
                return False
        elif container is None or container.state != "exited" or container.exit_code:
            _plan_container(situation, spec, draft)
            return False
    return True


def _plan_ephemeral(situation: Situation, draft: _Draft) -> None:
    """They are started once."""
    pod, view = situation.pod, situation.view
    for one in pod.spec.ephemeral_containers:
        container = view.current(one.name)
        if container is not None and container.state == "created":
            draft.add(RemoveContainer(container_id=container.id, key_name=one.name))
        elif view.latest(one.name) is None and not was_lost(pod, view, one.name):
            _plan_start(situation, one.name, draft)


def _plan_container(situation: Situation, spec: Spec, draft: _Draft) -> None:
    """Keep one as it should be: it runs, or has ended for good."""
    container = situation.view.current(spec.name)
    if container is None:
        if _is_wanted(situation, spec):
            _plan_start(situation, spec.name, draft)
    elif container.state == "created":  # by an agent that did not come to start it
        draft.add(RemoveContainer(container_id=container.id, key_name=spec.name))
    elif container.state == "running":
        stop = _why_stopped(situation, spec, container)
        if stop is not None:
            draft.add(stop)
    elif _is_wanted(situation, spec):
        due = situation.ended_at.get(container.id, situation.now)
        due += restarts.delay_after(container)
        if due > situation.now:
            draft.wake(due)
        else:
            _plan_start(situation, spec.name, draft)


def _is_wanted(situation: Situation, spec: Spec) -> bool:
    """Whether a container that does not run in this sandbox is to be started in it."""
    pod, view = situation.pod, situation.view
    is_init = spec in pod.spec.init_containers
    policy = restarts.policy_of(pod, is_sidecar=is_sidecar(spec), is_init=is_init)
    container = view.latest(spec.name)
    if container is not None:
        if container.state != "exited":
            return True  # in a sandbox that is gone
        if is_init and view.current(spec.name) is None and not is_sidecar(spec):
            return True  # a new sandbox is initialized anew
        if container.config.image != spec.image:
            return True
        return restarts.is_wanted_again(policy, container.exit_code)
    if not was_lost(pod, view, spec.name):
        return True
    told = told_status(pod, spec.name)
    ended = told.state.terminated if told is not None else None
    return restarts.is_wanted_again(policy, ended.exit_code if ended is not None else 137)


def _plan_start(situation: Situation, name: str, draft: _Draft) -> None:
    failure = situation.failures.get(name)
    if failure is not None and failure.due > situation.now:
        draft.wake(failure.due)
        return
    sandbox = situation.view.sandbox
    assert sandbox is not None
    before = situation.view.latest(name)
    draft.add(
        StartContainer(
            name=name,
            sandbox_id=sandbox.id,
            attempt=_attempt(situation, name, before),
            delay_seconds=restarts.next_delay(before),
        )
    )


def _attempt(situation: Situation, name: str, before: Container | None) -> int:
    """Counts on where the runtime has forgotten, too: it is the restart count."""
    if before is not None:
        return before.config.attempt + 1
    told = told_status(situation.pod, name)
    if told is None or not told.container_id:
        return 0
    return told.restart_count + 1


def _why_stopped(situation: Situation, spec: Spec, container: Container) -> StopContainer | None:
    """A probe that failed, or another image than the pod says now."""
    pod = situation.pod
    failed = situation.health_of(spec, container).failed
    grace = grace_seconds(pod)
    if failed:
        probe = spec.startup_probe if failed == "startup" else spec.liveness_probe
        if probe is not None and probe.termination_grace_period_seconds is not None:
            grace = float(probe.termination_grace_period_seconds)
        message = f"Container {spec.name} failed {failed} probe, will be restarted"
        if (pod.spec.restart_policy or "Always") == "Never" and not is_sidecar(spec):
            message = f"Container {spec.name} failed {failed} probe"
    elif container.config.image != spec.image:
        message = f"Container {spec.name} definition changed, will be restarted"
    else:
        return None
    return StopContainer(
        name=spec.name,
        container_id=container.id,
        deadline=situation.now + grace,
        message=message,
    )
