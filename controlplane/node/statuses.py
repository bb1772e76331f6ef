"""The status of a pod, by what runs of it. PURE.

Source: Kubernetes' documentation, "Pod Lifecycle" (phase, conditions, readiness gates);
kube-behaviour 10.1. A phase that is terminal stays, whatever is found out later.
"""

from collections.abc import Mapping

import msgspec

from controlplane.api import pods
from controlplane.api.meta import rfc3339
from controlplane.api.qos import qos_class
from controlplane.api.record import tree_of
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import (
    ContainerStatus,
    EphemeralContainer,
    HostIP,
    Pod,
    PodCondition,
    PodIP,
    PodStatus,
)
from controlplane.node import container_states
from controlplane.node.container_states import Surroundings
from controlplane.node.outcomes import outcome, outcome_when_stopped
from controlplane.node.plan import Situation
from controlplane.node.view import is_sidecar

_Statuses = tuple[ContainerStatus, ...]


def pod_status(
    situation: Situation,
    *,
    host_ip: str,
    wall: float,
    is_over: bool,
    scheme: str,
    messages: Mapping[str, str] | None = None,
) -> PodStatus:
    """What the object is to say.

    host_ip   of the node
    wall      seconds since 1970
    is_over   as the plan says: nothing of it runs, and nothing will
    scheme    before container ids
    messages  of containers that ended, by id
    """
    pod, told = situation.pod, situation.pod.status
    around = Surroundings(
        situation=situation,
        scheme=scheme,
        is_over=is_over or situation.ending is not None,
        messages=messages or {},
    )
    regular = tuple(container_states.status_of(around, one) for one in pod.spec.containers)
    inits = tuple(container_states.status_of(around, one) for one in pod.spec.init_containers)
    debug = tuple(
        container_states.status_of(around, _as_spec(one)) for one in pod.spec.ephemeral_containers
    )
    phase = _phase(situation, regular, inits, is_over=is_over)
    addresses = _addresses(situation, host_ip)
    ending = situation.ending
    status = msgspec.structs.replace(
        told,
        phase=phase,
        reason=ending.reason if ending is not None and ending.reason else told.reason,
        message=ending.message if ending is not None and ending.reason else told.message,
        observed_generation=pod.metadata.generation,
        start_time=told.start_time or rfc3339(wall),
        host_ip=host_ip,
        host_ips=(HostIP(ip=host_ip),),
        pod_ip=addresses[0].ip if addresses else "",
        pod_ips=addresses,
        qos_class=told.qos_class or qos_class(tree_of(pod.spec)),
        container_statuses=regular,
        init_container_statuses=inits,
        ephemeral_container_statuses=debug,
    )
    said = _conditions(situation, status, is_ready_to_start=_is_ready_to_start(situation))
    return msgspec.structs.replace(
        status, conditions=pods.with_conditions(told.conditions, said, wall)
    )


def rejected(pod: Pod, reason: str, message: str, *, host_ip: str, wall: float) -> PodStatus:
    """Of a pod that this node does not take."""
    return msgspec.structs.replace(
        pod.status,
        phase="Failed",
        reason=reason,
        message=message,
        observed_generation=pod.metadata.generation,
        start_time=pod.status.start_time or rfc3339(wall),
        host_ip=host_ip,
        host_ips=(HostIP(ip=host_ip),),
    )


def _as_spec(one: EphemeralContainer) -> Spec:
    return Spec(name=one.name, image=one.image)


def _is_ready_to_start(situation: Situation) -> bool:
    sandbox = situation.view.sandbox
    return sandbox is not None and sandbox.is_ready


def _addresses(situation: Situation, host_ip: str) -> tuple[PodIP, ...]:
    """As long as it may be asked for anything; of one that has ended it stays as it was."""
    sandbox = situation.view.sandbox
    if sandbox is None:
        return situation.pod.status.pod_ips
    address = host_ip if situation.pod.spec.host_network else sandbox.address
    if not sandbox.is_ready or not address:
        return situation.pod.status.pod_ips
    return (PodIP(ip=address),)


# ----------------------------------------------------------------------------------- phase


def _waits_for_init(situation: Situation) -> bool:
    """Whether an init container is not done, and no regular one was ever begun."""
    pod, view = situation.pod, situation.view
    if any(view.current(one.name) is not None for one in pod.spec.containers):
        return False
    return any(not _is_initialized(situation, one) for one in pod.spec.init_containers)


def _is_initialized(situation: Situation, spec: Spec) -> bool:
    container = situation.view.current(spec.name)
    if container is None:
        return False
    if is_sidecar(spec):
        return container.state == "running" and situation.health_of(spec, container).is_started
    return container.state == "exited" and container.exit_code == 0


def _phase(situation: Situation, regular: _Statuses, inits: _Statuses, *, is_over: bool) -> str:
    pod, view = situation.pod, situation.view
    if pods.is_finished(pod):
        return pod.status.phase
    if is_over:  # not before its last container has ended: whoever counts on it may go on
        if situation.ending is not None and situation.ending.reason:
            return "Failed"
        return outcome(pod, view) or outcome_when_stopped(pod, view)
    if situation.ending is not None or outcome(pod, view) is not None:
        return pod.status.phase or "Pending"
    if _waits_for_init(situation):
        return "Pending"
    has_begun = [
        one.state.running is not None
        or one.state.terminated is not None
        or one.last_state.terminated is not None
        for one in regular
    ]
    return "Running" if has_begun and all(has_begun) else "Pending"


# ------------------------------------------------------------------------------ conditions


def _conditions(
    situation: Situation, status: PodStatus, *, is_ready_to_start: bool
) -> list[PodCondition]:
    pod = situation.pod
    ready = _containers_ready(situation, status)
    said = [
        PodCondition(type=pods.READY_TO_START, status=_word(is_ready_to_start)),
        _initialized(situation, status),
        _pod_ready(pod, ready),
        msgspec.structs.replace(ready, type=pods.CONTAINERS_READY),
    ]
    if pods.condition(pod, pods.POD_SCHEDULED) is None:
        said.append(PodCondition(type=pods.POD_SCHEDULED, status="True"))
    ending = situation.ending
    if ending is not None and ending.is_disrupted:
        said.append(
            PodCondition(
                type=pods.DISRUPTION_TARGET,
                status="True",
                reason="TerminationByKubelet",
                message=ending.message,
            )
        )
    return said


def _word(is_so: bool) -> str:
    return "True" if is_so else "False"


def _initialized(situation: Situation, status: PodStatus) -> PodCondition:
    kind = pods.INITIALIZED
    if status.phase == "Succeeded":
        return PodCondition(type=kind, status="True", reason="PodCompleted")
    if not _waits_for_init(situation):
        return PodCondition(type=kind, status="True")
    if status.phase == "Failed" and pods.is_true(situation.pod, kind):
        return PodCondition(type=kind, status="True")
    missing = [
        one.name
        for one in situation.pod.spec.init_containers
        if not _is_initialized(situation, one)
    ]
    return PodCondition(
        type=kind,
        status="False",
        reason="ContainersNotInitialized",
        message=f"containers with incomplete status: [{' '.join(missing)}]",
    )


def _containers_ready(situation: Situation, status: PodStatus) -> PodCondition:
    """For ContainersReady, and for Ready where no gate is shut."""
    if status.phase == "Succeeded":
        return PodCondition(status="False", reason="PodCompleted")
    if status.phase == "Failed":
        return PodCondition(status="False", reason="PodFailed")
    names = {one.name for one in situation.pod.spec.init_containers if is_sidecar(one)}
    asked = (
        *(one for one in status.init_container_statuses if one.name in names),
        *status.container_statuses,
    )
    unready = [one.name for one in asked if not one.ready]
    if not unready:
        return PodCondition(status="True")
    return PodCondition(
        status="False",
        reason="ContainersNotReady",
        message=f"containers with unready status: [{' '.join(unready)}]",
    )


def _pod_ready(pod: Pod, ready: PodCondition) -> PodCondition:
    if ready.status != "True":
        return msgspec.structs.replace(ready, type=pods.READY)
    shut = []
    for gate in pod.spec.readiness_gates:
        found = pods.condition(pod, gate.condition_type)
        if found is None:
            shut.append(
                f'corresponding condition of pod readiness gate "{gate.condition_type}" '
                "does not exist."
            )
        elif found.status != "True":
            shut.append(
                f'the status of pod readiness gate "{gate.condition_type}" is not "True", '
                f"but {found.status}"
            )
    if not shut:
        return PodCondition(type=pods.READY, status="True")
    return PodCondition(
        type=pods.READY,
        status="False",
        reason="ReadinessGatesNotReady",
        message=", ".join(shut),
    )
