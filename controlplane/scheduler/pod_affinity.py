"""Pods that want to be near others, or far from them: as a filter and as a score. PURE.

What pods that run say of pods that come later counts, too: their anti-affinity keeps away, their
affinity and preferences score.
Source: Kubernetes, "Inter-pod affinity and anti-affinity"; kube-behaviour 7.3, 7.4.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from controlplane.scheduler.arrays import Floats, Ints, Mask, domain_sums
from controlplane.scheduler.events import Event, EventKind, NodeEvent, PodEvent
from controlplane.scheduler.framework import SCORE_MAX, Plugin, Rejection, View
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClass, PodFacts
from controlplane.scheduler.terms import AllOf, Carried, Term


class InterPodAffinity(Plugin):
    """Required terms filter, all others score."""

    name = "InterPodAffinity"
    events = frozenset(EventKind) - {EventKind.CLAIM}

    def applies(self, pod: PodClass, table: NodeTable) -> bool:
        terms = pod.terms
        return bool(table.carried or terms.affinity or terms.anti_affinity or terms.preferred)

    def heeds(self, view: View) -> bool:
        terms = view.pod.terms
        is_kept_away = any(not carried.weight for carried in _relevant(view))
        return bool(terms.affinity or terms.anti_affinity or is_kept_away)

    def filter(self, view: View) -> Mask:
        return _is_near(view) & ~_is_too_near(view) & ~_is_kept_away(view)

    def explain(self, view: View) -> Sequence[Rejection]:
        """One reason a node: affinity, anti-affinity, that of others, in this order."""
        is_far = ~_is_near(view)
        is_too_near = _is_too_near(view) & ~is_far
        is_kept_away = _is_kept_away(view) & ~is_far & ~is_too_near
        return [
            Rejection("node(s) didn't match pod affinity rules", is_far, is_resolvable=False),
            Rejection("node(s) didn't match pod anti-affinity rules", is_too_near),
            Rejection("node(s) didn't satisfy existing pods anti-affinity rules", is_kept_away),
        ]

    def score(self, view: View) -> Ints:
        assert view.feasible is not None, "scores are relative to the feasible nodes"
        table = view.table
        total = np.zeros(table.size)
        for weight, term in view.pod.terms.preferred:
            total += weight * _near(view, term.topology_key, table.counts(term.match))
        for carried in _relevant(view):
            if carried.weight:
                near = _near(view, carried.term.topology_key, table.carried[carried])
                total += carried.weight * near
        scores = np.zeros(table.size, dtype=np.int64)
        if total.any() and view.feasible.any():
            lowest = total.min(where=view.feasible, initial=np.inf)
            spread = total.max(where=view.feasible, initial=-np.inf) - lowest
            if spread > 0:
                scores = (SCORE_MAX * ((total - lowest) / spread)).astype(np.int64)
        return scores[view.rows]

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        if isinstance(event, NodeEvent):
            before, after = event.before, event.after
            return after is not None and (before is None or before.labels != after.labels)
        if not isinstance(event, PodEvent):
            return True
        is_wanted = event.after is not None and _means(pod.terms.affinity, event.after, table)
        return is_wanted or (
            event.before is not None
            and (
                _is_of_its_kind(pod, event.before, table)
                or _means(pod.terms.anti_affinity, event.before, table)
                or any(
                    one.term.match.matches(pod.namespace, pod.labels, table.namespaces)
                    for one in event.before.kind.carried
                    if not one.weight
                )
            )
        )


def _means(terms: Iterable[Term], pod: PodFacts, table: NodeTable) -> bool:
    return any(one.match.matches(pod.namespace, pod.kind.labels, table.namespaces) for one in terms)


def _is_of_its_kind(pod: PodClass, gone: PodFacts, table: NodeTable) -> bool:
    """Whether both are what the pod wants to be near: without the other it may be the first."""
    terms = pod.terms.affinity
    wanted = AllOf(tuple(one.match for one in terms))
    return bool(terms) and all(
        wanted.matches(namespace, labels, table.namespaces)
        for namespace, labels in (
            (pod.namespace, pod.labels),
            (gone.namespace, gone.kind.labels),
        )
    )


def _near(view: View, topology_key: str, counts: Ints) -> Floats:
    """Of each row of the table: the sum of counts in its domain; 0 without the label."""
    column = view.table.columns.of(topology_key)
    ids = column.ids[: view.table.size]
    return domain_sums(ids, counts[: view.table.size], column.domains)[ids]


def _is_near(view: View) -> Mask:
    """Pods that match all required terms are in each of their domains.

    The first of pods that want to be near each other may go wherever the labels are.
    """
    terms, table = view.pod.terms.affinity, view.table
    if not terms:
        return view.everything(value=True)
    wanted = AllOf(tuple(one.match for one in terms))
    counts = table.counts(wanted)
    has_labels = np.ones(table.size, dtype=np.bool_)
    is_near = np.ones(table.size, dtype=np.bool_)
    for term in terms:
        has_labels &= table.columns.of(term.topology_key).ids[: table.size] > 0
        is_near &= _near(view, term.topology_key, counts) > 0
    is_none_anywhere = not any(
        counts[: table.size][table.columns.of(one.topology_key).ids[: table.size] > 0].any()
        for one in terms
    )
    is_own = wanted.matches(view.pod.namespace, view.pod.labels, table.namespaces)
    passes = has_labels if is_none_anywhere and is_own else has_labels & is_near
    return passes[view.rows]


def _is_too_near(view: View) -> Mask:
    found = np.zeros(view.table.size, dtype=np.bool_)
    for term in view.pod.terms.anti_affinity:
        found |= _near(view, term.topology_key, view.table.counts(term.match)) > 0
    return found[view.rows]


def _is_kept_away(view: View) -> Mask:
    """Required anti-affinity is symmetric: pods that run keep away whom they do not want."""
    found = np.zeros(view.table.size, dtype=np.bool_)
    for carried in _relevant(view):
        if not carried.weight:
            counts = view.table.carried[carried]
            found |= _near(view, carried.term.topology_key, counts) > 0
    return found[view.rows]


def _relevant(view: View) -> Sequence[Carried]:
    """Terms of pods that run which mean pods of this class."""
    table, pod = view.table, view.pod
    version = (table.carried_version, table.namespaces_version)
    known = view.memo.get(InterPodAffinity.name)
    if known is None or known[0] != version:
        found = [
            one
            for one in table.carried
            if one.term.match.matches(pod.namespace, pod.labels, table.namespaces)
        ]
        known = view.memo[InterPodAffinity.name] = (version, found)
    relevant: Sequence[Carried] = known[1]
    return relevant
