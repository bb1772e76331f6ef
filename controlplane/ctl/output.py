"""How cpctl shows objects: tables as the server prints them, YAML, JSON, names. PURE."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from controlplane.api import yaml_text
from controlplane.api.resource import Object

_GAP, _WIDTH_MIN = 3, 6  # kubectl's
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class TableWriter:
    """Lines of a table, also of one that grows: a column never gets narrower.

    prefix       stands before every name, such as `service/`
    namespaces   is there a column for them?
    """

    def __init__(self, *, is_wide: bool, prefix: str = "", has_namespaces: bool = False) -> None:
        self._is_wide = is_wide
        self._prefix = prefix
        self._has_namespaces = has_namespaces
        self._columns: list[Mapping[str, Any]] = []
        self._widths: list[int] = []

    def lines(self, table: Mapping[str, Any], *, has_header: bool) -> list[str]:
        """Of a `Table`; one without columns has those of the one before."""
        self._columns = list(table.get("columnDefinitions") or self._columns)
        rows = [self._cells(row) for row in table.get("rows") or ()]
        if has_header:
            rows.insert(0, self._header())
        for row in rows:
            wanted = [max(len(cell) + _GAP, _WIDTH_MIN) for cell in row]
            known = self._widths or wanted
            self._widths = [max(pair) for pair in zip(known, wanted, strict=True)]
        return [
            "".join(cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=False))
            + row[-1]
            for row in rows
        ]

    def _shown(self) -> list[int]:
        return [
            number
            for number, column in enumerate(self._columns)
            if self._is_wide or not column.get("priority")
        ]

    def _header(self) -> list[str]:
        names = [str(self._columns[number]["name"]).upper() for number in self._shown()]
        return ["NAMESPACE", *names] if self._has_namespaces else names

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        cells = [_cell(row["cells"][number]) for number in self._shown()]
        cells[0] = self._prefix + cells[0]
        if self._has_namespaces:
            cells.insert(0, str(row["object"]["metadata"].get("namespace", "")))
        return cells


def _cell(value: object) -> str:
    """The first line of it, without what a terminal would obey."""
    text = "" if value is None else str(value)
    first = re.split(r"[\n\r\f]", text, maxsplit=1)[0]
    return printable(first) + ("..." if len(first) < len(text) else "")


def printable(line: str) -> str:
    """Without what a terminal would obey: whoever writes an object must not write on screens."""
    return _CONTROL.sub("?", line)


def listed(objects: Sequence[Object]) -> Object:
    """Several objects as one `List`."""
    return {
        "apiVersion": "v1",
        "items": list(objects),
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }


def without_managed_fields(found: Object) -> Object:
    """As kubectl shows objects."""
    metadata = {key: one for key, one in found["metadata"].items() if key != "managedFields"}
    return {**found, "metadata": metadata}


def as_json(found: Object) -> str:
    """With keys in order."""
    indented = orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
    return re.sub(r"^( +)", r"\1\1", indented, flags=re.MULTILINE)


def as_yaml(found: Object) -> str:
    """With keys in order; what it says is read back as the same, by Kubernetes' rules too."""
    return yaml_text.dump(found).decode().removesuffix("\n")
