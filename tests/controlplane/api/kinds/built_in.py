"""What tests ask of a built-in kind: how it is filled in, what is wrong, what is printed."""

from functools import cache
from typing import Any

from controlplane.api import names
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from tests.controlplane.api.kinds.served import both_tables

NOW = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""


@cache
def _registry() -> Registry:
    return Registry.builtin()


def resource(group: str, plural: str) -> Resource:
    found = _registry().find(group, "v1", plural)
    assert found is not None
    return found


def defaulted(kind: Resource, obj: Object) -> Object:
    """After the strategy's own defaulting."""
    return kind.strategy.default(obj) if kind.strategy.default else obj


def faults(kind: Resource, obj: Object) -> list[str]:
    """`path: message` of all that is wrong with an object."""
    assert kind.strategy.validate is not None
    return [f"{cause.field}: {cause.message}" for cause in kind.strategy.validate(obj)]


def faults_of_new(kind: Resource, obj: Object) -> list[str]:
    """The same of an object that is created."""
    assert kind.strategy.validate_create is not None
    causes = kind.strategy.validate_create(obj)
    return faults(kind, obj) + [f"{cause.field}: {cause.message}" for cause in causes]


def faults_of_name(kind: Resource, name: str) -> list[str]:
    """What is wrong with the name of an object of this kind."""
    return names.faults_of_name(name, kind.strategy.name_rule)


def faults_of_update(kind: Resource, new: Object, old: Object) -> list[str]:
    assert kind.strategy.validate_update is not None
    causes = kind.strategy.validate_update(new, old)
    return [f"{cause.field}: {cause.message}" for cause in causes]


def printed(kind: Resource, obj: Object, *, wide: bool = False) -> dict[str, Any]:
    """Name of a column -> cell, as kubectl shows it."""
    table = both_tables(kind, obj)
    cells = table["rows"][0]["cells"]
    columns = table["columnDefinitions"]
    shown = zip(columns, cells, strict=True)
    return {column["name"]: cell for column, cell in shown if wide or not column.get("priority", 0)}
