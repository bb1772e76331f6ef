"""How many pods of each node a match means, kept up to date from the table's log. PURE."""

from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from controlplane.scheduler.arrays import Ints, grown
from controlplane.scheduler.change_log import ChangeLog
from controlplane.scheduler.pod_class import PodClass, PodFacts
from controlplane.scheduler.terms import AllOf, Labels, PodMatch


class Placed(Protocol):
    """What is counted: the pods of each row of a node table, and labels of namespaces."""

    size: int
    log: ChangeLog
    pods: list[dict[str, PodFacts]]
    namespaces: dict[str, Labels]
    namespaces_version: int


class MatchCounts:
    """The counts of one match; whether a class is meant is asked once."""

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
            self._counts = np.zeros(table.size, dtype=np.int64)
            for row, pods in enumerate(table.pods):
                for pod in pods.values():
                    self._counts[row] += self._is_meant(pod, table)
        else:
            if len(self._counts) < table.size:
                self._counts = grown(self._counts, table.size)
            for row, difference, changed in changes:
                if changed is not None and self._is_meant(changed, table):
                    self._counts[row] += difference
        self._position = table.log.position
        return self._counts

    def _is_meant(self, pod: PodFacts, table: Placed) -> bool:
        if pod.is_terminating and not self._match.is_terminating_counted:
            return False
        kind = pod.kind
        known = self._known.get(kind)
        if known is None:
            known = self._match.matches(kind.namespace, kind.labels, table.namespaces)
            self._known[kind] = known
        return known
