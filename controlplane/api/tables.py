"""Tables: the cells that kubectl prints, made by the server. PURE.

Source: Kubernetes API conventions, "Receiving resources as Tables"; kubectl-needs.md, "Table".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from controlplane.api import jsonpath, stored
from controlplane.api.errors import bad_request
from controlplane.api.resource import Column, Object, Resource

Cell = Callable[[Object, float], object]
"""From an object, and now in seconds since 1970, to what stands in a cell."""

NAME = Column(name="Name", format="name", path=".metadata.name", description="Name of the object")
AGE = Column(
    name="Age", type="date", path=".metadata.creationTimestamp", description="Time since creation"
)

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3_600, 86_400, 31_536_000


def table(
    resource: Resource,
    objects: Iterable[Object],
    *,
    now: float,
    resource_version: str = "",
    continue_token: str = "",
    remaining: int | None = None,
    include_object: str = "Metadata",
    has_columns: bool = True,
) -> Object:
    """A `meta.k8s.io/v1` Table, one row for each object.

    now             seconds since 1970
    include_object  what each row carries: Metadata, Object or None; anything else is ApiError 400
    has_columns     False for later events of a watch, whose client knows them from the first one
    """
    wrap = _WRAPS.get(include_object or "Metadata")
    if wrap is None:
        raise bad_request(f'unrecognized includeObject value: "{include_object}"')
    metadata: dict[str, Any] = {}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    if continue_token:
        metadata["continue"] = continue_token
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    columns = columns_of(resource)
    cells = [_cell(column, resource) for column in columns]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": _definitions(columns) if has_columns else None,
        "rows": [
            {"cells": [cell(obj, now) for cell in cells], "object": wrap(obj)} for obj in objects
        ],
    }


def rows(
    resource: Resource, raws: Iterable[bytes], *, now: float, include_object: str = "Metadata"
) -> Iterator[bytes]:
    """The JSON of the same rows, of objects as they are kept, which are not decoded as a whole.

    raws  as `stored.loads` takes them. Raises UnreadableError.
    """
    cells = [_cell(column, resource) for column in columns_of(resource)]
    glance = _glancing(resource.strategy.glance)
    for raw in raws:
        obj, metadata = glance(resource, raw)
        match include_object or "Metadata":
            case "Metadata":
                carried = stored.partial_of(metadata)
            case "Object":
                carried = stored.served(resource, raw)
            case _:
                carried = b"null"
        yield b'{"cells":%b,"object":%b}' % (orjson.dumps([it(obj, now) for it in cells]), carried)


_Glance = Callable[[Resource, bytes], tuple[Object, bytes | msgspec.Raw]]
"""Of the bytes of an object: what its cells need, and the bytes of its metadata."""


def _look(resource: Resource, raw: bytes) -> tuple[Object, bytes]:
    """Of a kind that does not say what its cells need."""
    obj = stored.loads(resource, raw)
    return obj, orjson.dumps(obj.get("metadata", {}))


@lru_cache(maxsize=64)
def _glancing(seen: tuple[type, type] | None) -> _Glance:
    if seen is None:
        return _look
    whole = msgspec.json.Decoder[dict[str, Any]](seen[0])
    metadata = msgspec.json.Decoder[dict[str, Any]](seen[1])

    def glance(resource: Resource, raw: bytes) -> tuple[Object, bytes | msgspec.Raw]:
        if not stored.is_served(resource, raw):
            return _look(resource, raw)
        try:
            obj = whole.decode(raw)
            of_metadata: msgspec.Raw = obj["metadata"]
            obj["metadata"] = metadata.decode(of_metadata)
        except (msgspec.DecodeError, KeyError):
            # Stored by somebody who asks for no types: as much of it is told as can be.
            return _look(resource, raw)
        return obj, of_metadata

    return glance


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """Its own columns; of a custom resource the name goes before them. Name and age otherwise."""
    if not resource.columns:
        return (NAME, AGE)
    return (NAME, *resource.columns) if resource.is_custom else resource.columns


@lru_cache(maxsize=1024)
def _definitions(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns
    ]


def _metadata_only(obj: Object) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj.get("metadata", {}),
    }


_WRAPS: Mapping[str, Callable[[Object], Object | None]] = {
    "Metadata": _metadata_only,
    "Object": lambda obj: obj,
    "None": lambda obj: None,
}


def _cell(column: Column, resource: Resource) -> Cell:
    if column.cell:
        return resource.strategy.cells[column.cell]
    # What is remembered is as long as a path may be; a longer one is none, and stays so.
    path = column.path[: jsonpath.LENGTH_MAX + 1]
    return _path_cell(path, column.type, resource.is_custom)


@lru_cache(maxsize=4096)
def _path_cell(path: str, column_type: str, is_custom: bool) -> Cell:
    """A cell by its path.

    Kubernetes prints built-in kinds from structs, in which what is missing is 0 or an empty text,
    and custom resources from JSON, where it is null. What does not fit its type is null as well.
    """
    try:
        get = jsonpath.getter(path)
    except ValueError:
        # A definition's path is looked at closely when it is used, not when it is stored.
        return lambda obj, now: None
    if column_type == "date":
        missing = None if is_custom else "<unknown>"
        return lambda obj, now: missing if (at := get(obj)) is None else since(at, now)
    fit = _FITS.get(column_type, _fit_nothing)
    zero = None if is_custom else _ZEROS.get(column_type)
    return lambda obj, now: zero if (value := get(obj)) is None else fit(value)


_EXPONENT_FROM = 1e21
"""Smaller whole numbers are written with all their digits."""
_INTEGER_MAX = 2**63 - 1

_ZEROS: Mapping[str, object] = {"string": "", "integer": 0, "number": 0, "boolean": False}


def _fit_string(value: Any) -> object:
    """Texts as they are, other things as JSON has them."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT_FROM:
        return str(int(value))
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _fit_integer(value: Any) -> object:
    number = _fit_number(value)
    return int(number) if number is not None and abs(number) <= _INTEGER_MAX else None


def _fit_number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _fit_boolean(value: Any) -> object:
    return value if isinstance(value, bool) else None


def _fit_nothing(_: Any) -> object:
    return None


_FITS: Mapping[str, Callable[[Any], object]] = {
    "string": _fit_string,
    "integer": _fit_integer,
    "number": _fit_number,
    "boolean": _fit_boolean,
}


def since(timestamp: object, now: float) -> str:
    """Age of something that happened at an RFC 3339 time, as people read it."""
    if not timestamp or not isinstance(timestamp, str):
        return "<unknown>" if timestamp in (None, "") else "<invalid>"
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<invalid>"
    # A time without a zone is none of RFC 3339's.
    return age(now - at.timestamp()) if at.tzinfo else "<invalid>"


def age(seconds: float) -> str:
    """A duration as kubectl prints it: two units at most, and only while the second one matters.

    `119s`, `2m`, `9m59s`, `10m`, `3h`, `7h59m`, `8h`, `47h`, `2d`, `2d1h`, `8d`, `2y`,
    `2y1d`, `8y`; up to 2 s in the future are `0s`, as clocks differ.
    Source: apimachinery, HumanDuration.
    """
    whole = int(seconds)
    if whole < 0:
        return "0s" if whole >= -1 else "<invalid>"
    for bound, unit, letter, rest, rest_letter in _AGES:
        if whole < bound:
            text = f"{whole // unit}{letter}"
            left = whole % unit // rest if rest else 0
            return f"{text}{left}{rest_letter}" if left else text
    return f"{whole // _YEAR}y"


_AGES = (
    # below so many seconds: unit, its letter, unit of the rest (0: none), its letter
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)
