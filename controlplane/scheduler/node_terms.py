"""Which nodes a pod accepts by their labels and names, compiled. PURE.

Source: Kubernetes, "Assigning Pods to Nodes" (nodeSelector, node affinity); kube-behaviour 7.3.
"""

from collections.abc import Mapping

import msgspec

from controlplane.api.selectors import INTEGER, Requirement
from controlplane.api.types.core_v1 import (
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodSpec,
)

_OPERATORS = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
    "Gt": "gt",
    "Lt": "lt",
}
_NAME = "metadata.name"


class NodeTerm(msgspec.Struct, frozen=True):
    """All of it must hold. `names` are requirements on the node's name."""

    labels: tuple[Requirement, ...] = ()
    names: tuple[Requirement, ...] = ()

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node is accepted."""
        return all(one.matches(labels) for one in self.labels) and all(
            one.matches({_NAME: name}) for one in self.names
        )


class NodeAsk(msgspec.Struct, frozen=True):
    """selector   labels that the node must have
    required   of these terms one must hold; None: there are none
    preferred  weights of terms
    """

    selector: NodeTerm = NodeTerm()
    required: tuple[NodeTerm, ...] | None = None
    preferred: tuple[tuple[int, NodeTerm], ...] = ()

    @property
    def is_choosy(self) -> bool:
        """Whether there may be nodes that it does not accept."""
        return bool(self.selector.labels) or self.required is not None

    def accepts(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node may be had at all."""
        return self.selector.matches(name, labels) and (
            self.required is None or any(one.matches(name, labels) for one in self.required)
        )

    @property
    def only_names(self) -> frozenset[str] | None:
        """The only nodes that can be meant, as a DaemonSet's pods name theirs; None: any."""
        if not self.required:
            return None
        found: frozenset[str] = frozenset()
        for term in self.required:
            named = [one.values for one in term.names if one.operator == "in"]
            if not named:
                return None
            found |= frozenset.intersection(*named)
        return found


def ask_of(spec: PodSpec) -> NodeAsk:
    """Of a pod."""
    selector = NodeTerm(
        tuple(
            Requirement(key, "in", frozenset((value,)))
            for key, value in sorted(spec.node_selector.items())
        )
    )
    affinity = spec.affinity.node_affinity if spec.affinity else None
    if affinity is None:
        return NodeAsk(selector)
    required = affinity.required_during_scheduling_ignored_during_execution
    return NodeAsk(
        selector,
        None if required is None else _terms(required.node_selector_terms),
        tuple(
            (one.weight, term)
            for one in affinity.preferred_during_scheduling_ignored_during_execution
            for term in _terms((one.preference,))
        ),
    )


def _terms(found: tuple[NodeSelectorTerm, ...]) -> tuple[NodeTerm, ...]:
    """Without those that match nothing: empty ones, and what nobody can read."""
    compiled = (_term(one) for one in found)
    return tuple(one for one in compiled if one is not None)


def _term(found: NodeSelectorTerm) -> NodeTerm | None:
    labels = [_requirement(one) for one in found.match_expressions]
    names = [_requirement(one) for one in found.match_fields if one.key == _NAME]
    known_labels = tuple(one for one in labels if one is not None)
    known_names = tuple(one for one in names if one is not None)
    is_readable = len(known_labels) == len(labels) and len(known_names) == len(found.match_fields)
    if not is_readable or not (known_labels or known_names):
        return None
    return NodeTerm(known_labels, known_names)


def _requirement(found: NodeSelectorRequirement) -> Requirement | None:
    operator = _OPERATORS.get(found.operator, "")
    is_bound = len(found.values) == 1 and INTEGER.fullmatch(found.values[0]) is not None
    if not operator or (operator in ("gt", "lt") and not is_bound):
        return None
    return Requirement(found.key, operator, frozenset(found.values))
