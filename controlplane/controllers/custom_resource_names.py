"""Names of custom resources: accepted where nobody in the group has them, and then established.

A definition is served once its condition Established is True. Whoever had a name first keeps it;
when it goes, who waits for it gets it.

Source: Kubernetes' API reference of CustomResourceDefinition (conditions, acceptedNames) and its
documentation of custom resources; kube-behaviour 11.7.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister
from controlplane.controllers.conditions import Said, is_true, with_conditions
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

_RESOURCES, _KINDS = ("plural", "singular"), ("kind", "listKind")
_REASONS = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "shortNames": "ShortNamesConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}


def controller(context: Context) -> Controller:
    """Of definitions: whichever changes, all of its group need a look."""
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")
    builtin = context.registry.all()

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        group = key.name.partition(".")[2]
        known = [one for one in lister.list(definitions) if _group(one) == group]
        taken = [one for one in builtin if one.group == group]
        now = store.clock()
        for definition, status in plan(known, taken, now):
            metadata = definition["metadata"]
            change = partial(_with_status, status)
            await store.update(
                definitions,
                "",
                metadata["name"],
                change,
                resource_version=metadata["resourceVersion"],
                known=definition,
            )

    return Controller("custom resource names", definitions, reconcile)


def _with_status(status: Mapping[str, Any], old: Object) -> Object:
    return {**old, "status": {**(old.get("status") or {}), **status}}


def plan(
    definitions: Sequence[Object], builtin: Sequence[Resource], now: float
) -> list[tuple[Object, Mapping[str, Any]]]:
    """Definitions of one group whose status differs, and what it must say. Pure.

    builtin  resources of the group that are there without a definition
    now      seconds since 1970
    """
    accepted = {str(one["metadata"]["name"]): _accepted(one) for one in definitions}
    changed: list[tuple[Object, Mapping[str, Any]]] = []
    for definition in sorted(definitions, key=_seniority):
        name = str(definition["metadata"]["name"])
        others = [names for other, names in accepted.items() if other != name]
        others += [_names_of(resource) for resource in builtin]
        names, conflicts = _judged(definition, others)
        accepted[name] = names
        before = definition.get("status") or {}
        conditions = with_conditions(
            before.get("conditions") or (), _conditions(definition, conflicts), now
        )
        status = {"acceptedNames": names, "conditions": conditions}
        if any(before.get(field) != value for field, value in status.items()):
            changed.append((definition, status))
    return changed


def _judged(
    definition: Object, others: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The names that it has now, and which of those it wants are taken: (field, name)."""
    wanted = (definition.get("spec") or {}).get("names") or {}
    names = dict(_accepted(definition))
    resources = set(_named(others, (*_RESOURCES, "shortNames")))
    kinds = set(_named(others, _KINDS))
    conflicts: list[tuple[str, str]] = []
    for field, used in (
        *((one, resources) for one in _RESOURCES),
        *((one, kinds) for one in _KINDS),
    ):
        name = str(wanted.get(field) or "")
        if name and name != names.get(field) and name in used:
            conflicts.append((field, name))
        else:
            names[field] = name
    short = list(wanted.get("shortNames") or ())
    known = names.get("shortNames") or ()
    taken = [one for one in short if one not in known and one in resources]
    conflicts += [("shortNames", one) for one in taken]
    if not taken:
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


def _named(others: Iterable[Mapping[str, Any]], fields: Iterable[str]) -> Iterator[str]:
    wanted = tuple(fields)
    for names in others:
        for field in wanted:
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
    return str((definition.get("spec") or {}).get("group", ""))
