"""Server-side apply, and whose fields a write changed. PURE.

`apply` lays what somebody wants over what is there, refuses what others want otherwise, and takes
away what the same one wanted before and nobody wants now. `record_update` writes down what any
other write changed. Both give an object with its new managedFields.

Source: Kubernetes' "Server-Side Apply"; kube-behaviour.md 2.15.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api import managers as managing
from controlplane.api import stored
from controlplane.api.errors import ApiError, Cause, bad_request
from controlplane.api.fieldset import (
    EMPTY,
    MEMBER,
    SELF,
    Fields,
    difference,
    intersection,
    members,
    text_of,
    union,
)
from controlplane.api.managers import BEFORE_FIRST_APPLY, Entry, Manager, Managers, manager_of
from controlplane.api.merging import compare, fields_of, merge, remove, with_named_fields
from controlplane.api.meta import are_too_long, rfc3339
from controlplane.api.patch import is_deep
from controlplane.api.resource import Object, Resource
from controlplane.api.shapes import Shape, shape_of

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
"""Whose conflicts with its own client-side apply are none, and who keeps its annotation right."""

FAULTS_MAX = 20
"""As many as a message tells of what does not fit."""

_IDENTITY: Fields = {"f:apiVersion": MEMBER, "f:kind": MEMBER, "f:metadata": {SELF: MEMBER}}
"""What stays even where nobody manages it."""
_STRUCTS = ("metadata", "spec", "status", "template", "strategy", "updateStrategy", "jobTemplate")
_LISTS = ("containers",)
"""Parts that an object of a built-in kind always has, if only empty: nobody adds them."""

Conflicts = dict[Manager, Fields]


def apply(
    resource: Resource,
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    now: float,
    subresource: str = "",
) -> Object:
    """The object after `manager` applied `applied` to `live` (None: there is none yet).

    now  in seconds since 1970
    The very same `live` comes back if nothing is new. Raises 400 where `applied` does not fit the
    schema, 409 with all conflicts unless `force`.
    """
    shape = shape_of(resource)
    wanted = _wanted(resource, applied, subresource)
    fields = managing.strip(_fields_of_applied(resource, wanted, _meta(applied)))
    before, known = _known(resource, live, now, subresource)
    applier = manager_of(manager, "Apply", resource.api_version, subresource)
    mine = Entry(fields, resource.api_version)
    merged = merge(shape, before, wanted)
    last = known.get(applier)
    if last is not None and last.fields != fields:
        merged = _pruned(shape, merged, last.fields, known | {applier: mine})
    changed, removed = compare(shape, before, merged)
    conflicts = _conflicts(known, applier, changed)
    if conflicts and not force:
        _refuse(conflicts, _allowed(shape, before, manager))
    after = _without_fields(known, applier, changed, removed)
    is_new = bool(changed or removed) or last is None or last.fields != fields
    # An apply that changes nothing is no news: it must not make a write.
    time = rfc3339(now) if is_new or last is None else last.time
    after[applier] = Entry(fields, resource.api_version, time)
    if manager == KUBECTL:
        merged = _with_last_applied(merged, applied)
    entries = managing.encode(managing.bound(after))
    kept = None if live is None else _meta(live).get("managedFields")
    if live is not None and merged is before and entries == (kept or []):
        return live
    return _with_entries(merged, entries, kept)


def unless_only_times(new: Object, old: Object) -> Object:
    """What an apply made of `old`, with its defaults; the very `old` where only times are others.

    What is atomic and has defaults looks changed when it is applied again without them.
    Source: Kubernetes' IgnoreManagedFieldsTimestampsTransformer.
    """
    entries, before = _meta(new).get("managedFields"), _meta(old).get("managedFields")
    if entries == before or not managing.are_alike(entries, before):
        return new
    return old if stored.is_same(_bare(new), _bare(old)) else new


def record_update(
    resource: Resource,
    old: Object | None,
    new: Object,
    *,
    manager: str,
    now: float,
    subresource: str = "",
) -> Object:
    """`new` with managedFields that say what `manager` changed of `old` (None: it creates).

    now  in seconds since 1970
    Users may write managedFields themselves (`[{}]` clears them), but not through a sub-resource.
    """
    told = _meta(new).get("managedFields")
    kept = None if old is None else _meta(old).get("managedFields")
    if managing.is_reset(told) and not subresource:
        known: Managers = {}
    else:
        is_theirs = not subresource and told is not kept
        chosen = managing.decode(told) if is_theirs else None
        known = chosen or managing.decode(kept, is_stored=True) or {}
    if old is not None and not known:
        # Whoever cleared them, or made the object without, wants none.
        return _with_entries(new, [], None)
    before, after = _bare(old or {}), _bare(new)
    changed, removed = compare(shape_of(resource), _with_values(resource, before, after), after)
    managers = _without_fields(known, None, changed, removed)
    taken = managing.strip(_of_subresource(resource, changed or EMPTY, subresource))
    if taken:
        updater = manager_of(manager, "Update", resource.api_version, subresource)
        mine = managers.get(updater)
        fields = taken if mine is None else union(mine.fields, taken)
        managers[updater] = Entry(fields, resource.api_version, rfc3339(now))
    return _with_entries(new, managing.encode(managing.bound(managers)), kept)


def _wanted(resource: Resource, applied: Object, subresource: str) -> dict[str, Any]:
    """What of it counts. Raises 400 if it is for another version, or says who manages what."""
    version = applied.get("apiVersion")
    if version != resource.api_version:
        raise bad_request(
            "Incorrect version specified in apply patch. Specified patch version:"
            f" {version}, expected: {resource.api_version}"
        )
    meta = applied.get("metadata") or {}
    if not isinstance(meta, Mapping):
        raise bad_request("metadata: must be an object")
    if meta.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    wanted = dict(applied)
    wanted["metadata"] = {
        name: value
        for name, value in meta.items()
        if f"f:{name}" not in _SERVERS and name != "managedFields"
    }
    if subresource == "status":
        return {"status": wanted["status"]} if "status" in wanted else {}
    if "status" in resource.subresources:
        wanted.pop("status", None)
    return wanted


_SERVERS = frozenset(("f:resourceVersion", "f:uid", "f:creationTimestamp", "f:generation"))
"""What an applied object may carry, for it was read from a server, and does not mean."""


def _fields_of_applied(resource: Resource, wanted: Object, meta: Mapping[str, Any]) -> Fields:
    faults: list[str] = []
    fields = fields_of(shape_of(resource), wanted, faults)
    if not faults:
        return fields
    whom = f"{meta.get('namespace', '')}/{meta.get('name', '')}"
    kind = f"{resource.api_version}, Kind={resource.kind}"
    what = faults[0] if len(faults) == 1 else "errors:\n  " + "\n  ".join(faults[:FAULTS_MAX])
    raise bad_request(f"failed to create typed patch object ({whom}; {kind}): {what}")


def _known(
    resource: Resource, live: Object | None, now: float, subresource: str
) -> tuple[Object, Managers]:
    """What is there, and who manages it; somebody must, before the first apply."""
    if live is None:
        return {}, {}
    known = managing.decode(_meta(live).get("managedFields"), is_stored=True) or {}
    before = _bare(live)
    if not known:
        changed, _ = compare(shape_of(resource), _with_values(resource, {}, before), before)
        fields = managing.strip(changed or EMPTY)
        owner = manager_of(BEFORE_FIRST_APPLY, "Update", resource.api_version, subresource)
        known = {owner: Entry(fields, resource.api_version, rfc3339(now))} if fields else {}
    return before, known


def _bare(obj: Object) -> Object:
    meta = obj.get("metadata")
    if not isinstance(meta, Mapping) or "managedFields" not in meta:
        return obj
    return {**obj, "metadata": {k: v for k, v in meta.items() if k != "managedFields"}}


def _with_values(resource: Resource, old: Object, new: Object) -> Object:
    """`old` with the parts that every object of a built-in kind has, where `new` has them."""
    if resource.is_custom:
        return old
    added: dict[str, Any] = {name: [] for name in _LISTS if name in new and name not in old}
    for name in _STRUCTS:
        known, part = old.get(name, {}), new.get(name)
        if isinstance(part, dict) and isinstance(known, dict):
            whole = _with_values(resource, known, part)
            if whole is not old.get(name):
                added[name] = whole
    return {**old, **added} if added else old


def _pruned(shape: Shape, merged: Any, last: Fields, managers: Managers) -> Any:
    """Without what the applier wanted the last time, and nobody wants now."""
    owned = managing.all_fields(managers.values())
    gone = difference(with_named_fields(shape, last), with_named_fields(shape, owned))
    gone = difference(gone, _IDENTITY)
    return remove(shape, merged, gone, owned) if gone else merged


def _conflicts(known: Managers, applier: Manager, changed: Fields | None) -> Conflicts:
    """What others manage and would get another value."""
    if not changed:
        return {}
    found = {
        manager: intersection(entry.fields, changed)
        for manager, entry in known.items()
        if manager != applier
    }
    return {manager: fields for manager, fields in found.items() if fields}


def _allowed(shape: Shape, live: Object, manager: str) -> Fields:
    """What kubectl itself set by client-side apply is its own, if it is still as it was."""
    text = (_meta(live).get("annotations") or {}).get(LAST_APPLIED)
    if manager != KUBECTL or not isinstance(text, str):
        return EMPTY
    try:
        last = json.loads(text)
    except (ValueError, RecursionError):
        return EMPTY
    if not isinstance(last, Mapping) or is_deep(last):
        return EMPTY
    faults: list[str] = []
    fields = fields_of(shape, last, faults)
    changed, removed = compare(shape, last, live)
    return difference(difference(fields, changed or EMPTY), removed or EMPTY)


def _refuse(conflicts: Conflicts, allowed: Fields) -> None:
    found = [
        (managing.text_of_manager(manager), text_of(path))
        for manager, fields in conflicts.items()
        for path in members(difference(fields, allowed))
    ]
    if not found:
        return
    causes = [Cause("FieldManagerConflict", f"conflict with {whom}", path) for whom, path in found]
    raise ApiError(409, "Conflict", _message(found), causes=causes)


def _message(conflicts: Sequence[tuple[str, str]]) -> str:
    if len(conflicts) == 1:
        ((whom, path),) = conflicts
        return f"Apply failed with 1 conflict: conflict with {whom}: {path}"
    lines: list[str] = []
    for manager in sorted({whom for whom, _ in conflicts}):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {path}" for whom, path in conflicts if whom == manager]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def _without_fields(
    known: Managers, but: Manager | None, changed: Fields | None, removed: Fields | None
) -> Managers:
    """All entries but one, without what got another value or is gone."""
    result: Managers = {}
    for manager, entry in known.items():
        if manager == but:
            continue
        fields = difference(difference(entry.fields, changed or EMPTY), removed or EMPTY)
        if fields == entry.fields:
            result[manager] = entry
        elif fields:
            result[manager] = Entry(fields, entry.api_version, entry.time)
    return result


def _of_subresource(resource: Resource, fields: Fields, subresource: str) -> Fields:
    """What a write through it can have changed."""
    if subresource == "status":
        return {step: child for step, child in fields.items() if step == "f:status"}
    if "status" in resource.subresources:
        return {step: child for step, child in fields.items() if step != "f:status"}
    return fields


def _with_last_applied(merged: Object, applied: Object) -> Object:
    """The annotation of client-side apply, where there is one, says what is applied now."""
    meta = _meta(merged)
    annotations = meta.get("annotations") or {}
    if LAST_APPLIED not in annotations:
        return merged
    told = applied
    given = _meta(applied).get("annotations") or {}
    if LAST_APPLIED in given:
        others = {name: value for name, value in given.items() if name != LAST_APPLIED}
        told = {**applied, "metadata": {**applied["metadata"], "annotations": others}}
    text = json.dumps(told, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    if annotations[LAST_APPLIED] == text:
        return merged
    told = {**annotations, LAST_APPLIED: text}
    if are_too_long(told):
        # It only helps who goes back to client-side apply: nothing is refused for its sake.
        del told[LAST_APPLIED]
    return {**merged, "metadata": {**meta, "annotations": told}}


def _meta(obj: Object) -> Mapping[str, Any]:
    meta = obj.get("metadata")
    return meta if isinstance(meta, Mapping) else {}


def _with_entries(obj: Object, entries: list[dict[str, Any]], kept: Any) -> Object:
    """With these managedFields; those that are stored are shared where nothing is new."""
    told: Any = kept if kept and entries == kept else entries
    meta = _meta(obj)
    if meta.get("managedFields") is told or (not told and "managedFields" not in meta):
        return obj
    bare = {name: value for name, value in meta.items() if name != "managedFields"}
    return {**obj, "metadata": bare | {"managedFields": told} if told else bare}
