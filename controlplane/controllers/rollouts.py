"""How many pods each ReplicaSet of a Deployment shall have now. PURE.

A rollout is many small steps, each planned anew from what there is: never more pods than are
wanted and `maxSurge`, and by our doing never fewer available than are wanted less `maxUnavailable`.

Source: Kubernetes' documentation, "Deployments" (rolling update, recreate, proportional scaling);
kube-behaviour 4.3, 4.4, 4.8.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from controlplane.api.rollout import count_of
from controlplane.api.types.apps_v1 import Deployment, ReplicaSet, RollingUpdateDeployment

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
"""Of a ReplicaSet: what its Deployment wanted, and how many pods it could have, when it was last
scaled."""

ROLLING_UPDATE, RECREATE = "RollingUpdate", "Recreate"

Sizes = Mapping[str, int]
"""Name of a ReplicaSet -> how many pods it shall have; others stay as they are."""


class Bounds(msgspec.Struct, frozen=True):
    """How many pods more than wanted there may be, and how many of those may be unavailable."""

    surge: int
    unavailable: int


def desired(deployment: Deployment) -> int:
    """How many pods it shall have."""
    replicas = deployment.spec.replicas
    return 1 if replicas is None else replicas


def bounds(deployment: Deployment) -> Bounds:
    """4.3: shares of pods are rounded up for surge and down for unavailable; one of both is not 0.

    Raises ValueError for what is neither a number nor a percentage.
    """
    wanted, strategy = desired(deployment), deployment.spec.strategy
    if strategy.type != ROLLING_UPDATE:
        return Bounds(0, 0)
    told = strategy.rolling_update or RollingUpdateDeployment()
    surge = count_of(told.max_surge, wanted, rounds_up=True)
    unavailable = count_of(told.max_unavailable, wanted, rounds_up=False)
    if not surge and not unavailable:
        unavailable = 1  # or nothing could ever move
    return Bounds(surge, min(unavailable, wanted))


def size(replica_set: ReplicaSet) -> int:
    """How many pods it shall have so far."""
    replicas = replica_set.spec.replicas
    return 1 if replicas is None else replicas


def available(replica_set: ReplicaSet) -> int:
    """How many of its pods are and stay available: it may have heard already that some go."""
    return min(replica_set.status.available_replicas, size(replica_set))


def total(replica_sets: Iterable[ReplicaSet]) -> int:
    """How many pods they shall have together."""
    return sum(map(size, replica_sets))


def active(replica_sets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """Those that shall have pods."""
    return [one for one in replica_sets if size(one)]


def by_age(replica_set: ReplicaSet) -> tuple[str, str]:
    """The oldest first."""
    metadata = replica_set.metadata
    return metadata.creation_timestamp or "", metadata.name


# --------------------------------------------------------------------- rolling update


def grown(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> int:
    """How many pods the new ReplicaSet may have now (4.4)."""
    wanted = desired(deployment)
    if size(new) > wanted or deployment.spec.strategy.type != ROLLING_UPDATE:
        return wanted
    room = wanted + bounds(deployment).surge - total((*old, new))
    return size(new) + min(max(room, 0), wanted - size(new))


def rolling(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> Sizes:
    """The next step of a rolling update: the new one grows, or else old ones shrink (4.4)."""
    grows_to = grown(deployment, new, old)
    if grows_to != size(new):
        return {new.metadata.name: grows_to}
    floor = desired(deployment) - bounds(deployment).unavailable
    coming = size(new) - available(new)
    spare = total((*old, new)) - floor - coming
    if spare <= 0 or not total(old):
        return {}
    sizes = _without_unhealthy(old, spare)
    surplus = sum(map(available, (*old, new))) - floor
    for one in sorted(active(old), key=by_age):
        before = sizes.get(one.metadata.name, size(one))
        less = min(before, max(surplus, 0))
        surplus -= less
        if less:
            sizes[one.metadata.name] = before - less
    return sizes


def _without_unhealthy(old: Sequence[ReplicaSet], spare: int) -> dict[str, int]:
    """Pods that serve nobody go first, or a broken revision would block the way to a good one."""
    sizes = {}
    for one in sorted(active(old), key=by_age):
        less = min(spare, size(one) - available(one))
        spare -= less
        if less:
            sizes[one.metadata.name] = size(one) - less
    return sizes


# --------------------------------------------------------------------------- scaling


def annotations(deployment: Deployment) -> dict[str, str]:
    """What a ReplicaSet is told when it is scaled: later changes are found, and shared, by it."""
    wanted = desired(deployment)
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + bounds(deployment).surge)}


def is_scaling(deployment: Deployment, replica_sets: Iterable[ReplicaSet]) -> bool:
    """Whether another number of pods is wanted than when they were last scaled."""
    told = (_number(one, DESIRED) for one in active(replica_sets))
    return any(one is not None and one != desired(deployment) for one in told)


def scaled(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> Sizes:
    """Another number of pods, without a step of the rollout (4.4, 4.8)."""
    wanted = desired(deployment)
    everyone = [*old, new] if new is not None else list(old)
    running = active(everyone)
    if not everyone:
        return {}
    if len(running) <= 1:
        one = running[0] if running else new or max(old, key=by_age)
        return {one.metadata.name: wanted}
    if new is not None and _is_saturated(new, wanted):
        return {one.metadata.name: 0 for one in active(old)}
    if deployment.spec.strategy.type != ROLLING_UPDATE:
        return {}
    return _shared_out(deployment, running)


def _is_saturated(new: ReplicaSet, wanted: int) -> bool:
    told = _number(new, DESIRED)
    return size(new) == told == new.status.available_replicas == wanted


def _shared_out(deployment: Deployment, running: Sequence[ReplicaSet]) -> Sizes:
    """Each gets its share of what is more or less; what rounding leaves is the largest one's."""
    wanted = desired(deployment)
    room = wanted + bounds(deployment).surge if wanted else 0
    left = room - total(running)
    # Of equal ones the newest grows first, and the oldest shrinks first.
    ordered = sorted(running, key=by_age, reverse=left > 0)
    ordered.sort(key=size, reverse=True)
    sizes = {}
    for one in ordered:
        share = _share(deployment, one)
        share = min(max(share, 0), left) if left > 0 else max(min(share, 0), left)
        sizes[one.metadata.name] = size(one) + share
        left -= share
    largest = ordered[0].metadata.name
    sizes[largest] = max(sizes[largest] + left, 0)
    return sizes


def _share(deployment: Deployment, replica_set: ReplicaSet) -> int:
    """How much more, or less, keeps its part of all pods."""
    if not desired(deployment):
        return -size(replica_set)
    before = _number(replica_set, MAXIMUM) or deployment.status.replicas
    if not before:
        return 0
    room = desired(deployment) + bounds(deployment).surge
    # Half a pod is rounded up, whatever its sign will be.
    return (2 * size(replica_set) * room + before) // (2 * before) - size(replica_set)


def _number(replica_set: ReplicaSet, annotation: str) -> int | None:
    told = replica_set.metadata.annotations.get(annotation, "")
    return int(told) if told.isascii() and told.isdecimal() and len(told) <= 10 else None


# -------------------------------------------------------------------------- recreate


def emptied(old: Iterable[ReplicaSet]) -> Sizes:
    """The first step of Recreate: nothing old is left (4.8)."""
    return {one.metadata.name: 0 for one in active(old)}
