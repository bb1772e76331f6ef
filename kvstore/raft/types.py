"""Records of the consensus core: entries, messages, memberships, `Ready`.

Pure data; everything that crosses the wire or reaches the disk is a frozen struct. Member id 0
means "none"; indexes and terms start at 1, 0 means "before the first".
"""

from enum import IntEnum
from typing import Annotated

import msgspec

NO_MEMBER = 0

# Ids, indexes and terms: what arrives from the network is refused when it is negative.
Natural = Annotated[int, msgspec.Meta(ge=0)]


class _Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of plain records: an array on the wire."""


class _Message(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True, kw_only=True):
    """Base of messages. Each has a term, a sender and a receiver."""

    to: Natural
    sender: Natural
    term: Natural


class EntryKind(IntEnum):
    """What an entry's data means."""

    NORMAL = 0
    MEMBERSHIP = 1


class Entry(_Record, frozen=True):
    """One log entry. Empty data is the core's own: with kind NORMAL a leader's first entry, with
    kind MEMBERSHIP the end of a joint consensus."""

    index: Natural
    term: Natural
    data: bytes = b""
    kind: EntryKind = EntryKind.NORMAL


class HardState(_Record, frozen=True):
    """What must survive a crash besides the log (Raft, Figure 2); commit is only a hint."""

    term: Natural = 0
    vote: Natural = NO_MEMBER
    commit: Natural = 0


class Membership(_Record, frozen=True):
    """Who votes. `outgoing` is empty except within joint consensus; ids are never reused."""

    voters: tuple[Natural, ...] = ()
    outgoing: tuple[Natural, ...] = ()
    learners: tuple[Natural, ...] = ()
    learners_next: tuple[Natural, ...] = ()
    removed: tuple[Natural, ...] = ()


class MembershipChange(_Record, frozen=True):
    """What a change makes of members: voters, learners, or no members any more.

    Named are only those that change; a learner that becomes a voter is promoted.
    """

    voters: tuple[Natural, ...] = ()
    learners: tuple[Natural, ...] = ()
    removed: tuple[Natural, ...] = ()


class SnapshotMeta(_Record, frozen=True):
    """What a snapshot covers: everything up to and including `index`."""

    index: Natural
    term: Natural
    membership: Membership


class RequestVote(_Message, frozen=True, tag="rv"):
    """A candidate asks (`pre_vote`: would you vote? — at `term`, which it has not adopted yet).

    `transfer`: the leader itself asked for this campaign, so stickiness does not apply.
    """

    last_index: Natural
    last_term: Natural
    pre_vote: bool = False
    transfer: bool = False


class VoteReply(_Message, frozen=True, tag="vr"):
    """The answer to RequestVote. A refusal names the last entry known to be committed."""

    granted: bool
    pre_vote: bool = False
    commit: Natural = 0
    commit_term: Natural = 0


class AppendEntries(_Message, frozen=True, tag="ae"):
    """Entries after (`previous_index`, `previous_term`); with none it probes.

    Unless `needs_reply`, it only tells what is committed: if it is lost a heartbeat says it again,
    and there is no reply but a rejection.
    """

    previous_index: Natural
    previous_term: Natural
    commit: Natural
    entries: tuple[Entry, ...] = ()
    needs_reply: bool = True


class AppendReply(_Message, frozen=True, tag="ar"):
    """A durable follower log up to `match_index`; or a rejection of `rejected_index`.

    On rejection `hint_index`/`hint_term` name the follower's last entry that may match.
    """

    match_index: Natural = 0
    is_rejected: bool = False
    rejected_index: Natural = 0
    hint_index: Natural = 0
    hint_term: Natural = 0


class Heartbeat(_Message, frozen=True, tag="hb"):
    """The leader lives. `read_context` (0 = none) asks for a confirmation of leadership."""

    commit: Natural
    read_context: Natural = 0


class HeartbeatReply(_Message, frozen=True, tag="hr"):
    """The answer to Heartbeat, with its `read_context`."""

    read_context: Natural = 0


class ReadIndexRequest(_Message, frozen=True, tag="rq"):
    """A follower forwards a linearizable read; `context` is the follower's own number."""

    context: Natural


class ReadIndexReply(_Message, frozen=True, tag="ri"):
    """The index to wait for; 0 = the receiver is no leader (any more), ask again."""

    context: Natural
    index: Natural


class Propose(_Message, frozen=True, tag="pr"):
    """A follower forwards proposals to the leader."""

    data: tuple[bytes, ...]


class InstallSnapshot(_Message, frozen=True, tag="is"):
    """A snapshot has arrived: stepped by the receiver's own driver once the file is durable."""

    meta: SnapshotMeta


class TimeoutNow(_Message, frozen=True, tag="tn"):
    """Leadership transfer: campaign at once (dissertation, 3.10)."""


Message = (
    RequestVote
    | VoteReply
    | AppendEntries
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | ReadIndexRequest
    | ReadIndexReply
    | Propose
    | InstallSnapshot
    | TimeoutNow
)


class Role(IntEnum):
    """Raft's roles; a pre-candidate asks for pre-votes and has not raised its term."""

    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one member's core. Times are in ticks."""

    member_id: int
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    append_bytes_max: int = 1024 * 1024  # entries' bytes in one AppendEntries (at least one entry)
    inflight_appends_max: int = 256
    uncommitted_bytes_max: int = 64 * 1024 * 1024  # a leader drops proposals beyond this backlog


class ReadState(_Record, frozen=True):
    """The read asked for with `context` may be served once `index` is applied."""

    context: int
    index: int


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver must do, in this order (dissertation 10.2.1; see kvstore/server/node.py).

    1. Install `snapshot` if there is one (its file is durable already): WAL marker, state machine.
    2. Queue `hard_state` and `entries` to the WAL; send `appends` while it syncs.
    3. After the sync send `promises` (votes, vote requests, acknowledgements).
    4. Call `Raft.stored(ready)`: only now does a leader count itself.
    5. Apply `committed` in order, then call `Raft.applied(index)`.
    `reads` may be served once applied; `rejected_reads` must be asked again or failed;
    `snapshots_wanted` names members that need a snapshot stream (report with `report_snapshot`).
    """

    hard_state: HardState | None = None
    must_sync: bool = False
    entries: tuple[Entry, ...] = ()
    snapshot: SnapshotMeta | None = None
    committed: tuple[Entry, ...] = ()
    appends: tuple[Message, ...] = ()
    promises: tuple[Message, ...] = ()
    reads: tuple[ReadState, ...] = ()
    rejected_reads: tuple[int, ...] = ()
    snapshots_wanted: tuple[int, ...] = ()


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver read from disk before it builds the core.

    `first` is the compaction point: entries start at `first.index + 1`. `applied` is what the
    state machine has already.
    """

    hard_state: HardState = HardState()
    first: SnapshotMeta
    entries: tuple[Entry, ...] = ()
    applied: int = 0
