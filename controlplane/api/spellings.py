"""Quantities and times of Kubernetes' own types as they are stored, whoever wrote them. PURE.

Decoding into these types reads a quantity as a number and a time as a moment, and writes each in
one way: `1000m` is `1`, `0.5Gi` is `512Mi`, a number becomes a text; a time is UTC and ends with
`Z`, in whole seconds, or with six digits behind them. Of custom resources only metadata is such.
Source: Kubernetes' documentation of `resource.Quantity` (serialization format), `metav1.Time` and
`metav1.MicroTime`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from controlplane.api import quantity
from controlplane.api.formats import is_time
from controlplane.api.resource import Object
from controlplane.api.schema import Node, Schema

_Canonical = Callable[[Any], Any]
"""A value in canonical form; the same value where it has it already."""

_MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"


def canonical(schema: Schema, obj: Object) -> Object:
    """The object; what is no quantity or time where one should be is left for others to judge.

    Only fields below which the schema has one are looked at.
    """
    rewrite: _Canonical | None = schema.compiled.get("spellings")
    if rewrite is None:
        rewrite = _COMPILER.of(schema)
        schema.compiled["spellings"] = rewrite
    done: Object = rewrite(obj)
    return done


def _same(value: Any) -> Any:
    return value


def _quantity(value: Any) -> Any:
    try:
        done = quantity.canonical(value)
    except ValueError:
        return value
    return value if done == value else done


def _time(value: Any) -> Any:
    # Most are right: one look tells, and nothing is made of them.
    if type(value) is not str or (len(value) == _TIME_LENGTH and value[-1] == "Z"):
        return value
    return _rewritten(value, "seconds")


def _micro_time(value: Any) -> Any:
    if type(value) is not str or (len(value) == _MICRO_TIME_LENGTH and value[-1] == "Z"):
        return value
    return _rewritten(value, "microseconds")


_TIME_LENGTH = len("2006-01-02T15:04:05Z")
_MICRO_TIME_LENGTH = len("2006-01-02T15:04:05.000000Z")


def _rewritten(time: str, unit: str) -> str:
    if not is_time(time):
        return time
    try:
        moment = datetime.fromisoformat(time).astimezone(UTC)
    except OverflowError:
        return time  # At the ends of the calendar there is no other zone.
    return moment.replace(tzinfo=None).isoformat(timespec=unit) + "Z"


def _of_scalar(schema: Schema) -> _Canonical | None:
    """What rewrites a scalar; None: it may be spelled in any way, or is none."""
    if schema.format == "quantity":
        return _quantity
    if schema.format == "date-time" and schema.ref:
        return _micro_time if schema.ref == _MICRO_TIME else _time
    return None


class _Compiler:
    def __init__(self) -> None:
        # The nodes are kept, or their ids could become another one's.
        self._made: dict[int, tuple[Node, _Canonical]] = {}
        self._holds: dict[int, tuple[Node, bool]] = {}

    def of(self, schema: Schema) -> _Canonical:
        """What rewrites values of a schema."""
        scalar = _of_scalar(schema)
        if scalar is not None:
            return scalar
        if not self._has_any(schema, set()):
            return _same
        known = self._made.get(id(schema.node))
        if known is None:
            known = (schema.node, self._compiled(schema))
            self._made[id(schema.node)] = known
        return known[1]

    def _has_any(self, schema: Schema, passed: set[int]) -> bool:
        """Whether there is something to rewrite below; some types contain themselves."""
        if _of_scalar(schema) is not None:
            return True
        place = id(schema.node)
        if place in self._holds:
            return self._holds[place][1]
        if place in passed:
            return False
        passed.add(place)
        below = [*schema.properties.values(), schema.items, schema.values]
        has_any = any(self._has_any(one, passed) for one in below if one is not None)
        # Within a circle a "no" may be early: what is known for sure is the first one's.
        if has_any or len(passed) == 1:
            self._holds[place] = (schema.node, has_any)
        return has_any

    def _compiled(self, schema: Schema) -> _Canonical:
        if schema.items is not None:
            return _elements(self.of(schema.items))
        if schema.values is not None:
            return _values(self.of(schema.values))
        return self._fields(schema)

    def _fields(self, schema: Schema) -> _Canonical:
        fields = {
            name: field for name, field in schema.properties.items() if self._has_any(field, set())
        }
        made: dict[str, _Canonical] = {}

        def rewrite(value: Any) -> Any:
            if type(value) is not dict:
                return value
            now = value
            for name, field in fields.items():
                child = value.get(name)
                if child is None:
                    continue
                # Made when it is first there: a type that contains itself would have no end.
                inner = made.get(name) or made.setdefault(name, self.of(field))
                done = inner(child)
                if done is not child:
                    now = dict(value) if now is value else now
                    now[name] = done
            return now

        return rewrite


def _elements(rewrite: _Canonical) -> _Canonical:
    def apply(value: Any) -> Any:
        if type(value) is not list:
            return value
        now = value
        for position, child in enumerate(value):
            done = rewrite(child)
            if done is not child:
                now = list(value) if now is value else now
                now[position] = done
        return now

    return apply


def _values(rewrite: _Canonical) -> _Canonical:
    def apply(value: Any) -> Any:
        if type(value) is not dict:
            return value
        now = value
        for name, child in value.items():
            done = rewrite(child)
            if done is not child:
                now = dict(value) if now is value else now
                now[name] = done
        return now

    return apply


_COMPILER = _Compiler()
