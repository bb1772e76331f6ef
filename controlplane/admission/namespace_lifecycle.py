"""NamespaceLifecycle: nothing is created in a namespace that is absent or on its way out. PURE.

kube-behaviour 3.1. The first three namespaces stay.
"""

from controlplane.admission.review import CREATE, DELETE, Review
from controlplane.api import errors
from controlplane.api.errors import ApiError, Cause
from controlplane.api.resource import Object
from controlplane.claims import Claim

IMMORTAL = ("default", "kube-system", "kube-public")
# Who is about to be deleted may still be asked about.
_REVIEWS = ("localsubjectaccessreviews",)


def mutate(review: Review, found: Object) -> Object:
    """Changes nothing. Raises ApiError 403 and 404."""
    resource = review.resource
    if review.is_of("namespaces", "", DELETE) and review.name in IMMORTAL:
        raise errors.forbidden("namespaces", "", review.name, "this namespace may not be deleted")
    if (
        review.operation != CREATE
        or not resource.is_namespaced
        or review.subresource
        or resource.plural in _REVIEWS
    ):
        return found
    namespace = review.lister.get("", "namespaces", "", review.namespace)
    if namespace is None:
        raise errors.not_found("namespaces", "", review.namespace)
    if (namespace.get("status") or {}).get("phase") == "Terminating":
        raise _terminating(review)
    version = namespace["metadata"].get("resourceVersion")
    if version:
        # The namespace is as it was when this is written, or somebody may have swept it already.
        key = f"/registry/core/namespaces/{review.namespace}".encode()
        review.claims.append(Claim(key=key, value=None, expected=int(version)))
    return found


def _terminating(review: Review) -> ApiError:
    resource, namespace = review.resource, review.namespace
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = errors.forbidden(resource.plural, resource.group, review.name, why)
    message = f"namespace {namespace} is being terminated"
    error.causes = (Cause("NamespaceTerminating", message, "metadata.namespace"),)
    return error
