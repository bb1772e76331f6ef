"""What is known of a write that failed, and that nobody's is lost."""

import asyncio

import pytest
from hypothesis import given, settings

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.objects import ObjectStore
from controlplane.store_errors import api_error_of
from controlplane.testing import Cut, World, cuts, run
from kvstore.errors import (
    CompactedError,
    CorruptError,
    FutureRevisionError,
    KvError,
    NoSpaceError,
    RequestTimeoutError,
    RequestTooLargeError,
    UnavailableError,
)
from kvstore.testing import properties as kv
from tests.controlplane.kinds import WIDGETS, widget, with_size


def _surely_not(error: UnavailableError) -> UnavailableError:
    error.may_have_been_applied = False
    return error


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (UnavailableError(), 504, "Timeout"),
        (RequestTimeoutError(), 504, "Timeout"),
        (_surely_not(UnavailableError()), 503, "ServiceUnavailable"),
        (CompactedError(), 410, "Expired"),
        (FutureRevisionError(9, 7), 504, "Timeout"),
        (RequestTooLargeError(), 413, "RequestEntityTooLarge"),
        (NoSpaceError(), 503, "ServiceUnavailable"),
        (CorruptError(), 500, "InternalError"),
    ],
)
def test_each_failure_has_its_code(error: KvError, code: int, reason: str) -> None:
    """2.18."""
    told = api_error_of(error)
    assert (told.code, told.reason) == (code, reason)


def test_process_that_is_cut_off_is_told_what_is_known() -> None:
    async def application(world: World) -> None:
        async with world.connect() as store:
            await store.create(WIDGETS, widget("n"))
            with world.cut_off(store):
                with pytest.raises(ApiError) as reading:
                    await store.get(WIDGETS, "n", "a")
                with pytest.raises(ApiError) as writing:
                    await store.create(WIDGETS, widget("n", "b"))
            assert reading.value.code == 503
            assert writing.value.code == 504

    run(application)


@settings(deadline=None, max_examples=25)
@given(topology=kv.topologies(), faults=kv.fault_schedules(), cut=cuts())
def test_every_update_counts_once(
    topology: kv.Topology, faults: kv.Schedule, cut: list[Cut]
) -> None:
    """2.3: whatever goes wrong, no update is lost, and none is made twice."""

    def one_more(old: Object) -> Object:
        return with_size(old, old["spec"]["size"] + 1)

    async def count(store: ObjectStore) -> list[int]:
        """Codes of the refusals; 0: it counted."""
        codes = []
        for _ in range(4):
            try:
                await store.update(WIDGETS, "n", "a", one_more)
                codes.append(0)
            except ApiError as error:
                codes.append(error.code)
        return codes

    async def application(world: World) -> None:
        async with world.connect() as one, world.connect() as two:
            while not await _exists(one):
                await world.clock.sleep(0.1)
            async with world.suffer(one, cut):
                told = await asyncio.gather(count(one), count(two))
                codes = [code for codes in told for code in codes]
            await world.heal()
            found = await two.get(WIDGETS, "n", "a")
        assert set(codes) <= {0, 409, 503, 504}
        sure, unknown = codes.count(0), codes.count(504)
        assert sure <= found["spec"]["size"] <= sure + unknown

    run(application, topology=topology, faults=faults)


async def _exists(store: ObjectStore) -> bool:
    try:
        await store.create(WIDGETS, widget("n", size=0))
    except ApiError as error:
        return error.reason == "AlreadyExists"
    return True
