"""What the schema of a custom resource must be: structural, so that it can prune and default. PURE.

A schema tells the type of each field in one place; what stands below `allOf`, `anyOf`, `oneOf` and
`not` may only narrow values of fields that are told outside of them. Kubernetes' texts throughout.

Source: Kubernetes, "Specifying a structural schema" and the rules of CustomResourceDefinition.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.api import patterns
from controlplane.api.causes import forbidden, invalid, not_supported, required
from controlplane.api.errors import Cause
from controlplane.api.schema import Node, Schema
from controlplane.api.validation import validate

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_LIST_TYPE = "x-kubernetes-list-type"
_LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
_MAP_TYPE = "x-kubernetes-map-type"
_VALIDATIONS = "x-kubernetes-validations"

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_EITHER = [{"type": "integer"}, {"type": "string"}]
"""The one place where types may stand below `anyOf`."""

_UNSUPPORTED = {
    "id": "id is not supported",
    "additionalItems": "additionalItems is not supported",
    "patternProperties": "patternProperties is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "$ref": "$ref is not supported",
}
_AT_ROOT_WITH_STATUS = {
    "description": "Description",
    "type": "Type",
    "format": "Format",
    "title": "Title",
    "maximum": "Maximum",
    "exclusiveMaximum": "ExclusiveMaximum",
    "minimum": "Minimum",
    "exclusiveMinimum": "ExclusiveMinimum",
    "maxLength": "MaxLength",
    "minLength": "MinLength",
    "pattern": "Pattern",
    "maxItems": "MaxItems",
    "minItems": "MinItems",
    "uniqueItems": "UniqueItems",
    "multipleOf": "MultipleOf",
    "required": "Required",
    "items": "Items",
    "properties": "Properties",
    "externalDocs": "ExternalDocs",
    "example": "Example",
    _PRESERVE: "XPreserveUnknownFields",
    _VALIDATIONS: "XValidations",
}
"""Words that a root schema may have beside a status sub-resource, and how messages spell them."""

_NARROWING_ONLY = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    _PRESERVE: "must be false to be structural",
    _EMBEDDED: "must be false to be structural",
    _INT_OR_STRING: "must be false to be structural",
    _LIST_MAP_KEYS: "must be empty to be structural",
    _LIST_TYPE: "must be undefined to be structural",
}
"""What may not stand below a junctor."""


def validate_schema(root: Node, path: str, *, has_status: bool) -> list[Cause]:
    """All that is wrong with the schema of one version; `path` is where it stands."""
    found = list(_beside_status(root, path)) if has_status else []
    if root.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    found += sorted(_structural(root, path), key=lambda cause: (cause.field, cause.message))
    found += _words(root, path, _Place(is_root=True))
    # Only what is whole otherwise can tell whether a default fits.
    return found or list(_defaults(root, path))


def _beside_status(root: Node, path: str) -> Iterator[Cause]:
    if root.get("type", "object") != "object":
        why = 'only "object" is allowed as the type at the root of the schema if the status'
        yield invalid(f"{path}.type", root["type"], f"{why} subresource is enabled")
    if any(value for word, value in root.items() if word not in _AT_ROOT_WITH_STATUS):
        words = " ".join(_AT_ROOT_WITH_STATUS.values())
        why = f"only [{words}] fields are allowed at the root of the schema if the status"
        yield invalid(path, dict(root), f"{why} subresource is enabled")


# -- the shape: what is told where --------------------------------------------------------------


def _structural(root: Node, path: str) -> Iterator[Cause]:
    if root.get("additionalProperties") is not None:
        yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if root.get("type") not in (None, "", "object"):
        yield invalid(f"{path}.type", root["type"], "must be object at the root")
    metadata = _fields(root).get("metadata")
    if metadata is not None and not _restricts_names_only(metadata):
        why = "must not specify anything other than name and generateName"
        yield forbidden(
            f"{path}.properties[metadata]", f"{why}, but metadata is implicitly specified"
        )
    yield from _shape(root, path, "must not be empty at the root", is_root=True)


def _restricts_names_only(metadata: Node) -> bool:
    """The server knows the rest of metadata, and knows it better."""
    words = {word for word, value in metadata.items() if value and word != "default"}
    fields = _fields(metadata).keys()
    return words <= {"type", "properties"} and fields <= {"name", "generateName"}


def _shape(node: Node, path: str, untyped: str, *, is_root: bool = False) -> Iterator[Cause]:
    items, values = node.get("items"), node.get("additionalProperties")
    if node.get("type") == "array" and items is None:
        yield required(f"{path}.items", "must be specified")
    if isinstance(items, Mapping):
        yield from _shape(items, f"{path}.items", "must not be empty for specified array items")
    of_fields = "must not be empty for specified object fields"
    for name, field in _fields(node).items():
        yield from _shape(field, f"{path}.properties[{name}]", of_fields)
    if isinstance(values, Mapping):
        yield from _shape(values, f"{path}.additionalProperties", of_fields)
    yield from _extensions(node, path)
    yield from _type(node, path, untyped)
    if is_root or node.get(_EMBEDDED):
        yield from _type_of_meta(node, path)
    if node.get("pattern"):
        yield from _pattern(node["pattern"], f"{path}.pattern")
    for word, position, part in _junctions(node):
        if not _is_int_or_string(node, word, position):
            yield from _narrowing(part, node, f"{path}.{word}{position}", path)


def _extensions(node: Node, path: str) -> Iterator[Cause]:
    if node.get(_INT_OR_STRING):
        for word in (_PRESERVE, _EMBEDDED):
            if node.get(word):
                yield invalid(
                    f"{path}.{word}", node[word], f"must be false if {_INT_OR_STRING} is true"
                )
    if not node.get(_EMBEDDED):
        return
    if node.get("additionalProperties") is not None:
        yield forbidden(f"{path}.additionalProperties", f"must not be used if {_EMBEDDED} is set")
    if not node.get(_PRESERVE) and not _fields(node):
        why = f"must not be empty if {_EMBEDDED} is true without {_PRESERVE}"
        yield required(f"{path}.properties", why)


def _type(node: Node, path: str, untyped: str) -> Iterator[Cause]:
    told = node.get("type")
    if node.get(_EMBEDDED) and told != "object":
        why = f"must be object if {_EMBEDDED} is true"
        yield invalid(f"{path}.type", told, why) if told else required(f"{path}.type", why)
    elif not told and not node.get(_INT_OR_STRING) and not node.get(_PRESERVE):
        yield required(f"{path}.type", untyped)


def _type_of_meta(node: Node, path: str) -> Iterator[Cause]:
    fields = _fields(node)
    for name, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        told = fields[name].get("type", "") if name in fields else wanted
        if told != wanted:
            yield invalid(f"{path}.properties[{name}].type", told, f"must be {wanted}")


def _pattern(pattern: object, path: str) -> Iterator[Cause]:
    try:
        patterns.compiled(str(pattern))
    except ValueError as error:
        why = f"must be a valid regular expression, but isn't: {error}"
        yield invalid(path, pattern, why)


def _is_int_or_string(node: Node, word: str, position: str) -> bool:
    """`anyOf: [integer, string]`, also inside the first `allOf`, is how both are allowed."""
    if word == "anyOf":
        return bool(node.get("anyOf") == _EITHER)
    parts = node.get("allOf")
    return (
        (word, position) == ("allOf", "[0]")
        and isinstance(parts, list)
        and isinstance(parts[0], Mapping)
        and parts[0] == {"anyOf": _EITHER}
    )


def _narrowing(part: Node, outside: Node | None, path: str, outside_path: str) -> Iterator[Cause]:
    """What stands below a junctor, and the node outside of it that tells of the same."""
    for word, why in _NARROWING_ONLY.items():
        if part.get(word) not in (None, "", False, []):
            yield forbidden(f"{path}.{word}", why)
    if part.get("pattern"):
        yield from _pattern(part["pattern"], f"{path}.pattern")
    yield from _narrowed_fields(part, outside, path, outside_path)
    yield from _narrowed_items(part, outside, path, outside_path)
    for word, position, deeper in _junctions(part):
        if not _is_int_or_string(part, word, position):
            yield from _narrowing(deeper, outside, f"{path}.{word}{position}", outside_path)


def _narrowed_fields(
    part: Node, outside: Node | None, path: str, outside_path: str
) -> Iterator[Cause]:
    told = _fields(outside or {})
    for name, field in _fields(part).items():
        below, at = f"{path}.properties[{name}]", f"{outside_path}.properties[{name}]"
        if name == "metadata":
            yield forbidden(below, "must not be specified in a nested context")
        if outside is not None and name not in told:
            yield required(at, f"because it is defined in {below}")
        yield from _narrowing(field, told.get(name), below, at)


def _narrowed_items(
    part: Node, outside: Node | None, path: str, outside_path: str
) -> Iterator[Cause]:
    items, below, at = part.get("items"), f"{path}.items", f"{outside_path}.items"
    if not isinstance(items, Mapping):
        return
    found = outside.get("items") if outside is not None else None
    if outside is not None and found is None:
        yield required(at, f"because it is defined in {below}")
    yield from _narrowing(items, found if isinstance(found, Mapping) else None, below, at)


# -- the words: what each of them may say -------------------------------------------------------


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
        if not is_meta or not (self.is_root or node.get(_EMBEDDED)):
            return self.below()
        return _Place(
            is_in_meta=True, no_default=f"in top-level {name}" if self.is_root else self.no_default
        )

    def of_values(self) -> "_Place":
        """Of the values of a map."""
        told = "inside additionalProperties applying to object metadata"
        return _Place(is_in_meta=True, no_default=told) if self.is_in_meta else self.below()


def _words(node: Node, path: str, place: _Place) -> Iterator[Cause]:
    yield from _plain_words(node, path, place)
    yield from _map_words(node, path)
    yield from _list_words(node, path)
    yield from _rule_words(node, path)
    for name, field in _fields(node).items():
        yield from _words(field, f"{path}.properties[{name}]", place.of_field(node, name))
    values, items = node.get("additionalProperties"), node.get("items")
    if isinstance(values, Mapping):
        yield from _words(values, f"{path}.additionalProperties", place.of_values())
    if isinstance(items, Mapping):
        yield from _words(items, f"{path}.items", place.below())
    for word, position, part in _junctions(node):
        yield from _words(part, f"{path}.{word}{position}", place.below())


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
    if place.is_in_meta and node.get(_EMBEDDED):
        yield forbidden(f"{path}.{_EMBEDDED}", "must not be used inside of resource meta")
    if node.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", why)
    if node.get(_PRESERVE) is False:
        yield invalid(f"{path}.{_PRESERVE}", False, "must be true or undefined")


def _map_words(node: Node, path: str) -> Iterator[Cause]:
    values = node.get("additionalProperties")
    if _fields(node) and values is not None and values is not True:
        why = "additionalProperties and properties are mutual exclusive"
        yield forbidden(f"{path}.additionalProperties", why)
    map_type = node.get(_MAP_TYPE)
    if map_type is not None:
        yield from _type_for(node, path, _MAP_TYPE, "object")
        if map_type not in ("atomic", "granular"):
            yield not_supported(f"{path}.{_MAP_TYPE}", map_type, ("atomic", "granular"))


def _type_for(node: Node, path: str, word: str, wanted: str) -> Iterator[Cause]:
    told = node.get("type")
    if told != wanted:
        why = f"must be {wanted} if {word} is specified"
        yield invalid(f"{path}.type", told, why) if told else required(f"{path}.type", why)


def _list_words(node: Node, path: str) -> Iterator[Cause]:
    list_type, keys = node.get(_LIST_TYPE), _list(node, _LIST_MAP_KEYS)
    if keys and list_type != "map":
        at, why = f"{path}.{_LIST_TYPE}", f"must be map if {_LIST_MAP_KEYS} is non-empty"
        yield required(at, why) if list_type is None else invalid(at, list_type, why)
    if list_type is None:
        return
    yield from _type_for(node, path, _LIST_TYPE, "array")
    items = node.get("items")
    match list_type:
        case "atomic":
            pass
        case "set":
            yield from _set_items(items, f"{path}.items")
        case "map":
            yield from _map_items(items, keys, path)
        case _:
            yield not_supported(f"{path}.{_LIST_TYPE}", list_type, ("atomic", "map", "set"))


def _set_items(items: Any, path: str) -> Iterator[Cause]:
    if not isinstance(items, Mapping):
        return
    why = f"must be atomic as item of a list with {_LIST_TYPE}=set"
    if items.get("type") == "array" and items.get(_LIST_TYPE, "atomic") != "atomic":
        yield invalid(f"{path}.{_LIST_TYPE}", items[_LIST_TYPE], why)
    if items.get("type") == "object" and items.get(_MAP_TYPE) != "atomic":
        yield invalid(f"{path}.{_MAP_TYPE}", items.get(_MAP_TYPE), why)
    yield from _not_nullable(items, path, f"cannot be nullable when {_LIST_TYPE} is set")


def _not_nullable(node: Node, path: str, why: str) -> Iterator[Cause]:
    if node.get("nullable"):
        yield forbidden(f"{path}.nullable", why)


def _map_items(items: Any, keys: list[Any], path: str) -> Iterator[Cause]:
    if not keys:
        yield required(f"{path}.{_LIST_MAP_KEYS}", f"must not be empty if {_LIST_TYPE} is map")
    if not isinstance(items, Mapping):
        if items is None:
            yield required(f"{path}.items", f"must have a schema if {_LIST_TYPE} is map")
        return
    yield from _not_nullable(items, f"{path}.items", f"cannot be nullable when {_LIST_TYPE} is map")
    if items.get("type") != "object":
        why = f"must be object if parent array's {_LIST_TYPE} is map"
        yield invalid(f"{path}.items.type", items.get("type", ""), why)
        return
    if len(set(map(str, keys))) < len(keys):
        yield invalid(f"{path}.{_LIST_MAP_KEYS}", keys, "must not contain duplicate entries")
    for key in keys:
        if key not in _fields(items):
            yield invalid(
                f"{path}.{_LIST_MAP_KEYS}", keys, "entries must all be names of item properties"
            )
        else:
            yield from _map_key(items, str(key), f"{path}.items")


def _map_key(items: Node, key: str, path: str) -> Iterator[Cause]:
    field, at = _fields(items)[key], f"{path}.properties[{key}]"
    named = f"this property is in {_LIST_MAP_KEYS}, so it"
    if field.get("type") in ("array", "object"):
        why = f"must be a scalar type if parent array's {_LIST_TYPE} is map"
        yield invalid(f"{at}.type", field["type"], why)
    if key not in _list(items, "required") and field.get("default") is None:
        yield required(f"{at}.default", f"{named} must have a default or be a required property")
    yield from _not_nullable(field, at, f"{named} cannot be nullable")


def _rule_words(node: Node, path: str) -> Iterator[Cause]:
    """Rules are looked at, but not evaluated: nothing here speaks CEL."""
    for position, rule in enumerate(_list(node, _VALIDATIONS)):
        if isinstance(rule, Mapping) and not str(rule.get("rule", "")).strip():
            yield required(f"{path}.{_VALIDATIONS}[{position}].rule", "rule is not specified")


# -- defaults: values that must fit ---------------------------------------------------------------


def _defaults(node: Node, path: str) -> Iterator[Cause]:
    if node.get("default") is not None:
        at = f"{path}.default"
        for cause in validate(Schema(node, {}), node["default"]):
            field = f"{at}.{cause.field}" if cause.field else at
            yield Cause(cause.reason, cause.message, field)
    for name, field in _fields(node).items():
        yield from _defaults(field, f"{path}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        below = node.get(word)
        if isinstance(below, Mapping):
            yield from _defaults(below, f"{path}.{word}")


# -- looking into nodes that a user wrote -------------------------------------------------------


def _fields(node: Node) -> Mapping[str, Node]:
    """Fields of an object that have a schema."""
    fields = node.get("properties")
    if not isinstance(fields, Mapping):
        return {}
    return {name: field for name, field in fields.items() if isinstance(field, Mapping)}


def _list(node: Node, word: str) -> list[Any]:
    found = node.get(word)
    return found if isinstance(found, list) else []


def _junctions(node: Node) -> Iterator[tuple[str, str, Node]]:
    """Word, position as paths have it, and each schema that a junctor joins."""
    for word in ("allOf", "anyOf", "oneOf"):
        for position, part in enumerate(_list(node, word)):
            if isinstance(part, Mapping):
                yield word, f"[{position}]", part
    if isinstance(node.get("not"), Mapping):
        yield "not", "", node["not"]
