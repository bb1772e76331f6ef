"""What of a custom resource may stay as wrong as it was, after its schema became stricter. PURE.

Who changes one field need not mend all the others: what is wrong with a value counts where the
value is new. Values are told to be the same ones by names of fields, by positions in lists, and
by keys in lists that are maps; elements of sets and of atomic lists are only part of their list.
Below `allOf`, `anyOf`, `oneOf` and `not` nothing stays: the whole is judged.

Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions", "Validation
ratcheting".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from controlplane.api import pruning, validation
from controlplane.api.causes import DUPLICATE
from controlplane.api.constraints import joined
from controlplane.api.errors import CAUSES_MAX, Cause
from controlplane.api.resource import Object
from controlplane.api.schema import Schema
from controlplane.api.schemas import named

PATH_CHARACTERS_MAX = 2_048
"""Of longer ones nobody asks what they are: whatever is wrong there counts."""

_ABSENT: Any = object()


def unless_kept(schema: Schema, found: list[Cause], new: Object, old: Object) -> list[Cause]:
    """What the schema finds wrong with `new`, but for what was in `old`, which it replaces."""
    old = pruning.prune(schema, old)
    if _is_same(_without_metadata(new), _without_metadata(old)):
        # Metadata alone changed, and is judged alone: many faults elsewhere may hide one in it.
        causes = validation.validate(named(validation.OBJECT_META), new["metadata"])
        return [Cause(one.reason, one.message, joined("metadata", one.field)) for one in causes]
    if len(found) >= CAUSES_MAX:
        return found  # Not all are told: who knows whether another one is new?
    kept = _Kept()
    place = _Place(schema, new, old)
    return [cause for cause in found if not kept.holds(place, _whole(cause))]


def _whole(cause: Cause) -> str:
    """Where what is wrong is: that an element is there twice is its list's fault."""
    return cause.field.rpartition("[")[0] if cause.reason == DUPLICATE else cause.field


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


class _Kept:
    """Two objects that are compared. What was found out about their parts is remembered."""

    def __init__(self) -> None:
        # By ids: the objects outlive this.
        self._same: dict[tuple[int, int], bool] = {}
        self._elements: dict[int, Mapping[bytes, Any]] = {}

    def holds(self, place: _Place, path: str) -> bool:
        """Whether something on the way to a path, which a cause names, is as it was."""
        if len(path) > PATH_CHARACTERS_MAX:
            return False
        while path:
            step = self._field(place, path) or self._element(place, path)
            if step is None:
                return False
            place, path = step
            if self._is_same(place):
                return True
        return False

    def _is_same(self, place: _Place) -> bool:
        key = (id(place.new), id(place.old))
        known = self._same.get(key)
        if known is None:
            known = self._same[key] = _is_same(place.new, place.old)
        return known

    def _field(self, place: _Place, path: str) -> tuple[_Place, str] | None:
        schema, new, old = place
        if type(new) is not dict or type(old) is not dict or "" in new:
            return None
        names = [
            name
            for name in _beginnings(path)
            if type(new.get(name)) in (dict, list)
            or (name == path and (name in new or name in schema.required))
        ]
        if len(names) != 1:
            return None  # `a.b` may be two fields or one: what is not clear is not kept.
        (name,) = names
        inner = schema.properties.get(name) or schema.values
        if inner is None or name not in new or name not in old:
            return None
        return _Place(inner, new[name], old[name]), path[len(name) :].removeprefix(".")

    def _element(self, place: _Place, path: str) -> tuple[_Place, str] | None:
        schema, new, old = place
        if type(new) is not list or type(old) is not list or schema.items is None:
            return None
        digits, _, rest = path.removeprefix("[").partition("]")
        if not digits.isdecimal() or int(digits) >= len(new):
            return None
        position = int(digits)
        before = _ABSENT
        if schema.list_type == "map":
            before = self._by_keys(schema, old).get(_mark(schema, new[position]), _ABSENT)
        elif not schema.list_type and position < len(old):
            before = old[position]
        if before is _ABSENT:
            return None
        return _Place(schema.items, new[position], before), rest.removeprefix(".")

    def _by_keys(self, schema: Schema, elements: Sequence[Any]) -> Mapping[bytes, Any]:
        known = self._elements.get(id(elements))
        if known is None:
            known = {_mark(schema, one): one for one in elements}
            self._elements[id(elements)] = known
        return known


def _beginnings(path: str) -> Iterator[str]:
    """What of a path may be the name of its first field."""
    for position, character in enumerate(path):
        if character in ".[":
            yield path[:position]
    yield path


def _mark(schema: Schema, element: Any) -> bytes:
    """What tells an element of a `map` list apart; defaults of keys are filled in already."""
    if type(element) is not dict:
        return b""
    return _text([element.get(key) for key in schema.list_map_keys])
