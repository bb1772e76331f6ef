"""Namespaces: active until deleted, kept until all in them is gone. PURE.

Source: Kubernetes' API reference of Namespace; kube-behaviour 3.1.
"""

from collections.abc import Iterator

from controlplane.api.causes import invalid
from controlplane.api.errors import Cause
from controlplane.api.lifecycle import without_grace
from controlplane.api.meta import STANDARD_FINALIZERS
from controlplane.api.resource import Object, Strategy
from controlplane.api.syntaxes import faults_of_qualified_name

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"


def _default(namespace: Object) -> Object:
    """Its label says its name, so that selectors can (3.1)."""
    meta = namespace.get("metadata") or {}
    name, labels = meta.get("name"), meta.get("labels") or {}
    if not name or labels.get(NAME_LABEL) == name:
        return namespace
    return {**namespace, "metadata": {**meta, "labels": {**labels, NAME_LABEL: name}}}


def _prepare_create(namespace: Object) -> Object:
    spec = namespace.get("spec") or {}
    finalizers = spec.get("finalizers") or []
    if FINALIZER not in finalizers:
        finalizers = [*finalizers, FINALIZER]
    spec = {**spec, "finalizers": finalizers}
    return {**namespace, "spec": spec, "status": {"phase": "Active"}}


def _prepare_delete(namespace: Object) -> Object:
    """From now on nothing new gets in (3.1). It has no grace: its finalizers hold it."""
    status = {**(namespace.get("status") or {}), "phase": "Terminating"}
    return {**namespace, "metadata": without_grace(namespace["metadata"]), "status": status}


def _is_held(namespace: Object) -> bool:
    """Until the finalizers of its spec have seen to it that it is empty."""
    return bool((namespace.get("spec") or {}).get("finalizers"))


def _prepare_update(new: Object, old: Object) -> Object:
    """Only `/finalize` changes a spec."""
    return {**new, "spec": old.get("spec") or {}}


def _validate(namespace: Object) -> list[Cause]:
    return [*_finalizers(namespace)]


def _finalizers(namespace: Object) -> Iterator[Cause]:
    for finalizer in (namespace.get("spec") or {}).get("finalizers") or ():
        for fault in faults_of_qualified_name(finalizer):
            yield invalid("spec.finalizers", finalizer, fault)
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid("spec.finalizers", finalizer, why)


def _validate_update(new: Object, old: Object) -> list[Cause]:
    """Its phase says whether it is being deleted."""
    phase = (new.get("status") or {}).get("phase") or ""
    is_deleting = bool((new.get("metadata") or {}).get("deletionTimestamp"))
    if is_deleting and phase != "Terminating":
        why = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        return [invalid("status.Phase", phase, why)]
    if not is_deleting and phase != "Active":
        why = "may only be 'Active' if `deletionTimestamp` is empty"
        return [invalid("status.Phase", phase, why)]
    return []


STRATEGY = Strategy(
    name_rule="label",  # it is a part of names in DNS
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_update=_validate_update,
    prepare_delete=_prepare_delete,
    is_held=_is_held,
)
