"""Random schedules: frames lost, repeated, reordered; disks slow; members crash and restart.

All safety properties hold after every step, and once the trouble is over the cluster serves again
with nothing lost.
"""

import random
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.raft.membership import members
from kvstore.raft.types import Role

from .cluster import ELECTION_TICKS, Cluster, Frame
from .member import SnapshotStream

# Under way at once. A real transport's queues are bounded too.
FRAMES_MAX = 60
STEPS = 1000


class Schedule:
    """One run of a cluster under a seed's dice."""

    recovery_ticks = 8 * ELECTION_TICKS

    def __init__(self, seed: int, voters: int, learners: int, spares: int = 0) -> None:
        self.dice = random.Random(seed)
        self.cluster = Cluster(
            voters,
            learners=learners,
            spares=spares,
            draw=self._draw,
            append_bytes_max=200,
            inflight_appends_max=3,
        )
        self.numbers = count(1)
        # Swarm testing: each schedule has faults of its own and lacks others, so that some are
        # left alone long enough to get deep. A round trip takes about a tick, or all would be
        # elections.
        self.disk_speed = self.dice.choice([0.2, 0.9])
        self.weights: dict[Callable[[], None], float] = {
            self.work: 60,
            self.tick: self.dice.choice([8, 16]),
            self.propose: 10,
            self.read: 5,
            self.send_meanwhile: self.dice.choice([0, 5]),
            self.compact: self.dice.choice([2, 6]),
            self.lose: self.dice.choice([0, 3, 10]),
            self.repeat: self.dice.choice([0, 8]),
            self.crash: self.dice.choice([0, 0.3, 1]),
            self.crash_leader: self.dice.choice([0, 0.5, 1]),
            self.power_cut: self.dice.choice([0, 0, 0.5]),
            self.restart: self.dice.choice([2, 8]),
            self.transfer: self.dice.choice([0, 0.5]),
            self.unreachable: self.dice.choice([0, 1]),
            self.cut: self.dice.choice([0, 0.5]),
            self.isolate: self.dice.choice([0, 0.5, 1]),
            self.heal: self.dice.choice([1, 3]),
        }

    def _draw(self, member_id: int) -> Callable[[], int]:
        return lambda: self.dice.randrange(ELECTION_TICKS, 2 * ELECTION_TICKS)

    def step(self) -> None:
        self.dice.choices(list(self.weights), list(self.weights.values()))[0]()
        while len(self.cluster.network) > FRAMES_MAX:
            self.lose()
        self.cluster.check()

    def _member_id(self) -> int:
        return self.dice.choice(list(self.cluster.members))

    def _take_frame(self) -> Frame | None:
        """Mostly the oldest frame, sometimes any."""
        network = self.cluster.network
        if not network:
            return None
        return network.pop(0 if self.dice.random() < 0.7 else self.dice.randrange(len(network)))

    def work(self) -> None:
        """Drivers and network get on, each a little."""
        for member in self.cluster.running():
            if member.ready is not None and self.dice.random() < self.disk_speed:
                self.cluster.end(member)
            if member.ready is None and member.raft.has_ready() and self.dice.random() < 0.8:
                self.cluster.begin(member)
        for _ in range(self.dice.randrange(len(self.cluster.network) + 1)):
            if frame := self._take_frame():
                if self.cluster.is_cut(frame):
                    self.cluster.lose(frame)
                else:
                    self.cluster.deliver(frame)

    def lose(self) -> None:
        if frame := self._take_frame():
            self.cluster.lose(frame)

    def repeat(self) -> None:
        network = self.cluster.network
        if network:
            position = self.dice.randrange(len(network) + 1)
            network.insert(position, self.dice.choice(network))

    def tick(self) -> None:
        # Mostly all together, or the clocks would drift apart as no clock does.
        ids = list(self.cluster.members) if self.dice.random() < 0.8 else [self._member_id()]
        for _ in range(self.dice.randrange(1, 4)):
            for member_id in ids:
                if self.cluster[member_id].is_up:
                    self.cluster[member_id].raft.tick()

    def send_meanwhile(self) -> None:
        """What needs no sync leaves while one is under way."""
        for member in self.cluster.running():
            if member.ready is not None:
                self.cluster.network += member.raft.take_appends()

    def propose(self) -> None:
        member = self.cluster[self._member_id()]
        if member.is_up:
            member.raft.propose(
                [b"%d" % next(self.numbers) for _ in range(self.dice.choice([1, 9]))]
            )

    def read(self) -> None:
        member_id = self._member_id()
        if self.cluster[member_id].is_up:
            self.cluster.read(member_id, next(self.numbers))

    def crash(self) -> None:
        member = self.cluster[self._member_id()]
        if member.is_up:
            member.crash(records_kept=self.dice.randrange(4))

    def crash_leader(self) -> None:
        for member in self.cluster.running():
            if member.raft.role is Role.LEADER:
                member.crash(records_kept=self.dice.randrange(4))

    def power_cut(self) -> None:
        """Everybody loses what was not synced, and the network what was under way."""
        for member in self.cluster.running():
            member.crash(records_kept=self.dice.randrange(2))
        self.cluster.network.clear()
        self.restart_all()

    def restart(self) -> None:
        member = self.cluster[self._member_id()]
        if not member.is_up:
            member.restart()

    def restart_all(self) -> None:
        for member in self.cluster.members.values():
            if not member.is_up:
                member.restart()

    def compact(self) -> None:
        member = self.cluster[self._member_id()]
        if member.is_up and member.ready is None:
            member.snapshot()

    def transfer(self) -> None:
        for member in self.cluster.running():
            member.raft.transfer_leadership(self._member_id())

    def unreachable(self) -> None:
        for member in self.cluster.running():
            member.raft.report_unreachable(self._member_id())

    def cut(self) -> None:
        self.cluster.cut((self._member_id(), self._member_id()))

    def isolate(self) -> None:
        self.cluster.isolate(self._member_id())

    def heal(self) -> None:
        self.cluster.heal()

    def run(self) -> None:
        """All steps, then the end."""
        for _ in range(STEPS):
            self.step()
        self.finish()

    def finish(self) -> None:
        """The trouble is over: in time everybody has everything, whoever is a member by then."""
        cluster = self.cluster
        cluster.heal()
        self.restart_all()
        for member in cluster.running():
            if member.ready is not None:
                cluster.end(member)
        cluster.stabilize()
        cluster.run(self.recovery_ticks)
        committed_before = cluster.checker.committed_index
        leader = cluster.leader()
        assert leader.raft.propose([b"last"])
        assert cluster.read(leader.member_id, next(self.numbers))
        reads_before = len(leader.reads)
        cluster.run(3)
        assert len(leader.reads) > reads_before
        assert cluster.checker.committed_index > committed_before
        assert not leader.raft.membership.outgoing, "a joint consensus ends"
        for member_id in members(leader.raft.membership):
            assert cluster[member_id].machine == leader.machine
        assert leader.machine[-1][2] == b"last"


@pytest.mark.parametrize(("voters", "learners"), [(1, 1), (2, 0), (3, 0), (3, 1), (5, 0)])
def test_every_schedule_keeps_the_safety_properties(voters: int, learners: int) -> None:
    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        Schedule(seed, voters, learners).run()

    run()


def test_schedules_do_reach_what_they_are_for() -> None:
    """A property test that never elects, crashes, truncates or streams would prove nothing."""
    terms = commits = snapshots = reads = 0
    for seed in range(10):
        schedule = Schedule(seed, voters=3, learners=0)
        for _ in range(STEPS):
            schedule.step()
            snapshots += any(
                isinstance(frame, SnapshotStream) for frame in schedule.cluster.network
            )
        schedule.finish()
        members = schedule.cluster.members.values()
        terms += max(member.raft.term for member in members)
        commits += schedule.cluster.checker.committed_index
        reads += sum(len(member.reads) for member in members)
        assert any(member.raft.role is Role.LEADER for member in members)
    assert terms > 20
    assert commits > 300
    assert snapshots > 5
    assert reads > 50
