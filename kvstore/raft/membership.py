"""What a `Membership` record means: who replicates, who votes, what a change makes of it.

Pure functions of the record. When a change may be proposed and takes effect (one in flight,
effective when applied) does not belong here.
"""

from kvstore.raft.quorum import JointQuorum
from kvstore.raft.types import NO_MEMBER, Membership, MembershipChange


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


def changed(membership: Membership, change: MembershipChange) -> Membership:
    """The membership that a change leads to.

    Majorities of two sets of voters that differ by one always meet (dissertation, 4.1), so such a
    change is done at once. A larger one goes by a joint consensus (Raft, section 6): the old
    voters stay beside the new ones until `left_joint`.
    """
    assert not membership.outgoing, "a joint consensus ends before the next change"
    named = {*change.voters, *change.learners, *change.removed}
    before = set(membership.voters)
    voters_after = (before - named) | set(change.voters)
    assert voters_after, "somebody must vote"
    learners = (set(membership.learners) - named) | set(change.learners)
    target = Membership(
        voters=_sorted(voters_after),
        learners=_sorted(learners - before),
        removed=_sorted({*membership.removed, *change.removed} - before),
    )
    is_joint = len(before ^ voters_after) > 1
    joint = Membership(
        voters=target.voters,
        outgoing=membership.voters,
        learners=target.learners,
        learners_next=_sorted(learners & before),
        removed=target.removed,
    )
    return joint if is_joint else left_joint(joint)


def left_joint(membership: Membership) -> Membership:
    """The membership after a joint consensus: the old voters that stay in no other way are gone."""
    voters = set(membership.voters)
    learners = {*membership.learners, *membership.learners_next}
    gone = set(membership.outgoing) - voters - learners
    return Membership(
        voters=membership.voters,
        learners=_sorted(learners),
        removed=_sorted({*membership.removed, *gone}),
    )


def _sorted(members: set[int]) -> tuple[int, ...]:
    return tuple(sorted(members))
