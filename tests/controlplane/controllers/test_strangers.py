"""What a stranger wrote past the API server harms nothing but itself.

Bytes are put as by etcdctl: some cannot be read, some are JSON that no API server would have taken.
Numbers are rows of kube-behaviour.md.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import orjson
import pytest

from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister
from controlplane.controllers import (
    clusterrole_aggregation,
    custom_resource_cleanup,
    custom_resource_names,
    garbage_collector,
    namespaces,
    resource_quota,
    root_ca,
    service_accounts,
    token_secrets,
)
from controlplane.controllers.conditions import is_true
from controlplane.controllers.context import Context, custom_resource
from controlplane.indexer import Key
from controlplane.objects import ObjectStore
from kvstore.client import Client
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.objects import config_map, definition

BROKEN = b'{"kind":"Secret'


@asynccontextmanager
async def _put(
    client: Client, resource: Resource, namespace: str, name: str, value: bytes | dict[str, Any]
) -> AsyncIterator[None]:
    """Something in the place of an object, as long as the test runs."""
    key = resource.key(namespace, name)
    if isinstance(value, dict):
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        value = orjson.dumps({**value, "metadata": metadata | value.get("metadata", {})})
    await client.put(key, value)
    try:
        yield
    finally:
        await client.delete(key)


def _said(found: Object | None) -> dict[str, tuple[str, str]]:
    assert found is not None
    conditions = (found.get("status") or {}).get("conditions") or ()
    return {one["type"]: (one["status"], one["message"]) for one in conditions}


# ---------------------------------------------------------------------- namespaces


async def test_namespace_waits_for_what_cannot_be_read_and_empties_itself_of_the_rest(
    cluster: Cluster, store: ObjectStore, client: Client, namespace: str
) -> None:
    """3.1: NamespaceDeletionContentFailure; what is there keeps the namespace, whatever it is."""
    secrets = cluster.resource("secrets")
    await cluster.namespace(namespace)
    for number in range(3):
        await cluster.create("configmaps", config_map(namespace, f"m{number}"))

    async def is_told() -> bool:
        said = _said(await cluster.find("namespaces", "", namespace))
        status, message = said.get("NamespaceDeletionContentFailure", ("", ""))
        return status == "True" and secrets.key(namespace, "s") in message

    async def is_gone() -> bool:
        return await cluster.find("namespaces", "", namespace) is None

    async with cluster.running(namespaces.controller):
        async with _put(client, secrets, namespace, "s", BROKEN):
            await store.delete(cluster.resource("namespaces"), "", namespace)
            await until(is_told)
            assert not await cluster.names("configmaps", namespace)
        await until(is_gone)


async def test_namespace_waits_while_a_definition_cannot_be_read(
    cluster: Cluster, store: ObjectStore, client: Client, namespace: str
) -> None:
    """3.1: NamespaceDeletionDiscoveryFailure: objects of that kind may be in it."""
    definitions = cluster.resource("customresourcedefinitions")
    place = f"gears.{namespace}.example.com"
    await cluster.namespace(namespace)

    async def is_told() -> bool:
        said = _said(await cluster.find("namespaces", "", namespace))
        status, message = said.get("NamespaceDeletionDiscoveryFailure", ("", ""))
        return status == "True" and place in message

    async def is_gone() -> bool:
        return await cluster.find("namespaces", "", namespace) is None

    async with cluster.running(namespaces.controller):
        async with _put(client, definitions, "", place, BROKEN):
            await store.delete(cluster.resource("namespaces"), "", namespace)
            await until(is_told)
        await until(is_gone)


# ----------------------------------------------------------------- custom resources


async def test_definition_waits_for_custom_resources_that_cannot_be_read(
    cluster: Cluster, store: ObjectStore, client: Client, namespace: str
) -> None:
    """11.7: its objects go, then it does; none stays behind unseen."""
    group = f"{namespace}.example.com"
    made = await cluster.create("customresourcedefinitions", definition("gears", "Gear", group))
    gears = custom_resource(made)
    assert gears is not None
    await store.create(gears, {"metadata": {"name": "g", "namespace": namespace}})

    async def is_told() -> bool:
        found = await cluster.find("customresourcedefinitions", "", f"gears.{group}")
        return _said(found).get("Terminating") == ("True", "1 objects remain")

    async def is_gone() -> bool:
        found = await cluster.find("customresourcedefinitions", "", f"gears.{group}")
        return found is None

    async with cluster.running(custom_resource_cleanup.controller):
        async with _put(client, gears, namespace, "broken", BROKEN):
            await store.delete(cluster.resource("customresourcedefinitions"), "", f"gears.{group}")
            await until(is_told)
            assert not (await store.list(gears, namespace)).raw
        await until(is_gone)


MALFORMED_DEFINITIONS: list[dict[str, Any]] = [
    {"spec": []},
    {},
    {"spec": {"group": 7, "names": []}},
    {"spec": {"group": "GROUP", "names": {"plural": {}, "shortNames": [[]]}}},
    {"spec": {"group": "GROUP", "names": {"plural": "a"}}, "status": {"conditions": [1]}},
]


@pytest.mark.parametrize("malformed", MALFORMED_DEFINITIONS)
async def test_names_are_accepted_beside_a_definition_that_is_none(
    cluster: Cluster, client: Client, namespace: str, malformed: dict[str, Any]
) -> None:
    """11.7."""
    group = f"{namespace}.example.com"
    definitions = cluster.resource("customresourcedefinitions")
    value = orjson.loads(orjson.dumps(malformed).replace(b"GROUP", group.encode()))
    async with (
        _put(client, definitions, "", f"a.{group}", value),
        cluster.running(custom_resource_names.controller),
    ):
        await cluster.create("customresourcedefinitions", definition("gears", "Gear", group))

        async def is_established() -> bool:
            found = await cluster.find("customresourcedefinitions", "", f"gears.{group}")
            return found is not None and is_true(found, "Established")

        await until(is_established)


# -------------------------------------------------------------------- cluster roles

READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
MALFORMED_ROLES: list[dict[str, Any]] = [
    {"metadata": {"labels": 3}},
    {"metadata": {"labels": {"to": ["x"]}}},
    {"rules": 3},
    {"aggregationRule": "all"},
    {"aggregationRule": {"clusterRoleSelectors": 3}},
    {"aggregationRule": {"clusterRoleSelectors": [3]}},
    {"aggregationRule": {"clusterRoleSelectors": [{"matchExpressions": [{"operator": "?"}]}]}},
]


@pytest.mark.parametrize("malformed", MALFORMED_ROLES)
async def test_roles_are_made_of_others_beside_one_that_is_none(
    cluster: Cluster, store: ObjectStore, client: Client, namespace: str, malformed: dict[str, Any]
) -> None:
    """11.3."""
    roles = cluster.resource("clusterroles")
    rule = {"clusterRoleSelectors": [{"matchLabels": {namespace: "yes"}}]}
    async with (
        _put(client, roles, "", f"a-{namespace}", malformed),
        cluster.running(clusterrole_aggregation.controller),
    ):
        whole, part = f"whole-{namespace}", f"part-{namespace}"
        await store.create(roles, {"metadata": {"name": whole}, "aggregationRule": rule})
        labelled = {"name": part, "labels": {namespace: "yes"}}
        await store.create(roles, {"metadata": labelled, "rules": [READ]})

        async def is_whole() -> bool:
            return (await store.get(roles, "", whole)).get("rules") == [READ]

        await until(is_whole)


async def test_many_roles_need_few_looks(
    cluster: Cluster, store: ObjectStore, namespace: str
) -> None:
    """Each look is at all of them: one for each would be too many."""
    roles = cluster.resource("clusterroles")
    for number in range(200):
        metadata = {"name": f"{namespace}-{number}", "labels": {namespace: "yes"}}
        await store.create(
            roles, {"metadata": metadata, "rules": [{**READ, "verbs": [str(number)]}]}
        )
    rule = {"clusterRoleSelectors": [{"matchLabels": {namespace: "yes"}}]}
    whole = f"{namespace}-whole"
    await store.create(roles, {"metadata": {"name": whole}, "aggregationRule": rule})
    lists = 0

    class _Counting(Lister):
        def list(self, resource: Resource, namespace: str = "") -> Any:
            nonlocal lists
            lists += 1
            return super().list(resource, namespace)

    def make(context: Context) -> Controller:
        made = clusterrole_aggregation.controller(context)

        async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
            return await made.reconcile(key, _Counting(lister._informers), store)

        return msgspec.structs.replace(made, reconcile=reconcile)

    async with cluster.running(make):

        async def is_whole() -> bool:
            return len((await store.get(roles, "", whole)).get("rules") or ()) == 200

        await until(is_whole)
    assert lists < 20


# ----------------------------------------------------------------------- all others


async def test_quota_is_counted_beside_what_cannot_be(
    cluster: Cluster, client: Client, namespace: str
) -> None:
    """8.2: neither a pod nor another quota keeps it from that."""
    pods, quotas = cluster.resource("pods"), cluster.resource("resourcequotas")
    await cluster.create("pods", {"metadata": {"name": "p", "namespace": namespace}, "spec": {}})
    async with (
        _put(client, pods, namespace, "a", {"spec": {"containers": [3]}}),
        _put(client, pods, namespace, "b", BROKEN),
        _put(client, quotas, namespace, "a", {"spec": []}),
        _put(client, quotas, namespace, "b", {"spec": {"hard": {"pods": "many"}}}),
        cluster.running(resource_quota.controller),
    ):
        quota = {"metadata": {"name": "q", "namespace": namespace}, "spec": {"hard": {"pods": "5"}}}
        await cluster.create("resourcequotas", quota)

        async def is_counted() -> bool:
            found = await cluster.find("resourcequotas", namespace, "q")
            return found is not None and (found.get("status") or {}).get("used") == {"pods": "1"}

        await until(is_counted)


async def test_reference_without_a_uid_is_to_nobody_who_is_gone(
    cluster: Cluster, store: ObjectStore, client: Client, namespace: str
) -> None:
    """3.2: an object without a uid that goes takes nobody with it."""
    maps = cluster.resource("configmaps")
    reference = {"apiVersion": "nobody.example.com/v1", "kind": "Unknown", "name": "x", "uid": ""}
    async with cluster.running(garbage_collector.controller):
        async with _put(client, maps, namespace, "x", {"apiVersion": "v1", "kind": "ConfigMap"}):
            await cluster.create("configmaps", config_map(namespace, "before"))
        metadata = {"name": "kept", "namespace": namespace, "ownerReferences": [reference]}
        await store.create(maps, {"metadata": metadata})
        owner = await cluster.create("configmaps", config_map(namespace, "owner"))
        await cluster.create("configmaps", config_map(namespace, "owned", owner))
        await store.delete(maps, namespace, "owner")

        async def is_collected() -> bool:
            return "owned" not in await cluster.names("configmaps", namespace)

        await until(is_collected)
        assert "kept" in await cluster.names("configmaps", namespace)


async def test_namespaces_get_what_they_need_beside_what_cannot_be_read(
    cluster: Cluster, store: ObjectStore, client: Client, namespace: str
) -> None:
    """3.1, 11.2: an account, a certificate, a token; a broken object of each kind is in the way."""
    broken = [
        (cluster.resource(plural), space, f"broken-{namespace}")
        for plural, space in (
            ("namespaces", ""),
            ("serviceaccounts", namespace),
            ("configmaps", namespace),
            ("secrets", namespace),
        )
    ]
    for resource, space, name in broken:
        await client.put(resource.key(space, name), BROKEN)
    controllers = (service_accounts, root_ca, token_secrets)
    async with cluster.running(*(one.controller for one in controllers)):
        await cluster.namespace(namespace)
        annotations = {"kubernetes.io/service-account.name": "default"}
        secret = {
            "metadata": {"name": "t", "namespace": namespace, "annotations": annotations},
            "type": "kubernetes.io/service-account-token",
        }

        def has(plural: str, name: str) -> Callable[[], Awaitable[bool]]:
            async def is_there() -> bool:
                return await cluster.find(plural, namespace, name) is not None

            return is_there

        await until(has("serviceaccounts", "default"))
        await until(has("configmaps", "kube-root-ca.crt"))
        await cluster.create("secrets", secret)

        async def is_filled() -> bool:
            found = await cluster.find("secrets", namespace, "t")
            return found is not None and "token" in (found.get("data") or {})

        await until(is_filled)
    for resource, space, name in broken:
        await client.delete(resource.key(space, name))
