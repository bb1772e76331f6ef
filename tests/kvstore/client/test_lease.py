"""Leases, against a real member and through a proxy that is cut."""

import asyncio

import pytest

from kvstore.client import Client
from kvstore.errors import LeaseExistsError, LeaseNotFoundError, LeaseTtlTooLargeError
from kvstore.testing.processes import ClusterProcesses
from tests.kvstore.client.channels import connect
from tests.kvstore.client.proxy import Proxy

pytestmark = pytest.mark.usefixtures("channel")


async def test_a_lease_is_granted_listed_and_revoked_with_its_keys(
    client: Client, key: str
) -> None:
    granted = await client.leases.grant(60)
    await client.put(key, "v", lease=granted.lease_id)
    alive = await client.leases.time_to_live(granted.lease_id, keys=True)
    assert granted.ttl_seconds == alive.granted_ttl_seconds == 60
    assert 55 <= alive.ttl_seconds <= 60
    assert alive.keys == (key.encode(),)
    assert granted.lease_id in (await client.leases.leases()).lease_ids
    await client.leases.revoke(granted.lease_id)
    assert await client.get(key) is None
    assert (await client.leases.time_to_live(granted.lease_id)).ttl_seconds == -1


async def test_faults_of_the_caller_are_typed(client: Client) -> None:
    granted = await client.leases.grant(60, lease_id=0x5EA5E)
    assert granted.lease_id == 0x5EA5E
    with pytest.raises(LeaseExistsError):
        await client.leases.grant(60, lease_id=0x5EA5E)
    await client.leases.revoke(0x5EA5E)
    with pytest.raises(LeaseNotFoundError):
        await client.leases.revoke(0x5EA5E)
    with pytest.raises(LeaseNotFoundError):
        await client.leases.keep_alive_once(0x5EA5E)
    with pytest.raises(LeaseTtlTooLargeError):
        await client.leases.grant(9_000_000_001)


async def test_a_lease_can_be_renewed_once(client: Client) -> None:
    granted = await client.leases.grant(60)
    renewed = await client.leases.keep_alive_once(granted.lease_id)
    assert (renewed.lease_id, renewed.ttl_seconds) == (granted.lease_id, 60)


async def test_a_held_lease_outlives_its_ttl(client: Client, key: str) -> None:
    renewals = 0
    enough = asyncio.Event()

    def count(ttl_seconds: int) -> None:
        nonlocal renewals
        renewals += 1
        if renewals == 5:  # thirds of a TTL
            enough.set()

    lease = await client.leases.hold(9, on_renewed=count)
    await client.put(key, "v", lease=lease.lease_id)
    async with asyncio.timeout(90):
        await enough.wait()
    assert await client.get(key) is not None
    assert not lease.lost.is_set()
    await lease.revoke()
    assert await client.get(key) is None


async def test_the_context_of_a_lease_is_its_life(client: Client, key: str) -> None:
    async with await client.leases.hold(60) as lease:
        await client.put(key, "v", lease=lease.lease_id)
    assert await client.get(key) is None
    assert not lease.lost.is_set()


async def test_a_lease_revoked_by_another_is_lost(client: Client) -> None:
    told = asyncio.Event()
    lease = await client.leases.hold(3, on_lost=told.set)
    await client.leases.revoke(lease.lease_id)
    async with asyncio.timeout(20):
        await asyncio.gather(lease.lost.wait(), told.wait())
    await lease.revoke()  # harmless


async def test_a_released_lease_expires_by_itself(client: Client, key: str) -> None:
    lease = await client.leases.hold(1)
    await client.put(key, "v", lease=lease.lease_id)
    async with client.watch(key) as watch:
        await watch.created()
        lease.release()
        async with asyncio.timeout(30):
            await anext(watch)  # the delete
    assert not lease.lost.is_set()


async def test_an_existing_lease_can_be_kept_alive(client: Client) -> None:
    granted = await client.leases.grant(2)
    renewals: asyncio.Queue[int] = asyncio.Queue()
    lease = await client.leases.keep_alive(granted.lease_id, on_renewed=renewals.put_nowait)
    async with asyncio.timeout(20):
        assert [await renewals.get() for _ in range(3)] == [2, 2, 2]
    await lease.revoke()


async def test_a_lease_that_cannot_be_renewed_in_its_ttl_is_lost(
    single: ClusterProcesses,
) -> None:
    async with Proxy(single.endpoints[0]) as proxy, connect([proxy.endpoint]) as client:
        loop = asyncio.get_running_loop()
        started = loop.time()
        lease = await client.leases.hold(3)
        proxy.cut()
        async with asyncio.timeout(30):
            await lease.lost.wait()
        assert loop.time() - started >= 3


async def test_a_lease_lives_through_a_silent_endpoint(
    single: ClusterProcesses, client: Client, key: str
) -> None:
    """The proxy swallows answers, the connection stays: only our own deadline notices."""
    async with (
        Proxy(single.endpoints[0]) as proxy,
        connect([proxy.endpoint, single.endpoints[0]]) as holder,
    ):
        renewals: asyncio.Queue[int] = asyncio.Queue()
        # A third of the TTL is left when the silence is noticed: enough for a slow machine.
        lease = await holder.leases.hold(18, on_renewed=renewals.put_nowait)
        await client.put(key, "v", lease=lease.lease_id)
        proxy.drops_responses = True
        async with asyncio.timeout(60):
            for _ in range(2):
                await renewals.get()
        assert not lease.lost.is_set()
        assert await client.get(key) is not None
        await client.leases.revoke(lease.lease_id)
