"""What server-side apply sees of a schema: what is whole, and what has owners of its parts. PURE.

A shape is made once per schema, its parts when they are asked for.
Source: Kubernetes' "Server-Side Apply" (merge strategy: list-type, map-type, list-map-keys).
"""

from collections.abc import Mapping
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from controlplane.api.fieldset import step_of_keys, step_of_value
from controlplane.api.resource import Resource
from controlplane.api.schema import Node, Schema

RESOURCES_MAX = 2048
"""Shapes that are kept; definitions of custom resources come and go."""

KEY_DEFAULTS: Mapping[str, object] = {"protocol": "TCP"}
"""What a key of a built-in type is where it is left out: ports of containers and services.

Schemas of custom resources say it themselves.
"""


_PARTED = (dict, list)


class Form(Enum):
    """How a value falls into parts."""

    LEAF = auto()
    """It does not: a scalar, or what is atomic."""
    MAP = auto()
    """Into fields."""
    LIST_MAP = auto()
    """Into elements, told apart by keys."""
    SET = auto()
    """Into elements, which are their own keys."""
    ANY = auto()
    """Nothing is known: objects have fields, all else is whole."""


class Shape:
    """One node.

    form         how it falls into parts
    keys         of the elements of a LIST_MAP
    is_nullable  null is a value
    is_open      fields that the schema does not know are allowed
    """

    def __init__(self, schema: Schema | None, *, metadata: "Shape | None" = None) -> None:
        self._schema = schema
        self._fields: dict[str, Shape | None] = {}
        if metadata is not None:
            self._fields = {"metadata": metadata, "apiVersion": LEAF, "kind": LEAF}
        self.form = Form.ANY if schema is None else _form(schema)
        self.keys = () if schema is None else _keys(schema)
        self._key_defaults = _key_defaults(schema) if self.form is Form.LIST_MAP else {}
        self.is_nullable = schema is not None and schema.is_nullable
        self.is_open = schema is None or self.form is Form.ANY or schema.preserves_unknown
        self._items: Shape | None = None
        self._named = frozenset((*self._fields, *(() if schema is None else schema.properties)))

    def field(self, name: str) -> "Shape | None":
        """The shape of a field; None where there may be no such field."""
        try:
            return self._fields[name]
        except KeyError:
            shape = self._new_field(name)
            if name in self._named:
                self._fields[name] = shape
            return shape

    def _new_field(self, name: str) -> "Shape | None":
        if self._schema is not None:
            found = self._schema.properties.get(name)
            if found is not None:
                return Shape(found, metadata=META if found.is_embedded_resource else None)
            if self._schema.values is not None:
                return self._values(self._schema.values)
        return ANY if self.is_open else None

    def _values(self, schema: Schema) -> "Shape":
        if self._items is None:
            self._items = Shape(schema)
        return self._items

    def is_named(self, name: str) -> bool:
        """Whether the schema names the field: it is part of a type, and no key of a map."""
        return name in self._named

    @property
    def items(self) -> "Shape":
        """The shape of a list's elements."""
        if self._items is None:
            self._items = Shape(None if self._schema is None else self._schema.items)
        return self._items

    def step(self, item: Any) -> str | None:
        """What tells an element of a LIST_MAP or SET apart; None where it has nothing of it."""
        if self.form is Form.SET:
            return None if isinstance(item, _PARTED) else step_of_value(item)
        if not isinstance(item, dict):
            return None
        keys: dict[str, object] = {}
        for name in self.keys:
            value = item.get(name)
            if value is None:
                value = self._key_defaults.get(name)
            if isinstance(value, _PARTED):
                return None
            if value is not None:
                keys[name] = value
        return step_of_keys(keys) if keys else None


def _form(schema: Schema) -> Form:
    if schema.type == "array":
        return _form_of_list(schema)
    if schema.type == "object" or schema.properties or schema.values:
        if schema.map_type == "atomic":
            return Form.LEAF
        return Form.MAP if schema.properties or schema.values else Form.ANY
    return Form.ANY if _says_nothing(schema) else Form.LEAF


def _says_nothing(schema: Schema) -> bool:
    return not schema.type and not schema.format and not schema.is_int_or_string


def _form_of_list(schema: Schema) -> Form:
    """Older types say by their patch strategy only that a list is merged."""
    match schema.list_type:
        case "map":
            return Form.LIST_MAP if schema.list_map_keys else Form.LEAF
        case "set":
            return Form.SET
        case "" if "merge" in schema.patch_strategies:
            return Form.LIST_MAP if schema.patch_merge_key else Form.SET
        case _:
            return Form.LEAF


def _keys(schema: Schema) -> tuple[str, ...]:
    return schema.list_map_keys or ((schema.patch_merge_key,) if schema.patch_merge_key else ())


def _key_defaults(schema: Schema | None) -> Mapping[str, object]:
    items = None if schema is None else schema.items
    if items is None:
        return {}
    if items.ref:
        return KEY_DEFAULTS
    known = {name: part.node.get("default") for name, part in items.properties.items()}
    return {name: default for name, default in known.items() if default is not None}


_OBJECT_META: Node = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "x-kubernetes-list-type": "set"},
        "ownerReferences": {
            "type": "array",
            "items": {"type": "object", "x-kubernetes-map-type": "atomic"},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
        },
    },
}
"""Metadata of custom resources, of which their own schemas say nothing."""

ANY = Shape(None)
LEAF = Shape(Schema({"type": "string"}, {}))
META = Shape(Schema(_OBJECT_META, {}))


@lru_cache(RESOURCES_MAX)
def _shape(schema: Schema) -> Shape:
    meta = schema.properties.get("metadata")
    return Shape(schema, metadata=None if meta is not None and meta.properties else META)


def shape_of(resource: Resource) -> Shape:
    """The shape of a resource's objects."""
    return _shape(resource.schema)
