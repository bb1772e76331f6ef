"""What is done for a pod. Numbers are rows of kube-behaviour.md."""

from typing import Any

import pytest

from controlplane.api.record import to_object
from controlplane.api.types.core_v1 import Pod
from controlplane.node.actions import (
    Action,
    RemoveContainer,
    RemoveSandbox,
    RunPreStop,
    RunSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
)
from controlplane.node.endings import Ending, ending_of, first_moments, next_moments
from controlplane.node.plan import Health, Situation, grace_seconds, plan
from controlplane.node.restarts import StartFailure
from controlplane.node.view import until_hooked
from tests.controlplane.node.nodes import container
from tests.controlplane.node.views import (
    NOW,
    WALL,
    deleted,
    pod,
    ran,
    sandbox,
    situation,
    told,
    view,
)


def started(found: Situation) -> list[str]:
    """Names of the containers that a plan starts."""
    return [one.name for one in plan(found).actions if isinstance(one, StartContainer)]


def actions(found: Situation) -> tuple[Action, ...]:
    return plan(found).actions


def sidecar(name: str, **fields: Any) -> dict[str, Any]:
    return container(name, restartPolicy="Always", **fields)


def test_new_pod_gets_a_sandbox_then_its_containers() -> None:
    found = pod("a", "b")
    assert actions(situation(found, view(sandboxes=()))) == (RunSandbox(attempt=0),)
    assert started(situation(found, view())) == ["a", "b"]
    assert actions(situation(found, view(ran("a"), ran("b")))) == ()


def test_containers_of_a_sandbox_that_died_end_before_there_is_another() -> None:
    found, dead = pod("a"), sandbox(is_ready=False)
    running = view(ran("a"), sandboxes=(dead,))
    assert actions(situation(found, running)) == (StopSandbox(sandbox_id="s0"),)
    ended = view(ran("a", "exited", code=137), sandboxes=(dead,))
    assert actions(situation(found, ended)) == (RunSandbox(attempt=1, is_replacement=True),)
    again = view(ran("a", "exited", code=137), sandboxes=(sandbox(1), dead))
    assert started(situation(found, again)) == ["a"]


def test_sandbox_that_nothing_is_known_of_any_more_is_removed() -> None:
    seen = view(
        ran("a", attempt=2, sandbox_id="s1"),
        ran("a", "exited", attempt=1, sandbox_id="s1"),
        sandboxes=(sandbox(1), sandbox(is_ready=False)),
    )
    assert actions(situation(pod("a"), seen)) == (RemoveSandbox(sandbox_id="s0"),)


def test_init_containers_run_one_after_another_and_each_must_succeed() -> None:
    """10.2."""
    found = pod("a", initContainers=[container("i"), container("j")])
    assert started(situation(found, view())) == ["i"]
    assert actions(situation(found, view(ran("i")))) == ()
    done = ran("i", "exited")
    assert started(situation(found, view(done))) == ["j"]
    assert started(situation(found, view(done, ran("j", "exited", code=1)))) == ["j"]
    assert started(situation(found, view(done, ran("j", "exited")))) == ["a"]


def test_init_container_that_fails_is_not_tried_again_where_nothing_is() -> None:
    """10.2: restartPolicy Never."""
    found = pod("a", initContainers=[container("i")], restartPolicy="Never")
    planned = plan(situation(found, view(ran("i", "exited", code=1))))
    assert planned.actions == (StopSandbox(sandbox_id="s0"),)
    assert planned.is_ended


def test_pod_is_initialized_anew_in_a_new_sandbox() -> None:
    found = pod("a", initContainers=[container("i")])
    seen = view(
        ran("i", "exited"),
        ran("a", "exited", code=137),
        sandboxes=(sandbox(1), sandbox(is_ready=False)),
    )
    assert started(situation(found, seen)) == ["i"]


def test_sidecar_must_have_started_before_the_next_begins() -> None:
    """10.3: the next waits for its startup probe."""
    probe = {"startupProbe": {"exec": {"command": ["x"]}}}
    found = pod("a", initContainers=[sidecar("s", **probe), container("i")])
    assert started(situation(found, view())) == ["s"]
    running = view(ran("s"))
    assert started(situation(found, running)) == []
    is_up = {"s-0": Health()}
    assert started(situation(found, running, health=is_up)) == ["i"]
    done = view(ran("s"), ran("i", "exited"))
    assert started(situation(found, done, health=is_up)) == ["a"]


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_sidecar_is_restarted_whatever_the_pod_s_policy(policy: str) -> None:
    """10.3."""
    found = pod("a", initContainers=[sidecar("s")], restartPolicy=policy)
    assert started(situation(found, view(ran("s", "exited"), ran("a")))) == ["s"]


@pytest.mark.parametrize(
    ("policy", "code", "is_again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, is_again: bool) -> None:
    """10.4."""
    found = pod("a", "b", restartPolicy=policy)
    seen = view(ran("a", "exited", code=code), ran("b"))
    assert started(situation(found, seen)) == (["a"] if is_again else [])


def test_restart_waits_for_its_delay_from_the_end() -> None:
    """10.4: 10 s, doubled; the attempt counts on."""
    found = pod("a")
    crashed = view(ran("a", "exited", attempt=1, code=1, delay=10))
    early = situation(found, crashed, ended_at={"a-1": NOW - 9.9})
    assert plan(early).actions == ()
    assert plan(early).wake_at == pytest.approx(NOW + 0.1)
    late = situation(found, crashed, ended_at={"a-1": NOW - 10.0})
    assert actions(late) == (
        StartContainer(name="a", sandbox_id="s0", attempt=2, delay_seconds=20),
    )


def test_start_that_was_refused_is_tried_again_later() -> None:
    failure = StartFailure(reason="ErrImagePull", message="", at=NOW - 3, seconds=10)
    found = situation(pod("a"), view(), failures={"a": failure})
    assert plan(found).actions == ()
    assert plan(found).wake_at == NOW + 7


def test_container_that_was_never_started_makes_place() -> None:
    seen = view(ran("a", "created"))
    assert actions(situation(pod("a"), seen)) == (
        RemoveContainer(container_id="a-0", key_name="a"),
    )


def test_container_that_was_never_started_counts_no_restart() -> None:
    """An agent was killed before it could start it, or the start was refused."""
    early = pod("a", restartPolicy="Never", ephemeralContainers=[container("debug")])
    seen = view(ran("a", "created"), ran("debug", "created"))
    assert actions(situation(early, seen)) == (
        RemoveContainer(container_id="debug-0", key_name="debug"),
        RemoveContainer(container_id="a-0", key_name="a"),
    )
    told_so = pod("a", restartPolicy="Never", status=to_object(told(situation(early, seen))))
    (start,) = actions(situation(told_so, view()))
    assert isinstance(start, StartContainer)
    assert start.attempt == 0
    dead = view(ran("a", "created"), sandboxes=(sandbox(1), sandbox(is_ready=False)))
    removal, start = actions(situation(told_so, dead))
    assert removal == RemoveSandbox(sandbox_id="s0")
    assert isinstance(start, StartContainer)
    assert start.attempt == 0


def test_last_two_attempts_are_kept() -> None:
    seen = view(
        ran("a", attempt=3),
        ran("a", "exited", attempt=2, code=1),
        ran("a", "exited", attempt=1, code=1),
    )
    assert actions(situation(pod("a"), seen)) == (
        RemoveContainer(container_id="a-1", key_name="a-1"),
    )


@pytest.mark.parametrize(("probe", "grace"), [({}, 30), ({"terminationGracePeriodSeconds": 7}, 7)])
def test_container_that_fails_its_liveness_probe_is_stopped(
    probe: dict[str, Any], grace: int
) -> None:
    """10.5: the probe's own grace counts, if it has one."""
    found = pod(container("a", livenessProbe={"exec": {"command": ["x"]}, **probe}))
    health = {"a-0": Health(failed="liveness")}
    assert actions(situation(found, view(ran("a")), health=health)) == (
        StopContainer(
            name="a",
            container_id="a-0",
            deadline=NOW + grace,
            message="Container a failed liveness probe, will be restarted",
        ),
    )


def test_container_with_another_image_is_replaced() -> None:
    seen = view(ran("a", image="local/old"))
    (stop,) = actions(situation(pod("a"), seen))
    assert isinstance(stop, StopContainer)
    assert stop.message == "Container a definition changed, will be restarted"
    never = pod("a", restartPolicy="Never")
    assert started(situation(never, view(ran("a", "exited", image="local/old")))) == ["a"]


def test_ephemeral_container_is_started_once() -> None:
    """10.7."""
    found = pod("a", ephemeralContainers=[container("debug")])
    assert started(situation(found, view(ran("a")))) == ["debug"]
    assert started(situation(found, view(ran("a"), ran("debug", "exited", code=1)))) == []


def test_ephemeral_container_comes_before_what_does_not_come_up() -> None:
    """10.7."""
    debug = [container("debug")]
    found = pod("a", initContainers=[container("i")], ephemeralContainers=debug)
    assert started(situation(found, view())) == ["debug", "i"]


def test_container_counts_as_made_until_its_hook_is_done() -> None:
    """10.1, 10.3: so a sidecar's successor waits for it."""
    hook = {"lifecycle": {"postStart": {"exec": {"command": ["x"]}}}}
    found = pod("a", initContainers=[sidecar("s", **hook), container("i")])
    starts = [
        StartContainer(name=name, sandbox_id="s0", attempt=0, delay_seconds=0)
        for name in ("s", "a")
    ]
    seen = view(ran("s"), ran("a"))
    counted = until_hooked(found, seen, starts)
    assert {one.config.name: one.state for one in counted.containers} == {
        "s": "created",
        "a": "running",  # it has none
    }
    assert started(situation(found, until_hooked(found, view(ran("s")), starts))) == []
    assert until_hooked(found, seen, []) == seen
    dead = view(ran("s"), sandboxes=(sandbox(is_ready=False),))
    assert until_hooked(found, dead, starts) == dead


def test_container_that_the_runtime_forgot_is_not_run_twice_where_that_matters() -> None:
    """10.4: after a reboot Never is Never, and the restart count counts on."""
    running = {"containerID": "process://x", "restartCount": 2, "name": "a"}
    status = {"phase": "Running", "containerStatuses": [running]}
    never = pod("a", status=status, restartPolicy="Never")
    assert plan(situation(never, view(sandboxes=()))).is_over
    found = pod("a", status=status)
    (start,) = actions(situation(found, view()))
    assert isinstance(start, StartContainer)
    assert start.attempt == 3


# --------------------------------------------------------------------------- endings


def stopped(found: Situation) -> dict[str, float]:
    """Name of a container -> seconds that it is given."""
    planned = plan(found).actions
    return {one.name: one.deadline - found.now for one in planned if isinstance(one, StopContainer)}


def pre_stopped(found: Situation) -> dict[str, float]:
    """… of which only the hook is run so far."""
    planned = plan(found).actions
    return {one.name: one.deadline - found.now for one in planned if isinstance(one, RunPreStop)}


def test_deleted_pod_is_stopped_within_what_is_left_of_its_grace() -> None:
    """10.6: all at once; + 2 s where nothing is left."""
    found = deleted(pod("a", "b"))
    ending = Ending(deadline=NOW + 20, is_deleted=True)
    seen = view(ran("a"), ran("b"))
    assert stopped(situation(found, seen, ending=ending)) == {"a": 20, "b": 20}
    late = Ending(deadline=NOW - 5, is_deleted=True)
    assert stopped(situation(found, seen, ending=late)) == {"a": 2, "b": 2}


def test_sidecars_are_stopped_last_and_in_reverse_order() -> None:
    """10.3."""
    found = deleted(pod("a", initContainers=[sidecar("s"), sidecar("t")]))
    ending = Ending(deadline=NOW + 20, is_deleted=True)
    all_run = view(ran("s"), ran("t"), ran("a"))
    assert stopped(situation(found, all_run, ending=ending)) == {"a": 20}
    done = ran("a", "exited")
    assert stopped(situation(found, view(ran("s"), ran("t"), done), ending=ending)) == {"t": 20}
    seen = view(ran("s"), ran("t", "exited"), done)
    assert stopped(situation(found, seen, ending=ending)) == {"s": 20}
    late = Ending(deadline=NOW, is_deleted=True)
    assert stopped(situation(found, all_run, ending=late)) == {"s": 2, "t": 2, "a": 2}


def test_hooks_of_sidecars_do_not_wait_for_their_turn() -> None:
    """10.3, 10.6: they run once, within the one grace."""
    found = deleted(pod("a", initContainers=[sidecar("s"), sidecar("t")]))
    ending = Ending(deadline=NOW + 20, is_deleted=True)
    all_run = view(ran("s"), ran("t"), ran("a"))
    begun = situation(found, all_run, ending=ending)
    assert pre_stopped(begun) == {"s": 20, "t": 20}
    ids = {"s-0", "t-0"}
    later = situation(found, all_run, ending=ending, now=NOW + 5, pre_stopped=ids)
    assert pre_stopped(later) == {}
    done = view(ran("s"), ran("t"), ran("a", "exited"))
    (stop,) = actions(situation(found, done, ending=ending, now=NOW + 5, pre_stopped=ids))
    assert stop == StopContainer(
        name="t",
        container_id="t-0",
        deadline=NOW + 20,
        message="Stopping container t",
        is_again=True,
    )
    late = Ending(deadline=NOW, is_deleted=True)
    assert pre_stopped(situation(found, all_run, ending=late)) == {}


def test_sidecars_do_not_keep_a_job_from_its_end() -> None:
    """10.3."""
    found = pod("a", initContainers=[sidecar("s")], restartPolicy="OnFailure")
    seen = view(ran("s"), ran("a", "exited"))
    planned = plan(situation(found, seen))
    assert [type(one) for one in planned.actions] == [StopContainer]
    assert not planned.is_over
    over = plan(situation(found, view(ran("s", "exited", code=143), ran("a", "exited"))))
    assert over.actions == (StopSandbox(sandbox_id="s0"),)


def test_sidecars_of_a_pod_that_has_ended_share_one_grace() -> None:
    """10.3: it begins when that is seen, and not again at each look."""
    found = pod("a", initContainers=[sidecar("s"), sidecar("t")], restartPolicy="Never")
    moments = first_moments(found, now=NOW, wall=WALL)
    for seconds in (3, 7):
        moments = next_moments(moments, found, now=NOW + seconds, grace_seconds=30, has_ended=True)
    assert moments.over_at == NOW + 3
    all_run = view(ran("s"), ran("t"), ran("a", "exited"))
    assert stopped(situation(found, all_run, over_at=NOW - 10)) == {"t": 20}
    assert stopped(situation(found, all_run, over_at=NOW - 30)) == {"s": 2, "t": 2}


def test_what_is_left_of_a_deleted_pod_is_removed() -> None:
    ending = Ending(deadline=NOW, is_deleted=True)
    seen = view(ran("a", "exited"), sandboxes=(sandbox(is_ready=False),))
    planned = plan(situation(deleted(pod("a")), seen, ending=ending))
    assert planned.is_over
    assert planned.actions == (RemoveSandbox(sandbox_id="s0"),)


def test_containers_of_a_pod_that_has_ended_are_kept_for_their_logs() -> None:
    found = pod("a", restartPolicy="Never", status={"phase": "Succeeded"})
    seen = view(ran("a", "exited"), sandboxes=(sandbox(is_ready=False),))
    planned = plan(situation(found, seen))
    assert planned.is_over
    assert planned.actions == ()


def test_grace_counts_from_when_the_deletion_is_seen() -> None:
    """10.6: by a clock that nobody sets, whatever the time stamps say."""
    found = pod("a")
    moments = first_moments(found, now=NOW, wall=WALL)
    doomed = deleted(found, at="2020-01-01T00:00:00Z", grace=30)
    moments = next_moments(moments, doomed, now=NOW + 5, grace_seconds=30, has_ended=False)
    ending = ending_of(moments)
    assert ending is not None
    assert (ending.deadline, ending.is_deleted, ending.reason) == (NOW + 35, True, "")
    later = next_moments(moments, doomed, now=NOW + 9, grace_seconds=30, has_ended=False)
    assert later == moments
    sooner = deleted(found, at="2020-01-01T00:00:00Z", grace=3)
    moments = next_moments(moments, sooner, now=NOW + 10, grace_seconds=30, has_ended=False)
    assert moments.kill_at == NOW + 13


def test_agent_that_comes_later_gives_what_is_left_of_the_grace() -> None:
    """10.6: counted from deletion."""
    found = deleted(pod("a"), at="2023-11-14T22:13:30Z", grace=30)  # 10 s after WALL
    assert first_moments(found, now=NOW, wall=WALL).kill_at == NOW + 10
    assert first_moments(found, now=NOW, wall=WALL + 60).kill_at == NOW
    assert first_moments(found, now=NOW, wall=WALL - 3_600).kill_at == NOW + 30


def test_pod_that_is_active_for_too_long_ends() -> None:
    """10.6."""
    status = {"startTime": "2023-11-14T22:13:00Z"}  # 20 s before WALL
    found = pod("a", activeDeadlineSeconds=60, status=status)
    moments = first_moments(found, now=NOW, wall=WALL)
    early = next_moments(moments, found, now=NOW + 39.9, grace_seconds=30, has_ended=False)
    assert ending_of(early) is None
    ending = ending_of(
        next_moments(moments, found, now=NOW + 40, grace_seconds=30, has_ended=False)
    )
    assert ending is not None
    assert (ending.reason, ending.deadline) == ("DeadlineExceeded", NOW + 70)
    assert ending.message == "Pod was active on the node longer than the specified deadline"


def test_pod_that_has_ended_in_time_stays_as_it_ended() -> None:
    """10.6."""
    found = pod("a", activeDeadlineSeconds=60)
    moments = first_moments(found, now=NOW, wall=WALL)
    later = next_moments(moments, found, now=NOW + 61, grace_seconds=30, has_ended=True)
    assert ending_of(later) is None


def test_grace_is_thirty_seconds_unless_the_pod_says_otherwise() -> None:
    """10.6."""
    assert grace_seconds(Pod()) == 30
    assert grace_seconds(pod("a", terminationGracePeriodSeconds=0)) == 0
