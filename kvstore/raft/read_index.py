"""Linearizable reads without writing to the log (Raft, section 8; dissertation, 6.4).

A read may be served at the commit index of a leader that, after the read was asked for, a quorum
still took for the leader. One round of heartbeats confirms a whole batch of reads; what arrives
meanwhile joins the next. A follower that asks for its reads has confirmed them itself. Leases,
which would trust clocks, do not enter.
"""

from kvstore.raft.state import READS_WAITING_MAX, RaftState, ReadRound
from kvstore.raft.types import NO_MEMBER, HeartbeatReply, ReadIndexReply, ReadIndexRequest


def read_index(state: RaftState, member: int, context: int) -> bool:
    """Queue a read of `member`; False: there is no leader, or too many wait."""
    if state.leader_id == NO_MEMBER or len(state.waiting_reads) >= READS_WAITING_MAX:
        return False
    state.waiting_reads[member, context] = None
    return True


def has_round_to_start(state: RaftState) -> bool:
    """Tell whether reads wait that can be asked about now.

    A new leader does not know what is committed until an entry of its own term is.
    """
    if not state.waiting_reads or state.read_round is not None:
        return False
    return state.has_committed_in_term if state.is_leader else True


def start_round(state: RaftState) -> None:
    """Ask about all the reads that wait: the quorum if we lead, else the leader."""
    reads = list(state.waiting_reads)
    state.waiting_reads = {}
    if state.is_leader:
        state.read_round_number += 1
        state.read_round = ReadRound(state.read_round_number, state.log.commit, reads)
        state.heartbeat_elapsed = 0
        state.send_heartbeats()
        _confirm(state, state.member_id)
    else:
        # Named by its first read, so that no answer to a request of another life fits it.
        state.read_round = ReadRound(reads[0][1], 0, reads)
        _ask_leader(state, state.read_round)


def _ask_leader(state: RaftState, read_round: ReadRound) -> None:
    state.send(
        ReadIndexRequest(
            to=state.leader_id,
            sender=state.member_id,
            term=state.term,
            context=read_round.number,
        )
    )


def tick_follower(state: RaftState) -> None:
    """Ask the leader again, the request or its answer may be lost."""
    state.heartbeat_elapsed += 1
    if state.heartbeat_elapsed >= state.config.heartbeat_ticks:
        state.heartbeat_elapsed = 0
        if state.read_round is not None:
            _ask_leader(state, state.read_round)


def on_request(state: RaftState, message: ReadIndexRequest) -> None:
    """A follower asks: answer at once, or let its reads wait like ours, or send it elsewhere.

    It was in our term after its reads were asked for, and so are we now. Where the two of us are
    a quorum, as of three members, nobody was elected in a later term before they were asked for.
    """
    member, context = message.sender, message.context
    if not state.is_leader:
        state.answer_read(member, context, 0)
    elif state.has_committed_in_term and state.quorum.is_reached_by({state.member_id, member}):
        state.answer_read(member, context, state.log.commit)
    elif not read_index(state, member, context):
        state.answer_read(member, context, 0)


def on_heartbeat_reply(state: RaftState, message: HeartbeatReply) -> None:
    """A member confirms that we led when the round that it names had begun."""
    if state.read_round is not None and state.read_round.number == message.read_context:
        _confirm(state, message.sender)


def _confirm(state: RaftState, member: int) -> None:
    read_round = state.read_round
    assert read_round is not None
    read_round.confirmed_by.add(member)
    if state.quorum.is_reached_by(read_round.confirmed_by):
        _finish(state, read_round, read_round.index)


def on_reply(state: RaftState, message: ReadIndexReply) -> None:
    """The leader's answer to our request; one to an older request is worth nothing."""
    read_round = state.read_round
    if state.is_leader or read_round is None or read_round.number != message.context:
        return
    _finish(state, read_round, message.index)


def _finish(state: RaftState, read_round: ReadRound, index: int) -> None:
    state.read_round = None
    for member, context in read_round.reads:
        state.answer_read(member, context, index)
