"""What holds for an object from its creation to its end, whoever writes it. PURE.

The store asks here before every write, so that also who writes past the API server can neither
change an object's identity nor bring back what is being deleted. What `metadata` may say, and what
the API server makes of it before it asks the store, is in `meta`.

Sources: Kubernetes API conventions ("Metadata"), API concepts ("Resource deletion"), garbage
collection ("Cascading deletion"); kube-behaviour.md 2.12, 2.16, 2.17.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from controlplane.api import causes, errors, generation
from controlplane.api.errors import ApiError, Cause, bad_request, conflict
from controlplane.api.meta import (
    FOREGROUND,
    KEPT,
    OF_DELETION,
    ORPHAN,
    require_new,
    rfc3339,
    validate_finalizers_update,
)
from controlplane.api.resource import Object, Resource

GRACE_SECONDS_MAX = 2**31 - 1
"""Of a deletion: 68 years. A spec may name 2^63 - 1 seconds, after which no date can be written."""

POLICIES = ("Foreground", "Background", "Orphan")


class DeleteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to delete.

    grace_period_seconds  None: as the object says; negative: as 1
    propagation_policy    what becomes of dependants; empty: as the object's finalizers say
    by_kind               … or else as is the custom of its kind
    uid, resource_version preconditions; empty: none
    """

    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    by_kind: bool = False
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


class Doomed(msgspec.Struct, frozen=True):
    """What a deletion does to an object: it is marked and stays, or it goes."""

    object: Object
    is_gone: bool


def created(resource: Resource, obj: Object, *, uid: str, now: float) -> Object:
    """A new object with what every object has; what it has already is kept.

    Raises ApiError 400 for an object that was read from the store, 422 for one without a name.
    """
    metadata = obj.get("metadata") or {}
    require_new(metadata)
    name = str(metadata.get("name") or "")
    if not name:
        raise _invalid(resource, "", causes.required("metadata.name", "name is required"))
    if resource.is_namespaced and not metadata.get("namespace"):
        raise _invalid(resource, name, causes.required("metadata.namespace"))
    system: dict[str, Any] = {"uid": uid, "creationTimestamp": rfc3339(now)}
    first = generation.of_new(resource)
    if first is not None:
        system["generation"] = first
    given = {
        key: value
        for key, value in metadata.items()
        if value is not None and key not in (*OF_DELETION, "resourceVersion")
    }
    return {
        **obj,
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {**system, **given},
    }


def updated(resource: Resource, new: Object, old: Object) -> Object:
    """`new` with the identity of `old`; generation + 1 when its spec is another (2.12).

    Raises ApiError 400 for another name, 409 for another uid, 422 for a new finalizer of an object
    that is being deleted.
    """
    before, after = old["metadata"], new.get("metadata") or {}
    for field in ("name", "namespace"):
        if after.get(field, before.get(field)) != before.get(field):
            raise bad_request(
                f"the {field} of the object ({after.get(field)}) does not match the {field} on the"
                f" URL ({before.get(field)})"
            )
    require_uid(resource, before, str(after.get("uid") or ""))
    refused = validate_finalizers_update(after, before)
    if refused:
        raise _invalid(resource, before["name"], *refused)
    kept = {field: before[field] for field in KEPT if field in before}
    metadata = {key: value for key, value in after.items() if key not in (*KEPT, "generation")}
    metadata["name"] = before["name"]
    if "namespace" in before:
        metadata["namespace"] = before["namespace"]
    count = generation.of_changed(resource, new, old)
    if count is not None:
        metadata["generation"] = count
    return {
        **new,
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {**metadata, **kept},
    }


def is_finished(resource: Resource, obj: Object) -> bool:
    """Whether nothing holds a deleted object any more, so that it goes (2.16)."""
    metadata = obj["metadata"]
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("deletionGracePeriodSeconds")
        and not _is_held(resource, obj)
    )


def deleted(resource: Resource, old: Object, options: DeleteOptions, *, now: float) -> Doomed:
    """What a deletion makes of `old` at `now` (seconds since 1970).

    Raises ApiError 422 for a propagation policy that there is not.
    """
    if options.propagation_policy not in ("", *POLICIES):
        cause = causes.not_supported(
            "propagationPolicy", options.propagation_policy, (*POLICIES, "nil")
        )
        raise errors.invalid("DeleteOptions", "meta.k8s.io", "", [cause])
    obj = _with_policy(old, _policy(resource, old, options))
    grace = min(_grace(resource, obj, options), GRACE_SECONDS_MAX)
    if not grace and not _is_held(resource, obj):
        return Doomed(obj, is_gone=True)
    marked = _marked(obj, grace, now)
    if marked is not old and resource.strategy.prepare_delete is not None:
        marked = resource.strategy.prepare_delete(marked)
    return Doomed(marked, is_gone=False)


def without_grace(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Of kinds whose deletion is marked by its time alone."""
    return {key: value for key, value in metadata.items() if key != "deletionGracePeriodSeconds"}


def require_uid(resource: Resource, metadata: Mapping[str, Any], uid: str) -> None:
    """Raise ApiError 409 unless the object is the one that is meant; empty: whichever it is."""
    if uid and uid != metadata.get("uid"):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
        raise conflict(
            resource.plural, resource.group, metadata["name"], why + str(metadata.get("uid", ""))
        )


def require_preconditions(resource: Resource, obj: Object, options: DeleteOptions) -> None:
    """Raise ApiError 409 unless the object is the one that is to be deleted (2.3)."""
    metadata = obj["metadata"]
    uid, version = options.uid, options.resource_version
    if uid and uid != metadata.get("uid"):
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record "
            f"({metadata.get('uid', '')}). The object might have been deleted and then recreated"
        )
        raise conflict(resource.plural, resource.group, metadata["name"], why)
    if version and version != metadata.get("resourceVersion"):
        why = (
            f"the ResourceVersion in the precondition ({version}) does not match the "
            f"ResourceVersion in record ({metadata.get('resourceVersion', '')}). "
            "The object might have been modified"
        )
        raise conflict(resource.plural, resource.group, metadata["name"], why)


def pod_grace_seconds(pod: Object, requested: int | None) -> int:
    """How long the deletion of a pod waits: what nobody runs, or has ended, goes at once.

    The hook of pods (Kubernetes, "Pod termination"); 30 s is the default of its spec.
    """
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    period = requested if requested is not None else spec.get("terminationGracePeriodSeconds", 30)
    return int(period) if period >= 0 else 1


def _grace(resource: Resource, obj: Object, options: DeleteOptions) -> int:
    """Seconds that the deletion waits; a repeated one may only shorten it."""
    requested = options.grace_period_seconds
    if requested is not None and requested < 0:
        requested = 1
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp"):
        pending = int(metadata.get("deletionGracePeriodSeconds") or 0)
        return pending if requested is None else min(pending, requested)
    hook = resource.strategy.grace_seconds
    return hook(obj, requested) if hook is not None else 0


def _marked(obj: Object, grace: int, now: float) -> Object:
    """`obj` as being deleted, to be gone after `grace` seconds."""
    metadata = obj["metadata"]
    pending = int(metadata.get("deletionGracePeriodSeconds") or 0)
    if metadata.get("deletionTimestamp"):
        if grace == pending:
            return obj
        due = datetime.fromisoformat(metadata["deletionTimestamp"])
        due -= timedelta(seconds=pending - grace)
        mark = {"deletionTimestamp": rfc3339(due.timestamp()), "deletionGracePeriodSeconds": grace}
    else:
        mark = {"deletionTimestamp": rfc3339(now + grace), "deletionGracePeriodSeconds": grace}
        count = generation.of_doomed(metadata)
        if count is not None:
            mark["generation"] = count
    return {**obj, "metadata": {**metadata, **mark}}


def _policy(resource: Resource, old: Object, options: DeleteOptions) -> str:
    """Empty: the finalizers stay as they are."""
    if resource.propagation == "Unsupported":
        return ""
    if options.propagation_policy or not options.by_kind:
        return options.propagation_policy
    finalizers = old["metadata"].get("finalizers") or ()
    return "" if FOREGROUND in finalizers or ORPHAN in finalizers else resource.propagation


def _with_policy(obj: Object, policy: str) -> Object:
    """`obj` with the finalizer for which the garbage collector looks (2.17)."""
    if not policy:
        return obj
    metadata = obj["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    wanted = [one for one in finalizers if one not in (FOREGROUND, ORPHAN)]
    if policy != "Background":
        wanted.append(FOREGROUND if policy == "Foreground" else ORPHAN)
    if sorted(wanted) == sorted(finalizers):
        return obj
    rest = {key: value for key, value in metadata.items() if key != "finalizers"}
    return {**obj, "metadata": {**rest, "finalizers": wanted} if wanted else rest}


def _is_held(resource: Resource, obj: Object) -> bool:
    hook = resource.strategy.is_held
    return bool(obj["metadata"].get("finalizers")) or (hook is not None and hook(obj))


def _invalid(resource: Resource, name: str, *found: Cause) -> ApiError:
    return errors.invalid(resource.kind, resource.group, name, found)
