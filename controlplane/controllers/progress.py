"""What a Deployment tells of its rollout: counts, and how it gets on. PURE.

Source: Kubernetes' documentation, "Deployment status"; kube-behaviour 4.7, 4.8.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from controlplane.api.meta import rfc3339, seconds_of
from controlplane.api.types.apps_v1 import (
    Deployment,
    DeploymentCondition,
    DeploymentStatus,
    ReplicaSet,
)
from controlplane.controllers import rollouts
from controlplane.controllers.replica_status import REPLICA_FAILURE
from controlplane.controllers.revisions import UNLIMITED, History

AVAILABLE, PROGRESSING = "Available", "Progressing"
CREATED, FOUND = "NewReplicaSetCreated", "FoundNewReplicaSet"
UPDATED, COMPLETE = "ReplicaSetUpdated", "NewReplicaSetAvailable"
TIMED_OUT, CREATE_ERROR = "ProgressDeadlineExceeded", "ReplicaSetCreateError"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"

Conditions = tuple[DeploymentCondition, ...]


def counted(deployment: Deployment, found: History, now: float) -> DeploymentStatus:
    """Its counts, and whether enough is available. `now`: seconds since 1970."""
    available = sum(one.status.available_replicas for one in found.all)
    least = rollouts.desired(deployment) - rollouts.bounds(deployment).unavailable
    is_enough = available >= least
    said = condition(
        AVAILABLE,
        "True" if is_enough else "False",
        "MinimumReplicasAvailable" if is_enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if is_enough else 'does not have'} minimum availability.",
        now,
    )
    return DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(one.status.replicas for one in found.all),
        updated_replicas=found.new.status.replicas if found.new is not None else 0,
        ready_replicas=sum(one.status.ready_replicas for one in found.all),
        available_replicas=available,
        unavailable_replicas=max(rollouts.total(found.all) - available, 0),
        terminating_replicas=sum(one.status.terminating_replicas or 0 for one in found.all),
        collision_count=deployment.status.collision_count,
        conditions=with_condition(deployment.status.conditions, said),
    )


def judged(deployment: Deployment, found: History, now: float) -> DeploymentStatus:
    """As `counted`, and whether the rollout gets on (4.7)."""
    status = counted(deployment, found, now)
    conditions = status.conditions
    before = find(deployment.status.conditions, PROGRESSING)
    is_over = (
        before is not None
        and before.reason == COMPLETE
        and status.replicas == status.updated_replicas
    )
    if deadline_seconds(deployment) is None:
        conditions = without(conditions, PROGRESSING)
    elif not is_over:
        conditions = _progressing(deployment, found, status, now)
    failure = _replica_failure(found)
    if failure is None:
        conditions = without(conditions, REPLICA_FAILURE)
    else:
        conditions = with_condition(conditions, failure)
    return replace(status, conditions=conditions)


def _progressing(
    deployment: Deployment, found: History, status: DeploymentStatus, now: float
) -> Conditions:
    conditions = status.conditions
    whom = f'Deployment "{deployment.metadata.name}"'
    if found.new is not None:
        whom = f'ReplicaSet "{found.new.metadata.name}"'
    if is_complete(deployment, status):
        told = f"{whom} has successfully progressed."
        return with_condition(conditions, condition(PROGRESSING, "True", COMPLETE, told, now))
    if has_progressed(deployment.status, status):
        # The same news again is news here: the deadline counts from the latest.
        said = condition(PROGRESSING, "True", UPDATED, f"{whom} is progressing.", now)
        before = find(conditions, PROGRESSING)
        if before is not None and before.status == said.status:
            said = replace(said, last_transition_time=before.last_transition_time)
        return (*without(conditions, PROGRESSING), said)
    if has_timed_out(deployment, conditions, now):
        told = f"{whom} has timed out progressing."
        return with_condition(conditions, condition(PROGRESSING, "False", TIMED_OUT, told, now))
    return conditions


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Whether all its pods are new and available, and there are no others."""
    counts = (status.updated_replicas, status.replicas, status.available_replicas)
    is_seen = status.observed_generation >= deployment.metadata.generation
    return is_seen and all(count == rollouts.desired(deployment) for count in counts)


def has_progressed(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    """Whether there are more new, ready or available pods, or fewer old ones."""
    return (
        after.updated_replicas > before.updated_replicas
        or after.replicas - after.updated_replicas < before.replicas - before.updated_replicas
        or after.ready_replicas > before.ready_replicas
        or after.available_replicas > before.available_replicas
    )


def has_timed_out(deployment: Deployment, conditions: Conditions, now: float) -> bool:
    """Whether it has not got on for longer than it has time."""
    found, seconds = find(conditions, PROGRESSING), deadline_seconds(deployment)
    if found is None or seconds is None or found.reason == COMPLETE:
        return False
    if found.reason == TIMED_OUT:
        return True
    return (seconds_of(found.last_update_time) or 0.0) + seconds < now


def deadline_seconds(deployment: Deployment) -> int | None:
    """How long it may take without getting on; None: as long as it likes."""
    seconds = deployment.spec.progress_deadline_seconds
    return None if seconds == UNLIMITED else seconds


def again_in(deployment: Deployment, status: DeploymentStatus, now: float) -> float | None:
    """Seconds until its time is over, if it gets no further; None: nothing is awaited.

    status  what it tells now
    """
    found, seconds = find(status.conditions, PROGRESSING), deadline_seconds(deployment)
    if found is None or seconds is None or deployment.spec.paused:
        return None
    if found.reason in (TIMED_OUT, COMPLETE):
        return None
    # Times are told in whole seconds: a second later it surely is over. Never longer than it has
    # time: a clock that was set back may be put right by then.
    left = (seconds_of(found.last_update_time) or 0.0) + seconds - now
    return min(max(left, 0.0), seconds) + 1.0


# ---------------------------------------------------------------------- conditions


def with_pause(deployment: Deployment, now: float) -> Deployment:
    """A Deployment that tells whether it is paused: then its deadline does not count (4.8)."""
    conditions = deployment.status.conditions
    found = find(conditions, PROGRESSING)
    if deadline_seconds(deployment) is None or (found is not None and found.reason == TIMED_OUT):
        return deployment
    is_told = found is not None and found.reason == PAUSED
    if deployment.spec.paused == is_told:
        return deployment
    reason, told = (RESUMED, "Deployment is resumed")
    if deployment.spec.paused:
        reason, told = (PAUSED, "Deployment is paused")
    return with_conditions(deployment, [condition(PROGRESSING, "Unknown", reason, told, now)])


def with_new(
    deployment: Deployment, new: ReplicaSet, now: float, *, is_created: bool = False
) -> Deployment:
    """A Deployment that tells which ReplicaSet is its newest: one that it makes, or, where nothing
    was told yet, one that it has found.
    """
    if deadline_seconds(deployment) is None:
        return deployment
    if is_created:
        said = (CREATED, f'Created new replica set "{new.metadata.name}"')
    elif find(deployment.status.conditions, PROGRESSING) is None:
        said = (FOUND, f'Found new replica set "{new.metadata.name}"')
    else:
        return deployment
    return with_conditions(deployment, [condition(PROGRESSING, "True", *said, now)])


def with_conditions(deployment: Deployment, said: Iterable[DeploymentCondition]) -> Deployment:
    """A Deployment with what is said now."""
    conditions = deployment.status.conditions
    for one in said:
        conditions = with_condition(conditions, one)
    return replace(deployment, status=replace(deployment.status, conditions=conditions))


def with_condition(conditions: Conditions, said: DeploymentCondition) -> Conditions:
    """Conditions with one that is said now; it stays as it was if it says nothing new."""
    before = find(conditions, said.type)
    if before is not None and before.status == said.status:
        if before.reason == said.reason:
            return conditions
        said = replace(said, last_transition_time=before.last_transition_time)
    return (*without(conditions, said.type), said)


def without(conditions: Conditions, kind: str) -> Conditions:
    """Conditions but those of a type."""
    return tuple(one for one in conditions if one.type != kind)


def find(conditions: Iterable[DeploymentCondition], kind: str) -> DeploymentCondition | None:
    """The condition of a type, if there is one."""
    return next((one for one in conditions if one.type == kind), None)


def condition(kind: str, status: str, reason: str, message: str, now: float) -> DeploymentCondition:
    """What is so since `now`, in seconds since 1970."""
    return DeploymentCondition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_update_time=rfc3339(now),
        last_transition_time=rfc3339(now),
    )


def _replica_failure(found: History) -> DeploymentCondition | None:
    """What keeps a ReplicaSet from its pods: that of the new one comes before others."""
    ordered: Sequence[ReplicaSet] = found.old if found.new is None else (found.new, *found.old)
    for replica_set in ordered:
        for one in replica_set.status.conditions:
            if one.type == REPLICA_FAILURE:
                return DeploymentCondition(
                    type=one.type,
                    status=one.status,
                    reason=one.reason,
                    message=one.message,
                    last_update_time=one.last_transition_time,
                    last_transition_time=one.last_transition_time,
                )
    return None
