"""Paths and operations of a resource, as OpenAPI v3 tells them. PURE.

Operations carry `x-kubernetes-group-version-kind`, by which clients find the one that they are
about to call, and its parameters: `fieldValidation` says that the server looks at unknown fields.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from controlplane.api import schemas
from controlplane.api.resource import Object, Resource
from controlplane.api.subresources import subresource

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_JSON = "application/json"
_ANY = "*/*"
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_GVK = "x-kubernetes-group-version-kind"


def paths_of(resource: Resource) -> dict[str, Object]:
    """Path -> operations, of the resource and its sub-resources."""
    base = f"/apis/{resource.group}" if resource.group else "/api"
    root = f"{base}/{resource.version}"
    everywhere = f"{root}/{resource.plural}"
    home = f"{root}/namespaces/{{namespace}}/{resource.plural}"
    collection = home if resource.is_namespaced else everywhere
    place = [_NAMESPACE] if resource.is_namespaced else []
    paths = {
        collection: _collection(resource, place),
        f"{collection}/{{name}}": _single(resource, place),
    }
    for name in sorted(resource.subresources):
        paths[f"{collection}/{{name}}/{name}"] = _below(resource, name, place)
    if resource.is_namespaced and "list" in resource.verbs:
        listed = _operation(resource, "list", "ListForAllNamespaces", _LISTED, _list_type(resource))
        paths[everywhere] = {"get": listed, "parameters": [_PRETTY]}
    return {path: operations for path, operations in paths.items() if set(operations) - _SHARED}


def type_name(group: str, version: str, kind: str) -> str:
    """Name of a type: Kubernetes' own for its kinds; reversed domain for custom ones."""
    try:
        return schemas.schema_of(group, version, kind).ref
    except KeyError:
        return ".".join([*reversed(group.split(".")), version, kind])


_SHARED = {"parameters"}


def _collection(resource: Resource, place: list[Object]) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    if "list" in resource.verbs:
        listed = _list_type(resource)
        operations["get"] = _operation(resource, "list", "List", _LISTED, listed)
    if "create" in resource.verbs:
        operations["post"] = _writing(
            resource, "post", "Create", _own_type(resource), (200, 201, 202)
        )
    if "deletecollection" in resource.verbs:
        operations["delete"] = _operation(
            resource,
            "deletecollection",
            "DeleteCollection",
            [*_DELETED, *_LISTED],
            f"{_META}Status",
            body={_ANY: f"{_META}DeleteOptions"},
        )
    return operations | {"parameters": [*place, _PRETTY]}


def _single(resource: Resource, place: list[Object]) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    own = _own_type(resource)
    if "get" in resource.verbs:
        operations["get"] = _operation(resource, "get", "Read", [], own)
    if "update" in resource.verbs:
        operations["put"] = _writing(resource, "put", "Replace", own, (200, 201))
    if "patch" in resource.verbs:
        operations["patch"] = _patching(resource, "Patch", own)
    if "delete" in resource.verbs:
        operations["delete"] = _operation(
            resource,
            "delete",
            "Delete",
            _DELETED,
            f"{_META}Status",
            body={_ANY: f"{_META}DeleteOptions"},
            codes=(200, 202),
        )
    return operations | {"parameters": [_NAME, *place, _PRETTY]}


def _below(resource: Resource, name: str, place: list[Object]) -> dict[str, Any]:
    known = subresource(name)
    shared = [_NAME, *place]
    if known.is_stream:
        # What flows there is no JSON, so nothing more can be said of it.
        streams = {_METHODS[verb]: _stream(resource, name, verb) for verb in known.verbs}
        return streams | {"parameters": shared}
    of = known.kind_for(resource)
    sent, title = type_name(*of), name.capitalize()
    operations: dict[str, Any] = {}
    for verb in known.verbs:
        match verb:
            case "get":
                made = _operation(resource, "get", f"Read{title}", [], sent, of=of)
            case "patch":
                made = _patching(resource, f"Patch{title}", sent, of=of)
            case "create":
                made = _writing(resource, "post", f"Create{title}", sent, (200, 201, 202), of=of)
            case _:
                made = _writing(resource, "put", f"Replace{title}", sent, (200, 201), of=of)
        operations[_METHODS[verb]] = made
    return operations | {"parameters": [*shared, _PRETTY]}


_METHODS = {"create": "post", "delete": "delete", "get": "get", "patch": "patch", "update": "put"}


def _own_type(resource: Resource) -> str:
    return type_name(resource.group, resource.version, resource.kind)


def _list_type(resource: Resource) -> str:
    return type_name(resource.group, resource.version, resource.list_kind)


def _writing(
    resource: Resource,
    action: str,
    verb: str,
    sent: str,
    codes: tuple[int, ...],
    *,
    of: tuple[str, str, str] | None = None,
) -> Object:
    return _operation(resource, action, verb, _WRITTEN, sent, body={_ANY: sent}, codes=codes, of=of)


def _patching(
    resource: Resource, verb: str, sent: str, *, of: tuple[str, str, str] | None = None
) -> Object:
    # Custom resources know no strategic merge: their schemas have no merge keys (2.14).
    body = dict.fromkeys(_PATCHES[:3] if resource.is_custom else _PATCHES, f"{_META}Patch")
    parameters = [*_WRITTEN, _FORCE]
    return _operation(resource, "patch", verb, parameters, sent, body=body, codes=(200, 201), of=of)


def _operation(
    resource: Resource,
    action: str,
    verb: str,
    parameters: Iterable[Object],
    answer: str,
    *,
    body: dict[str, str] | None = None,
    codes: tuple[int, ...] = (200,),
    of: tuple[str, str, str] | None = None,
) -> Object:
    """One operation; `answer` and the values of `body` are names of types."""
    group, version, kind = of or (resource.group, resource.version, resource.kind)
    told: dict[str, Any] = {
        "tags": [_tag(resource)],
        "operationId": _operation_id(resource, verb),
        "parameters": list(parameters),
        "responses": {str(code): _response(answer) for code in codes}
        | {"401": {"description": "Unauthorized"}},
        "x-kubernetes-action": action,
        _GVK: {"group": group, "version": version, "kind": kind},
    }
    if body is not None:
        content = {media: {"schema": _reference(name)} for media, name in body.items()}
        is_needed = action not in ("delete", "deletecollection")
        told["requestBody"] = {"content": content} | ({"required": True} if is_needed else {})
    return told


def _stream(resource: Resource, name: str, verb: str) -> Object:
    group, version, kind = subresource(name).kind_for(resource)
    return {
        "tags": [_tag(resource)],
        "operationId": _operation_id(resource, f"Connect{verb.capitalize()}{name.capitalize()}"),
        "responses": {
            "200": {"description": "OK", "content": {_ANY: {"schema": {"type": "string"}}}},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": "connect",
        _GVK: {"group": group, "version": version, "kind": kind},
    }


def _tag(resource: Resource) -> str:
    name = resource.group.removesuffix(".k8s.io").replace(".", "-") or "core"
    return f"{name}_{resource.version}"


def _operation_id(resource: Resource, verb: str) -> str:
    """Unique in the document: readCoreV1NamespacedPodStatus."""
    place = "Namespaced" if resource.is_namespaced else ""
    group = "".join(part.capitalize() for part in _tag(resource).replace("-", "_").split("_"))
    for word in _VERBS:
        if verb.startswith(word):
            rest = verb.removeprefix(word)
            return f"{word[0].lower()}{word[1:]}{group}{place}{resource.kind}{rest}"
    raise AssertionError(verb)


_VERBS = (
    "ConnectCreate",
    "ConnectDelete",
    "ConnectGet",
    "ConnectPatch",
    "ConnectUpdate",
    "Create",
    "DeleteCollection",
    "Delete",
    "List",
    "Patch",
    "Read",
    "Replace",
)


def _reference(name: str) -> Object:
    return {"$ref": f"#/components/schemas/{name}"}


@cache
def _response(name: str) -> Object:
    return {"description": "OK", "content": {_JSON: {"schema": _reference(name)}}}


def _query(name: str, description: str, kind: str = "string") -> Object:
    schema = {"type": kind, "uniqueItems": True}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _path(name: str, description: str) -> Object:
    told = _query(name, description)
    return dict(told) | {"in": "path", "required": True}


_NAME = _path("name", "Name of the object")
_NAMESPACE = _path("namespace", "Namespace of the object")
_PRETTY = _query("pretty", "If true, the answer is indented.")
_DRY_RUN = _query("dryRun", "All: do everything but store it.")
_FORCE = _query("force", "Apply patches only: take fields from their managers.", "boolean")
_WRITTEN = [
    _DRY_RUN,
    _query("fieldManager", "Who makes the change, as managedFields will name it."),
    _query("fieldValidation", "What unknown fields are: Ignore, Warn (default) or Strict."),
]
_DELETED = [
    _DRY_RUN,
    _query("gracePeriodSeconds", "Seconds until it is gone; 0: at once.", "integer"),
    _query("orphanDependents", "Deprecated: see propagationPolicy.", "boolean"),
    _query("propagationPolicy", "What becomes of dependents: Orphan, Background or Foreground."),
]
_LISTED = [
    _query("allowWatchBookmarks", "Watch: send bookmarks.", "boolean"),
    _query("continue", "Token of the page before."),
    _query("fieldSelector", "Fields that objects must have."),
    _query("labelSelector", "Labels that objects must have."),
    _query("limit", "Objects of a page.", "integer"),
    _query("resourceVersion", "Which state to answer from."),
    _query("resourceVersionMatch", "How to take resourceVersion: Exact or NotOlderThan."),
    _query("sendInitialEvents", "Watch: begin with what is there.", "boolean"),
    _query("timeoutSeconds", "Seconds until it ends.", "integer"),
    _query("watch", "Answer changes as they happen.", "boolean"),
]
