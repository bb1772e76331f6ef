"""Field tables of all kinds that a kubectl knows, from its own struct tags.

    python -m protobuf_tables KUBECTL OUTPUT

The result is what `controlplane/api/protobuf.py` describes. Field numbers, names and what is left
out of JSON are facts of the wire; kubectl >= 1.32 encodes by exactly these tags.
"""

import json
import lzma
import re
import sys
from pathlib import Path

from protobuf_tables.gotypes import Executable, Field, GoType

SPECIAL = {
    ("k8s.io/apimachinery/pkg/api/resource", "Quantity"): "quantity",
    ("k8s.io/apimachinery/pkg/util/intstr", "IntOrString"): "int-or-string",
    ("k8s.io/apimachinery/pkg/apis/meta/v1", "Time"): "time",
    ("k8s.io/apimachinery/pkg/apis/meta/v1", "MicroTime"): "micro-time",
    ("k8s.io/apimachinery/pkg/apis/meta/v1", "Duration"): "duration",
    ("k8s.io/apimachinery/pkg/apis/meta/v1", "FieldsV1"): "json",
    ("k8s.io/apimachinery/pkg/runtime", "RawExtension"): "json",
}
"""Types whose JSON is not that of their fields."""

SUFFIXED = {
    "admission": "admission.k8s.io",
    "admissionregistration": "admissionregistration.k8s.io",
    "apidiscovery": "apidiscovery.k8s.io",
    "apiserverinternal": "internal.apiserver.k8s.io",
    "authentication": "authentication.k8s.io",
    "authorization": "authorization.k8s.io",
    "certificates": "certificates.k8s.io",
    "coordination": "coordination.k8s.io",
    "core": "",
    "discovery": "discovery.k8s.io",
    "events": "events.k8s.io",
    "flowcontrol": "flowcontrol.apiserver.k8s.io",
    "imagepolicy": "imagepolicy.k8s.io",
    "networking": "networking.k8s.io",
    "node": "node.k8s.io",
    "rbac": "rbac.authorization.k8s.io",
    "resource": "resource.k8s.io",
    "scheduling": "scheduling.k8s.io",
    "storage": "storage.k8s.io",
    "storagemigration": "storagemigration.k8s.io",
}
"""Groups that are not called as their package is."""

_PACKAGE = re.compile(r"k8s\.io/(?:api|apimachinery/pkg/apis)/(\w+/v\w+)$")
_JSON = re.compile(r'json:"([^"]*)"')
_NUMBER = re.compile(r'protobuf:"\w+,(\d+),')

Row = list[int | str]


def message_name(found: GoType) -> str:
    """`core.v1.PodSpec`."""
    package = _PACKAGE.match(found.package)
    if package is None:
        raise ValueError(f"{found.package}.{found.name} is no API type")
    return f"{package[1].replace('/', '.')}.{found.name}"


class Tables:
    """The messages that some kinds need, collected as they are met."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Row]] = {}

    def add(self, found: GoType) -> str:
        """Take a struct in, and all that it refers to; returns its name."""
        name = message_name(found)
        if name not in self.messages:
            rows: list[Row] = []
            self.messages[name] = rows
            rows.extend(self._row(field) for field in found.fields if _NUMBER.search(field.tag))
            rows.sort()
        return name

    def _row(self, field: Field) -> Row:
        number = _NUMBER.search(field.tag)
        said = _JSON.search(field.tag)
        assert number is not None
        name, *options = said[1].split(",") if said else [field.name]
        flags = "o" if "omitempty" in options else ""
        flags += "i" if "inline" in options else ""
        kind, shape = self._kind(field.type)
        return [int(number[1]), name, kind, flags + shape]

    def _kind(self, found: GoType) -> tuple[str, str]:
        """What a field holds, and whether many (r), by key (m) or perhaps nothing (p)."""
        if found.kind == "pointer":
            return self._scalar(found.element), "p"
        if found.kind == "map":
            return self._scalar(found.value), "m"
        if found.kind == "slice" and not found.name and found.element.kind != "uint8":
            return self._scalar(found.element), "r"
        return self._scalar(found), ""

    def _scalar(self, found: GoType) -> str:
        if found.kind == "slice":
            if found.element.kind == "uint8":
                return "bytes"
            if found.element.kind == "string":
                return "strings"  # A named list is a message of its own: items = 1.
        if found.kind != "struct":
            if found.kind in ("bool", "int", "uint8", "uint", "string"):
                return found.kind.removesuffix("8")
            raise ValueError(f"cannot tell how {found.kind} {found.name} is encoded")
        return SPECIAL.get((found.package, found.name)) or self.add(found)


def is_kind(found: GoType) -> bool:
    """Whether it has apiVersion and kind."""
    first = found.fields[0] if found.fields else None
    return first is not None and first.is_embedded and first.type.name == "TypeMeta"


def tables_of(executable: Executable) -> dict[str, object]:
    """All kinds, by `version/Kind` or `group/version/Kind`, and their messages."""
    tables = Tables()
    kinds = {}
    for pointer in executable.linked_types():
        if pointer.kind != "pointer" or pointer.element.kind != "struct":
            continue
        found = pointer.element
        package = _PACKAGE.match(found.package)
        if package is None or not found.name or not is_kind(found):
            continue
        group, _, version = package[1].partition("/")
        place = f"{SUFFIXED.get(group, group)}/{version}".lstrip("/")
        kinds[f"{place}/{found.name}"] = tables.add(found)
    messages = dict(sorted(tables.messages.items()))
    return {"kinds": dict(sorted(kinds.items())), "messages": messages}


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    tables = tables_of(Executable(source.read_bytes()))
    text = json.dumps(tables, separators=(",", ":")).encode()
    target.write_bytes(lzma.compress(text, preset=9))
    print(f"{len(tables['kinds'])} kinds, {len(tables['messages'])} messages")  # type: ignore[arg-type]


main()
