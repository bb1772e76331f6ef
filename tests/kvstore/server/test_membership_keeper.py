"""Changes of the membership find their leader, whatever becomes of it meanwhile.

Members are simulated: production code in virtual time, on a network that is cut to order.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kvstore.commands import AddMember, MembershipCommand, RemoveMember, UpdateMember
from kvstore.errors import KvError, MemberTooLargeError, UnhealthyClusterError
from kvstore.server.membership_keeper import MembershipKeeper, Records
from kvstore.server.node import Node
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.member import SimulatedMember
from tests.kvstore.server.virtual_time import until

Outcome = Records | KvError


class Keepers:
    """A cluster, and a keeper on each of its members that can be asked directly."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self._keepers = {
            member.member_id: MembershipKeeper(node_of(member)) for member in cluster.members
        }

    def ask(self, member: SimulatedMember, command: MembershipCommand) -> "list[Outcome]":
        """Ask one member; what comes out of it will be in the list."""
        outcomes: list[Outcome] = []
        self._keepers[member.member_id].change(command, outcomes.append)
        return outcomes

    def leader(self) -> SimulatedMember:
        leader = self.cluster.leader()
        assert leader is not None
        return leader

    def others(self) -> list[SimulatedMember]:
        """The followers, in the order of their ids."""
        leader = self.leader()
        followers = [member for member in self.cluster.members if member is not leader]
        return sorted(followers, key=lambda member: member.member_id)

    def cut_off(self, member: SimulatedMember) -> None:
        for other in self.cluster.members:
            if other is not member:
                self.cluster.network.cut((member.member_id, other.member_id))
                self.cluster.network.cut((other.member_id, member.member_id))

    def heal(self, member: SimulatedMember) -> None:
        for other in self.cluster.members:
            if other is not member:
                self.cluster.network.mend((member.member_id, other.member_id))
                self.cluster.network.mend((other.member_id, member.member_id))


def node_of(member: SimulatedMember) -> Node:
    assert member.member is not None
    return member.member.node


def started(test: Callable[[Keepers], Awaitable[None]], *, size: int) -> None:
    """Run a test with members that have just been started."""

    async def main() -> None:
        cluster = SimulatedCluster(1, size=size)
        for member in cluster.members:
            member.start()
        await until(lambda: all(member.member is not None for member in cluster.members))
        await test(Keepers(cluster))
        cluster.check_alive()

    loop.run(main)


def serving(test: Callable[[Keepers], Awaitable[None]], *, size: int = 5) -> None:
    """Run a test with members that know each other and have a leader."""

    def is_published(member: SimulatedMember) -> bool:
        records = node_of(member).machine.members.records.values()
        return all(record.is_started for record in records)

    async def wait_then_test(keepers: Keepers) -> None:
        await until(lambda: all(map(is_published, keepers.cluster.members)))
        await test(keepers)

    started(wait_then_test, size=size)


def test_a_leader_that_is_removed_hands_over_to_one_that_lives() -> None:
    async def test(keepers: Keepers) -> None:
        leader, (dead, *living) = keepers.leader(), keepers.others()
        dead.crash()
        removal = RemoveMember(leader.member_id)
        transfers: list[float] = []
        node_of(living[0]).on_leader_change.append(
            lambda: transfers.append(asyncio.get_running_loop().time())
        )
        before = asyncio.get_running_loop().time()
        outcomes = keepers.ask(living[0], removal)
        await until(lambda: outcomes)
        [records] = outcomes
        assert isinstance(records, dict)
        assert leader.member_id not in records
        election_seconds = node_of(living[0]).options.election_seconds
        assert transfers[0] - before < election_seconds, "it was elected, not handed over to"

    serving(test)


def test_a_removal_survives_a_transfer_that_fails_with_the_leader() -> None:
    """The successor is cut off, the leader too: another one is elected, and is asked next."""

    async def test(keepers: Keepers) -> None:
        leader = keepers.leader()
        node = node_of(leader)
        outcomes = keepers.ask(leader, RemoveMember(leader.member_id))
        successor_id = node.raft.state.transferee
        [successor] = [m for m in keepers.cluster.members if m.member_id == successor_id]
        keepers.cut_off(successor)
        keepers.cut_off(leader)
        await until(lambda: not node.is_leader)
        await until(lambda: keepers.cluster.leader() not in (None, leader, successor))
        assert not outcomes
        keepers.heal(leader)
        await until(lambda: outcomes)
        [records] = outcomes
        assert isinstance(records, dict), records
        assert leader.member_id not in records

    serving(test)


def test_a_successor_that_does_not_take_over_is_not_chosen_again() -> None:
    """It seems to be connected, but nothing comes from there."""

    async def test(keepers: Keepers) -> None:
        leader = keepers.leader()
        node = node_of(leader)
        network = keepers.cluster.network
        outcomes = keepers.ask(leader, RemoveMember(leader.member_id))
        successor_id = node.raft.state.transferee
        for other in keepers.cluster.members:
            network.cut((successor_id, other.member_id))
        assert node.transport.is_connected(successor_id)
        await until(lambda: outcomes)
        [records] = outcomes
        assert isinstance(records, dict), records
        assert leader.member_id not in records
        assert keepers.leader().member_id != successor_id

    serving(test)


def test_a_leader_whom_nobody_can_relieve_stays() -> None:
    """If it removed itself, it might be the only one to know of it."""

    async def test(keepers: Keepers) -> None:
        leader = keepers.leader()
        [other] = keepers.others()
        keepers.cut_off(other)
        keeper = MembershipKeeper(node_of(leader), is_strict=False)
        outcomes: list[Outcome] = []
        keeper.change(RemoveMember(leader.member_id), outcomes.append)
        assert [type(outcome) for outcome in outcomes] == [UnhealthyClusterError]

    serving(test, size=2)


def test_who_removed_itself_stays_until_the_last_one_has_heard_of_it() -> None:
    """It may have become the leader while its removal was under way. Of two, the one that is left
    takes both for a quorum as long as nobody tells it otherwise."""

    async def test(keepers: Keepers) -> None:
        leader, [other] = keepers.leader(), keepers.others()
        node, network = node_of(leader), keepers.cluster.network
        link = (leader.member_id, other.member_id)
        node.on_membership_change.append(lambda: network.cut(link))
        outcomes: list[object] = []
        node.propose_membership(RemoveMember(leader.member_id), outcomes.append)
        await until(lambda: outcomes)
        assert leader.member_id in node_of(other).machine.members.records
        await asyncio.sleep(0.5)
        network.mend(link)
        await until(lambda: leader.member_id in node_of(other).machine.members.removed)
        await until(lambda: node_of(other).raft.is_settled)

    serving(test, size=2)


def test_a_leader_without_an_entry_of_its_term_lets_a_change_wait() -> None:
    """It cannot know yet whether another one is under way, and "busy" would be an invention."""

    async def test(keepers: Keepers) -> None:
        member = keepers.cluster.members[0]
        node = node_of(member)
        urls = node.machine.members.records[member.member_id].peer_urls
        assert not node.leader_id
        keepers.cluster.network.delay_seconds_max.begin(0.2)  # much longer than its own sync
        outcomes = keepers.ask(member, UpdateMember(member.member_id, urls))
        node.raft.campaign()
        node.wake()
        await until(lambda: outcomes)
        assert node.is_leader
        [records] = outcomes
        assert isinstance(records, dict), records

    started(test, size=3)


TOO_MANY = tuple(f"http://x:{port}" for port in range(1, 18))
TOO_LONG = ("http://" + "x" * 1016 + ":1",)


@pytest.mark.parametrize("urls", [TOO_MANY, TOO_LONG])
def test_a_leader_bounds_what_other_members_ask_it_to_keep(urls: tuple[str, ...]) -> None:
    """Each member keeps it, in memory and in every snapshot; who asks may run another version."""

    async def test(keepers: Keepers) -> None:
        leader, (other, *_) = keepers.leader(), keepers.others()
        added = keepers.ask(other, AddMember(9, urls))
        updated = keepers.ask(other, UpdateMember(leader.member_id, urls))
        taken = keepers.ask(other, UpdateMember(leader.member_id, TOO_MANY[:16]))
        await until(lambda: added and updated and taken)
        assert [type(outcome) for outcome in added + updated] == [MemberTooLargeError] * 2
        assert isinstance(taken[0], dict)

    serving(test, size=3)
