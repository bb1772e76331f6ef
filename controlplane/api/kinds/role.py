"""Roles: rules that name resources of their namespace. PURE.

Source: Kubernetes' "Using RBAC Authorization"; kube-behaviour 11.3.
"""

from collections.abc import Iterator

from controlplane.api.causes import invalid, required
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy


def validate_rules(role: Object, *, is_namespaced: bool) -> Iterator[Cause]:
    """Each rule is of resources or, for the whole cluster, of URLs that are none."""
    for position, rule in enumerate(role.get("rules") or ()):
        yield from _rule(rule, f"rules[{position}]", is_namespaced=is_namespaced)


def _rule(rule: Object, path: str, *, is_namespaced: bool) -> Iterator[Cause]:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs")
    if urls:
        place = f"{path}.nonResourceURLs"
        if is_namespaced:
            yield invalid(place, urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid(place, urls, why)
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


def created_at(obj: Object, now: float) -> str:
    """The moment itself, not how long ago it was."""
    return str((obj.get("metadata") or {}).get("creationTimestamp") or "<unknown>")


def _validate(role: Object) -> list[Cause]:
    return [*validate_rules(role, is_namespaced=True)]


NAME_RULE = "path-segment"
"""Names of RBAC objects may have colons: they only must fit into a path."""

STRATEGY = Strategy(name_rule=NAME_RULE, validate=_validate, cells={"created_at": created_at})
