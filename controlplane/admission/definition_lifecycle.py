"""Custom resources of a definition that is deleted: there is nothing new of them. PURE.

Its objects are deleted before the definition goes; one that came after would stay without it.
kube-behaviour 11.7.
"""

from controlplane.admission.review import CREATE, Review
from controlplane.api import errors
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.claims import Claim

_GROUP, _PLURAL = "apiextensions.k8s.io", "customresourcedefinitions"


def mutate(review: Review, found: Object) -> Object:
    """Changes nothing. Raises ApiError 404 and 405."""
    resource = review.resource
    if not resource.is_custom or review.operation != CREATE or review.subresource:
        return found
    name = f"{resource.plural}.{resource.group}"
    definition = review.lister.get(_GROUP, _PLURAL, "", name)
    if definition is None:  # since the request came
        raise errors.no_such_path()
    metadata = definition["metadata"]
    if metadata.get("deletionTimestamp"):
        why = "create not allowed while custom resource definition is terminating"
        raise ApiError(405, "MethodNotAllowed", why, group=resource.group, kind=resource.plural)
    # It is as it was when this is written, or somebody may have swept its objects already.
    key = f"/registry/{_GROUP}/{_PLURAL}/{name}".encode()
    review.claims.append(Claim(key=key, value=None, expected=int(metadata["resourceVersion"])))
    return found
