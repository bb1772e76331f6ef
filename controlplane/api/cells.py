"""Cells that several kinds' Tables share. PURE.

Source: what kubectl 1.33 prints. A cell is a function of (object, now in seconds since 1970); what
is not there is `<none>`, `<unset>` or `<unknown>` as kubectl's users know it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api import tables
from controlplane.api.resource import Object
from controlplane.api.tables import Cell

NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"


def at(obj: Object, *path: str) -> Any:
    """What is at a path; None: nothing."""
    found: Any = obj
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def text(*path: str, otherwise: str = "") -> Cell:
    """A string, or a word for its absence."""
    return lambda obj, now: at(obj, *path) or otherwise


def flag(*path: str) -> Cell:
    """A boolean that is false when nobody has written it."""
    return lambda obj, now: bool(at(obj, *path))


def since(timestamp: str | None, now: float, otherwise: str = UNKNOWN) -> str:
    """How long ago something was."""
    return tables.since(timestamp, now) if timestamp else otherwise


def joined(values: Iterable[str], otherwise: str = NONE) -> str:
    """Words with commas between."""
    return ",".join(values) or otherwise


def labels(found: Mapping[str, Any] | None) -> str:
    """A map of labels: `a=b,c=d`."""
    return joined(f"{key}={value}" for key, value in sorted((found or {}).items()))


_OPERATORS = {"In": "in", "NotIn": "notin"}


def selector(found: Object | None) -> str:
    """A label selector: `a=b,c in (d,e),!f`."""
    told = [
        (key, f"{key}={value}") for key, value in (at(found or {}, "matchLabels") or {}).items()
    ]
    for one in at(found or {}, "matchExpressions") or ():
        key, operator = one.get("key", ""), one.get("operator", "")
        values = ",".join(sorted(one.get("values") or ()))
        match operator:
            case "Exists":
                word = key
            case "DoesNotExist":
                word = f"!{key}"
            case _:
                word = f"{key} {_OPERATORS.get(operator, operator)} ({values})"
        told.append((key, word))
    return joined(word for _, word in sorted(told))


def workload(*path: str) -> dict[str, Cell]:
    """Wide columns of kinds with a pod template, whose spec is at `path`."""

    def containers(obj: Object, now: float) -> str:
        return ",".join(one.get("name", "") for one in at(obj, *path, "containers") or ())

    def images(obj: Object, now: float) -> str:
        return ",".join(one.get("image", "") for one in at(obj, *path, "containers") or ())

    return {
        "containers": containers,
        "images": images,
        "selector": lambda obj, now: selector(at(obj, "spec", "selector")),
    }
