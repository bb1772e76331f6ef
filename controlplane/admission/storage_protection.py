"""StorageObjectInUseProtection: claims and volumes are held from their start. PURE.

The controllers let them go once nobody uses them. kube-behaviour 9.1, 11.4.
"""

from controlplane.admission.review import CREATE, Review
from controlplane.api.persistence import CLAIM_PROTECTION, VOLUME_PROTECTION
from controlplane.api.resource import Object


def mutate(review: Review, found: Object) -> Object:
    """Adds the finalizer of a new claim or volume."""
    if review.is_of("persistentvolumeclaims", "", CREATE):
        return _held(found, CLAIM_PROTECTION)
    if review.is_of("persistentvolumes", "", CREATE):
        return _held(found, VOLUME_PROTECTION)
    return found


def _held(found: Object, finalizer: str) -> Object:
    metadata = found["metadata"]
    finalizers = metadata.get("finalizers") or ()
    if finalizer in finalizers:
        return found
    return {**found, "metadata": {**metadata, "finalizers": [*finalizers, finalizer]}}
