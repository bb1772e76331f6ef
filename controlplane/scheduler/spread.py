"""Pods of one kind spread over zones, nodes, or whatever label: as a filter and as a score. PURE.

Source: Kubernetes, "Pod Topology Spread Constraints"; kube-behaviour 7.5.
"""

import math
from collections.abc import Sequence

import numpy as np

from controlplane.scheduler.arrays import Floats, Ints, Mask, domain_sums
from controlplane.scheduler.events import Event, EventKind, NodeEvent, PodEvent
from controlplane.scheduler.filters import accepted, tolerated
from controlplane.scheduler.framework import SCORE_MAX, Plugin, Rejection, View
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClass
from controlplane.scheduler.terms import HOSTNAME, Spread

_UNMET = "node(s) didn't match pod topology spread constraints"
_NO_LABEL = f"{_UNMET} (missing required label)"


class PodTopologySpread(Plugin):
    """Constraints that must hold filter, the others score."""

    name = "PodTopologySpread"
    events = frozenset(EventKind) - {EventKind.NAMESPACE, EventKind.CLAIM}

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        return bool(pod.terms.spreads)

    def heeds(self, view: View) -> bool:
        return bool(_required(view.pod))

    def filter(self, view: View) -> Mask:
        passes = view.everything(value=True)
        for spread in _required(view.pod):
            has_label, is_even = _evenness(view, spread)
            passes &= has_label & is_even
        return passes

    def explain(self, view: View) -> Sequence[Rejection]:
        """The first constraint that does not hold; a missing label no other pod can give."""
        unmet, no_label = view.everything(value=False), view.everything(value=False)
        for spread in _required(view.pod):
            has_label, is_even = _evenness(view, spread)
            is_open = ~(unmet | no_label)
            no_label |= is_open & ~has_label
            unmet |= is_open & has_label & ~is_even
        return [Rejection(_UNMET, unmet), Rejection(_NO_LABEL, no_label, is_resolvable=False)]

    def score(self, view: View) -> Ints:
        assert view.feasible is not None, "scores are relative to the feasible nodes"
        spreads = _preferred(view)
        if not spreads:
            return np.zeros(view.count, dtype=np.int64)
        candidates = view.feasible & spreads[0][1].has_labels
        count = int(np.count_nonzero(candidates))
        if not count:
            return np.zeros(view.count, dtype=np.int64)
        total = np.zeros(view.table.size)
        for spread, domains in spreads:
            total += _cost(view, spread, domains, candidates, count)
        total += 0.5
        np.floor(total, out=total)
        if count == view.table.size:
            return _reversed(total, total)[view.rows]
        scores = _reversed(total, total[candidates])
        scores[~candidates] = 0
        return scores[view.rows]

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        if isinstance(event, NodeEvent):
            return _is_another_domain(_required(pod), event)
        if not isinstance(event, PodEvent):
            return False
        return any(
            one is not None and spread.match.matches(one.namespace, one.kind.labels, {})
            for one in (event.before, event.after)
            for spread in _required(pod)
        )


def _is_another_domain(spreads: Sequence[Spread], event: NodeEvent) -> bool:
    """Whether another node counts, or counts elsewhere; where taints are honored they matter, too:
    a domain whose last node has one now is no longer the emptiest.
    """
    before, after = event.before, event.after
    if before is None or after is None or before.labels != after.labels:
        return True
    return before.taints != after.taints and any(
        one.are_taints_honored and one.topology_key in after.labels for one in spreads
    )


def _required(pod: PodClass) -> list[Spread]:
    return [one for one in pod.terms.spreads if one.is_required]


def _has_labels(view: View, spreads: Sequence[Spread]) -> Mask:
    """Nodes that count: all labels of all constraints, unless these are the defaults."""
    table = view.table
    mask = table.is_there(table.all_rows).copy()
    if not view.pod.terms.are_spreads_default:
        for spread in spreads:
            mask &= table.columns.of(spread.topology_key).ids[: table.size] > 0
    return mask


class _Domains:
    """Of a constraint: the domains of the nodes that count.

    has_labels   which rows have those of all constraints of its sort, as far as they must
    label_count  how many these are
    labels       number of each row's domain; 0: it has not the label
    unlabelled   the rows that have not
    ids          as `labels`; 0: it does not count
    size         numbers are below it
    is_in        which numbers are those of a domain that counts
    """

    __slots__ = (
        *("_all_count", "has_labels", "ids", "is_in", "label_count", "labels", "size"),
        "unlabelled",
    )

    def __init__(self, view: View, spread: Spread, spreads: Sequence[Spread]) -> None:
        table = view.table
        column = table.columns.of(spread.topology_key)
        self.has_labels = _has_labels(view, spreads)
        counts = self.has_labels.copy()
        if spread.is_affinity_honored and view.pod.node_ask.is_choosy:
            counts &= accepted(view.pod, table, table.all_rows)
        if spread.are_taints_honored:
            counts &= tolerated(view.pod, table, table.all_rows)
        # As numpy wants positions: it would convert others at each use.
        self.labels = column.ids[: table.size].astype(np.intp)
        self.unlabelled = np.flatnonzero(self.labels == 0)
        self.ids = np.where(counts, self.labels, 0)
        self.size = column.domains
        self.is_in = np.bincount(self.ids, minlength=self.size) > 0
        self.is_in[0] = False
        self.label_count = int(np.count_nonzero(self.has_labels))
        self._all_count = self._count(self.has_labels)

    def count(self, candidates: Mask, candidate_count: int) -> int:
        """How many domains have a candidate.

        Nodes without the label, where they may be candidates at all, are one domain more.
        """
        if candidate_count == self.label_count:  # they are all that may be
            return self._all_count
        return self._count(candidates)

    def _count(self, rows: Mask) -> int:
        return int(np.count_nonzero(np.bincount(self.labels[rows])))

    def sums(self, counts: Ints) -> Floats:
        """Of each domain."""
        return domain_sums(self.ids, counts[: len(self.ids)], self.size)


def _domains(view: View, spread: Spread) -> _Domains:
    """They change with nodes only."""
    alike = [one for one in view.pod.terms.spreads if one.is_required == spread.is_required]
    key = f"{PodTopologySpread.name}/{view.pod.terms.spreads.index(spread)}"
    found = view.memo.get(key)
    if found is None:
        found = view.memo[key] = _Domains(view, spread, alike)
    assert isinstance(found, _Domains)
    return found


def _preferred(view: View) -> list[tuple[Spread, _Domains]]:
    """The constraints that score. They change with nodes only, too."""
    key = f"{PodTopologySpread.name}/preferred"
    found = view.memo.get(key)
    if found is None:
        spreads = [one for one in view.pod.terms.spreads if not one.is_required]
        found = view.memo[key] = [(one, _domains(view, one)) for one in spreads]
    assert isinstance(found, list)
    return found


def _evenness(view: View, spread: Spread) -> tuple[Mask, Mask]:
    """Of the rows: which have the label, and where count + 1 - min stays within maxSkew."""
    domains = _domains(view, spread)
    sums = domains.sums(view.table.counts(spread.match))
    lowest = 0.0
    if np.count_nonzero(domains.is_in) >= spread.min_domains:
        lowest = float(sums.min(where=domains.is_in, initial=math.inf))
    is_own = spread.match.matches(view.pod.namespace, view.pod.labels, {})
    fits = sums + (is_own - lowest) <= spread.max_skew
    labels = domains.labels[view.rows]
    return labels > 0, fits[labels]


def _cost(
    view: View, spread: Spread, domains: _Domains, candidates: Mask, candidate_count: int
) -> Floats:
    """Of each row: count · ln(domains + 2) + (maxSkew - 1); 0 where the label is missing."""
    counts = view.table.counts(spread.match)[: view.table.size]
    if spread.topology_key == HOSTNAME:
        weight = math.log(candidate_count + 2)
        costs: Floats = np.multiply(counts, weight, dtype=np.float64)
        costs += spread.max_skew - 1
        costs[domains.unlabelled] = 0.0
        return costs
    weight = math.log(domains.count(candidates, candidate_count) + 2)
    by_domain = domains.sums(counts) * weight + (spread.max_skew - 1)
    by_domain[0] = 0.0
    return by_domain.take(domains.labels)


def _reversed(costs: Floats, compared: Floats) -> Ints:
    """0 to 100, the more the less it costs, by comparison with those of all candidates.

    Of others it means nothing.
    """
    highest, lowest = float(compared.max()), float(compared.min())
    if not highest:
        return np.full(len(costs), SCORE_MAX, dtype=np.int64)
    # Exact for whole numbers of this size, and half the time of a division of integers.
    scores = np.subtract(highest + lowest, costs)
    scores *= SCORE_MAX
    scores /= highest
    return scores.astype(np.int64)
