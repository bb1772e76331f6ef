"""What a typed server cannot decode, and what a strict one does not take. PURE.

An object of a built-in kind whose field has another type is not invalid (422) but cannot be read
at all (400), and the message is that of Go's decoder; `validation.validate` finds the same faults,
but says them as it does of custom resources.
Source: kube-behaviour.md 2.11; messages of Go's encoding/json and of Kubernetes' strict decoder.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controlplane.api import errors, formats, quantity
from controlplane.api.constraints import RANGES
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.api.schema import Schema
from controlplane.api.schemas import named
from controlplane.api.validation import validate

TOLD_MAX = 100
"""So many unknown or duplicate fields are enough to see what is wrong."""

_KINDS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
}
_GO_TYPES = {"string": "string", "boolean": "bool", "integer": "int64", "number": "float64"}
_TIME_LAYOUT = "2006-01-02T15:04:05Z07:00"


def check_decodes(resource: Resource, obj: Object) -> None:
    """Whether Go could read it into the kind's type; of custom resources only metadata is typed.

    ApiError: 400 with the first field that it could not.
    """
    fault = decoding_fault(resource, obj)
    if fault:
        raise cannot_be_handled(resource, fault)


def decoding_fault(resource: Resource, obj: Object) -> str:
    """The first field that Go could not read into the kind's type; empty: it could read all."""
    # Validation is made for speed, and finds at least what Go does.
    if not validate(resource.schema, obj, with_required=False):
        return ""
    return unmarshal_fault(resource.schema, obj)


def cannot_be_handled(resource: Resource, why: str) -> ApiError:
    """400: `Pod in version "v1" cannot be handled as a Pod: why`."""
    kind, version = resource.kind, resource.version
    return errors.bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')


def strict_faults(unknown: Sequence[str], duplicates: Sequence[str]) -> list[str]:
    """What is told of unknown and duplicate fields, also as warnings."""
    told = [f'duplicate field "{path}"' for path in duplicates]
    told += [f'unknown field "{path}"' for path in unknown]
    return told[:TOLD_MAX]


def strict_fault(unknown: Sequence[str], duplicates: Sequence[str]) -> str:
    """What `fieldValidation=Strict` refuses; empty: there is nothing to complain about."""
    told = ", ".join(strict_faults(unknown, duplicates))
    return f"strict decoding error: {told}" if told else ""


def unmarshal_fault(schema: Schema, obj: Object) -> str:
    """The first field that Go cannot read, in its words; empty: all can be read."""
    if schema.ref:
        return next(_faults(schema, obj, _Place("", ()), is_typed=True), "")
    meta = named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    place = _Place("", ("metadata",))
    return next(_faults(meta, obj.get("metadata"), place, is_typed=True), "")


class _Place:
    """Where a value is: the struct around it, and the names on the way, lists not counted."""

    def __init__(self, struct: str, path: tuple[str, ...]) -> None:
        self.struct = struct
        self.path = path

    def field(self, struct: str, name: str) -> "_Place":
        return _Place(struct, (*self.path, name))

    def mismatch(self, value: Any, wanted: str) -> str:
        """A value of another type than Go's."""
        found = _KINDS[type(value)]
        if found == "number" and wanted in RANGES:
            found = f"number {value}"
        if not self.path:
            return f"json: cannot unmarshal {found} into Go value of type {wanted}"
        where = f"{self.struct}.{'.'.join(self.path)}"
        return f"json: cannot unmarshal {found} into Go struct field {where} of type {wanted}"


def _faults(schema: Schema, value: Any, place: _Place, *, is_typed: bool) -> Iterator[str]:
    if value is None:
        return
    is_typed = is_typed or bool(schema.ref)
    if is_typed and schema.type not in ("", "object", "array"):
        fault = _scalar_fault(schema, value, place)
        if fault:
            yield fault
    elif isinstance(value, dict) and schema.type in ("", "object"):
        yield from _object_faults(schema, value, place, is_typed=is_typed)
    elif isinstance(value, list) and schema.type in ("", "array"):
        if schema.items is not None:
            for element in value:
                yield from _faults(schema.items, element, place, is_typed=is_typed)
    elif is_typed and schema.type:
        yield place.mismatch(value, _go_type(schema))


def _object_faults(
    schema: Schema, value: Mapping[str, Any], place: _Place, *, is_typed: bool
) -> Iterator[str]:
    struct = schema.ref.rpartition(".")[2] or place.struct
    for name, child in value.items():
        known = schema.properties.get(name)
        if known is not None:
            yield from _faults(known, child, place.field(struct, name), is_typed=is_typed)
        elif schema.values is not None:
            # A map's keys are not part of the path.
            yield from _faults(schema.values, child, place, is_typed=is_typed)


def _scalar_fault(schema: Schema, value: Any, place: _Place) -> str:
    if schema.is_int_or_string:
        wanted = "string" if isinstance(value, str) else "int32"
        is_right = isinstance(value, str) or (_is_int(value) and _in_range(value, "int32"))
        return "" if is_right else _Place("", ()).mismatch(value, wanted)
    if schema.format == "quantity":
        return _quantity_fault(value)
    if schema.format == "date-time":
        return _time_fault(value)
    wanted = _go_type(schema)
    if not _has_go_type(value, schema.type, wanted):
        return place.mismatch(value, wanted)
    if schema.format == "byte" and not formats.is_base64(value):
        return f"illegal base64 data at input byte {_base64_position(value)}"
    return ""


def _has_go_type(value: Any, type_: str, wanted: str) -> bool:
    if type_ == "integer":
        return _is_int(value) and _in_range(value, wanted)
    if type_ == "number":
        return type(value) in (int, float)
    return type(value) is (str if type_ == "string" else bool)


def _is_int(value: Any) -> bool:
    return type(value) is int


def _in_range(value: int, wanted: str) -> bool:
    lowest, highest = RANGES[wanted]
    return lowest <= value <= highest


def _quantity_fault(value: Any) -> str:
    # Its decoder takes anything for the text of a quantity, without quotes as well.
    text = value if isinstance(value, str) else str(value).lower()
    try:
        quantity.parse(text)
    except ValueError as error:
        return str(error)
    return ""


def _time_fault(value: Any) -> str:
    if not isinstance(value, str):
        return _Place("", ()).mismatch(value, "string")
    if formats.is_time(value):
        return ""
    rest, wanted = value, "2006"
    if formats.is_date_time(value):  # but for the case of its letters
        rest, wanted = (value[10:], "T") if value[10] == "t" else (value[-1], "Z07:00")
    return f'parsing time "{value}" as "{_TIME_LAYOUT}": cannot parse "{rest}" as "{wanted}"'


_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n")


def _base64_position(text: str) -> int:
    """Of the first character that cannot stand there, or of the last group, which is too short."""
    body = text.rstrip("=\r\n")
    return next((at for at, one in enumerate(body) if one not in _BASE64), len(body) // 4 * 4)


def _go_type(schema: Schema) -> str:
    """The name of the Go type. Named strings, such as v1.Protocol, are `string` in OpenAPI."""
    if schema.type == "array":
        return f"[]{_go_type(schema.items)}" if schema.items is not None else "[]interface {}"
    if schema.format == "byte":
        return "[]uint8"
    if schema.ref:
        *_, package, name = schema.ref.split(".")
        return f"{package}.{name}"
    if schema.values is not None:
        return f"map[string]{_go_type(schema.values)}"
    return schema.format if schema.format in RANGES else _GO_TYPES.get(schema.type, "struct")
