"""Which nodes pass and how they score for one class of pods, kept up to date row by row. PURE.

What NODE and ROW plug-ins say is remembered, and asked again for the rows only that changed: the
next pod of a class costs a look at the one row that the pod before took.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from controlplane.scheduler.arrays import Ints, Mask, Rows
from controlplane.scheduler.change_log import Change
from controlplane.scheduler.framework import Plugin, Profile, Room, Scope, View, has
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClass

EVALUATIONS_MAX = 128
"""About 150 KB each at 5,000 nodes."""
_ROWS_PART = 4
"""Where more than this part of the rows changed, all are asked anew: that is faster."""


class Evaluation:
    """Of one class by one profile.

    table  the only one that it may be asked about
    """

    def __init__(self, profile: Profile, pod: PodClass, table: NodeTable) -> None:
        self.pod = pod
        self.table = table
        self.profile = profile
        self.memo: dict[str, Any] = {}
        self._filters = _local(profile.filters, pod, table)
        scores = [
            one
            for one in profile.scores
            if one.plugin.scope != Scope.CLUSTER and one.plugin.applies(pod, table)
        ]
        self._absolute = [one for one in scores if not one.plugin.is_relative]
        self._relative = [one for one in scores if one.plugin.is_relative]
        local = [*self._filters, *(one.plugin for one in scores)]
        self._stamped = [one for one in local if has(one, "stamp")]
        self._position = -1
        self._stamp: tuple[int, ...] = ()
        self._facts_version = -1
        self._size = 0
        self._of_nodes: Mask = np.zeros(0, dtype=np.bool_)
        self._passes: Mask = np.zeros(0, dtype=np.bool_)
        self._sums_of_nodes: Ints = np.zeros(0, dtype=np.int64)
        self._sums: Ints = np.zeros(0, dtype=np.int64)
        self._raw: list[Ints] = []

    def view(self, rows: Rows, feasible: Mask | None = None) -> View:
        """What plug-ins are asked with."""
        return View(self.pod, self.table, rows, self.memo, feasible)

    def passing(self) -> Mask:
        """Rows that pass all filters, in an array that nobody changes."""
        self._refresh()
        passes = self._passes
        rows = self.table.all_rows
        for plugin in self.profile.filters:
            if plugin.scope == Scope.CLUSTER and plugin.applies(self.pod, self.table):
                passes = passes & plugin.filter(self.view(rows))
        return passes

    def scores(self, feasible: Mask) -> Ints:
        """The weighted sum of all scores, after `passing`; of feasible rows only it means much."""
        rows = self.table.all_rows
        total = self._sums.copy()
        for one, raw in zip(self._relative, self._raw, strict=True):
            normalized = one.plugin.normalized(raw, feasible)
            if normalized is not None:
                total += one.weight * normalized
        for one in self.profile.scores:
            if one.plugin.scope == Scope.CLUSTER and one.plugin.applies(self.pod, self.table):
                total += one.weight * one.plugin.score(self.view(rows, feasible))
        return total

    def filters(self) -> list[Plugin]:
        """Those that have a say, in the order of the profile."""
        return [one for one in self.profile.filters if one.applies(self.pod, self.table)]

    def passes(self, row: int) -> bool:
        """Whether one row passes all filters as its pods are now, also within a trial.

        What is said of nodes must be as it was when `passing` was called.
        """
        if not self._of_nodes[row]:
            return False
        view = self.view(np.array([row], dtype=np.intp))
        return all(
            bool(plugin.filter(view)[0]) for plugin in self.filters() if plugin.scope != Scope.NODE
        )

    def rooms(self, row: int) -> list[Room] | None:
        """What stands for all filters to which pods of this row matter; None: not all have one."""
        view = self.view(np.array([row], dtype=np.intp))
        if not self._of_nodes[row]:
            return None
        rooms = [plugin.room(view) for plugin in self.filters() if plugin.heeds(view)]
        found = [one for one in rooms if one is not None]
        return found if len(found) == len(rooms) else None

    # ------------------------------------------------------------------ within

    def _refresh(self) -> None:
        table = self.table
        stamp = tuple(plugin.stamp(table) for plugin in self._stamped)
        changes = table.log.since(self._position) if self._position >= 0 else None
        if self._facts_version != table.facts_version:
            self.memo.clear()
            self._facts_version = table.facts_version
        if changes is None or stamp != self._stamp or table.size != self._size:
            self._ask_all()
        elif changes:
            self._ask_changed(changes)
        self._position, self._stamp = table.log.position, stamp

    def _ask_all(self) -> None:
        rows = self.table.all_rows
        self._size = self.table.size
        self._of_nodes = np.ones(self._size, dtype=np.bool_)
        self._passes = np.ones(self._size, dtype=np.bool_)
        self._sums_of_nodes = np.zeros(self._size, dtype=np.int64)
        self._sums = np.zeros(self._size, dtype=np.int64)
        self._raw = [np.zeros(self._size, dtype=np.int64) for _ in self._relative]
        self._ask(rows, Scope.NODE)

    def _ask_changed(self, changes: Sequence[Change]) -> None:
        of_nodes = {change.row for change in changes if not change.difference}
        of_pods = {change.row for change in changes if change.difference} - of_nodes
        if len(of_nodes) + len(of_pods) > self._size // _ROWS_PART + 1:
            self._ask_all()
            return
        if of_nodes:
            self._ask(np.array(sorted(of_nodes), dtype=np.intp), Scope.NODE)
        if of_pods:
            self._ask(np.array(sorted(of_pods), dtype=np.intp), Scope.ROW)

    def _ask(self, rows: Rows, lowest: Scope) -> None:
        """Plug-ins of `lowest` scope and above."""
        view = self.view(rows)
        if lowest == Scope.NODE:
            there = self.table.is_there(rows).copy()
            self._of_nodes[rows] = self._filtered(view, Scope.NODE, there)
            none = np.zeros(view.count, dtype=np.int64)
            self._sums_of_nodes[rows] = self._summed(view, Scope.NODE, none)
        # Others may hold the array that `passing` gave them.
        self._passes = self._passes.copy()
        self._passes[rows] = self._filtered(view, Scope.ROW, self._of_nodes[rows].copy())
        self._sums[rows] = self._summed(view, Scope.ROW, self._sums_of_nodes[rows].copy())
        for one, raw in zip(self._relative, self._raw, strict=True):
            if one.plugin.scope >= lowest:
                raw[rows] = one.plugin.score(view)

    def _filtered(self, view: View, scope: Scope, passes: Mask) -> Mask:
        for plugin in self._filters:
            if plugin.scope == scope:
                passes &= plugin.filter(view)
        return passes

    def _summed(self, view: View, scope: Scope, total: Ints) -> Ints:
        for one in self._absolute:
            if one.plugin.scope == scope:
                total += one.weight * one.plugin.score(view)
        return total


def _local(plugins: Sequence[Plugin], pod: PodClass, table: NodeTable) -> list[Plugin]:
    return [one for one in plugins if one.scope != Scope.CLUSTER and one.applies(pod, table)]


class Evaluations:
    """Those of the classes that were asked about last."""

    def __init__(self, table: NodeTable) -> None:
        self.table = table
        self._known: OrderedDict[tuple[str, PodClass], Evaluation] = OrderedDict()

    def of(self, profile: Profile, pod: PodClass) -> Evaluation:
        """The one of a class; it is made where there is none."""
        key = (profile.scheduler_name, pod)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Evaluation(profile, pod, self.table)
            if len(self._known) > EVALUATIONS_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found
