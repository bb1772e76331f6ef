"""Leases: the table, and the promise that none ends before a deadline that a client was told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvstore.errors import (
    LeaseExistsError,
    LeaseNotFoundError,
    LeaseTtlTooLargeError,
    NotLeaderError,
)
from kvstore.lease import (
    CHECKPOINT_INTERVAL_SECONDS,
    CHECKPOINTS_MAX,
    REVOKE_RETRY_SECONDS,
    TTL_SECONDS_MAX,
    LeaseRecord,
    LeaseTimeToLive,
    Lessor,
)


def leading(now: float = 0.0) -> Lessor:
    lessor = Lessor()
    lessor.promote(now)
    return lessor


def test_granted_lease_exists_until_it_is_revoked() -> None:
    lessor = Lessor()
    lessor.grant(7, 10)
    assert lessor.has(7)
    assert lessor.leases() == [7]
    assert len(lessor) == 1
    assert lessor.revoke(7) == []
    assert not lessor.has(7)
    assert lessor.leases() == []


def test_taken_id_is_refused() -> None:
    lessor = Lessor()
    lessor.grant(7, 10)
    with pytest.raises(LeaseExistsError):
        lessor.grant(7, 20)


def test_ttl_has_a_bound_and_is_checked_before_the_id() -> None:
    lessor = Lessor()
    lessor.grant(7, TTL_SECONDS_MAX)
    with pytest.raises(LeaseTtlTooLargeError):
        lessor.grant(7, TTL_SECONDS_MAX + 1)


def test_unknown_lease_cannot_be_revoked_or_listed() -> None:
    lessor = Lessor()
    with pytest.raises(LeaseNotFoundError):
        lessor.revoke(7)
    with pytest.raises(LeaseNotFoundError):
        lessor.keys(7)


def test_revoke_returns_the_keys_in_order_and_forgets_them() -> None:
    lessor = Lessor()
    lessor.grant(7, 10)
    for key in (b"b", b"a", b"c"):
        lessor.attach(7, key)
    assert lessor.keys(7) == [b"a", b"b", b"c"]
    assert lessor.revoke(7) == [b"a", b"b", b"c"]
    assert lessor.lease_of(b"a") == 0


def test_key_hangs_on_one_lease_at_most() -> None:
    lessor = Lessor()
    lessor.grant(1, 10)
    lessor.grant(2, 10)
    lessor.attach(1, b"k")
    lessor.attach(2, b"k")
    assert lessor.keys(1) == []
    assert lessor.keys(2) == [b"k"]
    assert lessor.lease_of(b"k") == 2


def test_detach_takes_only_the_lease_that_the_key_hangs_on() -> None:
    lessor = Lessor()
    lessor.grant(1, 10)
    lessor.grant(2, 10)
    lessor.attach(2, b"k")
    lessor.detach(1, b"k")
    assert lessor.lease_of(b"k") == 2
    lessor.detach(2, b"k")
    assert lessor.lease_of(b"k") == 0
    assert lessor.keys(2) == []
    lessor.detach(2, b"k")
    assert lessor.lease_of(b"k") == 0


def test_lease_expires_on_the_leader_when_its_ttl_is_over() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    assert lessor.expired(0, 100) == []
    assert lessor.expired(9.999, 100) == []
    assert lessor.expired(10, 100) == [7]


def test_lease_granted_by_a_command_lasts_from_the_first_call_with_a_time() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    assert lessor.expired(5, 100) == []
    assert lessor.expired(14.9, 100) == []
    assert lessor.expired(15, 100) == [7]


def test_lease_revoked_before_its_deadline_was_set_never_expires() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    lessor.revoke(7)
    assert lessor.expired(0, 100) == []
    assert lessor.expired(100, 100) == []


def test_lease_granted_anew_under_the_same_id_lasts_its_own_ttl() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    lessor.expired(0, 100)
    lessor.revoke(7)
    lessor.grant(7, 20)
    lessor.revoke(7)
    lessor.grant(7, 30)
    assert lessor.expired(1, 100) == []
    assert lessor.expired(30.9, 100) == []
    assert lessor.expired(31, 100) == [7]


def test_shorter_lease_under_a_used_id_expires_on_time() -> None:
    lessor = leading()
    lessor.grant(7, 100)
    lessor.expired(0, 100)
    lessor.revoke(7)
    lessor.grant(7, 10)
    lessor.expired(0, 100)
    assert lessor.expired(10, 100) == [7]
    lessor.revoke(7)
    assert lessor.expired(1000, 100) == []


def test_follower_knows_no_deadlines() -> None:
    lessor = Lessor()
    lessor.grant(7, 10)
    assert not lessor.is_primary
    assert lessor.expired(1000, 100) == []
    assert lessor.checkpoints_due(1000) == ()
    with pytest.raises(NotLeaderError):
        lessor.renew(7, 0)
    with pytest.raises(NotLeaderError):
        lessor.time_to_live(7, 0)


def test_renewal_starts_the_lease_afresh() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    lessor.expired(0, 100)
    assert lessor.renew(7, 9) == 10
    assert lessor.expired(18.9, 100) == []
    assert lessor.expired(19, 100) == [7]


def test_unknown_lease_is_renewed_with_ttl_0() -> None:
    lessor = leading()
    assert lessor.renew(7, 0) == 0
    assert lessor.is_checkpointed(7) is False


def test_expired_lease_is_never_renewed() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    lessor.expired(0, 100)
    assert lessor.renew(7, 10) == 0
    assert lessor.expired(10, 100) == [7]
    assert lessor.renew(7, 10) == 0


def test_time_to_live_tells_whole_seconds_left_and_keys_when_asked() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    lessor.attach(7, b"b")
    lessor.attach(7, b"a")
    assert lessor.time_to_live(7, 0) == LeaseTimeToLive(7, 10, 10, (b"a", b"b"))
    assert lessor.time_to_live(7, 0.5) == LeaseTimeToLive(7, 9, 10, (b"a", b"b"))
    assert lessor.time_to_live(7, 60, keys=False) == LeaseTimeToLive(7, 0, 10)
    assert lessor.time_to_live(8, 0) == LeaseTimeToLive(8, -1)


def test_extension_after_an_election_is_not_shown() -> None:
    lessor = Lessor()
    lessor.grant(7, 10)
    lessor.promote(0, extend_seconds=3)
    assert lessor.time_to_live(7, 0).ttl_seconds == 10
    assert lessor.expired(12.9, 100) == []
    assert lessor.expired(13, 100) == [7]


def test_expired_leases_come_at_a_bounded_rate_longest_expired_first() -> None:
    lessor = leading()
    for lease_id in range(1, 6):
        lessor.grant(lease_id, 20 - lease_id)
    lessor.expired(0, 100)
    assert lessor.expired(50, 2) == [5, 4]
    assert lessor.expired(50, 2) == [3, 2]
    assert lessor.expired(50, 2) == [1]
    assert lessor.expired(50, 2) == []


def test_expired_lease_is_handed_out_again_until_it_is_revoked() -> None:
    lessor = leading()
    lessor.grant(7, 10)
    lessor.expired(0, 100)
    assert lessor.expired(10, 100) == [7]
    assert lessor.expired(10 + REVOKE_RETRY_SECONDS - 0.1, 100) == []
    assert lessor.expired(10 + REVOKE_RETRY_SECONDS, 100) == [7]
    lessor.revoke(7)
    assert lessor.expired(1000, 100) == []


def test_leader_lists_leases_by_what_is_left() -> None:
    lessor = leading()
    lessor.grant(1, 30)
    lessor.grant(2, 10)
    lessor.grant(3, 20)
    lessor.expired(0, 100)
    assert lessor.leases() == [2, 3, 1]
    lessor.demote()
    assert lessor.leases() == [1, 2, 3]


def test_new_leader_gives_every_lease_its_full_ttl() -> None:
    lessor = Lessor()
    lessor.grant(7, 10)
    lessor.promote(100)
    assert lessor.expired(109.9, 100) == []
    assert lessor.expired(110, 100) == [7]


def test_new_leader_gives_what_the_checkpoint_left() -> None:
    lessor = Lessor()
    lessor.grant(7, 1000)
    lessor.checkpoint(7, 400)
    lessor.promote(100)
    assert lessor.expired(499.9, 100) == []
    assert lessor.expired(500, 100) == [7]


def test_checkpoint_of_a_revoked_lease_is_ignored() -> None:
    lessor = Lessor()
    lessor.checkpoint(7, 400)
    assert not lessor.has(7)


def test_checkpoint_is_due_every_interval_for_leases_that_last_longer() -> None:
    lessor = leading()
    lessor.grant(1, 1000)
    lessor.grant(2, int(CHECKPOINT_INTERVAL_SECONDS))
    assert lessor.checkpoints_due(0) == ()
    assert lessor.checkpoints_due(CHECKPOINT_INTERVAL_SECONDS) == ((1, 700),)
    assert lessor.checkpoints_due(CHECKPOINT_INTERVAL_SECONDS) == ()
    assert lessor.checkpoints_due(2 * CHECKPOINT_INTERVAL_SECONDS) == ((1, 400),)
    # 100 s are left at the third: the last checkpoint has said so already.
    assert lessor.checkpoints_due(3 * CHECKPOINT_INTERVAL_SECONDS) == ((1, 100),)
    assert lessor.checkpoints_due(4 * CHECKPOINT_INTERVAL_SECONDS) == ()


def test_expired_lease_has_no_checkpoint() -> None:
    lessor = leading()
    lessor.grant(1, 1000)
    lessor.expired(0, 100)
    assert lessor.checkpoints_due(1000) == ()


def test_checkpoints_of_one_command_are_bounded() -> None:
    lessor = leading()
    for lease_id in range(1, CHECKPOINTS_MAX + 3):
        lessor.grant(lease_id, 1000)
    lessor.expired(0, 1)
    assert len(lessor.checkpoints_due(CHECKPOINT_INTERVAL_SECONDS)) == CHECKPOINTS_MAX
    assert len(lessor.checkpoints_due(CHECKPOINT_INTERVAL_SECONDS)) == 2


def test_renewal_of_a_checkpointed_lease_waits_for_a_checkpoint_of_0() -> None:
    lessor = leading()
    lessor.grant(7, 1000)
    lessor.expired(0, 100)
    assert lessor.is_checkpointed(7) is False
    ((_, remaining),) = lessor.checkpoints_due(300)
    assert lessor.is_checkpointed(7) is True, "handed out counts, applied or not"
    lessor.checkpoint(7, remaining)
    assert lessor.renew(7, 599) == 1000
    assert lessor.is_checkpointed(7) is True
    assert lessor.checkpoints_due(600) == (), "none is handed out behind the 0"
    lessor.checkpoint(7, 0)
    assert lessor.is_checkpointed(7) is False
    assert lessor.checkpoints_due(899) == ((7, 700),)


def test_checkpoint_that_was_lost_with_the_leadership_does_not_count() -> None:
    lessor = leading()
    lessor.grant(7, 1000)
    lessor.expired(0, 100)
    lessor.checkpoints_due(300)
    lessor.promote(400)
    assert lessor.is_checkpointed(7) is False
    assert lessor.renew(7, 500) == 1000


def test_snapshot_brings_back_ttls_and_checkpoints() -> None:
    lessor = Lessor()
    lessor.grant(2, 20)
    lessor.grant(1, 1000)
    lessor.checkpoint(1, 500)
    records = list(lessor.records())
    assert records == [LeaseRecord(1, 1000, 500), LeaseRecord(2, 20)]
    restored = Lessor.restore(records)
    assert list(restored.records()) == records
    assert not restored.is_primary
    restored.attach(2, b"k")
    restored.promote(0)
    assert restored.is_checkpointed(1) is True
    assert restored.expired(20, 100) == [2]
    assert restored.revoke(2) == [b"k"]


def test_records_are_those_of_the_call() -> None:
    lessor = Lessor()
    lessor.grant(1, 10)
    records = lessor.records()
    lessor.grant(2, 10)
    lessor.revoke(1)
    assert list(records) == [LeaseRecord(1, 10)]


def test_revoked_leases_leave_no_memory_behind() -> None:
    lessor = leading()
    for _ in range(10_000):
        lessor.grant(7, 1000)
        lessor.renew(7, 0)
        lessor.revoke(7)
    assert len(lessor._expiries._heap) < 100
    assert len(lessor._checkpoints._heap) < 100
    lessor.grant(8, 10)
    lessor.expired(0, 100)
    assert lessor.expired(10, 100) == [8]


LEASES = st.integers(1, 4)


class NeverEarly(RuleBasedStateMachine):
    """Three members apply one log; one of them leads. Clients note what they were told.

    What the leader proposes waits in `proposed`: some of it is committed, in order; the rest is
    lost when the leader changes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.log: list[tuple[str, int, int]] = []
        self.proposed: list[tuple[str, int, int]] = []
        self.members = [Lessor() for _ in range(3)]
        self.applied = [0, 0, 0]
        self.leader = 0
        self.unanswered: dict[int, float] = {}  # renewals that wait for their checkpoint of 0
        self.told: dict[int, float] = {}
        self.members[0].promote(self.now)

    def apply(self, member: int, up_to: int) -> None:
        lessor = self.members[member]
        for kind, lease_id, seconds in self.log[self.applied[member] : up_to]:
            if kind == "grant" and not lessor.has(lease_id):
                lessor.grant(lease_id, seconds)
                if member == self.leader:  # one just elected applies what it is to answer for
                    self.told[lease_id] = self.now + seconds
            elif kind == "revoke" and lessor.has(lease_id):
                lessor.revoke(lease_id)
                if member == self.leader:
                    self.told.pop(lease_id)
                    self.unanswered.pop(lease_id, None)
            elif kind == "checkpoint":
                lessor.checkpoint(lease_id, seconds)
                if seconds == 0 and lessor.is_primary and lease_id in self.unanswered:
                    self.tell(lease_id, self.unanswered.pop(lease_id))
        self.applied[member] = up_to

    @rule(lease_id=LEASES, ttl=st.sampled_from([2, 10, 400, 1000, 5000]))
    def grant(self, lease_id: int, ttl: int) -> None:
        self.proposed.append(("grant", lease_id, ttl))

    @rule(lease_id=LEASES)
    def revoke(self, lease_id: int) -> None:
        self.proposed.append(("revoke", lease_id, 0))

    @rule(lease_id=LEASES)
    def keep_alive(self, lease_id: int) -> None:
        leader = self.members[self.leader]
        ttl = leader.renew(lease_id, self.now)
        if not ttl:
            return
        if leader.is_checkpointed(lease_id):
            self.proposed.append(("checkpoint", lease_id, 0))
            self.unanswered[lease_id] = self.now + ttl
        else:
            self.tell(lease_id, self.now + ttl)

    def tell(self, lease_id: int, until: float) -> None:
        self.told[lease_id] = max(self.told.get(lease_id, 0.0), until)

    @rule(lease_id=LEASES)
    def ask(self, lease_id: int) -> None:
        answer = self.members[self.leader].time_to_live(lease_id, self.now)
        if answer.ttl_seconds >= 0:
            assert self.now + answer.ttl_seconds + 1.001 >= self.told[lease_id]

    @rule(count=st.integers(1, 5))
    def commit(self, count: int) -> None:
        self.log += self.proposed[:count]
        del self.proposed[:count]
        self.apply(self.leader, len(self.log))

    @rule(member=st.integers(0, 2), count=st.integers(1, 5))
    def follow(self, member: int, count: int) -> None:
        self.apply(member, min(len(self.log), self.applied[member] + count))

    @rule(seconds=st.sampled_from([0.3, 1.0, 9.5]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([299.0, 300.0, 350.5]))
    def wait_long(self, seconds: float) -> None:
        """A leader that commits nothing steps down long before."""
        self.commit(len(self.proposed))
        self.now += seconds

    @rule()
    def checkpoint(self) -> None:
        due = self.members[self.leader].checkpoints_due(self.now)
        self.proposed += [("checkpoint", lease_id, seconds) for lease_id, seconds in due]

    @rule()
    def restart_from_snapshot(self) -> None:
        follower = (self.leader + 1) % 3
        self.members[follower] = Lessor.restore(self.members[follower].records())

    @precondition(lambda self: len(self.told) > 0)
    @rule(member=st.integers(0, 2), survive=st.integers(0, 5))
    def elect(self, member: int, survive: int) -> None:
        """A prefix of what was under way survives in the new leader's log."""
        self.members[self.leader].demote()
        self.unanswered.clear()
        self.apply(member, len(self.log))  # what the leader before has answered for
        self.log += self.proposed[:survive]
        self.proposed.clear()
        self.leader = member
        self.apply(member, len(self.log))
        self.told = {
            id_: until for id_, until in self.told.items() if self.members[member].has(id_)
        }
        self.members[member].promote(self.now)

    @invariant()
    def nothing_expires_early(self) -> None:
        for member, lessor in enumerate(self.members):
            for lease_id in lessor.expired(self.now, 2):
                assert member == self.leader
                assert self.now >= self.told[lease_id]


NeverEarly.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestNeverEarly = NeverEarly.TestCase


@settings(max_examples=100, deadline=None)
@given(ttls=st.lists(st.integers(1, 50), min_size=1, max_size=20), limit=st.integers(1, 3))
def test_every_lease_expires_in_the_end(ttls: list[int], limit: int) -> None:
    lessor = leading()
    for lease_id, ttl in enumerate(ttls, start=1):
        lessor.grant(lease_id, ttl)
    lessor.expired(0, limit)
    gone: list[int] = []
    for now in range(1, 100):
        for lease_id in lessor.expired(now, limit):
            assert now >= ttls[lease_id - 1]
            gone.append(lease_id)
            lessor.revoke(lease_id)
    assert sorted(gone) == list(range(1, len(ttls) + 1))
