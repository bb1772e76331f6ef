"""What a ReplicaSet is and tells, and a ReplicationController as if it were one. PURE.

Source: Kubernetes' API reference of ReplicaSetStatus; kube-behaviour 4.1, 4.16.
"""

from collections.abc import Sequence

import msgspec

from controlplane.api import record, selectors
from controlplane.api.meta import rfc3339
from controlplane.api.pods import available_at, is_ready
from controlplane.api.selectors import LabelSelector
from controlplane.api.types.apps_v1 import (
    ReplicaSet,
    ReplicaSetCondition,
    ReplicaSetSpec,
    ReplicaSetStatus,
)
from controlplane.api.types.core_v1 import (
    Pod,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerCondition,
    ReplicationControllerStatus,
)
from controlplane.api.types.meta_v1 import LabelSelector as SelectorRecord

REPLICA_FAILURE = "ReplicaFailure"
FAILED_CREATE, FAILED_DELETE = "FailedCreate", "FailedDelete"

_SHARED = (
    "available_replicas",
    "fully_labeled_replicas",
    "observed_generation",
    "ready_replicas",
    "replicas",
)


class Failure(msgspec.Struct, frozen=True):
    """Why there are not as many pods as there should be; `reason` is of its condition."""

    reason: str
    message: str


def as_replica_set(controller: ReplicationController) -> ReplicaSet:
    """4.16: the same, but for how it selects."""
    spec, status = controller.spec, controller.status
    conditions = (ReplicaSetCondition(**msgspec.structs.asdict(one)) for one in status.conditions)
    return ReplicaSet(
        api_version=controller.api_version,
        kind=controller.kind,
        metadata=controller.metadata,
        spec=ReplicaSetSpec(
            min_ready_seconds=spec.min_ready_seconds,
            replicas=spec.replicas,
            selector=SelectorRecord(match_labels=spec.selector),
            template=spec.template or PodTemplateSpec(),
        ),
        status=ReplicaSetStatus(
            conditions=tuple(conditions),
            **{field: getattr(status, field) for field in _SHARED},
        ),
    )


def controller_status(status: ReplicaSetStatus) -> ReplicationControllerStatus:
    """The way back."""
    conditions = (
        ReplicationControllerCondition(**msgspec.structs.asdict(one)) for one in status.conditions
    )
    return ReplicationControllerStatus(
        conditions=tuple(conditions),
        **{field: getattr(status, field) for field in _SHARED},
    )


def selector_of(replica_set: ReplicaSet) -> LabelSelector:
    """Which pods it selects. Raises ApiError 400 for what is no selector."""
    selector = replica_set.spec.selector
    return selectors.from_object(None if selector is None else record.to_object(selector))


def desired(replica_set: ReplicaSet) -> int:
    """How many pods it shall have."""
    replicas = replica_set.spec.replicas
    return 1 if replicas is None else replicas


def status_of(
    replica_set: ReplicaSet,
    active: Sequence[Pod],
    terminating: int,
    failure: Failure | None,
    now: float,
) -> ReplicaSetStatus:
    """What it tells of its pods. `now`: seconds since 1970."""
    spec = replica_set.spec
    labels = spec.template.metadata.labels.items()
    ready_for = (available_at(one, spec.min_ready_seconds) for one in active)
    return ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(labels <= one.metadata.labels.items() for one in active),
        ready_replicas=sum(map(is_ready, active)),
        available_replicas=sum(at is not None and at <= now for at in ready_for),
        terminating_replicas=terminating,
        observed_generation=replica_set.metadata.generation,
        conditions=_conditions(replica_set.status.conditions, failure, now),
    )


def _conditions(
    before: Sequence[ReplicaSetCondition], failure: Failure | None, now: float
) -> tuple[ReplicaSetCondition, ...]:
    """A failure lasts from its first time, with the latest words, until it is over."""
    others = tuple(one for one in before if one.type != REPLICA_FAILURE)
    if failure is None:
        return others
    known = next((one for one in before if one.type == REPLICA_FAILURE), None)
    is_known = known is not None and (known.status, known.reason) == ("True", failure.reason)
    said = ReplicaSetCondition(
        type=REPLICA_FAILURE,
        status="True",
        reason=failure.reason,
        message=failure.message,
        last_transition_time=known.last_transition_time if known and is_known else rfc3339(now),
    )
    return (*others, said)


def again_in(replica_set: ReplicaSet, active: Sequence[Pod], now: float) -> float | None:
    """Seconds until the next pod becomes available; None: none will by waiting.

    Never more than it takes: where a clock is wrong, ours or a node's, it may be put right by then.
    """
    seconds = replica_set.spec.min_ready_seconds
    times = (available_at(one, seconds) for one in active)
    waits = (min(at - now, seconds) for at in times if at is not None and at > now)
    return min(waits, default=None)
