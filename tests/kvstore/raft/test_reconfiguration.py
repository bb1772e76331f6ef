"""Changes of the membership (Raft, section 6; dissertation, chapter 4; effective as in etcd)."""

from collections.abc import Callable

import pytest

from kvstore.raft import membership
from kvstore.raft.types import (
    Entry,
    EntryKind,
    HardState,
    InstallSnapshot,
    Membership,
    MembershipChange,
    Role,
    SnapshotMeta,
)

from .cluster import ELECTION_TICKS, Cluster
from .member import new_disk

ADD_4 = MembershipChange(voters=(4,))


@pytest.fixture
def cluster(new_cluster: Callable[..., Cluster]) -> Cluster:
    """Three voters, led by 1; 4 and 5 run and wait to be added."""
    cluster = new_cluster(3, spares=2)
    cluster.elect(1)
    return cluster


def change(cluster: Cluster, by: int, *changes: MembershipChange) -> None:
    """Make changes, one after the other, and let everybody know."""
    for one in changes:
        assert cluster[by].propose_membership(one)
        cluster.stabilize()
        cluster.run(2)


def deliver_once(cluster: Cluster) -> None:
    """Let what is under way arrive where it can, and wait in the network what it leads to."""
    cluster.collect()
    frames, cluster.network = cluster.network, []
    for frame in frames:
        if not cluster.is_cut(frame):
            cluster.deliver(frame)
    cluster.collect()


def begin_joint(cluster: Cluster, change_: MembershipChange) -> None:
    """Let the old voters agree on a change that the new ones do not hear of yet."""
    cluster.isolate(4)
    cluster.isolate(5)
    assert cluster[1].propose_membership(change_)
    cluster.stabilize()


def test_an_added_voter_gets_the_log_and_counts(cluster: Cluster) -> None:
    cluster.propose(1, b"before")
    change(cluster, 1, ADD_4)
    assert cluster.data(4)[0] == b"before"
    assert cluster[4].raft.membership == Membership(voters=(1, 2, 3, 4))
    cluster.isolate(2)
    cluster.isolate(3)
    committed = cluster[1].raft.commit_index
    cluster.propose(1, b"two of four are no majority")
    cluster.stabilize()
    assert cluster[1].raft.commit_index == committed


def test_an_added_member_far_behind_gets_a_snapshot(cluster: Cluster) -> None:
    cluster.propose(1, b"a", b"b")
    cluster.stabilize()
    cluster[1].snapshot()
    change(cluster, 1, ADD_4)
    assert cluster[4].machine == cluster[1].machine
    assert cluster[4].raft.first_index > 1


def test_a_second_change_waits_until_the_first_is_applied(cluster: Cluster) -> None:
    """Dissertation, 4.1: one change at a time."""
    assert cluster[1].propose_membership(ADD_4)
    assert not cluster[1].raft.may_propose_membership()
    assert not cluster[1].propose_membership(MembershipChange(voters=(5,)))
    cluster.stabilize()
    assert cluster[1].propose_membership(MembershipChange(voters=(5,)))


def test_a_new_leader_first_commits_an_entry_of_its_term() -> None:
    """Two leaders with different changes in flight could otherwise both find majorities."""
    fresh = Cluster(3, spares=1)
    fresh[1].raft.campaign()
    for _ in range(4):  # pre-votes, votes: it leads, its first entry is on its way
        fresh.collect()
        frames, fresh.network = fresh.network, []
        for frame in frames:
            fresh.deliver(frame)
        if fresh[1].raft.role is Role.LEADER:
            break
    assert fresh[1].raft.role is Role.LEADER
    assert not fresh[1].raft.is_settled
    assert not fresh[1].propose_membership(ADD_4)
    fresh.stabilize()
    assert fresh[1].raft.is_settled
    assert fresh[1].propose_membership(ADD_4)


def test_only_a_leader_that_transfers_nothing_proposes(cluster: Cluster) -> None:
    assert not cluster[2].propose_membership(ADD_4)
    cluster.isolate(2)
    cluster[1].raft.transfer_leadership(2)
    assert not cluster[1].raft.is_settled
    assert not cluster[1].propose_membership(ADD_4)


def test_a_learner_neither_counts_nor_campaigns_until_it_is_promoted(cluster: Cluster) -> None:
    """Dissertation, 4.2.1: catch up first."""
    change(cluster, 1, MembershipChange(learners=(4,)))
    assert cluster[1].raft.has_caught_up(4, 1.0)
    cluster[4].raft.campaign()
    cluster.tick(3 * ELECTION_TICKS, [4])
    assert cluster[4].raft.role is Role.FOLLOWER
    cluster.stabilize()
    cluster.isolate(2)
    cluster.isolate(3)
    committed = cluster[1].raft.commit_index
    cluster.propose(1, b"one of three is no majority")
    cluster.stabilize()
    assert cluster[1].raft.commit_index == committed
    cluster.heal()
    cluster.run(2)
    change(cluster, 1, ADD_4)
    assert cluster[4].raft.membership == Membership(voters=(1, 2, 3, 4))
    cluster[1].raft.transfer_leadership(4)
    cluster.stabilize()
    assert cluster.leader().member_id == 4


def test_a_learner_that_lags_has_not_caught_up(cluster: Cluster) -> None:
    change(cluster, 1, MembershipChange(learners=(4,)))
    cluster.isolate(4)
    cluster.propose(1, *[b"x"] * 100)
    cluster.stabilize()
    assert not cluster[1].raft.has_caught_up(4, 0.9)
    assert not cluster[2].raft.has_caught_up(4, 0.0)  # only leaders know


def test_a_removed_follower_is_left_alone(cluster: Cluster) -> None:
    change(cluster, 1, MembershipChange(removed=(3,)))
    assert cluster[1].raft.membership == Membership(voters=(1, 2), removed=(3,))
    cluster.propose(1, b"after")
    cluster.stabilize()
    assert b"after" in cluster.data(2)
    assert b"after" not in cluster.data(3)


def test_a_removed_leader_lets_the_others_commit_and_resigns(cluster: Cluster) -> None:
    """Dissertation, 4.2.2."""
    change(cluster, 1, MembershipChange(removed=(1,)))
    assert cluster[1].raft.role is Role.FOLLOWER
    assert cluster[2].raft.membership == Membership(voters=(2, 3), removed=(1,))
    cluster.run(3 * ELECTION_TICKS)
    assert cluster.leader().member_id in (2, 3)
    assert cluster[1].raft.role is Role.FOLLOWER  # it does not campaign any more


def test_a_removal_that_only_the_removed_leader_knows_of_is_told_to_the_rest(
    new_cluster: Callable[..., Cluster],
) -> None:
    """Its farewell is lost, and its log is longer: alone it could never refuse for good reason,
    and without its vote the other one was no quorum, for ever."""
    cluster = new_cluster(2)
    cluster.elect(1)
    assert cluster[1].propose_membership(MembershipChange(removed=(1,)))
    cluster.collect()
    for frame in cluster.network:
        cluster.deliver(frame)
    cluster.network.clear()
    cluster.propose(1, b"never committed")
    cluster.cut((1, 2))
    cluster.stabilize()
    assert cluster[1].raft.membership == Membership(voters=(2,), removed=(1,))
    assert cluster[2].raft.membership == Membership(voters=(1, 2))
    cluster.heal()
    cluster.run(3 * ELECTION_TICKS)
    assert cluster.leader().member_id == 2
    assert cluster[2].raft.membership == Membership(voters=(2,), removed=(1,))


def test_a_removal_can_be_told_of_after_the_removed_leader_has_ended(
    new_cluster: Callable[..., Cluster],
) -> None:
    """It was cut off for all of its farewell; whoever is left is helped by starting it again."""
    cluster = new_cluster(2)
    cluster.elect(1)
    assert cluster[1].propose_membership(MembershipChange(removed=(1,)))
    deliver_once(cluster)
    deliver_once(cluster)
    cluster.network.clear()
    cluster.isolate(1)
    cluster.run(ELECTION_TICKS)
    assert cluster[1].raft.membership == Membership(voters=(2,), removed=(1,))
    cluster[1].crash()
    cluster.heal()
    cluster.run(3 * ELECTION_TICKS)
    assert cluster[2].raft.role is not Role.LEADER
    cluster[1].restart()
    cluster.run(6 * ELECTION_TICKS)
    assert cluster.leader().member_id == 2
    assert cluster[2].raft.membership == Membership(voters=(2,), removed=(1,))


def test_a_removed_leader_of_an_older_term_is_believed_what_is_committed(
    new_cluster: Callable[..., Cluster],
) -> None:
    """A transfer that came to nothing has taken member 2 a term ahead, and 3 hears of it first.
    The one that was removed never does, for it asks nobody, so its refusals are of the term before.
    """
    cluster = new_cluster(4)
    cluster.elect(1)
    cluster[1].raft.transfer_leadership(2)
    deliver_once(cluster)  # 2 campaigns, and nobody hears it
    cluster.network.clear()
    cluster.isolate(2)
    for _ in range(ELECTION_TICKS + 1):
        cluster.tick(1, [1, 3, 4])
        cluster.stabilize()
    assert cluster[1].raft.is_settled
    assert cluster[1].propose_membership(MembershipChange(removed=(1,)))
    deliver_once(cluster)  # 3 and 4 have it …
    acknowledged = list(cluster.network)
    cluster.propose(1, b"never committed")
    cluster.collect()
    cluster.network = acknowledged
    deliver_once(cluster)  # … only 1 knows that they do, and its farewell is lost
    cluster.network.clear()
    assert cluster[1].raft.membership == Membership(voters=(2, 3, 4), removed=(1,))
    assert cluster[3].raft.membership == cluster[4].raft.membership == Membership((1, 2, 3, 4))
    cluster[4].crash()
    cluster.heal()
    cluster.cut((1, 3), (3, 1))
    cluster.run(3 * ELECTION_TICKS)
    assert cluster[3].raft.term == cluster[2].raft.term > cluster[1].raft.term
    cluster.heal()
    cluster.run(6 * ELECTION_TICKS)
    assert cluster.leader().member_id == 3
    assert cluster[2].raft.membership == Membership(voters=(2, 3, 4), removed=(1,))


def test_a_removed_member_that_does_not_know_disturbs_nobody(cluster: Cluster) -> None:
    """Dissertation, 4.2.3: pre-vote and stickiness."""
    cluster.isolate(3)
    change(cluster, 1, MembershipChange(removed=(3,)))
    term = cluster[1].raft.term
    cluster.heal()
    cluster.run(5 * ELECTION_TICKS)
    assert cluster.leader().member_id == 1
    assert cluster[1].raft.term == term


def test_a_leader_that_is_demoted_resigns(cluster: Cluster) -> None:
    change(cluster, 1, MembershipChange(learners=(1,)))
    assert cluster[1].raft.role is Role.FOLLOWER
    assert cluster[2].raft.membership == Membership(voters=(2, 3), learners=(1,))


def test_two_voters_are_replaced_by_a_joint_consensus(cluster: Cluster) -> None:
    """Raft, section 6: majorities of the old and of the new voters, until both have the change."""
    begin_joint(cluster, MembershipChange(voters=(4, 5), removed=(2, 3)))
    joint = cluster[1].raft.membership
    assert (joint.voters, joint.outgoing) == ((1, 4, 5), (1, 2, 3))
    assert not cluster[1].raft.may_propose_membership()
    committed = cluster[1].raft.commit_index
    cluster.propose(1, b"a majority of the old voters is not enough")
    cluster.stabilize()
    assert cluster[1].raft.commit_index == committed
    cluster.heal()
    cluster.run(3)
    assert cluster[4].raft.membership == Membership(voters=(1, 4, 5), removed=(2, 3))
    assert cluster[1].raft.may_propose_membership()


def test_the_next_leader_ends_a_joint_consensus(cluster: Cluster) -> None:
    begin_joint(cluster, MembershipChange(voters=(4, 5), removed=(1, 3)))
    cluster[1].crash()
    cluster.heal()
    cluster.run(4 * ELECTION_TICKS)
    assert cluster.leader().raft.membership == Membership(voters=(2, 4, 5), removed=(1, 3))


def test_whoever_has_a_change_takes_the_one_before_for_committed() -> None:
    """The commit index on disk is a hint; without this a majority of old voters could be asked."""
    cluster = Cluster(3, spares=2)
    disk = new_disk(cluster.membership)
    disk.entries = [
        Entry(1, 1),
        Entry(2, 1, b"4", EntryKind.MEMBERSHIP),
        Entry(3, 1, b"x"),
        Entry(4, 1, b"5", EntryKind.MEMBERSHIP),
    ]
    disk.hard_state = HardState(1)
    cluster[1].disk = disk
    cluster[1].restart()
    raft = cluster[1].raft
    assert raft.commit_index == 2
    raft.campaign()
    assert raft.role is Role.FOLLOWER  # not before it has applied what it knows of


@pytest.mark.parametrize(
    ("before", "change_", "after"),
    [
        (Membership(voters=(1,)), MembershipChange(voters=(2,)), Membership(voters=(1, 2))),
        (
            Membership(voters=(1, 2), learners=(3,)),
            MembershipChange(removed=(3,)),
            Membership(voters=(1, 2), removed=(3,)),
        ),
        (
            Membership(voters=(1, 2), removed=(9,)),
            MembershipChange(learners=(2,)),
            Membership(voters=(1,), learners=(2,), removed=(9,)),
        ),
    ],
)
def test_a_change_of_one_is_done_at_once(
    before: Membership, change_: MembershipChange, after: Membership
) -> None:
    assert membership.changed(before, change_) == after


def test_a_joint_consensus_keeps_the_old_voters_until_it_is_left() -> None:
    before = Membership(voters=(1, 2, 3), removed=(9,))
    joint = membership.changed(before, MembershipChange(voters=(4,), learners=(2,), removed=(3,)))
    assert joint == Membership((1, 4), (1, 2, 3), (), (2,), (9,))
    assert membership.left_joint(joint) == Membership((1, 4), (), (2,), (), (3, 9))
    with pytest.raises(AssertionError):
        membership.changed(joint, MembershipChange(voters=(5,)))


def test_somebody_must_vote() -> None:
    with pytest.raises(AssertionError):
        membership.changed(Membership(voters=(1,)), MembershipChange(removed=(1,)))


def test_a_joint_consensus_is_left_once(cluster: Cluster) -> None:
    begin_joint(cluster, MembershipChange(voters=(4, 5), removed=(2, 3)))
    raft = cluster[1].raft
    last = raft.last_index
    raft.applied(raft.applied_index)  # the entry that leaves it is on its way
    assert raft.last_index == last


def test_a_transfer_to_a_member_that_is_removed_is_given_up(cluster: Cluster) -> None:
    cluster[1].propose_membership(MembershipChange(removed=(3,)))
    cluster.isolate(3)  # it cannot catch up, so it is not told to take over
    cluster[1].raft.transfer_leadership(3)
    assert not cluster[1].raft.propose([b"refused meanwhile"])
    cluster.stabilize()
    assert cluster[1].raft.propose([b"taken"])


def test_a_transfer_to_a_member_that_stays_goes_on(cluster: Cluster) -> None:
    cluster.isolate(2)
    cluster[1].propose_membership(MembershipChange(removed=(3,)))
    cluster[1].raft.transfer_leadership(2)
    cluster.stabilize()  # 1 and 3 are enough to remove 3
    assert not cluster[1].raft.propose([b"refused meanwhile"])
    cluster.heal()
    cluster.run(3)
    assert cluster.leader().member_id == 2


def test_a_change_that_a_later_leader_overwrites_is_in_flight_no_more(cluster: Cluster) -> None:
    """Raft, 5.3: a follower's entries that conflict with the leader's go."""
    for other in (2, 3, 4):
        cluster.cut((1, other))
    cluster[1].propose_membership(ADD_4)
    cluster.stabilize()
    cluster.run(3 * ELECTION_TICKS)
    assert cluster.leader().member_id in (2, 3)
    cluster.heal()
    cluster.run(2)
    assert cluster[1].raft.state.log.membership_indexes == []
    assert cluster[1].raft.membership == Membership(voters=(1, 2, 3))


def test_an_entry_that_a_snapshot_has_overtaken_changes_nothing(cluster: Cluster) -> None:
    """A batch is still being applied when a newer snapshot arrives, with its own membership."""
    raft = cluster[3].raft
    newer = Membership(voters=(1, 2, 3), removed=(4,))
    meta = SnapshotMeta(raft.last_index + 50, raft.term, newer)
    raft.step(InstallSnapshot(to=3, sender=1, term=raft.term, meta=meta))
    assert raft.is_installing
    raft.change_membership(ADD_4)
    raft.leave_joint()
    assert raft.membership == newer
