"""What happens to an object between its body and its Txn, and in which order. PURE.

default, admission that changes, prepare, validation, admission that only looks, ownership of
fields. Source: kube-behaviour 2.12, 2.13, 2.19, 11.4.
"""

from collections.abc import Callable

from controlplane import admission
from controlplane.admission.review import Review
from controlplane.api import apply, meta, preparation
from controlplane.api.resource import Object
from controlplane.apiserver.options import WriteOptions

Mutate = Callable[[Review, Object], Object]


class Pipeline:
    """allocate: gives services what they lack; it needs to know what others have."""

    def __init__(self, allocate: Mutate, new_uid: Callable[[], str]) -> None:
        self._allocate = allocate
        self._new_uid = new_uid

    def created(self, review: Review, found: Object, now: float) -> Object:
        """A new object as it is to be stored. Raises ApiError 400, 403, 404, 422.

        now: seconds since 1970.
        """
        resource, strategy = review.resource, review.resource.strategy
        found = preparation.defaulted(resource, found)
        found = admission.mutate(review, found)
        # After admission: the class of a pod depends on the limits that it was given.
        found = meta.prepare_create(resource, found, uid=self._new_uid(), now=now)
        if strategy.prepare_create is not None:
            found = strategy.prepare_create(found)
        preparation.require_valid(resource, found)
        found = self._allocate(review, found)
        admission.validate(review, found)
        return found

    def updated(self, review: Review, new: Object, old: Object) -> Object:
        """What an update, or a write to a sub-resource, makes of an object."""
        resource, strategy = review.resource, review.resource.strategy
        subresource = review.subresource
        new = preparation.defaulted(resource, new)
        new = meta.prepare_update(resource, new, old, subresource=subresource)
        if strategy.prepare_update is not None and not subresource:
            # What is taken away from a spec is no change of it.
            new = meta.counted(resource, strategy.prepare_update(new, old), old)
        new = admission.mutate(review, new)
        if not subresource:
            new = self._allocate(review, new)
        preparation.require_valid(resource, new, old, subresource=subresource)
        admission.validate(review, new)
        return new

    def recorded(
        self,
        review: Review,
        options: WriteOptions,
        old: Object | None,
        new: Object,
        now: float,
    ) -> Object:
        """With managedFields that say what this write changed."""
        return apply.record_update(
            review.resource,
            old,
            new,
            manager=options.manager,
            now=now,
            subresource=review.subresource,
        )
