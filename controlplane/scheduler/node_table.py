"""All nodes and what runs on them, as arrays with one element a node. PURE.

A node keeps its row while it is there; a row that is free is taken by the next node. What changes
is changed in place and noted in `log`, so that whoever computed something from the table has to
look at changed rows only.
"""

from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.indexer import Key
from controlplane.scheduler.arrays import Ids, Ints, Mask, Rows, grown
from controlplane.scheduler.change_log import Change, ChangeLog
from controlplane.scheduler.label_columns import LabelColumns
from controlplane.scheduler.match_counts import MatchCounts
from controlplane.scheduler.node_facts import NodeFacts, Taints
from controlplane.scheduler.pod_class import HostPort, PodClass, PodFacts
from controlplane.scheduler.requests import CPU, MEMORY, PODS
from controlplane.scheduler.terms import AllOf, Carried, Labels, PodMatch

_FIRST_ROWS = 16
COUNTS_MAX = 256  # matches whose counts are kept: 40 KB each at 5,000 nodes


class NodeTable:
    """
    size                rows that were ever in use; arrays are read up to it
    count               nodes
    log                 what changed in rows
    facts_version       grows with each change of what is said of nodes
    images_version      grows with each change of which node has which image
    namespaces          labels of each namespace
    namespaces_version  grows with each change of these
    claims              of storage: why pods that have one may have no node; empty: they may
    rows                of each node, by name
    nodes, pods         of each row
    classes             of each class, its pods that end or do not: how many each row has
    carried             what pods that run say of others, and how many of each row do
    carried_version     grows when something else is said
    """

    def __init__(self) -> None:
        self.size = 0
        self.count = 0
        self.log = ChangeLog()
        self.facts_version = 0
        self.images_version = 0
        self.namespaces_version = 0
        self.namespaces: dict[str, Labels] = {}
        self.claims: dict[Key, str] = {}
        self.rows: dict[str, int] = {}
        self.nodes: list[NodeFacts | None] = []
        self.pods: list[dict[str, PodFacts]] = []
        self.classes: dict[tuple[PodClass, bool], dict[int, int]] = {}
        self.resources: dict[str, int] = {CPU: 0, MEMORY: 1}
        self.columns = LabelColumns(self.nodes)
        self.images: dict[str, dict[int, int]] = {}
        self.ports: dict[tuple[str, int], dict[int, list[str]]] = {}
        self.carried: dict[Carried, Ints] = {}
        self.carried_version = 0
        self._capacity = _FIRST_ROWS
        self._free: list[int] = []
        self._places: dict[str, str] = {}
        self._strays: dict[str, dict[str, PodFacts]] = {}
        self._counts: dict[PodMatch | AllOf, MatchCounts] = {}
        self._taint_ids: dict[Taints, int] = {(): 0}
        self.taint_sets: list[Taints] = [()]
        self._allocatable = np.zeros((2, _FIRST_ROWS), dtype=np.int64)
        self._requested = np.zeros((2, _FIRST_ROWS), dtype=np.int64)
        self._estimated = np.zeros((2, _FIRST_ROWS), dtype=np.int64)
        self._pods_free = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._is_there = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        self._is_unschedulable = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        self._taints = np.zeros(_FIRST_ROWS, dtype=np.int32)

    # ------------------------------------------------------------------ reading

    @property
    def all_rows(self) -> slice:
        """Rows of all nodes, and free ones among them."""
        return slice(0, self.size)

    def is_there(self, rows: Rows) -> Mask:
        """Rows of which there is a node."""
        return self._is_there[rows]

    def is_unschedulable(self, rows: Rows) -> Mask:
        """Cordoned nodes."""
        return self._is_unschedulable[rows]

    def taint_ids(self, rows: Rows) -> Ids:
        """Positions in `taint_sets`."""
        return self._taints[rows]

    def pods_free(self, rows: Rows) -> Ints:
        """How many pods more each node takes."""
        return self._pods_free[rows]

    def allocatable(self, resource: str, rows: Rows) -> Ints | None:
        """None: no node has ever had any."""
        at = self.resources.get(resource)
        return None if at is None else self._allocatable[at, rows]

    def requested(self, resource: str, rows: Rows) -> Ints:
        """What its pods ask for of a resource that some node has or had."""
        return self._requested[self.resources[resource], rows]

    def estimated(self, at: int, rows: Rows) -> Ints:
        """cpu (0) or memory (1), with what is taken for pods that do not say."""
        return self._estimated[at, rows]

    def counts(self, match: PodMatch | AllOf) -> Ints:
        """How many of the pods of each node are meant."""
        found = self._counts.get(match)
        if found is None:
            if len(self._counts) >= COUNTS_MAX:
                self._counts.pop(next(iter(self._counts)))
            found = self._counts[match] = MatchCounts(match)
        else:
            self._counts[match] = self._counts.pop(match)  # the least used one goes first
        return found.of(self)

    def named(self, row: int) -> str:
        """The node of a row."""
        node = self.nodes[row]
        assert node is not None, f"row {row} is free"
        return node.name

    def pod(self, uid: str) -> PodFacts | None:
        """A pod that has a node."""
        name = self._places.get(uid)
        if name is None:
            return None
        row = self.rows.get(name)
        return (self._strays[name] if row is None else self.pods[row])[uid]

    def node_of(self, uid: str) -> str:
        """Which node a pod has, also one that is not known; empty: none."""
        return self._places.get(uid, "")

    def ips_of(self, port: HostPort) -> Mapping[int, Collection[str]]:
        """Row -> addresses at which somebody has this port."""
        return self.ports.get((port.protocol, port.port), {})

    # ------------------------------------------------------------------ nodes

    def set_node(self, facts: NodeFacts) -> bool:
        """Add a node, or say something else of it; False: it is as it was."""
        row = self.rows.get(facts.name)
        before = None if row is None else self.nodes[row]
        if before == facts:
            return False
        if row is None:
            row = self._take_row()
            self.rows[facts.name] = row
            self._is_there[row] = True
            self.count += 1
        self._set_images(row, before.images if before else {}, facts.images, is_new=before is None)
        self.nodes[row] = facts
        self._know({name for name in facts.allocatable if name != PODS} - self.resources.keys())
        for name, at in self.resources.items():
            self._allocatable[at, row] = facts.allocatable.get(name, 0)
        allowed = facts.allocatable.get(PODS, 0)
        self._pods_free[row] = allowed - len(self.pods[row])
        self._is_unschedulable[row] = facts.is_unschedulable
        self._taints[row] = self._taint_id(facts.taints)
        self.columns.set(row, before.labels if before else {}, facts.labels)
        self._node_changed(row)
        for pod in self._strays.pop(facts.name, {}).values():
            self._put(row, pod)
        return True

    def remove_node(self, name: str) -> None:
        """Its pods are remembered, for it may come back."""
        row = self.rows.get(name)
        node = None if row is None else self.nodes[row]
        if row is None or node is None:
            return
        left = dict(self.pods[row])
        for pod in left.values():
            self._take(row, pod)
        if left:
            self._strays[name] = left
        del self.rows[name]
        self._set_images(row, node.images, {}, is_new=True)
        self.nodes[row] = None
        self._is_there[row] = False
        self._allocatable[:, row] = 0
        self._pods_free[row] = 0
        self.columns.set(row, node.labels, {})
        self.count -= 1
        self._free.append(row)
        self._node_changed(row)

    def set_namespace(self, name: str, labels: Labels | None) -> None:
        """Labels of a namespace; None: it is gone."""
        if self.namespaces.get(name) == labels:
            return
        if labels is None:
            del self.namespaces[name]
        else:
            self.namespaces[name] = labels
        self.namespaces_version += 1

    def set_claim(self, key: Key, refusal: str | None) -> bool:
        """What is known of a claim; None: it is gone. False: it is as it was."""
        if self.claims.get(key) == refusal:
            return False
        if refusal is None:
            del self.claims[key]
        else:
            self.claims[key] = refusal
        return True

    # ------------------------------------------------------------------ pods

    def add_pod(self, pod: PodFacts, node_name: str) -> None:
        """A pod has this node, which may not be known yet."""
        before = self.pod(pod.uid)
        if before is not None and self._places[pod.uid] == node_name and before.counts_like(pod):
            row = self.rows.get(node_name)
            there = self._strays[node_name] if row is None else self.pods[row]
            there[pod.uid] = pod
            return
        self.remove_pod(pod.uid)
        self._places[pod.uid] = node_name
        row = self.rows.get(node_name)
        if row is None:
            self._strays.setdefault(node_name, {})[pod.uid] = pod
        else:
            self._put(row, pod)

    def remove_pod(self, uid: str) -> PodFacts | None:
        """A pod has no node any more; None: it had none."""
        node_name = self._places.pop(uid, None)
        if node_name is None:
            return None
        row = self.rows.get(node_name)
        if row is not None:
            pod = self.pods[row][uid]
            self._take(row, pod)
            return pod
        strays = self._strays[node_name]
        pod = strays.pop(uid)
        if not strays:
            del self._strays[node_name]
        return pod

    @contextmanager
    def trial(self) -> Iterator["Trial"]:
        """Try what would be if pods came or went; afterwards the table is as it was."""
        tried = Trial(self)
        try:
            yield tried
        finally:
            tried.undo()

    # ------------------------------------------------------------------ within

    def _put(self, row: int, pod: PodFacts) -> None:
        self.pods[row][pod.uid] = pod
        self._count(row, pod, 1)

    def _take(self, row: int, pod: PodFacts) -> None:
        del self.pods[row][pod.uid]
        self._count(row, pod, -1)

    def _count(self, row: int, pod: PodFacts, sign: int) -> None:
        kind = pod.kind
        for name, wanted in kind.requests.items():
            at = self.resources.get(name)
            if at is not None:
                self._requested[at, row] += sign * wanted
        self._estimated[0, row] += sign * kind.estimate[0]
        self._estimated[1, row] += sign * kind.estimate[1]
        self._pods_free[row] -= sign
        self._count_class(row, pod, sign)
        for port in kind.ports:
            self._count_port(row, port, sign)
        for carried in kind.carried:
            self._count_carried(row, carried, sign)
        self.log.append(Change(row, sign, pod))

    def _count_class(self, row: int, pod: PodFacts, sign: int) -> None:
        key = (pod.kind, pod.is_terminating)
        rows = self.classes.get(key)
        if rows is None:
            rows = self.classes[key] = {}
        count = rows.get(row, 0) + sign
        if count:
            rows[row] = count
            return
        del rows[row]
        if not rows:
            del self.classes[key]

    def _count_port(self, row: int, port: HostPort, sign: int) -> None:
        rows = self.ports.setdefault((port.protocol, port.port), {})
        ips = rows.setdefault(row, [])
        if sign > 0:
            ips.append(port.ip)
            return
        ips.remove(port.ip)
        if not ips:
            del rows[row]
        if not rows:
            del self.ports[port.protocol, port.port]

    def _count_carried(self, row: int, carried: Carried, sign: int) -> None:
        counts = self.carried.get(carried)
        if counts is None:
            counts = self.carried[carried] = np.zeros(self._capacity, dtype=np.int64)
            self.carried_version += 1
        counts[row] += sign
        if sign < 0 and not counts.any():
            del self.carried[carried]
            self.carried_version += 1

    def _know(self, names: Set[str]) -> None:
        """Count resources that a node is the first to have.

        What no node has is nobody's room, and pods may ask for whatever they like.
        """
        if not names:
            return
        for name in sorted(names):
            self.resources[name] = len(self.resources)
        while len(self.resources) > len(self._allocatable):
            none = np.zeros_like(self._allocatable)
            self._allocatable = np.concatenate((self._allocatable, none))
            self._requested = np.concatenate((self._requested, none))
        for (kind, _), rows in self.classes.items():
            counts = np.array(list(rows.values()), dtype=np.int64)
            for name in names & kind.requests.keys():
                self._requested[self.resources[name], list(rows)] += kind.requests[name] * counts

    def _set_images(
        self, row: int, before: Mapping[str, int], after: Mapping[str, int], *, is_new: bool
    ) -> None:
        """What an image is worth depends on how many nodes there are, too."""
        if before != after or is_new:
            self.images_version += 1
        for name in before.keys() - after.keys():
            rows = self.images[name]
            del rows[row]
            if not rows:
                del self.images[name]
        for name, size in after.items():
            self.images.setdefault(name, {})[row] = size

    def _taint_id(self, taints: Taints) -> int:
        found = self._taint_ids.get(taints)
        if found is None:
            if len(self.taint_sets) > 2 * self.count + _FIRST_ROWS:
                self._forget_taints()
            found = self._taint_ids[taints] = len(self.taint_sets)
            self.taint_sets.append(taints)
        return found

    def _forget_taints(self) -> None:
        """Number anew those that some node has."""
        self.taint_sets[:] = [()]
        self._taint_ids = {(): 0}
        for row in self.rows.values():
            node = self.nodes[row]
            taints = node.taints if node else ()
            if taints not in self._taint_ids:
                self._taint_ids[taints] = len(self.taint_sets)
                self.taint_sets.append(taints)
            self._taints[row] = self._taint_ids[taints]

    def _node_changed(self, row: int) -> None:
        self.facts_version += 1
        self.log.append(Change(row, 0, None))

    def _take_row(self) -> int:
        if self._free:
            return self._free.pop()
        if self.size == self._capacity:
            self._grow()
        self.size += 1
        self.nodes.append(None)
        self.pods.append({})
        return self.size - 1

    def _grow(self) -> None:
        self._capacity *= 2
        arrays: dict[str, npt.NDArray[Any]] = {
            name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        for name, array in arrays.items():
            setattr(self, name, grown(array, self._capacity))
        self.carried = {
            carried: grown(counts, self._capacity) for carried, counts in self.carried.items()
        }


class Trial:
    """Changes of a table that are taken back."""

    def __init__(self, table: NodeTable) -> None:
        self._table = table
        self._done: list[tuple[PodFacts, str, bool]] = []

    def add(self, pod: PodFacts, node_name: str) -> None:
        """As if it had this node."""
        self._table.add_pod(pod, node_name)
        self._done.append((pod, node_name, True))

    def remove(self, pod: PodFacts, node_name: str) -> None:
        """As if it were gone."""
        self._table.remove_pod(pod.uid)
        self._done.append((pod, node_name, False))

    def undo(self) -> None:
        """All of it, the last first."""
        for pod, node_name, is_added in reversed(self._done):
            if is_added:
                self._table.remove_pod(pod.uid)
            else:
                self._table.add_pod(pod, node_name)
        self._done.clear()
