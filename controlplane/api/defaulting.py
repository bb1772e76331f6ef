"""What is not said in an object and means something all the same. PURE.

Two ways to say it: `default` in the schema of a custom resource, and the table of a built-in kind.
Neither changes the object: what they return shares all that they did not touch.
Source: documentation of CustomResourceDefinitions, "Defaulting" and "Defaulting and Nullable";
Kubernetes' API conventions, "Defaulting".
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from controlplane.api.decoding import BODY_BYTES_MAX
from controlplane.api.errors import too_large
from controlplane.api.resource import Object
from controlplane.api.schema import Schema

_Default = Callable[[Any], Any]
"""A value with its defaults; the same value if there is nothing to add."""

_ABSENT: Any = object()

TABLES_MAX = 1024
"""There is one table per built-in kind; more are not remembered."""


ADDED_BYTES_MAX = BODY_BYTES_MAX
"""As much as an object may have that is sent with all of it. A list of empty objects is short, and
what a schema adds to each of them may fill the memory of any machine."""


class _Allowance:
    """How many bytes of JSON defaults may add yet to the object that is at hand; None: any."""

    def __init__(self) -> None:
        self.left: int | None = None

    def spend(self, size: int) -> None:
        """Raises ApiError 413."""
        if self.left is None:
            return
        self.left -= size
        if self.left < 0:
            raise too_large(f"defaults add more than {ADDED_BYTES_MAX} bytes to the object")


def apply_schema_defaults(schema: Schema, obj: Object, *, is_stored: bool = False) -> Object:
    """A custom resource with its schema's defaults. Raises ApiError 413 where these are too much.

    A null where the schema is not nullable is as if it were not there: it becomes the default, or
    is left out. `apiVersion`, `kind` and `metadata` are left alone.

    is_stored  it was written, perhaps before there were these defaults: it must be readable
    """
    known: tuple[_Default, _Allowance] | None = schema.compiled.get("default")
    if known is None:
        allowance = _Allowance()
        known = (_of_fields(schema, allowance, is_resource=True), allowance)
        schema.compiled["default"] = known
    default, allowance = known
    allowance.left = None if is_stored else ADDED_BYTES_MAX
    done: Object = default(obj)
    return done


def has_schema_defaults(schema: Schema) -> bool:
    """Whether anything in a custom resource has a default."""
    parts = [*schema.properties.values(), schema.items, schema.values]
    return any(
        part is not None and (part.node.get("default") is not None or has_schema_defaults(part))
        for part in parts
    )


_IDENTITY = frozenset(("apiVersion", "kind", "metadata"))


def _of_schema(schema: Schema, allowance: _Allowance) -> _Default:
    if schema.ref:
        return _same  # One of Kubernetes' own types: these have no defaults in their schema.
    if schema.items is not None:
        return _of_elements(_of_schema(schema.items, allowance))
    if schema.properties or schema.values is not None or schema.type == "object":
        return _of_fields(schema, allowance, is_resource=schema.is_embedded_resource)
    return _same


def _same(value: Any) -> Any:
    return value


def _of_elements(default: _Default) -> _Default:
    def apply(value: Any) -> Any:
        if type(value) is not list:
            return value
        done = [default(element) for element in value]
        return value if _is_same(value, done) else done

    return _same if default is _same else apply


def _is_same(old: list[Any], new: list[Any]) -> bool:
    return all(before is after for before, after in zip(old, new, strict=True))


def _of_fields(schema: Schema, allowance: _Allowance, *, is_resource: bool) -> _Default:
    left_alone = _IDENTITY if is_resource else frozenset()
    fields = {name: it for name, it in schema.properties.items() if name not in left_alone}
    defaults = {
        name: it.node["default"]
        for name, it in fields.items()
        if it.node.get("default") is not None
    }
    sizes = {name: len(orjson.dumps({name: value})) for name, value in defaults.items()}
    inner = {
        name: default
        for name, it in fields.items()
        if (default := _of_schema(it, allowance)) is not _same
    }
    strict = {name for name, it in fields.items() if not it.is_nullable}
    rest = schema.values
    rest_default = _of_schema(rest, allowance) if rest is not None else _same
    rest_is_strict = rest is not None and not rest.is_nullable

    def of_null(name: str) -> Any:
        """A null stays where it may; elsewhere it is as if it were not there."""
        is_strict = name in strict if name in fields else rest_is_strict
        return defaults.get(name, _ABSENT) if is_strict and name not in left_alone else None

    def apply(value: Any) -> Any:
        if type(value) is not dict:
            return value
        changed: dict[str, Any] = {
            name: default for name, default in defaults.items() if name not in value
        }
        for name, child in value.items():
            if child is None:
                changed[name] = of_null(name)
        if changed:
            allowance.spend(sum(sizes.get(name, 0) for name in changed))
        for name, child in (value | changed).items() if changed else value.items():
            if type(child) is dict or type(child) is list:
                default = inner.get(name) or (_same if name in fields else rest_default)
                done = child if name in left_alone else default(child)
                if done is not child:
                    changed[name] = done
        return _changed(value, changed)

    return apply


def _changed(value: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """The same object where nothing differs."""
    if all(value.get(name, _ABSENT) is child for name, child in changed.items()):
        return value
    return {name: child for name, child in (value | changed).items() if child is not _ABSENT}


def apply_defaults(defaults: Mapping[str, Any], obj: Object) -> Object:
    """An object of a built-in kind with the defaults of its table.

    defaults  path -> value; `[]` after a name stands for each element of that list, as in
              `spec.ports[].protocol`. The parent of what a path names must be there, or be made
              by a default of its own; a path never makes its parent.

    Not said is what is absent, null, or (of a default that is a string) empty, as in Go.
    Raises ApiError 413 where all of it is too much.
    """
    known = _tables.get(id(defaults))
    if known is None or known[0] is not defaults:
        if len(_tables) >= TABLES_MAX:
            _tables.clear()
        allowance = _Allowance()
        known = (defaults, _table(defaults, allowance), allowance)
        _tables[id(defaults)] = known
    _, default, allowance = known
    allowance.left = ADDED_BYTES_MAX
    done: Object = default(obj)
    return done


# The table is kept with what was made of it, or its id could become another one's.
_tables: dict[int, tuple[Mapping[str, Any], _Default, _Allowance]] = {}


class _Branch:
    """The table's paths below one place, by their next part; `[]` is a part of its own."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.branches: dict[str, _Branch] = {}

    def put(self, parts: list[str], value: Any) -> None:
        name, *rest = parts
        if rest:
            self.branches.setdefault(name, _Branch()).put(rest, value)
        else:
            self.values[name] = value

    def compiled(self, allowance: _Allowance) -> _Default:
        elements = self.branches.pop("[]", None)
        if elements is not None:
            return _of_elements(elements.compiled(allowance))
        inner = {name: branch.compiled(allowance) for name, branch in self.branches.items()}
        return _of_table(self.values, inner, allowance)


def _table(defaults: Mapping[str, Any], allowance: _Allowance) -> _Default:
    root = _Branch()
    for path, value in defaults.items():
        root.put(path.replace("[]", ".[]").split("."), value)
    return root.compiled(allowance)


def _of_table(
    values: Mapping[str, Any], inner: Mapping[str, _Default], allowance: _Allowance
) -> _Default:
    # What counts as not said, by the default's type.
    unsaid = {name: ("", None) if type(value) is str else (None,) for name, value in values.items()}
    sizes = {name: len(orjson.dumps({name: value})) for name, value in values.items()}

    def apply(value: Any) -> Any:
        if type(value) is not dict:
            return value
        changed: dict[str, Any] | None = None
        for name, default in values.items():
            if value.get(name) in unsaid[name]:
                changed = value | {name: default} if changed is None else changed
                changed[name] = default
                allowance.spend(sizes[name])
        now = value if changed is None else changed
        for name, default in inner.items():
            child = now.get(name)
            if child is None:
                continue
            done = default(child)
            if done is not child:
                now = dict(value) if now is value else now
                now[name] = done
        return now

    return apply
