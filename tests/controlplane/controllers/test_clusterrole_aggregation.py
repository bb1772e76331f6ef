"""ClusterRoles that are made of others. Numbers are rows of kube-behaviour.md."""

from collections.abc import Sequence
from typing import Any

import pytest

from controlplane.api.aggregation import aggregated
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.controller import Lister
from controlplane.controllers import clusterrole_aggregation
from controlplane.controllers.clusterrole_aggregation import plan
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.objects import ObjectStore
from tests.controlplane.controllers.conftest import Cluster, until

READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
WRITE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}


def _role(name: str, *rules: Any, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules)}


def _made_of(name: str, *selectors: Any, **labels: str) -> dict[str, Any]:
    return {**_role(name, **labels), "aggregationRule": {"clusterRoleSelectors": list(selectors)}}


def test_rules_are_those_of_all_selected_roles_each_once() -> None:
    """11.3."""
    roles = [_role("b", WRITE, READ, to="x"), _role("a", READ, to="x"), _role("c", WRITE, to="y")]
    assert aggregated([{"matchLabels": {"to": "x"}}], roles) == [READ, WRITE]
    expression = {"key": "to", "operator": "In", "values": ["y"]}
    assert aggregated([{"matchExpressions": [expression]}], roles) == [WRITE]
    assert aggregated([], roles) == []


def test_role_is_no_part_of_itself() -> None:
    """11.3: or a rule would never go away again."""
    whole = {**_made_of("whole", {"matchLabels": {"to": "x"}}, to="x"), "rules": [WRITE]}
    assert plan([whole, _role("a", READ, to="x")]) == [(whole, [READ])]


def test_role_that_is_right_is_not_written() -> None:
    whole = {**_made_of("whole", {"matchLabels": {"to": "x"}}), "rules": [READ]}
    assert plan([whole, _role("a", READ, to="x"), _role("b", WRITE)]) == []


async def test_roles_of_roles_follow(cluster: Cluster, store: ObjectStore, namespace: str) -> None:
    """11.3: aggregation."""
    roles = cluster.resource("clusterroles")
    one, two, three = (f"{namespace}-{word}" for word in ("one", "two", "three"))
    async with cluster.running(clusterrole_aggregation.controller):
        await store.create(roles, _made_of(three, {"matchLabels": {two: "yes"}}))
        await store.create(roles, _made_of(two, {"matchLabels": {one: "yes"}}, **{two: "yes"}))
        await store.create(roles, _role(one, READ, **{one: "yes"}))

        async def has(*rules: Any) -> bool:
            return bool((await store.get(roles, "", three))["rules"] == list(rules))

        await until(lambda: has(READ))
        await store.update(roles, "", one, lambda old: {**old, "rules": [WRITE]})
        await until(lambda: has(WRITE))
        await store.delete(roles, "", one)
        await until(has)


class _Late(Lister):
    """A cache that has heard of nothing since."""

    def __init__(self, found: Sequence[Object]) -> None:
        super().__init__({})
        self._found = found

    def list(self, resource: Resource, namespace: str = "") -> Sequence[Object]:
        return self._found


async def test_role_that_is_made_of_others_no_more_keeps_its_own_rules(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """11.3: somebody has taken its aggregationRule away; a cache that is late tells of it still."""
    roles = cluster.resource("clusterroles")
    whole = _made_of(f"{namespace}-whole", {"matchLabels": {namespace: "yes"}})
    made = [whole, _role(f"{namespace}-part", READ, **{namespace: "yes"})]
    late = _Late([await store.create(roles, one) for one in made])

    def own(old: Object) -> Object:
        kept = {name: value for name, value in old.items() if name != "aggregationRule"}
        return {**kept, "rules": [WRITE]}

    await store.update(roles, "", f"{namespace}-whole", own)
    context = Context(registry=cluster.registry, recorder=EventRecorder(store, "test"))
    with pytest.raises(ApiError) as refused:
        await clusterrole_aggregation.controller(context).reconcile(Key("", ""), late, store)
    assert refused.value.code == 409, "it is looked at again"
    assert (await store.get(roles, "", f"{namespace}-whole"))["rules"] == [WRITE]
