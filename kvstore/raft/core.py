"""`Raft`: one member's consensus core, the only thing that drivers see.

Messages, ticks and proposals go in; `ready()` says what must be written, sent and applied. The
rules live in `election`, `replication`, `reconfiguration` and `read_index`; here each message finds
its rule, terms are compared, and durability is accounted for.
"""

from collections.abc import Callable, Collection, Sequence
from typing import assert_never

from kvstore.raft import election, membership, read_index, reconfiguration, replication
from kvstore.raft.progress import ProgressState
from kvstore.raft.state import RaftState
from kvstore.raft.types import (
    NO_MEMBER,
    AppendEntries,
    AppendReply,
    Config,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    MembershipChange,
    Message,
    Propose,
    ReadIndexReply,
    ReadIndexRequest,
    Ready,
    RequestVote,
    Restored,
    Role,
    TimeoutNow,
    VoteReply,
)


class Raft:
    """A member of a Raft cluster, as a state machine without I/O.

    `draw_election_ticks` rolls the dice of each election timeout: at least
    `config.election_ticks`, usually less than twice that.
    """

    def __init__(
        self, config: Config, restored: Restored, draw_election_ticks: Callable[[], int]
    ) -> None:
        assert config.member_id != NO_MEMBER
        self.state = RaftState(config, restored, draw_election_ticks)
        self._in_flight: Ready | None = None

    @property
    def term(self) -> int:
        """The current term, durable or not."""
        return self.state.term

    @property
    def vote(self) -> int:
        """Who got our vote in this term."""
        return self.state.vote

    @property
    def leader_id(self) -> int:
        """The leader of this term as far as we know, or NO_MEMBER."""
        return self.state.leader_id

    @property
    def role(self) -> Role:
        """What this member is in its term."""
        return self.state.role

    @property
    def commit_index(self) -> int:
        """Highest index known to be committed."""
        return self.state.log.commit

    @property
    def applied_index(self) -> int:
        """Highest index that the driver has reported as applied, or that a snapshot covers."""
        return self.state.log.applied

    @property
    def last_index(self) -> int:
        """Index of the newest entry."""
        return self.state.log.last_index

    @property
    def first_index(self) -> int:
        """First index behind the compaction point."""
        return self.state.log.compacted_index + 1

    @property
    def membership(self) -> Membership:
        """The membership in effect."""
        return self.state.membership

    def tick(self) -> None:
        """One tick of time has passed."""
        state = self.state
        if state.is_leader:
            election.tick_leader(state)
        else:
            election.tick(state)
            read_index.tick_follower(state)
        if state.is_leader:
            replication.tick_leader(state)

    @property
    def silence_ticks(self) -> int:
        """Ticks since a leader was heard, a vote given or a campaign begun (leaders: as it is)."""
        return self.state.election_elapsed

    def pass_over(self, ticks: int) -> None:
        """Count ticks that nobody noticed as silence of the leader; the next tick may campaign.

        A leader is not concerned: who has answered it is known by real ticks only.
        """
        if not self.state.is_leader:
            self.state.election_elapsed += ticks

    def campaign(self) -> None:
        """Try to become the leader now instead of after the election timeout."""
        if self.state.is_promotable and not self.state.is_leader:
            election.campaign(self.state)

    def propose(self, data: Sequence[bytes]) -> bool:
        """Add entries to the log, by way of the leader; False: dropped, ask again later.

        True is no promise: only an entry that comes back in `Ready.committed` is in the log.
        """
        return replication.propose(self.state, data)

    @property
    def is_settled(self) -> bool:
        """Tell whether we lead for good: an entry of our term is committed, nobody takes over."""
        return reconfiguration.is_settled(self.state)

    def may_propose_membership(self) -> bool:
        """Tell whether we are settled, and no change of the membership is in flight."""
        return reconfiguration.may_propose(self.state)

    def propose_membership(self, data: bytes) -> bool:
        """Add a change of the membership to the log we lead; False: not now (see above).

        What the bytes mean is the driver's affair: when the entry comes back in
        `Ready.committed`, it calls `change_membership`, or not if the change is void.
        """
        return reconfiguration.propose(self.state, data)

    def change_membership(self, change: MembershipChange) -> None:
        """An entry of kind MEMBERSHIP with this meaning is applied: it is in effect now.

        A snapshot that was stepped meanwhile, and waits to be installed, has brought a newer one.
        """
        if not self.is_installing:
            reconfiguration.adopt(self.state, membership.changed(self.membership, change))

    def leave_joint(self) -> None:
        """An entry of kind MEMBERSHIP without data is applied: the joint consensus is over."""
        if not self.is_installing:
            reconfiguration.adopt(self.state, membership.left_joint(self.membership))

    @property
    def is_installing(self) -> bool:
        """Tell whether a snapshot was stepped whose Ready is not done: the membership is its."""
        return self.state.snapshot is not None

    def has_caught_up(self, member: int, share: float) -> bool:
        """Tell whether we lead and a member's log has that share of ours."""
        progress = self.state.progress.get(member) if self.state.is_leader else None
        return progress is not None and progress.match >= share * self.state.log.durable

    def read_index(self, context: int) -> bool:
        """Ask at which index a linearizable read may be served; False: no leader, or too many.

        The answer comes as `Ready.reads` or `Ready.rejected_reads`. A context must not be used
        twice by this member, not even after a restart: a late answer would fit the wrong read.
        """
        return read_index.read_index(self.state, self.state.member_id, context)

    def transfer_leadership(self, to: int) -> bool:
        """Hand leadership over to a voter; False: we do not lead, or it is none."""
        return election.transfer_leadership(self.state, to)

    def best_successor(self, connected: Collection[int]) -> int:
        """Who of these can take leadership over soonest; NO_MEMBER if nobody (leaders know).

        Another voter, that was heard lately, with the longest log.
        """
        state = self.state
        others = [member for member in state.voters if member != state.member_id]

        def fitness(member: int) -> tuple[bool, int]:
            progress = state.progress[member]
            return state.hears(progress), progress.match

        candidates = [member for member in others if member in connected]
        return max(candidates, key=fitness, default=NO_MEMBER)

    def lags_behind(self, member: int, index: int) -> bool:
        """Tell whether we lead and a member does not yet replicate from `index` on."""
        progress = self.state.progress.get(member) if self.state.is_leader else None
        if progress is None:
            return False
        return progress.state is not ProgressState.REPLICATE or progress.match < index

    def step(self, message: Message) -> None:  # noqa: C901 (one case per message, nothing else)
        """Take a message from another member (a snapshot: from our own driver)."""
        state = self.state
        if message.to != state.member_id or not self._agree_on_term(message):
            return
        match message:
            case RequestVote():
                election.on_request_vote(state, message)
            case VoteReply():
                election.on_vote_reply(state, message)
            case AppendEntries():
                replication.on_append(state, message)
            case AppendReply():
                replication.on_append_reply(state, message)
                election.offer_leadership(state, message.sender)
            case Heartbeat():
                replication.on_heartbeat(state, message)
            case HeartbeatReply():
                replication.on_heartbeat_reply(state, message)
                read_index.on_heartbeat_reply(state, message)
                election.offer_leadership(state, message.sender)  # the first may be lost
            case ReadIndexRequest():
                read_index.on_request(state, message)
            case ReadIndexReply():
                read_index.on_reply(state, message)
            case Propose():
                replication.on_propose(state, message)
            case InstallSnapshot():
                replication.on_install_snapshot(state, message)
            case TimeoutNow():
                election.on_timeout_now(state)
            case _:
                assert_never(message)

    def _agree_on_term(self, message: Message) -> bool:
        """Compare terms (Raft, Figure 2, Rules for all servers); False: nothing more to do."""
        state = self.state
        if message.term > state.term:
            return self._on_newer_term(message)
        if message.term < state.term:
            self._on_older_term(message)
            return False
        return True

    def _on_newer_term(self, message: Message) -> bool:
        state = self.state
        match message:
            case RequestVote() if not message.transfer and election.hears_a_leader(state):
                return False
            case RequestVote(pre_vote=True) | VoteReply(pre_vote=True, granted=True):
                pass  # Pre-votes speak of a term that nobody has entered yet.
            case AppendEntries() | Heartbeat() | InstallSnapshot():
                state.become_follower(message.term, message.sender)
            case _:
                state.become_follower(message.term, NO_MEMBER)
        return True

    def _on_older_term(self, message: Message) -> None:
        match message:
            case AppendEntries() | Heartbeat():
                replication.answer_stale_leader(self.state, message.sender)
            case RequestVote(pre_vote=True):
                election.refuse_stale_pre_vote(self.state, message)
            case VoteReply(granted=False):
                election.learn_commit(self.state, message)
            case _:
                pass  # Its sender learns of the new term soon enough.

    def has_ready(self) -> bool:
        """Tell whether there is anything for the driver to do; False while a Ready is under way."""
        state = self.state
        log = state.log
        return self._in_flight is None and bool(
            state.appends
            or state.promises
            or log.handed < log.last_index
            or log.handed_committed < log.commit
            or state.snapshot is not None
            or state.hard_state != state.written_hard_state
            or state.reads
            or state.rejected_reads
            or replication.has_appends(state)
            or read_index.has_round_to_start(state)
        )

    def ready(self) -> Ready:
        """Take all that is to be done. The next Ready comes only after `stored` of this one."""
        assert self._in_flight is None, "one Ready at a time"
        state = self.state
        if read_index.has_round_to_start(state):
            read_index.start_round(state)
        replication.send_appends(state)

        hard_state, written = state.hard_state, state.written_hard_state
        entries = state.log.hand_unwritten()
        is_new_vote = (hard_state.term, hard_state.vote) != (written.term, written.vote)
        ready = Ready(
            hard_state=hard_state if hard_state != written else None,
            must_sync=bool(entries) or is_new_vote,
            entries=entries,
            snapshot=state.snapshot,
            committed=state.log.hand_committed(),
            appends=tuple(state.appends),
            promises=tuple(state.promises),
            reads=tuple(state.reads),
            rejected_reads=tuple(state.rejected_reads),
            snapshots_wanted=tuple(state.snapshots_wanted),
        )
        state.written_hard_state = hard_state
        state.forget_handed_over()
        self._in_flight = ready
        return ready

    def take_appends(self) -> tuple[Message, ...]:
        """Messages that wait for no sync, also while a Ready is under way.

        Heartbeats and their answers must flow while a disk is slow, or it costs the leadership.
        """
        appends = tuple(self.state.appends)
        self.state.appends.clear()
        return appends

    def stored(self, ready: Ready) -> None:
        """All of `ready` is durable: from now on a leader counts itself for it."""
        assert ready is self._in_flight, "not the Ready that is under way"
        self._in_flight = None
        state = self.state
        state.log.durable = state.log.handed
        if ready.hard_state is not None:
            state.durable_term = ready.hard_state.term
        if state.snapshot is ready.snapshot:
            state.snapshot = None
        election.count_own_vote(state)
        if state.is_leader:
            state.acknowledge_own_log()
            replication.maybe_commit(state)

    def applied(self, index: int) -> None:
        """The state machine has applied everything up to `index`."""
        log = self.state.log
        assert index <= log.handed_committed, "applied what was never handed over"
        # A snapshot that was stepped meanwhile covers more already.
        log.applied = max(log.applied, index)
        if self.state.membership.outgoing and self.state.is_leader:
            reconfiguration.leave_joint(self.state)

    def hold_commits(self, holds: bool) -> None:
        """Tell members of commits with their next entries, unless somebody there waits for them.

        A leader that will soon append again saves them a message. What they have not been told
        they neither serve nor show to their watchers, so do not hold for long.
        """
        self.state.holds_commits = holds

    def compact(self, index: int) -> None:
        """Forget entries up to `index`; members that still need them will get a snapshot."""
        self.state.log.compact(index)

    def report_snapshot(self, member: int, index: int, ok: bool) -> None:
        """The snapshot stream to `member`, up to `index`, has been stored there or has failed."""
        replication.report_snapshot(self.state, member, index, ok=ok)

    def report_unreachable(self, member: int) -> None:
        """Messages to `member` were lost."""
        replication.report_unreachable(self.state, member)

    def check_invariants(self) -> None:
        """Assert what must hold between any two calls."""
        self.state.check_invariants()
