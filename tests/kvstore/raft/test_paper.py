"""Each rule of Figure 2 of the Raft paper (extended version), named by its section.

The paper's servers answer RPCs; here the answers are messages. Where the dissertation refines the
paper (pre-vote, stickiness) the tests are in `test_election`.
"""

import pytest

from kvstore.raft.types import (
    AppendEntries,
    AppendReply,
    Entry,
    Heartbeat,
    InstallSnapshot,
    Membership,
    RequestVote,
    Role,
    SnapshotMeta,
    VoteReply,
)

from .single import (
    ELECTION_TICKS,
    all_of,
    append,
    drain,
    entries,
    finish,
    heartbeat,
    is_role,
    make_candidate,
    make_leader,
    new_raft,
    only,
    request_vote,
    step,
    tick,
    vote,
)


def acknowledge(index: int, term: int, sender: int = 2) -> AppendReply:
    return AppendReply(to=1, sender=sender, term=term, match_index=index)


# State: persistent state on all servers, updated before responding to RPCs.


def test_s5_term_and_vote_are_durable_before_the_vote_is_sent() -> None:
    raft = new_raft()
    raft.step(request_vote(1))
    ready = raft.ready()
    assert ready.hard_state is not None
    assert (ready.hard_state.term, ready.hard_state.vote) == (1, 2)
    assert ready.must_sync
    assert not ready.appends
    assert only(ready.promises, VoteReply).granted


def test_s5_entries_are_durable_before_they_are_acknowledged() -> None:
    raft = new_raft()
    raft.step(append(1, new=entries(1, 1)))
    ready = raft.ready()
    assert ready.entries == entries(1, 1)
    assert ready.must_sync
    assert not ready.appends
    assert only(ready.promises, AppendReply).match_index == 2


def test_s5_a_term_is_durable_before_anything_is_said_in_it() -> None:
    raft = new_raft()
    raft.step(heartbeat(1))
    first = raft.ready()
    assert first.must_sync
    assert not first.appends
    assert len(first.promises) == 1
    finish(raft, first)
    raft.step(heartbeat(1))
    second = raft.ready()
    assert not second.must_sync
    assert len(second.appends) == 1
    assert not second.promises


def test_s5_a_restarted_server_keeps_its_vote() -> None:
    raft = new_raft(term=3, vote=2)
    assert not only(step(raft, request_vote(3, sender=3)), VoteReply).granted
    assert only(step(raft, request_vote(3, sender=2)), VoteReply).granted


# RequestVote RPC.


def test_s51_request_vote_of_an_older_term_is_not_granted() -> None:
    raft = new_raft(term=2)
    assert not all_of(step(raft, request_vote(1)), VoteReply)
    assert raft.vote == 0


@pytest.mark.parametrize(
    ("vote_before", "is_granted"), [(0, True), (2, True), (3, False)], ids=["none", "same", "other"]
)
def test_s52_a_vote_is_granted_once_per_term(vote_before: int, is_granted: bool) -> None:
    raft = new_raft(term=1, vote=vote_before)
    assert only(step(raft, request_vote(1)), VoteReply).granted is is_granted


def test_s52_a_new_term_brings_a_new_vote() -> None:
    raft = new_raft(term=1, vote=3)
    assert only(step(raft, request_vote(2)), VoteReply).granted
    assert (raft.term, raft.vote) == (2, 2)


@pytest.mark.parametrize(
    ("candidate", "is_granted"),
    [
        ((2, 2), True),
        ((3, 2), True),
        ((1, 3), True),
        ((1, 2), False),
        ((9, 1), False),
    ],
    ids=["equal", "longer", "later term", "shorter", "longer of an earlier term"],
)
def test_s541_a_vote_needs_an_up_to_date_log(candidate: tuple[int, int], is_granted: bool) -> None:
    raft = new_raft(1, 2, term=3)
    assert only(step(raft, request_vote(4, *candidate)), VoteReply).granted is is_granted
    assert raft.term == 4


# AppendEntries RPC.


def test_s51_append_of_an_older_term_is_answered_with_the_newer_term() -> None:
    raft = new_raft(1, term=2)
    reply = only(step(raft, append(1, new=entries(1))), AppendReply)
    assert reply.term == 2
    assert reply.match_index == 0
    assert raft.leader_id == 0


@pytest.mark.parametrize(("index", "term"), [(3, 2), (2, 1)], ids=["missing", "other term"])
def test_s53_append_without_a_matching_previous_entry_is_rejected(index: int, term: int) -> None:
    raft = new_raft(1, 2, term=2)
    reply = only(step(raft, append(2, index, term, entries(2, first=index + 1))), AppendReply)
    assert reply.is_rejected
    assert reply.rejected_index == index
    assert raft.last_index == 2


def test_s53_a_conflicting_entry_and_all_behind_it_are_deleted() -> None:
    raft = new_raft(1, 1, 1, 1, term=2)
    reply = only(step(raft, append(2, 1, 1, entries(2, first=2))), AppendReply)
    assert reply.match_index == 2
    assert raft.last_index == 2
    assert raft.state.log.term(2) == 2


def test_s53_what_is_written_after_a_conflict_replaces_what_was_on_disk() -> None:
    raft = new_raft()
    raft.step(append(1, new=entries(1, 1, 1)))
    under_way = raft.ready()
    raft.step(append(2, 1, 1, entries(2, first=2), sender=3))
    finish(raft, under_way)
    assert raft.state.log.durable == 1
    assert raft.ready().entries == entries(2, first=2)


def test_s53_entries_that_are_there_already_stay() -> None:
    raft = new_raft(1, 1, 1, term=1)
    reply = only(step(raft, append(1, 0, 0, entries(1))), AppendReply)
    assert reply.match_index == 1
    assert raft.last_index == 3


def test_s53_new_entries_are_appended() -> None:
    raft = new_raft(1, term=1)
    step(raft, append(1, 0, 0, entries(1, 1, 1)))
    assert raft.last_index == 3


@pytest.mark.parametrize(("leader_commit", "commit"), [(1, 1), (2, 2), (9, 2)])
def test_s53_commit_is_the_leaders_but_not_beyond_the_last_new_entry(
    leader_commit: int, commit: int
) -> None:
    raft = new_raft(1, 1, 1, 1, term=2)
    step(raft, append(2, 1, 1, entries(1, first=2), commit=leader_commit))
    assert raft.commit_index == commit
    assert raft.last_index == 4


# Rules for servers: all servers.


def test_s53_committed_entries_are_applied_in_order_and_once() -> None:
    raft = new_raft()
    raft.step(append(1, new=entries(1, 1, 1), commit=2))
    ready = raft.ready()
    assert ready.committed == entries(1, 1)
    finish(raft, ready)
    assert raft.applied_index == 2
    raft.step(append(1, 3, 1, commit=3))
    assert raft.ready().committed == entries(1, first=3)


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER])
def test_s51_a_newer_term_makes_a_follower(role: Role) -> None:
    raft = new_raft()
    if role is Role.CANDIDATE:
        make_candidate(raft)
    if role is Role.LEADER:
        make_leader(raft)
    step(raft, acknowledge(0, term=9))
    assert (raft.role, raft.term, raft.vote, raft.leader_id) == (Role.FOLLOWER, 9, 0, 0)


# Followers.


def test_s52_a_follower_that_hears_nobody_campaigns_after_its_timeout() -> None:
    raft = new_raft(timeouts=(13,))
    assert not tick(raft, 12)
    assert is_role(raft, Role.FOLLOWER)
    tick(raft, 1)
    assert is_role(raft, Role.PRE_CANDIDATE)


@pytest.mark.parametrize("message", [heartbeat(1), append(1)], ids=["heartbeat", "append"])
def test_s52_a_leaders_message_restarts_the_election_timeout(
    message: Heartbeat | AppendEntries,
) -> None:
    raft = new_raft()
    step(raft, message)
    tick(raft, ELECTION_TICKS - 1)
    step(raft, message)
    tick(raft, ELECTION_TICKS - 1)
    assert is_role(raft, Role.FOLLOWER)


def test_s52_a_granted_vote_restarts_the_election_timeout() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    tick(raft, ELECTION_TICKS - 1)
    raft = new_raft(term=1)
    tick(raft, ELECTION_TICKS - 1)
    step(raft, request_vote(1))
    tick(raft, ELECTION_TICKS - 1)
    assert is_role(raft, Role.FOLLOWER)


# Candidates.


def test_s52_a_candidate_enters_a_term_votes_for_itself_and_asks_everyone() -> None:
    raft = new_raft(1, 1, term=1)
    sent = make_candidate(raft)
    assert (raft.term, raft.vote) == (2, 1)
    assert sent == [
        RequestVote(to=to, sender=1, term=2, last_index=2, last_term=1) for to in (2, 3)
    ]


def test_s52_each_campaign_draws_a_new_timeout() -> None:
    raft = new_raft(timeouts=(10, 12, 14, 16))
    tick(raft, 10)
    assert is_role(raft, Role.PRE_CANDIDATE)
    assert not all_of(tick(raft, 11), RequestVote)
    assert all_of(tick(raft, 1), RequestVote)


def test_s52_votes_of_a_majority_make_a_leader() -> None:
    raft = new_raft(voters=(1, 2, 3, 4, 5))
    raft.campaign()
    for sender in (2, 3):
        step(raft, vote(1, sender=sender, pre_vote=True))
    step(raft, vote(1, sender=2))
    assert is_role(raft, Role.CANDIDATE)
    step(raft, vote(1, sender=3))
    assert is_role(raft, Role.LEADER)


def test_s52_a_vote_counts_once_however_often_it_arrives() -> None:
    raft = new_raft(voters=(1, 2, 3, 4, 5))
    raft.campaign()
    for _ in range(3):
        step(raft, vote(1, sender=2, pre_vote=True))
    assert is_role(raft, Role.PRE_CANDIDATE)


def test_s52_refusals_of_a_majority_end_the_campaign() -> None:
    raft = new_raft()
    make_candidate(raft)
    step(raft, vote(1, sender=2, granted=False))
    assert is_role(raft, Role.CANDIDATE)
    step(raft, vote(1, sender=3, granted=False))
    assert is_role(raft, Role.FOLLOWER)


@pytest.mark.parametrize("message", [heartbeat(1), append(1)], ids=["heartbeat", "append"])
def test_s52_a_candidate_follows_the_leader_of_its_term(message: Heartbeat | AppendEntries) -> None:
    raft = new_raft()
    make_candidate(raft)
    step(raft, message)
    assert (raft.role, raft.leader_id, raft.vote) == (Role.FOLLOWER, 2, 1)


def test_s52_a_candidate_without_a_majority_starts_over() -> None:
    raft = new_raft()
    make_candidate(raft)
    tick(raft, ELECTION_TICKS)
    assert is_role(raft, Role.PRE_CANDIDATE)
    step(raft, vote(2, pre_vote=True))
    assert (raft.role, raft.term) == (Role.CANDIDATE, 2)


# Leaders.


def test_s52_a_new_leader_makes_itself_known_and_sends_heartbeats() -> None:
    raft = new_raft()
    sent = make_leader(raft)
    assert {message.to for message in all_of(sent, AppendEntries)} == {2, 3}
    assert {message.to for message in all_of(tick(raft, 1), Heartbeat)} == {2, 3}


def test_s53_proposals_are_appended_and_sent_to_everyone() -> None:
    raft = new_raft()
    make_leader(raft)
    for member in (2, 3):
        step(raft, acknowledge(1, 1, member))
    assert raft.propose([b"x", b"y"])
    sent = all_of(drain(raft), AppendEntries)
    new = (Entry(2, 1, b"x"), Entry(3, 1, b"y"))
    assert [(m.to, m.previous_index, m.entries) for m in sent] == [(2, 1, new), (3, 1, new)]


def test_s53_a_leader_answers_once_the_entry_is_committed_and_applied() -> None:
    raft = new_raft()
    make_leader(raft)
    assert raft.commit_index == 0
    raft.step(acknowledge(1, 1))
    assert raft.ready().committed == (Entry(1, 1),)


def test_s53_a_leader_decrements_next_after_a_rejection_and_tries_again() -> None:
    raft = new_raft(1, 1, 1, term=1)
    make_leader(raft)
    rejection = AppendReply(
        to=1, sender=2, term=2, is_rejected=True, rejected_index=3, hint_index=1, hint_term=1
    )
    again = only(step(raft, rejection), AppendEntries)
    assert (again.previous_index, again.entries[:-1]) == (1, entries(1, 1, first=2))


def test_s53_a_leader_never_overwrites_its_own_log() -> None:
    raft = new_raft(1, 1, term=1)
    make_leader(raft)
    with pytest.raises(AssertionError, match="two leaders"):
        raft.step(append(2, 0, 0, entries(2)))


def test_s542_only_entries_of_the_own_term_are_committed_by_counting() -> None:
    raft = new_raft(1, 2, term=2)
    make_leader(raft)
    step(raft, acknowledge(2, 3))
    assert raft.commit_index == 0
    step(raft, acknowledge(3, 3))
    assert raft.commit_index == 3


def test_s53_a_quorum_is_counted_over_everyones_match() -> None:
    raft = new_raft(voters=(1, 2, 3, 4, 5))
    raft.campaign()
    for pre_vote in (True, False):
        for sender in (2, 3):
            step(raft, vote(1, sender=sender, pre_vote=pre_vote))
    raft.propose([b"x", b"y"])
    drain(raft)
    step(raft, acknowledge(3, 1, sender=2))
    assert raft.commit_index == 0
    step(raft, acknowledge(2, 1, sender=3))
    assert raft.commit_index == 2


def test_s53_a_leader_counts_itself_only_once_its_disk_has_the_entry() -> None:
    raft = new_raft()
    make_leader(raft)
    step(raft, acknowledge(1, 1))
    raft.propose([b"x"])
    ready = raft.ready()
    assert all_of(ready.appends, AppendEntries)
    raft.step(acknowledge(2, 1))
    assert raft.commit_index == 1
    raft.stored(ready)
    assert raft.commit_index == 2


def test_s8_a_new_leader_appends_an_empty_entry_of_its_term() -> None:
    raft = new_raft(1, term=1)
    sent = make_leader(raft)
    assert all(m.entries == (Entry(2, 2),) for m in all_of(sent, AppendEntries))


# Figure 13: InstallSnapshot RPC.


def snapshot(index: int, term: int, message_term: int = 3) -> InstallSnapshot:
    meta = SnapshotMeta(index, term, Membership(voters=(1, 2, 3)))
    return InstallSnapshot(to=1, sender=2, term=message_term, meta=meta)


def test_s7_a_snapshot_of_an_older_term_is_ignored() -> None:
    raft = new_raft(term=4)
    assert not step(raft, snapshot(5, 3))
    assert raft.last_index == 0


def test_s7_a_snapshot_replaces_a_log_that_lacks_its_last_entry() -> None:
    raft = new_raft(1, 1, 1, term=2)
    raft.step(snapshot(2, 2))
    ready = raft.ready()
    assert ready.snapshot is not None
    assert ready.snapshot.index == 2
    assert only(ready.promises, AppendReply).match_index == 2
    assert not ready.entries
    finish(raft, ready)
    assert (raft.last_index, raft.first_index, raft.applied_index) == (2, 3, 2)


def test_s7_a_snapshot_keeps_what_follows_an_entry_that_is_there() -> None:
    raft = new_raft(1, 1, 1, term=2)
    raft.step(snapshot(2, 1))
    ready = raft.ready()
    assert ready.snapshot is None
    assert ready.committed == entries(1, 1)
    assert only(ready.promises, AppendReply).match_index == 2
    finish(raft, ready)
    assert raft.last_index == 3


def test_s7_a_snapshot_of_what_is_committed_is_only_acknowledged() -> None:
    raft = new_raft(1, 1, 1, term=2, commit=3)
    assert only(step(raft, snapshot(2, 1)), AppendReply).match_index == 3
    assert raft.first_index == 1
