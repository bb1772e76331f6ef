"""Which of its pods a controller deletes first. PURE.

Source: Kubernetes' documentation, "ReplicaSet" (scaling down, pod deletion cost); kube-behaviour
4.1.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import inf, log2

from controlplane.api.meta import seconds_of
from controlplane.api.pods import is_active, is_ready, ready_since
from controlplane.api.types.core_v1 import Pod

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_COST = re.compile(r"0|-?[1-9]\d{0,9}", re.ASCII)
_COST_MAX = 2**31 - 1

Rank = tuple[bool, int, bool, int, int, float, tuple[int, int], float, str]


def most_dispensable(
    pods: Sequence[Pod], count: int, related: Iterable[Pod], now: float
) -> list[Pod]:
    """`count` of the pods, the most dispensable first.

    related  pods of all who belong together with their owner: of those of a node one can be spared
    now      seconds since 1970
    """
    nodes = Counter(one.spec.node_name for one in related if is_active(one))
    return sorted(pods, key=lambda one: rank(one, nodes, now))[:count]


def rank(pod: Pod, related_by_node: Mapping[str, int], now: float) -> Rank:
    """The lower, the more dispensable: each part counts where all before are equal.

    Ages are compared by their magnitude: among pods of about one age none is chosen for being the
    newest, or the spread over nodes and zones would suffer.
    """
    node = pod.spec.node_name
    return (
        bool(node),
        _PHASES.get(pod.status.phase, len(_PHASES)),
        is_ready(pod),
        deletion_cost(pod),
        -related_by_node.get(node, 0),
        _magnitude(ready_since(pod), now),
        _restarts(pod),
        _magnitude(seconds_of(pod.metadata.creation_timestamp), now),
        pod.metadata.uid,
    )


def deletion_cost(pod: Pod) -> int:
    """What its annotation says; 0 where that is no number of 32 bits."""
    told = pod.metadata.annotations.get(DELETION_COST, "")
    cost = int(told) if _COST.fullmatch(told) else 0
    return cost if -_COST_MAX - 1 <= cost <= _COST_MAX else 0


def _magnitude(since: float | None, now: float) -> float:
    """Of an age: how often it doubles from a second on. Without a time it is of no age."""
    if since is None:
        return -inf
    age = now - since
    return float(int(log2(age))) if age >= 1 else 0.0


def _restarts(pod: Pod) -> tuple[int, int]:
    """The most of a container, and of a sidecar; negative: many restarts come first."""
    sidecars = {one.name for one in pod.spec.init_containers if one.restart_policy == "Always"}
    statuses = pod.status.container_statuses
    most = max((one.restart_count for one in statuses), default=0)
    beside = (one for one in pod.status.init_container_statuses if one.name in sidecars)
    return -most, -max((one.restart_count for one in beside), default=0)
