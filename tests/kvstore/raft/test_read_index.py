"""Linearizable reads, case by case; the stories are in the traces."""

import pytest

from kvstore.raft import state
from kvstore.raft.core import Raft
from kvstore.raft.types import (
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Membership,
    ReadIndexReply,
    ReadIndexRequest,
    ReadState,
)

from .single import all_of, drain, finish, heartbeat, make_leader, new_raft, only, step, tick


def confirm(read_round: int, sender: int = 2) -> HeartbeatReply:
    return HeartbeatReply(to=1, sender=sender, term=1, read_context=read_round)


def new_leader() -> Raft:
    raft = new_raft()
    make_leader(raft)
    step(raft, AppendReply(to=1, sender=2, term=1, match_index=1))
    return raft


def new_leader_of_four() -> Raft:
    """A quorum is three of them; the fifth learns."""
    raft = new_raft(voters=(1, 2, 3, 4), learners=(5,))
    raft.campaign()
    raft.state.become_candidate()
    raft.state.become_leader()
    drain(raft)
    for sender in (2, 3):
        step(raft, AppendReply(to=1, sender=sender, term=1, match_index=1))
    return raft


def request(sender: int = 2) -> ReadIndexRequest:
    return ReadIndexRequest(to=1, sender=sender, term=1, context=7)


def test_reads_between_two_readies_share_one_round() -> None:
    raft = new_leader()
    for context in (101, 102, 103):
        assert raft.read_index(context)
    assert [m.read_context for m in all_of(drain(raft), Heartbeat)] == [1, 1]
    raft.step(confirm(1))
    assert raft.ready().reads == tuple(ReadState(context, 1) for context in (101, 102, 103))


def test_a_confirmation_of_another_round_is_worth_nothing() -> None:
    raft = new_leader()
    raft.read_index(101)
    drain(raft)
    step(raft, confirm(0))
    step(raft, confirm(1))
    raft.read_index(102)
    drain(raft)
    raft.step(confirm(1))
    assert not raft.has_ready()
    raft.step(confirm(2))
    assert raft.ready().reads == (ReadState(102, 1),)


def test_a_round_needs_a_quorum() -> None:
    raft = new_leader_of_four()
    raft.read_index(101)
    drain(raft)
    for sender in (2, 2, 5):
        raft.step(confirm(1, sender=sender))
    assert raft.state.read_round is not None
    raft.step(confirm(1, sender=4))
    assert raft.ready().reads == (ReadState(101, 1),)


def test_a_read_covers_what_is_committed_when_its_round_starts() -> None:
    raft = new_leader()
    raft.read_index(101)
    raft.propose([b"x"])
    drain(raft)
    step(raft, AppendReply(to=1, sender=2, term=1, match_index=2))
    raft.step(confirm(1))
    assert raft.ready().reads == (ReadState(101, 1),)


def test_without_a_leader_no_read_is_taken() -> None:
    assert not new_raft().read_index(101)


def test_reads_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.raft.read_index.READS_WAITING_MAX", 2)
    raft = new_raft()
    make_leader(raft)
    assert raft.read_index(101)
    assert raft.read_index(102)
    assert not raft.read_index(103)
    reply = only(step(raft, request()), ReadIndexReply)
    assert reply.index == 0
    assert state.READS_WAITING_MAX > 1000


def test_a_follower_forwards_a_batch_under_its_first_context() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    raft.read_index(201)
    raft.read_index(202)
    assert only(drain(raft), ReadIndexRequest).context == 201
    raft.read_index(203)
    assert not raft.has_ready()
    raft.step(ReadIndexReply(to=1, sender=2, term=1, context=201, index=4))
    ready = raft.ready()
    assert ready.reads == (ReadState(201, 4), ReadState(202, 4))
    assert only(ready.appends, ReadIndexRequest).context == 203


def test_an_answer_to_another_request_is_worth_nothing() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    raft.step(ReadIndexReply(to=1, sender=2, term=1, context=201, index=4))
    raft.read_index(202)
    drain(raft)
    raft.step(ReadIndexReply(to=1, sender=2, term=1, context=201, index=4))
    assert not raft.has_ready()


def test_a_refused_read_must_be_asked_again() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    raft.read_index(201)
    drain(raft)
    raft.step(ReadIndexReply(to=1, sender=2, term=1, context=201, index=0))
    ready = raft.ready()
    assert ready.rejected_reads == (201,)
    assert not ready.reads


def test_a_leader_expects_no_answers() -> None:
    raft = new_leader()
    raft.read_index(1)
    drain(raft)
    raft.step(ReadIndexReply(to=1, sender=2, term=1, context=1, index=9))
    assert not raft.has_ready()


def test_who_does_not_lead_sends_the_asker_elsewhere() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    reply = only(step(raft, request(sender=3)), ReadIndexReply)
    assert (reply.to, reply.context, reply.index) == (3, 7, 0)


def test_the_same_request_twice_is_answered_once() -> None:
    raft = new_leader_of_four()
    for _ in range(2):
        raft.step(request())
    drain(raft)
    for sender in (2, 3):
        raft.step(confirm(1, sender=sender))
    reply = only(drain(raft), ReadIndexReply)
    assert (reply.to, reply.context, reply.index) == (2, 7, 1)


def test_a_request_confirms_itself_where_the_two_are_a_quorum() -> None:
    """Of three voters, nobody else can have been elected by the third alone."""
    raft = new_leader()
    raft.propose([b"not committed"])
    drain(raft)
    [reply] = step(raft, request())
    assert isinstance(reply, ReadIndexReply)
    assert (reply.to, reply.context, reply.index) == (2, 7, 1)


@pytest.mark.parametrize("sender", [2, 5])
def test_a_request_of_one_of_many_waits_for_a_round(sender: int) -> None:
    raft = new_leader_of_four()
    assert [type(message) for message in step(raft, request(sender))] == [Heartbeat] * 4


def test_both_halves_of_a_joint_quorum_must_be_reached() -> None:
    raft = new_leader()
    raft.state.set_membership(Membership(voters=(1, 2, 3), outgoing=(1, 4, 5)))
    assert not all_of(step(raft, request()), ReadIndexReply)
    raft = new_leader()
    raft.state.set_membership(Membership(voters=(1, 2, 3), outgoing=(1, 2)))
    assert only(step(raft, request()), ReadIndexReply).index == 1


def test_a_learners_request_is_answered_by_a_leader_alone() -> None:
    raft = new_raft(voters=(1,), learners=(2,))
    raft.campaign()
    drain(raft)
    [reply] = step(raft, request())
    assert isinstance(reply, ReadIndexReply)
    assert reply.index == 1


def test_a_request_waits_until_the_leader_knows_what_is_committed() -> None:
    raft = new_raft()
    make_leader(raft)
    assert not step(raft, request())
    step(raft, AppendReply(to=1, sender=3, term=1, match_index=1))
    raft.step(confirm(1, sender=3))
    assert only(drain(raft), ReadIndexReply).index == 1


def test_a_request_of_an_earlier_term_confirms_nothing() -> None:
    raft = new_leader()
    raft.state.become_candidate()
    raft.state.become_leader()
    drain(raft)
    step(raft, AppendReply(to=1, sender=3, term=2, match_index=2))
    assert not step(raft, request())


def test_reads_are_rejected_when_the_leader_changes() -> None:
    raft = new_raft()
    step(raft, heartbeat(1))
    raft.read_index(201)
    drain(raft)
    raft.read_index(202)
    raft.step(heartbeat(2, sender=3))
    ready = raft.ready()
    assert ready.rejected_reads == (201, 202)
    finish(raft, ready)


def test_a_deposed_leader_tells_followers_to_ask_again() -> None:
    raft = new_leader_of_four()
    raft.step(request())
    raft.step(heartbeat(2, sender=3))
    reply = only(drain(raft), ReadIndexReply)
    assert (reply.to, reply.term, reply.index) == (2, 2, 0)


def test_requests_are_repeated_with_the_ticks() -> None:
    raft = new_raft(timeouts=(30,), heartbeat_ticks=2)
    step(raft, heartbeat(1))
    assert not tick(raft, 4)
    raft.read_index(201)
    drain(raft)
    assert [m.context for m in all_of(tick(raft, 4), ReadIndexRequest)] == [201, 201]
