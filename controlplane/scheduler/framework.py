"""What a scheduling rule is, and the list of them by which pods of one scheduler name are placed.

PURE. A rule is a `Plugin`: an object with a vector method or two.

    class Quiet(Plugin):
        name = "Quiet"

        def score(self, view: View) -> Ints:
            return 100 - np.minimum(100, 110 - view.table.pods_free(view.rows))

Source of the extension points and their order: Kubernetes, "Scheduling Framework"; kube-behaviour
7.2. PreScore is here what a plug-in keeps in `View.memo`, and so is what PreFilter computes; Skip
is `applies`.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Protocol

import msgspec
import numpy as np

from controlplane.scheduler.arrays import Ints, Mask, Rows
from controlplane.scheduler.events import Event, EventKind
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import DEFAULT_SCHEDULER, PodClass

SCORE_MAX = 100


class Scope(IntEnum):
    """On what the answer for a row depends, besides the pod's class."""

    NODE = 0
    """on what is said of the node"""
    ROW = 1
    """on that and the node's own pods"""
    CLUSTER = 2
    """on anything: it is asked for each pod anew"""


class View:
    """What a plug-in is asked.

    rows      it answers for these, in their order
    feasible  which rows of the whole table passed all filters; for scores of CLUSTER scope only
    memo      notes of plug-ins on this class, by keys that begin with their names; they last until
              a node changes
    """

    __slots__ = ("feasible", "memo", "pod", "rows", "table")

    def __init__(
        self,
        pod: PodClass,
        table: NodeTable,
        rows: Rows,
        memo: dict[str, Any],
        feasible: Mask | None = None,
    ) -> None:
        self.pod = pod
        self.table = table
        self.rows = rows
        self.memo = memo
        self.feasible = feasible

    @property
    def count(self) -> int:
        """How many rows."""
        if isinstance(self.rows, slice):
            return int(self.rows.stop - self.rows.start)
        return len(self.rows)

    def everything(self, *, value: bool) -> Mask:
        """The same answer for each row."""
        return np.full(self.count, value, dtype=np.bool_)


class Rejection(msgspec.Struct, frozen=True):
    """Why some rows did not pass.

    message        as it is told, like `Insufficient cpu`
    rows           which of the rows that were asked for it is true of; of one row several may be
    is_resolvable  whether it may help when other pods go
    """

    message: str
    rows: Mask
    is_resolvable: bool = True


class Room(Protocol):
    """One row as a filter sees it, while pods come and go in thought only."""

    def add(self, pod: PodClass) -> None:
        """One pod more."""

    def remove(self, pod: PodClass) -> None:
        """One pod less."""

    def passes(self) -> bool:
        """Whether the row would pass."""

    def reasons(self) -> Sequence[str]:
        """Why it would not, in the words of `Plugin.explain`."""


class Plugin:
    """A rule. Whoever makes one overrides `pre_filter`, `filter` (with `explain`), or `score`.

    A plug-in has no state that changes: what it computes it may keep in `View.memo`.
    """

    name: str = ""
    scope: Scope = Scope.CLUSTER
    is_relative: bool = False
    """Whether its scores are made 0 to 100 by `normalized`. Of NODE and ROW scope only."""
    events: frozenset[EventKind] = frozenset(EventKind)
    """Of which `hint` is asked. Others are sure not to help."""

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        """Whether it has a say about such a pod. Of NODE and ROW scope: by the class alone."""
        return True

    def stamp(self, table: NodeTable) -> int:
        """Of NODE and ROW scope: when it changes, all rows are to be asked for anew."""
        return 0

    def pre_filter(self, pod: PodClass, table: NodeTable) -> str | None:
        """Why none may have such a pod, whatever nodes there are; None: one may. It is asked for
        each pod anew, and first: nothing else is told then.
        """
        raise NotImplementedError

    def filter(self, view: View) -> Mask:
        """Which rows may have the pod."""
        raise NotImplementedError

    def explain(self, view: View) -> Sequence[Rejection]:
        """Why these rows, of which none passed, did not; each must have a reason."""
        message = f"node(s) didn't satisfy plugin {self.name}"
        return [Rejection(message, view.everything(value=True))]

    def heeds(self, view: View) -> bool:
        """Whether other pods matter to its filter, for this class and as things are."""
        return self.scope != Scope.NODE

    def room(self, view: View) -> Room | None:
        """Of the one row of the view: a quick answer to what would be; None: there is none."""
        return None

    def score(self, view: View) -> Ints:
        """0 to 100 for each row; where `is_relative`, anything to be compared."""
        raise NotImplementedError

    def normalized(self, scores: Ints, feasible: Mask) -> Ints | None:
        """Scores of 0 to 100 by comparison with those of the feasible rows.

        None: all are the same. What becomes of rows that are not feasible is nothing to anybody.
        """
        raise NotImplementedError

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        """Whether a pod that this plug-in rejected may pass after an event."""
        return True

    def configured(self, settings: Mapping[str, Any]) -> "Plugin":
        """One with these settings of a configuration. Raises ValueError for what it cannot be."""
        if settings:
            raise ValueError(f"{self.name} has no settings: {', '.join(sorted(settings))}")
        return self


def has(plugin: Plugin, method: str) -> bool:
    """Whether it overrides a method."""
    return getattr(type(plugin), method) is not getattr(Plugin, method)


class Weighted(msgspec.Struct, frozen=True):
    """A plug-in, and what its score counts."""

    plugin: Plugin
    weight: int = 1


class Profile:
    """How pods with one `spec.schedulerName` are placed: the plug-ins in their order."""

    def __init__(
        self, plugins: Sequence[Weighted], *, scheduler_name: str = DEFAULT_SCHEDULER
    ) -> None:
        self.scheduler_name = scheduler_name
        self.plugins = tuple(plugins)
        self.pre_filters = tuple(one.plugin for one in plugins if has(one.plugin, "pre_filter"))
        self.filters = tuple(one.plugin for one in plugins if has(one.plugin, "filter"))
        self.scores = tuple(one for one in plugins if has(one.plugin, "score") and one.weight)
        self._by_name = {one.plugin.name: one.plugin for one in plugins}
        self._concerned = {
            kind: frozenset(
                one.name for one in (*self.pre_filters, *self.filters) if kind in one.events
            )
            for kind in EventKind
        }

    def concerned(self, kind: EventKind) -> frozenset[str]:
        """Names of those who reject pods and want to hear of such events."""
        return self._concerned[kind]

    def plugin(self, name: str) -> Plugin | None:
        """By name."""
        return self._by_name.get(name)
