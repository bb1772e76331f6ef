"""How many pods of each node a match means, kept up to date from the table's log. PURE."""

from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from controlplane.scheduler.arrays import Ints, grown
from controlplane.scheduler.change_log import ChangeLog
from controlplane.scheduler.pod_class import PodClass, PodFacts
from controlplane.scheduler.terms import AllOf, Labels, PodMatch


class Placed(Protocol):
    """What is counted: the pods of a node table by their class, and labels of namespaces."""

    size: int
    log: ChangeLog
    classes: dict[tuple[PodClass, bool], dict[int, int]]
    namespaces: dict[str, Labels]
    namespaces_version: int


class MatchCounts:
    """The counts of one match. Each class is asked about once, however many pods it has."""

    def __init__(self, match: PodMatch | AllOf) -> None:
        self._match = match
        self._counts: Ints = np.zeros(0, dtype=np.int64)
        self._position = -1
        self._namespaces_version = -1
        self._known: WeakKeyDictionary[PodClass, bool] = WeakKeyDictionary()

    def of(self, table: Placed) -> Ints:
        """One count a row."""
        changes = table.log.since(self._position) if self._position >= 0 else None
        depends = self._match.depends_on_namespaces
        if changes is None or (depends and self._namespaces_version != table.namespaces_version):
            self._known.clear()
            self._namespaces_version = table.namespaces_version
            self._counts = self._anew(table)
        else:
            if len(self._counts) < table.size:
                self._counts = grown(self._counts, table.size)
            for row, difference, changed in changes:
                if changed is not None and self._is_meant(changed, table):
                    self._counts[row] += difference
        self._position = table.log.position
        return self._counts

    def _anew(self, table: Placed) -> Ints:
        counts = np.zeros(table.size, dtype=np.int64)
        are_ending_counted = self._match.is_terminating_counted
        for (kind, is_terminating), rows in table.classes.items():
            if (are_ending_counted or not is_terminating) and self._matches(kind, table):
                counts[list(rows)] += list(rows.values())
        return counts

    def _is_meant(self, pod: PodFacts, table: Placed) -> bool:
        if pod.is_terminating and not self._match.is_terminating_counted:
            return False
        known = self._known.get(pod.kind)
        if known is None:
            known = self._known[pod.kind] = self._matches(pod.kind, table)
        return known

    def _matches(self, kind: PodClass, table: Placed) -> bool:
        return self._match.matches(kind.namespace, kind.labels, table.namespaces)
