"""Cluster roles: rules of the whole cluster, or collected from other cluster roles. PURE.

Source: Kubernetes' "Using RBAC Authorization" (aggregated ClusterRoles); kube-behaviour 11.3.
"""

from collections.abc import Iterator

from controlplane.api.causes import required
from controlplane.api.errors import Cause
from controlplane.api.kinds.role import NAME_RULE, created_at, validate_rules
from controlplane.api.resource import Object, Strategy
from controlplane.api.selectors import validate_selector


def _validate(role: Object) -> list[Cause]:
    return [
        *validate_rules(role, is_namespaced=False),
        *_aggregation(role.get("aggregationRule")),
    ]


def _aggregation(rule: Object | None) -> Iterator[Cause]:
    if rule is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    selectors = rule.get("clusterRoleSelectors") or ()
    if not selectors:
        why = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        yield required(path, why)
    for position, selector in enumerate(selectors):
        yield from validate_selector(selector, f"{path}[{position}]")


STRATEGY = Strategy(name_rule=NAME_RULE, validate=_validate, cells={"created_at": created_at})
