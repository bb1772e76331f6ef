"""How much of a node's resources should be in use: as little, as much, or as a line says. PURE.

Source: Kubernetes, "Resource Bin Packing" (scoringStrategy); kube-behaviour 7.4.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from controlplane.scheduler.arrays import Ints, Mask
from controlplane.scheduler.requests import CPU, MEMORY

SCORE_MAX = 100
_SHAPE_SCORE_MAX = 10

Weights: TypeAlias = tuple[tuple[str, int], ...]
"""Resources, and what each counts."""

EVEN: Weights = ((CPU, 1), (MEMORY, 1))

Line: TypeAlias = Callable[[Ints, Ints], Ints]
"""Of what would be in use and what there is, which is not 0, the score: 0 to 100."""


def least_allocated(used: Ints, there: Ints) -> Ints:
    """The free part in hundredths; 0 where more would be in use than there is."""
    free: Ints = np.maximum(there - used, 0)
    return free * SCORE_MAX // there


def most_allocated(used: Ints, there: Ints) -> Ints:
    """The used part in hundredths."""
    return np.minimum(used, there) * SCORE_MAX // there


def along(shape: Sequence[tuple[int, int]]) -> Line:
    """Points (utilization, score), and straight lines between them."""

    def line(used: Ints, there: Ints) -> Ints:
        percent = np.minimum(used, there) * 100 // there
        scores = np.full(len(percent), shape[-1][1], dtype=np.int64)
        for (x, y), (next_x, next_y) in reversed(list(pairwise(shape))):
            # Truncated as Go divides, so that falling lines are not a point lower.
            rise = np.trunc((next_y - y) * (percent - x) / (next_x - x)).astype(np.int64)
            scores = np.where(percent <= next_x, y + rise, scores)
        return np.where(percent <= shape[0][0], shape[0][1], scores)

    return line


class Strategy:
    """A line for each resource, and their weighted mean."""

    def __init__(self, line: Line, resources: Weights = EVEN, *, skips_zeros: bool = False) -> None:
        """`skips_zeros`: the mean is over the resources that score anything, and is rounded."""
        self.resources = resources
        self._line = line
        self._skips_zeros = skips_zeros

    def score(self, parts: Sequence[tuple[Ints, Ints, int]], count: int) -> Ints:
        """Of (in use, there is, weight) for each resource. A resource that is not there is no part.

        count  of rows
        """
        total = np.zeros(count, dtype=np.int64)
        weights = np.zeros(count, dtype=np.int64)
        for used, there, weight in parts:
            is_part: Mask = there > 0
            scores = np.where(is_part, self._line(used, np.maximum(there, 1)), 0)
            total += weight * scores
            weights += weight * ((scores > 0) if self._skips_zeros else is_part)
        divisor = np.maximum(weights, 1)
        if self._skips_zeros:
            return np.floor(total / divisor + 0.5).astype(np.int64)
        return total // divisor


def strategy_of(settings: Mapping[str, Any]) -> Strategy:
    """Of a `scoringStrategy`. Raises ValueError."""
    kind = settings.get("type", "LeastAllocated")
    resources = weights_of(settings.get("resources"))
    if kind == "LeastAllocated":
        return Strategy(least_allocated, resources)
    if kind == "MostAllocated":
        return Strategy(most_allocated, resources)
    if kind == "RequestedToCapacityRatio":
        shape = (settings.get("requestedToCapacityRatio") or {}).get("shape")
        return Strategy(along(_points(shape)), resources, skips_zeros=True)
    raise ValueError(
        f"scoringStrategy.type {kind!r} is none of LeastAllocated, MostAllocated, "
        "RequestedToCapacityRatio"
    )


def weights_of(found: Any) -> Weights:
    """Of a list of `{name, weight}`; None: cpu and memory alike. Raises ValueError."""
    if found is None:
        return EVEN
    try:
        weights = tuple((str(one["name"]), int(one.get("weight", 1))) for one in found)
    except (TypeError, KeyError, AttributeError):
        raise ValueError("resources must be a list of {name, weight}") from None
    if not weights or any(not 1 <= weight <= 100 for _, weight in weights):
        raise ValueError("resources need weights from 1 to 100")
    return weights


def _points(found: Any) -> list[tuple[int, int]]:
    try:
        points = [(int(one["utilization"]), int(one["score"])) for one in found]
    except (TypeError, KeyError):
        raise ValueError("shape must be a list of {utilization, score}") from None
    is_rising = all(one[0] < other[0] for one, other in pairwise(points))
    is_within = all(0 <= x <= 100 and 0 <= y <= _SHAPE_SCORE_MAX for x, y in points)
    if not points or not is_rising or not is_within:
        raise ValueError("shape needs rising utilizations of 0 to 100 and scores of 0 to 10")
    return [(x, y * SCORE_MAX // _SHAPE_SCORE_MAX) for x, y in points]
