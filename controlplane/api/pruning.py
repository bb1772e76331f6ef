"""Fields that a schema does not know: which they are, and an object without them. PURE.

Of Kubernetes' own types (behind a `$ref`) null is dropped as well: decoding into a Go struct takes
it for "not there" (in lists and maps: for the zero value). A custom resource keeps its nulls, which
defaulting looks at.
Source: documentation of CustomResourceDefinitions, "Field pruning"; kube-behaviour.md 2.11, 11.7.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from controlplane.api.resource import Object
from controlplane.api.schema import Node, Schema
from controlplane.api.schemas import named


class _Mark:
    """What becomes of a value that is found."""


_UNKNOWN = _Mark()
_NULL = _Mark()

_Path = tuple[str | int, ...]
_Finding = tuple[_Path, Any]
"""Where, and `_UNKNOWN`, `_NULL` (both are left out) or the value that stands there instead."""

_Find = Callable[[Any], Sequence[_Finding]]

_IDENTITY = ("apiVersion", "kind", "metadata")
"""What every whole object has, whatever its own schema says."""

_ZEROES: Mapping[str, Any] = {
    "string": "",
    "object": {},
    "array": [],
    "integer": 0,
    "number": 0,
    "boolean": False,
}
_ZEROES_OF_FORMATS: Mapping[str, Any] = {"quantity": "0", "int-or-string": 0}


UNKNOWN_MAX = 100
"""So many unknown fields are enough to see what is wrong with an object."""

_PATH_CHARACTERS_MAX = 1_024


def unknown_fields(schema: Schema, obj: Object) -> list[str]:
    """Paths, such as `spec.containers[0].x`, of fields that the schema does not know.

    At most UNKNOWN_MAX, each cut: names of fields are the client's, and as long as it likes.
    """
    unknown = (path for path, mark in _findings(schema, obj) if mark is _UNKNOWN)
    return [_text(path)[:_PATH_CHARACTERS_MAX] for path in islice(unknown, UNKNOWN_MAX)]


def prune(schema: Schema, obj: Object) -> Object:
    """The object as the schema knows it; the same object where there is nothing to drop."""
    found = _findings(schema, obj)
    if not found:
        return obj
    pruned: Object = _without(obj, _tree(found))
    return pruned


def _findings(schema: Schema, obj: Object) -> Sequence[_Finding]:
    find: _Find | None = schema.compiled.get("prune")
    if find is None:
        find = _COMPILER.resource(schema)
        schema.compiled["prune"] = find
    return find(obj)


def _text(path: Iterable[str | int]) -> str:
    told = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return told.removeprefix(".")


def _tree(findings: Iterable[_Finding]) -> dict[str | int, Any]:
    """Findings by the first part of their path, and so on: one pass then serves them all."""
    root: dict[str | int, Any] = {}
    for path, mark in findings:
        place = root
        for part in path[:-1]:
            place = place.setdefault(part, _Branch())
        place[path[-1]] = mark
    return root


class _Branch(dict[str | int, Any]):
    """Findings below a value, and not a value to put there."""


def _without(value: Any, found: Mapping[str | int, Any]) -> Any:
    if isinstance(value, list):
        return [
            _replaced(child, found[position]) if position in found else child
            for position, child in enumerate(value)
        ]
    return {
        name: _replaced(child, found[name]) if name in found else child
        for name, child in value.items()
        if found.get(name) not in (_UNKNOWN, _NULL)
    }


def _replaced(child: Any, found: Any) -> Any:
    return _without(child, found) if isinstance(found, _Branch) else found


def _nothing(_value: Any) -> Sequence[_Finding]:
    return ()


class _Compiler:
    def __init__(self) -> None:
        # The node is kept, or its id could become another one's.
        self._shared: dict[int, tuple[Node, _Find]] = {}

    def resource(self, schema: Schema) -> _Find:
        """What finds the unknown fields of a whole object."""
        if schema.ref:
            return self.node(schema, is_typed=True)
        return self._object(schema, is_typed=False, is_resource=True)

    def node(self, schema: Schema, *, is_typed: bool) -> _Find:
        if not schema.ref:
            return self._compiled(schema, is_typed=is_typed)
        known = self._shared.get(id(schema.node))
        if known is None:
            known = (schema.node, self._compiled(schema, is_typed=True))
            self._shared[id(schema.node)] = known
        return known[1]

    def _compiled(self, schema: Schema, *, is_typed: bool) -> _Find:
        if schema.items is not None:
            return self._array(schema.items, is_typed=is_typed)
        if schema.type == "object" or schema.properties or schema.is_embedded_resource:
            whole = schema.is_embedded_resource and not is_typed
            return self._object(schema, is_typed=is_typed, is_resource=whole)
        return _nothing

    def _array(self, items: Schema, *, is_typed: bool) -> _Find:
        find_in = self.node(items, is_typed=is_typed)
        if find_in is _nothing and not is_typed:
            return _nothing

        def find(value: Any) -> Sequence[_Finding]:
            if type(value) is not list:
                return ()
            found: list[_Finding] | None = None
            for position, element in enumerate(value):
                inner = find_in(element)
                if element is None and is_typed:
                    inner = [((), _zero(items))]
                if inner:
                    found = _gathered(found, position, inner)
            return found or ()

        return find

    def _object(self, schema: Schema, *, is_typed: bool, is_resource: bool) -> _Find:
        finders = _Finders(self, schema, is_typed=is_typed, is_resource=is_resource)
        known, resolve = finders.known, finders.resolve
        names = schema.properties.keys()
        has_keys = schema.values is not None

        def find(value: Any) -> Sequence[_Finding]:
            if type(value) is not dict:
                return ()
            found: list[_Finding] | None = None
            is_known = has_keys or value.keys() <= names
            if not is_known or (is_typed and None in value.values()):
                for name, child in value.items():
                    mark = finders.mark(name, child)
                    if mark is not None:
                        found = _gathered(found, name, [((), mark)])
            for name, child in value.items():
                if type(child) is dict or type(child) is list:
                    inner = (known.get(name) or resolve(name))(child)
                    if inner:
                        found = _gathered(found, name, inner)
            return found or ()

        return find


def _gathered(
    found: list[_Finding] | None, name: str | int, inner: Sequence[_Finding]
) -> list[_Finding]:
    """Findings so far and those of a field or element."""
    told = [((name, *path), mark) for path, mark in inner]
    if found is None:
        return told
    found += told
    return found


def _unknown(_value: Any) -> Sequence[_Finding]:
    """Looks into a field that is not known: it is dropped as a whole."""
    return ()


class _Finders:
    """What looks into the fields of one object, compiled when a value first has the field."""

    def __init__(
        self, compiler: _Compiler, schema: Schema, *, is_typed: bool, is_resource: bool
    ) -> None:
        self.known: dict[str, _Find] = {}
        self._compiler = compiler
        self._schema = schema
        self._is_typed = is_typed
        self._identity = _IDENTITY if is_resource else ()
        self._values: _Find | None = None

    def mark(self, name: str, child: Any) -> Any:
        """What becomes of a field, apart from what is in it; None: it stays."""
        if (self.known.get(name) or self.resolve(name)) is _unknown:
            return _UNKNOWN
        return self._null(name) if child is None and self._is_typed else None

    def _null(self, name: str) -> Any:
        """What a null is taken for: of a field, for nothing; of a map's value, for its zero."""
        if name in self._schema.properties or self._schema.values is None:
            return _NULL
        return _zero(self._schema.values)

    def resolve(self, name: str) -> _Find:
        """Named fields are remembered; a map's keys are not, for there is no end of them."""
        field = self._schema.properties.get(name)
        if name in self._identity:
            find = self._whole(name)
        elif field is not None:
            find = self._compiler.node(field, is_typed=self._is_typed)
        else:
            return self._rest()
        self.known[name] = find
        return find

    def _whole(self, name: str) -> _Find:
        if name != "metadata":
            return _nothing
        meta = named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
        return self._compiler.node(meta, is_typed=True)

    def _rest(self) -> _Find:
        if self._values is None:
            self._values = self._find_in_values()
        return self._values

    def _find_in_values(self) -> _Find:
        schema = self._schema
        if schema.values is not None:
            return self._compiler.node(schema.values, is_typed=self._is_typed)
        if schema.preserves_unknown or schema.node.get("additionalProperties") is True:
            return _nothing
        # Types such as RawExtension and FieldsV1 say no more than that they are objects.
        is_open = self._is_typed and not schema.properties
        return _nothing if is_open else _unknown


def _zero(schema: Schema) -> Any:
    """What Go has where nothing was said."""
    return _ZEROES_OF_FORMATS.get(schema.format, _ZEROES.get(schema.type))


_COMPILER = _Compiler()
