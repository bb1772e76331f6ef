"""PersistentVolumeClaimResize: a claim grows where its storage class says that it may. PURE.

Source: Kubernetes' documentation, "Expanding Persistent Volumes Claims"; kube-behaviour 9.1, 11.4.
"""

from fractions import Fraction

from controlplane.admission.review import UPDATE, Review
from controlplane.api import errors, quantity
from controlplane.api.resource import Object

_CLASS = "volume.beta.kubernetes.io/storage-class"  # as it was said before it was a field


def validate(review: Review, found: Object) -> None:
    """Raises ApiError 403."""
    old = review.old
    if old is None or not review.is_of("persistentvolumeclaims", "", UPDATE):
        return
    if _size(found) <= _size(old):
        return
    if (old.get("status") or {}).get("phase") != "Bound":
        raise _refused(review, "Only bound persistent volume claims can be expanded")
    name = _class(old)
    kind = review.lister.get("storage.k8s.io", "storageclasses", "", name) if name else None
    if kind is None or name != _class(found) or not kind.get("allowVolumeExpansion"):
        raise _refused(
            review,
            "only dynamically provisioned pvc can be resized and the storageclass that provisions "
            "the pvc must support resize",
        )


def _size(claim: Object) -> Fraction:
    resources = (claim.get("spec") or {}).get("resources") or {}
    return quantity.parse((resources.get("requests") or {}).get("storage", "0"))


def _class(claim: Object) -> str:
    annotations = claim["metadata"].get("annotations") or {}
    return str(annotations.get(_CLASS) or (claim.get("spec") or {}).get("storageClassName") or "")


def _refused(review: Review, why: str) -> errors.ApiError:
    return errors.forbidden("persistentvolumeclaims", "", review.name, why)
