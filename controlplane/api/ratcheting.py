"""What of a custom resource may stay as wrong as it was, after its schema became stricter. PURE.

Who changes one field need not mend all the others: what is wrong with a value counts where the
value is new. Values are told to be the same ones by names of fields, and by keys in lists that are
maps; elements of all other lists are only part of their list. What a schema asks of a value as a
whole, be it by `allOf`, `anyOf`, `oneOf` or `not`, counts as soon as anything in the value is new.
That something is in a set or map twice counts where nothing was so in the whole object.

Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions", "Validation
ratcheting".
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import orjson

from controlplane.api import patterns, pruning, validation
from controlplane.api.constraints import Fault, below, joined, list_type_checks
from controlplane.api.errors import CAUSES_MAX, Cause
from controlplane.api.resource import Object
from controlplane.api.schema import Schema
from controlplane.api.schemas import named

_ABSENT: Any = object()


def validate(schema: Schema, new: Object, old: Object) -> list[Cause]:
    """What the schema finds wrong with `new`, but for what was in `old`, which it replaces.

    At most CAUSES_MAX.
    """
    old = pruning.prune(schema, old)
    if _is_same(_without_metadata(new), _without_metadata(old)):
        # Metadata alone changed, and is judged alone.
        causes = validation.validate(named(validation.OBJECT_META), new["metadata"])
        return [Cause(one.reason, one.message, joined("metadata", one.field)) for one in causes]
    place = _Place(schema, new, old)
    faults = [*patterns.together(partial(_faults, place, is_resource=True))]
    twice = list(islice(_duplicates(schema, new), CAUSES_MAX))
    if twice and not any(_duplicates(schema, old)):
        faults += twice
    return [tell(path) for path, tell in faults[:CAUSES_MAX]]


def _without_metadata(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name != "metadata"}


def _is_same(one: Any, other: Any) -> bool:
    """As it is stored: 1, 1.0 and true are three values."""
    return bool(one == other) and _text(one) == _text(other)


def _text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


class _Place(NamedTuple):
    """A value, and the one that was there before."""

    schema: Schema
    new: Any
    old: Any


def _faults(place: _Place, *, is_resource: bool = False) -> Sequence[Fault]:
    """What is wrong with the value where it is not as before. Enough are enough."""
    schema, new, old = place
    if _is_same(new, old):
        return ()
    before = _counterparts(place)
    if before is None:
        return validation.check_but_lists(schema)(new)
    faults: list[Fault] = []
    # What a whole object is, is part of its own check.
    told = validation.IDENTITY if is_resource or schema.is_embedded_resource else ()
    for key, inner, child in _parts(schema, new):
        if key in told:
            continue
        found = _faults(_Place(inner, child, before(key, child)))
        if found:
            faults += below(_step(key), found)
        if len(faults) >= CAUSES_MAX:
            return faults
    return [*faults, *validation.own_check(schema, is_resource=is_resource)(new)]


def _counterparts(place: _Place) -> Callable[[str | int, Any], Any] | None:
    """(name or position, new part) -> what was there before; None: the value has no parts."""
    schema, new, old = place
    if type(new) is dict and type(old) is dict:
        return lambda name, _: old.get(name, _ABSENT)
    if type(new) is list and type(old) is list and schema.list_type == "map":
        # Of those who have the same keys the first one counts.
        known = {_mark(schema, one): one for one in reversed(old)}
        return lambda _, element: known.get(_mark(schema, element), _ABSENT)
    return None


def _mark(schema: Schema, element: Any) -> bytes:
    """What tells an element of a `map` list apart; defaults of keys are filled in already."""
    if type(element) is not dict:
        return b""
    return _text([element.get(key) for key in schema.list_map_keys])


def _duplicates(schema: Schema, value: Any) -> Iterator[Fault]:
    """What sets and maps have twice, anywhere below."""
    for check in list_type_checks(schema):
        yield from check(value)
    for key, inner, child in _parts(schema, value):
        if type(child) is dict or type(child) is list:
            for path, tell in _duplicates(inner, child):
                yield joined(_step(key), path), tell


def _parts(schema: Schema, value: Any) -> Iterator[tuple[str | int, Schema, Any]]:
    """Fields and elements that the schema says something of: name or position, schema, value."""
    if type(value) is dict:
        for name, child in value.items():
            inner = schema.properties.get(name) or schema.values
            if inner is not None:
                yield name, inner, child
    elif type(value) is list and schema.items is not None:
        for position, child in enumerate(value):
            yield position, schema.items, child


def _step(key: str | int) -> str:
    return f"[{key}]" if isinstance(key, int) else key
