"""What generated types have in common: objects as frozen structs, for who computes with them. PURE.

A struct drops fields that it does not know, so nobody writes one back as a whole: `changes.py`
carries what was changed into the object itself. Whoever makes a new object encodes the struct.

Fields are as in Kubernetes' Go types: what is optional and no pointer there has an empty value
here ("", 0, False, (), {} or a struct without anything), and empty is the same as left out; what
is a pointer there may be None here, and 0 is not the same as None.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

import msgspec
import orjson

from controlplane.api.resource import Object


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all types.

    ALWAYS      JSON names of fields that are written even when they are empty
    MERGE_KEYS  JSON name of a list -> name of the field that tells its elements apart
    """

    ALWAYS: ClassVar[frozenset[str]] = frozenset()
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {}


R = TypeVar("R", bound=Record)


class Field(msgspec.Struct, frozen=True):
    """A field of a type: its name here, its name in JSON, and when it is left out."""

    name: str
    json_name: str
    default: Any
    is_always: bool

    def is_empty(self, value: object) -> bool:
        """Whether JSON leaves the field out. 0 is a value where nothing is None."""
        return not self.is_always and value == self.default


@cache
def fields_of(kind: type[Record]) -> tuple[Field, ...]:
    """In the order of the type."""
    return tuple(
        Field(told.name, told.encode_name, _default(told), told.encode_name in kind.ALWAYS)
        for told in msgspec.structs.fields(kind)
    )


def _default(told: msgspec.structs.FieldInfo) -> Any:
    if told.default_factory is not msgspec.NODEFAULT:
        return told.default_factory()
    return told.default


def decode(kind: type[R], raw: bytes) -> R:
    """An object from its JSON; null is the same as left out. msgspec.DecodeError otherwise."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        # Some clients send null for an empty list or map: rare, so only then it costs time.
        return from_object(kind, msgspec.json.decode(raw))


def from_object(kind: type[R], obj: Object) -> R:
    """As `decode`, of a tree."""
    try:
        return msgspec.convert(obj, type=kind)
    except msgspec.ValidationError:
        return msgspec.convert(_without_nulls(obj), type=kind)


def _without_nulls(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _without_nulls(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list | tuple):
        return [_without_nulls(element) for element in tree]
    return tree


def to_object(record: Record) -> dict[str, Any]:
    """The JSON tree, without what is empty."""
    tree = {}
    for field in fields_of(type(record)):
        value = getattr(record, field.name)
        if not field.is_empty(value):
            tree[field.json_name] = tree_of(value)
    return tree


def tree_of(value: Any) -> Any:
    """The JSON of any value of a field."""
    if isinstance(value, Record):
        return to_object(value)
    if isinstance(value, tuple | list):
        return [tree_of(element) for element in value]
    if isinstance(value, Mapping):
        return {key: tree_of(element) for key, element in value.items()}
    return value


def encode(record: Record) -> bytes:
    """Compact JSON."""
    return orjson.dumps(to_object(record))
