"""ClusterRoles with an aggregationRule have the rules of all roles that it selects.

Source: Kubernetes' documentation, "Aggregated ClusterRoles"; kube-behaviour 11.3.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from controlplane.api.aggregation import aggregated
from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import ObjectStore


def controller(context: Context) -> Controller:
    """Of ClusterRoles: whichever changes, all that are made of others need a look."""
    roles = context.resource("rbac.authorization.k8s.io", "clusterroles")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        for name, rules in plan(lister.list(roles)):
            await store.update(roles, "", name, partial(_with_rules, rules))

    return Controller("clusterrole aggregation", roles, reconcile)


def _with_rules(rules: Sequence[Object], old: Object) -> Object:
    return {**old, "rules": list(rules)}


def plan(roles: Sequence[Object]) -> list[tuple[str, Sequence[Object]]]:
    """Names of roles whose rules differ from those that they select, and these. Pure."""
    return [
        (str(role["metadata"]["name"]), rules)
        for role in roles
        if (selectors := _selectors(role)) is not None
        and (rules := aggregated(selectors, roles, but=str(role["metadata"]["name"])))
        != list(role.get("rules") or ())
    ]


def _selectors(role: Object) -> Sequence[Object] | None:
    """None: the role's rules are its own."""
    rule = role.get("aggregationRule")
    return None if rule is None else list(_given(rule))


def _given(rule: Object) -> Iterable[Object]:
    return rule.get("clusterRoleSelectors") or ()
