"""Changes of the membership: when one may be proposed, and what takes effect once it is applied.

One change is in flight at a time, and it counts from the moment it is applied, as in etcd (the
paper counts it from its append; Raft, section 6, dissertation, chapter 4). Three rules make that
safe. A leader proposes a change only once all earlier ones are applied and an entry of its own
term is committed. So whoever has a change in its log may take those before it for committed, also
after a crash that lost its commit index. And nobody campaigns who knows of a committed change that
it has not applied: it would ask the wrong quorum.
"""

from kvstore.raft import membership as members
from kvstore.raft.progress import Progress
from kvstore.raft.state import RaftState
from kvstore.raft.types import NO_MEMBER, EntryKind, Membership


def is_settled(state: RaftState) -> bool:
    """Tell whether we lead, know what is committed, and are not about to lead no more."""
    return state.is_leader and state.transferee == NO_MEMBER and state.has_committed_in_term


def may_propose(state: RaftState) -> bool:
    """Tell whether we are settled as the leader and no change is in flight."""
    indexes = state.log.membership_indexes
    is_one_in_flight = bool(indexes) and indexes[-1] > state.log.applied
    return is_settled(state) and not is_one_in_flight and not state.membership.outgoing


def propose(state: RaftState, data: bytes) -> bool:
    """Append a change to the log we lead; False: not now."""
    assert data, "empty is the end of a joint consensus"
    if not may_propose(state):
        return False
    state.append((data,), EntryKind.MEMBERSHIP)
    return True


def leave_joint(state: RaftState) -> None:
    """End a joint consensus as soon as its beginning is applied: one more entry (Raft, 6)."""
    indexes = state.log.membership_indexes
    is_one_in_flight = bool(indexes) and indexes[-1] > state.log.applied
    if state.has_committed_in_term and not is_one_in_flight:
        state.append((b"",), EntryKind.MEMBERSHIP)


def adopt(state: RaftState, membership: Membership) -> None:
    """A change is applied: this is the membership now."""
    state.set_membership(membership)
    if not state.is_leader:
        return
    current = members.members(membership)
    for member in state.progress.keys() - current:
        del state.progress[member]
    for member in current:
        if member not in state.progress:
            state.progress[member] = Progress(
                state.log.last_index + 1, state.config.inflight_appends_max
            )
    if state.transferee not in state.voters:
        state.transferee = NO_MEMBER
    if state.member_id not in state.voters:
        _resign(state)


def _resign(state: RaftState) -> None:
    """A leader that votes no more tells the others that this is committed, and leads no longer
    (dissertation, 4.2.2)."""
    state.send_heartbeats()
    state.become_follower(state.term, NO_MEMBER)
