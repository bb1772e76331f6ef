"""DefaultStorageClass, DefaultIngressClass: who names no class gets the one that is the default.

PURE. Of several defaults the newest counts, of equally old ones the first by name.
Source: Kubernetes' documentation, "Storage Classes", "Ingress" (default class); kube-behaviour 9.1,
11.4.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.admission.review import CREATE, Review
from controlplane.api.resource import Object

_STORAGE_DEFAULTS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_INGRESS_DEFAULTS = ("ingressclass.kubernetes.io/is-default-class",)
_STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class"  # as it was said before it was a field
_INGRESS_CLASS = "kubernetes.io/ingress.class"


def mutate(review: Review, found: Object) -> Object:
    """Sets the class of a new claim or Ingress that has none."""
    if review.is_of("persistentvolumeclaims", "", CREATE):
        classes = review.lister.list("storage.k8s.io", "storageclasses", "")
        default = _newest(classes, _STORAGE_DEFAULTS)
        return _with_class(found, "storageClassName", _STORAGE_CLASS, default)
    if review.is_of("ingresses", "networking.k8s.io", CREATE):
        classes = review.lister.list("networking.k8s.io", "ingressclasses", "")
        default = _newest(classes, _INGRESS_DEFAULTS)
        return _with_class(found, "ingressClassName", _INGRESS_CLASS, default)
    return found


def _with_class(found: Object, field: str, annotation: str, default: str) -> Object:
    """An empty class is one that is asked for: that of no provisioner."""
    spec = found.get("spec") or {}
    is_said = spec.get(field) is not None or annotation in _annotations(found)
    if is_said or not default:
        return found
    return {**found, "spec": {**spec, field: default}}


def _newest(classes: Iterable[Object], annotations: Iterable[str]) -> str:
    """Name of the default; empty: there is none."""
    defaults = [
        one["metadata"]
        for one in classes
        if any(_annotations(one).get(annotation) == "true" for annotation in annotations)
    ]
    by_name = sorted(defaults, key=lambda metadata: str(metadata["name"]))
    by_age = sorted(by_name, key=lambda metadata: str(metadata["creationTimestamp"]), reverse=True)
    return str(by_age[0]["name"]) if by_age else ""


def _annotations(found: Object) -> Mapping[str, Any]:
    return (found.get("metadata") or {}).get("annotations") or {}
