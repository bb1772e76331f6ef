"""What the sets of a membership mean."""

import pytest

from kvstore.raft import membership
from kvstore.raft.types import Membership

# 3 leaves and becomes a learner, 4 is new.
JOINT = Membership(voters=(1, 2, 4), outgoing=(1, 2, 3), learners=(5,), learners_next=(3,))


def test_everyone_of_both_halves_votes() -> None:
    assert membership.voters(JOINT) == (1, 2, 3, 4)
    assert membership.quorum(JOINT).is_reached_by({1, 2})
    assert not membership.quorum(JOINT).is_reached_by({1, 3})


def test_learners_are_replicated_to() -> None:
    assert membership.members(JOINT) == (1, 2, 3, 4, 5)
    membership.check(JOINT)


@pytest.mark.parametrize(
    "wrong",
    [
        Membership(voters=(0, 1)),
        Membership(voters=(1, 2), learners=(2,)),
        Membership(voters=(1, 2), learners_next=(2,)),
        Membership(voters=(1, 2), outgoing=(1, 2), learners_next=(2,)),
        Membership(voters=(1, 2), removed=(2,)),
    ],
)
def test_contradictions_are_bugs(wrong: Membership) -> None:
    with pytest.raises(AssertionError):
        membership.check(wrong)
