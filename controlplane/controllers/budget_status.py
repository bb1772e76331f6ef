"""How many pods of a PodDisruptionBudget may be disrupted now. PURE.

Source: Kubernetes' documentation, "Specifying a Disruption Budget for your Application", and API
reference of PodDisruptionBudgetStatus; kube-behaviour 8.1.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from controlplane.api import pods
from controlplane.api.meta import rfc3339
from controlplane.api.types.core_v1 import Pod
from controlplane.api.types.meta_v1 import Condition
from controlplane.api.types.policy_v1 import (
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
)

DISRUPTED_SECONDS = 120.0  # 8.1: who is evicted and still there by then was not, after all
ALLOWED = "DisruptionAllowed"


class Outlook(msgspec.Struct, frozen=True):
    """A status, when it changes by itself, and who was expected to go and did not.

    again_seconds  None: it does not
    """

    status: PodDisruptionBudgetStatus
    again_seconds: float | None = None
    not_deleted: tuple[Pod, ...] = ()


def needs_scale(spec: PodDisruptionBudgetSpec) -> bool:
    """Whether it matters how many pods there should be, rather than how many there are."""
    return spec.max_unavailable is not None or isinstance(spec.min_available, str)


def outlook(
    budget: PodDisruptionBudget, selected: Iterable[Pod], expected: int | None, now: float
) -> Outlook:
    """Of a budget and the pods that it selects.

    expected  how many there should be, where that matters; else None
    now       seconds since 1970

    Raises ValueError for a share that is none.
    """
    selected, before = list(selected), budget.status
    count = len(selected) if expected is None else expected
    disrupted = _disrupted(selected, before.disrupted_pods)
    due = {name: _seconds_of(time) + DISRUPTED_SECONDS for name, time in disrupted.items()}
    kept = {name: time for name, time in disrupted.items() if due[name] >= now}
    healthy = sum(
        pods.is_ready(pod) and not pods.is_deleted(pod) and pod.metadata.name not in kept
        for pod in selected
    )
    desired = _desired(budget.spec, count)
    # Without any pod expected nothing is allowed: the first ones may be there before the next look.
    allowed = max(0, healthy - desired) if count > 0 else 0
    said = Condition(
        type=ALLOWED,
        status="True" if allowed else "False",
        reason="SufficientPods" if allowed else "InsufficientPods",
        observed_generation=budget.metadata.generation,
    )
    status = PodDisruptionBudgetStatus(
        conditions=_with(before.conditions, said, now),
        current_healthy=healthy,
        desired_healthy=desired,
        disrupted_pods=kept,
        disruptions_allowed=allowed,
        expected_pods=count,
        observed_generation=budget.metadata.generation,
    )
    late = tuple(pod for pod in selected if pod.metadata.name in disrupted.keys() - kept.keys())
    again = min((due[name] for name in kept), default=None)
    return Outlook(status, None if again is None else max(0.0, again - now) + 1.0, late)


def unknown(budget: PodDisruptionBudget, why: str, now: float) -> PodDisruptionBudgetStatus:
    """When it cannot be told how many there should be: nothing is allowed."""
    said = Condition(
        type=ALLOWED,
        status="False",
        reason="SyncFailed",
        message=why,
        observed_generation=budget.status.observed_generation,
    )
    return msgspec.structs.replace(
        budget.status,
        disruptions_allowed=0,
        conditions=_with(budget.status.conditions, said, now),
    )


def _desired(spec: PodDisruptionBudgetSpec, count: int) -> int:
    if spec.max_unavailable is not None:
        return max(0, count - _of(spec.max_unavailable, count))
    return _of(spec.min_available, count) if spec.min_available is not None else 0


def _of(bound: int | str, count: int) -> int:
    """8.1: shares are rounded up, both of them."""
    if isinstance(bound, int):
        return bound
    if not bound.endswith("%"):
        raise ValueError(f"{bound!r} is no share")
    return -(-int(bound[:-1]) * count // 100)


def _disrupted(selected: Iterable[Pod], before: Mapping[str, str]) -> dict[str, str]:
    """Those that an eviction was granted for, and that are not deleted yet: name -> when."""
    names = [pod.metadata.name for pod in selected if not pods.is_deleted(pod)]
    return {name: before[name] for name in names if name in before}


def _with(conditions: Iterable[Condition], said: Condition, now: float) -> tuple[Condition, ...]:
    found = {one.type: one for one in conditions}
    before = found.get(said.type)
    is_same = before is not None and before.status == said.status
    since = before.last_transition_time if is_same and before is not None else rfc3339(now)
    found[said.type] = msgspec.structs.replace(said, last_transition_time=since)
    return tuple(found.values())


def _seconds_of(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
