"""Admission: what a write may be made to say, and whether it may be made at all. PURE.

The API server asks for what users write; controllers that make pods and other objects of templates
ask as well, for they write past it.

A plug-in is a file with `mutate`, `validate`, or both, and a row in the two lists below. They run
in this order, all that mutate before validation, all that validate after it.
Source: Kubernetes' documentation, "Admission Control"; kube-behaviour 11.4.
"""

from collections.abc import Callable, Sequence

from controlplane.admission import (
    claim_resize,
    default_classes,
    default_toleration_seconds,
    definition_lifecycle,
    limit_ranger,
    namespace_lifecycle,
    priority,
    resource_quota,
    service_account,
    storage_protection,
)
from controlplane.admission.review import Review
from controlplane.api.resource import Object

Mutate = Callable[[Review, Object], Object]
Validate = Callable[[Review, Object], None]

MUTATING: Sequence[Mutate] = (
    definition_lifecycle.mutate,
    namespace_lifecycle.mutate,
    limit_ranger.mutate,
    service_account.mutate,
    priority.mutate,
    default_toleration_seconds.mutate,
    default_classes.mutate,
    storage_protection.mutate,
)
VALIDATING: Sequence[Validate] = (
    limit_ranger.validate,
    service_account.validate,
    claim_resize.validate,
    resource_quota.validate,  # last: what it counts must not fail afterwards
)


def mutate(review: Review, found: Object) -> Object:
    """What the plug-ins make of an object. Raises ApiError 403 and others."""
    for plugin in MUTATING:
        found = plugin(review, found)
    return found


def validate(review: Review, found: Object) -> None:
    """Raises ApiError 403 and others; adds what must be claimed together with the write."""
    for plugin in VALIDATING:
        plugin(review, found)
