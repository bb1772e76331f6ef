"""The end of all faults: whoever is down starts, and within a minute all members agree.

Whoever began faults has ended them before.
"""

import asyncio

from kvstore.testing.history import ViolationError
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.course import start
from kvstore.testing.simulation.roster import Roster
from kvstore.testing.simulation.worst import Worst

HEAL_SECONDS = 60.0


async def heal(cluster: SimulatedCluster, roster: Roster) -> None:
    """Return when all members run and agree. Raises ViolationError after a simulated minute."""
    cluster.network.loss = Worst(0.0)
    for member in cluster.members:
        member.files.lies_about_sync = False
    start(cluster.members)
    await roster.settle()
    await until_agreed(cluster)


async def until_agreed(cluster: SimulatedCluster) -> None:
    """Return when all have applied the same, to equal stores. Raises ViolationError."""
    deadline = asyncio.get_running_loop().time() + HEAL_SECONDS
    while not _agree(cluster):
        cluster.check_alive()
        _let_go_of_removed(cluster)
        if asyncio.get_running_loop().time() > deadline:
            raise ViolationError("the members do not agree a minute after the last fault")
        await asyncio.sleep(0.1)


def _let_go_of_removed(cluster: SimulatedCluster) -> None:
    """A removal that was asked for while faults went on may take effect after all."""
    for member in list(cluster.members):
        if member.is_removed:
            cluster.let_go(member)


def _agree(cluster: SimulatedCluster) -> bool:
    nodes = [m.member.node for m in cluster.members if m.member is not None]
    if len(nodes) < len(cluster.members) or cluster.leader() is None:
        return False
    commits = {node.raft.commit_index for node in nodes}
    applied = {node.machine.applied_index for node in nodes}
    if commits != applied or len(applied) != 1:
        return False
    return len({node.machine.store.hash_kv(0) for node in nodes}) == 1
