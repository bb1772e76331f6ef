"""Writes `controlplane/api/types`, a module for each group version.

    python -m typegen PROTOBUF_TABLES FOLDER

All kinds of these group versions are made, and whatever they contain: a further kind of one of
them is there already.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from controlplane.api.schemas import definitions
from typegen import names
from typegen.types import FieldType, Types, protobuf_rows

GROUP_VERSIONS = (
    ("", "v1"),
    ("apiextensions.k8s.io", "v1"),
    ("apps", "v1"),
    ("authentication.k8s.io", "v1"),
    ("authorization.k8s.io", "v1"),
    ("autoscaling", "v1"),
    ("autoscaling", "v2"),
    ("batch", "v1"),
    ("coordination.k8s.io", "v1"),
    ("discovery.k8s.io", "v1"),
    ("events.k8s.io", "v1"),
    ("networking.k8s.io", "v1"),
    ("policy", "v1"),
    ("rbac.authorization.k8s.io", "v1"),
    ("scheduling.k8s.io", "v1"),
    ("storage.k8s.io", "v1"),
)

Kinds = dict[tuple[str, str, str], str]


def kinds() -> Kinds:
    """(group, version, kind) -> definition; options and lists of objects are no kinds."""
    found = {}
    for name, node in sorted(definitions().items()):
        for told in node.get("x-kubernetes-group-version-kind", ()):
            place = (told["group"], told["version"])
            is_of_group = names.module(name) != "meta_v1"
            if place in GROUP_VERSIONS and is_of_group and not _is_list(name):
                found[*place, told["kind"]] = name
    return found


def _is_list(name: str) -> bool:
    return name.endswith("List") and "items" in definitions()[name].get("properties", {})


def in_order(wanted: Iterable[str], types: Types) -> list[str]:
    """Definitions and all that they use, what is used first."""
    done: dict[str, None] = {}

    def take(name: str) -> None:
        if name not in done:
            for field in types.fields(name):
                if field.uses:
                    take(field.uses)
            done[name] = None

    for name in wanted:
        take(name)
    return list(done)


def struct(name: str, fields: list[FieldType]) -> Iterator[str]:
    """Lines of one class."""
    yield f"class {names.type_name(name)}(Record, frozen=True, kw_only=True):"
    always = [field.json_name for field in fields if field.is_always]
    if always:
        told = ", ".join(f'"{one}"' for one in always)
        yield f"    ALWAYS: ClassVar[frozenset[str]] = frozenset({{{told}}})"
    keys = {field.json_name: field.merge_key for field in fields if field.merge_key}
    if keys:
        told = ", ".join(f'"{one}": "{key}"' for one, key in keys.items())
        yield f"    MERGE_KEYS: ClassVar[Mapping[str, str]] = {{{told}}}"
    if not fields:
        yield "    pass"
    for field in fields:
        python = names.snake(field.json_name)
        value = field.empty
        if names.camel(python) != field.json_name:
            default = "default_factory=dict" if value == "{}" else f"default={value}"
            value = f'field({default}, name="{field.json_name}")'
        yield f"    {python}: {field.annotation} = {value}"
    yield ""
    yield ""


def module(name: str, parts: list[str], types: Types) -> str:
    """Text of a module."""
    lines = [line for part in parts for line in struct(part, types.fields(part))]
    text = "\n".join(lines).replace(f"{name}.", "")
    others = sorted(
        {names.module(field.uses) for part in parts for field in types.fields(part) if field.uses}
        - {name}
    )
    head = [f'"""Types of `{name}`; made by scripts/gentypes."""', ""]
    if "Mapping[" in text:
        head.append("from collections.abc import Mapping")
    typing = [word for word in ("Any", "ClassVar") if word in text]
    if typing:
        head.append(f"from typing import {', '.join(typing)}")
    head.append("")
    if "= field(" in text:
        head += ["from msgspec import field", ""]
    head.append("from controlplane.api.record import Record")
    if others:
        head.append(f"from controlplane.api.types import {', '.join(others)}")
    return "\n".join([*head, "", "", text.rstrip()]) + "\n"


def index(found: Kinds) -> str:
    """Text of the package's own module."""
    modules = sorted({names.module(name) for name in found.values()})
    lines = [
        '"""Kubernetes\' types as frozen structs, a module for each group version. PURE.',
        "",
        "Made by scripts/gentypes from the schemas; `record.py` says how they are used.",
        '"""',
        "",
        "from collections.abc import Mapping",
        "",
        "from controlplane.api.record import Record",
        f"from controlplane.api.types import {', '.join(modules)}",
        "",
        "KINDS: Mapping[tuple[str, str, str], type[Record]] = {",
    ]
    for key, name in sorted(found.items()):
        place = f"{names.module(name)}.{names.type_name(name)}"
        lines.append(f"    {key!r}: {place},")
    lines += ["}", '"""(group, version, kind) -> type."""']
    return "\n".join(lines) + "\n"


def main() -> None:
    tables, folder = map(Path, sys.argv[1:])
    types = Types(protobuf_rows(tables))
    found = kinds()
    modules: dict[str, list[str]] = {}
    for name in in_order(found.values(), types):
        modules.setdefault(names.module(name), []).append(name)
    folder.mkdir(exist_ok=True)
    for name, parts in modules.items():
        (folder / f"{name}.py").write_text(module(name, parts, types))
    (folder / "__init__.py").write_text(index(found))
    print(f"{len(found)} kinds, {sum(map(len, modules.values()))} types")


main()
