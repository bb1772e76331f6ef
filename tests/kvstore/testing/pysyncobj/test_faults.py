"""Faults do to PySyncObj what they do to ours, and leave nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from kvstore.server.points import ALL_POINTS
from kvstore.testing.pysyncobj.cluster import ControlCluster
from kvstore.testing.pysyncobj.doors import Doors
from kvstore.testing.pysyncobj.store import ReplicatedStore
from kvstore.testing.simulation import faults, loop
from kvstore.testing.simulation.faults import Fault
from kvstore.testing.simulation.victims import Trap

Test = Callable[[ControlCluster], Awaitable[None]]


def serving(test: Test, *, is_power_kept: bool = True) -> None:
    """Run a test with a cluster that has a leader."""
    doors = Doors()

    async def main() -> None:
        cluster = ControlCluster(
            1, doors, size=3, loss=0.0, snapshot_count=20, is_power_kept=is_power_kept
        )
        for member in cluster.members:
            member.start()
        await until(cluster.agree)
        await test(cluster)
        assert not cluster.errors

    with doors.opened():
        loop.run(main)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not come")


async def write(cluster: ControlCluster, count: int) -> None:
    """So many writes that were acknowledged, however many were not."""
    done = tries = 0
    while done < count:
        member = cluster.members[tries % len(cluster.members)]
        done += await cluster.call(0, member, "put", b"key", b"%d" % tries) is not None
        tries += 1
        assert tries < 20 * count, "it does not serve"


def lead(cluster: ControlCluster) -> ReplicatedStore:
    leader = cluster.leader()
    assert leader is not None
    assert leader.store is not None
    return leader.store


async def put_through(cluster: ControlCluster, fault: Fault) -> None:
    """Begin and end a fault under load; then all serve again."""
    fault.begin()
    writing = asyncio.ensure_future(write(cluster, 10))
    await asyncio.sleep(3.0)
    fault.end()
    await writing
    await until(cluster.agree)


def test_a_killed_member_finds_what_it_wrote() -> None:
    async def test(cluster: ControlCluster) -> None:
        await write(cluster, 5)
        for member in cluster.members:
            member.crash()
        assert cluster.leader() is None
        for member in cluster.members:
            member.start()
        await until(cluster.agree)
        histories = [m.store.history() for m in cluster.members if m.store is not None]
        assert len(histories) == 3
        assert all(len(history) >= 5 for history in histories)
        assert histories[0] == histories[1] == histories[2]

    serving(test)


def test_a_power_cut_takes_what_it_never_synced() -> None:
    """In some way or other: the dice of the disk decide."""
    lost = 0

    async def test(cluster: ControlCluster) -> None:
        nonlocal lost
        await write(cluster, 5)
        member = cluster.members[0]
        written = member.files.size("journal"), member.files.read("journal")
        member.crash()
        has_kept = member.files.exists("journal")
        lost += not has_kept or written != (
            member.files.size("journal"),
            member.files.read("journal"),
        )

    serving(test, is_power_kept=False)
    assert lost == 1


def test_the_kernel_writes_back_in_its_own_time() -> None:
    async def test(cluster: ControlCluster) -> None:
        await write(cluster, 5)
        await asyncio.sleep(31.0)
        for member in cluster.members:
            member.crash()
        for member in cluster.members:
            member.start()
        await until(cluster.agree)
        store = cluster.members[0].store
        assert store is not None
        assert len(store.history()) >= 5

    serving(test, is_power_kept=False)


@pytest.mark.parametrize("point", ["wal write", "wal synced", "frames send", "segment rename"])
def test_a_member_dies_at_the_moment_that_matches_a_point(point: str) -> None:
    async def test(cluster: ControlCluster) -> None:
        member = cluster.members[0]
        fault = faults.CrashAtPoint(member, Trap(point, 2))
        fault.begin()
        writing = asyncio.ensure_future(write(cluster, 10))
        await until(lambda: not member.is_alive)
        assert cluster.crashes == {point: 1}
        fault.end()
        assert member.is_alive
        assert not member.traps
        await writing

    serving(test)


def test_others_lose_power_with_it() -> None:
    async def test(cluster: ControlCluster) -> None:
        member, other, third = cluster.members
        fault = faults.CrashAtPoint(member, Trap("frames sent", 1, (other,)))
        fault.begin()
        await until(lambda: not member.is_alive)
        assert (other.is_alive, third.is_alive) == (False, True)
        fault.end()
        await write(cluster, 1)

    serving(test)


def test_a_disk_that_fails_ends_the_process() -> None:
    async def test(cluster: ControlCluster) -> None:
        member = cluster.members[0]
        fault = faults.BrokenDisk(member, 2)
        fault.begin()
        await write(cluster, 2)
        await until(lambda: not member.is_alive)
        assert cluster.crashes == {"disk failure": 1}
        fault.end()
        await write(cluster, 2)

    serving(test)


def test_a_leader_that_stands_still_is_replaced_and_follows_afterwards() -> None:
    async def test(cluster: ControlCluster) -> None:
        before = cluster.leader()
        assert before is not None
        term = lead(cluster).raftCurrentTerm
        fault = faults.Pause(before)
        fault.begin()
        await until(lambda: cluster.leader() is not before)
        assert before.store is not None
        assert before.store.raftCurrentTerm == term, "it has not heard of anything"
        fault.end()
        await until(cluster.agree)
        assert before.store.raftCurrentTerm > term

    serving(test)


def test_a_candidate_campaigns_at_once_when_bad_luck_wants_it() -> None:
    async def test(cluster: ControlCluster) -> None:
        term = lead(cluster).raftCurrentTerm
        follower = next(m for m in cluster.members if m is not cluster.leader())
        follower.campaign()
        assert follower.store is not None
        assert follower.store.raftCurrentTerm == term + 1

    serving(test)


def drawn() -> list[tuple[str, int]]:
    """For each kind of fault a seed that draws it."""
    found: dict[str, int] = {}
    cluster = ControlCluster(1, Doors(), size=3, loss=0.0, snapshot_count=20, is_power_kept=True)

    async def draw_all() -> None:
        for seed in range(300):
            found.setdefault(faults.draw(Random(seed), cluster).kind, seed)

    loop.run(draw_all)
    return sorted(found.items())


@pytest.mark.parametrize(("kind", "seed"), drawn())
def test_every_fault_that_can_be_drawn_ends(kind: str, seed: int) -> None:
    async def test(cluster: ControlCluster) -> None:
        fault = faults.draw(Random(seed), cluster)
        assert fault.kind == kind
        await put_through(cluster, fault)

    serving(test)


def test_every_point_at_which_ours_dies_is_one_for_it() -> None:
    async def test(cluster: ControlCluster) -> None:
        for point in ALL_POINTS:
            fault = faults.CrashAtPoint(cluster.members[0], Trap(point))
            fault.begin()
            await asyncio.sleep(1.0)
            fault.end()
        await write(cluster, 2)

    serving(test)
