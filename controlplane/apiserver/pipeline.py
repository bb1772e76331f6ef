"""What happens to an object between its body and its Txn, and in which order. PURE.

default, admission that changes, prepare, validation, admission that only looks, ownership of
fields. Source: kube-behaviour 2.12, 2.13, 2.19, 11.4.
"""

from collections.abc import Callable, Sequence

from controlplane.api import (
    apply,
    defaulting,
    errors,
    immutables,
    meta,
    pruning,
    quantities,
    validation,
)
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Resource
from controlplane.apiserver import admission
from controlplane.apiserver.admission.review import Review
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
        found = _defaulted(resource, found)
        found = admission.mutate(review, found)
        # After admission: the class of a pod depends on the limits that it was given.
        found = meta.prepare_create(resource, found, uid=self._new_uid(), now=now)
        if strategy.prepare_create is not None:
            found = strategy.prepare_create(found)
        _require_valid(review, found, None)
        found = self._allocate(review, found)
        admission.validate(review, found)
        return found

    def updated(self, review: Review, new: Object, old: Object) -> Object:
        """What an update, or a write to a sub-resource, makes of an object."""
        resource, strategy = review.resource, review.resource.strategy
        subresource = review.subresource
        new = _defaulted(resource, new)
        new = meta.prepare_update(resource, new, old, subresource=subresource)
        if strategy.prepare_update is not None and not subresource:
            new = strategy.prepare_update(new, old)
        new = admission.mutate(review, new)
        if not subresource:
            new = self._allocate(review, new)
        _require_valid(review, new, old)
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


def _require_valid(review: Review, new: Object, old: Object | None) -> None:
    """Raises ApiError 422 with all that is wrong."""
    causes = _causes(review.resource, review.subresource, new, old)
    if causes:
        metadata = new["metadata"]
        name = str(metadata.get("name") or metadata.get("generateName") or "")
        raise errors.invalid(review.resource.kind, review.resource.group, name, causes)


def _defaulted(resource: Resource, found: Object) -> Object:
    found = pruning.prune(resource.schema, found)
    if resource.is_custom:
        return defaulting.apply_schema_defaults(resource.schema, found)
    found = quantities.canonical(resource.schema, found)
    if "spec" not in found and "spec" in resource.schema.properties:
        found = {**found, "spec": {}}  # where defaults go, and what checks look into
    found = defaulting.apply_defaults(resource.defaults, found)
    return found if resource.strategy.default is None else resource.strategy.default(found)


def _causes(resource: Resource, subresource: str, new: Object, old: Object | None) -> list[Cause]:
    strategy, metadata = resource.strategy, new["metadata"]
    causes = meta.validate_meta(
        metadata,
        is_namespaced=resource.is_namespaced,
        name_rule=strategy.name_rule,
        is_custom=resource.is_custom,
    )
    if not metadata.get("name"):  # it will have one, made of its base
        causes = [cause for cause in causes if cause.field != "metadata.name"]
    if old is not None:
        causes += meta.validate_meta_update(metadata, old["metadata"])
    # What built-in kinds require their own checks say, in better words.
    causes += validation.validate(resource.schema, new, with_required=resource.is_custom)
    if causes:
        return causes  # the checks of the kind rely on types
    if strategy.validate is not None:
        causes += strategy.validate(new)
    if old is None:
        if strategy.validate_create is not None:
            causes += strategy.validate_create(new)
        return causes
    return [*causes, *_changes(resource, subresource, new, old)]


def _changes(resource: Resource, subresource: str, new: Object, old: Object) -> Sequence[Cause]:
    """What may not change, and did. A sub-resource may have rules of its own."""
    strategy = resource.strategy
    through = strategy.validate_through.get(subresource)
    if through is not None:
        return through(new, old)
    causes = list(immutables.changed(resource, new, old))
    if strategy.validate_update is not None:
        causes += strategy.validate_update(new, old)
    return causes
