"""Objects as structs, without those that a stranger wrote past validation: they stop nobody."""

from collections.abc import Iterable

import msgspec

from controlplane.api.record import R
from controlplane.api.resource import Object, Resource
from controlplane.controller import Lister, key_of


def readable(lister: Lister, kind: type[R], resource: Resource, found: Iterable[Object]) -> list[R]:
    """As `Lister.records`, of those that are what they should be."""
    records = []
    for obj in found:
        try:
            one = lister.record(kind, resource, key_of(obj))
        except msgspec.ValidationError:
            continue  # whoever owns it does as if it were not there
        if one is not None:
            records.append(one)
    return records
