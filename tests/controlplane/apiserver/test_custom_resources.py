"""Objects of kinds that users define, over a real store (kube-behaviour 2.12, 2.13, 2.15, 11.7)."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from tests.controlplane.apiserver.conftest import Api

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "custom.example"

_numbers = itertools.count(1)


class Kind:
    """A kind that no other test has. paths: of its objects `one`, and of the definition"""

    def __init__(self, api: Api, space: str) -> None:
        self._api = api
        self.kind = f"Thing{next(_numbers)}"
        plural = f"{self.kind.lower()}s"
        self.definition = f"{DEFINITIONS}/{plural}.{GROUP}"
        self.path = f"/apis/{GROUP}/v1/namespaces/{space}/{plural}"

    async def define(self, properties: Mapping[str, Any], *others: Any, **version: Any) -> None:
        """Serve it, as the controller of names would have it. others: versions besides v1"""
        names = {"plural": self.path.rpartition("/")[2], "kind": self.kind}
        schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
        only = {"name": "v1", "served": True, "storage": True, "schema": schema, **version}
        spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [only, *others]}
        body = {"metadata": {"name": f"{names['plural']}.{GROUP}"}, "spec": spec}
        await self._api.good("POST", DEFINITIONS, body)
        status = {"conditions": [{"type": "Established", "status": "True"}]}
        path = f"{self.definition}/status"
        await self._api.good("PATCH", path, {"status": status}, content_type=MERGE)
        await self._api.assembly.cacher.current()

    async def redefine(self, properties: Mapping[str, Any]) -> None:
        """With another schema."""
        spec = (await self._api.good("GET", self.definition))["spec"]
        spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = properties
        await self._api.good("PATCH", self.definition, {"spec": spec}, content_type=MERGE)
        await self._api.assembly.cacher.current()

    async def create(self, **fields: Any) -> Any:
        return await self._api.good("POST", self.path, {"metadata": {"name": "one"}, **fields})

    async def apply(self, **fields: Any) -> Any:
        body = {"apiVersion": f"{GROUP}/v1", "kind": self.kind, **fields}
        path = f"{self.path}/one?fieldManager=me"
        return await self._api.good("PATCH", path, body, content_type=APPLY)


@pytest.fixture
async def kind(api: Api) -> Kind:
    return Kind(api, await api.new_namespace())


@pytest.mark.parametrize(("key", "default"), [("kind", "A"), ("protocol", "UDP")])
async def test_a_key_that_is_left_out_is_what_the_schema_says(
    kind: Kind, key: str, default: str
) -> None:
    """2.15: also one that is called as a key of a built-in type."""
    text = {"type": "string"}
    item = {"name": text, key: {**text, "default": default}}
    listed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name", key],
        "items": {"type": "object", "properties": item, "required": ["name"]},
    }
    await kind.define({"items": listed})
    first = await kind.apply(items=[{"name": "x"}])
    assert first["items"] == [{"name": "x", key: default}]
    again = await kind.apply(items=[{"name": "x"}])
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


_EARLY = {"a": {"type": "string"}}
_LATE = {**_EARLY, "b": {"type": "string", "default": "z"}}


async def test_a_default_that_came_later_is_there_when_an_object_is_read(
    api: Api, kind: Kind
) -> None:
    """11.7: what was stored before has it, too; so nobody who writes adds it (2.12)."""
    await kind.define(_EARLY)
    made = await kind.create(a="y")
    await kind.redefine(_LATE)
    found = await api.good("GET", f"{kind.path}/one")
    assert (found["a"], found["b"]) == ("y", "z")
    [listed] = (await api.good("GET", kind.path))["items"]
    async with api.watch(kind.path) as events:
        watched = await events.next()
    assert found == listed == watched["object"]
    labels = {"metadata": {"labels": {"c": "d"}}}
    changed = await api.good("PATCH", f"{kind.path}/one", labels, content_type=MERGE)
    assert changed["b"] == "z"
    assert changed["metadata"]["generation"] == made["metadata"]["generation"]
    assert "f:b" not in str(changed["metadata"]["managedFields"])


async def test_what_a_stricter_schema_finds_wrong_may_stay(api: Api, kind: Kind) -> None:
    """11.7: finalizers go, statuses are written, other fields change; nothing new is wrong."""
    status = {"type": "object", "properties": {"n": {"type": "integer"}}}
    loose = {"a": {"type": "integer"}, "b": {"type": "integer"}, "status": status}
    await kind.define(loose, subresources={"status": {}})
    finalizers = ["example.com/held"]
    body = {"metadata": {"name": "one", "finalizers": finalizers}, "a": 9, "b": 1}
    await api.good("POST", kind.path, body)
    strict = {"type": "integer", "maximum": 5}
    await kind.redefine({"a": strict, "b": strict, "status": status})
    path = f"{kind.path}/one"
    written = await api.good("PATCH", f"{path}/status", {"status": {"n": 1}}, content_type=MERGE)
    assert (written["a"], written["status"]) == (9, {"n": 1})
    assert (await api.good("PATCH", path, {"b": 2}, content_type=MERGE))["b"] == 2
    for wrong in ({"b": 6}, {"a": 8}):
        refused = await api.fault("PATCH", path, wrong, content_type=MERGE)
        assert refused["code"] == 422, refused
    await api.good("DELETE", path)
    freed = {"metadata": {"finalizers": None}}
    await api.good("PATCH", path, freed, content_type=MERGE)
    assert (await api.fault("GET", path))["code"] == 404


async def test_a_default_that_came_later_is_selected(api: Api, kind: Kind) -> None:
    """2.20: selectors see what is served."""
    await kind.define(_LATE | {"b": {"type": "string"}}, selectableFields=[{"jsonPath": ".b"}])
    await kind.create(a="y")
    selected = f"{kind.path}?fieldSelector=b%3Dz"
    assert (await api.good("GET", selected))["items"] == []
    await kind.redefine(_LATE)
    assert [one["b"] for one in (await api.good("GET", selected))["items"]] == ["z"]


async def test_defaults_of_what_is_stored_are_those_of_the_stored_version(
    api: Api, kind: Kind
) -> None:
    """11.7."""
    newer = {"a": {"type": "string"}, "b": {"type": "string", "default": "new"}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": newer}}
    v2 = {"name": "v2", "served": True, "storage": False, "schema": schema}
    await kind.define(_EARLY | {"b": {"type": "string"}}, v2)
    await kind.create(a="y")
    path = f"{kind.path.replace('/v1/', '/v2/')}/one"
    assert "b" not in await api.good("GET", path)
    await kind.redefine(_LATE)
    found = await api.good("GET", path)
    assert (found["apiVersion"], found["b"]) == (f"{GROUP}/v2", "z")


_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SCALE = {
    "specReplicasPath": ".spec.size.count",
    "statusReplicasPath": ".status.count",
    "labelSelectorPath": ".status.selector",
}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"status": {"selector": 5}},
            ".status.selector accessor error: 5 is of the type int64, expected string",
        ),
        (
            {"status": {"selector": ["a"]}},
            '.status.selector accessor error: ["a"] is of the type []interface {}, expected string',
        ),
        (
            {"status": {"selector": {"matchLabels": 5}}},
            "is of the type map[string]interface {}, expected string",
        ),
        (
            {"status": {"count": "x"}},
            '.status.count accessor error: "x" is of the type string, expected int64',
        ),
        (
            {"spec": {"size": 1.5}},
            ".spec.size.count accessor error: 1.5 is of the type float64, expected map[",
        ),
        ({"spec": {"size": {"count": True}}}, "true is of the type bool, expected int64"),
    ],
)
async def test_what_cannot_be_scaled_says_why(
    api: Api, kind: Kind, fields: Mapping[str, Any], told: str
) -> None:
    """2.13: its schema lets it be anything, and so whoever asks has asked for too much."""
    await kind.define({"spec": _OPEN, "status": _OPEN}, subresources={"scale": _SCALE})
    await kind.create(**fields)
    path = f"{kind.path}/one/scale"
    found = await api.fault("GET", path)
    assert (found["code"], found["reason"]) == (400, "BadRequest")
    assert told in found["message"]
    refused = await api.fault("PATCH", path, {"spec": {"replicas": 3}}, content_type=MERGE)
    assert (refused["code"], refused["message"]) == (400, found["message"])


async def test_replicas_are_put_where_there_was_nothing(api: Api, kind: Kind) -> None:
    """2.13."""
    await kind.define({"spec": _OPEN, "status": _OPEN}, subresources={"scale": _SCALE})
    await kind.create(status={"selector": "a=b", "count": 2})
    path = f"{kind.path}/one"
    patch = {"spec": {"replicas": 3}}
    scaled = await api.good("PATCH", f"{path}/scale", patch, content_type=MERGE)
    assert (scaled["spec"], scaled["status"]) == (
        {"replicas": 3},
        {"replicas": 2, "selector": "a=b"},
    )
    assert (await api.good("GET", path))["spec"] == {"size": {"count": 3}}
