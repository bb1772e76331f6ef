"""Validation of where a pod may run: selectors, affinity, tolerations, spread. PURE.

Source: Kubernetes, "Assigning Pods to Nodes", "Taints and Tolerations", "Pod Topology Spread
Constraints"; kube-behaviour 7.3, 7.5.
"""

from collections.abc import Iterator
from typing import Any

from controlplane.api import selectors, syntaxes
from controlplane.api.causes import duplicate, forbidden, invalid, not_supported, required
from controlplane.api.checks import one_of, one_of_if_set, syntax
from controlplane.api.errors import Cause
from controlplane.api.resource import Object

EFFECTS = frozenset(("NoSchedule", "PreferNoSchedule", "NoExecute"))
_INCLUSIONS = frozenset(("Honor", "Ignore"))
_WHEN_UNSATISFIABLE = frozenset(("DoNotSchedule", "ScheduleAnyway"))
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT_MAX = 100


def validate_affinity(affinity: Object, path: str) -> Iterator[Cause]:
    """`spec.affinity`."""
    node = affinity.get("nodeAffinity")
    if node:
        yield from _node_affinity(node, f"{path}.nodeAffinity")
    for kind in ("podAffinity", "podAntiAffinity"):
        if affinity.get(kind):
            yield from _pod_affinity(affinity[kind], f"{path}.{kind}")


def _node_affinity(affinity: Object, path: str) -> Iterator[Cause]:
    selector = affinity.get(_REQUIRED)
    if selector is not None:
        yield from validate_node_selector(selector, f"{path}.{_REQUIRED}")
    for position, term in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{position}]"
        yield from _weight(term, at)
        yield from _node_term(term.get("preference") or {}, f"{at}.preference")


def validate_node_selector(selector: Object, path: str) -> Iterator[Cause]:
    """Terms of which one must hold: a pod's node affinity, or that of a volume."""
    terms = selector.get("nodeSelectorTerms")
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for position, term in enumerate(terms or ()):
        yield from _node_term(term, f"{path}.nodeSelectorTerms[{position}]")


def _weight(term: Object, path: str) -> Iterator[Cause]:
    weight = term.get("weight") or 0
    if not 0 < weight <= _WEIGHT_MAX:
        yield invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _node_term(term: Object, path: str) -> Iterator[Cause]:
    for position, requirement in enumerate(term.get("matchExpressions") or ()):
        yield from _node_requirement(requirement, f"{path}.matchExpressions[{position}]")
    for position, requirement in enumerate(term.get("matchFields") or ()):
        at = f"{path}.matchFields[{position}]"
        if requirement.get("operator") not in ("In", "NotIn"):
            yield invalid(
                f"{at}.operator", requirement.get("operator"), "not a valid selector operator"
            )
        elif len(requirement.get("values") or ()) != 1:
            why = (
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
            yield required(f"{at}.values", why)
        if requirement.get("key") != "metadata.name":
            yield invalid(f"{at}.key", requirement.get("key"), "not a valid field selector key")


def _node_requirement(requirement: Object, path: str) -> Iterator[Cause]:
    operator, values = requirement.get("operator"), requirement.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", selectors.VALUES_MUST)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", selectors.VALUES_MUST_NOT)
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            yield required(f"{path}.values", why)
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    for why in syntaxes.faults_of_qualified_name(requirement.get("key") or ""):
        yield invalid(f"{path}.key", requirement.get("key"), why)


def _pod_affinity(affinity: Object, path: str) -> Iterator[Cause]:
    for position, term in enumerate(affinity.get(_REQUIRED) or ()):
        yield from _pod_term(term, f"{path}.{_REQUIRED}[{position}]")
    for position, weighted in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{position}]"
        yield from _weight(weighted, at)
        yield from _pod_term(weighted.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")


def _pod_term(term: Object, path: str) -> Iterator[Cause]:
    for field in ("labelSelector", "namespaceSelector"):
        if term.get(field) is not None:
            yield from selectors.validate_selector(term[field], f"{path}.{field}")
    for name in term.get("namespaces") or ():
        for why in syntaxes.faults_of_label(name):
            yield invalid(f"{path}.namespace", name, why)
    yield from _topology_key(term.get("topologyKey"), path)


def _topology_key(key: str | None, path: str) -> Iterator[Cause]:
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    else:
        for why in syntaxes.faults_of_qualified_name(key):
            yield invalid(f"{path}.topologyKey", key, why)


def validate_tolerations(tolerations: list[Object], path: str) -> Iterator[Cause]:
    """`spec.tolerations`."""
    for position, toleration in enumerate(tolerations):
        yield from _toleration(toleration, f"{path}[{position}]")


def _toleration(toleration: Object, path: str) -> Iterator[Cause]:
    key, operator = toleration.get("key"), toleration.get("operator") or "Equal"
    value, effect = toleration.get("value") or "", toleration.get("effect")
    if key:
        for why in syntaxes.faults_of_qualified_name(key):
            yield invalid(f"{path}.key", key, why)
    elif operator != "Exists":
        why = (
            "operator must be Exists when `key` is empty, "
            'which means "match all values and all keys"'
        )
        yield invalid(f"{path}.operator", operator, why)
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield invalid(f"{path}.effect", effect or "", why)
    if operator == "Equal":
        for why in syntaxes.faults_of_label_value(value):
            yield invalid(f"{path}.operator", value, why)
    elif operator != "Exists":
        yield not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    elif value:
        why = "value must be empty when `operator` is 'Exists'"
        yield invalid(f"{path}.operator", value, why)
    yield from one_of_if_set(f"{path}.effect", effect, EFFECTS)


def validate_taints(taints: list[Object], path: str) -> Iterator[Cause]:
    """`spec.taints` of a node: one for each key and effect."""
    taken: set[tuple[Any, Any]] = set()
    for position, taint in enumerate(taints):
        at = f"{path}[{position}]"
        key, value, effect = taint.get("key"), taint.get("value") or "", taint.get("effect")
        yield from syntax(f"{at}.key", key, syntaxes.faults_of_qualified_name)
        for why in syntaxes.faults_of_label_value(value):
            yield invalid(f"{at}.value", value, why)
        yield from one_of(f"{at}.effect", effect, EFFECTS)
        if (key, effect) in taken:
            yield duplicate(at, dict(taint))
        taken.add((key, effect))


def validate_spread(constraints: list[Object], path: str) -> Iterator[Cause]:
    """`spec.topologySpreadConstraints`."""
    taken: set[tuple[Any, Any]] = set()
    for position, constraint in enumerate(constraints):
        at = f"{path}[{position}]"
        yield from _constraint(constraint, at)
        key, action = constraint.get("topologyKey"), constraint.get("whenUnsatisfiable")
        if (key, action) in taken:
            yield duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
        taken.add((key, action))


def _constraint(constraint: Object, path: str) -> Iterator[Cause]:
    counts = {"maxSkew": constraint.get("maxSkew") or 0, "minDomains": constraint.get("minDomains")}
    for field, count in counts.items():
        if count is not None and count <= 0:
            yield invalid(f"{path}.{field}", count, "must be greater than zero")
    yield from _topology_key(constraint.get("topologyKey"), path)
    action = constraint.get("whenUnsatisfiable")
    if action not in _WHEN_UNSATISFIABLE:
        yield not_supported(f"{path}.whenUnsatisfiable", action or "", _WHEN_UNSATISFIABLE)
    if constraint.get("minDomains") is not None and action != "DoNotSchedule":
        why = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
        yield invalid(f"{path}.minDomains", constraint["minDomains"], why)
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        yield from one_of_if_set(f"{path}.{field}", constraint.get(field), _INCLUSIONS)
    selector = constraint.get("labelSelector")
    if selector is not None:
        yield from selectors.validate_selector(selector, f"{path}.labelSelector")
    if constraint.get("matchLabelKeys") and selector is None:
        yield forbidden(
            f"{path}.matchLabelKeys", "must not be specified when labelSelector is not set"
        )
