"""What a `Membership` record means: who replicates, who votes, which sets make a quorum.

Pure functions of the record. How a membership changes (one change in flight, effective when
applied) does not belong here.
"""

from kvstore.raft.quorum import JointQuorum
from kvstore.raft.types import NO_MEMBER, Membership


def quorum(membership: Membership) -> JointQuorum:
    """The quorum of elections, commits and read confirmations."""
    return JointQuorum(membership.voters, membership.outgoing)


def voters(membership: Membership) -> tuple[int, ...]:
    """Everyone who votes, of both halves of a joint consensus, sorted."""
    return tuple(sorted({*membership.voters, *membership.outgoing}))


def members(membership: Membership) -> tuple[int, ...]:
    """Everyone whom a leader replicates to, sorted: voters and learners.

    `learners_next` still vote in the outgoing half, so they are in it already.
    """
    return tuple(sorted({*voters(membership), *membership.learners}))


def check(membership: Membership) -> None:
    """Assert that the sets of a membership make sense together."""
    current = set(members(membership))
    assert NO_MEMBER not in current, "member id 0 means none"
    assert not set(voters(membership)) & set(membership.learners), "a learner does not vote"
    assert set(membership.learners_next) <= set(membership.outgoing), "they leave the old voters"
    assert not set(membership.learners_next) & set(membership.voters), "a demoted voter stays"
    assert not current & set(membership.removed), "ids are never reused"
