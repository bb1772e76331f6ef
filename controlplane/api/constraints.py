"""What a schema asks of one value besides its type: bounds, formats, patterns, enums, lists. PURE.

Every check is compiled once and returns what is wrong as `Fault`s. Their texts are those of
Kubernetes for custom resources (go-openapi's messages and apimachinery's `field.Error`).
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import orjson

from controlplane.api import causes, formats, patterns
from controlplane.api.errors import Cause
from controlplane.api.schema import Schema

Fault = tuple[str, Callable[[str], Cause]]
"""Where, relative to the value that is checked (`a.b[0]`), and what, given the whole path."""

Check = Callable[[Any], Sequence[Fault]]
"""All that is wrong with a value; nothing is copied or made while all is well."""

RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
QUANTITY = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def joined(path: str, rest: str) -> str:
    """`a` and `b` are `a.b`; `a` and `[0]` are `a[0]`."""
    if not path or not rest:
        return path or rest
    return f"{path}{rest}" if rest.startswith("[") else f"{path}.{rest}"


def below(name: str, faults: Sequence[Fault]) -> list[Fault]:
    """Faults of a field or element, seen from what contains it."""
    return [(joined(name, path), tell) for path, tell in faults]


def wrong(detail: str, value: Any) -> list[Fault]:
    """A value that its schema does not allow; the detail goes on from `PATH in body`."""
    return [("", lambda path: causes.invalid(path, value, f"{path} in body {detail}"))]


class Unjudged:
    """Tells of a value of which nobody knows whether it is wrong: it is refused, and so is all
    that would be right because this one is wrong.
    """

    def __init__(self, value: str, why: str) -> None:
        self._value = value
        self._why = why

    def __call__(self, path: str) -> Cause:
        return causes.invalid(path, self._value, f"{path} in body {self._why}")


def unjudged(faults: Sequence[Fault]) -> list[Fault]:
    """Those of them that say no more than that nobody knows."""
    return [fault for fault in faults if isinstance(fault[1], Unjudged)]


def type_fault(value: Any, wanted: str) -> list[Fault]:
    """A value of another type: it is shown by the name of the type that it has."""
    found = type_name(value)
    detail = f'in body must be of type {wanted}: "{found}"'
    return [("", lambda path: causes.type_invalid(path, found, f"{path} {detail}"))]


def format_fault(value: Any, wanted: str) -> list[Fault]:
    """A value of the right type that has not the format."""
    told = value if isinstance(value, str) else causes.shown(value)
    detail = f"in body must be of type {wanted}: {causes.shown(told)}"
    return [("", lambda path: causes.type_invalid(path, value, f"{path} {detail}"))]


def type_name(value: Any) -> str:
    """Its type as schemas call it."""
    return _TYPE_NAMES[type(value)]


_TYPE_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def checks_of(schema: Schema) -> list[Check]:
    """All that a schema asks for, but types, structure, list types and combinations."""
    return [
        *_string_checks(schema),
        *_number_checks(schema),
        *_array_checks(schema),
        *_object_checks(schema),
        *_enum_checks(schema),
    ]


def _enum_checks(schema: Schema) -> Iterator[Check]:
    allowed = schema.node.get("enum")
    if allowed is None:
        return
    known = {_canonical(one) for one in allowed}

    def check(value: Any) -> Sequence[Fault]:
        if _canonical(value) in known:
            return ()
        return [("", lambda path: causes.not_supported(path, value, allowed))]

    yield check


def _canonical(value: Any) -> bytes:
    """Equal for values that JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _string_checks(schema: Schema) -> Iterator[Check]:
    node = schema.node
    length_max, length_min = node.get("maxLength"), node.get("minLength")
    if length_max is not None:
        yield _when(
            lambda value: len(value) > length_max,
            lambda _: [("", lambda path: causes.too_long(path, length_max))],
            str,
        )
    if length_min is not None:
        detail = f"should be at least {length_min} chars long"
        yield _when(lambda value: len(value) < length_min, lambda it: wrong(detail, it), str)
    if "pattern" in node:
        yield from _pattern_checks(node["pattern"])
    has_format = formats.FORMATS.get(schema.format)
    if has_format is not None:
        wanted = schema.format
        yield _when(lambda value: not has_format(value), lambda it: format_fault(it, wanted), str)


def _pattern_checks(text: str) -> Iterator[Check]:
    try:
        pattern = patterns.compiled(text)
    except ValueError:
        # A definition with such a pattern is refused; one that is stored all the same must not
        # make every object of its kind unreadable.
        return
    detail = f"should match '{text}'"
    costly = f"takes too long to be matched with '{text}'"

    def check(value: Any) -> Sequence[Fault]:
        if type(value) is not str:
            return ()
        try:
            return () if pattern.search(value) else wrong(detail, value)
        except patterns.TooMuchWorkError:
            return [("", Unjudged(value, costly))]

    yield check


def _number_checks(schema: Schema) -> Iterator[Check]:
    node = schema.node
    if schema.format in RANGES:
        lowest, highest = RANGES[schema.format]
        wanted = schema.format
        yield _when(
            lambda value: not lowest <= value <= highest,
            lambda it: format_fault(it, wanted),
            int,
            float,
        )
    if "minimum" in node:
        yield _minimum(node["minimum"], is_exclusive=bool(node.get("exclusiveMinimum")))
    if "maximum" in node:
        yield _maximum(node["maximum"], is_exclusive=bool(node.get("exclusiveMaximum")))
    factor = node.get("multipleOf")
    if factor is not None:
        detail = f"should be a multiple of {causes.shown(factor)}"
        yield _when(
            lambda value: not _is_multiple(value, factor), lambda it: wrong(detail, it), int, float
        )


def _minimum(bound: float, *, is_exclusive: bool) -> Check:
    told = "greater than" if is_exclusive else "greater than or equal to"
    detail = f"should be {told} {causes.shown(bound)}"

    def fails(value: Any) -> bool:
        return bool(value <= bound if is_exclusive else value < bound)

    return _when(fails, lambda it: wrong(detail, it), int, float)


def _maximum(bound: float, *, is_exclusive: bool) -> Check:
    told = "less than" if is_exclusive else "less than or equal to"
    detail = f"should be {told} {causes.shown(bound)}"

    def fails(value: Any) -> bool:
        return bool(value >= bound if is_exclusive else value > bound)

    return _when(fails, lambda it: wrong(detail, it), int, float)


def _is_multiple(value: float, factor: float) -> bool:
    """Exact, where floats would say that 0.3 is no multiple of 0.1."""
    if not factor:
        return True
    return (Fraction(str(value)) / Fraction(str(factor))).denominator == 1


def _array_checks(schema: Schema) -> Iterator[Check]:
    node = schema.node
    count_max, count_min = node.get("maxItems"), node.get("minItems")
    if count_max is not None:
        yield _when(
            lambda value: len(value) > count_max, lambda it: _too_many(len(it), count_max), list
        )
    if count_min is not None:
        detail = f"should have at least {count_min} items"
        yield _when(lambda value: len(value) < count_min, lambda it: wrong(detail, it), list)
    if node.get("uniqueItems"):
        yield _when(_has_duplicates, lambda it: wrong("shouldn't contain duplicates", it), list)


def list_type_checks(schema: Schema) -> Iterator[Check]:
    """That nothing is there twice, of lists that are sets or maps."""
    if schema.list_type == "set":
        yield _when(_has_duplicates, _set_faults, list)
    if schema.list_type == "map" and schema.list_map_keys:
        yield _map_check(schema)


def _too_many(count: int, count_max: int) -> list[Fault]:
    return [("", lambda path: causes.too_many(path, count, count_max))]


def _has_duplicates(value: Sequence[Any]) -> bool:
    return len({_canonical(one) for one in value}) < len(value)


def _set_faults(value: Sequence[Any]) -> list[Fault]:
    return _duplicates([(_canonical(one), one) for one in value])


def _map_check(schema: Schema) -> Check:
    """Elements of a `map` list differ in their keys, defaults of keys filled in."""
    keys = schema.list_map_keys
    fields = schema.items.properties if schema.items else {}
    missing = {key: fields[key].node.get("default") for key in keys if key in fields}

    def identity(element: Any) -> Any:
        told = ((key, element.get(key, missing.get(key))) for key in keys)
        return {key: value for key, value in told if value is not None}

    def check(value: Any) -> Sequence[Fault]:
        if type(value) is not list or len(value) < 2:
            return ()
        found = [identity(one) for one in value if type(one) is dict]
        # What is no object is no element of a map: its type is complained about already.
        if len(found) < len(value):
            return ()
        marks = [_canonical(one) for one in found]
        if len(set(marks)) == len(marks):
            return ()
        return _duplicates(list(zip(marks, found, strict=True)))

    return check


def _duplicates(elements: Sequence[tuple[bytes, Any]]) -> list[Fault]:
    seen: set[bytes] = set()
    faults: list[Fault] = []
    for position, (mark, value) in enumerate(elements):
        if mark in seen:
            faults.append((f"[{position}]", partial(causes.duplicate, value=value)))
        seen.add(mark)
    return faults


def _object_checks(schema: Schema) -> Iterator[Check]:
    count_max, count_min = schema.node.get("maxProperties"), schema.node.get("minProperties")
    if count_max is not None:
        yield _when(
            lambda value: len(value) > count_max, lambda it: _too_many(len(it), count_max), dict
        )
    if count_min is not None:
        detail = f"should have at least {count_min} properties"
        yield _when(lambda value: len(value) < count_min, lambda it: wrong(detail, it), dict)


def _when(
    fails: Callable[[Any], bool], tell: Callable[[Any], Sequence[Fault]], *types: type
) -> Check:
    """A check of values of these types; JSON Schema lets every other value pass."""

    def check(value: Any) -> Sequence[Fault]:
        return tell(value) if type(value) in types and fails(value) else ()

    return check
