"""A write under admission, and what plug-ins may look up. PURE."""

from collections.abc import Callable, Sequence

import msgspec

from controlplane.api.resource import Object, Resource
from controlplane.claims import Claim

CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"


class Lister(msgspec.Struct, frozen=True):
    """Objects of the cache.

    get   (group, plural, namespace, name) -> the object, or None
    list  (group, plural, namespace or empty: all) -> objects
    """

    get: Callable[[str, str, str, str], Object | None]
    list: Callable[[str, str, str], Sequence[Object]]


class Review(msgspec.Struct, kw_only=True):
    """One write.

    claims          keys that must be written together with the object; a plug-in adds its own
    doubted         claimed keys of which the cache says that somebody has them already
    quota_resource  of resourcequotas
    """

    operation: str
    resource: Resource
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    old: Object | None = None
    is_dry_run: bool = False
    lister: Lister
    claims: list[Claim] = []
    doubted: set[str] = set()
    quota_resource: Resource | None = None

    def is_of(self, plural: str, group: str = "", *operations: str) -> bool:
        """Tell whether it is about an object (not a sub-resource) of a resource."""
        is_operation = not operations or self.operation in operations
        is_whole = not self.subresource and self.resource.plural == plural
        return is_operation and is_whole and self.resource.group == group
