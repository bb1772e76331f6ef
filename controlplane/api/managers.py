"""managedFields: who manages which fields of an object, read, bounded and written. PURE.

Source: Kubernetes' "Server-Side Apply" (field management) and ManagedFieldsEntry.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from controlplane.api.fieldset import EMPTY, MEMBER, SELF, Fields, difference, is_valid, union

Operation = Literal["Apply", "Update"]

UPDATES_MAX = 10
"""Entries of updates; older ones are put together under one name."""
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"

_SERVERS_META = (
    "name namespace creationTimestamp selfLink uid clusterName generation managedFields"
    " resourceVersion"
)
_UNOWNED: Fields = {
    "f:apiVersion": MEMBER,
    "f:kind": MEMBER,
    "f:metadata": {SELF: MEMBER} | {f"f:{name}": MEMBER for name in _SERVERS_META.split()},
}
"""What nobody manages, for it says which object it is."""


class Manager(msgspec.Struct, frozen=True):
    """Whose entry it is. An applier is the same in all versions: its `api_version` is empty."""

    name: str
    operation: Operation
    api_version: str
    subresource: str = ""


class Entry(msgspec.Struct, frozen=True):
    """What a manager manages, in which version it said so and when (RFC 3339; empty: unknown)."""

    fields: Fields
    api_version: str
    time: str = ""


Managers = dict[Manager, Entry]


def manager_of(name: str, operation: Operation, api_version: str, subresource: str) -> Manager:
    """The identity of whoever writes now."""
    return Manager(name, operation, "" if operation == "Apply" else api_version, subresource)


def text_of_manager(manager: Manager) -> str:
    """As conflicts name it: `"kubectl-edit" using apps/v1`."""
    told = f'"{manager.name}"'
    if manager.subresource:
        told = f'{told} with subresource "{manager.subresource}"'
    return f"{told} using {manager.api_version}" if manager.operation == "Update" else told


def decode(entries: object, *, is_stored: bool = False) -> Managers | None:
    """Of an object's managedFields; None where these make no sense.

    is_stored  they were checked on their way in: their sets are not walked again
    """
    if not isinstance(entries, list):
        return {} if entries is None else None
    managers: Managers = {}
    for entry in entries:
        if not isinstance(entry, Mapping) or not _is_entry(entry):
            return None
        if not is_stored and not is_valid(entry.get("fieldsV1") or EMPTY):
            return None
        version = entry.get("apiVersion") or ""
        manager = manager_of(
            entry.get("manager") or "",
            entry["operation"],
            version,
            entry.get("subresource") or "",
        )
        managers[manager] = Entry(entry.get("fieldsV1") or EMPTY, version, entry.get("time") or "")
    return managers


def are_alike(one: object, other: object) -> bool:
    """Whether two stored managedFields differ in their times at most, and the order of these."""
    managers, others = decode(one, is_stored=True), decode(other, is_stored=True)
    return _timeless(managers or {}) == _timeless(others or {})


def _timeless(managers: Managers) -> dict[Manager, tuple[str, Fields]]:
    return {manager: (one.api_version, one.fields) for manager, one in managers.items()}


def _is_entry(entry: Mapping[str, Any]) -> bool:
    texts = ("manager", "apiVersion", "subresource", "time")
    return (
        entry.get("operation") in ("Apply", "Update")
        and entry.get("fieldsType", "FieldsV1") == "FieldsV1"
        and all(isinstance(entry.get(name) or "", str) for name in texts)
        and isinstance(entry.get("fieldsV1") or EMPTY, Mapping)
    )


def is_reset(entries: object) -> bool:
    """`[{}]` says that nobody shall manage anything."""
    return isinstance(entries, list) and len(entries) == 1 and entries[0] == {}


def encode(managers: Managers) -> list[dict[str, Any]]:
    """For an object's managedFields: appliers first, then by time and name."""
    return [_encoded(*item) for item in sorted(managers.items(), key=_rank) if item[1].fields]


def _rank(item: tuple[Manager, Entry]) -> tuple[str, ...]:
    manager, entry = item
    return manager.operation, entry.time, manager.name, entry.api_version, manager.subresource


def _encoded(manager: Manager, entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": entry.api_version,
    }
    if entry.time:
        told["time"] = entry.time
    told |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields}
    if manager.subresource:
        told["subresource"] = manager.subresource
    return told


def strip(fields: Fields) -> Fields:
    """A set without what nobody manages."""
    return difference(fields, _UNOWNED)


def bound(managers: Managers) -> Managers:
    """At most `UPDATES_MAX` entries of updates: the oldest are merged, version by version."""
    updates = [item for item in managers.items() if item[0].operation == "Update"]
    surplus = len(updates) - UPDATES_MAX
    if surplus <= 0:
        return managers
    result = dict(managers)
    first_of_version: dict[str, Manager] = {}
    for manager, entry in sorted(updates, key=_age):
        version = manager.api_version
        first = first_of_version.setdefault(version, manager)
        if first == manager:
            continue
        bucket = Manager(ANCIENT, "Update", version)
        if bucket not in result:
            result[bucket] = result.pop(first)
        del result[manager]
        result[bucket] = Entry(union(entry.fields, result[bucket].fields), version, entry.time)
        surplus -= 1
        if not surplus:
            break
    return result


def _age(item: tuple[Manager, Entry]) -> tuple[str, str, str, str]:
    manager, entry = item
    return entry.time, manager.name, manager.api_version, manager.subresource


def all_fields(entries: Iterable[Entry]) -> Fields:
    """All that anybody manages."""
    result = EMPTY
    for entry in entries:
        result = union(result, entry.fields)
    return result
