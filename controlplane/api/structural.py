"""What the schema of a custom resource must be: structural, so that it can prune and default. PURE.

A schema tells the type of each field in one place; what stands below `allOf`, `anyOf`, `oneOf` and
`not` may only narrow values of fields that are told outside of them. Kubernetes' texts throughout.

Source: Kubernetes, "Specifying a structural schema" and the rules of CustomResourceDefinition.
"""

from collections.abc import Iterator, Mapping

from controlplane.api import patterns
from controlplane.api.causes import forbidden, invalid, required
from controlplane.api.errors import Cause
from controlplane.api.pruning import unknown_fields
from controlplane.api.schema import Node, Schema
from controlplane.api.schema_nodes import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_MAP_KEYS,
    LIST_TYPE,
    PRESERVE,
    VALIDATIONS,
    fields_of,
    junctions,
    without_nulls,
)
from controlplane.api.schema_words import validate_words
from controlplane.api.validation import validate

_EITHER = [{"type": "integer"}, {"type": "string"}]
"""The one place where types may stand below `anyOf`."""

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
    PRESERVE: "XPreserveUnknownFields",
    VALIDATIONS: "XValidations",
}
"""Words that a root schema may have beside a status sub-resource, and how messages spell them."""

_NARROWING_ONLY = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    PRESERVE: "must be false to be structural",
    EMBEDDED: "must be false to be structural",
    INT_OR_STRING: "must be false to be structural",
    LIST_MAP_KEYS: "must be empty to be structural",
    LIST_TYPE: "must be undefined to be structural",
}
"""What may not stand below a junctor."""


def validate_schema(root: Node, path: str, *, has_status: bool) -> list[Cause]:
    """All that is wrong with the schema of one version; `path` is where it stands."""
    root = without_nulls(root)
    found = list(_beside_status(root, path)) if has_status else []
    if root.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    found += sorted(_structural(root, path), key=lambda cause: (cause.field, cause.message))
    found += validate_words(root, path)
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
    metadata = fields_of(root).get("metadata")
    if metadata is not None and not _restricts_names_only(metadata):
        why = "must not specify anything other than name and generateName"
        yield forbidden(
            f"{path}.properties[metadata]", f"{why}, but metadata is implicitly specified"
        )
    yield from _shape(root, path, "must not be empty at the root", is_root=True)


def _restricts_names_only(metadata: Node) -> bool:
    """The server knows the rest of metadata, and knows it better."""
    words = {word for word, value in metadata.items() if value and word != "default"}
    fields = fields_of(metadata).keys()
    return words <= {"type", "properties"} and fields <= {"name", "generateName"}


def _shape(node: Node, path: str, untyped: str, *, is_root: bool = False) -> Iterator[Cause]:
    items, values = node.get("items"), node.get("additionalProperties")
    if node.get("type") == "array" and items is None:
        yield required(f"{path}.items", "must be specified")
    if isinstance(items, Mapping):
        yield from _shape(items, f"{path}.items", "must not be empty for specified array items")
    of_fields = "must not be empty for specified object fields"
    for name, field in fields_of(node).items():
        yield from _shape(field, f"{path}.properties[{name}]", of_fields)
    if isinstance(values, Mapping):
        yield from _shape(values, f"{path}.additionalProperties", of_fields)
    yield from _extensions(node, path)
    yield from _type(node, path, untyped)
    if is_root or node.get(EMBEDDED):
        yield from _type_of_meta(node, path)
    if node.get("pattern"):
        yield from _pattern(node["pattern"], f"{path}.pattern")
    for word, position, part in junctions(node):
        if not _is_int_or_string(node, word, position):
            yield from _narrowing(part, node, f"{path}.{word}{position}", path)


def _extensions(node: Node, path: str) -> Iterator[Cause]:
    if node.get(INT_OR_STRING):
        for word in (PRESERVE, EMBEDDED):
            if node.get(word):
                yield invalid(
                    f"{path}.{word}", node[word], f"must be false if {INT_OR_STRING} is true"
                )
    if not node.get(EMBEDDED):
        return
    if node.get("additionalProperties") is not None:
        yield forbidden(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set")
    if not node.get(PRESERVE) and not fields_of(node):
        why = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
        yield required(f"{path}.properties", why)


def _type(node: Node, path: str, untyped: str) -> Iterator[Cause]:
    told = node.get("type")
    if node.get(EMBEDDED) and told != "object":
        why = f"must be object if {EMBEDDED} is true"
        yield invalid(f"{path}.type", told, why) if told else required(f"{path}.type", why)
    elif not told and not node.get(INT_OR_STRING) and not node.get(PRESERVE):
        yield required(f"{path}.type", untyped)


def _type_of_meta(node: Node, path: str) -> Iterator[Cause]:
    fields = fields_of(node)
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
    for word, position, deeper in junctions(part):
        if not _is_int_or_string(part, word, position):
            yield from _narrowing(deeper, outside, f"{path}.{word}{position}", outside_path)


def _narrowed_fields(
    part: Node, outside: Node | None, path: str, outside_path: str
) -> Iterator[Cause]:
    told = fields_of(outside or {})
    for name, field in fields_of(part).items():
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


# -- defaults: values that must fit ---------------------------------------------------------------


def _defaults(node: Node, path: str) -> Iterator[Cause]:
    if node.get("default") is not None:
        at = f"{path}.default"
        for cause in validate(Schema(node, {}), node["default"]):
            where = f"{at}.{cause.field}" if cause.field else at
            yield Cause(cause.reason, cause.message, where)
    for name, field in fields_of(node).items():
        yield from _defaults(field, f"{path}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), Mapping):
            yield from _defaults(node[word], f"{path}.{word}")


def unknown_in_defaults(root: Node, path: str) -> Iterator[Cause]:
    """Defaults with fields that their own schema does not know: the next write would drop them."""
    return _unknown_in_defaults(without_nulls(root), path, is_whole=True)


def _unknown_in_defaults(node: Node, path: str, *, is_whole: bool = False) -> Iterator[Cause]:
    default = node.get("default")
    # Below another field, for a whole object has metadata that a default has not.
    holder = Schema({"type": "object", "properties": {"default": node}}, {})
    if default is not None and unknown_fields(holder, {"default": default}):
        yield invalid(f"{path}.default", default, "must not have unknown fields")
    for name, field in fields_of(node).items():
        if not ((is_whole or node.get(EMBEDDED)) and name in ("apiVersion", "kind", "metadata")):
            yield from _unknown_in_defaults(field, f"{path}.properties[{name}]")
    if isinstance(node.get("items"), Mapping):
        yield from _unknown_in_defaults(node["items"], f"{path}.items")
