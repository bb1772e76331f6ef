"""Elections: who asks for votes, who grants them, when a leader gives up, who takes over.

Raft, section 5.2 and 5.4.1; pre-vote and check-quorum: dissertation, 9.6 and 6.2; leadership
transfer: dissertation, 3.10. Logs are compared here but never changed, but for the new leader's
first entry.
"""

from kvstore.raft.quorum import VoteResult
from kvstore.raft.state import RaftState
from kvstore.raft.types import NO_MEMBER, RequestVote, Role, TimeoutNow, VoteReply


def hears_a_leader(state: RaftState) -> bool:
    """Tell whether a live leader is heard, so that nobody else gets a vote.

    Otherwise a member that was cut off, or removed, would depose a leader that works
    (dissertation, 4.2.3 and 9.6).
    """
    is_fresh = state.election_elapsed < state.config.election_ticks
    return state.leader_id != NO_MEMBER and is_fresh


def tick(state: RaftState) -> None:
    """A follower or candidate that hears nobody for its timeout campaigns (Raft, 5.2)."""
    state.election_elapsed += 1
    if state.is_promotable and state.election_elapsed >= state.election_timeout_ticks:
        campaign(state)


def tick_leader(state: RaftState) -> None:
    """A leader that a quorum has not answered for too long steps down.

    A new leader may exist where it cannot see it (dissertation, 6.2). Silence is counted for each
    member by itself: a check once per timeout would notice only at the second one what happened
    right after the first. A transfer that took an election timeout is given up, so that proposals
    are accepted again.
    """
    heard = {state.member_id}
    for member, progress in state.peers():
        progress.silent_ticks += 1
        if state.hears(progress):
            heard.add(member)
    if not state.quorum.is_reached_by(heard):
        state.become_follower(state.term, NO_MEMBER)
        return
    state.election_elapsed += 1
    if state.election_elapsed >= state.config.election_ticks:
        state.election_elapsed = 0
        state.transferee = NO_MEMBER


def campaign(state: RaftState) -> None:
    """Ask first whether an election could be won at all (dissertation, 9.6)."""
    state.become_pre_candidate()
    _request_votes(state, term=state.term + 1, pre_vote=True, transfer=False)
    _count_vote(state, state.member_id, granted=True)


def _campaign_for_real(state: RaftState, *, transfer: bool) -> None:
    """Enter a new term and ask for votes (Raft, Figure 2, Candidates).

    Our own vote is like any other: it counts once it is durable (`count_own_vote`). Otherwise a
    member alone could lead a term, crash, and lead the same term with another log.
    """
    state.become_candidate()
    _request_votes(state, term=state.term, pre_vote=False, transfer=transfer)


def _request_votes(state: RaftState, *, term: int, pre_vote: bool, transfer: bool) -> None:
    for voter in state.voters:
        if voter != state.member_id:
            state.send(
                RequestVote(
                    to=voter,
                    sender=state.member_id,
                    term=term,
                    last_index=state.log.last_index,
                    last_term=state.log.last_term,
                    pre_vote=pre_vote,
                    transfer=transfer,
                )
            )


def on_request_vote(state: RaftState, message: RequestVote) -> None:
    """Vote once per term, and only for a log at least as up-to-date (Raft, 5.2 and 5.4.1).

    A pre-vote for a term to come binds nobody.
    """
    is_free = state.vote == NO_MEMBER and state.leader_id == NO_MEMBER
    is_about_the_future = message.pre_vote and message.term > state.term
    granted = (is_free or state.vote == message.sender or is_about_the_future) and (
        state.log.is_up_to_date(message.last_index, message.last_term)
    )
    if granted and not message.pre_vote:
        state.vote = message.sender
        state.election_elapsed = 0
    if not granted:
        _refuse(state, message)
        return
    # A granted pre-vote names the term that it is good for.
    state.send(
        VoteReply(
            to=message.sender,
            sender=state.member_id,
            term=message.term,
            granted=True,
            pre_vote=message.pre_vote,
        )
    )


def refuse_stale_pre_vote(state: RaftState, message: RequestVote) -> None:
    """Tell a candidate of an older term which term it is, or it might never learn."""
    _refuse(state, message)


def _refuse(state: RaftState, message: RequestVote) -> None:
    state.send(
        VoteReply(
            to=message.sender,
            sender=state.member_id,
            term=state.term,
            granted=False,
            pre_vote=message.pre_vote,
            commit=state.log.commit,
            commit_term=state.log.term(state.log.commit),
        )
    )


def on_vote_reply(state: RaftState, message: VoteReply) -> None:
    """Count a vote, if it answers the campaign that is under way."""
    if not message.granted:
        learn_commit(state, message)
    expected = Role.PRE_CANDIDATE if message.pre_vote else Role.CANDIDATE
    is_for_next_term = message.pre_vote and message.granted
    if state.role is expected and message.term == state.term + is_for_next_term:
        _count_vote(state, message.sender, granted=message.granted)


def learn_commit(state: RaftState, message: VoteReply) -> None:
    """Who refuses us may know more, and be the only one that does.

    A leader that has applied its own removal leads no more, and nobody else may know that the
    removal is committed. The others still need its vote, which a longer log forbids: they would
    ask for ever. What is committed anywhere is committed, whatever the term of who says so, and if
    it changes who votes we must apply it before we ask again.
    """
    log = state.log
    if not state.is_leader and log.matches(message.commit, message.commit_term):
        log.commit_to(message.commit)
        if state.role is not Role.FOLLOWER and not state.is_promotable:
            state.become_follower(state.term, NO_MEMBER)


def count_own_vote(state: RaftState) -> None:
    """Our disk has what we said: if that is our vote for ourselves, it counts now."""
    if state.role is Role.CANDIDATE and state.durable_term == state.term:
        _count_vote(state, state.member_id, granted=True)


def _count_vote(state: RaftState, voter: int, *, granted: bool) -> None:
    # The first answer stands: a repeated message changes nothing.
    state.votes.setdefault(voter, granted)
    result = state.quorum.vote_result(state.votes)
    if result is VoteResult.LOST:
        state.become_follower(state.term, NO_MEMBER)
    elif result is VoteResult.WON and state.role is Role.PRE_CANDIDATE:
        _campaign_for_real(state, transfer=False)
    elif result is VoteResult.WON:
        state.become_leader()


def transfer_leadership(state: RaftState, to: int) -> bool:
    """Hand leadership to a voter as soon as it has the whole log; False: not possible."""
    if not state.is_leader or to == state.member_id or to not in state.voters:
        return False
    state.transferee = to
    state.election_elapsed = 0  # The transfer has one election timeout to succeed.
    offer_leadership(state, to)
    return True


def offer_leadership(state: RaftState, to: int) -> None:
    """Tell the transferee to campaign at once if its log is complete (dissertation, 3.10)."""
    if state.transferee == to and state.progress[to].match == state.log.last_index:
        state.send(TimeoutNow(to=to, sender=state.member_id, term=state.term))


def on_timeout_now(state: RaftState) -> None:
    """The leader asks us to take over: campaign without a pre-vote, past all stickiness."""
    if state.is_promotable and not state.is_leader:
        _campaign_for_real(state, transfer=True)
