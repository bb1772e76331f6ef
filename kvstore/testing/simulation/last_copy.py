"""A quorum forgets: all that is left of the newest writes is what was made durable.

The leader reaches no more followers than it needs to commit. Either they lose power at the same
moment, at an I/O point, and the leader does soon afterwards, when their last acknowledgements have
reached it and its answers the clients; they come back and the leader stays away. Or all of them
lose power when the leader, whose disk is slow, is about to have its own entries there; it comes
back and they stay away. Together with those who were cut off they elect a leader: whatever they
had counted too early is lost for good (Raft, 5.1; dissertation, 10.2.1).
"""

import asyncio
from collections.abc import Sequence
from random import Random

from kvstore.testing.simulation.course import Course, start
from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.victims import Trap, Victim, Victims

LAST_COPY_KIND = "last copy"

_POINTS = ("frames sent", "wal write", "wal sync", "wal synced")
_PASSES_MAX = 30
_SYNC_SECONDS_MAX = 0.5  # of the leader: long enough for others to hear what is committed
_LEADER_BACK_PROBABILITY = 0.5
_ANSWER_SECONDS_MAX = 0.02  # for which the leader lives on
_RESTART_SECONDS_MAX = 0.3


class LastCopy(Course):
    """See above."""

    kind = LAST_COPY_KIND

    def __init__(self, random: Random, cluster: Victims, members: Sequence[Victim]) -> None:
        """`members`: the leader, then everybody else."""
        super().__init__(cluster, members)
        needed = len(members) // 2
        self._leader, self._followers = members[0], tuple(members[1 : 1 + needed])
        here, there = self._leader.member_id, [m.member_id for m in members[1 + needed :]]
        self._links: list[Link] = [link for id_ in there for link in ((here, id_), (id_, here))]
        self._random = random
        self._is_leader_back = random.random() < _LEADER_BACK_PROBABILITY
        victims = (self._leader, *self._followers)[0 if self._is_leader_back else 1 :]
        point = "wal sync" if self._is_leader_back else random.choice(_POINTS)
        count = random.randrange(_PASSES_MAX) + 1
        self._snapped = asyncio.Event()
        self._trap = Trap(point, count, victims[1:], self._snapped)
        self._trapped = victims[:1]
        self._sync_seconds = random.random() * _SYNC_SECONDS_MAX

    def begin(self) -> None:
        """See `Fault`."""
        for link in self._links:
            self._network.cut(link)
        for member in self._trapped:
            member.traps.append(self._trap)
        if self._is_leader_back:
            self._leader.files.sync_seconds.begin(self._sync_seconds)
        super().begin()

    def _undo(self) -> None:
        self._mend()
        if self._is_leader_back:
            self._leader.files.sync_seconds.end(self._sync_seconds)
        for member in self._trapped:
            member.traps.remove(self._trap)

    def _mend(self) -> None:
        while self._links:
            self._network.mend(self._links.pop())

    async def _go(self) -> None:
        await self._snapped.wait()
        self.is_complete = True
        if self._is_leader_back:
            self._mend()
        else:
            await asyncio.sleep(self._random.random() * _ANSWER_SECONDS_MAX)
            if self._leader.is_alive:
                self._leader.crash()
        await asyncio.sleep(self._random.random() * _RESTART_SECONDS_MAX)
        start([self._leader] if self._is_leader_back else self._followers)
