"""Who is killed, and when. PURE: a seed gives the same schedule again.

Every victim is taken once a round, in an order of its own each time, whether or not it has healed
from the last time. Members of the store fall seldom close to each other: two of three that are
away at once are a store that answers nobody, and there is little to learn from that often.
"""

import random
from collections.abc import Iterator, Sequence

import msgspec

GAP_SECONDS = (0.6, 3.2)
QUORUM_SECONDS = 6.0
# How often a member falls although another one may not be back.
_BOLD = 0.1


class Kill(msgspec.Struct, frozen=True):
    """at  seconds after the beginning"""

    at: float
    victim: str


def schedule(
    victims: Sequence[str], members: frozenset[str], seconds: float, dice: random.Random
) -> Iterator[Kill]:
    """Kills for so long. members: those of the victims that make a quorum together."""
    now, member_at = 0.0, -QUORUM_SECONDS
    waiting: list[str] = []
    while True:
        now += dice.uniform(*GAP_SECONDS)
        if now > seconds:
            return
        if len(waiting) < len(victims):
            waiting += dice.sample(victims, len(victims))
        may_be_member = now - member_at >= QUORUM_SECONDS or dice.random() < _BOLD
        others = (place for place, name in enumerate(waiting) if name not in members)
        victim = waiting.pop(0 if may_be_member else next(others, 0))
        if victim in members:
            member_at = now
        yield Kill(now, victim)
