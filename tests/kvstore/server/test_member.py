"""Whom a member talks to, and what it tells strangers, while the membership changes.

In virtual time, so that a moment is a moment.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from pathlib import Path
from random import Random

import msgspec

from kvstore.apply import MembershipResult
from kvstore.commands import AddMember, MembershipCommand, RemoveMember
from kvstore.errors import KvError
from kvstore.server.bootstrap import bootstrap
from kvstore.server.introduction import Introduction
from kvstore.server.member import Member, Seams
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.disk import SimulatedFiles
from tests.kvstore.server.single import NoPeers, settings_for
from tests.kvstore.server.virtual_time import until


class Listening(NoPeers):
    """A transport that reaches nobody and remembers whom it was to talk to."""

    def __init__(self) -> None:
        self.addresses: dict[int, Sequence[str]] = {}
        self.introduction = b""

    def set_peers(
        self,
        addresses: dict[int, Sequence[str]],
        *,
        removed: Set[int] = frozenset(),
        introduction: bytes = b"",
    ) -> None:
        self.addresses, self.introduction = dict(addresses), introduction


class Alone:
    """A member alone in its cluster; others come as learners, so that it stays a quorum."""

    def __init__(self, member: Member, transport: Listening) -> None:
        self.node = member.node
        self.transport = transport

    @property
    def peers(self) -> set[int]:
        return set(self.transport.addresses)

    async def change(self, command: MembershipCommand) -> None:
        await until(lambda: self.node.raft.is_settled)
        outcomes: list[MembershipResult | KvError] = []
        self.node.propose_membership(command, outcomes.append)
        await until(lambda: outcomes)
        assert isinstance(outcomes[0], MembershipResult), outcomes

    async def add(self, member_id: int) -> None:
        await self.change(AddMember(member_id, (f"http://x:{member_id}",), is_learner=True))


def alone(test: Callable[[Alone], Awaitable[None]]) -> None:
    async def main() -> None:
        settings = settings_for(Path("data"))
        files, transport = SimulatedFiles(Random(1), SimulatedClock()), Listening()
        spec = (await bootstrap(files, settings)).spec
        async with asyncio.TaskGroup() as tasks:
            seams = Seams(SimulatedClock(), files, transport, Random(1))
            member = Member(settings, spec, seams, tasks, segment_bytes=4096)
            running = tasks.create_task(member.run())
            await test(Alone(member, transport))
            member.stop()
            await running

    loop.run(main)


def test_who_was_removed_is_talked_to_a_second_longer_whatever_changes_next() -> None:
    async def test(member: Alone) -> None:
        await member.add(2)
        await member.change(RemoveMember(2))
        await asyncio.sleep(0.4)
        await member.add(3)
        await member.change(RemoveMember(3))
        assert member.peers == {2, 3}
        await asyncio.sleep(0.7)  # the second of 2 is over, that of 3 is not
        assert member.peers == {3}
        await asyncio.sleep(0.7)
        assert member.peers == set()

    alone(test)


def test_an_introduction_says_how_far_its_member_has_applied() -> None:
    async def test(member: Alone) -> None:
        await member.add(2)
        told = msgspec.msgpack.decode(member.transport.introduction, type=Introduction)
        assert set(told.members) == {member.node.member_id, 2}
        assert told.applied_index == member.node.machine.applied_index > 0

    alone(test)
