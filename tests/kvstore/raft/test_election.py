"""Pre-vote, check-quorum, stickiness and leadership transfer, case by case.

Dissertation, 9.6, 6.2, 4.2.3 and 3.10; the stories are in the traces.
"""

import pytest

from kvstore.raft.types import (
    AppendReply,
    HeartbeatReply,
    Message,
    ReadIndexReply,
    RequestVote,
    Role,
    TimeoutNow,
    VoteReply,
)

from .single import (
    ELECTION_TICKS,
    SILENT_TICKS,
    all_of,
    append,
    drain,
    entries,
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


def test_pre_vote_does_not_change_term_or_vote() -> None:
    raft = new_raft(term=1)
    reply = only(step(raft, request_vote(2, pre_vote=True)), VoteReply)
    assert (reply.granted, reply.pre_vote, reply.term) == (True, True, 2)
    assert (raft.term, raft.vote) == (1, 0)
    assert only(step(raft, request_vote(2, pre_vote=True, sender=3)), VoteReply).granted


def test_pre_vote_needs_an_up_to_date_log() -> None:
    raft = new_raft(1, term=1)
    reply = only(step(raft, request_vote(2, 0, 0, pre_vote=True)), VoteReply)
    assert (reply.granted, reply.term) == (False, 1)


def test_pre_vote_of_an_older_term_is_refused_with_the_newer_one() -> None:
    raft = new_raft(term=5)
    reply = only(step(raft, request_vote(4, pre_vote=True)), VoteReply)
    assert (reply.granted, reply.pre_vote, reply.term) == (False, True, 5)


def test_a_refused_pre_vote_teaches_the_newer_term() -> None:
    raft = new_raft(term=1)
    raft.campaign()
    step(raft, vote(7, granted=False, pre_vote=True))
    assert (raft.role, raft.term) == (Role.FOLLOWER, 7)


def test_pre_votes_of_another_campaign_do_not_count() -> None:
    raft = new_raft(term=1)
    raft.campaign()
    step(raft, vote(1, pre_vote=True))
    step(raft, vote(3, pre_vote=True))
    step(raft, vote(2))
    assert (raft.role, raft.term) == (Role.FOLLOWER, 2)


def test_votes_after_the_election_change_nothing() -> None:
    raft = new_raft()
    make_leader(raft)
    assert not step(raft, vote(1, sender=3))
    assert not step(raft, vote(1, sender=3, pre_vote=True))
    assert raft.role is Role.LEADER


def test_own_vote_counts_once_it_is_durable() -> None:
    raft = new_raft(voters=(1,))
    raft.campaign()
    assert is_role(raft, Role.CANDIDATE)
    ready = raft.ready()
    raft.campaign()  # The term moves on while the disk still writes the one before.
    raft.stored(ready)
    assert is_role(raft, Role.CANDIDATE)
    drain(raft)
    assert is_role(raft, Role.LEADER)
    assert raft.term == 2


@pytest.mark.parametrize("pre_vote", [True, False])
def test_vote_requests_are_ignored_while_a_live_leader_is_heard(pre_vote: bool) -> None:
    raft = new_raft(timeouts=(15,))
    step(raft, heartbeat(1))
    tick(raft, ELECTION_TICKS - 1)
    assert not step(raft, request_vote(5, sender=3, pre_vote=pre_vote))
    assert raft.term == 1
    tick(raft, 1)
    assert only(step(raft, request_vote(5, sender=3, pre_vote=pre_vote)), VoteReply).granted


def test_a_leader_ignores_vote_requests_of_later_terms() -> None:
    raft = new_raft()
    make_leader(raft)
    assert not step(raft, request_vote(5, 9, 4, sender=3))
    assert raft.role is Role.LEADER


def test_stickiness_does_not_hold_against_a_transfer() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    assert only(step(raft, request_vote(2, sender=3, transfer=True)), VoteReply).granted


def test_learners_and_strangers_do_not_campaign() -> None:
    raft = new_raft(voters=(2, 3), learners=(1,))
    assert not tick(raft, 5 * ELECTION_TICKS)
    raft.campaign()
    step(raft, TimeoutNow(to=1, sender=2, term=0))
    assert raft.role is Role.FOLLOWER


def test_a_leader_does_not_campaign() -> None:
    raft = new_raft()
    make_leader(raft)
    raft.campaign()
    step(raft, TimeoutNow(to=1, sender=2, term=1))
    assert (raft.role, raft.term) == (Role.LEADER, 1)


def test_a_leader_stays_while_a_quorum_answers() -> None:
    raft = new_raft()
    make_leader(raft)
    for _ in range(5):
        tick(raft, ELECTION_TICKS - 1)
        step(raft, HeartbeatReply(to=1, sender=2, term=1))
    assert raft.role is Role.LEADER


def test_learners_are_no_quorum_for_a_leader() -> None:
    raft = new_raft(learners=(4,))
    make_leader(raft)
    for _ in range(SILENT_TICKS):
        step(raft, HeartbeatReply(to=1, sender=4, term=1))
        assert is_role(raft, Role.LEADER)
        tick(raft, 1)
    assert is_role(raft, Role.FOLLOWER)
    assert raft.term == 1


@pytest.mark.parametrize("served_ticks", range(0, 2 * ELECTION_TICKS, 3))
def test_a_leader_steps_down_as_soon_whenever_it_falls_silent(served_ticks: int) -> None:
    """Not at the second of two checks, one timeout apart (dissertation, 6.2)."""
    raft = new_raft()
    make_leader(raft)
    for _ in range(served_ticks):
        tick(raft, 1)
        step(raft, HeartbeatReply(to=1, sender=2, term=1))
    tick(raft, SILENT_TICKS - 1)
    assert is_role(raft, Role.LEADER)
    tick(raft, 1)
    assert is_role(raft, Role.FOLLOWER)


@pytest.mark.parametrize(
    "answer",
    [
        HeartbeatReply(to=1, sender=2, term=1),
        AppendReply(to=1, sender=2, term=1, match_index=1),
        AppendReply(to=1, sender=2, term=1, rejected_index=1, is_rejected=True),
    ],
    ids=["heartbeat", "append", "rejection"],
)
def test_every_answer_of_a_quorum_keeps_a_leader(answer: Message) -> None:
    raft = new_raft()
    make_leader(raft)
    for _ in range(3 * SILENT_TICKS):
        tick(raft, 1)
        step(raft, answer)
    assert is_role(raft, Role.LEADER)


def test_transfer_goes_to_another_voter_by_the_leader_only() -> None:
    raft = new_raft(learners=(4,))
    assert not raft.transfer_leadership(2)
    make_leader(raft)
    assert not raft.transfer_leadership(1)
    assert not raft.transfer_leadership(4)
    assert not raft.transfer_leadership(9)
    assert raft.transfer_leadership(2)


def test_transfer_waits_for_the_whole_log() -> None:
    raft = new_raft()
    make_leader(raft)
    assert raft.transfer_leadership(3)
    assert not all_of(drain(raft), TimeoutNow)
    other = step(raft, AppendReply(to=1, sender=2, term=1, match_index=1))
    assert not all_of(other, TimeoutNow)
    sent = step(raft, AppendReply(to=1, sender=3, term=1, match_index=1))
    assert only(sent, TimeoutNow).to == 3


def test_transfer_can_be_redirected() -> None:
    raft = new_raft()
    make_leader(raft)
    raft.transfer_leadership(3)
    raft.transfer_leadership(2)
    assert not all_of(step(raft, AppendReply(to=1, sender=3, term=1, match_index=1)), TimeoutNow)
    sent = step(raft, AppendReply(to=1, sender=2, term=1, match_index=1))
    assert only(sent, TimeoutNow).to == 2


def test_the_best_successor_has_the_longest_log() -> None:
    raft = new_raft(learners=(4,))
    make_leader(raft)
    for sender in (3, 4):
        step(raft, AppendReply(to=1, sender=sender, term=1, match_index=1))
    assert raft.best_successor((2, 3, 4)) == 3


def test_nobody_out_of_reach_is_a_successor() -> None:
    raft = new_raft()
    make_leader(raft)
    step(raft, AppendReply(to=1, sender=3, term=1, match_index=1))
    assert raft.best_successor((1, 2)) == 2
    assert raft.best_successor((1,)) == 0


def test_who_was_silent_lately_comes_last() -> None:
    raft = new_raft()
    make_leader(raft)
    step(raft, AppendReply(to=1, sender=3, term=1, match_index=1))
    step(raft, HeartbeatReply(to=1, sender=2, term=1))
    for _ in range(SILENT_TICKS):
        step(raft, HeartbeatReply(to=1, sender=2, term=1))
        raft.tick()
    assert raft.best_successor((2, 3)) == 2


def test_a_member_alone_has_no_successor() -> None:
    raft = new_raft(voters=(1,))
    raft.campaign()
    drain(raft)
    assert raft.best_successor((1,)) == 0


def test_transferee_campaigns_without_a_pre_vote() -> None:
    raft = new_raft(term=1)
    step(raft, heartbeat(1))
    sent = all_of(step(raft, TimeoutNow(to=1, sender=2, term=1)), RequestVote)
    assert [(m.term, m.pre_vote, m.transfer) for m in sent] == [(2, False, True)] * 2


@pytest.mark.parametrize("sender", [2, 9], ids=["member", "stranger"])
def test_messages_of_an_older_term_change_nothing(sender: int) -> None:
    raft = new_raft(term=5)
    for message in (
        AppendReply(to=1, sender=sender, term=4, match_index=7),
        HeartbeatReply(to=1, sender=sender, term=4),
        ReadIndexReply(to=1, sender=sender, term=4, context=1, index=1),
        TimeoutNow(to=1, sender=sender, term=4),
        vote(4, sender=sender),
        request_vote(4, 9, 4, sender=sender),
    ):
        assert not step(raft, message)
    assert (raft.term, raft.role) == (5, Role.FOLLOWER)


def test_a_stranger_may_lead() -> None:
    """Our membership may be behind the leader's."""
    raft = new_raft()
    step(raft, append(1, new=entries(1), sender=9))
    assert raft.leader_id == 9


def test_messages_to_somebody_else_are_ignored() -> None:
    raft = new_raft()
    assert not step(raft, RequestVote(to=2, sender=3, term=9, last_index=0, last_term=0))
    assert raft.term == 0


def test_a_new_term_takes_back_what_was_promised_in_the_old_one() -> None:
    raft = new_raft()
    raft.step(request_vote(1))
    raft.step(request_vote(2, sender=3))
    ready = raft.ready()
    assert only(ready.promises, VoteReply).term == 2


def test_candidates_vote_for_nobody_else() -> None:
    raft = new_raft()
    make_candidate(raft)
    assert not only(step(raft, request_vote(1, 9, 1)), VoteReply).granted


def test_timeouts_shorter_than_a_leader_is_trusted_are_a_bug() -> None:
    with pytest.raises(AssertionError, match="shorter"):
        new_raft(timeouts=(ELECTION_TICKS - 1,))


def test_time_that_nobody_noticed_counts_for_a_follower_and_the_next_tick_campaigns() -> None:
    raft = new_raft(term=1)
    raft.pass_over(3 * ELECTION_TICKS)
    assert raft.silence_ticks == 3 * ELECTION_TICKS
    assert is_role(raft, Role.FOLLOWER)
    tick(raft, 1)
    assert is_role(raft, Role.PRE_CANDIDATE)
    assert raft.silence_ticks == 0


def test_time_that_nobody_noticed_deposes_no_leader() -> None:
    raft = new_raft(term=1)
    make_leader(raft)
    before = raft.silence_ticks
    raft.pass_over(3 * ELECTION_TICKS)
    assert raft.silence_ticks == before
    tick(raft, 1)
    assert is_role(raft, Role.LEADER)
