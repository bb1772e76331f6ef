"""Replication: the leader's appends, the followers' answers, commit, heartbeats, snapshots.

Raft, section 5.3, 5.4.2 and 7. The leader's side is level-triggered: handlers only update what is
known of a member, and `send_appends` then sends whatever that knowledge allows. So all proposals
between two Readys share one append per member.
"""

from collections.abc import Sequence

from kvstore.raft.log import ENTRY_OVERHEAD_BYTES
from kvstore.raft.progress import Progress, ProgressState
from kvstore.raft.state import RaftState
from kvstore.raft.types import (
    NO_MEMBER,
    AppendEntries,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Propose,
)


def tick_leader(state: RaftState) -> None:
    """Heartbeats keep elections away and lost messages from stalling anything."""
    state.heartbeat_elapsed += 1
    if state.heartbeat_elapsed >= state.config.heartbeat_ticks:
        state.heartbeat_elapsed = 0
        state.send_heartbeats()


def propose(state: RaftState, data: Sequence[bytes]) -> bool:
    """Append to the log we lead, or forward to the leader; False: dropped.

    Dropped are proposals without a leader, during a transfer (the transferee must catch up) and
    beyond the backlog that may wait for its commit.
    """
    added_bytes = sum(map(len, data)) + ENTRY_OVERHEAD_BYTES * len(data)
    if not state.is_leader:
        return _forward(state, tuple(data), added_bytes)
    if state.transferee != NO_MEMBER:
        return False
    backlog_bytes = state.log.bytes_between(state.log.commit, state.log.last_index)
    if backlog_bytes and backlog_bytes + added_bytes > state.config.uncommitted_bytes_max:
        return False
    state.append(data)
    return True


def _forward(state: RaftState, data: tuple[bytes, ...], added_bytes: int) -> bool:
    """Send proposals to the leader, in messages no larger than its appends."""
    total_bytes = state.forwarded_bytes + added_bytes
    is_too_much = state.forwarded_bytes and total_bytes > state.config.uncommitted_bytes_max
    if state.leader_id == NO_MEMBER or is_too_much:
        return False
    state.forwarded_bytes = total_bytes
    start, size = 0, 0
    for position, item in enumerate(data):
        size += len(item) + ENTRY_OVERHEAD_BYTES
        if position > start and size > state.config.append_bytes_max:
            _send_proposals(state, data[start:position])
            start, size = position, len(item) + ENTRY_OVERHEAD_BYTES
    _send_proposals(state, data[start:])
    return True


def _send_proposals(state: RaftState, data: tuple[bytes, ...]) -> None:
    state.send(Propose(to=state.leader_id, sender=state.member_id, term=state.term, data=data))


def on_propose(state: RaftState, message: Propose) -> None:
    """A follower's proposals. A former leader drops them: forwarding could go round in circles."""
    if state.is_leader:
        state.proposer = message.sender
        if propose(state, message.data) and message.sender in state.progress:
            state.progress[message.sender].awaits(state.log.last_index)


def has_appends(state: RaftState) -> bool:
    """Tell whether `send_appends` would send anything."""
    return any(_can_send(state, progress) for _, progress in state.peers())


def send_appends(state: RaftState) -> None:
    """Send to every member what it lacks, as far as its window allows.

    Who forwarded the latest proposals comes first: its clients wait, and with the leader it may be
    the quorum.
    """
    log = state.log
    for member, progress in sorted(state.peers(), key=lambda peer: peer[0] != state.proposer):
        while _can_send(state, progress):
            if progress.next <= log.compacted_index:
                _want_snapshot(state, member, progress)
            else:
                _send_append(state, member, progress)


def _can_send(state: RaftState, progress: Progress) -> bool:
    return progress.can_send(
        state.log.last_index, state.log.commit, holds_commits=state.holds_commits
    )


def _send_append(state: RaftState, member: int, progress: Progress) -> None:
    log = state.log
    previous_index = progress.next - 1
    entries: tuple[Entry, ...] = ()
    if not progress.is_full:
        entries = log.entries_within(progress.next, state.config.append_bytes_max)
    state.send(
        AppendEntries(
            to=member,
            sender=state.member_id,
            term=state.term,
            previous_index=previous_index,
            previous_term=log.term(previous_index),
            commit=log.commit,
            entries=entries,
            needs_reply=progress.needs_reply(len(entries)),
        )
    )
    progress.sent(len(entries), log.commit)


def _want_snapshot(state: RaftState, member: int, progress: Progress) -> None:
    """What the member needs next is compacted: only a snapshot helps (Raft, 7).

    Nothing is streamed to a member that is silent; its next sign of life brings us here again.
    """
    if state.hears(progress):
        progress.become_snapshot()
        state.snapshots_wanted.append(member)
    else:
        progress.become_probe(progress.next)
        progress.is_probed = True


def on_append(state: RaftState, message: AppendEntries) -> None:
    """A follower takes over the leader's entries (Raft, Figure 2, AppendEntries RPC).

    The answer waits for the sync of everything that is in the log by then.
    """
    state.follow(message.sender)
    log = state.log
    if message.previous_index < log.commit:
        # Committed entries agree with every leader's log; there is nothing to compare.
        match_index = log.commit
    elif log.merge(message.previous_index, message.previous_term, message.entries):
        # Not beyond what this message has verified: a tail behind it may be of a lost leader.
        match_index = message.previous_index + len(message.entries)
        log.commit_to(min(message.commit, match_index))
    else:
        _reject(state, message.sender, message.previous_index, message.previous_term)
        return
    if message.needs_reply:
        _acknowledge(state, message.sender, match_index)


def _acknowledge(state: RaftState, leader: int, match_index: int) -> None:
    state.send(
        AppendReply(to=leader, sender=state.member_id, term=state.term, match_index=match_index)
    )


def _reject(state: RaftState, leader: int, index: int, term: int) -> None:
    """Name the last entry that may match, so that the leader skips whole terms."""
    hint_index = state.log.find_by_term(index, term)
    state.send(
        AppendReply(
            to=leader,
            sender=state.member_id,
            term=state.term,
            is_rejected=True,
            rejected_index=index,
            hint_index=hint_index,
            hint_term=state.log.term(hint_index),
        )
    )


def answer_stale_leader(state: RaftState, leader: int) -> None:
    """Show a leader of an older term the new one, so that it steps down or catches up.

    Silence would leave a member with a higher term cut off for ever: it ignores the leader, and
    with pre-vote and check-quorum the others ignore it (dissertation, 9.6; etcd does the same).
    """
    _acknowledge(state, leader, 0)


def on_append_reply(state: RaftState, message: AppendReply) -> None:
    """Learn how far a member's durable log agrees, and commit what a quorum has."""
    progress = state.progress.get(message.sender)
    if progress is None:
        return
    progress.silent_ticks = 0
    log = state.log
    if message.is_rejected:
        progress.reject(
            message.rejected_index, log.find_by_term(message.hint_index, message.hint_term)
        )
        return
    assert message.match_index <= log.last_index, "a member has committed what its leader lacks"
    progress.acknowledge(message.match_index, log.compacted_index + 1)
    if progress.match > log.commit:  # or it changes nothing
        maybe_commit(state)


def maybe_commit(state: RaftState) -> None:
    """Commit what a quorum has, if it is of this term.

    An older term's entry is never committed by counting replicas: a later leader could still
    overwrite it (Raft, 5.4.2 and Figure 8). It commits along with the first one of this term.
    """
    matches = {member: progress.match for member, progress in state.progress.items()}
    index = state.quorum.committed_index(matches)
    if index > state.log.commit and state.log.term(index) == state.term:
        state.log.commit_to(index)


def on_heartbeat(state: RaftState, message: Heartbeat) -> None:
    """The leader lives and what it says is committed here is."""
    state.follow(message.sender)
    if message.commit > state.log.last_index:
        # The leader believes what we once acknowledged, but our disk was wiped since: say so.
        _reject(state, message.sender, message.commit, message.term)
    else:
        state.log.commit_to(message.commit)
    state.send(
        HeartbeatReply(
            to=message.sender,
            sender=state.member_id,
            term=state.term,
            read_context=message.read_context,
        )
    )


def on_heartbeat_reply(state: RaftState, message: HeartbeatReply) -> None:
    """A member lives: send again what it may have missed."""
    progress = state.progress.get(message.sender)
    if progress is not None:
        progress.heard(state.log.last_index)


def on_install_snapshot(state: RaftState, message: InstallSnapshot) -> None:
    """A snapshot is on our disk: adopt it if it is ahead of us (Raft, 7 and Figure 13)."""
    state.follow(message.sender)
    log, meta = state.log, message.meta
    if meta.index > log.commit:
        if log.matches(meta.index, meta.term):
            # The log has it all and what follows: nothing to throw away.
            log.commit_to(meta.index)
        else:
            log.reset(meta)
            state.set_membership(meta.membership)
            state.snapshot = meta
    _acknowledge(state, message.sender, log.commit)


def report_snapshot(state: RaftState, member: int, index: int, *, ok: bool) -> None:
    """The driver's stream to `member` has ended: if `ok`, it has everything up to `index`."""
    progress = state.progress.get(member)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    # It may have answered meanwhile: `become_probe` never goes below what it acknowledged. We do
    # not believe beyond our log's end: the stream is of applied state, so the log has its index.
    progress.become_probe(min(index, state.log.last_index) + 1 if ok else progress.match + 1)
    # After a failure not before the next sign of life, or streams would follow one another.
    progress.is_probed = not ok


def report_unreachable(state: RaftState, member: int) -> None:
    """Messages to `member` were lost: find out how far it has got instead of streaming on."""
    progress = state.progress.get(member)
    if progress is not None and progress.state is ProgressState.REPLICATE:
        progress.become_probe(progress.match + 1)
