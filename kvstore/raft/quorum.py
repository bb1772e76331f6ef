"""Quorums: how far a majority has got, and whether it said yes.

Pure arithmetic on ids; no roles, terms or logs may enter. Joint consensus (Raft, section 6) needs
a majority of the old *and* of the new voters for everything.
"""

import sys
from collections.abc import Mapping, Sequence, Set
from enum import IntEnum

import msgspec

# What an empty half of a joint quorum has "committed": it never holds the other half back.
EVERYTHING = sys.maxsize


class VoteResult(IntEnum):
    """State of an election."""

    PENDING = 0
    LOST = 1
    WON = 2


def majority_index(voters: Sequence[int], match: Mapping[int, int]) -> int:
    """Highest index that a majority has; a voter missing in `match` has nothing."""
    if not voters:
        return EVERYTHING
    indexes = sorted(match.get(voter, 0) for voter in voters)
    # A majority has at least the index in the middle (the lower middle of an even number).
    return indexes[(len(indexes) - 1) // 2]


def majority_result(voters: Sequence[int], votes: Mapping[int, bool]) -> VoteResult:
    """Outcome of an election in which `votes` have been cast so far."""
    if not voters:
        return VoteResult.WON
    needed = len(voters) // 2 + 1
    granted = sum(votes.get(voter, False) for voter in voters)
    open_votes = sum(voter not in votes for voter in voters)
    if granted >= needed:
        return VoteResult.WON
    return VoteResult.PENDING if granted + open_votes >= needed else VoteResult.LOST


def has_majority(voters: Sequence[int], members: Set[int]) -> bool:
    """Tell whether more than half of the voters are among the members; of none, all are."""
    return not voters or 2 * len(members & frozenset(voters)) > len(voters)


class JointQuorum(msgspec.Struct, frozen=True):
    """Majorities of two sets of voters; `outgoing` is empty outside joint consensus."""

    incoming: tuple[int, ...]
    outgoing: tuple[int, ...] = ()

    def committed_index(self, match: Mapping[int, int]) -> int:
        """Highest index that the quorum has."""
        return min(majority_index(self.incoming, match), majority_index(self.outgoing, match))

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """Won needs both halves, one lost half loses."""
        halves = (majority_result(self.incoming, votes), majority_result(self.outgoing, votes))
        if VoteResult.LOST in halves:
            return VoteResult.LOST
        return min(halves)

    def is_reached_by(self, members: Set[int]) -> bool:
        """Tell whether `members` contain a quorum."""
        return has_majority(self.incoming, members) and has_majority(self.outgoing, members)
