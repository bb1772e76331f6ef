"""Progress, windows, commits, snapshots and durability, case by case."""

import pytest

from kvstore.raft.core import Raft
from kvstore.raft.types import (
    AppendEntries,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    Propose,
    Role,
    SnapshotMeta,
)

from .single import (
    all_of,
    append,
    drain,
    entries,
    finish,
    heartbeat,
    make_candidate,
    make_leader,
    new_raft,
    only,
    step,
    tick,
)


def acknowledge(index: int, sender: int = 2, term: int = 1) -> AppendReply:
    return AppendReply(to=1, sender=sender, term=term, match_index=index)


def reject(index: int, hint: int, sender: int = 2, hint_term: int = 1) -> AppendReply:
    return AppendReply(
        to=1,
        sender=sender,
        term=1,
        is_rejected=True,
        rejected_index=index,
        hint_index=hint,
        hint_term=hint_term,
    )


def snapshot(index: int, term: int = 1) -> InstallSnapshot:
    meta = SnapshotMeta(index, term, Membership(voters=(1, 2, 3)))
    return InstallSnapshot(to=1, sender=2, term=1, meta=meta)


def leader_with(count: int, *, compacted: int = 0) -> Raft:
    """A leader of term 1 whose log of `count` entries 2 and 3 have; compacted up to an index."""
    raft = new_raft()
    make_leader(raft)
    raft.propose([b"x"] * (count - 1))
    drain(raft)
    for member in (2, 3):
        step(raft, acknowledge(count, member))
    raft.compact(compacted)
    return raft


def test_heartbeat_commit_is_what_the_follower_is_known_to_match() -> None:
    raft = leader_with(3)
    raft.propose([b"y"])
    drain(raft)
    step(raft, acknowledge(4, 2))
    commits = {m.to: m.commit for m in all_of(tick(raft, 1), Heartbeat)}
    assert commits == {2: 4, 3: 3}


def test_heartbeats_go_out_every_so_many_ticks() -> None:
    raft = new_raft(heartbeat_ticks=3)
    make_leader(raft)
    assert [len(tick(raft, 1)) for _ in range(6)] == [0, 0, 2, 0, 0, 2]


def test_proposals_between_two_readies_share_one_append() -> None:
    raft = leader_with(1)
    for _ in range(5):
        raft.propose([b"x"])
    sent = all_of(drain(raft), AppendEntries)
    assert [(m.to, len(m.entries)) for m in sent] == [(2, 5), (3, 5)]


def test_nobody_answers_an_append_that_only_tells_what_is_committed() -> None:
    raft = new_raft()
    make_leader(raft)
    told = step(raft, AppendReply(to=1, sender=2, term=1, match_index=1))
    assert [(m.to, m.commit, m.entries, m.needs_reply) for m in all_of(told, AppendEntries)] == [
        (2, 1, (), False),
    ]
    follower = new_raft(1, term=1)
    append = AppendEntries(
        to=1, sender=2, term=1, previous_index=1, previous_term=1, commit=1, needs_reply=False
    )
    assert not step(follower, append)
    assert follower.commit_index == 1


@pytest.mark.parametrize("window", [1, 256])
def test_a_nudge_asks_for_a_reply_whether_the_window_is_full_or_not(window: int) -> None:
    raft = new_raft(inflight_appends_max=window)
    make_leader(raft)
    step(raft, acknowledge(1))
    raft.propose([b"x"])
    drain(raft)
    [nudge] = all_of(step(raft, HeartbeatReply(to=1, sender=2, term=1)), AppendEntries)
    assert (nudge.previous_index, nudge.entries, nudge.needs_reply) == (2, (), True)


def test_such_an_append_is_still_rejected_where_it_does_not_fit() -> None:
    append = AppendEntries(
        to=1, sender=2, term=1, previous_index=1, previous_term=1, commit=1, needs_reply=False
    )
    assert only(step(new_raft(), append), AppendReply).is_rejected


def test_appends_are_bounded_in_bytes() -> None:
    raft = new_raft(append_bytes_max=1000, voters=(1, 2))
    make_leader(raft)
    step(raft, acknowledge(1))
    raft.propose([bytes(400)] * 5 + [bytes(5000)])
    sent = all_of(drain(raft), AppendEntries)
    assert [len(m.entries) for m in sent] == [2, 2, 1, 1]


def test_proposals_are_dropped_without_a_leader() -> None:
    raft = new_raft()
    assert not raft.propose([b"x"])
    make_candidate(raft)
    assert not raft.propose([b"x"])


def test_a_backlog_of_uncommitted_bytes_drops_proposals() -> None:
    raft = new_raft(uncommitted_bytes_max=200)
    make_leader(raft)
    step(raft, acknowledge(1))
    assert raft.propose([bytes(1000)])  # The first may be of any size.
    drain(raft)
    assert not raft.propose([b"x"])
    step(raft, acknowledge(2))
    assert raft.propose([b"x"])


def test_forwarded_bytes_are_bounded_until_they_are_sent() -> None:
    raft = new_raft(uncommitted_bytes_max=200)
    step(raft, heartbeat(1))
    assert raft.propose([bytes(100)])
    assert not raft.propose([bytes(100)])
    assert only(drain(raft), Propose).data == (bytes(100),)
    assert raft.propose([bytes(100)])


def test_forwarded_proposals_travel_in_messages_no_larger_than_appends() -> None:
    raft = new_raft(append_bytes_max=1000, uncommitted_bytes_max=2000)
    step(raft, heartbeat(1))
    assert raft.propose([bytes(400)] * 5 + [bytes(5000)])  # The first batch may be of any size.
    sent = [message.data for message in all_of(drain(raft), Propose)]
    assert [len(data) for data in sent] == [2, 2, 1, 1]
    assert len(sent[-1][0]) == 5000


def test_a_follower_drops_forwarded_proposals() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    assert not step(raft, Propose(to=1, sender=3, term=1, data=(b"x",)))
    assert raft.last_index == 0


def test_a_late_rejection_of_an_earlier_probe_is_ignored() -> None:
    raft = new_raft(*[1] * 8, term=1)
    make_leader(raft)
    first = AppendReply(
        to=1, sender=2, term=2, is_rejected=True, rejected_index=8, hint_index=4, hint_term=1
    )
    assert only(step(raft, first), AppendEntries).previous_index == 4
    assert not all_of(step(raft, first), AppendEntries)


def test_rejections_while_streaming_lead_to_one_probe() -> None:
    raft = leader_with(2)
    for _ in range(3):
        raft.propose([b"x"])
        drain(raft)
    probe = only(step(raft, reject(3, 2)), AppendEntries)
    assert (probe.previous_index, len(probe.entries)) == (2, 3)
    assert not all_of(step(raft, reject(4, 2)), AppendEntries)


def test_a_member_that_lost_its_disk_is_noticed_by_its_rejection() -> None:
    raft = leader_with(3)
    assert all_of(step(raft, reject(3, 0, hint_term=0)), AppendEntries)[0].previous_index == 0
    assert raft.state.progress[2].match == 0
    assert raft.commit_index == 3


def test_an_empty_member_tells_a_leader_that_believes_otherwise() -> None:
    raft = new_raft()
    sent = step(raft, heartbeat(1, commit=5))
    rejection = only(sent, AppendReply)
    assert (rejection.is_rejected, rejection.rejected_index, rejection.hint_index) == (True, 5, 0)
    assert only(sent, HeartbeatReply)
    assert raft.commit_index == 0


def test_answers_of_strangers_change_nothing() -> None:
    raft = leader_with(1)
    assert not step(raft, acknowledge(1, sender=9))
    assert not step(raft, HeartbeatReply(to=1, sender=9, term=1))
    raft.report_snapshot(9, 1, ok=True)
    raft.report_unreachable(9)
    assert set(raft.state.progress) == {1, 2, 3}


def test_a_member_that_acknowledges_more_than_the_leader_has_is_a_bug() -> None:
    raft = leader_with(1)
    with pytest.raises(AssertionError, match="what its leader lacks"):
        raft.step(acknowledge(2))


def needs_snapshot() -> Raft:
    """A leader at index 5 that has just asked for a snapshot for 2."""
    raft = leader_with(5, compacted=4)
    raft.step(reject(5, 1))
    ready = raft.ready()
    assert ready.snapshots_wanted == (2,)
    finish(raft, ready)
    return raft


def test_a_follower_behind_the_compaction_point_needs_a_snapshot() -> None:
    raft = needs_snapshot()
    raft.propose([b"x"])
    assert {m.to for m in all_of(drain(raft), AppendEntries)} == {3}


def test_after_a_snapshot_the_member_is_probed_behind_it() -> None:
    raft = needs_snapshot()
    raft.report_snapshot(2, 5, ok=True)
    assert only(drain(raft), AppendEntries).previous_index == 5


def test_an_acknowledged_snapshot_needs_no_report() -> None:
    raft = needs_snapshot()
    step(raft, acknowledge(5))
    raft.propose([b"x"])
    assert {m.to for m in all_of(drain(raft), AppendEntries)} == {2, 3}
    raft.report_snapshot(2, 5, ok=True)
    assert not drain(raft)


def test_an_acknowledgement_below_the_compaction_point_does_not_end_a_snapshot() -> None:
    raft = needs_snapshot()
    step(raft, acknowledge(2))
    step(raft, reject(3, 2))
    step(raft, HeartbeatReply(to=1, sender=2, term=1))
    assert not raft.has_ready()
    assert raft.state.progress[2].match == 2


def test_a_failed_snapshot_is_tried_again_after_a_sign_of_life() -> None:
    raft = needs_snapshot()
    raft.report_snapshot(2, 5, ok=False)
    assert not raft.has_ready()
    raft.step(HeartbeatReply(to=1, sender=2, term=1))
    assert raft.ready().snapshots_wanted == (2,)


def test_no_snapshot_goes_to_a_silent_member() -> None:
    raft = needs_snapshot()
    raft.report_snapshot(2, 5, ok=False)
    for _ in range(2):
        tick(raft, 9)
        step(raft, HeartbeatReply(to=1, sender=3, term=1))
    raft.state.progress[2].is_probed = False
    assert raft.ready().snapshots_wanted == ()


def test_an_unreachable_member_is_probed_only_if_it_was_streamed_to() -> None:
    raft = leader_with(2)
    raft.propose([b"x"])
    drain(raft)
    raft.report_unreachable(2)
    again = only(drain(raft), AppendEntries)
    assert (again.to, again.previous_index, len(again.entries)) == (2, 2, 1)
    raft.report_unreachable(2)
    assert not raft.has_ready()


def test_a_snapshot_taken_over_while_a_ready_is_under_way() -> None:
    raft = new_raft()
    raft.step(append(1, new=entries(1, 1), commit=2))
    under_way = raft.ready()
    raft.step(snapshot(9))
    raft.campaign()
    assert raft.role is Role.FOLLOWER
    finish(raft, under_way)
    assert raft.applied_index == 9
    ready = raft.ready()
    assert ready.snapshot is not None
    assert ready.snapshot.index == 9
    assert not ready.committed
    finish(raft, ready)
    assert raft.ready().snapshot is None


def test_a_newer_snapshot_that_arrives_while_one_is_installed_is_installed_next() -> None:
    raft = new_raft()
    raft.step(snapshot(5))
    first = raft.ready()
    raft.step(snapshot(9))
    finish(raft, first)
    second = raft.ready()
    assert second.snapshot is not None
    assert second.snapshot.index == 9


def test_a_snapshot_brings_its_membership() -> None:
    raft = new_raft()
    meta = SnapshotMeta(5, 1, Membership(voters=(1, 2, 3, 4)))
    step(raft, InstallSnapshot(to=1, sender=2, term=1, meta=meta))
    assert raft.membership == meta.membership


def test_appends_below_the_commit_index_are_acknowledged_with_it() -> None:
    raft = new_raft(1, 1, 1, term=1, commit=3)
    assert only(step(raft, append(1, 1, 1, entries(1, first=2))), AppendReply).match_index == 3


def test_applied_is_reported_in_order_and_never_ahead() -> None:
    raft = new_raft(1, 1, commit=2)
    with pytest.raises(AssertionError, match="never handed over"):
        raft.applied(1)
    drain(raft)
    raft.applied(1)
    assert raft.applied_index == 2


def test_one_ready_at_a_time() -> None:
    raft = new_raft()
    raft.step(heartbeat(1))
    ready = raft.ready()
    assert not raft.has_ready()
    with pytest.raises(AssertionError, match="one Ready"):
        raft.ready()
    raft.stored(ready)
    with pytest.raises(AssertionError, match="under way"):
        raft.stored(ready)


def test_compaction_never_passes_what_is_applied_and_may_repeat() -> None:
    raft = leader_with(5, compacted=4)
    raft.compact(2)
    assert raft.first_index == 5
    with pytest.raises(AssertionError, match="only applied"):
        raft.compact(6)


def test_a_member_alone_commits_with_its_own_disk() -> None:
    raft = new_raft(voters=(1,), learners=(4,))
    raft.campaign()
    drain(raft)
    step(raft, acknowledge(1, sender=4))
    raft.propose([b"x"])
    ready = raft.ready()
    assert only(ready.appends, AppendEntries).to == 4
    assert raft.commit_index == 1
    raft.stored(ready)
    assert raft.commit_index == 2


def test_a_member_lags_behind_until_it_replicates_from_there() -> None:
    raft = new_raft()
    assert not raft.lags_behind(3, 1), "only a leader knows"
    make_leader(raft)
    assert raft.lags_behind(3, 1), "it is being probed"
    step(raft, AppendReply(to=1, sender=3, term=1, match_index=1))
    assert not raft.lags_behind(3, 1)
    assert raft.lags_behind(3, 2)
    assert not raft.lags_behind(9, 1), "no member"
