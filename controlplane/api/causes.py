"""Causes of a refusal, in Kubernetes' words. PURE.

Reasons and texts: apimachinery's documented `field.Error` types (kube-behaviour.md, 2.19).
"""

from collections.abc import Iterable
from typing import Any

import orjson

from controlplane.api.errors import Cause


def required(field: str, detail: str = "") -> Cause:
    """`Required value`, or `Required value: detail`."""
    return _cause("FieldValueRequired", field, "Required value", detail)


def invalid(field: str, value: Any, detail: str) -> Cause:
    """`Invalid value: "x": detail`."""
    return _cause("FieldValueInvalid", field, f"Invalid value: {shown(value)}", detail)


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    """As `invalid`, of a value that has another type than its field."""
    return _cause("FieldValueTypeInvalid", field, f"Invalid value: {shown(value)}", detail)


def not_supported(field: str, value: Any, supported: Iterable[Any]) -> Cause:
    """`Unsupported value: "x": supported values: "a", "b"`."""
    told = ", ".join(shown(one if isinstance(one, str) else shown(one)) for one in supported)
    detail = f"supported values: {told}" if told else ""
    return _cause("FieldValueNotSupported", field, f"Unsupported value: {shown(value)}", detail)


def duplicate(field: str, value: Any) -> Cause:
    """`Duplicate value: "x"`."""
    return _cause("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}")


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
    return invalid(field, value, "field is immutable")


def shown(value: Any) -> str:
    """A value as messages show it: as JSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _cause(reason: str, field: str, message: str, detail: str = "") -> Cause:
    return Cause(reason, f"{message}: {detail}" if detail else message, field)
