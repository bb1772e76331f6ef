"""Causes of a refusal: Kubernetes' reasons and its words for each, which stand here only. PURE.

Who finds something wrong makes one by these functions; `checks.py` has what is often looked for.
Reasons and texts: apimachinery's documented `field.Error` types (kube-behaviour.md, 2.19).
"""

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Any

import orjson

from controlplane.api.errors import Cause, cut

SHOWN_CHARACTERS_MAX = 1_024
"""Of a value in a message: its end, which says why, must still be read."""

IMMUTABLE = "field is immutable"

DUPLICATE = "FieldValueDuplicate"
"""A reason."""


def required(field: str, detail: str = "") -> Cause:
    """`Required value`, or `Required value: detail`."""
    return _cause("FieldValueRequired", field, "Required value", detail)


def invalid(field: str, value: Any, detail: str) -> Cause:
    """`Invalid value: "x": detail`."""
    return invalid_as(field, shown(value), detail)


def invalid_as(field: str, told: str, detail: str) -> Cause:
    """As `invalid`; `told` is the value as Go prints it, where that is no JSON."""
    return _cause("FieldValueInvalid", field, f"Invalid value: {told}", detail)


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    """As `invalid`, of a value that has another type than its field."""
    return _cause("FieldValueTypeInvalid", field, f"Invalid value: {shown(value)}", detail)


def not_supported(field: str, value: Any, supported: Iterable[Any]) -> Cause:
    """`Unsupported value: "x": supported values: "a", "b"`: a set is told in order."""
    told = sorted(supported) if isinstance(supported, Set) else supported
    quoted = ", ".join(shown(one if isinstance(one, str) else shown(one)) for one in told)
    detail = f"supported values: {quoted}" if quoted else ""
    return _cause("FieldValueNotSupported", field, f"Unsupported value: {shown(value)}", detail)


def duplicate(field: str, value: Any) -> Cause:
    """`Duplicate value: "x"`."""
    return _cause(DUPLICATE, field, f"Duplicate value: {shown(value)}")


def forbidden(field: str, detail: str) -> Cause:
    """`Forbidden: detail`."""
    return _cause("FieldValueForbidden", field, "Forbidden", detail)


def not_found(field: str, value: Any) -> Cause:
    """`Not found: "x"`."""
    return _cause("FieldValueNotFound", field, f"Not found: {shown(value)}")


def too_long(field: str, length_max: int) -> Cause:
    """`Too long: may not be more than N bytes`: the value itself is left out."""
    detail = f"may not be more than {length_max} byte{'' if length_max == 1 else 's'}"
    return _cause("FieldValueTooLong", field, "Too long", detail)


def too_many(field: str, count: int, count_max: int) -> Cause:
    """`Too many: 3: must have at most 2 items`."""
    detail = f"must have at most {count_max} item{'' if count_max == 1 else 's'}"
    return _cause("FieldValueTooMany", field, f"Too many: {count}", detail)


def immutable(field: str, value: Any) -> Cause:
    """`Invalid value: "x": field is immutable`."""
    return invalid(field, value, IMMUTABLE)


def _cause(reason: str, field: str, message: str, detail: str = "") -> Cause:
    return Cause(reason, f"{message}: {detail}" if detail else message, field)


def shown(value: Any) -> str:
    """A value as messages show it: as JSON, cut where it is long."""
    return cut(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode(), SHOWN_CHARACTERS_MAX)


def go_strings(values: Collection[str]) -> str:
    """A list of strings as Go prints it."""
    told = ", ".join(shown(value) for value in values)
    return f"[]string{{{told}}}" if values else "[]string(nil)"


def go_map(labels: Mapping[str, str]) -> str:
    """A map of strings as Go prints it: by key."""
    told = ", ".join(f"{shown(key)}:{shown(value)}" for key, value in sorted(labels.items()))
    return f"map[string]string{{{told}}}" if labels else "map[string]string(nil)"
