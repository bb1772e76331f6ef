"""Requests of any kind: sensible ones with a mistake or more, and a few that are mere bytes.

Kinds, verbs, sub-resources and schemas are those of the registry, which is what OpenAPI is made of.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Protocol, TypeVar

import msgspec
from hypothesis import strategies as st

from controlplane.api.resource import Resource
from controlplane.api.schema import Schema
from controlplane.api.subresources import resource_for
from tests.controlplane.apiserver import fuzz_words as words
from tests.controlplane.apiserver.fuzz_objects import SAMPLES

DEPTH_MAX = 7
FIELDS_MAX = 3
_T = TypeVar("_T")


class Draw(Protocol):
    """Hypothesis' choice of a value."""

    def __call__(self, strategy: st.SearchStrategy[_T]) -> _T: ...


class Fuzzed(msgspec.Struct, frozen=True, kw_only=True):
    """A request, before it is known whether there is such a path."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def _often(draw: Draw, percent: int) -> bool:
    return draw(st.integers(0, 99)) < percent


def _one(draw: Draw, values: Any) -> Any:
    return draw(st.sampled_from(values))


@st.composite
def requests(draw: Draw) -> Fuzzed:
    """One request; most are about objects."""
    if _often(draw, 8):
        path = _one(draw, words.PATHS) if _often(draw, 80) else "/" + draw(st.text(max_size=20))
        method = _one(draw, (*words.METHODS, *words.ODD_METHODS))
        return _request(draw, method, path, {}, draw(st.binary(max_size=40)))
    resource = _one(draw, words.RESOURCES)
    verb = _one(draw, resource.verbs) if "get" in resource.verbs else "create"
    method, is_named = _FORMS[verb]
    if _often(draw, 5):
        method, is_named = _one(draw, (*words.METHODS, *words.ODD_METHODS)), draw(st.booleans())
    name = _one(draw, words.NAMES if _often(draw, 95) else words.ODD_NAMES)
    space = words.SPACE if _often(draw, 95) else _one(draw, ("default", "nope", *words.ODD_NAMES))
    path, sent = _place(draw, resource, space), resource
    below = _subresource(draw, resource) if is_named or resource.subresources else ""
    if below or is_named:
        path += f"/{name}{below and '/'}{below}"
    if below in resource.subresources:
        sent = _sent(resource, below)
        if below in _POSTED:
            method = "POST"
    if method == "DELETE" and _often(draw, 60 if is_named else 95):
        method = "PATCH" if path.endswith(f"/{name}") else "POST"  # or nothing would be left
    media = _media(draw, method, sent.kind)
    identity = {"name": name} | ({"namespace": space} if resource.is_namespaced else {})
    body = _body(draw, method, media, sent, identity)
    return _request(draw, method, path, {"content-type": media}, body)


_FORMS = {
    "create": ("POST", False),
    "delete": ("DELETE", True),
    "deletecollection": ("DELETE", False),
    "get": ("GET", True),
    "list": ("GET", False),
    "patch": ("PATCH", True),
    "update": ("PUT", True),
    "watch": ("PATCH", True),  # lists become watches by their query
}
_POSTED = ("binding", "eviction", "token")


def _media(draw: Draw, method: str, kind: str) -> str:
    if _often(draw, 4):
        return str(_one(draw, (*words.CONTENT_TYPES, *words.PATCH_TYPES)))
    if method == "PATCH":
        return str(_one(draw, words.PATCH_TYPES))
    return str(_one(draw, words.CONTENT_TYPES[: 3 if kind in words.PROTOBUF else 2]))


def _request(draw: Draw, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fuzzed:
    sent = {"authorization": "Bearer admin", **headers}
    for header in draw(st.lists(st.sampled_from(sorted(words.HEADERS)), max_size=2)):
        if _often(draw, 40):
            sent[header] = _one(draw, words.HEADERS[header])
    if _often(draw, 2):
        for header, values in words.IMPERSONATION.items():
            if _often(draw, 60):
                sent[header] = _one(draw, values)
    query = _query(draw)
    if headers.get("content-type") == words.PATCH_TYPES[3] and _often(draw, 92):
        query += "&fieldManager=me"
    return Fuzzed(method=method, path=path, query=query, headers=sent, body=body)


def _query(draw: Draw) -> str:
    if _often(draw, 50):
        return ""
    names = draw(st.lists(st.sampled_from(list(words.PARAMETERS)), max_size=3))
    query = "&".join(f"{name}={_one(draw, words.PARAMETERS[name])}" for name in names)
    if "watch" in query or _often(draw, 50):
        query += "&timeoutSeconds=1"
    return query


def _subresource(draw: Draw, resource: Resource) -> str:
    if not _often(draw, 25 if resource.subresources else 3):
        return ""
    return str(_one(draw, resource.subresources or words.SUBRESOURCES))


def _sent(resource: Resource, below: str) -> Resource:
    try:
        return resource_for(resource, below)
    except KeyError:
        return resource


def _place(draw: Draw, resource: Resource, space: str) -> str:
    root = f"/apis/{resource.group}" if resource.group else "/api"
    is_within = resource.is_namespaced and _often(draw, 95)
    within = f"/namespaces/{space}" if is_within else ""
    return f"{root}/{resource.version}{within}/{resource.plural}"


# ------------------------------------------------------------------------------ bodies


def _body(
    draw: Draw, method: str, media: str, resource: Resource, identity: Mapping[str, str]
) -> bytes:
    if _often(draw, 4):
        return _garbage(draw)
    if media == "application/vnd.kubernetes.protobuf":
        return _protobuf(draw, resource.kind)
    if method == "DELETE":
        return _encoded(draw, _delete_options(draw)) if _often(draw, 40) else b""
    if media == words.PATCH_TYPES[0]:
        return _encoded(draw, draw(st.lists(_operation(resource.schema), max_size=4)))
    body = _object(draw, resource, identity)
    if method == "PATCH" and media == words.PATCH_TYPES[2]:
        body = _directed(draw, body)
    return _encoded(draw, body)


def _garbage(draw: Draw) -> bytes:
    deep = _one(draw, (50, 300, 20_000))
    return bytes(
        _one(
            draw,
            (
                b"",
                b"null",
                b"[]",
                b'"a"',
                b"{",
                b'{"metadata":{"name":"a","name":"b"}}',
                b'{"a":1}{"b":2}',
                b"[" * deep,
                b'{"spec":' * deep + b"1" + b"}" * deep,
                b"spec: " + b"[" * deep + b"]" * deep,
                b"a: &a [*a]",
                b"a: &a {x: 1}\nb: {<<: *a}",
                b"!!python/object/apply:os.system [ls]",
                b"--- a\n--- b",
                b"metadata: {name: 2026-01-01, labels: {a: yes, 1: 0x10}}",
                b"? [a]\n: b",
                b"\xff\xfe",
                draw(st.binary(max_size=40)),
            ),
        )
    )


def _protobuf(draw: Draw, kind: str) -> bytes:
    known = words.PROTOBUF.get(kind) or words.PROTOBUF["Deployment"]
    body = bytearray(_one(draw, known))
    for _ in range(_one(draw, (0, 1, 1, 3))):
        at = draw(st.integers(0, len(body) - 1))
        body[at] = draw(st.integers(0, 255))
    return bytes(body[: draw(st.integers(4, len(body)))] if _often(draw, 10) else body)


def _encoded(draw: Draw, value: Any) -> bytes:
    text = json.dumps(value).encode()  # lone surrogates as escapes, and NaN
    return text[: draw(st.integers(0, len(text)))] if _often(draw, 1) else text


def _delete_options(draw: Draw) -> dict[str, Any]:
    choices: Mapping[str, tuple[Any, ...]] = {
        "propagationPolicy": ("Orphan", "Foreground", "Background", "x", 7),
        "gracePeriodSeconds": (0, 30, -1, "1", 2**70, True),
        "preconditions": ({"uid": "x"}, {"resourceVersion": "1"}, {"uid": 7}, 7),
        "orphanDependents": (True, False, "x"),
        "dryRun": (["All"], ["x"], "All", [7], [{}]),
        "kind": ("DeleteOptions", "Pod", 7),
    }
    names = draw(st.lists(st.sampled_from(sorted(choices)), max_size=2, unique=True))
    return {name: _one(draw, choices[name]) for name in names}


def _object(draw: Draw, resource: Resource, identity: Mapping[str, str]) -> Any:
    known = SAMPLES.get(resource.kind)
    if known and _often(draw, 90):
        made = json.loads(json.dumps(_one(draw, known)))
    else:
        made = _fields(draw, resource.schema, 0)
    made |= {"apiVersion": resource.api_version, "kind": resource.kind}
    if _often(draw, 10):
        name = _one(draw, ("apiVersion", "kind"))
        made[name] = _one(draw, ("Pod", "v1", "", 7, None))
    metadata = made.get("metadata")
    metadata = metadata if isinstance(metadata, dict) and _often(draw, 30) else {}
    if _often(draw, 94):
        metadata |= identity
    made["metadata"] = metadata
    for _ in range(draw(st.integers(0, 2))):
        _disturb(draw, resource.schema, made)
    return made


def _disturb(draw: Draw, schema: Schema, made: dict[str, Any]) -> None:
    """Change one value somewhere, or add a field that the schema knows."""
    place: Any = made
    known: Schema | None = schema
    for depth in range(DEPTH_MAX):
        if isinstance(place, list) and place:
            place, known = place[0], known.items if known is not None else None
            continue
        if not isinstance(place, dict):
            return
        fields = dict.fromkeys([*place, *(known.properties if known is not None else ())])
        if not fields:
            return
        name = _one(draw, list(fields))
        below = known.at(name) if known is not None else None
        if depth == DEPTH_MAX - 1 or not place.get(name) or _often(draw, 25):
            place[name] = _value(draw, below, depth + 1)
            return
        place, known = place[name], below


def _fields(draw: Draw, schema: Schema, depth: int) -> dict[str, Any]:
    names = list(schema.properties)
    if not names:
        if schema.values is None:
            return {}
        keys = draw(st.lists(st.sampled_from(words.TEXTS), max_size=2))
        return {key: _value(draw, schema.values, depth + 1) for key in keys}
    chosen = draw(st.lists(st.sampled_from(names), max_size=FIELDS_MAX))
    chosen += [name for name in schema.required if name in names and _often(draw, 90)]
    return {name: _value(draw, schema.properties[name], depth + 1) for name in chosen}


def _value(draw: Draw, schema: Schema | None, depth: int) -> Any:
    if schema is None or depth > DEPTH_MAX or _often(draw, 8):
        return deepcopy(_one(draw, words.ODD_VALUES))  # it may be changed
    if schema.is_int_or_string:
        return _one(draw, (*words.TEXTS, 0, 1, 80))
    match schema.type:
        case "array" if schema.items is not None:
            count = _one(draw, (0, 1, 1, 2))
            return [_value(draw, schema.items, depth + 1) for _ in range(count)]
        case "integer" | "number":
            return _one(draw, (0, 1, 2, 80, 30_001, 65_535, -1, 2**31 - 1))
        case "boolean":
            return draw(st.booleans())
        case "string":
            return _one(draw, words.TEXTS)
        case _:
            return _fields(draw, schema, depth)


def _directed(draw: Draw, body: Any) -> Any:
    """With directives of strategic merge somewhere in it."""
    if not isinstance(body, dict) or not _often(draw, 60):
        return body
    place = body
    while True:
        inner = [one for one in place.values() if isinstance(one, dict)]
        if not inner or _often(draw, 40):
            break
        place = _one(draw, inner)
    name, value = _one(draw, words.DIRECTIVES)
    place[name] = value
    return body


@st.composite
def _operation(draw: Draw, schema: Schema) -> Any:
    if _often(draw, 5):
        return deepcopy(_one(draw, words.ODD_VALUES))  # it may be changed
    kinds = ("add", "remove", "replace", "move", "copy", "test", "x")
    made = {"op": _one(draw, kinds), "path": _pointer(draw, schema)}
    if _often(draw, 30):
        made["from"] = _pointer(draw, schema)
    if _often(draw, 80):
        made["value"] = _value(draw, schema.at(*made["path"].split("/")[1:]), 2)
    return made


def _pointer(draw: Draw, schema: Schema) -> str:
    steps: list[str] = []
    place: Schema | None = schema
    while place is not None and len(steps) < DEPTH_MAX and not (steps and _often(draw, 25)):
        if place.items is not None:
            steps.append(_one(draw, ("0", "-", "1", "00", "-1", "9" * 30)))
            place = place.items
            continue
        names = [*place.properties] or ["a", "a~1b", "~", ""]
        steps.append(_one(draw, names))
        place = place.at(steps[-1])
    return "/" + "/".join(steps) if _often(draw, 97) else _one(draw, ("", "a", "/", "//"))
