"""Writes what was planned for EndpointSlices."""

from collections.abc import Sequence

from controlplane.api import changes, record
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.controllers.packing import Plan
from controlplane.controllers.parallel import each
from controlplane.objects import Claim, DeleteOptions, ObjectStore


async def write(
    store: ObjectStore,
    resource: Resource,
    planned: Plan,
    there: Sequence[Object],
    guard: Claim,
) -> None:
    """Create, update, delete, in this order.

    there  the slices as the cache has them, those that are updated among them
    guard  compared with each write: that of which they are made is still as it was

    Raises ApiError 409 when somebody else was faster.
    """
    known = {one["metadata"]["name"]: one for one in there}

    async def create(new: EndpointSlice) -> None:
        await store.create(resource, record.to_object(new), also=[guard])

    async def update(pair: tuple[EndpointSlice, EndpointSlice]) -> None:
        before, after = pair
        metadata = before.metadata
        await store.update(
            resource,
            metadata.namespace,
            metadata.name,
            lambda current: changes.carry(current, before, after),
            uid=metadata.uid,
            resource_version=metadata.resource_version,
            also=[guard],
            known=known[metadata.name],
        )

    async def delete(old: EndpointSlice) -> None:
        metadata = old.metadata
        options = DeleteOptions(uid=metadata.uid, resource_version=metadata.resource_version)
        try:
            await store.delete(resource, metadata.namespace, metadata.name, options=options)
        except ApiError as error:
            if error.code != 404:
                raise

    await each(planned.create, create)
    await each(planned.update, update)
    await each(planned.delete, delete)
