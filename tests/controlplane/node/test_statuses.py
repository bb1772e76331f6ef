"""What a pod's status says. Numbers are rows of kube-behaviour.md."""

from typing import Any

import msgspec
import pytest

from controlplane.api import pods
from controlplane.api.record import to_object
from controlplane.api.types.core_v1 import PodCondition, PodStatus
from controlplane.node.endings import Ending
from controlplane.node.plan import Health
from controlplane.node.restarts import StartFailure
from controlplane.node.view import NOTHING
from tests.controlplane.node.nodes import container
from tests.controlplane.node.views import (
    HOST_IP,
    NOW,
    UID,
    deleted,
    pod,
    ran,
    sandbox,
    situation,
    told,
    view,
)

DEAD = (sandbox(is_ready=False),)


def said(status: PodStatus, kind: str) -> PodCondition:
    return next(one for one in status.conditions if one.type == kind)


def waiting(status: PodStatus) -> list[str]:
    """Reasons of the containers that wait."""
    return [one.state.waiting.reason for one in status.container_statuses if one.state.waiting]


def test_pod_that_was_just_seen() -> None:
    """10.1."""
    status = told(situation(pod("a"), NOTHING))
    assert status.phase == "Pending"
    assert status.start_time == "2023-11-14T22:14:20Z"
    assert (status.host_ip, status.pod_ip) == (HOST_IP, "")
    assert status.observed_generation == 1
    assert status.qos_class == "BestEffort"
    assert waiting(status) == ["ContainerCreating"]
    assert said(status, "PodReadyToStartContainers").status == "False"
    ready = said(status, "Ready")
    assert (ready.status, ready.reason) == ("False", "ContainersNotReady")
    assert ready.message == "containers with unready status: [a]"


def test_pod_that_runs() -> None:
    """10.1."""
    status = told(situation(pod("a"), view(ran("a", attempt=2))))
    assert (status.phase, status.pod_ip) == ("Running", "10.1.0.2")
    (one,) = status.container_statuses
    assert one.container_id == "process://a-2"
    assert (one.restart_count, one.ready, one.started) == (2, True, True)
    assert one.image_id == "id-of-a"
    assert one.state.running is not None
    assert one.state.running.started_at == "2023-11-14T22:13:20Z"
    for kind in ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"):
        assert said(status, kind).status == "True"


def test_pod_is_pending_until_all_containers_were_started() -> None:
    """10.1."""
    assert told(situation(pod("a", "b"), view(ran("a")))).phase == "Pending"
    assert told(situation(pod("a", "b"), view(ran("a"), ran("b")))).phase == "Running"


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_phase_when_containers_have_ended(policy: str, codes: tuple[int, int], phase: str) -> None:
    """10.1: Succeeded: all exit 0 and none restarts."""
    seen = view(ran("a", "exited", code=codes[0]), ran("b", "exited", code=codes[1]))
    found = situation(pod("a", "b", restartPolicy=policy), seen)
    is_over = phase in ("Succeeded", "Failed")
    assert told(found, is_over=is_over).phase == phase


def test_phase_is_terminal_only_when_the_last_container_has_ended() -> None:
    """10.1, 10.3."""
    side = container("s", restartPolicy="Always")
    found = pod("a", initContainers=[side], restartPolicy="Never", status={"phase": "Running"})
    assert told(situation(found, view(ran("s"), ran("a", "exited")))).phase == "Running"
    ended = view(ran("s", "exited", code=143), ran("a", "exited"), sandboxes=DEAD)
    assert told(situation(found, ended), is_over=True).phase == "Succeeded"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_terminal_phase_never_reverts(phase: str) -> None:
    """10.1."""
    found = situation(pod("a", status={"phase": phase}), view(ran("a")))
    assert told(found).phase == phase
    assert told(found, is_over=True).phase == phase


def test_init_container_that_fails_for_good_fails_its_pod() -> None:
    """10.2."""
    found = pod("a", initContainers=[container("i")], restartPolicy="Never")
    seen = view(ran("i", "exited", code=3), sandboxes=DEAD)
    status = told(situation(found, seen), is_over=True)
    assert status.phase == "Failed"
    assert said(status, "Ready").reason == "PodFailed"
    initialized = said(status, "Initialized")
    assert (initialized.status, initialized.reason) == ("False", "ContainersNotInitialized")
    assert initialized.message == "containers with incomplete status: [i]"


def test_others_wait_for_init_containers() -> None:
    """10.2."""
    found = pod("a", initContainers=[container("i"), container("j")])
    status = told(situation(found, view(ran("i"))))
    assert status.phase == "Pending"
    assert waiting(status) == ["PodInitializing"]
    first, second = status.init_container_statuses
    assert first.state.running is not None
    assert not first.ready
    assert second.state.waiting is not None
    assert second.state.waiting.reason == "PodInitializing"
    initialized = view(ran("i", "exited"), ran("j", "exited"))
    assert waiting(told(situation(found, initialized))) == ["PodInitializing"]  # until it is there
    assert said(status, "Initialized").message == "containers with incomplete status: [i j]"
    done = told(situation(found, view(ran("i", "exited"), ran("j", "exited"), ran("a"))))
    assert all(one.ready for one in done.init_container_statuses)
    assert done.init_container_statuses[0].state.terminated is not None
    assert done.init_container_statuses[0].state.terminated.reason == "Completed"
    assert said(done, "Initialized").status == "True"


def test_sidecar_counts_for_readiness() -> None:
    """10.3."""
    side = container("s", restartPolicy="Always", readinessProbe={"exec": {"command": ["x"]}})
    found = pod("a", initContainers=[side])
    status = told(situation(found, view(ran("s"), ran("a"))))
    assert said(status, "Ready").message == "containers with unready status: [s]"
    ready = situation(found, view(ran("s"), ran("a")), health={"s-0": Health()})
    assert said(told(ready), "Ready").status == "True"


def test_crash_loop() -> None:
    """10.4: Waiting reason, lastState, restartCount."""
    crashed = ran("a", "exited", attempt=4, code=1, delay=80)
    found = situation(pod("a"), view(crashed), ended_at={"a-4": NOW - 10})
    (one,) = told(found).container_statuses
    assert one.state.waiting is not None
    assert one.state.waiting.reason == "CrashLoopBackOff"
    assert one.state.waiting.message == (
        f"back-off 1m20s restarting failed container=a pod=p_default({UID})"
    )
    assert one.last_state.terminated is not None
    assert one.last_state.terminated.exit_code == 1
    assert one.last_state.terminated.reason == "Error"
    assert one.restart_count == 4
    assert not one.ready
    again = told(situation(pod("a"), view(ran("a", attempt=5), crashed)))
    assert again.container_statuses[0].state.running is not None
    assert again.container_statuses[0].last_state == one.last_state
    assert again.phase == "Running"


def test_last_state_is_kept_where_the_runtime_has_forgotten_it() -> None:
    """10.4."""
    before = told(situation(pod("a"), view(ran("a", "exited", code=9))), is_over=False)
    found = pod("a", status=to_object(before))
    (one,) = told(situation(found, view(ran("a", attempt=1)))).container_statuses
    assert one.last_state.terminated is not None
    assert one.last_state.terminated.exit_code == 9


def test_images_that_cannot_be_had() -> None:
    """10.4: ErrImagePull, then ImagePullBackOff."""
    failure = StartFailure(reason="ErrImagePull", message="not there", at=NOW, seconds=10)
    fresh = situation(pod("a"), view(), failures={"a": failure})
    assert waiting(told(fresh)) == ["ErrImagePull"]
    (one,) = told(msgspec.structs.replace(fresh, now=NOW + 2)).container_statuses
    assert one.state.waiting is not None
    assert one.state.waiting.reason == "ImagePullBackOff"
    assert one.state.waiting.message == 'Back-off pulling image "local/a"'


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "RunContainerError"])
def test_start_that_was_refused(reason: str) -> None:
    failure = StartFailure(reason=reason, message='secret "x" not found', at=NOW, seconds=1)
    status = told(situation(pod("a"), view(), failures={"a": failure}))
    (one,) = status.container_statuses
    assert one.state.waiting is not None
    assert (one.state.waiting.reason, one.state.waiting.message) == (
        reason,
        'secret "x" not found',
    )
    assert status.phase == "Pending"


def test_probes_decide_who_is_ready() -> None:
    """10.5."""
    found = pod(container("a", readinessProbe={"exec": {"command": ["x"]}}))
    assert not told(situation(found, view(ran("a")))).container_statuses[0].ready
    asked = situation(found, view(ran("a")), health={"a-0": Health()})
    assert told(asked).container_statuses[0].ready
    found = pod(container("a", startupProbe={"exec": {"command": ["x"]}}))
    (one,) = told(situation(found, view(ran("a")))).container_statuses
    assert (one.started, one.ready) == (False, False)


def gated(conditions: list[dict[str, Any]]) -> PodCondition:
    gates = [{"conditionType": "example.com/open"}]
    found = pod("a", readinessGates=gates, status={"conditions": conditions})
    return said(told(situation(found, view(ran("a")))), pods.READY)


def test_readiness_gates() -> None:
    """10.1."""
    absent = gated([])
    assert (absent.status, absent.reason) == ("False", "ReadinessGatesNotReady")
    assert absent.message == (
        'corresponding condition of pod readiness gate "example.com/open" does not exist.'
    )
    shut = gated([{"type": "example.com/open", "status": "False"}])
    assert shut.message == (
        'the status of pod readiness gate "example.com/open" is not "True", but False'
    )
    assert gated([{"type": "example.com/open", "status": "True"}]).status == "True"


def test_conditions_of_others_stay() -> None:
    """10.1: DisruptionTarget."""
    theirs = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    found = pod("a", status={"conditions": [theirs]})
    status = told(situation(found, view(ran("a"))))
    assert said(status, "DisruptionTarget").reason == "PreemptionByScheduler"


def test_time_of_transition_changes_with_the_status_only() -> None:
    before = told(situation(pod("a"), view(ran("a"))))
    found = pod("a", status=to_object(before))
    again = told(situation(found, view(ran("a"))))
    assert again == before


def test_pod_that_was_stopped() -> None:
    """10.6: what did not end well has failed; a reason is told."""
    found = deleted(pod("a", status={"phase": "Running"}))
    deletion = Ending(deadline=NOW, is_deleted=True)
    stops = told(situation(found, view(ran("a")), ending=deletion))
    assert stops.phase == "Running"
    killed = view(ran("a", "exited", code=137), sandboxes=DEAD)
    assert told(situation(found, killed, ending=deletion), is_over=True).phase == "Failed"
    well = view(ran("a", "exited"), sandboxes=DEAD)
    assert told(situation(found, well, ending=deletion), is_over=True).phase == "Succeeded"
    late = Ending(deadline=NOW, reason="DeadlineExceeded", message="too long")
    status = told(situation(found, well, ending=late), is_over=True)
    assert (status.phase, status.reason, status.message) == (
        "Failed",
        "DeadlineExceeded",
        "too long",
    )


def test_address_stays_when_its_pod_has_ended() -> None:
    found = pod("a", status={"podIPs": [{"ip": "10.1.0.2"}]}, restartPolicy="Never")
    status = told(situation(found, view(ran("a", "exited"), sandboxes=DEAD)), is_over=True)
    assert status.pod_ip == "10.1.0.2"
    assert said(status, "Ready").reason == "PodCompleted"
    assert said(status, "PodReadyToStartContainers").status == "False"


def test_pod_of_the_host_s_network_has_the_host_s_address() -> None:
    status = told(situation(pod("a", hostNetwork=True), view(ran("a"))))
    assert status.pod_ip == HOST_IP


def test_container_that_was_lost() -> None:
    """10.4."""
    before = told(situation(pod("a"), view(ran("a", attempt=1))))
    never = pod("a", restartPolicy="Never", status=to_object(before))
    status = told(situation(never, NOTHING), is_over=True)
    assert status.phase == "Failed"
    ended = status.container_statuses[0].state.terminated
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (137, "ContainerStatusUnknown")
    always = told(situation(pod("a", status=to_object(before)), NOTHING))
    (one,) = always.container_statuses
    assert one.state.waiting is not None
    assert one.last_state.terminated == ended
    assert one.restart_count == 1


def test_container_that_was_never_started_is_waiting() -> None:
    """… and what was told of the attempt before stays."""
    (one,) = told(situation(pod("a"), view(ran("a", "created")))).container_statuses
    assert one.state.waiting is not None
    assert one.state.waiting.reason == "ContainerCreating"
    assert (one.container_id, one.restart_count) == ("", 0)
    crashed = ran("a", "exited", attempt=1, code=9)
    seen = view(ran("a", "created", attempt=2), crashed)
    (one,) = told(situation(pod("a"), seen)).container_statuses
    assert one.state.waiting is not None
    assert one.last_state.terminated is not None
    assert one.last_state.terminated.exit_code == 9
    assert (one.container_id, one.restart_count) == ("process://a-1", 1)


def test_messages_of_containers() -> None:
    crashed = view(ran("a", "exited", code=1))
    found = situation(pod("a", restartPolicy="Never"), crashed)
    (one,) = told(found, messages={"a-0": "it broke"}).container_statuses
    assert one.state.terminated is not None
    assert one.state.terminated.message == "it broke"
