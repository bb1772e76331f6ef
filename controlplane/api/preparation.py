"""An object on its way to the store: what is left out filled in, and all that is wrong told. PURE.

Whoever makes objects asks here: the API server of what users send, controllers of what they make
of templates. What admission adds comes between the two.
Source: Kubernetes' API conventions ("Defaulting", "Validation"); kube-behaviour 2.12, 2.19.
"""

from collections.abc import Sequence
from typing import Any

from controlplane.api import (
    defaulting,
    errors,
    immutables,
    meta,
    pruning,
    ratcheting,
    schemas,
    spellings,
    validation,
)
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Resource


def defaulted(resource: Resource, found: Object) -> Object:
    """Without what its schema does not know, and with what it means though it does not say it."""
    found = pruning.prune(resource.schema, found)
    if resource.is_custom:
        found = _with_canonical_metadata(found)
        return defaulting.apply_schema_defaults(resource.schema, found)
    found = spellings.canonical(resource.schema, found)
    if "spec" not in found and "spec" in resource.schema.properties:
        found = {**found, "spec": {}}  # where defaults go, and what checks look into
    found = defaulting.apply_defaults(resource.defaults, found)
    return found if resource.strategy.default is None else resource.strategy.default(found)


def _with_canonical_metadata(found: Object) -> Object:
    metadata: Any = found.get("metadata")
    done = spellings.canonical(schemas.named(validation.OBJECT_META), metadata)
    return found if done is metadata else {**found, "metadata": done}


def require_valid(
    resource: Resource, new: Object, old: Object | None = None, *, subresource: str = ""
) -> None:
    """Raises ApiError 422 with all that is wrong. `old`: what it replaces; None: it is new."""
    causes = _causes(resource, subresource, new, old)
    if causes:
        metadata = new["metadata"]
        name = str(metadata.get("name") or metadata.get("generateName") or "")
        raise errors.invalid(resource.kind, resource.group, name, causes)


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
    found = validation.validate(resource.schema, new, with_required=resource.is_custom)
    if found and old is not None and resource.is_custom:
        found = ratcheting.validate(resource.schema, new, old)
    causes += found
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
