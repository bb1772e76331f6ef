"""Each fault does what it is named after, and leaves nothing behind."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from kvstore.errors import UnavailableError
from kvstore.server.points import ALL_POINTS, POINTS, point_of
from kvstore.testing.simulation import command, faults, loop
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.contest import ContestedElection
from kvstore.testing.simulation.faults import Fault
from kvstore.testing.simulation.last_copy import LastCopy
from kvstore.testing.simulation.late_ack import LateAck
from kvstore.testing.simulation.member import SimulatedMember
from kvstore.testing.simulation.network import Network
from kvstore.testing.simulation.victims import Trap


def serving(test: Callable[[SimulatedCluster], Awaitable[None]], *, size: int = 3) -> None:
    """Run a test with a cluster that has a leader."""

    async def main() -> None:
        cluster = SimulatedCluster(1, size=size, snapshot_count=20)
        for member in cluster.members:
            member.start()
        await until(lambda: cluster.leader() is not None)
        await test(cluster)
        cluster.check_alive()

    loop.run(main)


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not come")


async def write(cluster: SimulatedCluster, count: int) -> None:
    """So many writes that were acknowledged, however many were not."""
    done = 0
    async with cluster.connect() as store:
        while done < count:
            with contextlib.suppress(UnavailableError):
                await store.put(b"key", b"%d" % done)
                done += 1


@pytest.mark.parametrize("point", ["wal write", "wal sync", "wal synced", "frames send"])
def test_a_member_dies_at_its_point_and_starts_again(point: str) -> None:
    async def test(cluster: SimulatedCluster) -> None:
        member = cluster.members[0]
        fault = faults.CrashAtPoint(member, Trap(point, 2))
        fault.begin()
        await write(cluster, 5)
        assert not member.is_alive
        assert cluster.crashes == {point: 1}
        fault.end()
        assert member.is_alive
        assert not member.traps
        await write(cluster, 5)

    serving(test)


def test_others_lose_power_with_it() -> None:
    async def test(cluster: SimulatedCluster) -> None:
        member, other, third = cluster.members
        fault = faults.CrashAtPoint(member, Trap("wal sync", 1, (other,)))
        assert fault.kind == "power cut at a point"
        fault.begin()
        writing = asyncio.ensure_future(write(cluster, 1))
        await until(lambda: not member.is_alive)
        assert (other.is_alive, third.is_alive) == (False, True)
        fault.end()
        await writing

    serving(test)


def test_a_point_of_the_start_is_passed_by_starting() -> None:
    async def test(cluster: SimulatedCluster) -> None:
        member = cluster.members[0]
        await until(lambda: "wal synced" in member.points_passed)
        fault = faults.CrashAtPoint(member, Trap("wal open_append"))
        fault.begin()
        await until(lambda: not member.is_alive)
        assert cluster.crashes == {"": 1, "wal open_append": 1}
        fault.end()
        await write(cluster, 1)

    serving(test)


def test_a_leader_that_stands_still_is_replaced_and_follows_afterwards() -> None:
    async def test(cluster: SimulatedCluster) -> None:
        before = cluster.leader()
        assert before is not None
        assert before.member is not None
        fault = faults.Pause(before)
        fault.begin()
        term = before.member.node.term
        await until(lambda: cluster.leader() is not before)
        assert before.member.node.is_leader, "it has not heard of anything"
        assert before.member.node.term == term
        fault.end()
        await until(lambda: before.member is not None and not before.member.node.is_leader)

    serving(test)


def test_a_disk_that_fails_ends_the_process() -> None:
    async def test(cluster: SimulatedCluster) -> None:
        member = cluster.members[0]
        fault = faults.BrokenDisk(member, 1)
        fault.begin()
        await write(cluster, 2)
        await until(lambda: not member.is_alive)
        assert cluster.crashes == {"disk failure": 1}
        fault.end()
        await until(lambda: member.member is not None)
        await write(cluster, 1)

    serving(test)


def test_a_disk_that_fails_for_no_reason_is_a_failure_of_the_run() -> None:
    """Only what was injected is forgiven."""

    async def main() -> None:
        cluster = SimulatedCluster(1)
        member = cluster.members[0]
        member.start()
        await asyncio.sleep(1)
        file = member.files.create("m1/stray")
        member.files.syncs_until_error = 1
        with pytest.raises(Exception, match="Input/output"):
            await file.sync()
        member.files._failed.clear()
        cluster.failed(member, OSError("no reason"))
        with pytest.raises(AssertionError, match="no reason"):
            cluster.check_alive()

    loop.run(main)


@pytest.mark.parametrize("size", [3, 5])
def test_every_fault_leaves_a_cluster_that_serves(size: int) -> None:
    async def test(cluster: SimulatedCluster) -> None:
        random = Random(size)
        seen: Counter[str] = Counter()
        for _ in range(60):
            fault = faults.draw(random, cluster)
            seen[fault.kind] += 1
            fault.begin()
            await asyncio.sleep(0.3)
            fault.end()
        network = cluster.network
        links = [(a.member_id, b.member_id) for a in cluster.members for b in cluster.members]
        assert not any(map(network.is_cut, links))
        assert network.loss.now == 0
        assert network.delay_seconds_max.now < 0.01
        for member in cluster.members:
            assert member.is_alive
            assert member.files.sync_seconds.now < 0.1, "its disk is as quick as at the start"
            assert member.files.syncs_until_error is None
            assert not member.traps
        assert len(seen) >= 10, seen
        await until(lambda: cluster.leader() is not None)
        await write(cluster, 1)

    serving(test, size=size)


@pytest.mark.parametrize("is_slow_first", [True, False])
def test_a_disk_that_two_faults_slow_is_slow_until_both_have_ended(is_slow_first: bool) -> None:
    async def test(cluster: SimulatedCluster) -> None:
        member = cluster.members[1]
        usual = member.files.sync_seconds.now
        slow = faults.SlowDisk(member, 9.0)
        late = LateAck(Random(1), cluster, cluster.members)
        first, second = (slow, late) if is_slow_first else (late, slow)
        first.begin()
        second.begin()
        assert member.files.sync_seconds.now == 9.0
        first.end()
        left = member.files.sync_seconds.now
        assert 1.0 < left < 9.0 if is_slow_first else left == 9.0
        second.end()
        assert member.files.sync_seconds.now == usual

    serving(test, size=5)


def test_shapes_of_cuts() -> None:
    async def test(cluster: SimulatedCluster) -> None:
        ids = {member.member_id for member in cluster.members}
        random = Random(1)
        seen = set()
        for _ in range(500):
            fault: Fault = faults.draw(random, cluster)
            if not isinstance(fault, faults.Cut):
                continue
            links = set(fault._links)
            both_ways = links == {(b, a) for a, b in links}
            seen.add((fault.kind, both_ways, len(links)))
            assert all(a in ids and b in ids and a != b for a, b in links)
        assert seen == {
            ("cut one way", False, 4),
            ("cut off", True, 8),
            ("cut between two", False, 1),
            ("cut between two", True, 2),
            ("split", True, 12),
        }

    serving(test, size=5)


def test_a_member_passes_all_points_that_have_a_name() -> None:
    passed: set[str] = set()

    async def test(cluster: SimulatedCluster) -> None:
        await write(cluster, 150)
        member = cluster.members[0]
        member.crash()
        await write(cluster, 60)
        member.start()
        await write(cluster, 60)
        for each in cluster.members:
            passed.update(each.points_passed)

    serving(test)
    assert set(ALL_POINTS) <= passed
    assert len(set(POINTS)) == len(POINTS)


def test_a_point_is_named_after_the_file_and_the_operation() -> None:
    assert point_of("sync", "m1/member/wal/1-1.wal") == "wal sync"
    assert point_of("sync", "m1/member/wal/1-1.wal.tmp") == "segment sync"
    assert point_of("rename", "m1/member/snap/1-1.snap.0.tmp") == "snapshot rename"
    assert point_of("sync_folder", "m1/member/snap") == "snapshot sync_folder"
    assert point_of("create", "m1/identity.json.new") == "identity create"


def test_what_stalls_arrives_in_the_end_and_in_its_order() -> None:
    async def main() -> None:
        network = Network(Random(1))
        link, arrived = (1, 2), list[int]()

        def send(number: int) -> None:
            network.deliver(link, b"", lambda: arrived.append(number), lambda: arrived.append(-1))

        fault, second = (faults.Stall(network, (), [link]) for _ in range(2))
        fault.begin()
        second.begin()
        for number in range(5):
            send(number)
        await asyncio.sleep(1)
        fault.end()
        await asyncio.sleep(1)
        assert arrived == [], "one of two stalls is left"
        second.end()
        for number in range(5, 8):
            send(number)
        await asyncio.sleep(1)
        assert arrived == list(range(8))
        send(8)
        fault.begin()
        await asyncio.sleep(1)
        network.reconnect(link)
        fault.end()
        await asyncio.sleep(1)
        assert arrived[8:] == [-1], "a new connection loses what was held"

    loop.run(main)


def test_a_contest_has_two_candidates_of_one_term_and_a_voter_that_dies() -> None:
    """Often; it takes luck even here."""
    is_complete: list[bool] = []

    async def test(cluster: SimulatedCluster) -> None:
        for seed in range(20):
            await until(lambda: cluster.leader() is not None)
            leader = cluster.leader()
            assert leader is not None
            members = [leader, *(m for m in cluster.members if m is not leader)]
            crashes = cluster.crashes["frames sent"]
            fault = ContestedElection(Random(seed), cluster, members)
            fault.begin()
            await asyncio.sleep(2.5)
            fault.end()
            is_complete.append(fault.is_complete)
            assert fault.is_complete or cluster.crashes["frames sent"] == crashes
        await write(cluster, 1)
        assert cluster.crashes["frames sent"] > 0

    serving(test)
    assert sum(is_complete) >= 3, is_complete


def test_an_error_in_the_course_of_a_fault_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: SimulatedMember) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr(SimulatedMember, "be_patient", fail)
    outcomes = [command.hold(seed) for seed in range(1, 6)]
    assert any("planted" in outcome.failure for outcome in outcomes)


def test_the_last_copies_are_those_of_followers_or_of_the_leader() -> None:
    """In any seed one side stays away, and the other elects without it."""
    is_leader_back: set[bool] = set()

    async def test(cluster: SimulatedCluster) -> None:
        for seed in range(6):
            await until(lambda: cluster.leader() is not None)
            leader = cluster.leader()
            assert leader is not None
            others = [member for member in cluster.members if member is not leader]
            fault = LastCopy(Random(seed), cluster, [leader, *others])
            fault.begin()
            writing = asyncio.ensure_future(write(cluster, 60))
            await until(lambda fault=fault: fault.is_complete)  # type: ignore[misc]
            await until(lambda: cluster.leader() is not None)
            is_leader_back.add(leader.is_alive)
            assert leader.is_alive != all(member.is_alive for member in others)
            fault.end()
            await writing

    serving(test, size=5)
    assert is_leader_back == {True, False}
