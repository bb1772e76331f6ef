"""An object for people to read: all that it says, and what happened to it. PURE.

Source: kubectl's documented `describe` of kinds that it does not know.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controlplane.api.resource import Object
from controlplane.api.tables import since
from controlplane.ctl.output import printable

_ACRONYMS = {"api": "API", "url": "URL", "uid": "UID", "guid": "GUID", "osb": "OSB"}
_HEAD = ("name", "namespace", "labels", "annotations", "managedFields")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+")
_INDENT = "  "


def describe(found: Object, events: Sequence[Object], *, now: float) -> str:
    """now: seconds since 1970, for the ages of events."""
    metadata: Mapping[str, Any] = found["metadata"]
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key != _LAST_APPLIED
    }
    head = [
        ("Name", [str(metadata["name"])]),
        ("Namespace", [str(metadata.get("namespace") or "<none>")]),
        ("Labels", _pairs(metadata.get("labels") or {}, "=")),
        ("Annotations", _pairs(annotations, ": ")),
        ("API Version", [str(found["apiVersion"])]),
        ("Kind", [str(found["kind"])]),
    ]
    width = max(len(label) for label, _ in head) + 3
    lines = []
    for label, values in head:
        lines += [f"{label}:".ljust(width) + values[0]]
        lines += [" " * width + value for value in values[1:]]
    body = {key: one for key, one in found.items() if key not in ("apiVersion", "kind")}
    body["metadata"] = {key: one for key, one in metadata.items() if key not in _HEAD}
    lines += _mapping(_masked(found, body), 0)
    lines += _events(events, now)
    return "\n".join(printable(line.expandtabs()) for line in lines)


def _pairs(pairs: Mapping[str, Any], between: str) -> list[str]:
    texts = (f"{key}{between}{value}" for key, value in sorted(pairs.items()))
    return [line for text in texts for line in _lines(text)] or ["<none>"]


def _lines(text: str) -> list[str]:
    return re.split(r"\r?\n", text)


def _masked(found: Object, body: dict[str, Any]) -> dict[str, Any]:
    """A Secret's values are for nobody's screen: only how long they are."""
    if found["kind"] != "Secret" or found["apiVersion"] != "v1":
        return body
    sizes = {
        key: f"{len(base64.b64decode(value))} bytes"
        for key, value in (body.get("data") or {}).items()
    }
    return {**body, "data": _Plain(sizes)}


class _Plain(dict[str, Any]):
    """A mapping whose keys are a user's, and no fields."""


def _mapping(tree: Mapping[str, Any], depth: int) -> Iterator[str]:
    label = str if isinstance(tree, _Plain) else _label
    scalars = [label(key) for key, value in tree.items() if not isinstance(value, dict | list)]
    width = max(map(len, scalars), default=0) + 3
    indent = _INDENT * depth
    for key in sorted(tree):
        value = tree[key]
        if isinstance(value, dict):
            yield f"{indent}{label(key)}:"
            is_users = key in ("data", "binaryData", "labels", "matchLabels", "annotations")
            yield from _mapping(_Plain(value) if is_users else value, depth + 1)
        elif isinstance(value, list):
            yield f"{indent}{label(key)}:"
            yield from _sequence(value, depth + 1)
        else:
            first, *rest = _lines(_scalar(value))
            yield (f"{indent}{label(key) + ':':{width}}" + first).rstrip()
            yield from (indent + " " * width + line for line in rest)


def _sequence(values: Sequence[Any], depth: int) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict):
            yield from _mapping(value, depth)
        elif isinstance(value, list):
            yield from _sequence(value, depth + 1)
        else:
            yield from (_INDENT * depth + line for line in _lines(_scalar(value)))


def _scalar(value: object) -> str:
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _label(field: str) -> str:
    """`creationTimestamp` is `Creation Timestamp`, `uid` is `UID`."""
    words = _WORDS.findall(field)
    return " ".join(_ACRONYMS.get(word.lower(), word[:1].upper() + word[1:]) for word in words)


def _events(events: Sequence[Object], now: float) -> list[str]:
    if not events:
        return ["Events:  <none>"]
    rows = [("Type", "Reason", "Age", "From", "Message")]
    rows.append(tuple("-" * max(4, len(title)) for title in rows[0]))  # type: ignore[arg-type]
    rows += [_event(one, now) for one in sorted(events, key=_last_seen)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "Events:",
        *(
            _INDENT
            + "  ".join(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True))
            + "  "
            + row[4]
            for row in rows
        ),
    ]


def _last_seen(event: Object) -> str:
    series: Mapping[str, Any] = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def _event(event: Object, now: float) -> tuple[str, str, str, str, str]:
    age = since(_last_seen(event), now)
    count = int((event.get("series") or {}).get("count") or event.get("count") or 1)
    if count > 1:
        first = event.get("firstTimestamp") or event.get("eventTime")
        age = f"{age} (x{count} over {since(first, now)})"
    source = event.get("reportingComponent") or (event.get("source") or {}).get("component") or ""
    message = " ".join(str(event.get("message") or "").split())
    return str(event.get("type") or ""), str(event.get("reason") or ""), age, str(source), message
