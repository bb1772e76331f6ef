"""Definitions of custom resources: which versions objects may be stored in. PURE.

What a definition must be like is in `customresources.py`. Source: Kubernetes' "Versions in
CustomResourceDefinitions"; kube-behaviour 11.7.
"""

from functools import partial

from controlplane.api import patterns
from controlplane.api.customresources import (
    default_definition,
    validate_defaults,
    validate_definition,
    validate_definition_update,
)
from controlplane.api.errors import Cause
from controlplane.api.kinds.role import created_at
from controlplane.api.lifecycle import without_grace
from controlplane.api.resource import Object, Strategy


def _with_stored_version(crd: Object, status: Object) -> Object:
    """Objects may be stored in any version that was ever the storage version."""
    stored = list(status.get("storedVersions") or ())
    for version in (crd.get("spec") or {}).get("versions") or ():
        name = version.get("name")
        if version.get("storage") and name and name not in stored:
            stored.append(name)
    return {**crd, "status": {**status, "storedVersions": stored}}


def _prepare_create(crd: Object) -> Object:
    return _with_stored_version(crd, {"acceptedNames": {"kind": "", "plural": ""}})


def _prepare_update(new: Object, old: Object) -> Object:
    return _with_stored_version(new, new.get("status") or old.get("status") or {})


def _validate(crd: Object) -> list[Cause]:
    # Its defaults are matched with their patterns, and there may be thousands.
    return patterns.together(partial(validate_definition, crd))


def _validate_update(new: Object, old: Object) -> list[Cause]:
    """Who stored a default with unknown fields, when nobody looked, can change all the same."""
    unknown = validate_defaults(new)
    return [
        *validate_definition_update(new, old),
        *(unknown if unknown and not validate_defaults(old) else ()),
    ]


CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that keeps a deleted definition until its objects are gone."""


def _prepare_delete(crd: Object) -> Object:
    """Who deletes a definition deletes its objects, too: it waits for them (11.7)."""
    metadata = crd["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    if CLEANUP not in finalizers:
        finalizers.append(CLEANUP)
    terminating = {
        "type": "Terminating",
        "status": "True",
        "reason": "InstanceDeletionPending",
        "message": "its objects are about to be deleted",
        "lastTransitionTime": metadata["deletionTimestamp"],
    }
    status = crd.get("status") or {}
    conditions = [one for one in status.get("conditions") or () if one.get("type") != "Terminating"]
    return {
        **crd,
        "metadata": {**without_grace(metadata), "finalizers": finalizers},
        "status": {**status, "conditions": [*conditions, terminating]},
    }


def _is_held(crd: Object) -> bool:
    """A first deletion only marks it; then its finalizers count."""
    return not crd["metadata"].get("deletionTimestamp")


STRATEGY = Strategy(
    default=default_definition,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_create=validate_defaults,
    validate_update=_validate_update,
    cells={"created_at": created_at},
    prepare_delete=_prepare_delete,
    is_held=_is_held,
)
