"""What subscribers are told is what the store has, whatever happened on the way."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.types.core_v1 import Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.indexer import Key
from controlplane.informer import Informers
from controlplane.network.feed import Feed, OnService
from controlplane.network.plan import SERVICE_NAME
from controlplane.objects import ObjectStore
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.network.objects import endpoint, service_object, slice_object

REGISTRY = Registry.builtin()
SERVICES = REGISTRY.storage("", "services")
SLICES = REGISTRY.storage("discovery.k8s.io", "endpointslices")
assert SERVICES is not None
assert SLICES is not None

Told = dict[str, set[str]]
"""Addresses of each service."""


class Step(msgspec.Struct, frozen=True):
    """A slice is one of `service` from now on, and has `address`; None: what is there goes."""

    service: str
    slice: str
    address: str | None
    pause_seconds: float


_STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["a", "b"]),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from([None, "10.0.0.1", "10.0.0.2"]),
        st.sampled_from([0.0, 0.3]),
    ),
    max_size=12,
)


async def _take(store: ObjectStore, step: Step) -> None:
    """What is refused, as the cluster may while it suffers, has not happened, or has."""
    assert SERVICES is not None
    assert SLICES is not None
    if step.address is None:
        for resource, name in ((SERVICES, step.service), (SLICES, step.slice)):
            with suppress(ApiError):
                await store.delete(resource, "n", name)
        return
    with suppress(ApiError):
        await store.create(SERVICES, service_object(step.service, namespace="n"))
    found = slice_object(
        endpoint(step.address), name=step.slice, service=step.service, namespace="n"
    )
    with suppress(ApiError):
        await store.delete(SLICES, "n", step.slice)
    with suppress(ApiError):
        await store.create(SLICES, found)


async def _stored(store: ObjectStore) -> Told:
    assert SERVICES is not None
    assert SLICES is not None
    services = await store.list(SERVICES, "n")
    told: Told = {one["metadata"]["name"]: set() for one in services.items}
    for one in (await store.list(SLICES, "n")).items:
        addresses = {each["addresses"][0] for each in one["endpoints"]}
        told.get(one["metadata"]["labels"][SERVICE_NAME], set()).update(addresses)
    return told


@settings(deadline=None, max_examples=15)
@given(steps=_STEPS, suffered=cuts(cuts_max=2, for_seconds_max=5), faults=kv.fault_schedules())
def test_subscribers_know_at_last_what_the_store_has(
    steps: list[Step], suffered: list[Cut], faults: kv.Schedule
) -> None:
    async def application(world: World) -> None:
        told: Told = {}

        def on_service(key: Key, found: Service | None, slices: Sequence[EndpointSlice]) -> None:
            told.pop(key.name, None)
            if found is not None:
                assert found.metadata.name == key.name
                told[key.name] = {each.addresses[0] for one in slices for each in one.endpoints}

        async with world.connect() as user, world.connect() as store:
            task = asyncio.ensure_future(_feed(world, store, on_service))
            async with world.suffer(store, suffered):
                for step in steps:
                    await _take(user, step)
                    await world.clock.sleep(step.pause_seconds)
            await world.heal()

            async def is_told() -> bool:
                with suppress(ApiError):
                    return told == await _stored(user)
                return False

            await world.until(is_told)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    run(application, faults=faults)


async def _feed(world: World, store: ObjectStore, on_service: OnService) -> None:
    async with Informers(store, clock=world.clock, random=world.random) as informers:
        await Feed(informers, REGISTRY, [on_service]).run(lambda: None)
