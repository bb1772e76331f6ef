"""How scores of different kinds are made numbers of 0 to 100, and the score by images. PURE.

Source: Kubernetes, "Scheduling Framework" (NormalizeScore); kube-behaviour 7.4.
"""

from collections.abc import Iterable

import numpy as np

from controlplane.scheduler.arrays import Ints, Mask
from controlplane.scheduler.framework import SCORE_MAX, Plugin, Scope, View
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClass

_MEGABYTE = 1024 * 1024
IMAGES_MIN = 23 * _MEGABYTE
IMAGES_MAX = 1000 * _MEGABYTE
"""For each container: more is not worth more."""


def to_max(scores: Ints, feasible: Mask) -> Ints | None:
    """In hundredths of the highest feasible one; None: all are 0."""
    if not scores.any():  # as for most pods
        return None
    highest = int(scores.max(where=feasible, initial=0))
    return scores * SCORE_MAX // highest if highest else None


def reversed_to_max(scores: Ints, feasible: Mask) -> Ints | None:
    """As `to_max`, the highest being the worst; None: all are 0, and worth 100."""
    scaled = to_max(scores, feasible)
    return None if scaled is None else SCORE_MAX - scaled


def of_preferred(view: View, weighted: Iterable[tuple[int, Mask]]) -> Ints:
    """The sum of the weights of what holds."""
    total = np.zeros(view.count, dtype=np.int64)
    for weight, holds in weighted:
        total += weight * holds
    return total


class ImageLocality(Plugin):
    """Rather a node that has the images already, the more so if many nodes have them (7.4)."""

    name = "ImageLocality"
    scope = Scope.NODE

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        return bool(pod.images)

    def stamp(self, table: NodeTable) -> int:
        """What an image counts depends on how many nodes have it."""
        return table.images_version

    def score(self, view: View) -> Ints:
        table = view.table
        total = np.zeros(table.size, dtype=np.int64)
        for image in view.pod.images:
            having = table.images.get(image, {})
            spread = len(having) / table.count if having else 0.0
            for row, size in having.items():
                total[row] += int(size * spread)
        most = IMAGES_MAX * len(view.pod.images)
        clamped = np.clip(total[view.rows], IMAGES_MIN, most)
        return SCORE_MAX * (clamped - IMAGES_MIN) // (most - IMAGES_MIN)
