"""What each keyword in the schema of a custom resource may say. PURE.

Source: rules of CustomResourceDefinition v1; texts are Kubernetes' own.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controlplane.api.causes import forbidden, invalid, not_supported, required, type_invalid
from controlplane.api.errors import Cause
from controlplane.api.schema import Node
from controlplane.api.schema_nodes import (
    EMBEDDED,
    INT_OR_STRING,
    JUNCTORS,
    LIST_MAP_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    PRESERVE,
    VALIDATIONS,
    fields_of,
    junctions,
    list_of,
)

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = {
    "id": "id is not supported",
    "additionalItems": "additionalItems is not supported",
    "patternProperties": "patternProperties is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "$ref": "$ref is not supported",
}
_WORD_TYPES: Mapping[str, tuple[type, ...]] = {
    "type": (str,),
    "format": (str,),
    "pattern": (str,),
    "description": (str,),
    "properties": (dict,),
    "items": (dict, list),
    "additionalProperties": (dict, bool),
    "not": (dict,),
    "required": (list,),
    "enum": (list,),
    "nullable": (bool,),
    **dict.fromkeys(JUNCTORS, (list,)),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), (int, float)),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum", "uniqueItems"), (bool,)),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), (int,)),
    **dict.fromkeys(("minProperties", "maxProperties"), (int,)),
    **dict.fromkeys((PRESERVE, EMBEDDED, INT_OR_STRING), (bool,)),
    **dict.fromkeys((LIST_TYPE, MAP_TYPE), (str,)),
    **dict.fromkeys((LIST_MAP_KEYS, VALIDATIONS), (list,)),
}
"""What a keyword takes. OpenAPI of definitions does not tell what stands below `items`."""


def validate_words(root: Node, path: str) -> Iterator[Cause]:
    """All that is wrong with the keywords of a schema; `path` is where it stands."""
    return _words(root, path, _Place(is_root=True))


class _Place:
    """Where a node stands, as far as its words depend on it.

    no_default  why it may have none; empty: it may
    """

    def __init__(
        self, *, is_root: bool = False, is_in_meta: bool = False, no_default: str = ""
    ) -> None:
        self.is_root = is_root
        self.is_in_meta = is_in_meta
        self.no_default = no_default

    def below(self) -> "_Place":
        """Of a node somewhere below it."""
        return _Place(is_in_meta=self.is_in_meta, no_default=self.no_default)

    def of_field(self, node: Node, name: str) -> "_Place":
        """Of a field of an object."""
        is_meta = name in ("apiVersion", "kind", "metadata")
        if not is_meta or not (self.is_root or node.get(EMBEDDED)):
            return self.below()
        return _Place(
            is_in_meta=True, no_default=f"in top-level {name}" if self.is_root else self.no_default
        )

    def of_values(self) -> "_Place":
        """Of the values of a map."""
        told = "inside additionalProperties applying to object metadata"
        return _Place(is_in_meta=True, no_default=told) if self.is_in_meta else self.below()


def _words(node: Node, path: str, place: _Place) -> Iterator[Cause]:
    yield from _word_types(node, path)
    yield from _plain_words(node, path, place)
    yield from _map_words(node, path)
    yield from _list_words(node, path)
    yield from _rule_words(node, path)
    for name, field in fields_of(node).items():
        yield from _words(field, f"{path}.properties[{name}]", place.of_field(node, name))
    values, items = node.get("additionalProperties"), node.get("items")
    if isinstance(values, Mapping):
        yield from _words(values, f"{path}.additionalProperties", place.of_values())
    if isinstance(items, Mapping):
        yield from _words(items, f"{path}.items", place.below())
    for word, position, part in junctions(node):
        yield from _words(part, f"{path}.{word}{position}", place.below())


def _word_types(node: Node, path: str) -> Iterator[Cause]:
    for word, types in _WORD_TYPES.items():
        value = node.get(word)
        # A boolean is an int to Python, and to nobody else.
        if value is not None and not (isinstance(value, types) and _is_bool_if(value, types)):
            names = " or ".join(_TYPE_NAMES[one] for one in types)
            yield type_invalid(f"{path}.{word}", value, f"must be {names}")
    for word in ("properties", *JUNCTORS):
        value = node.get(word)
        below = value.values() if isinstance(value, dict) else value
        if isinstance(below, Iterable) and not all(isinstance(one, dict) for one in below):
            yield type_invalid(f"{path}.{word}", value, "must be made of schemas")


def _is_bool_if(value: object, types: tuple[type, ...]) -> bool:
    return not isinstance(value, bool) or bool in types


_TYPE_NAMES = {
    str: "a string",
    dict: "an object",
    list: "an array",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
}


def _plain_words(node: Node, path: str, place: _Place) -> Iterator[Cause]:
    told = node.get("type")
    if told and told not in _TYPES:
        yield not_supported(f"{path}.type", told, _TYPES)
    if told == "null":
        why = "type cannot be set to null, use nullable as an alternative"
        yield forbidden(f"{path}.type", why)
    if "default" in node and place.no_default:
        yield forbidden(f"{path}.default", f"must not be set {place.no_default}")
    for word, why in _UNSUPPORTED.items():
        if node.get(word) is not None:
            yield forbidden(f"{path}.{word}", why)
    if isinstance(node.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if place.is_in_meta and node.get(EMBEDDED):
        yield forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta")
    if node.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", why)
    if node.get(PRESERVE) is False:
        yield invalid(f"{path}.{PRESERVE}", False, "must be true or undefined")


def _map_words(node: Node, path: str) -> Iterator[Cause]:
    values = node.get("additionalProperties")
    if fields_of(node) and values is not None and values is not True:
        why = "additionalProperties and properties are mutual exclusive"
        yield forbidden(f"{path}.additionalProperties", why)
    map_type = node.get(MAP_TYPE)
    if map_type is not None:
        yield from _type_for(node, path, MAP_TYPE, "object")
        if map_type not in ("atomic", "granular"):
            yield not_supported(f"{path}.{MAP_TYPE}", map_type, ("atomic", "granular"))


def _type_for(node: Node, path: str, word: str, wanted: str) -> Iterator[Cause]:
    told = node.get("type")
    if told != wanted:
        why = f"must be {wanted} if {word} is specified"
        yield invalid(f"{path}.type", told, why) if told else required(f"{path}.type", why)


def _list_words(node: Node, path: str) -> Iterator[Cause]:
    list_type, keys = node.get(LIST_TYPE), list_of(node, LIST_MAP_KEYS)
    if keys and list_type != "map":
        at, why = f"{path}.{LIST_TYPE}", f"must be map if {LIST_MAP_KEYS} is non-empty"
        yield required(at, why) if list_type is None else invalid(at, list_type, why)
    if list_type is None:
        return
    yield from _type_for(node, path, LIST_TYPE, "array")
    items = node.get("items")
    match list_type:
        case "atomic":
            pass
        case "set":
            yield from _set_items(items, f"{path}.items")
        case "map":
            yield from _map_items(items, keys, path)
        case _:
            yield not_supported(f"{path}.{LIST_TYPE}", list_type, ("atomic", "map", "set"))


def _set_items(items: Any, path: str) -> Iterator[Cause]:
    if not isinstance(items, Mapping):
        return
    why = f"must be atomic as item of a list with {LIST_TYPE}=set"
    if items.get("type") == "array" and items.get(LIST_TYPE, "atomic") != "atomic":
        yield invalid(f"{path}.{LIST_TYPE}", items[LIST_TYPE], why)
    if items.get("type") == "object" and items.get(MAP_TYPE) != "atomic":
        yield invalid(f"{path}.{MAP_TYPE}", items.get(MAP_TYPE), why)
    yield from _not_nullable(items, path, f"cannot be nullable when {LIST_TYPE} is set")


def _not_nullable(node: Node, path: str, why: str) -> Iterator[Cause]:
    if node.get("nullable"):
        yield forbidden(f"{path}.nullable", why)


def _map_items(items: Any, keys: list[Any], path: str) -> Iterator[Cause]:
    if not keys:
        yield required(f"{path}.{LIST_MAP_KEYS}", f"must not be empty if {LIST_TYPE} is map")
    if not isinstance(items, Mapping):
        if items is None:
            yield required(f"{path}.items", f"must have a schema if {LIST_TYPE} is map")
        return
    yield from _not_nullable(items, f"{path}.items", f"cannot be nullable when {LIST_TYPE} is map")
    if items.get("type") != "object":
        why = f"must be object if parent array's {LIST_TYPE} is map"
        yield invalid(f"{path}.items.type", items.get("type", ""), why)
        return
    if len(set(map(str, keys))) < len(keys):
        yield invalid(f"{path}.{LIST_MAP_KEYS}", keys, "must not contain duplicate entries")
    for key in keys:
        if key not in fields_of(items):
            yield invalid(
                f"{path}.{LIST_MAP_KEYS}", keys, "entries must all be names of item properties"
            )
        else:
            yield from _map_key(items, str(key), f"{path}.items")


def _map_key(items: Node, key: str, path: str) -> Iterator[Cause]:
    field, at = fields_of(items)[key], f"{path}.properties[{key}]"
    named = f"this property is in {LIST_MAP_KEYS}, so it"
    if field.get("type") in ("array", "object"):
        why = f"must be a scalar type if parent array's {LIST_TYPE} is map"
        yield invalid(f"{at}.type", field["type"], why)
    if key not in list_of(items, "required") and field.get("default") is None:
        yield required(f"{at}.default", f"{named} must have a default or be a required property")
    yield from _not_nullable(field, at, f"{named} cannot be nullable")


def _rule_words(node: Node, path: str) -> Iterator[Cause]:
    """Rules are looked at, but not evaluated: nothing here speaks CEL."""
    for position, rule in enumerate(list_of(node, VALIDATIONS)):
        if isinstance(rule, Mapping) and not str(rule.get("rule", "")).strip():
            yield required(f"{path}.{VALIDATIONS}[{position}].rule", "rule is not specified")
