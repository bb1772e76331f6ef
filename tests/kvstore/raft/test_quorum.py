"""Quorums by property, against the definition: some majority has it."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from kvstore.raft.quorum import (
    EVERYTHING,
    JointQuorum,
    VoteResult,
    majority_index,
    majority_result,
)

voter_sets = st.lists(st.integers(1, 12), unique=True, min_size=1, max_size=7).map(tuple)
matches = st.dictionaries(st.integers(1, 12), st.integers(0, 20))
ballots = st.dictionaries(st.integers(1, 12), st.booleans())


def majorities(voters: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(combinations(voters, len(voters) // 2 + 1))


@given(voter_sets, matches)
def test_index_is_the_highest_that_some_majority_has(
    voters: tuple[int, ...], match: dict[int, int]
) -> None:
    best = max(min(match.get(v, 0) for v in majority) for majority in majorities(voters))
    assert majority_index(voters, match) == best


@given(voter_sets, ballots)
def test_an_election_is_won_by_some_majority_and_lost_when_none_can(
    voters: tuple[int, ...], votes: dict[int, bool]
) -> None:
    won = any(all(votes.get(v, False) for v in m) for m in majorities(voters))
    can_win = any(all(votes.get(v, True) for v in m) for m in majorities(voters))
    expected = VoteResult.WON if won else VoteResult.PENDING if can_win else VoteResult.LOST
    assert majority_result(voters, votes) is expected


@given(voter_sets, voter_sets, matches, ballots)
def test_a_joint_quorum_needs_both_halves(
    incoming: tuple[int, ...],
    outgoing: tuple[int, ...],
    match: dict[int, int],
    votes: dict[int, bool],
) -> None:
    joint = JointQuorum(incoming, outgoing)
    halves = [majority_result(half, votes) for half in (incoming, outgoing)]
    assert joint.committed_index(match) == min(
        majority_index(incoming, match), majority_index(outgoing, match)
    )
    assert (joint.vote_result(votes) is VoteResult.WON) == (halves == [VoteResult.WON] * 2)
    assert (joint.vote_result(votes) is VoteResult.LOST) == (VoteResult.LOST in halves)


@given(voter_sets, voter_sets, st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)))
def test_two_quorums_always_share_a_member(
    incoming: tuple[int, ...], outgoing: tuple[int, ...], one: set[int], other: set[int]
) -> None:
    joint = JointQuorum(incoming, outgoing)
    if joint.is_reached_by(one) and joint.is_reached_by(other):
        assert one & other & set(incoming)
        assert one & other & set(outgoing)


@given(voter_sets, matches, ballots)
def test_an_empty_half_never_decides(
    voters: tuple[int, ...], match: dict[int, int], votes: dict[int, bool]
) -> None:
    assert majority_index((), match) == EVERYTHING
    assert JointQuorum(voters).committed_index(match) == majority_index(voters, match)
    assert JointQuorum(voters).vote_result(votes) is majority_result(voters, votes)
