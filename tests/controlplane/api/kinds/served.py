"""What the API server does with an object of a kind, in the fewest words."""

from typing import Any

import orjson

from controlplane.api import stored, tables
from controlplane.api.defaulting import apply_defaults
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource

REGISTRY = Registry.builtin()
NOW = 1_700_000_000.0


def resource(obj: Object) -> Resource:
    group, _, version = obj["apiVersion"].rpartition("/")
    [found] = [one for one in REGISTRY.of(group, version) if one.kind == obj["kind"]]
    return found


def defaulted(obj: Object) -> Any:
    found = resource(obj)
    obj = apply_defaults(found.defaults, obj)
    default = found.strategy.default
    return obj if default is None else default(obj)


def created(obj: Object) -> Any:
    prepare = resource(obj).strategy.prepare_create
    obj = defaulted(obj)
    return obj if prepare is None else prepare(obj)


def faults(obj: Object) -> list[str]:
    """`path: message` of all that is wrong with a new object."""
    validate = resource(obj).strategy.validate
    assert validate is not None
    return [f"{cause.field}: {cause.message}" for cause in validate(created(obj))]


def updated(new: Object, old: Object) -> Any:
    new = defaulted(new)
    prepare = resource(new).strategy.prepare_update
    return new if prepare is None else prepare(new, created(old))


def update_faults(new: Object, old: Object) -> list[str]:
    validate = resource(new).strategy.validate_update
    assert validate is not None
    causes = validate(updated(new, old), created(old))
    return [f"{cause.field}: {cause.message}" for cause in causes]


def both_tables(kind: Resource, obj: Object) -> Object:
    """Its Table, which is the same whether its bytes are decoded as a whole or glanced at."""
    to_storage = kind.strategy.to_storage or (lambda it: it)
    raw = orjson.dumps({**to_storage(obj), "apiVersion": kind.api_version})
    for carried in ("Metadata", "Object", "None"):
        whole = tables.table(kind, [stored.loads(kind, raw)], now=NOW, include_object=carried)
        (glanced,) = tables.rows(kind, [raw], now=NOW, include_object=carried)
        assert [orjson.loads(glanced)] == orjson.loads(orjson.dumps(whole["rows"]))
    return tables.table(kind, [obj], now=NOW)


def row(obj: Object) -> dict[str, Any]:
    """Cells of its row by the column's name, wide ones too."""
    table = both_tables(resource(obj), obj)
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def columns(obj: Object) -> tuple[list[str], list[str]]:
    """Headings as kubectl prints them: those of `get`, and those that `-o wide` adds."""
    found = resource(obj).columns
    plain = [one.name.upper() for one in found if not one.priority]
    return plain, [one.name.upper() for one in found if one.priority]


def with_fields(obj: Object, **fields: Any) -> Any:
    """A copy with fields put in place: `spec__replicas=3`; None takes one away."""
    for path, value in fields.items():
        obj = _put(obj, path.split("__"), value)
    return obj


def _put(obj: Any, path: list[str], value: Any) -> Any:
    name, rest = path[0], path[1:]
    if isinstance(obj, list):
        changed = list(obj)
        changed[int(name)] = _put(obj[int(name)], rest, value) if rest else value
        return changed
    if rest:
        return {**obj, name: _put(obj.get(name) or {}, rest, value)}
    if value is None:
        return {key: one for key, one in obj.items() if key != name}
    return {**obj, name: value}


POD_SPEC = {"containers": [{"name": "web", "image": "nginx:1.27"}]}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": POD_SPEC}
TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": POD_SPEC}
SELECTOR = {"matchLabels": {"app": "a"}}
WORKLOAD = {"selector": SELECTOR, "template": TEMPLATE}


def workload(kind: str, **spec: Any) -> Any:
    """Of the apps group."""
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "a"},
        "spec": WORKLOAD | spec,
    }
