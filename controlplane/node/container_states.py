"""How a container is, for the status of its pod. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle" (container states), "Determine the Reason for
Pod Failure"; kube-behaviour 10.1, 10.4.
"""

from collections.abc import Mapping

import msgspec

from controlplane.api.meta import rfc3339
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
)
from controlplane.node import restarts
from controlplane.node.outcomes import LOST_EXIT_CODE
from controlplane.node.plan import Situation
from controlplane.node.restarts import StartFailure
from controlplane.node.runtime.interface import Container
from controlplane.node.view import is_sidecar, told_status, was_lost

CREATING = "ContainerCreating"
INITIALIZING = "PodInitializing"
CRASH_LOOP = "CrashLoopBackOff"

LOST = "ContainerStatusUnknown"
LOST_MESSAGE = "The container could not be located when the pod was terminated"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the state of a container depends on besides itself.

    scheme      before container ids: `process`
    is_over     nothing of the pod will be started any more
    messages    of containers that ended, by id
    """

    situation: Situation
    scheme: str
    is_over: bool
    messages: Mapping[str, str] = {}


def status_of(around: Surroundings, spec: Spec) -> ContainerStatus:
    """Of a container of any sort."""
    situation = around.situation
    pod, view = situation.pod, situation.view
    told = told_status(pod, spec.name)
    container = view.latest(spec.name)
    if container is None:
        return _status_of_none(around, spec, told)
    health = situation.health_of(spec, container)
    is_running = container.state == "running"
    is_done = _is_init(pod, spec) and container.state == "exited" and container.exit_code == 0
    before = _last_state(around, spec, container, told)
    state = _state(around, spec, container)
    if state.waiting is not None and container.state == "exited":
        before = ContainerState(terminated=_terminated(around, container))
    return ContainerStatus(
        name=spec.name,
        image=container.config.image,
        image_id=container.image_id,
        container_id=f"{around.scheme}://{container.id}",
        restart_count=container.config.attempt,
        ready=is_done if _is_init(pod, spec) else is_running and health.is_ready,
        started=is_running and health.is_started,
        state=state,
        last_state=before,
    )


def _is_init(pod: Pod, spec: Spec) -> bool:
    return not is_sidecar(spec) and any(one.name == spec.name for one in pod.spec.init_containers)


def _state(around: Surroundings, spec: Spec, container: Container) -> ContainerState:
    if container.state == "running":
        began = rfc3339(container.started_at)
        return ContainerState(running=ContainerStateRunning(started_at=began))
    again = None if around.is_over else _why_waiting(around, spec, container)
    return again or ContainerState(terminated=_terminated(around, container))


def _why_waiting(around: Surroundings, spec: Spec, container: Container) -> ContainerState | None:
    """Of a container that has ended, and waits for its next start."""
    situation = around.situation
    pod = situation.pod
    failure = situation.failures.get(spec.name)
    if failure is not None:
        return _refused(spec, failure, situation.now)
    following = situation.view.current(spec.name)
    if following is not None and following.state == "created":
        return _waiting(CREATING)
    policy = restarts.policy_of(pod, is_sidecar=is_sidecar(spec), is_init=_is_init(pod, spec))
    if not restarts.is_wanted_again(policy, container.exit_code):
        return None
    delay = restarts.delay_after(container)
    if delay and situation.ended_at.get(container.id, situation.now) + delay > situation.now:
        return _waiting(CRASH_LOOP, crash_message(pod, spec.name, delay))
    return None


def crash_message(pod: Pod, name: str, seconds: float) -> str:
    """Of a container that waits after a crash."""
    meta = pod.metadata
    whose = f"{meta.name}_{meta.namespace}({meta.uid})"
    return f"back-off {duration(seconds)} restarting failed container={name} pod={whose}"


def duration(seconds: float) -> str:
    """As Go writes it: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _refused(spec: Spec, failure: StartFailure, now: float) -> ContainerState:
    if failure.is_pull and now >= failure.shown_until:
        return _waiting("ImagePullBackOff", f'Back-off pulling image "{spec.image}"')
    return _waiting(failure.reason, failure.message)


def _waiting(reason: str, message: str = "") -> ContainerState:
    return ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message))


def _terminated(around: Surroundings, container: Container) -> ContainerStateTerminated:
    reason = container.reason or ("Error" if container.exit_code else "Completed")
    return ContainerStateTerminated(
        container_id=f"{around.scheme}://{container.id}",
        exit_code=container.exit_code,
        reason=reason,
        message=around.messages.get(container.id) or container.message,
        started_at=rfc3339(container.started_at or container.created_at),
        finished_at=rfc3339(container.finished_at or container.created_at),
    )


def _last_state(
    around: Surroundings, spec: Spec, container: Container, told: ContainerStatus | None
) -> ContainerState:
    """Of the attempt before: as the runtime tells, or else as was told once."""
    attempts = around.situation.view.begun(spec.name)
    if len(attempts) > 1 and attempts[1].state == "exited":
        return ContainerState(terminated=_terminated(around, attempts[1]))
    if told is None:
        return ContainerState()
    if told.container_id and told.container_id != f"{around.scheme}://{container.id}":
        return ContainerState(terminated=told.state.terminated or _lost(told))
    return told.last_state


def _lost(told: ContainerStatus) -> ContainerStateTerminated:
    return ContainerStateTerminated(
        container_id=told.container_id,
        exit_code=LOST_EXIT_CODE,
        reason=LOST,
        message=LOST_MESSAGE,
    )


def _status_of_none(
    around: Surroundings, spec: Spec, told: ContainerStatus | None
) -> ContainerStatus:
    """Of a container that the runtime does not know."""
    situation = around.situation
    failure = situation.failures.get(spec.name)
    if failure is not None and not around.is_over:
        state = _refused(spec, failure, situation.now)
    else:
        state = _waiting(INITIALIZING if situation.pod.spec.init_containers else CREATING)
    status = ContainerStatus(name=spec.name, image=spec.image, started=False, state=state)
    if told is None or not was_lost(situation.pod, situation.view, spec.name):
        return status
    ended = told.state.terminated or told.last_state.terminated or _lost(told)
    if told.state.running is not None:
        ended = _lost(told)
    policy = restarts.policy_of(
        situation.pod, is_sidecar=is_sidecar(spec), is_init=_is_init(situation.pod, spec)
    )
    is_final = around.is_over or not restarts.is_wanted_again(policy, ended.exit_code)
    return msgspec.structs.replace(
        status,
        image=told.image or spec.image,
        image_id=told.image_id,
        container_id=told.container_id,
        restart_count=told.restart_count,
        ready=is_final and _is_init(situation.pod, spec) and ended.exit_code == 0,
        state=ContainerState(terminated=ended) if is_final else state,
        last_state=told.last_state if is_final else ContainerState(terminated=ended),
    )
