"""A quorum forgets: all that is left of the newest writes is what its followers had made durable.

The leader reaches no more followers than it needs to commit. They lose power at the same moment,
at an I/O point, and the leader does soon afterwards, when their last acknowledgements have reached
it and its answers the clients. They come back, and elect a leader with those who were cut off; the
old one stays away. Whatever they had acknowledged too early is lost for good (Raft, 5.1).
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
        point, count = random.choice(_POINTS), random.randrange(_PASSES_MAX) + 1
        self._snapped = asyncio.Event()
        self._trap = Trap(point, count, self._followers[1:], self._snapped)

    def begin(self) -> None:
        """See `Fault`."""
        for link in self._links:
            self._network.cut(link)
        for member in self._followers[:1]:
            member.traps.append(self._trap)
        super().begin()

    def _undo(self) -> None:
        for link in self._links:
            self._network.mend(link)
        for member in self._followers[:1]:
            member.traps.remove(self._trap)

    async def _go(self) -> None:
        await self._snapped.wait()
        self.is_complete = True
        await asyncio.sleep(self._random.random() * _ANSWER_SECONDS_MAX)
        if self._leader.is_alive:
            self._leader.crash()
        await asyncio.sleep(self._random.random() * _RESTART_SECONDS_MAX)
        start(self._followers)
