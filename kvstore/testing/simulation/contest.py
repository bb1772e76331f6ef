"""A contested election: the worst luck that two candidates and a voter can have together.

The leader loses power and comes back as the voter that decides. Two others campaign in the same
term, and neither they nor those who vote for one hear of the other. The voter dies right after it
has answered the first, and is back, without whatever it had not made durable, before the second
one's request arrives. Each part happens by itself too, but that they meet is so rare that a
forgotten vote (Raft, 5.2) would hardly ever be seen.
"""

import asyncio
from collections.abc import Sequence
from random import Random

from kvstore.raft.types import Role
from kvstore.testing.simulation.course import Course, start
from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.victims import Trap, Victim, Victims

CONTEST_KIND = "contested election"

_RIVALS = 2
_SILENCE_SECONDS = (1.12, 1.4)  # nobody hears the leader any more, and nobody has campaigned
_START_SECONDS = (
    0.06,
    0.15,
)  # that the voter needs to start: one that is back early campaigns itself
_PATIENCE_SECONDS = 0.06  # until both are candidates, or it comes to nothing
_LOOK_SECONDS = 0.0002
_STALL_SECONDS = (0.05, 0.6)
_BACK_SECONDS_MAX = 0.1  # for which the voter is back before it hears the second rival


class ContestedElection(Course):
    """See above. Of fewer than three members nothing comes."""

    kind = CONTEST_KIND

    def __init__(self, random: Random, cluster: Victims, members: Sequence[Victim]) -> None:
        """`members`: the voter that decides, then everybody else."""
        super().__init__(cluster, members)
        self._random = random
        self._trap = Trap("frames sent")

    def _undo(self) -> None:
        if self._trap in self.members[0].traps:
            self.members[0].traps.remove(self._trap)

    async def _go(self) -> None:
        voter, *others = self.members
        if not voter.is_alive:
            return
        silence = self._random.uniform(*_SILENCE_SECONDS)
        starting = self._random.uniform(*_START_SECONDS)
        voter.crash()
        for other in others:
            other.be_patient()
        await asyncio.sleep(silence - starting)
        start([voter])
        await asyncio.sleep(starting)
        rivals = [other for other in others if other.role is Role.FOLLOWER][:_RIVALS]
        if len(rivals) < _RIVALS:
            return
        first, second = rivals
        rest = [other for other in others if other not in rivals]
        if await self._are_candidates(voter, first, second, rest):
            await self._decide(voter, first)

    async def _are_candidates(
        self, voter: Victim, first: Victim, second: Victim, rest: Sequence[Victim]
    ) -> bool:
        """Let both campaign. What a candidate asks for reaches the voter not yet, and of the
        others every second one only."""
        self._stall(_both_ways(first, second))
        for rival in (first, second):
            rival.campaign()
        held = {
            first.member_id: _links(first, [voter, *rest[0::2]]),
            second.member_id: _links(second, [voter, *rest[1::2]]),
        }
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            for rival in (first, second):
                if rival.role is Role.CANDIDATE:
                    self._stall(held.pop(rival.member_id, []))
            if not held:
                return first.role is second.role is Role.CANDIDATE
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def _decide(self, voter: Victim, first: Victim) -> None:
        self.is_complete = True
        voter.traps.append(self._trap)
        self._release(_links(first, [voter]))
        stall = self._random.uniform(*_STALL_SECONDS)
        back = min(stall, self._random.random() * _BACK_SECONDS_MAX)
        await asyncio.sleep(stall - back)
        start([voter])
        await asyncio.sleep(back)
        self._release(list(self._stalled))


def _links(source: Victim, targets: Sequence[Victim]) -> list[Link]:
    return [(source.member_id, target.member_id) for target in targets]


def _both_ways(one: Victim, other: Victim) -> list[Link]:
    return [*_links(one, [other]), *_links(other, [one])]
