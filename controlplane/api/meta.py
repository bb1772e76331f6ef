"""`metadata`: what it may be, what may change, and what the server sets. PURE.

Source: Kubernetes' API conventions, "Metadata"; ObjectMeta's documentation; texts of apimachinery's
validation; kube-behaviour.md 2.12, 2.13, 2.16, 2.19.
"""

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from controlplane.api import causes, checks, errors, generation, names, syntaxes
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Resource

ANNOTATIONS_BYTES_MAX = 256 * 1024
"""Of all keys and values together."""

MANAGER_BYTES_MAX = 128

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
"""Finalizers by which the garbage collector knows what becomes of dependants (2.17)."""

STANDARD_FINALIZERS = frozenset(("kubernetes", ORPHAN, FOREGROUND))

OF_DELETION = ("deletionTimestamp", "deletionGracePeriodSeconds")
KEPT = ("uid", "creationTimestamp", *OF_DELETION)
"""What no user writes: an update finds it as it was."""

_TIMES = ("creationTimestamp", "deletionTimestamp")
_IMMUTABLE = ("name", "namespace", *KEPT)
_NEVER_STORED = ("resourceVersion", "selfLink")
_NEVER_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences", "managedFields")


def validate_meta(
    meta: Mapping[str, Any],
    *,
    is_namespaced: bool,
    path: str = "metadata",
    name_rule: str = "subdomain",
    is_custom: bool = False,
) -> list[Cause]:
    """All that is wrong with an object's metadata, whose types are right already.

    name_rule  which names the kind may have: a key of `names.RULES`
    is_custom  a custom resource: its finalizers' names need no domain (built-in kinds' do)
    """
    return [
        *_name_causes(meta, path, name_rule),
        *_namespace_causes(meta, path, is_namespaced=is_namespaced),
        *checks.at_least(f"{path}.generation", meta.get("generation")),
        *validate_labels(meta.get("labels") or {}, f"{path}.labels"),
        *validate_annotations(meta.get("annotations") or {}, f"{path}.annotations"),
        *_owner_causes(meta.get("ownerReferences") or (), f"{path}.ownerReferences"),
        *_finalizer_causes(meta.get("finalizers") or (), f"{path}.finalizers", is_custom=is_custom),
        *_manager_causes(meta.get("managedFields") or (), f"{path}.managedFields"),
    ]


def _name_causes(meta: Mapping[str, Any], path: str, rule: str) -> list[Cause]:
    name, base = meta.get("name") or "", meta.get("generateName") or ""
    found = []
    if base:
        faults = names.faults_of_name(base, rule, is_prefix=True)
        found += [causes.invalid(f"{path}.generateName", base, fault) for fault in faults]
    if not name:
        found.append(causes.required(f"{path}.name", "name or generateName is required"))
    else:
        faults = names.faults_of_name(name, rule)
        found += [causes.invalid(f"{path}.name", name, fault) for fault in faults]
    return found


def _namespace_causes(
    meta: Mapping[str, Any], path: str, *, is_namespaced: bool
) -> Sequence[Cause]:
    namespace, field = meta.get("namespace") or "", f"{path}.namespace"
    if not is_namespaced:
        return [causes.forbidden(field, "not allowed on this type")] if namespace else ()
    if not namespace:
        return [causes.required(field)]
    return [causes.invalid(field, namespace, it) for it in syntaxes.faults_of_label(namespace)]


def validate_labels(labels: Mapping[str, str], path: str) -> list[Cause]:
    """All that is wrong with labels, wherever they stand: the fields are the labels' own."""
    found = []
    for key, value in labels.items():
        found += [causes.invalid(path, key, it) for it in syntaxes.faults_of_qualified_name(key)]
        found += [causes.invalid(path, value, it) for it in syntaxes.faults_of_label_value(value)]
    return found


def validate_annotations(annotations: Mapping[str, str], path: str) -> list[Cause]:
    """All that is wrong with annotations: their keys, and their size in bytes altogether."""
    found = []
    for key in annotations:
        # Unlike labels, annotations may have upper case in the domain of their keys.
        faults = syntaxes.faults_of_qualified_name(key.lower())
        found += [causes.invalid(path, key, fault) for fault in faults]
    if are_too_long(annotations):
        found.append(causes.too_long(path, ANNOTATIONS_BYTES_MAX))
    return found


def are_too_long(annotations: Mapping[str, str]) -> bool:
    """Whether there is more of them altogether than an object may have."""
    size = sum(_bytes(key) + _bytes(value) for key, value in annotations.items())
    return size > ANNOTATIONS_BYTES_MAX


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _owner_causes(owners: Sequence[Mapping[str, Any]], path: str) -> list[Cause]:
    found = [cause for owner in owners for cause in _one_owner_causes(owner, path)]
    first, *others = [
        f"{owner.get('kind', '')}/{owner.get('name', '')}"
        for owner in owners
        if owner.get("controller")
    ] or [""]
    told = causes.shown(owners) if others else ""
    for other in others[: errors.CAUSES_MAX]:
        detail = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {first} and {other}'
        )
        found.append(causes.invalid_as(path, told, detail))
    return found


def _one_owner_causes(owner: Mapping[str, Any], path: str) -> list[Cause]:
    api_version, kind = owner.get("apiVersion") or "", owner.get("kind") or ""
    found = []
    if not api_version.rpartition("/")[2]:
        field = f"{path}.apiVersion"
        found.append(causes.invalid(field, api_version, "version must not be empty"))
    found += [
        causes.invalid(f"{path}.{name}", "", "must not be empty")
        for name in ("kind", "name", "uid")
        if not owner.get(name)
    ]
    # Events come and go by the thousands; nothing may live as long as one.
    if kind == "Event" and api_version == "v1":
        detail = "/v1, Kind=Event is disallowed from being an owner"
        found.append(causes.invalid(path, owner, detail))
    return found


def _finalizer_causes(finalizers: Sequence[str], path: str, *, is_custom: bool) -> list[Cause]:
    found: list[Cause] = []
    for finalizer in finalizers:
        faults = syntaxes.faults_of_qualified_name(finalizer)
        found += [causes.invalid(path, finalizer, fault) for fault in faults]
    if ORPHAN in finalizers and FOREGROUND in finalizers:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(causes.invalid(path, list(finalizers), detail))
    if is_custom:
        return found
    detail = "name is neither a standard finalizer name nor is it fully qualified"
    return found + [
        causes.invalid(f"{path}[{position}]", finalizer, detail)
        for position, finalizer in enumerate(finalizers)
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS
    ]


def _manager_causes(entries: Sequence[Mapping[str, Any]], path: str) -> list[Cause]:
    found = []
    for position, entry in enumerate(entries):
        place = f"{path}[{position}]"
        operation = entry.get("operation") or ""
        # An entry that is empty altogether asks to forget all the others.
        if entry and operation not in ("Apply", "Update"):
            field = f"{place}.operation"
            found.append(causes.invalid(field, operation, "must be `Apply` or `Update`"))
        kind = entry.get("fieldsType") or ""
        if entry and kind != "FieldsV1":
            found.append(causes.invalid(f"{place}.fieldsType", kind, "must be `FieldsV1`"))
        if _bytes(entry.get("manager") or "") > MANAGER_BYTES_MAX:
            found.append(causes.too_long(f"{place}.manager", MANAGER_BYTES_MAX))
    return found


def validate_meta_update(
    new: Mapping[str, Any], old: Mapping[str, Any], *, path: str = "metadata"
) -> list[Cause]:
    """What of an object's metadata may not change, and did."""
    found = validate_finalizers_update(new, old, path=path)
    if (new.get("generation") or 0) < (old.get("generation") or 0):
        field = f"{path}.generation"
        found.append(causes.invalid(field, new.get("generation") or 0, "must not be decremented"))
    return found + [
        causes.immutable(f"{path}.{name}", new.get(name))
        for name in _IMMUTABLE
        if new.get(name) != old.get(name)
    ]


def validate_finalizers_update(
    new: Mapping[str, Any], old: Mapping[str, Any], *, path: str = "metadata"
) -> list[Cause]:
    """What is being deleted can only lose finalizers."""
    added = set(new.get("finalizers") or ()) - set(old.get("finalizers") or ())
    if not old.get("deletionTimestamp") or not added:
        return []
    detail = (
        "no new finalizers can be added if the object is being deleted, "
        f"found new finalizers {causes.go_strings(sorted(added))}"
    )
    return [causes.forbidden(f"{path}.finalizers", detail)]


def require_new(meta: Mapping[str, Any]) -> None:
    """Raise ApiError 400 where metadata has a resourceVersion: it was read, so it is no new one."""
    if meta.get("resourceVersion") not in (None, "", "0"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")


def prepare_create(resource: Resource, obj: Object, *, uid: str, now: float) -> Object:
    """A new object as it is stored: what users may not set is set, or taken away.

    now  seconds since 1970

    ApiError: 400 where it has a resourceVersion, for then it is no new one.
    """
    meta = dict(obj.get("metadata") or {})
    require_new(meta)
    for name in (*_NEVER_STORED, *OF_DELETION):
        meta.pop(name, None)
    _drop_empty(meta)
    meta["uid"] = uid
    meta["creationTimestamp"] = rfc3339(now)
    first = generation.of_new(resource)
    if first is not None:
        meta["generation"] = first
    made = {**obj, "metadata": meta}
    if "status" in resource.subresources:
        made.pop("status", None)
    return made


def prepare_update(
    resource: Resource, new: Object, old: Object, *, subresource: str = ""
) -> Object:
    """An object as it is stored after a write to it, or to one of its sub-resources.

    The server's own fields stay as they were where the writer left them out; where it set them to
    something else `validate_meta_update` finds that. What another sub-resource writes stays as it
    was, whatever the writer says: status here, all but status in "status", all but spec in
    "finalize". A "binding" writes both: the node, and that the pod is scheduled.
    """
    if subresource in _WRITES:
        return _written(new, old, _WRITES[subresource])
    if subresource == "ephemeralcontainers":
        spec = dict(old.get("spec") or {})
        _restore(spec, new.get("spec") or {}, "ephemeralContainers")
        return _written({**new, "spec": spec}, old, "spec")
    meta = _kept(new.get("metadata") or {}, old["metadata"])
    made = {**new, "metadata": meta}
    if "status" in resource.subresources and subresource != "binding":
        _restore(made, old, "status")
    return counted(resource, made, old)


def counted(resource: Resource, new: Object, old: Object) -> Object:
    """With the generation of what replaces `old`."""
    count = generation.of_changed(resource, new, old)
    meta = new["metadata"]
    if count is None or meta.get("generation") == count:
        return new
    return {**new, "metadata": {**meta, "generation": count}}


_WRITES = {"status": "status", "finalize": "spec"}
"""The one field that such a sub-resource writes."""


def _written(new: Object, old: Object, field: str) -> Object:
    """The old object with one field of the new one, and with who manages that."""
    made = {**old}
    _restore(made, new, field)
    meta = {**old["metadata"]}
    for name in _NEVER_STORED:
        meta.pop(name, None)
    _restore(meta, new.get("metadata") or {}, "managedFields")
    made["metadata"] = meta
    return made


def _kept(meta: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(meta)
    for name in _NEVER_STORED:
        kept.pop(name, None)
    for name in KEPT:
        given, known = kept.get(name), old.get(name)
        if known is not None and (not given or (name in _TIMES and _is_same_time(given, known))):
            kept[name] = known
    kept.pop("generation", None)
    _drop_empty(kept)
    return kept


def _is_same_time(given: Any, known: str) -> bool:
    """Clients may write a time in another way than they read it: `+00:00` for `Z`."""
    if given == known:
        return True
    try:
        return datetime.fromisoformat(given) == datetime.fromisoformat(known)
    except (TypeError, ValueError):
        return False


def _drop_empty(meta: dict[str, Any]) -> None:
    """ObjectMeta says nothing where there is none: `omitempty`, so that `{}` is no change."""
    for name in _NEVER_EMPTY:
        if name in meta and not meta[name]:
            del meta[name]


def _restore(made: dict[str, Any], source: Mapping[str, Any], field: str) -> None:
    if field in source:
        made[field] = source[field]
    else:
        made.pop(field, None)


def rfc3339(seconds: float) -> str:
    """A time since 1970 as `2026-11-29T08:00:00Z`: whole seconds, UTC."""
    return _rfc3339(int(seconds))


@functools.lru_cache(maxsize=100)
def _rfc3339(seconds: int) -> str:
    """Each write says the time more than once, and there are many writes in a second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00") + "Z"


def seconds_of(time: str | None) -> float | None:
    """A time as `rfc3339` writes it, in seconds since 1970; None: there is none.

    Raises ValueError for what is no time.
    """
    return datetime.fromisoformat(time).timestamp() if time else None
