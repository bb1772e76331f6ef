"""What pods say of other pods, compiled: affinity, anti-affinity, topology spread. PURE.

Source: Kubernetes, "Assigning Pods to Nodes", "Pod Topology Spread Constraints"; kube-behaviour
7.3, 7.5.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from controlplane.api import selectors
from controlplane.api.errors import ApiError
from controlplane.api.record import tree_of
from controlplane.api.selectors import EVERYTHING, NOTHING, LabelSelector, Requirement
from controlplane.api.types import meta_v1
from controlplane.api.types.core_v1 import (
    Affinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
HARD_AFFINITY_WEIGHT = 1
"""What a required affinity of a pod that runs is worth to those whom it wants near."""

Labels = Mapping[str, str]


class PodMatch(msgspec.Struct, frozen=True):
    """Which pods are meant.

    namespaces           by name
    namespace_selector   and by label; it may select none
    is_terminating_counted  whether pods that are being deleted are meant, too
    """

    namespaces: frozenset[str]
    selector: LabelSelector
    namespace_selector: LabelSelector = NOTHING
    is_terminating_counted: bool = True

    @property
    def depends_on_namespaces(self) -> bool:
        """Whether labels of namespaces are looked at."""
        return not self.namespace_selector.is_nothing

    def matches(self, namespace: str, labels: Labels, namespaces: Mapping[str, Labels]) -> bool:
        """Whether a pod of these labels is meant. `namespaces`: the labels of each."""
        is_of = namespace in self.namespaces or (
            self.depends_on_namespaces
            and self.namespace_selector.matches(namespaces.get(namespace, {}))
        )
        return is_of and self.selector.matches(labels)


class AllOf(msgspec.Struct, frozen=True):
    """Pods that all of several matches mean."""

    all: tuple[PodMatch, ...]
    is_terminating_counted: bool = True

    @property
    def depends_on_namespaces(self) -> bool:
        """Whether labels of namespaces are looked at."""
        return any(one.depends_on_namespaces for one in self.all)

    def matches(self, namespace: str, labels: Labels, namespaces: Mapping[str, Labels]) -> bool:
        """As that of `PodMatch`."""
        return all(one.matches(namespace, labels, namespaces) for one in self.all)


class Term(msgspec.Struct, frozen=True):
    """Pods, and the label of nodes by which they are near or not."""

    match: PodMatch
    topology_key: str


class Carried(msgspec.Struct, frozen=True):
    """A term of a pod that runs, and what it is worth to a pod that it matches.

    weight  0: a required anti-affinity, which keeps the other away
    """

    term: Term
    weight: int


class Spread(msgspec.Struct, frozen=True):
    """One topology spread constraint."""

    match: PodMatch
    topology_key: str
    max_skew: int
    is_required: bool
    min_domains: int = 1
    is_affinity_honored: bool = True
    are_taints_honored: bool = False


class Terms(msgspec.Struct, frozen=True):
    """All that a pod says of others; weights of anti-affinity are negative."""

    affinity: tuple[Term, ...] = ()
    anti_affinity: tuple[Term, ...] = ()
    preferred: tuple[tuple[int, Term], ...] = ()
    spreads: tuple[Spread, ...] = ()
    are_spreads_default: bool = False

    @property
    def carried(self) -> tuple[Carried, ...]:
        """What matters of them to pods that come later."""
        kept = [Carried(term, 0) for term in self.anti_affinity]
        kept += [Carried(term, HARD_AFFINITY_WEIGHT) for term in self.affinity]
        kept += [Carried(term, weight) for weight, term in self.preferred if weight]
        return tuple(kept)


def terms_of(pod: Pod, default: LabelSelector | None) -> Terms:
    """Of a pod. `default`: which pods are of its kind, for spread where it says nothing itself."""
    affinity = pod.spec.affinity or Affinity()
    near = affinity.pod_affinity or PodAffinity()
    apart = affinity.pod_anti_affinity or PodAntiAffinity()
    spreads = tuple(_spread(pod, one) for one in pod.spec.topology_spread_constraints)
    is_default = not spreads and default is not None
    if default is not None and not spreads:
        spreads = _default_spreads(pod, default)
    return Terms(
        affinity=_required(pod, near.required_during_scheduling_ignored_during_execution),
        anti_affinity=_required(pod, apart.required_during_scheduling_ignored_during_execution),
        preferred=(
            *_preferred(pod, near.preferred_during_scheduling_ignored_during_execution, 1),
            *_preferred(pod, apart.preferred_during_scheduling_ignored_during_execution, -1),
        ),
        spreads=spreads,
        are_spreads_default=is_default,
    )


def selector_of(found: meta_v1.LabelSelector | None) -> LabelSelector:
    """None selects nothing; neither does one that a stranger wrote and nobody can read."""
    if found is None:
        return NOTHING
    try:
        return selectors.from_object(tree_of(found))
    except ApiError:
        return NOTHING


def _required(pod: Pod, found: Iterable[PodAffinityTerm]) -> tuple[Term, ...]:
    return tuple(_term(pod, one) for one in found)


def _preferred(
    pod: Pod, found: Iterable[WeightedPodAffinityTerm], sign: int
) -> Iterator[tuple[int, Term]]:
    for one in found:
        yield sign * one.weight, _term(pod, one.pod_affinity_term)


def _term(pod: Pod, term: PodAffinityTerm) -> Term:
    namespaces = frozenset(term.namespaces)
    if not namespaces and term.namespace_selector is None:
        namespaces = frozenset((pod.metadata.namespace,))
    selector = _with_label_keys(
        selector_of(term.label_selector), pod, term.match_label_keys, term.mismatch_label_keys
    )
    match = PodMatch(namespaces, selector, selector_of(term.namespace_selector))
    return Term(match, term.topology_key)


def _with_label_keys(
    selector: LabelSelector, pod: Pod, same: Iterable[str], others: Iterable[str] = ()
) -> LabelSelector:
    """`matchLabelKeys` and `mismatchLabelKeys`: the pod's own values of these labels (7.5)."""
    labels = pod.metadata.labels
    wanted: list[tuple[str, Literal["in", "notin"]]] = [(key, "in") for key in same]
    wanted += [(key, "notin") for key in others]
    more = tuple(
        Requirement(key, operator, frozenset((labels[key],)))
        for key, operator in wanted
        if key in labels
    )
    if selector.is_nothing or not more:
        return selector
    return LabelSelector((*selector.requirements, *more))


def _spread(pod: Pod, found: TopologySpreadConstraint) -> Spread:
    selector = _with_label_keys(selector_of(found.label_selector), pod, found.match_label_keys)
    return Spread(
        match=_own(pod, selector),
        topology_key=found.topology_key,
        max_skew=found.max_skew,
        is_required=found.when_unsatisfiable == "DoNotSchedule",
        min_domains=found.min_domains or 1,
        is_affinity_honored=found.node_affinity_policy != "Ignore",
        are_taints_honored=found.node_taints_policy == "Honor",
    )


def _own(pod: Pod, selector: LabelSelector) -> PodMatch:
    """Spread is over pods of the same namespace that stay. An empty selector counts none."""
    counted = NOTHING if selector == EVERYTHING else selector
    namespaces = frozenset((pod.metadata.namespace,))
    return PodMatch(namespaces, counted, is_terminating_counted=False)


def _default_spreads(pod: Pod, selector: LabelSelector) -> tuple[Spread, ...]:
    """7.5: hostname with skew 3, zone with skew 5, neither of them required."""
    match = _own(pod, selector)
    return (
        Spread(match, HOSTNAME, max_skew=3, is_required=False),
        Spread(match, ZONE, max_skew=5, is_required=False),
    )
