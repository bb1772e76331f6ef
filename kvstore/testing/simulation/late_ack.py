"""An acknowledgement outlives its term: it waits for the disk while another leader is elected.

The leader reaches one follower only, whose disk is slow. The others elect a leader of their own,
whom that follower hears while what the old one sent is still on its way to the disk. What it then
says of it concerns the old term alone (Raft, 5.1). It takes five members: of fewer the old leader
and its follower leave no quorum to the others.
"""

import asyncio
from collections.abc import Sequence
from random import Random

from kvstore.raft.types import Role
from kvstore.testing.simulation.course import Course
from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.victims import Victim, Victims

LATE_ACK_KIND = "late acknowledgement"
LATE_ACK_MEMBERS_MIN = 5

_SYNC_SECONDS = (1.5, 3.0)
_SILENCE_SECONDS = (1.12, 1.3)  # nobody but the follower hears the leader any more
_ELECTION_SECONDS = 0.2


class LateAck(Course):
    """See above."""

    kind = LATE_ACK_KIND

    def __init__(self, random: Random, cluster: Victims, members: Sequence[Victim]) -> None:
        """`members`: the leader, the slow follower, then everybody else."""
        super().__init__(cluster, members[:2])
        self._slow = members[min(1, len(members) - 1)]
        self._others = tuple(members[2:])
        here, there = members[0].member_id, [member.member_id for member in self._others]
        self._links: list[Link] = [link for id_ in there for link in ((here, id_), (id_, here))]
        self._sync_seconds = random.uniform(*_SYNC_SECONDS)
        self._silence_seconds = random.uniform(*_SILENCE_SECONDS)

    def begin(self) -> None:
        """See `Fault`."""
        self._slow.files.sync_seconds.begin(self._sync_seconds)
        for link in self._links:
            self._network.cut(link)
        super().begin()

    def _undo(self) -> None:
        for link in self._links:
            self._network.mend(link)
        self._slow.files.sync_seconds.end(self._sync_seconds)

    async def _go(self) -> None:
        for other in self._others:
            other.be_patient()
        await asyncio.sleep(self._silence_seconds)
        candidates = [other for other in self._others if other.role is Role.FOLLOWER]
        for candidate in candidates[:1]:
            candidate.campaign()
            await asyncio.sleep(_ELECTION_SECONDS)
            self.is_complete = candidate.role is Role.LEADER
