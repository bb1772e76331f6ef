"""Who must leave a node: whoever uses more than it may, and who goes first when too little is left.

PURE. Source: Kubernetes' documentation, "Node-pressure Eviction" (selection of pods, conditions),
"Local ephemeral storage" (limits); the kubelet's words, as users see them in `kubectl describe`.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import msgspec

from controlplane.api import quantity, taints
from controlplane.api.qos import BEST_EFFORT, qos_class
from controlplane.api.quantity import render
from controlplane.api.record import tree_of
from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import Pod, Taint, Volume
from controlplane.api.usage import pod_amounts
from controlplane.node.eviction_signals import Pressures, Resource, Starved
from controlplane.node.fitting import Rejection
from controlplane.node.view import is_sidecar

EVICTED = "Evicted"
STORAGE: Final = "ephemeral-storage"
CRITICAL_PRIORITY = 2_000_000_000
"""Pods of such a priority keep the node itself going."""


class ContainerUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a container uses now. disk: bytes of its root folder and of its logs"""

    disk: int = 0
    memory: int = 0
    pids: int = 0


class PodUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod uses now, as far as it is known.

    volumes     bytes of those that are on the node's disk, by name
    containers  by name
    inodes      of all of it
    """

    volumes: Mapping[str, int] = {}
    containers: Mapping[str, ContainerUse] = {}
    inodes: int = 0


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that runs."""

    pod: Pod
    use: PodUse


def is_bounded(pod: Pod) -> bool:
    """Whether there is something of its own that it may use up."""
    return any(_bound_of(one) for one in pod.spec.volumes) or any(
        _amount(one.resources.limits.get(STORAGE)) for one in _containers(pod)
    )


def is_critical(pod: Pod) -> bool:
    """It is never evicted by a node, and never refused."""
    return (pod.spec.priority or 0) >= CRITICAL_PRIORITY


def excess(candidate: Candidate) -> str:
    """Why a pod uses more than it may; empty: it does not."""
    pod, use = candidate.pod, candidate.use
    for volume in pod.spec.volumes:
        bound = _bound_of(volume)
        if bound and use.volumes.get(volume.name, 0) > _amount(bound):
            told = quantity.canonical(bound)
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{told}". '
    limit = _amounts(pod, "limits").get(STORAGE)
    if limit and _used(candidate, STORAGE) > limit:
        told = render(limit, _form_of(pod))
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {told}. "
    for one in _containers(pod):
        text = one.resources.limits.get(STORAGE)
        bound_of_one = _amount(text)
        used = use.containers.get(one.name, ContainerUse()).disk
        if text and bound_of_one and used > bound_of_one:
            told = quantity.canonical(text)
            return f'Container {one.name} exceeded its local ephemeral storage limit "{told}". '
    return ""


def victim(candidates: Iterable[Candidate], scarce: Starved) -> Candidate | None:
    """Who goes first: who uses more than it has asked for, is of less priority, uses the most."""
    found = [one for one in candidates if not is_critical(one.pod)]

    def order(one: Candidate) -> tuple[bool, int, Fraction, str]:
        above = _used(one, scarce.resource) - _asked(one.pod, scarce.resource)
        return above <= 0, one.pod.spec.priority or 0, -above, one.pod.metadata.uid

    return min(found, key=order, default=None)


def message_of(candidate: Candidate, scarce: Starved) -> str:
    """Why it is evicted."""
    resource = scarce.resource
    said = [
        f"The node was low on resource: {resource}. ",
        f"Threshold quantity: {_binary(scarce.threshold)}, ",
        f"available: {_binary(scarce.available)}. ",
    ]
    for one in _containers(candidate.pod):
        use = candidate.use.containers.get(one.name)
        if use is None or resource not in (STORAGE, "memory"):
            continue
        used = use.disk if resource == STORAGE else use.memory
        asked = one.resources.requests.get(resource, one.resources.limits.get(resource))
        if used > _amount(asked):
            told = quantity.canonical(asked) if _amount(asked) and asked else "0"
            said.append(
                f"Container {one.name} was using {_binary(used)}, request is {told}, "
                f"has larger consumption of {resource}. "
            )
    return "".join(said)


def refusal(pod: Pod, pressures: Pressures) -> Rejection | None:
    """Why a node under pressure takes no new pod; None: it takes this one.

    Where only memory is scarce, pods that have asked for some are taken still.
    """
    felt = _conditions(pressures)
    if not felt or is_critical(pod):
        return None
    if felt == ["MemoryPressure"]:
        taint = Taint(key=taints.MEMORY_PRESSURE, effect=taints.NO_SCHEDULE)
        bears = taints.toleration_of(pod.spec.tolerations, taint) is not None
        if bears or qos_class(tree_of(pod.spec)) != BEST_EFFORT:
            return None
    told = f"Pod was rejected: The node had condition: [{' '.join(felt)}]. "
    return Rejection(EVICTED, told)


def _conditions(pressures: Pressures) -> list[str]:
    felt = {
        "MemoryPressure": pressures.memory,
        "DiskPressure": pressures.disk,
        "PIDPressure": pressures.pids,
    }
    return [name for name, is_felt in felt.items() if is_felt]


def local_volumes(pod: Pod) -> list[str]:
    """Names of the volumes that take room on the node's disk, and are the pod's own."""
    return [
        one.name
        for one in pod.spec.volumes
        if one.empty_dir is not None
        or any((one.config_map, one.secret, one.downward_api, one.projected))
    ]


def _containers(pod: Pod) -> Sequence[Spec]:
    """Those that run as long as it does."""
    return [*pod.spec.containers, *(one for one in pod.spec.init_containers if is_sidecar(one))]


def _used(candidate: Candidate, resource: Resource) -> Fraction:
    use = candidate.use
    match resource:
        case "memory":
            return Fraction(sum(one.memory for one in use.containers.values()))
        case "pids":
            return Fraction(sum(one.pids for one in use.containers.values()))
        case "inodes":
            return Fraction(use.inodes)
        case _:
            disk = sum(one.disk for one in use.containers.values())
            return Fraction(disk + sum(use.volumes.values()))


def _asked(pod: Pod, resource: Resource) -> Fraction:
    if resource in (STORAGE, "memory"):
        return _amounts(pod, "requests").get(resource, Fraction(0))
    return Fraction(0)


def _amounts(pod: Pod, field: str) -> Mapping[str, Fraction]:
    spec: dict[str, Any] = tree_of(pod.spec)
    try:
        return pod_amounts({"spec": spec}, field)
    except ValueError:  # a stranger's, written past validation
        return {}


def _bound_of(volume: Volume) -> str:
    limit = volume.empty_dir.size_limit if volume.empty_dir is not None else None
    return limit if limit and _amount(limit) > 0 else ""


def _amount(text: str | None) -> Fraction:
    try:
        return quantity.parse(text) if text else Fraction(0)
    except ValueError:
        return Fraction(0)


def _form_of(pod: Pod) -> quantity.Format:
    """As the first container has written its limit."""
    texts = (one.resources.limits.get(STORAGE) for one in _containers(pod))
    return next((quantity.format_of(one) for one in texts if one), "DecimalSI")


def _binary(count: int) -> str:
    return render(Fraction(count), "BinarySI")
