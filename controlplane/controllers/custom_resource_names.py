"""Names of custom resources: accepted where nobody in the group has them, and then established.

A definition is served once its condition Established is True. Whoever had a name first keeps it;
when it goes, who waits for it gets it.

Source: Kubernetes' API reference of CustomResourceDefinition (conditions, acceptedNames) and its
documentation of custom resources; kube-behaviour 11.7.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.conditions import Said, is_true, with_conditions
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

_GROUP = "group"
"""The namespace of keys that are a group, and the index by it."""
_RESOURCES, _KINDS = ("plural", "singular"), ("kind", "listKind")
_REASONS = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "shortNames": "ShortNamesConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}


def controller(context: Context) -> Controller:
    """Of definitions: whichever changes, all of its group need a look, one for all of them."""
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")
    builtin = context.registry.all()

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        if key.namespace != _GROUP:
            return
        known = lister.by_index(definitions, _GROUP, key.name)
        taken = [one for one in builtin if one.group == key.name]
        failed: list[ApiError] = []
        for definition, status in plan(known, taken, store.clock()):
            metadata = definition["metadata"]
            change = partial(_with_status, status)
            try:
                await store.update(
                    definitions,
                    "",
                    metadata["name"],
                    change,
                    resource_version=metadata["resourceVersion"],
                    known=definition,
                )
            except ApiError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    return Controller(
        "custom resource names",
        definitions,
        reconcile,
        triggers=[Trigger(definitions, lambda one: [Key(_GROUP, _group(one))])],
        indexes={_GROUP: (definitions, lambda one: [_group(one)])},
    )


def _with_status(status: Mapping[str, Any], old: Object) -> Object:
    return {**old, "status": {**(old.get("status") or {}), **status}}


def plan(
    definitions: Sequence[Object], builtin: Sequence[Resource], now: float
) -> list[tuple[Object, Mapping[str, Any]]]:
    """Definitions of one group whose status differs, and what it must say. Pure.

    builtin  resources of the group that are there without a definition
    now      seconds since 1970
    """
    known = [one for one in definitions if is_well_formed(one)]
    taken = _Taken()
    for names in (*map(_accepted, known), *map(_names_of, builtin)):
        taken.add(names)
    changed: list[tuple[Object, Mapping[str, Any]]] = []
    for definition in sorted(known, key=_seniority):
        taken.remove(_accepted(definition))
        names, conflicts = _judged(definition, taken)
        taken.add(names)
        before = definition.get("status") or {}
        conditions = with_conditions(
            before.get("conditions") or (), _conditions(definition, conflicts), now
        )
        status = {"acceptedNames": names, "conditions": conditions}
        if any(before.get(field) != value for field, value in status.items()):
            changed.append((definition, status))
    return changed


def is_well_formed(definition: Object) -> bool:
    """Whether the API server may have written it: what a stranger wrote gets no names. Pure."""
    spec, status = definition.get("spec"), definition.get("status") or {}
    if not isinstance(spec, Mapping) or not isinstance(status, Mapping):
        return False
    conditions = status.get("conditions") or []
    return (
        isinstance(definition["metadata"].get("name"), str)
        and all(map(_are_names, (spec.get("names"), status.get("acceptedNames") or {})))
        and isinstance(conditions, list)
        and all(isinstance(one, Mapping) for one in conditions)
    )


def _are_names(names: object) -> bool:
    return isinstance(names, Mapping) and all(
        isinstance(one, str)
        for value in names.values()
        for one in (value if isinstance(value, list) else [value])
    )


class _Taken:
    """Names that definitions of a group have, and how many have each."""

    def __init__(self) -> None:
        self.resources: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()

    def add(self, names: Mapping[str, Any]) -> None:
        self.resources.update(_named(names, (*_RESOURCES, "shortNames")))
        self.kinds.update(_named(names, _KINDS))

    def remove(self, names: Mapping[str, Any]) -> None:
        self.resources.subtract(_named(names, (*_RESOURCES, "shortNames")))
        self.kinds.subtract(_named(names, _KINDS))


def _judged(definition: Object, taken: _Taken) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The names that it has now, and which of those it wants others have: (field, name)."""
    wanted = definition["spec"]["names"]
    names = dict(_accepted(definition))
    conflicts: list[tuple[str, str]] = []
    for field, used in (
        *((one, taken.resources) for one in _RESOURCES),
        *((one, taken.kinds) for one in _KINDS),
    ):
        name = str(wanted.get(field) or "")
        if name and name != names.get(field) and used[name] > 0:
            conflicts.append((field, name))
        else:
            names[field] = name
    short = list(wanted.get("shortNames") or ())
    known = names.get("shortNames") or ()
    lost = [one for one in short if one not in known and taken.resources[one] > 0]
    conflicts += [("shortNames", one) for one in lost]
    if not lost:
        names["shortNames"] = short
    names["categories"] = list(wanted.get("categories") or ())
    return {field: value for field, value in names.items() if value or field in _MUST}, conflicts


_MUST = ("plural", "kind")


def _conditions(definition: Object, conflicts: Sequence[tuple[str, str]]) -> Iterator[Said]:
    if conflicts:
        field, _ = conflicts[-1]
        told = ", ".join(f'"{name}" is already in use' for one, name in conflicts if one == field)
        yield ("NamesAccepted", False, _REASONS[field], told)
        if not is_true(definition, "Established"):
            yield ("Established", False, "NotAccepted", "not all names are accepted")
        return
    yield ("NamesAccepted", True, "NoConflicts", "no conflicts found")
    if not is_true(definition, "Established"):
        told = "the initial names have been accepted"
        yield ("Established", True, "InitialNamesAccepted", told)


def _accepted(definition: Object) -> Mapping[str, Any]:
    names: Mapping[str, Any] = (definition.get("status") or {}).get("acceptedNames") or {}
    return names


def _named(names: Mapping[str, Any], fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        value = names.get(field) or ()
        yield from [value] if isinstance(value, str) else value


def _names_of(resource: Resource) -> dict[str, Any]:
    return {
        "plural": resource.plural,
        "singular": resource.singular,
        "shortNames": resource.short_names,
        "kind": resource.kind,
        "listKind": resource.list_kind,
    }


def _seniority(definition: Object) -> tuple[bool, str, str]:
    """Who is asked first: those that have names, then the older ones."""
    metadata = definition["metadata"]
    has_names = bool(_accepted(definition).get("plural"))
    return (not has_names, str(metadata.get("creationTimestamp", "")), str(metadata["name"]))


def _group(definition: Object) -> str:
    return str(definition["spec"]["group"])
