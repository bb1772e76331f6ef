"""Looking into the schema of a custom resource, in which a user may have written anything. PURE."""

from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.api.schema import Node

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
MAP_TYPE = "x-kubernetes-map-type"
VALIDATIONS = "x-kubernetes-validations"

JUNCTORS = ("allOf", "anyOf", "oneOf")
_VALUES = ("default", "enum", "example")
"""Keywords that show values, of which null is one."""


def without_nulls(node: Node) -> Node:
    """A schema in which null keywords, as good as left out, are left out. Values keep theirs."""
    kept: dict[str, Any] = {}
    for word, value in node.items():
        if word == "properties" and isinstance(value, Mapping):
            kept[word] = {name: _without_nulls(field) for name, field in value.items()}
        elif word in JUNCTORS and isinstance(value, list):
            kept[word] = [_without_nulls(part) for part in value]
        elif word in ("items", "additionalProperties", "not"):
            kept[word] = _without_nulls(value)
        else:
            kept[word] = value
    return {word: value for word, value in kept.items() if value is not None or word in _VALUES}


def _without_nulls(value: Any) -> Any:
    return without_nulls(value) if isinstance(value, Mapping) else value


def fields_of(node: Node) -> Mapping[str, Node]:
    """Fields of an object that have a schema."""
    fields = node.get("properties")
    if not isinstance(fields, Mapping):
        return {}
    return {name: field for name, field in fields.items() if isinstance(field, Mapping)}


def list_of(node: Node, word: str) -> list[Any]:
    found = node.get(word)
    return found if isinstance(found, list) else []


def junctions(node: Node) -> Iterator[tuple[str, str, Node]]:
    """Word, position as paths have it, and each schema that a junctor joins."""
    for word in JUNCTORS:
        for position, part in enumerate(list_of(node, word)):
            if isinstance(part, Mapping):
                yield word, f"[{position}]", part
    if isinstance(node.get("not"), Mapping):
        yield "not", "", node["not"]
