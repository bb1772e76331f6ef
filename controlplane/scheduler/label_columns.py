"""Labels of nodes as columns: for each label a number for each of its values, 0 where it is not.

PURE. A column is made when somebody asks for its label first. The numbers of a topology label are
those of its domains.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from controlplane.api.selectors import Requirement
from controlplane.scheduler.arrays import Ids, Mask, Rows, grown
from controlplane.scheduler.node_facts import NodeFacts

COLUMNS_MAX = 256  # users choose the labels: 20 KB each at 5,000 nodes
_SPARE_VALUES = 64  # values that no node has any more, beyond twice as many as there are nodes


class LabelColumn:
    """One label. `values` has the number of each value; it grows, and is made anew in time."""

    def __init__(self, key: str, nodes: Sequence[NodeFacts | None]) -> None:
        self.key = key
        self.values: dict[str, int] = {}
        self.ids: Ids = np.zeros(max(16, 2 * len(nodes)), dtype=np.int32)
        for row, node in enumerate(nodes):
            if node is not None:
                self.set(row, node.labels)

    def reach(self, row_count: int) -> None:
        """Have a number for each of so many rows."""
        if row_count > len(self.ids):
            self.ids = grown(self.ids, 2 * row_count)

    def set(self, row: int, labels: Mapping[str, str]) -> None:
        """What a node says."""
        self.reach(row + 1)
        value = labels.get(self.key)
        self.ids[row] = 0 if value is None else self.values.setdefault(value, len(self.values) + 1)

    @property
    def domains(self) -> int:
        """Numbers in use are below it."""
        return len(self.values) + 1

    def matches(self, requirement: Requirement, rows: Rows) -> Mask:
        """Which rows a requirement on this label holds for."""
        holds = np.zeros(self.domains, dtype=np.bool_)
        if requirement.operator in ("gt", "lt"):
            for value, number in self.values.items():
                holds[number] = requirement.matches({self.key: value})
        elif requirement.operator in ("in", "notin"):
            holds[[self.values[value] for value in requirement.values if value in self.values]] = 1
        else:
            holds[1:] = True
        if requirement.operator in ("notin", "!"):
            np.logical_not(holds, out=holds)
        return holds[self.ids[rows]]


class LabelColumns:
    """The columns that somebody asked for. Labels that no node has share one."""

    def __init__(self, nodes: Sequence[NodeFacts | None]) -> None:
        self._nodes = nodes
        self._counts: Counter[str] = Counter()  # of nodes with each label
        self._columns: dict[str, LabelColumn] = {}
        self._of_nobody = LabelColumn("", ())

    def of(self, key: str) -> LabelColumn:
        """The column of a label; its numbers last until the next change of a node."""
        if key not in self._counts:
            self._of_nobody.reach(len(self._nodes))
            return self._of_nobody
        column = self._columns.get(key)
        if column is None or len(column.values) > 2 * len(self._nodes) + _SPARE_VALUES:
            if len(self._columns) >= COLUMNS_MAX:
                self._columns.pop(next(iter(self._columns)))
            column = self._columns[key] = LabelColumn(key, self._nodes)
        return column

    def set(self, row: int, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """A node's labels."""
        for key in after.keys() - before.keys():
            self._counts[key] += 1
        for key in before.keys() - after.keys():
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
                self._columns.pop(key, None)
        for column in self._columns.values():
            column.set(row, after)
