"""OpenAPI v3: what kubectl looks at before it writes, and explains kinds from. PURE.

One document for each group version, made from the registry: paths with their operations, and the
types that they need. The index tells where they are, with a hash that changes when they do.

Source: Kubernetes, "OpenAPI v3"; kubectl-needs.md, "OpenAPI v3".
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson

from controlplane.api import schemas
from controlplane.api.openapi_operations import paths_of, type_name
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.api.schema import Node

VERSION = "v1.33.0"
"""The Kubernetes whose types these are."""

_DEFINITIONS = "#/definitions/"
_COMPONENTS = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."


def index(registry: Registry) -> Object:
    """`/openapi/v3`: path of a group version -> where its document is."""
    return {
        "paths": {
            place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={tag}"}
            for group in registry.groups()
            for version in registry.versions(group)
            for place, tag in [(place_of(group, version), etag(registry, group, version))]
        }
    }


def place_of(group: str, version: str) -> str:
    """Path of a group version without its first slash: `api/v1`, `apis/apps/v1`."""
    return f"apis/{group}/{version}" if group else f"api/{version}"


def etag(registry: Registry, group: str, version: str) -> str:
    """Changes when the document does: all that it is made of, which is less than what it says."""
    made_of = [VERSION, [_ingredients(one) for one in registry.of(group, version)]]
    return hashlib.sha256(orjson.dumps(made_of)).hexdigest().upper()


def _ingredients(resource: Resource) -> list[Any]:
    names = [resource.kind, resource.plural, resource.list_kind, resource.is_namespaced]
    reach = [resource.verbs, resource.subresources]
    return [*names, *reach, resource.schema.node if resource.is_custom else None]


def document(registry: Registry, group: str, version: str) -> Object | None:
    """`/openapi/v3/<group version>`; None: there is no such group version."""
    found = registry.of(group, version)
    if not found:
        return None
    paths: dict[str, Object] = {}
    for resource in found:
        paths |= paths_of(resource)
    own = {name: node for one in found for name, node in _own_types(one)}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "components": {"schemas": _types(paths, own)},
    }


def _own_types(resource: Resource) -> Iterator[tuple[str, Object]]:
    """Types of a custom resource and of its list, which no data file has."""
    if not resource.is_custom:
        return
    name = type_name(resource.group, resource.version, resource.kind)
    told = dict(_converted(resource.schema.node))
    fields = {**told.get("properties", {}), **_identity()}
    yield name, {**told, "properties": fields, _GVK: [_gvk(resource, resource.kind)]}
    yield (
        type_name(resource.group, resource.version, resource.list_kind),
        {
            "description": f"{resource.list_kind} is a list of {resource.kind}",
            "type": "object",
            "required": ["items"],
            "properties": {
                **_identity(),
                "metadata": {"$ref": f"{_COMPONENTS}{_META}ListMeta"},
                "items": {"type": "array", "items": {"$ref": f"{_COMPONENTS}{name}"}},
            },
            _GVK: [_gvk(resource, resource.list_kind)],
        },
    )


@cache
def _identity() -> Mapping[str, Node]:
    """The fields that every object has, which a definition does not tell in full."""
    fields = schemas.schema_of("", "v1", "Namespace").node["properties"]
    return {name: _converted(fields[name]) for name in ("apiVersion", "kind", "metadata")}


_GVK = "x-kubernetes-group-version-kind"


def _gvk(resource: Resource, kind: str) -> Object:
    return {"group": resource.group, "kind": kind, "version": resource.version}


def _types(paths: Mapping[str, Object], own: Mapping[str, Object]) -> dict[str, Object]:
    """Every type that paths and those types refer to."""
    types: dict[str, Object] = {}
    waiting = [name for operations in paths.values() for name in _references(operations)]
    while waiting:
        name = waiting.pop()
        if name not in types:
            types[name] = own[name] if name in own else _builtin(name)
            waiting.extend(_references(types[name]))
    return dict(sorted(types.items()))


def _references(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        target = tree.get("$ref")
        if isinstance(target, str):
            yield target.removeprefix(_COMPONENTS)
        for value in tree.values():
            yield from _references(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _references(value)


@cache
def _builtin(name: str) -> Object:
    if name == _QUANTITY:
        # Written as a number as well, which version 2 of OpenAPI could not say.
        described = schemas.definitions()[name].get("description", "")
        return {"description": described, "oneOf": [{"type": "string"}, {"type": "number"}]}
    return dict(_converted(schemas.definitions()[name]))


def _converted(node: Node) -> Node:
    """A node as version 3 of OpenAPI has it.

    A reference has no neighbours there, and what is an integer or a string is said by `oneOf`.
    """
    target = node.get("$ref")
    if isinstance(target, str):
        reference = {"$ref": _COMPONENTS + target.removeprefix(_DEFINITIONS)}
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return beside | {"allOf": [reference]} if beside else reference
    if node.get("format") == "int-or-string" and "oneOf" not in node:
        either = {"oneOf": [{"type": "integer"}, {"type": "string"}]}
        return {key: value for key, value in node.items() if key != "type"} | either
    return {key: _converted_keyword(key, value) for key, value in node.items()}


def _converted_keyword(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties", "definitions"):
        return {name: _converted(node) for name, node in value.items()}
    if isinstance(value, Mapping) and key in ("items", "additionalProperties", "not"):
        return _converted(value)
    if key in ("allOf", "anyOf", "oneOf"):
        return [_converted(node) for node in value]
    return value
