"""Time as the node tells it to the core: the first election, late and missed ticks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from kvstore import commands
from kvstore.commands import Proposal, Put
from kvstore.raft import codec
from kvstore.raft.types import Heartbeat, Propose, Role
from kvstore.seams import Timer
from kvstore.server import config
from kvstore.server.bootstrap import bootstrap
from kvstore.server.member import Member, Seams
from kvstore.server.node import Node
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.disk import SimulatedFiles

from .single import NoPeers

HEARTBEAT = 0.1
ALONE = ("--initial-cluster=m1=http://m1:2380",)
ONE_OF_THREE = ("--initial-cluster=m1=http://m1:2380,m2=http://m2:2380,m3=http://m3:2380",)


class LateClock(SimulatedClock):
    """Timers go off late, as on a busy loop: `late` says by how much, `pause` the next tick's."""

    def __init__(self) -> None:
        super().__init__()
        self.late = self.pause = 0.0

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        late = self.late
        if 0 < seconds < 2 * HEARTBEAT:
            late, self.pause = late + self.pause, 0.0
        return super().call_later(seconds + late, callback)


@asynccontextmanager
async def a_member(clock: SimulatedClock, *flags: str, seed: int = 1) -> AsyncIterator[Member]:
    advertised = "--initial-advertise-peer-urls=http://m1:2380"
    settings = config.load(["--name=m1", "--data-dir=m1", advertised, *flags], {})
    assert isinstance(settings, config.Settings)
    files = SimulatedFiles(Random(1), clock, sync_seconds=0.001)
    spec = (await bootstrap(files, settings)).spec
    async with asyncio.TaskGroup() as tasks:
        seams = Seams(clock, files, NoPeers(), Random(seed))
        member = Member(settings, spec, seams, tasks, segment_bytes=32 * 1024)
        run = tasks.create_task(member.run())
        yield member
        member.stop()
        await run


_DEEP = b"\x91" * 3_500 + b"\xc0"


@pytest.mark.parametrize(
    "frame",
    [
        b"garbage",
        b"\x91",
        b"\x94\xa1a\x01\xa1\xff\xc3",
        b"\x95\xa1a\x01\x05\xc3" + _DEEP,  # a LeaseAsk with one element too many
        b"\x97\xa1b\x01\xc3\x80\xc0\x00" + _DEEP,  # and a MembershipAnswer
    ],
)
def test_garbage_of_a_peer_is_dropped_whatever_it_claims_to_be(frame: bytes) -> None:
    async def main() -> None:
        async with a_member(LateClock(), *ONE_OF_THREE) as member:
            sender = next(
                id_ for id_ in member.node.raft.membership.voters if id_ != member.node.member_id
            )
            kinds = [b"R", b"?", *member.node.frame_handlers]
            assert len(kinds) == 4
            for kind in kinds:
                member.node.on_frame(sender, kind + frame)
            assert member.node.term == 0

    loop.run(main)


def test_garbage_that_a_peer_proposes_never_gets_into_the_log() -> None:
    """Whoever applied it would end, and again after each start, on all members."""

    async def main() -> None:
        async with a_member(LateClock(), *ALONE) as member:
            node = member.node
            while not node.is_leader or node.machine.applied_index < node.raft.last_index:
                await next_tick(member)
            before = node.raft.last_index
            sound = commands.encode(Proposal(9, 1, Put(b"k", b"v")))
            forward(node, (sound, b"garbage"))
            await next_tick(member)
            assert node.raft.last_index == before
            forward(node, (sound,))
            await next_tick(member)
            assert node.machine.store.revision == 2

    loop.run(main)


def forward(node: Node, data: tuple[bytes, ...]) -> None:
    message = Propose(to=node.member_id, sender=9, term=node.term, data=data)
    node.on_frame(9, b"R" + codec.encode(message))


def ticks_within(seconds: float, clock: LateClock, *, late: float) -> int:
    """How many ticks a member counts while every timer is late."""

    async def count() -> int:
        ticks: list[float] = []
        async with a_member(clock, *ALONE) as member:
            member.node.on_tick.append(ticks.append)
            clock.late = late
            await asyncio.sleep(seconds)
        return len(ticks)

    return loop.run(count)


@pytest.mark.parametrize("late", [0.0, 0.03, 0.09])
def test_a_loop_that_is_a_little_late_does_not_slow_the_ticks_down(late: float) -> None:
    assert ticks_within(10.0, LateClock(), late=late) == pytest.approx(100, abs=2)


def test_ticks_that_were_missed_altogether_are_not_made_up_for() -> None:
    """A process that slept must hear the messages that queued up before it thinks of elections."""
    late = 1.0
    count = ticks_within(10.0, LateClock(), late=late)
    assert count == pytest.approx(10.0 / (HEARTBEAT + late), abs=2)


def heartbeat_to(node: Node) -> Heartbeat:
    sender = next(voter for voter in node.raft.membership.voters if voter != node.member_id)
    return Heartbeat(to=node.member_id, sender=sender, term=1, commit=0)


async def next_tick(member: Member) -> None:
    ticked = asyncio.Event()
    member.node.on_tick.append(lambda _: ticked.set())
    await ticked.wait()


@pytest.mark.parametrize("is_heard", [True, False])
def test_missed_ticks_count_once_a_leader_had_the_time_to_be_heard(is_heard: bool) -> None:
    """After a pause, what the leader sent is read first; only its silence makes up for time."""

    async def pause() -> list[int]:
        clock = LateClock()
        flags = (*ONE_OF_THREE, "--election-timeout=10000")
        silences = []
        async with a_member(clock, *flags) as member:
            node = member.node
            await next_tick(member)
            before = node.raft.silence_ticks
            clock.pause = 3.05
            for _ in range(3):
                await next_tick(member)
                silences.append(node.raft.silence_ticks - before)
                if is_heard and len(silences) == 2:
                    node.raft.step(heartbeat_to(node))
                    before = 0
        return silences

    silences = loop.run(pause)
    assert silences == ([1, 2, 1] if is_heard else [1, 2, 33])


def test_missed_ticks_are_forgotten_by_a_campaign() -> None:
    """What a candidate slept through says nothing of the leader that it hears next."""

    async def pause() -> tuple[Role, int]:
        clock = LateClock()
        async with a_member(clock, *ONE_OF_THREE) as member:
            node = member.node
            await next_tick(member)
            clock.pause = 5.05  # of the tick after the next
            await next_tick(member)
            node.raft.step(heartbeat_to(node))
            node.raft.pass_over(100)  # so that the late tick itself is the one that campaigns
            await next_tick(member)
            role = node.raft.role
            node.raft.step(heartbeat_to(node))
            await next_tick(member)
            return role, node.raft.silence_ticks

    assert loop.run(pause) == (Role.PRE_CANDIDATE, 1)


def seconds_to_first_campaign(seed: int, *flags: str) -> float:
    async def measure() -> float:
        clock = SimulatedClock()
        async with a_member(clock, *ONE_OF_THREE, *flags, seed=seed) as member:
            campaigned = asyncio.Event()
            raft = member.node.raft
            member.node.on_tick.append(
                lambda _: campaigned.set() if raft.role is not Role.FOLLOWER else None
            )
            await campaigned.wait()
            return clock.now()

    return loop.run(measure)


@pytest.mark.parametrize("seed", range(5))
def test_at_the_start_a_member_waits_for_a_leader_for_a_heartbeat_at_least(seed: int) -> None:
    assert HEARTBEAT <= seconds_to_first_campaign(seed) <= 12 * HEARTBEAT


@pytest.mark.parametrize("seed", range(5))
def test_without_the_advance_it_waits_for_a_whole_election_timeout(seed: int) -> None:
    seconds = seconds_to_first_campaign(seed, "--initial-election-tick-advance=false")
    assert 10 * HEARTBEAT <= seconds <= 21 * HEARTBEAT
