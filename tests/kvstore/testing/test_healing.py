"""After the last fault all members agree, or the run has found something."""

import asyncio
from random import Random

import pytest

from kvstore.testing.history import ViolationError
from kvstore.testing.simulation import healing, loop
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.roster import Roster


async def started() -> SimulatedCluster:
    cluster = SimulatedCluster(1)
    for member in cluster.members:
        member.start()
    await healing.until_agreed(cluster)
    return cluster


def test_whoever_is_down_starts() -> None:
    async def main() -> None:
        cluster = await started()
        roster = Roster(cluster, Random(1), lambda: None)
        for member in cluster.members[:2]:
            member.crash()
        await healing.heal(cluster, roster)
        assert all(member.is_alive for member in cluster.members)
        assert cluster.leader() is not None

    loop.run(main)


def test_a_member_that_is_removed_late_need_not_agree() -> None:
    """Its removal was asked for before the end of the faults, and done after it."""

    async def main() -> None:
        cluster = await started()
        first, *others = cluster.members
        async with cluster.connect() as store:
            await store.cluster.member_remove(first.member_id)
        await asyncio.sleep(5)  # simulated: until it has heard of it
        assert first.is_removed
        await healing.until_agreed(cluster)
        assert (cluster.members, cluster.former) == (others, [first])

    loop.run(main)


def test_members_that_cannot_agree_are_a_violation() -> None:
    async def main() -> None:
        cluster = await started()
        victim = next(m for m in cluster.members if m is not cluster.leader())
        victim.process.pause()
        store = cluster.connect()
        while store.endpoints[0] == f"{victim.member_id:x}":
            store = cluster.connect()  # one that asks somebody else first
        await store.put("key", "value")
        with pytest.raises(ViolationError, match="do not agree"):
            await healing.until_agreed(cluster)

    loop.run(main)
