"""What Deployments tell of their rollouts. Numbers are rows of kube-behaviour.md."""

from typing import Any

import pytest
from msgspec.structs import replace

from controlplane.api.meta import rfc3339
from controlplane.api.types.apps_v1 import (
    Deployment,
    DeploymentCondition,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetCondition,
    ReplicaSetSpec,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from controlplane.api.types.meta_v1 import ObjectMeta
from controlplane.controllers import progress
from controlplane.controllers.progress import again_in, counted, find, judged
from controlplane.controllers.revisions import History
from tests.controlplane.controllers.objects import NOW


def _deployment(
    replicas: int = 10, deadline: int | None = 600, conditions: Any = (), **spec: Any
) -> Deployment:
    rolling = RollingUpdateDeployment(max_surge="25%", max_unavailable="25%")
    return Deployment(
        metadata=ObjectMeta(name="d", generation=4),
        spec=DeploymentSpec(
            replicas=replicas,
            progress_deadline_seconds=deadline,
            strategy=DeploymentStrategy(type="RollingUpdate", rolling_update=rolling),
            **spec,
        ),
        status=DeploymentStatus(conditions=tuple(conditions)),
    )


def _replica_set(name: str, replicas: int, available: int | None = None) -> ReplicaSet:
    count = replicas if available is None else available
    return ReplicaSet(
        metadata=ObjectMeta(name=name),
        spec=ReplicaSetSpec(replicas=replicas),
        status=ReplicaSetStatus(replicas=replicas, ready_replicas=count, available_replicas=count),
    )


def _said(reason: str, status: str = "True", at: float = NOW) -> DeploymentCondition:
    return progress.condition("Progressing", status, reason, "", at)


def _progressing(status: DeploymentStatus) -> DeploymentCondition:
    found = find(status.conditions, "Progressing")
    assert found is not None
    return found


def test_counts() -> None:
    """4.7."""
    found = History(_replica_set("new", 5, 3), (_replica_set("old", 8),))
    status = counted(_deployment(), found, NOW)
    assert (status.replicas, status.updated_replicas) == (13, 5)
    assert (status.ready_replicas, status.available_replicas) == (11, 11)
    assert (status.unavailable_replicas, status.observed_generation) == (2, 4)


@pytest.mark.parametrize(
    ("available", "status", "reason"),
    [
        (8, "True", "MinimumReplicasAvailable"),
        (7, "False", "MinimumReplicasUnavailable"),
    ],
)
def test_available_is_desired_less_max_unavailable(
    available: int, status: str, reason: str
) -> None:
    """4.7."""
    found = History(_replica_set("new", 10, available), ())
    condition = find(counted(_deployment(), found, NOW).conditions, "Available")
    assert condition is not None
    assert (condition.status, condition.reason) == (status, reason)


def test_what_is_complete_says_so() -> None:
    """4.7."""
    deployment = _deployment(conditions=[_said("ReplicaSetUpdated")])
    found = _progressing(judged(deployment, History(_replica_set("new", 10), ()), NOW))
    assert (found.status, found.reason) == ("True", "NewReplicaSetAvailable")
    assert found.message == 'ReplicaSet "new" has successfully progressed.'


def test_each_step_starts_the_deadline_anew() -> None:
    """4.7: lastUpdateTime is that of the latest step, lastTransitionTime that of the first."""
    deployment = _deployment(conditions=[_said("ReplicaSetUpdated", at=NOW - 500)])
    deployment = replace(
        deployment, status=replace(deployment.status, updated_replicas=2, replicas=2)
    )
    history = History(_replica_set("new", 3, 0), ())
    found = _progressing(judged(deployment, history, NOW))
    assert (found.status, found.reason) == ("True", "ReplicaSetUpdated")
    assert found.message == 'ReplicaSet "new" is progressing.'
    assert found.last_update_time == rfc3339(NOW)
    assert found.last_transition_time == rfc3339(NOW - 500)


def _stuck(since: float, deadline: int | None = 600, **more: Any) -> DeploymentStatus:
    deployment = _deployment(deadline=deadline, conditions=[_said("ReplicaSetUpdated", at=since)])
    history = History(_replica_set("new", 3, 0), ())
    status = judged(deployment, history, since)
    deployment = replace(deployment, status=status)
    return judged(deployment, history, NOW)


def test_no_progress_in_time_is_told() -> None:
    """4.7: False ProgressDeadlineExceeded after 600 s."""
    assert _progressing(_stuck(NOW - 600)).reason == "ReplicaSetUpdated"
    found = _progressing(_stuck(NOW - 601))
    assert (found.status, found.reason) == ("False", "ProgressDeadlineExceeded")
    assert found.message == 'ReplicaSet "new" has timed out progressing.'
    assert find(_stuck(NOW - 9999, deadline=None).conditions, "Progressing") is None
    assert find(_stuck(NOW - 9999, deadline=2**31 - 1).conditions, "Progressing") is None


def test_deadline_is_looked_at_when_it_is_over() -> None:
    """4.7: a second later, for times are whole seconds."""
    deployment = _deployment()
    updated = DeploymentStatus(conditions=(_said("ReplicaSetUpdated", at=NOW - 500),))
    assert again_in(deployment, updated, NOW) == 101.0
    assert again_in(deployment, updated, NOW - 3600) == 601.0, "the clock was set back"
    complete = DeploymentStatus(conditions=(_said("NewReplicaSetAvailable", at=NOW - 500),))
    assert again_in(deployment, complete, NOW) is None
    exceeded = DeploymentStatus(conditions=(_said("ProgressDeadlineExceeded", "False"),))
    assert again_in(deployment, exceeded, NOW) is None
    assert again_in(_deployment(paused=True), updated, NOW) is None


def test_what_is_over_does_not_time_out() -> None:
    """4.7: pods that fail long after a rollout are none of its business."""
    complete = _said("NewReplicaSetAvailable", at=NOW - 9999)
    status = judged(
        _deployment(conditions=[complete]), History(_replica_set("new", 10, 0), ()), NOW
    )
    assert _progressing(status) == complete


def test_failure_of_a_replica_set_is_the_deployments() -> None:
    """4.7: ReplicaFailure, that of the new one first; it goes with its cause."""

    def failing(name: str, message: str) -> ReplicaSet:
        condition = ReplicaSetCondition(
            type="ReplicaFailure", status="True", reason="FailedCreate", message=message
        )
        made = _replica_set(name, 1)
        return replace(made, status=replace(made.status, conditions=(condition,)))

    both = History(failing("new", "of new"), (failing("old", "of old"),))
    status = judged(_deployment(), both, NOW)
    found = find(status.conditions, "ReplicaFailure")
    assert found is not None
    assert (found.reason, found.message) == ("FailedCreate", "of new")
    healthy = History(_replica_set("new", 1), ())
    later = judged(_deployment(conditions=status.conditions), healthy, NOW)
    assert find(later.conditions, "ReplicaFailure") is None


def test_pause_is_told_and_stops_the_clock() -> None:
    """4.8."""
    deployment = _deployment(paused=True, conditions=[_said("ReplicaSetUpdated", at=NOW - 9999)])
    paused = progress.with_pause(deployment, NOW)
    found = _progressing(paused.status)
    assert (found.status, found.reason) == ("Unknown", "DeploymentPaused")
    assert found.message == "Deployment is paused"
    assert progress.with_pause(paused, NOW + 5) is paused
    resumed = replace(paused, spec=replace(paused.spec, paused=False))
    resumed = progress.with_pause(resumed, NOW + 9999)
    found = _progressing(resumed.status)
    assert (found.status, found.reason) == ("Unknown", "DeploymentResumed")
    assert not progress.has_timed_out(resumed, resumed.status.conditions, NOW + 9999 + 600)


def test_new_replica_set_is_told() -> None:
    """4.7: NewReplicaSetCreated, FoundNewReplicaSet."""
    new = _replica_set("d-1", 0)
    made = progress.with_new(_deployment(), new, NOW, is_created=True)
    found = _progressing(made.status)
    assert (found.reason, found.message) == (
        "NewReplicaSetCreated",
        'Created new replica set "d-1"',
    )
    found = _progressing(progress.with_new(_deployment(), new, NOW).status)
    assert (found.reason, found.message) == ("FoundNewReplicaSet", 'Found new replica set "d-1"')
    assert progress.with_new(made, new, NOW + 1) is made
