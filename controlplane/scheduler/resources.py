"""Whether a node has what a pod asks for, and how well it would be used then. PURE.

Source: Kubernetes, "Resource Bin Packing", "Node-pressure"; kube-behaviour 7.3, 7.4.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controlplane.scheduler.arrays import Floats, Ints, Mask
from controlplane.scheduler.events import Event, NodeEvent
from controlplane.scheduler.filters import OF_ROOM, ended
from controlplane.scheduler.framework import SCORE_MAX, Plugin, Rejection, Scope, View
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClass
from controlplane.scheduler.requests import CPU, MEMORY
from controlplane.scheduler.strategies import (
    EVEN,
    Strategy,
    Weights,
    least_allocated,
    strategy_of,
    weights_of,
)

TOO_MANY = "Too many pods"
SHORT = "Insufficient {}"
_ESTIMATED = {CPU: 0, MEMORY: 1}


class NodeResourcesFit(Plugin):
    """What a pod asks for must be left, and a place for one pod more."""

    name = "NodeResourcesFit"
    scope = Scope.ROW
    events = OF_ROOM

    def __init__(self, strategy: Strategy | None = None) -> None:
        self._strategy = strategy or Strategy(least_allocated)

    def filter(self, view: View) -> Mask:
        mask = view.table.pods_free(view.rows) > 0
        for name, wanted in view.pod.requests.items():
            allocatable = view.table.allocatable(name, view.rows)
            if allocatable is None:
                return view.everything(value=False)
            mask &= allocatable - view.table.requested(name, view.rows) >= wanted
        return mask

    def explain(self, view: View) -> Sequence[Rejection]:
        """All that is short; what a node has not even when it is empty, no other pod can give."""
        table, rows = view.table, view.rows
        found = [Rejection(TOO_MANY, table.pods_free(rows) <= 0)]
        for name, wanted in view.pod.requests.items():
            message = SHORT.format(name)
            allocatable = table.allocatable(name, rows)
            if allocatable is None:
                found.append(Rejection(message, view.everything(value=True), is_resolvable=False))
                continue
            is_short = allocatable - table.requested(name, rows) < wanted
            is_hopeless = allocatable < wanted
            found.append(Rejection(message, is_short & ~is_hopeless))
            found.append(Rejection(message, is_short & is_hopeless, is_resolvable=False))
        return found

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        """A node that is large enough when empty, or an end of a pod that held some of it."""
        if isinstance(event, NodeEvent):
            after, before = event.after, event.before
            if after is None or (before is not None and before.allocatable == after.allocatable):
                return False
            return all(after.allocatable.get(name, 0) >= n for name, n in pod.requests.items())
        return ended(event) is not None

    def room(self, view: View) -> "FitRoom":
        return FitRoom(view)

    def score(self, view: View) -> Ints:
        """With an estimate of what the pods use that do not say."""
        parts = []
        for name, weight in self._strategy.resources:
            estimate = _ESTIMATED.get(name)
            there = view.table.allocatable(name, view.rows)
            if there is None or (estimate is None and name not in view.pod.requests):
                continue
            if estimate is None:
                used = view.table.requested(name, view.rows) + view.pod.requests[name]
            else:
                used = view.table.estimated(estimate, view.rows) + view.pod.estimate[estimate]
            parts.append((used, there, weight))
        return self._strategy.score(parts, view.count)

    def configured(self, settings: Mapping[str, Any]) -> Plugin:
        if not settings:
            return self
        _require_only(settings, "scoringStrategy")
        return NodeResourcesFit(strategy_of(settings.get("scoringStrategy") or {}))


class FitRoom:
    """What a node has left of what a pod asks for."""

    def __init__(self, view: View) -> None:
        table, rows = view.table, view.rows
        self._pods_free = int(table.pods_free(rows)[0])
        self._left: dict[str, float] = {}
        for name, wanted in view.pod.requests.items():
            there = table.allocatable(name, rows)
            if there is None:  # what no node has, nobody who goes gives back
                self._left[name] = -math.inf
            else:
                self._left[name] = int(there[0]) - int(table.requested(name, rows)[0]) - wanted

    def add(self, pod: PodClass) -> None:
        """One pod more."""
        self._change(pod, 1)

    def remove(self, pod: PodClass) -> None:
        """One pod less."""
        self._change(pod, -1)

    def passes(self) -> bool:
        """Whether the pod still fits beside the others."""
        return self._pods_free > 0 and min(self._left.values(), default=0) >= 0

    def reasons(self) -> Sequence[str]:
        """All that is short."""
        pods = [TOO_MANY] if self._pods_free <= 0 else []
        return pods + [SHORT.format(name) for name, left in self._left.items() if left < 0]

    def _change(self, pod: PodClass, sign: int) -> None:
        self._pods_free -= sign
        for name in self._left:
            self._left[name] -= sign * pod.requests.get(name, 0)


class NodeResourcesBalancedAllocation(Plugin):
    """Rather a node whose resources are used alike (7.4): (1 - deviation) · 100."""

    name = "NodeResourcesBalancedAllocation"
    scope = Scope.ROW

    def __init__(self, resources: Weights = EVEN) -> None:
        self._resources = resources

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        """Who asks for nothing would fill one node after the other."""
        return any(pod.requests.get(name) for name, _ in self._resources)

    def score(self, view: View) -> Ints:
        fractions, counted = [], []
        for name, _ in self._resources:
            there = view.table.allocatable(name, view.rows)
            wanted = view.pod.requests.get(name, 0)
            if there is None or (not wanted and name not in _ESTIMATED):
                continue
            used = view.table.requested(name, view.rows) + wanted
            is_part = there > 0
            part = np.minimum(used / np.where(is_part, there, 1), 1.0)
            fractions.append(np.where(is_part, part, 0.0))
            counted.append(is_part)
        return _balance(fractions, counted, view.count)

    def configured(self, settings: Mapping[str, Any]) -> Plugin:
        if not settings:
            return self
        _require_only(settings, "resources")
        return NodeResourcesBalancedAllocation(weights_of(settings.get("resources")))


def _balance(fractions: Sequence[Floats], counted: Sequence[Mask], count: int) -> Ints:
    """(1 - deviation) · 100, calculated in Kubernetes' order: no score is off by one."""
    if len(fractions) == 2:
        deviation = np.where(
            counted[0] & counted[1], np.abs((fractions[0] - fractions[1]) / 2), 0.0
        )
    elif len(fractions) > 2:
        parts = np.maximum(np.sum(counted, axis=0), 1)
        mean = np.sum(fractions, axis=0) / parts
        total = np.zeros(count)
        for fraction, is_part in zip(fractions, counted, strict=True):
            total += np.where(is_part, (fraction - mean) * (fraction - mean), 0.0)
        deviation = np.sqrt(total / parts)
    else:
        deviation = np.zeros(count)
    return ((1 - deviation) * SCORE_MAX).astype(np.int64)


def _require_only(settings: Mapping[str, Any], *known: str) -> None:
    unknown = settings.keys() - set(known)
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
