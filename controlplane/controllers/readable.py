"""Objects as structs, without those that cannot be made one.

A stranger may have written one past the API server: it must not keep all others from what is to be
done with them.
"""

import logging
from collections.abc import Iterable

import msgspec

from controlplane.api.record import R
from controlplane.api.resource import Object, Resource
from controlplane.controller import Lister, key_of

logger = logging.getLogger(__name__)


def readable(lister: Lister, kind: type[R], resource: Resource, found: Iterable[Object]) -> list[R]:
    """As `Lister.records`, but of an object that is no `kind` there is only a line in the log."""
    records = []
    for obj in found:
        key = key_of(obj)
        try:
            record = lister.record(kind, resource, key)
        except msgspec.ValidationError as error:
            logger.warning("%s %s: left out: %s", resource.plural, key, error)
            continue
        if record is not None:
            records.append(record)
    return records
