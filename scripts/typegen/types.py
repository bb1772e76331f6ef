"""What a definition is as a struct: fields with their Python types and empty values."""

import json
import lzma
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from controlplane.api.schemas import definitions
from typegen import names

SCALARS = {"string": ("str", '""'), "integer": ("int", "0"), "boolean": ("bool", "False")}
SCALARS["number"] = ("float", "0.0")
OPAQUE = (".JSONSchemaProps", ".RawExtension", ".FieldsV1", ".JSON")
"""Types that are kept as JSON: a tree of anything."""

Rows = Mapping[str, tuple[str, str]]
"""JSON name -> what protobuf's table says of it: kind and flags."""


class FieldType(NamedTuple):
    """A field as it is written down; `empty` is its default."""

    json_name: str
    annotation: str
    empty: str
    is_always: bool
    merge_key: str
    uses: str
    """Definition that must be there before; empty: none."""


def protobuf_rows(path: Path) -> Mapping[str, Rows]:
    """Message -> rows, those of embedded messages among them."""
    messages = json.loads(lzma.decompress(path.read_bytes()))["messages"]

    def rows(message: str) -> Iterator[tuple[str, tuple[str, str]]]:
        for _, name, kind, flags in messages[message]:
            if "i" in flags:
                yield from rows(kind)
            else:
                yield name, (kind, flags)

    return {message: dict(rows(message)) for message in messages}


class Types:
    """Reads definitions. What is a pointer only protobuf's table tells."""

    def __init__(self, table: Mapping[str, Rows]) -> None:
        self._table = table

    def fields(self, definition: str) -> list[FieldType]:
        """In the order of the schema."""
        node = definitions()[definition]
        rows = self._table.get(".".join(definition.split(".")[-3:]), {})
        required = set(node.get("required", ()))
        (gvk,) = (node.get("x-kubernetes-group-version-kind") or [{}])[:1]
        return [
            self._field(name, told, name in required, rows.get(name), gvk)
            for name, told in node.get("properties", {}).items()
        ]

    def _field(
        self,
        name: str,
        told: Mapping[str, Any],
        is_required: bool,
        row: tuple[str, str] | None,
        gvk: Mapping[str, str],
    ) -> FieldType:
        if gvk and name in ("apiVersion", "kind"):
            version = f"{gvk['group']}/{gvk['version']}".lstrip("/")
            value = version if name == "apiVersion" else gvk["kind"]
            return FieldType(name, "str", f'"{value}"', True, "", "")
        annotation, empty, uses = self._type(told)
        flags = row[1] if row else _flags(name, is_required=is_required, is_kind=bool(gvk))
        is_always = "o" not in flags and annotation != "Any"
        is_pointer = "p" in flags or ("o" in flags and _is_time(told))
        if is_pointer and empty not in ("()", "{}", "None"):
            annotation, empty, is_always = f"{annotation} | None", "None", False
        return FieldType(name, annotation, empty, is_always, _merge_key(told, uses), uses)

    def _type(self, told: Mapping[str, Any]) -> tuple[str, str, str]:
        """Annotation, empty value, and the struct that it needs."""
        reference = str(told.get("$ref", "")).removeprefix("#/definitions/")
        if reference.endswith(OPAQUE):
            return "Any", "None", ""
        if reference and "properties" in definitions()[reference]:
            name = _class(reference)
            return name, f"{name}()", reference
        node = definitions()[reference] if reference else told
        if node.get("format") == "int-or-string":
            return "int | str", "0", ""
        if node.get("type") == "array":
            annotation, _, uses = self._type(node["items"])
            return f"tuple[{annotation}, ...]", "()", uses
        if isinstance(values := node.get("additionalProperties"), Mapping):
            annotation, _, uses = self._type(values)
            return f"Mapping[str, {annotation}]", "{}", uses
        if node.get("type") in SCALARS:
            annotation, empty = SCALARS[node["type"]]
            return annotation, empty, ""
        if reference and node.get("type") == "object":
            name = _class(reference)
            return name, f"{name}()", reference
        return "Any", "None", ""


def _flags(name: str, *, is_required: bool, is_kind: bool) -> str:
    """As protobuf's table has them, of types that it has not: optional fields are pointers."""
    if is_required:
        return ""
    return "o" if is_kind and name in ("metadata", "spec", "status") else "op"


def _class(definition: str) -> str:
    return f"{names.module(definition)}.{names.type_name(definition)}"


def _is_time(told: Mapping[str, Any]) -> bool:
    return str(told.get("$ref", "")).endswith((".Time", ".MicroTime"))


def _merge_key(told: Mapping[str, Any], uses: str) -> str:
    """Of lists whose elements one field tells apart."""
    keys: list[str] = told.get("x-kubernetes-list-map-keys") or []
    key = told.get("x-kubernetes-patch-merge-key") or (keys[0] if len(keys) == 1 else "")
    is_list = uses and told.get("type") == "array"
    return str(key) if is_list and len(keys) <= 1 else ""
