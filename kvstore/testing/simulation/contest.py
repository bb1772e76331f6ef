"""A contested election: the worst luck that two candidates and a voter can have together.

The leader loses power and comes back at once as the voter that decides. Two others campaign at the
same moment, and hear nothing of one another from then on. The voter dies right after it has
answered the first, and is back, without whatever it had not made durable, before the second one's
request arrives. Each part happens by itself too, but that they meet is so rare that a forgotten
vote (Raft, 5.2) would hardly ever be seen.
"""

import asyncio
from collections.abc import Sequence
from random import Random

from kvstore.raft.types import Role
from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.victims import Trap, Victim, Victims

CONTEST_KIND = "contested election"

_RIVALS = 2
_SILENCE_SECONDS = (1.12, 1.25)  # nobody hears the leader any more, and few have campaigned
_START_SECONDS_MAX = 0.15  # that the voter needs to start: one that is back early campaigns itself
_ANSWERS_MAX = 2  # that the voter sends before it dies: a pre-vote, a vote
_PATIENCE_SECONDS = 0.05  # until both are candidates, or it comes to nothing
_LOOK_SECONDS = 0.0005
_STALL_SECONDS = (0.05, 0.6)
_AGAIN_SECONDS_MAX = 0.1  # for which the voter is back before it hears the second rival


class ContestedElection:
    """See above. Without a leader, or with too few members, nothing happens."""

    kind = CONTEST_KIND

    def __init__(self, random: Random, cluster: Victims, members: Sequence[Victim]) -> None:
        """`members`: the voter that decides, then everybody else."""
        self.members = tuple(members)
        self._random = random
        self._cluster = cluster
        self._trap = Trap("frames sent", random.randrange(_ANSWERS_MAX) + 1)
        self._stalled: list[Link] = []
        self._going: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """See `Fault`."""
        self._going = asyncio.ensure_future(self._go())

    def end(self) -> None:
        """See `Fault`."""
        assert self._going is not None
        self._going.cancel()
        self._release()
        voter = self.members[0]
        if self._trap in voter.traps:
            voter.traps.remove(self._trap)
        self._start(voter)

    async def _go(self) -> None:
        voter, *others = self.members
        if not voter.is_alive:
            return
        random = self._random
        silence = random.uniform(*_SILENCE_SECONDS)
        start = random.random() * _START_SECONDS_MAX
        voter.crash()
        await asyncio.sleep(silence - start)
        self._start(voter)
        await asyncio.sleep(start)
        rivals = [other for other in others if other.role is Role.FOLLOWER][:_RIVALS]
        for rival in rivals:
            rival.campaign()
        if len(rivals) == _RIVALS and await self._are_candidates(rivals):
            await self._decide(voter, *rivals)

    async def _are_candidates(self, rivals: Sequence[Victim]) -> bool:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while not all(rival.role is Role.CANDIDATE for rival in rivals):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _decide(self, voter: Victim, first: Victim, second: Victim) -> None:
        self._stalled = [
            (second.member_id, voter.member_id),
            (first.member_id, second.member_id),
            (second.member_id, first.member_id),
        ]
        for link in self._stalled:
            self._cluster.network.stall(link)
        voter.traps.append(self._trap)
        stall = self._random.uniform(*_STALL_SECONDS)
        back = min(stall, self._random.random() * _AGAIN_SECONDS_MAX)
        await asyncio.sleep(stall - back)
        self._start(voter)
        await asyncio.sleep(back)
        self._release()

    def _release(self) -> None:
        while self._stalled:
            self._cluster.network.release(self._stalled.pop())

    @staticmethod
    def _start(member: Victim) -> None:
        if not (member.is_alive or member.is_removed or member.is_joining):
            member.start()
