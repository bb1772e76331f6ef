"""Which nodes may have a pod, by what is said of the node, and by its ports. PURE.

Source: Kubernetes, "Taints and Tolerations", "Assigning Pods to Nodes"; kube-behaviour 7.3, 7.4;
the plug-ins' names and messages are those of Kubernetes' scheduler.
"""

from collections.abc import Callable, Sequence

import numpy as np

from controlplane.api.types.core_v1 import Taint
from controlplane.scheduler.arrays import Ints, Mask, Rows
from controlplane.scheduler.events import Event, EventKind, NodeEvent, PodEvent
from controlplane.scheduler.framework import Plugin, Rejection, Scope, View
from controlplane.scheduler.node_facts import NodeFacts
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.node_terms import NodeTerm
from controlplane.scheduler.pod_class import ANY_IP, PodClass, PodFacts, tolerates
from controlplane.scheduler.scores import of_preferred, reversed_to_max, to_max

_CORDONED = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
OF_NODES = frozenset((EventKind.NODE,))
OF_ROOM = frozenset((EventKind.NODE, EventKind.POD_GONE))
_KEEPS_AWAY = ("NoSchedule", "NoExecute")


def _all(view: View, message: str, *, is_resolvable: bool = False) -> list[Rejection]:
    return [Rejection(message, view.everything(value=True), is_resolvable)]


class NodeUnschedulable(Plugin):
    """Cordoned nodes take only who tolerates it."""

    name = "NodeUnschedulable"
    scope = Scope.NODE
    events = OF_NODES

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        return not any(tolerates(one, _CORDONED) for one in pod.tolerations)

    def filter(self, view: View) -> Mask:
        return ~view.table.is_unschedulable(view.rows)

    def explain(self, view: View) -> Sequence[Rejection]:
        return _all(view, "node(s) were unschedulable")

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        return _new_node(event, lambda node: not node.is_unschedulable)


class NodeName(Plugin):
    """Who names a node has it or none."""

    name = "NodeName"
    scope = Scope.NODE
    events = OF_NODES

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        return bool(pod.node_name)

    def filter(self, view: View) -> Mask:
        return _only(view.table, frozenset((view.pod.node_name,)))[view.rows]

    def explain(self, view: View) -> Sequence[Rejection]:
        return _all(view, "node(s) didn't match the requested node name")

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        return _new_node(event, lambda node: node.name == pod.node_name)


class TaintToleration(Plugin):
    """A taint keeps away who does not tolerate it; PreferNoSchedule only costs score."""

    name = "TaintToleration"
    scope = Scope.NODE
    is_relative = True
    events = OF_NODES

    def filter(self, view: View) -> Mask:
        sets, ids = _taint_sets(view)
        passes = [untolerated(view.pod, view.table.taint_sets[one]) is None for one in sets]
        return np.array(passes, dtype=np.bool_)[ids]

    def explain(self, view: View) -> Sequence[Rejection]:
        sets, ids = _taint_sets(view)
        found = []
        for position, one in enumerate(sets):
            taint = untolerated(view.pod, view.table.taint_sets[one])
            assert taint is not None, "it passed"
            message = f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
            found.append(Rejection(message, ids == position, is_resolvable=False))
        return found

    def score(self, view: View) -> Ints:
        """How many taints would rather not have it."""
        sets, ids = _taint_sets(view)
        counts = [
            sum(
                one.effect == "PreferNoSchedule" and not _is_tolerated(view.pod, one)
                for one in view.table.taint_sets[at]
            )
            for at in sets
        ]
        return np.array(counts, dtype=np.int64)[ids]

    def normalized(self, scores: Ints, feasible: Mask) -> Ints | None:
        return reversed_to_max(scores, feasible)

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        return _new_node(event, lambda node: untolerated(pod, node.taints) is None)


def _taint_sets(view: View) -> tuple[list[int], Ints]:
    """The sets of taints that these rows have, and which of them each row has."""
    taints = view.table.taint_ids(view.rows)
    if not taints.any():  # as nearly everywhere
        return [0], np.zeros(len(taints), dtype=np.int64)
    sets, ids = np.unique(taints, return_inverse=True)
    return [int(one) for one in sets], ids


def untolerated(pod: PodClass, taints: Sequence[Taint]) -> Taint | None:
    """The first taint that keeps a pod away."""
    for taint in taints:
        if taint.effect in _KEEPS_AWAY and not _is_tolerated(pod, taint):
            return taint
    return None


def _is_tolerated(pod: PodClass, taint: Taint) -> bool:
    return any(tolerates(one, taint) for one in pod.tolerations)


class NodeAffinity(Plugin):
    """`nodeSelector` and node affinity."""

    name = "NodeAffinity"
    scope = Scope.NODE
    is_relative = True
    events = OF_NODES

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        return pod.node_ask.is_choosy or bool(pod.node_ask.preferred)

    def filter(self, view: View) -> Mask:
        return accepted(view.pod, view.table, view.rows)

    def explain(self, view: View) -> Sequence[Rejection]:
        """Nodes that were never asked, as others were named, are told apart."""
        message = "node(s) didn't match Pod's node affinity/selector"
        names = view.pod.node_ask.only_names
        if names is None:
            return _all(view, message)
        is_named = _only(view.table, names)[view.rows]
        return [
            Rejection(message, is_named, is_resolvable=False),
            Rejection(
                "node(s) didn't satisfy plugin(s) [NodeAffinity]", ~is_named, is_resolvable=False
            ),
        ]

    def score(self, view: View) -> Ints:
        return of_preferred(
            view, ((weight, _holds(term, view)) for weight, term in view.pod.node_ask.preferred)
        )

    def normalized(self, scores: Ints, feasible: Mask) -> Ints | None:
        return to_max(scores, feasible)

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        return _new_node(event, lambda node: pod.node_ask.accepts(node.name, node.labels))


def accepted(pod: PodClass, table: NodeTable, rows: Rows) -> Mask:
    """Which nodes a pod's selector and required affinity accept."""
    view = View(pod, table, rows, {})
    mask = _holds(pod.node_ask.selector, view)
    if pod.node_ask.required is not None:
        any_of = view.everything(value=False)
        for term in pod.node_ask.required:
            any_of |= _holds(term, view)
        mask &= any_of
    return mask


def tolerated(pod: PodClass, table: NodeTable, rows: Rows) -> Mask:
    """Which nodes have no taint that keeps a pod away."""
    return TaintToleration().filter(View(pod, table, rows, {}))


def _holds(term: NodeTerm, view: View) -> Mask:
    mask = view.everything(value=True)
    for requirement in term.labels:
        if not mask.any():
            break
        mask &= view.table.columns.of(requirement.key).matches(requirement, view.rows)
    for requirement in term.names:
        is_named = _only(view.table, requirement.values)[view.rows]
        mask &= is_named if requirement.operator == "in" else ~is_named
    return mask


def _only(table: NodeTable, names: frozenset[str]) -> Mask:
    mask = np.zeros(table.size, dtype=np.bool_)
    mask[[table.rows[name] for name in names if name in table.rows]] = True
    return mask


class NodePorts(Plugin):
    """A port of a node is one pod's."""

    name = "NodePorts"
    scope = Scope.ROW
    events = OF_ROOM

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        return bool(pod.ports)

    def filter(self, view: View) -> Mask:
        mask = np.ones(view.table.size, dtype=np.bool_)
        for port in view.pod.ports:
            for row, ips in view.table.ips_of(port).items():
                if port.ip == ANY_IP or port.ip in ips or ANY_IP in ips:
                    mask[row] = False
        return mask[view.rows]

    def explain(self, view: View) -> Sequence[Rejection]:
        message = "node(s) didn't have free ports for the requested pod ports"
        return _all(view, message, is_resolvable=True)

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        wanted = {(one.protocol, one.port) for one in pod.ports}
        gone = ended(event)
        ports = gone.kind.ports if gone else ()
        return _is_new_node(event) or any((one.protocol, one.port) in wanted for one in ports)


def ended(event: Event) -> PodFacts | None:
    """The pod that has left its node, if that is what happened."""
    return event.before if isinstance(event, PodEvent) and event.after is None else None


def _is_new_node(event: Event) -> bool:
    return isinstance(event, NodeEvent) and event.before is None


def _new_node(event: Event, accepts: Callable[[NodeFacts], bool]) -> bool:
    """Whether a node is accepted that was not, or was not there."""
    if not isinstance(event, NodeEvent) or event.after is None or not accepts(event.after):
        return False
    return event.before is None or not accepts(event.before)
