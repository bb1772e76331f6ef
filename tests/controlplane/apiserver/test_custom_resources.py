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

    async def define(self, properties: Mapping[str, Any], **version: Any) -> None:
        """Serve it, as the controller of names would have it."""
        names = {"plural": self.path.rpartition("/")[2], "kind": self.kind}
        schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
        only = {"name": "v1", "served": True, "storage": True, "schema": schema, **version}
        spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [only]}
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
