"""Quantities of built-in kinds as they are stored: in canonical form, whoever wrote them. PURE.

Decoding into Kubernetes' types reads a quantity as a number and writes it in one way: `1000m` is
`1`, `0.5Gi` is `512Mi`, and a number becomes a text. Custom resources have no such type.
Source: Kubernetes' documentation of `resource.Quantity` (serialization format).
"""

from collections.abc import Callable
from typing import Any

from controlplane.api import quantity
from controlplane.api.resource import Object
from controlplane.api.schema import Node, Schema

_Canonical = Callable[[Any], Any]
"""A value with its quantities in canonical form; the same value where they are already."""


def canonical(schema: Schema, obj: Object) -> Object:
    """The object; what is no quantity where one should be is left alone, for others to judge.

    Only fields below which the schema has a quantity are looked at.
    """
    rewrite: _Canonical | None = schema.compiled.get("quantities")
    if rewrite is None:
        rewrite = _COMPILER.of(schema)
        schema.compiled["quantities"] = rewrite
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


class _Compiler:
    def __init__(self) -> None:
        # The nodes are kept, or their ids could become another one's.
        self._made: dict[int, tuple[Node, _Canonical]] = {}
        self._holds: dict[int, tuple[Node, bool]] = {}

    def of(self, schema: Schema) -> _Canonical:
        """What rewrites the quantities in values of a schema."""
        if schema.format == "quantity":
            return _quantity
        if not self._has_any(schema, set()):
            return _same
        known = self._made.get(id(schema.node))
        if known is None:
            known = (schema.node, self._compiled(schema))
            self._made[id(schema.node)] = known
        return known[1]

    def _has_any(self, schema: Schema, passed: set[int]) -> bool:
        """Whether there is a quantity somewhere below; some types contain themselves."""
        if schema.format == "quantity":
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
