"""ClusterRoles with an aggregationRule have the rules of all roles that it selects.

Source: Kubernetes' documentation, "Aggregated ClusterRoles"; kube-behaviour 11.3.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from controlplane.api.aggregation import aggregated
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

_ALL = Key("", "")
"""All that are made of others need a look: one, however many roles have changed."""


def controller(context: Context) -> Controller:
    """Of ClusterRoles: whichever changes, all that are made of others need a look."""
    roles = context.resource("rbac.authorization.k8s.io", "clusterroles")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        if key != _ALL:
            return
        failed: list[ApiError] = []
        for role, rules in plan(lister.list(roles)):
            metadata, change = role["metadata"], partial(_with_rules, rules)
            # Who takes the rule away writes rules of its own: they are not to be lost.
            version = metadata["resourceVersion"]
            try:
                await store.update(
                    roles, "", metadata["name"], change, resource_version=version, known=role
                )
            except ApiError as error:
                if error.code != 404:
                    failed.append(error)
        if failed:
            raise failed[0]

    return Controller(
        "clusterrole aggregation", roles, reconcile, triggers=[Trigger(roles, lambda role: [_ALL])]
    )


def _with_rules(rules: Sequence[Object], old: Object) -> Object:
    return {**old, "rules": list(rules)}


def plan(roles: Sequence[Object]) -> list[tuple[Object, Sequence[Object]]]:
    """Roles whose rules differ from those that they select, and these. Pure."""
    known = [role for role in roles if is_well_formed(role)]
    changed: list[tuple[Object, Sequence[Object]]] = []
    for role in known:
        name, rule = str(role["metadata"]["name"]), role.get("aggregationRule")
        if rule is None:
            continue  # its rules are its own
        try:
            rules = aggregated(rule.get("clusterRoleSelectors") or (), known, but=name)
        except ApiError:
            continue  # it selects in a way that nobody understands
        if rules != list(role.get("rules") or ()):
            changed.append((role, rules))
    return changed


def is_well_formed(role: Object) -> bool:
    """Whether the API server may have written it: what a stranger wrote is left as it is. Pure."""
    metadata, rule = role["metadata"], role.get("aggregationRule")
    labels = metadata.get("labels") or {}
    selectors = rule.get("clusterRoleSelectors") if isinstance(rule, Mapping) else None
    return (
        isinstance(metadata.get("name"), str)
        and isinstance(labels, Mapping)
        and all(isinstance(value, str) for value in labels.values())
        and isinstance(role.get("rules") or [], list)
        and (rule is None or isinstance(rule, Mapping))
        and isinstance(selectors or [], list)
    )
