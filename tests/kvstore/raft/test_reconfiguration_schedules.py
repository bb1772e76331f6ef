"""Random schedules in which members come, go, are promoted and demoted, one or several at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.raft.types import Membership, MembershipChange, Role

from .cluster import ELECTION_TICKS
from .test_schedules import STEPS, Schedule


class ChangingSchedule(Schedule):
    """Also changes the membership, by whoever believes that it leads."""

    recovery_ticks = 12 * ELECTION_TICKS  # joint consensuses end, new members get a snapshot

    def __init__(self, seed: int, voters: int, spares: int) -> None:
        super().__init__(seed, voters, 0, spares)
        self.changes = 0
        self.weights[self.change] = self.dice.choice([4, 20])

    def change(self) -> None:
        for member in self.cluster.running():
            if member.raft.role is Role.LEADER:
                self.changes += member.propose_membership(self._draw_change(member.raft.membership))

    def _draw_change(self, membership: Membership) -> MembershipChange:
        """Each member but those that are gone for ever gets a fate, mostly the one it has."""
        voters, learners, removed = [], [], []
        is_small = self.dice.random() < 0.7
        free = [id_ for id_ in self.cluster.members if id_ not in membership.removed]
        for id_ in self.dice.sample(free, 1) if is_small else free:
            fate = self.dice.choices("vlrs", [4, 2, 0.3, 6])[0]
            if fate == "v":
                voters.append(id_)
            elif fate == "l":
                learners.append(id_)
            elif fate == "r" and id_ in (*membership.voters, *membership.learners):
                removed.append(id_)
        if not set(membership.voters) - {*learners, *removed} | set(voters):
            return MembershipChange(voters=membership.voters)
        return MembershipChange(tuple(voters), tuple(learners), tuple(removed))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(1, 2), (2, 2), (3, 1), (3, 3), (5, 1)]))
def test_every_schedule_with_changes_keeps_the_safety_properties(
    seed: int, size: tuple[int, int]
) -> None:
    ChangingSchedule(seed, *size).run()


@pytest.mark.parametrize("seed", [9053, 9119])
def test_schedules_after_which_nobody_could_be_elected(seed: int) -> None:
    """Only a leader that had demoted itself knew of it (see `election._learn_commit`)."""
    ChangingSchedule(seed, 1, 2).run()


def test_schedules_do_change_the_membership() -> None:
    changes = memberships = 0
    for seed in range(10):
        schedule = ChangingSchedule(seed, 3, 3)
        seen = set()
        for _ in range(STEPS):
            schedule.step()
            seen |= {member.raft.membership for member in schedule.cluster.running()}
        schedule.finish()
        changes += schedule.changes
        memberships += len(seen)
        assert any(one.outgoing for one in seen) or len(seen) < 5
    assert changes > 20
    assert memberships > 15
