"""OpenAPI v3; that kubectl understands it is `test_kubectl_reads.py`."""

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest

from controlplane.api import openapi
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.api.schema import Schema
from tests.controlplane.api.served import registry, resource

COMPONENTS = "#/components/schemas/"


def _document(group: str, version: str, known: Registry | None = None) -> Object:
    made = openapi.document(known or registry(), group, version)
    assert made is not None
    return made


def _group_versions() -> list[tuple[str, str]]:
    return sorted({(one.group, one.version) for one in registry().all()})


def _operations(document: Object) -> Iterator[tuple[str, str, Object]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                yield path, method, operation


def _references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get("$ref"), str):
            yield tree["$ref"]
        for value in tree.values():
            yield from _references(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _references(value)


def test_the_index_leads_to_documents_with_a_hash() -> None:
    """1.3"""
    paths = openapi.index(registry())["paths"]
    assert set(paths) >= {"api/v1", "apis/apps/v1", "apis/stable.example.com/v1"}
    tag = openapi.etag(registry(), "apps", "v1")
    assert paths["apis/apps/v1"] == {"serverRelativeURL": f"/openapi/v3/apis/apps/v1?hash={tag}"}


def test_the_hash_changes_with_what_a_document_says() -> None:
    """11.7: clients ask again when a definition changes."""
    known = registry()
    before = {one: openapi.etag(known, *one) for one in _group_versions()}
    node = {**resource("crontabs").schema.node, "description": "Another one."}
    known.add(msgspec.structs.replace(resource("crontabs"), schema=Schema(node, {})))
    after = {one: openapi.etag(known, *one) for one in _group_versions()}
    assert {one for one in before if before[one] != after[one]} == {("stable.example.com", "v1")}
    assert openapi.etag(registry(), "apps", "v1") == before["apps", "v1"]


@pytest.mark.parametrize("place", _group_versions(), ids="/".join)
def test_documents_are_whole(place: tuple[str, str]) -> None:
    """Every reference leads somewhere, operations have names of their own, and JSON can say it."""
    document = _document(*place)
    types = document["components"]["schemas"]
    references = set(_references(document))
    assert references
    assert {one.removeprefix(COMPONENTS) for one in references} == set(types)
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(names) == len(set(names))
    assert orjson.loads(orjson.dumps(document)) == document


@pytest.mark.parametrize("place", _group_versions(), ids="/".join)
def test_parameters_of_paths_are_told(place: tuple[str, str]) -> None:
    document = _document(*place)
    for path, operations in document["paths"].items():
        told = {one["name"] for one in operations["parameters"] if one["in"] == "path"}
        assert told == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_writes_take_field_validation_and_name_their_kind() -> None:
    """1.3: kubectl looks for the kind and the parameter at PATCH; 2.11"""
    paths = _document("apps", "v1")["paths"]
    place = "/apis/apps/v1/namespaces/{namespace}/deployments"
    for path, method, action in (
        (place, "post", "post"),
        (place + "/{name}", "put", "put"),
        (place + "/{name}", "patch", "patch"),
    ):
        operation = paths[path][method]
        names = {one["name"] for one in operation["parameters"]}
        assert {"dryRun", "fieldManager", "fieldValidation"} <= names
        assert operation["x-kubernetes-action"] == action
        assert operation["x-kubernetes-group-version-kind"] == {
            "group": "apps",
            "kind": "Deployment",
            "version": "v1",
        }


def test_scale_is_of_its_own_kind() -> None:
    """2.13"""
    path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
    operations = _document("apps", "v1")["paths"][path]
    assert set(operations) == {"get", "put", "patch", "parameters"}
    for method in ("get", "put", "patch"):
        kind = operations[method]["x-kubernetes-group-version-kind"]
        assert kind == {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def test_custom_resources_take_no_strategic_merge() -> None:
    """2.14"""
    strategic = "application/strategic-merge-patch+json"
    for place, name, takes in (
        (("apps", "v1"), "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", True),
        (
            ("stable.example.com", "v1"),
            "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}",
            False,
        ),
    ):
        body = _document(*place)["paths"][name]["patch"]["requestBody"]["content"]
        assert (strategic in body) is takes
        assert "application/apply-patch+yaml" in body


def test_only_verbs_that_there_are_have_operations() -> None:
    paths = _document("", "v1")["paths"]
    assert "delete" in paths["/api/v1/namespaces/{namespace}/pods"]
    assert "delete" not in paths["/api/v1/namespaces"]
    assert set(paths["/api/v1/namespaces/{name}/finalize"]) == {"put", "parameters"}
    assert set(paths["/api/v1/pods"]) == {"get", "parameters"}
    review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    documented = _document("authorization.k8s.io", "v1")["paths"]
    assert list(documented) == [review]
    assert set(documented[review]) == {"post", "parameters"}


def test_version_3_says_what_version_2_could_not() -> None:
    types = _document("apps", "v1")["components"]["schemas"]
    either = types["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]
    assert either["oneOf"] == [{"type": "integer"}, {"type": "string"}]
    assert either["format"] == "int-or-string"
    assert "type" not in either
    spec = types["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"]
    assert spec["allOf"] == [{"$ref": f"{COMPONENTS}io.k8s.api.apps.v1.DeploymentSpec"}]
    assert spec["description"]
    quantity = types["io.k8s.apimachinery.pkg.api.resource.Quantity"]
    assert quantity["oneOf"] == [{"type": "string"}, {"type": "number"}]


def test_custom_resources_have_types_of_their_own() -> None:
    """11.7"""
    types = _document("stable.example.com", "v1")["components"]["schemas"]
    made = types["com.example.stable.v1.CronTab"]
    assert made["x-kubernetes-group-version-kind"] == [
        {"group": "stable.example.com", "kind": "CronTab", "version": "v1"}
    ]
    assert set(made["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}
    listed = types["com.example.stable.v1.CronTabList"]["properties"]["items"]
    assert listed["items"] == {"$ref": f"{COMPONENTS}com.example.stable.v1.CronTab"}


def test_what_is_not_there_is_none() -> None:
    assert openapi.document(registry(), "apps", "v2") is None
