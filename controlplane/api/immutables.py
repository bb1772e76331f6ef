"""Fields that may not change once an object is there. PURE.

Source: Kubernetes' API reference, fields told to be immutable; kube-behaviour 2.19.
"""

from collections.abc import Iterator

from controlplane.api import causes
from controlplane.api.cells import at
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Resource


def changed(resource: Resource, new: Object, old: Object) -> Iterator[Cause]:
    """One cause for each immutable path of a resource whose value is another.

    An empty value is none: Go's types cannot tell them apart, so clients leave out either.
    """
    for path in resource.immutable:
        parts = path.split(".")
        after, before = at(new, *parts), at(old, *parts)
        if (after or None) != (before or None):
            yield causes.immutable(path, after)
