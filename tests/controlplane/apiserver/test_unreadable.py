"""Objects that cannot be decrypted, or are none: who is told what, and who is not harmed (row 2.18
of kube-behaviour.md)."""

import asyncio
import json
import logging
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from controlplane.encryption import Encryption
from controlplane.objects import ObjectStore
from tests.controlplane.apiserver.asked import resource
from tests.controlplane.apiserver.conftest import Api
from tests.controlplane.apiserver.test_http import line_of, session, until
from tests.controlplane.apiserver.test_server import RBAC
from tests.controlplane.apiserver.test_slow_clients import measured

__all__ = ["session"]

SECRETS = resource("secrets")
LOST_KEY = Encryption([("lost", b"l" * 32)])
IGNORE = "ignoreStoreReadErrorWithClusterBreakingPotential"


class Secrets:
    """Secrets of a namespace; some under a key that the server does not have."""

    def __init__(self, api: Api, space: str) -> None:
        self.api = api
        self.space = space
        self.path = f"/api/v1/namespaces/{space}/secrets"

    async def good(self, name: str, value: str = "eA==") -> None:
        body = {"metadata": {"name": name}, "data": {"a": value}}
        answered = await self.api.ask("PUT", f"{self.path}/{name}", body)
        if answered.code == 404:
            await self.api.good("POST", self.path, body)

    async def spoil(self, name: str) -> None:
        """Write it under the lost key, over what may be there."""
        client = self.api.assembly.store.client
        key = SECRETS.key(self.space, name)
        await client.delete(key)
        theirs = ObjectStore(client, transform=LOST_KEY)
        await theirs.create(SECRETS, {"metadata": {"name": name, "namespace": self.space}})
        await self.api.assembly.cacher.current()

    async def overwrite(self, name: str) -> None:
        """The same, without its being away in between."""
        client = self.api.assembly.store.client
        key = SECRETS.key(self.space, name)
        value = LOST_KEY.encode(SECRETS, key.encode(), b"{}")
        await client.put(key, value)
        await self.api.assembly.cacher.current()


@pytest.fixture
async def secrets(api: Api) -> Any:
    made = Secrets(api, await api.new_namespace())
    yield made
    await api.assembly.store.client.delete("/registry/core/secrets/", "/registry/core/secrets0")


async def test_who_asks_for_it_is_told_that_it_cannot_be_read(secrets: Secrets) -> None:
    """As Kubernetes does: 500 InternalError; it is neither absent nor free to be made."""
    await secrets.spoil("s")
    api, path = secrets.api, f"{secrets.path}/s"
    for asked in (("GET", path), ("DELETE", path)):
        status = await api.fault(*asked)
        assert (status["code"], status["reason"]) == (500, "InternalError")
        assert "lost" in status["message"]
        assert f"/registry/core/secrets/{secrets.space}/s" in status["message"]
    merge: dict[str, Any] = {"content_type": "application/merge-patch+json"}
    assert (await api.fault("PATCH", path, {"data": {"a": "eA=="}}, **merge))["code"] == 500
    body = {"metadata": {"name": "s"}, "data": {}}
    assert (await api.fault("PUT", path, body))["code"] == 500
    assert (await api.fault("POST", secrets.path, body))["reason"] == "AlreadyExists"


async def test_a_list_that_should_have_it_is_500_and_names_it(secrets: Secrets) -> None:
    """Kubernetes 1.32: StorageReadError with a cause for each. Less than there is would be worse:
    an informer would take the rest for deleted."""
    await secrets.good("a")
    await secrets.spoil("m")
    await secrets.good("z")
    api, key = secrets.api, f"/registry/core/secrets/{secrets.space}/m"
    lists = ("", "?labelSelector=x%3Dy", "?resourceVersion=0", "?limit=2")
    for path in (*(f"{secrets.path}{query}" for query in lists), "/api/v1/secrets"):
        status = await api.fault("GET", path)
        assert (status["code"], status["reason"]) == (500, "StorageReadError"), path
        assert "failed to read one or more secrets from the storage" in status["message"]
        (cause,) = status["details"]["causes"]
        assert (cause["field"], cause["reason"]) == (key, "UnexpectedServerResponse")
    assert (await api.fault("DELETE", secrets.path))["code"] == 500
    # What it is not in is whole.
    page = await api.good("GET", f"{secrets.path}?limit=1")
    assert [one["metadata"]["name"] for one in page["items"]] == ["a"]
    token = page["metadata"]["continue"]
    assert (await api.fault("GET", f"{secrets.path}?limit=1&continue={token}"))["code"] == 500
    found = await api.good("GET", f"{secrets.path}?fieldSelector=metadata.name%3Dz")
    assert len(found["items"]) == 1
    other = await api.new_namespace()
    assert (await api.good("GET", f"/api/v1/namespaces/{other}/secrets"))["items"] == []
    assert (await api.good("GET", f"/api/v1/namespaces/{secrets.space}/configmaps"))["items"] == []


async def test_who_watches_hears_nothing_of_it_and_goes_on(
    secrets: Secrets, session: aiohttp.ClientSession
) -> None:
    """It was told as DELETED before. Others' informers go on."""
    await secrets.good("a")
    await secrets.good("b")
    api = secrets.api
    version = (await api.good("GET", secrets.path))["metadata"]["resourceVersion"]
    path = f"{api.url}{secrets.path}?watch=1&resourceVersion={version}"
    async with session.get(path) as response:
        await until(lambda: len(api.assembly.cacher.cache.of("", "secrets")._subscribers) == 1)
        await secrets.overwrite("a")
        await secrets.overwrite("b")
        await secrets.overwrite("new")
        await secrets.good("c")
        assert await told(response) == ("ADDED", "c")
        # Somebody who has the key deletes one of them, and writes another anew.
        client = api.assembly.store.client
        await client.delete(SECRETS.key(secrets.space, "b"))
        assert await told(response) == ("DELETED", "b")
        ours = Encryption([("k1", b"k" * 32)])
        found = {"metadata": {"name": "a", "namespace": secrets.space}, "data": {"a": "eQ=="}}
        await client.delete(SECRETS.key(secrets.space, "new"))
        raw = (
            b'{"apiVersion":"v1","kind":"Secret",'
            + json.dumps(found, separators=(",", ":")).encode()[1:]
        )
        key = SECRETS.key(secrets.space, "a")
        await client.put(key, ours.encode(SECRETS, key.encode(), raw))
        assert await told(response) == ("MODIFIED", "a")
    # Who begins with what there is would begin with less.
    await secrets.overwrite("a")
    async with session.get(f"{api.url}{secrets.path}?watch=1") as response:
        assert response.status == 500
        assert (await response.json())["reason"] == "StorageReadError"


async def told(response: aiohttp.ClientResponse) -> tuple[str, str]:
    line = await line_of(response)
    return line["type"], line["object"]["metadata"]["name"]


async def test_no_secret_is_unreadable_while_keys_are_rotated_in_order(
    secrets: Secrets,
) -> None:
    """README, "Rotating the key of Secrets": two API servers, restarted one after the other."""
    api, client = secrets.api, secrets.api.assembly.store.client
    old, new = ("k1", b"k" * 32), ("k2", b"n" * 32)
    orders = [(old,), (old, new), (new, old), (new,)]

    async def read_all(keys: Any) -> None:
        store = ObjectStore(client, transform=Encryption(keys))
        page = await store.list(SECRETS, secrets.space)
        assert [one["metadata"]["name"] for one in page.items] == ["a", "b"]
        assert not page.unreadable

    for name in ("a", "b"):
        await secrets.good(name)
    for before, after in pairwise(orders):
        for first, second in ((after, before), (before, after)):
            store = ObjectStore(client, transform=Encryption(first))
            if after == (new,):  # step 3: everything is written again, though nothing changes
                for name in ("a", "b"):
                    rewriting = ObjectStore(client, transform=Encryption(before))
                    await rewriting.update(SECRETS, secrets.space, name, lambda found: found)
            else:
                await store.update(SECRETS, secrets.space, "a", counted)
            await read_all(first)
            await read_all(second)
    assert (await api.fault("GET", f"{secrets.path}/a"))["code"] == 500, "k1 alone no longer does"


def counted(found: Any) -> Any:
    data = found.get("data") or {}
    return {**found, "data": {**data, "a": data.get("a", "") + "eA=="}}


async def test_it_is_logged_once_and_counted(
    secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    await secrets.spoil("s")
    for _ in range(3):
        await secrets.api.fault("GET", secrets.path)
        await secrets.api.fault("GET", f"{secrets.path}/s")
    lines = [one for one in caplog.records if "cannot be read" in one.getMessage()]
    assert [one.levelno for one in lines] == [logging.ERROR]
    assert f"{secrets.space}/s" in lines[0].getMessage()
    assert measured(secrets.api, "apiserver_unreadable_objects") == 1
    row = 'apiserver_unreadable_objects{group="core",resource="secrets"} 1'
    assert row in secrets.api.assembly.metrics.text().decode()


async def test_who_may_removes_it_as_it_is(
    secrets: Secrets, session: aiohttp.ClientSession
) -> None:
    """Kubernetes' "Force deletion": an option and a right of its own."""
    await secrets.spoil("s")
    await secrets.good("whole")
    api, path = secrets.api, f"{secrets.path}/s"
    group, place = "rbac.authorization.k8s.io", f"{RBAC}/namespaces/{secrets.space}"
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"]}]
    await api.good("POST", f"{place}/roles", {"metadata": {"name": "r"}, "rules": rules})
    bob = {"apiGroup": group, "kind": "User", "name": "bob"}
    role = {"apiGroup": group, "kind": "Role", "name": "r"}
    binding = {"metadata": {"name": "r"}, "roleRef": role, "subjects": [bob]}
    await api.good("POST", f"{place}/rolebindings", binding)
    status = await api.fault("DELETE", path, {IGNORE: True}, user="bob")
    assert status["code"] == 403
    assert 'not permitted to do "unsafe-delete-ignore-read-errors"' in status["message"]
    status = await api.fault("DELETE", f"{secrets.path}/whole", {IGNORE: True})
    assert (status["code"], status["details"]["causes"][0]["field"]) == (422, IGNORE)
    assert (await api.fault("DELETE", f"{secrets.path}/none?{IGNORE}=true"))["code"] == 404
    status = await api.fault("DELETE", path, {IGNORE: True, "gracePeriodSeconds": 0})
    assert status["code"] == 422
    assert "cannot be set together with .gracePeriodSeconds" in status["message"]
    assert (await api.fault("GET", path))["code"] == 500, "it is there still"
    rules[0]["verbs"].append("unsafe-delete-ignore-read-errors")
    await api.good("PUT", f"{place}/roles/r", {"metadata": {"name": "r"}, "rules": rules})
    await api.assembly.cacher.current()
    assert (await api.good("DELETE", path, {IGNORE: True}, user="bob"))["status"] == "Success"
    assert (await api.fault("GET", path))["code"] == 404
    assert len((await api.good("GET", secrets.path))["items"]) == 1


async def test_only_one_of_many_who_remove_it_has_removed_it(secrets: Secrets) -> None:
    await secrets.spoil("s")
    asked = [secrets.api.ask("DELETE", f"{secrets.path}/s", {IGNORE: True}) for _ in range(5)]
    codes = sorted(answered.code for answered in await asyncio.gather(*asked))
    assert codes[0] == 200
    assert set(codes[1:]) <= {404, 409}


async def test_bytes_that_are_no_object_are_unreadable_as_well(secrets: Secrets) -> None:
    api = secrets.api
    key = f"/registry/core/configmaps/{secrets.space}/torn"
    for value in (b'{"metadata":{', b"[]", b"\xff", b"k8s\0protobuf"):
        await api.assembly.store.client.put(key, value)
        path = f"/api/v1/namespaces/{secrets.space}/configmaps"
        assert (await api.fault("GET", f"{path}/torn"))["code"] == 500
        assert (await api.fault("GET", path))["reason"] == "StorageReadError"
    await api.good("DELETE", f"{path}/torn?{IGNORE}=true")
    assert (await api.good("GET", path))["items"] == []


TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


@pytest.mark.parametrize(
    ("place", "version", "headers"),
    [
        ("autoscaling/horizontalpodautoscalers", "autoscaling/v1", {}),
        ("core/pods", "v1", TABLE),
        ("core/configmaps", "v1", TABLE),
    ],
)
async def test_what_cannot_be_told_ends_the_watch_that_it_is_told_to_and_no_other(
    api: Api, session: aiohttp.ClientSession, place: str, version: str, headers: dict[str, str]
) -> None:
    """Put past the API server, with fields that are not what their schema says: no version, and
    no cells, can be made of it. As Kubernetes does: the watch has an ERROR for its last event.
    """
    space = await api.new_namespace()
    group, _, plural = place.partition("/")
    root = "apis" if "/" in version else "api"
    url = f"{api.url}/{root}/{version}/namespaces/{space}/{plural}?watch=1"
    later = f"{space}-later"
    selected = f"fieldSelector=metadata.name={later}"
    others = await session.get(f"{api.url}/api/v1/namespaces?watch=1&{selected}")
    cache = api.assembly.cacher.cache.of(group.replace("core", ""), plural)
    odd = {"metadata": {"name": "odd", "namespace": space}, "spec": 5, "data": 5}
    async with others, session.get(url, headers=headers) as response:
        await until(lambda: len(cache._subscribers) == 1)
        key = f"/registry/{place}/{space}/odd"
        await api.assembly.store.client.put(key, json.dumps(odd, separators=(",", ":")))
        line = await line_of(response)
        assert (line["type"], line["object"]["code"]) == ("ERROR", 500)
        assert await line_of(response) is None
        await api.good("POST", "/api/v1/namespaces", {"metadata": {"name": later}})
        assert await told(others) == ("ADDED", later)
    await api.assembly.store.client.delete(key)
    assert not api.running.done()
