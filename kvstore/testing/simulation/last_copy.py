"""A quorum forgets: all that is left of the newest writes is what its followers had made durable.

The leader reaches no more followers than it needs to commit. They lose power at the same moment,
at an I/O point, and the leader does soon afterwards, when their last acknowledgements have reached
it and its answers the clients. They come back, and elect a leader with those who were cut off; the
old one stays away. Whatever they had acknowledged too early is lost for good (Raft, 5.1).
"""

import asyncio
from collections.abc import Sequence
from random import Random

from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.victims import Trap, Victim, Victims

LAST_COPY_KIND = "last copy"

_POINTS = ("frames sent", "wal write", "wal sync", "wal synced")
_PASSES_MAX = 30
_ANSWER_SECONDS_MAX = 0.02  # for which the leader lives on
_RESTART_SECONDS_MAX = 0.3


class LastCopy:
    """See above. `members`: the leader, then everybody else."""

    kind = LAST_COPY_KIND

    def __init__(self, random: Random, cluster: Victims, members: Sequence[Victim]) -> None:
        self.members = tuple(members)
        needed = len(members) // 2
        self._leader, self._followers = members[0], tuple(members[1 : 1 + needed])
        here, there = self._leader.member_id, [m.member_id for m in members[1 + needed :]]
        self._links: list[Link] = [link for id_ in there for link in ((here, id_), (id_, here))]
        self._random = random
        self._cluster = cluster
        point, count = random.choice(_POINTS), random.randrange(_PASSES_MAX) + 1
        self._snapped = asyncio.Event()
        self._trap = Trap(point, count, self._followers[1:], self._snapped)
        self._going: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """See `Fault`."""
        for link in self._links:
            self._cluster.network.cut(link)
        if self._followers:
            self._followers[0].traps.append(self._trap)
        self._going = asyncio.ensure_future(self._go())

    def end(self) -> None:
        """See `Fault`."""
        assert self._going is not None
        self._going.cancel()
        for link in self._links:
            self._cluster.network.mend(link)
        if self._followers:
            self._followers[0].traps.remove(self._trap)
        for member in (*self._followers, self._leader):
            self._start(member)

    async def _go(self) -> None:
        await self._snapped.wait()
        await asyncio.sleep(self._random.random() * _ANSWER_SECONDS_MAX)
        if self._leader.is_alive:
            self._leader.crash()
        await asyncio.sleep(self._random.random() * _RESTART_SECONDS_MAX)
        for member in self._followers:
            self._start(member)

    @staticmethod
    def _start(member: Victim) -> None:
        if not (member.is_alive or member.is_removed or member.is_joining):
            member.start()
