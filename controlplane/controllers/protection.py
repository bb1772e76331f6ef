"""Finalizers that are there while something is used. PURE.

Source: Kubernetes' documentation, "Storage Object in Use Protection"; kube-behaviour 9.1.
"""

from controlplane.api.resource import Object


def plan(found: Object, finalizer: str, *, is_used: bool) -> Object | None:
    """The object as it must be: held while it is used; None: it is so."""
    metadata = found["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    if not metadata.get("deletionTimestamp"):
        if finalizer in finalizers:
            return None
        return {**found, "metadata": {**metadata, "finalizers": [*finalizers, finalizer]}}
    if is_used or finalizer not in finalizers:
        return None
    kept = [one for one in finalizers if one != finalizer]
    return {**found, "metadata": {**metadata, "finalizers": kept}}
