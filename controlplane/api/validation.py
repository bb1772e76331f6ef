"""Whether an object is what its schema says: types, required fields, bounds, formats. PURE.

Two kinds of schema differ in what they take. *Typed* ones (Kubernetes' own, behind a `$ref`) take
null for "not there" everywhere, as decoding into a Go struct does; those of custom resources take
null where they say `nullable` only, and 1.0 for an integer. `metadata` of a custom resource is
typed as well.

A schema is compiled to closures, node by node, when a value first reaches the node; what is
compiled lives on the Schema, or (of Kubernetes' types, which never go away) in the compiler.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from controlplane.api import causes, combinations, formats, patterns
from controlplane.api.constraints import (
    QUANTITY,
    RANGES,
    Check,
    Fault,
    below,
    checks_of,
    format_fault,
    list_type_checks,
    type_fault,
)
from controlplane.api.errors import CAUSES_MAX, Cause
from controlplane.api.resource import Object
from controlplane.api.schema import Node, Schema
from controlplane.api.schemas import named

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def validate(schema: Schema, obj: Object, *, with_required: bool = True) -> list[Cause]:
    """All that is wrong with an object, in the order of its fields; at most CAUSES_MAX.

    with_required  whether a typed field that Kubernetes' OpenAPI calls required must be there.
                   Its API server does not ask for those but for what its validators name: False
                   leaves that to the kind's strategy. Custom resources' are always asked for.
    """
    word = "validate" if with_required else "validate but required"
    check: Check | None = schema.compiled.get(word)
    if check is None:
        check = _COMPILERS[with_required].resource(schema)
        schema.compiled[word] = check
    # Kubernetes' own types have no patterns.
    found = check(obj) if schema.ref else patterns.together(partial(check, obj))
    return [tell(path) for path, tell in found[:CAUSES_MAX]]


def check_but_lists(schema: Schema) -> Check:
    """The check of a custom resource's value, where sets and maps may have something twice."""
    check: Check | None = schema.compiled.get("validate but lists")
    if check is None:
        check = _BUT_LISTS.node(schema, is_typed=False)
        schema.compiled["validate but lists"] = check
    return check


def own_check(schema: Schema, *, is_resource: bool = False) -> Check:
    """As `check_but_lists`, but not of the value's own fields, values and elements.

    What a whole object is (IDENTITY) belongs to it.
    """
    check: Check | None = schema.compiled.get("validate own")
    if check is None:
        node = {word: told for word, told in schema.node.items() if word not in _PARTS}
        if is_resource or schema.is_embedded_resource:
            fields = schema.node.get("properties", {})
            node["properties"] = {name: fields[name] for name in IDENTITY if name in fields}
        check = _BUT_LISTS.node(Schema(node, {}), is_typed=False, is_resource=is_resource)
        schema.compiled["validate own"] = check
    return check


_PARTS = frozenset(("properties", "additionalProperties", "items"))
_REQUIRED: list[Fault] = [("", causes.required)]


def _anything(_value: Any) -> Sequence[Fault]:
    return ()


def _gathered(faults: list[Fault] | None, name: str, found: Sequence[Fault]) -> list[Fault]:
    """Faults so far and those of a field or element; enough are enough."""
    if faults is None:
        return below(name, found)
    if len(faults) < CAUSES_MAX:
        faults += below(name, found)
    return faults


class _Compiler:
    def __init__(self, *, with_required: bool, with_lists: bool = True) -> None:
        self._with_required = with_required
        self._with_lists = with_lists
        # The node is kept, or its id could become another one's.
        self._shared: dict[int, tuple[Node, Check]] = {}

    def resource(self, schema: Schema) -> Check:
        """The check of a whole object."""
        return self.node(schema, is_typed=False, is_resource=not schema.ref)

    def node(self, schema: Schema, *, is_typed: bool, is_resource: bool = False) -> Check:
        if not schema.ref:
            return self._compiled(schema, is_typed=is_typed, is_resource=is_resource)
        known = self._shared.get(id(schema.node))
        if known is None:
            known = (schema.node, self._compiled(schema, is_typed=True, is_resource=False))
            self._shared[id(schema.node)] = known
        return known[1]

    def _compiled(self, schema: Schema, *, is_typed: bool, is_resource: bool) -> Check:
        if is_typed:
            return _typed(schema) or self._structure(schema, is_typed=True, is_resource=False)
        parts = checks_of(schema)
        if self._with_lists:
            parts += list_type_checks(schema)
        whole = is_resource or schema.is_embedded_resource
        if schema.type in ("object", "array", "") or whole:
            parts.insert(0, self._structure(schema, is_typed=False, is_resource=whole))
        sub = partial(self.node, is_typed=False)
        parts.extend(combinations.checks_of(schema, sub))
        return _guarded(schema, parts)

    def _structure(self, schema: Schema, *, is_typed: bool, is_resource: bool) -> Check:
        """What its fields, values and elements are; other values pass."""
        if schema.type == "array":
            return self._array(schema, is_typed=is_typed)
        if is_typed and schema.values and _plain(schema.values) and not schema.properties:
            return _map_of(_plain(schema.values), schema.values)
        objects = self._object(schema, is_typed=is_typed, is_resource=is_resource)
        if schema.type == "object":
            return objects
        if is_typed and not schema.properties:
            return _anything
        arrays = self._array(schema, is_typed=is_typed)

        def check(value: Any) -> Sequence[Fault]:
            if type(value) is dict:
                return objects(value)
            return arrays(value) if type(value) is list else ()

        return check

    def _array(self, schema: Schema, *, is_typed: bool) -> Check:
        if schema.items is None:
            return _of_type(list, "array", is_typed=is_typed)
        plain = _plain(schema.items) if is_typed else None
        check_element = self.node(schema.items, is_typed=is_typed)
        # Of Kubernetes' own lists every kind's validator knows best what may not be there twice.

        def check(value: Any) -> Sequence[Fault]:
            if type(value) is not list:
                return () if value is None and is_typed else type_fault(value, "array")
            faults: list[Fault] | None = None
            for position, element in enumerate(value):
                if type(element) is plain:
                    continue
                found = check_element(element)
                if found:
                    faults = _gathered(faults, f"[{position}]", found)
            return faults or ()

        return check

    def _object(self, schema: Schema, *, is_typed: bool, is_resource: bool) -> Check:
        fields = _Fields(self, schema, is_typed=is_typed, is_resource=is_resource)
        known, plain = fields.known, fields.plain
        asks = self._with_required or not is_typed
        required = sorted(schema.required) if asks else ()
        resolve = fields.resolve

        def check(value: Any) -> Sequence[Fault]:
            if type(value) is not dict:
                return () if value is None and is_typed else type_fault(value, "object")
            faults: list[Fault] | None = None
            for name, child in value.items():
                if type(child) is plain.get(name):
                    continue
                found = (known.get(name) or resolve(name))(child)
                if found:
                    faults = _gathered(faults, name, found)
            for name in required:
                if value.get(name) is None and (is_typed or name not in value):
                    faults = _gathered(faults, name, _REQUIRED)
            return faults or ()

        if schema.is_embedded_resource and not is_typed:
            return _with_identity(check)
        return check


class _Fields:
    """Checks of the fields of one object, compiled when a value first has the field.

    known  name -> its check, of named fields and never of a map's keys: these are unbounded
    plain  name -> the Python type of fields of which that type is all that is asked
    """

    def __init__(
        self, compiler: _Compiler, schema: Schema, *, is_typed: bool, is_resource: bool
    ) -> None:
        self.known: dict[str, Check] = {}
        self.plain: dict[str, type] = {}
        self._compiler = compiler
        self._schema = schema
        self._is_typed = is_typed
        self._is_resource = is_resource
        self._rest: Check | None = None

    def resolve(self, name: str) -> Check:
        field = self._schema.properties.get(name)
        check = _anything if field is None else self._compiler.node(field, is_typed=self._is_typed)
        if self._is_resource and name in IDENTITY:
            typed = self._compiler.node(IDENTITY[name](), is_typed=True)
            check = _in_turn(typed, check)
        elif field is None:
            return self._values()
        self.known[name] = check
        plain = _plain(field) if field is not None and self._is_typed else None
        if plain is not None:
            self.plain[name] = plain
        return check

    def _values(self) -> Check:
        if self._rest is None:
            values = self._schema.values
            self._rest = (
                self._compiler.node(values, is_typed=self._is_typed) if values else _anything
            )
        return self._rest


def _string() -> Schema:
    return Schema({"type": "string"}, {})


IDENTITY: dict[str, Callable[[], Schema]] = {
    "apiVersion": _string,
    "kind": _string,
    "metadata": partial(named, OBJECT_META),
}
"""What every whole object has, whatever its own schema says."""

_PYTHON_TYPES = {"string": str, "boolean": bool}
_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def _plain(schema: Schema) -> type | None:
    """The type that is all that is asked of a value; None: there is more to it."""
    return None if schema.format else _PYTHON_TYPES.get(schema.type)


def _typed(schema: Schema) -> Check | None:
    """The check of a scalar of Kubernetes' own types; None: it is none."""
    if schema.is_int_or_string:
        return _int_or_string
    if schema.format == "quantity":
        return _quantity
    types = _SCALARS.get(schema.type)
    if types is None:
        return None
    wanted, format_ = schema.type, schema.format
    if format_ in RANGES:
        return _int(format_)
    has_format = formats.is_time if format_ == "date-time" else formats.FORMATS.get(format_)

    def check(value: Any) -> Sequence[Fault]:
        if value is None:
            return ()
        if type(value) not in types:
            return type_fault(value, wanted)
        if has_format is not None and not has_format(value):
            return format_fault(value, format_)
        return ()

    return check


def _int(wanted: str) -> Check:
    lowest, highest = RANGES[wanted]

    def check(value: Any) -> Sequence[Fault]:
        if type(value) is int:
            return () if lowest <= value <= highest else format_fault(value, wanted)
        return () if value is None else type_fault(value, "integer")

    return check


def _int_or_string(value: Any) -> Sequence[Fault]:
    if value is None or type(value) is str:
        return ()
    return _INT32(value) if type(value) is int else type_fault(value, "integer,string")


_INT32 = _int("int32")


def _quantity(value: Any) -> Sequence[Fault]:
    if type(value) is not str:
        if value is None:
            return ()
        if type(value) is not int and type(value) is not float:
            return type_fault(value, "string")
    if formats.is_quantity(str(value)):
        return ()
    return [("", lambda path: causes.invalid(path, value, QUANTITY))]


def _map_of(plain: type | None, values: Schema) -> Check:
    """Labels, annotations, data: all that is asked of a value is its type."""
    wanted = values.type

    def check(value: Any) -> Sequence[Fault]:
        if type(value) is not dict:
            return () if value is None else type_fault(value, "object")
        faults: list[Fault] | None = None
        for name, child in value.items():
            if type(child) is not plain and child is not None:
                faults = _gathered(faults, name, type_fault(child, wanted))
        return faults or ()

    return check


def _of_type(python_type: type, wanted: str, *, is_typed: bool) -> Check:
    def check(value: Any) -> Sequence[Fault]:
        if type(value) is python_type or (value is None and is_typed):
            return ()
        return type_fault(value, wanted)

    return check


def _guarded(schema: Schema, parts: Sequence[Check]) -> Check:
    """Of a custom resource: its type first, and everything else only where that is right."""
    fails = _type_check(schema)
    is_nullable = schema.is_nullable

    def check(value: Any) -> Sequence[Fault]:
        if value is None and is_nullable:
            return ()
        wrong_type = fails(value)
        if wrong_type:
            return wrong_type
        faults: list[Fault] = []
        for part in parts:
            faults += part(value)
        return faults

    return check


def _type_check(schema: Schema) -> Check:
    if schema.is_int_or_string:
        return lambda it: () if type(it) in (int, str) else type_fault(it, "integer,string")
    if schema.type == "integer":
        return _integer
    types = {"object": (dict,), "array": (list,)}.get(schema.type) or _SCALARS.get(schema.type)
    if types is None:
        return _anything
    wanted = schema.type
    return lambda value: () if type(value) in types else type_fault(value, wanted)


def _integer(value: Any) -> Sequence[Fault]:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return ()
    return type_fault(value, "integer")


def _in_turn(first: Check, second: Check) -> Check:
    """The second one is asked only if the first one finds nothing: both look for types."""

    def check(value: Any) -> Sequence[Fault]:
        return first(value) or second(value)

    return check


def _with_identity(check: Check) -> Check:
    """An embedded object says what it is."""

    def identified(value: Any) -> Sequence[Fault]:
        faults = check(value)
        if type(value) is not dict:
            return faults
        unsaid = [name for name in ("apiVersion", "kind") if not value.get(name)]
        told = [(name, partial(causes.required, detail="must not be empty")) for name in unsaid]
        return [*faults, *told]

    return identified


_COMPILERS = {asks: _Compiler(with_required=asks) for asks in (True, False)}
_BUT_LISTS = _Compiler(with_required=True, with_lists=False)
