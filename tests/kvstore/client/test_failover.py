"""Three real members of which some are killed or paused: what a client notices, and what not."""

import asyncio

import pytest

from kvstore.client import Client, Version, Watch, put
from kvstore.errors import UnavailableError
from kvstore.testing.processes import ClusterProcesses, MemberProcess
from tests.kvstore.client.channels import connect
from tests.kvstore.client.proxy import Proxy

pytestmark = [
    pytest.mark.timeout(400),  # elections and dead connections, on a crowded machine
    pytest.mark.usefixtures("channel"),
]
SECONDS_MAX = 150


def leader_of(cluster: ClusterProcesses) -> MemberProcess:
    leader = cluster.leader()
    assert leader is not None
    return leader


def starting_with(cluster: ClusterProcesses, member: MemberProcess) -> list[str]:
    """The endpoints, this member's first: the one that a client uses."""
    return [member.endpoint, *(e for e in cluster.endpoints if e != member.endpoint)]


async def collect(watch: Watch, last: bytes) -> list[bytes]:
    seen: list[bytes] = []
    async with asyncio.timeout(SECONDS_MAX):
        async for batch in watch:
            seen += [event.kv.value for event in batch.events]
            if seen and seen[-1] == last:
                break
    return seen


async def write(client: Client, key: str, count: int, first: int = 0) -> list[int]:
    """Write numbers; those whose fate is unknown are written again under a condition."""
    for n in range(first, first + count):
        while True:
            try:
                await (
                    client.txn()
                    .when(Version(f"{key}{n}") == 0)
                    .then(put(f"{key}{n}", str(n)))
                    .commit()
                )
                break
            except UnavailableError:
                continue
    return list(range(first, first + count))


async def test_reads_and_writes_go_on_when_the_member_in_use_is_killed(
    three: ClusterProcesses,
) -> None:
    victim = three.members[0]
    async with connect(starting_with(three, victim), request_timeout_seconds=30) as client:
        await client.put("k", "before")
        victim.kill()
        kv = await client.get("k")
        assert kv is not None
        assert kv.value == b"before"
        await write(client, "after/", 20)
        assert (await client.get_range("after/", prefix=True)).count == 20


async def test_a_watch_loses_nothing_when_the_leader_is_killed(three: ClusterProcesses) -> None:
    leader = leader_of(three)
    async with connect(starting_with(three, leader)) as client:
        watches = [client.watch("w/", prefix=True) for _ in range(3)]
        await asyncio.gather(*(watch.created() for watch in watches))
        writing = asyncio.create_task(write(client, "w/", 120))
        collecting = [asyncio.create_task(collect(watch, b"119")) for watch in watches]
        async with client.watch("w/50") as half_way:
            await half_way.created()
            if await client.get("w/50") is None:
                await anext(half_way)
        leader.kill()
        await writing
        for seen in await asyncio.gather(*collecting):
            assert seen == [str(n).encode() for n in range(120)]


async def test_a_watch_leaves_a_paused_member_without_loss_or_duplicate(
    three: ClusterProcesses,
) -> None:
    leader = leader_of(three)
    follower = next(member for member in three.members if member is not leader)
    others = [e for e in three.endpoints if e != follower.endpoint]
    async with connect(starting_with(three, follower)) as watching, connect(others) as writing:
        watch = watching.watch("p/", prefix=True)
        await watch.created()
        await write(writing, "p/", 10)
        follower.pause()
        await write(writing, "p/", 50, first=10)
        seen = await collect(watch, b"59")
        follower.resume()
        assert seen == [str(n).encode() for n in range(60)]
        await write(writing, "p/", 10, first=60)
        assert await collect(watch, b"69") == [str(n).encode() for n in range(60, 70)]


async def test_reads_leave_a_paused_member_in_time(three: ClusterProcesses) -> None:
    paused = three.members[0]
    async with connect(starting_with(three, paused), request_timeout_seconds=20) as client:
        await client.put("k", "v")
        paused.pause()
        kv = await client.get("k")
        assert kv is not None
        assert kv.value == b"v"


async def test_a_member_without_a_leader_is_left_by_watches_and_writes(
    three: ClusterProcesses,
) -> None:
    """Two of three members killed, later started again: nothing is lost, no write is doubled."""
    survivor, *victims = three.members
    async with connect(starting_with(three, survivor)) as client:
        watch = client.watch("n/", prefix=True)
        await watch.created()
        await write(client, "n/", 5)
        for victim in victims:
            victim.kill()
        with pytest.raises(UnavailableError):
            await client.put("unknown", "v", timeout_seconds=3)
        for victim in victims:
            three.start_member(victim)
        await write(client, "n/", 5, first=5)
        assert await collect(watch, b"9") == [str(n).encode() for n in range(10)]


async def test_a_write_whose_answer_is_lost_is_not_repeated(three: ClusterProcesses) -> None:
    """The first endpoint swallows answers: the write is applied once, its fate unknown to us."""
    async with (
        Proxy(three.endpoints[0]) as proxy,
        connect([proxy.endpoint, *three.endpoints[1:]]) as client,
    ):
        await client.put("k", "first")
        proxy.drops_responses = True
        with pytest.raises(UnavailableError) as raised:
            await client.put("k", "second", timeout_seconds=3)
        assert raised.value.may_have_been_applied
        kv = await client.get("k")
        assert kv is not None
        assert (kv.value, kv.version) == (b"second", 2)


async def test_a_held_lease_survives_the_death_of_its_member(three: ClusterProcesses) -> None:
    leader = leader_of(three)
    async with connect(starting_with(three, leader)) as client:
        renewals: asyncio.Queue[int] = asyncio.Queue()
        lease = await client.leases.hold(20, on_renewed=renewals.put_nowait)
        await client.put("k", "v", lease=lease.lease_id)
        leader.kill()
        async with asyncio.timeout(SECONDS_MAX):
            for _ in range(2):
                await renewals.get()
        assert await client.get("k") is not None
        assert not lease.lost.is_set()
