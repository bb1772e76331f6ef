"""The state that election, replication and reads share, and the changes of role.

Everything mutable of the core is in `RaftState` and the records it holds. The rules of the
protocol are in the modules above; here is only what several of them need: sending, becoming
something, and what must be forgotten on the way.
"""

from collections.abc import Callable, Iterator, Sequence

from kvstore.raft import membership as members
from kvstore.raft.log import Log
from kvstore.raft.progress import Progress
from kvstore.raft.types import (
    NO_MEMBER,
    AppendReply,
    Config,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    Membership,
    Message,
    ReadIndexReply,
    ReadState,
    RequestVote,
    Restored,
    Role,
    SnapshotMeta,
    VoteReply,
)

# Reads that wait for a confirmation. Beyond it a read is refused: its caller tries again, while
# an endless queue would only hide that the quorum does not answer.
READS_WAITING_MAX = 65_536


class ReadRound:
    """A batch of reads: on a leader one round of heartbeats, on a follower one request."""

    __slots__ = ("confirmed_by", "index", "number", "reads")

    def __init__(self, number: int, index: int, reads: list[tuple[int, int]]) -> None:
        self.number = number
        self.index = index
        self.reads = reads
        self.confirmed_by: set[int] = set()


class RaftState:
    """What one member knows. `appends` and `promises` collect the messages of the next Ready."""

    def __init__(
        self, config: Config, restored: Restored, draw_election_ticks: Callable[[], int]
    ) -> None:
        self.config = config
        self.member_id = config.member_id
        self._draw_election_ticks = draw_election_ticks

        self.log = Log(restored.first, restored.entries)
        # A crash may have kept a snapshot or an entry but not the term that came with it.
        self.term = max(restored.hard_state.term, self.log.last_term)
        self.vote = restored.hard_state.vote if self.term == restored.hard_state.term else NO_MEMBER
        # The commit index on disk is a hint: later ones may be lost, and so may be its entries.
        self.log.commit_to(min(restored.hard_state.commit, self.log.last_index))
        # So may be the commit index of all changes of the membership but the last one: it was
        # proposed when they were applied (see `kvstore.raft.reconfiguration`).
        self.log.commit_to(max(self.log.membership_indexes[:-1], default=0))
        applied = max(restored.applied, restored.first.index)
        self.log.commit_to(applied)
        self.log.applied = self.log.handed_committed = applied
        self.set_membership(restored.first.membership)

        self.role = Role.FOLLOWER
        self.leader_id = NO_MEMBER
        self.transferee = NO_MEMBER
        self.votes: dict[int, bool] = {}
        self.progress: dict[int, Progress] = {}

        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.election_timeout_ticks = self._draw_timeout()

        # Reads that have not been asked about yet (a dict, for its order: asked twice is asked
        # once), the round that is under way, and the number of the leader's latest round.
        self.waiting_reads: dict[tuple[int, int], None] = {}
        self.read_round: ReadRound | None = None
        self.read_round_number = 0

        self.durable_term = self.term
        self.written_hard_state = self.hard_state
        self.snapshot: SnapshotMeta | None = None
        self.appends: list[Message] = []
        self.promises: list[Message] = []
        self.forwarded_bytes = 0
        self.proposer = NO_MEMBER  # the follower that forwarded the latest proposals
        self.holds_commits = False  # see `Raft.hold_commits`
        self.reads: list[ReadState] = []
        self.rejected_reads: list[int] = []
        self.snapshots_wanted: list[int] = []

    @property
    def hard_state(self) -> HardState:
        """What of this must be on disk.

        Its commit index never goes beyond the entries that are there already: a crash may keep it
        and lose those that were written with it, and old ones in their places are not committed.
        """
        return HardState(self.term, self.vote, min(self.log.commit, self.log.durable))

    @property
    def is_leader(self) -> bool:
        """Tell whether this member leads (or believes so)."""
        return self.role is Role.LEADER

    @property
    def is_promotable(self) -> bool:
        """Tell whether this member may campaign: a voter, with no snapshot half installed and no
        change of the voters that it knows of and has not applied."""
        log = self.log
        return (
            self.member_id in self.voters
            and self.snapshot is None
            and not any(log.applied < index <= log.commit for index in log.membership_indexes)
        )

    @property
    def has_committed_in_term(self) -> bool:
        """Tell whether an entry of this term is committed: only then a leader knows `commit`."""
        return self.log.term(self.log.commit) == self.term

    def set_membership(self, membership: Membership) -> None:
        """Adopt a membership."""
        members.check(membership)
        self.membership = membership
        self.voters = members.voters(membership)
        self.quorum = members.quorum(membership)

    def peers(self) -> Iterator[tuple[int, Progress]]:
        """The other members and the leader's knowledge of them."""
        return (item for item in self.progress.items() if item[0] != self.member_id)

    def hears(self, progress: Progress) -> bool:
        """Tell whether a leader has heard a member lately.

        Lately is halfway between the shortest and the longest time after which a follower
        campaigns: sooner, a stall of two members' disks would depose a leader that they hear.
        """
        election_ticks = self.config.election_ticks
        return progress.silent_ticks < election_ticks + election_ticks // 2

    def send(self, message: Message) -> None:
        """Queue a message: behind the sync if it promises what the disk must remember.

        Those are votes, vote requests, acknowledgements and whatever carries a term that is not
        durable yet. All else need not wait (dissertation, 10.2.1).
        """
        is_promise = self.term != self.durable_term or isinstance(
            message, RequestVote | VoteReply | AppendReply
        )
        (self.promises if is_promise else self.appends).append(message)

    def send_heartbeats(self) -> None:
        """Tell everyone that we lead; confirm the reads under way by the same round."""
        read_context = self.read_round.number if self.read_round is not None else 0
        for member, progress in self.peers():
            self.send(
                Heartbeat(
                    to=member,
                    sender=self.member_id,
                    term=self.term,
                    # Never beyond what the member surely has: its log may end, or differ, there.
                    commit=min(progress.match, self.log.commit),
                    read_context=read_context,
                )
            )

    def become_follower(self, term: int, leader_id: int) -> None:
        """Follow `leader_id`, or nobody known, in `term`."""
        self._reset(Role.FOLLOWER, term, leader_id)

    def follow(self, leader_id: int) -> None:
        """The leader of this term has spoken: whoever we were, we follow it now."""
        assert not self.is_leader, "two leaders in one term"
        if self.role is Role.FOLLOWER and self.leader_id == leader_id:
            self.election_elapsed = 0
        else:
            self.become_follower(self.term, leader_id)

    def become_pre_candidate(self) -> None:
        """Ask who would vote for us; the term stays (dissertation, 9.6)."""
        self._reset(Role.PRE_CANDIDATE, self.term, NO_MEMBER)

    def become_candidate(self) -> None:
        """Enter the next term and vote for ourselves (Raft, 5.2)."""
        self._reset(Role.CANDIDATE, self.term + 1, NO_MEMBER)
        self.vote = self.member_id

    def become_leader(self) -> None:
        """Lead: nothing is known of the others' logs (Raft, Figure 2, Volatile state on leaders).

        The empty entry commits what earlier terms left behind (Raft, 8): a leader may only count
        replicas of entries of its own term.
        """
        self._reset(Role.LEADER, self.term, self.member_id)
        next_index = self.log.last_index + 1
        for member in members.members(self.membership):
            self.progress[member] = Progress(next_index, self.config.inflight_appends_max)
        self.append((b"",))
        self.acknowledge_own_log()

    def append(self, data: Sequence[bytes], kind: EntryKind = EntryKind.NORMAL) -> None:
        """Add entries of our own term to the log we lead."""
        first = self.log.last_index + 1
        term = self.term
        self.log.append([Entry(index, term, item, kind) for index, item in enumerate(data, first)])

    def acknowledge_own_log(self) -> None:
        """A leader is one of those it counts, but only with what its own disk has."""
        own = self.progress[self.member_id]
        own.match = self.log.durable
        own.next = self.log.last_index + 1

    def _reset(self, role: Role, term: int, leader_id: int) -> None:
        """Forget what belonged to the role, and with the term everything said in it."""
        assert term >= self.term, "terms never fall"
        if term > self.term:
            self.term = term
            self.vote = NO_MEMBER
            # Nobody needs the words of an old term, and no promise of it may follow the new one.
            self.appends.clear()
            self.promises.clear()
            self.forwarded_bytes = 0
        was_leader = self.is_leader
        self.role = role
        if leader_id != self.leader_id or was_leader:
            self.leader_id = leader_id
            self._reject_reads()
        self.transferee = self.proposer = NO_MEMBER
        self.votes = {}
        self.progress = {}
        self.snapshots_wanted.clear()
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.election_timeout_ticks = self._draw_timeout()

    def _reject_reads(self) -> None:
        """Whoever waits for the former leader's confirmation must ask again."""
        waiting = list(self.waiting_reads)
        if self.read_round is not None:
            waiting = self.read_round.reads + waiting
        self.waiting_reads = {}
        self.read_round = None
        for member, context in waiting:
            self.answer_read(member, context, 0)

    def answer_read(self, member: int, context: int, index: int) -> None:
        """Tell who asked that the read may be served at `index`; 0: it must be asked again."""
        if member != self.member_id:
            if member in self.progress:
                self.progress[member].awaits(index)
            self.send(
                ReadIndexReply(
                    to=member, sender=self.member_id, term=self.term, context=context, index=index
                )
            )
        elif index:
            self.reads.append(ReadState(context, index))
        else:
            self.rejected_reads.append(context)

    def _draw_timeout(self) -> int:
        """A fresh random election timeout, so that split votes end (Raft, 5.2)."""
        ticks = self._draw_election_ticks()
        assert ticks >= self.config.election_ticks, "shorter than the time leaders are trusted"
        return ticks

    def forget_handed_over(self) -> None:
        """A Ready has taken over what was queued."""
        for queue in (
            self.appends,
            self.promises,
            self.reads,
            self.rejected_reads,
            self.snapshots_wanted,
        ):
            queue.clear()
        self.forwarded_bytes = 0

    def check_invariants(self) -> None:
        """Assert what must hold between any two steps."""
        self.log.check_invariants()
        members.check(self.membership)
        written = self.written_hard_state
        assert self.log.last_term <= self.term, "an entry of the future"
        assert self.durable_term <= self.term
        assert written.term <= self.term
        assert written.commit <= self.log.commit, "the commit index fell"
        if written.term == self.term:
            # One vote per term: what was written down never changes (Raft, Figure 3).
            assert written.vote in (NO_MEMBER, self.vote), "a second vote in one term"
        assert all(message.term >= self.term for message in self.promises)
        self._check_role()

    def _check_role(self) -> None:
        is_candidate = self.role in (Role.PRE_CANDIDATE, Role.CANDIDATE)
        assert is_candidate or not self.votes, "votes belong to a campaign"
        assert self.is_leader == bool(self.progress), "progress belongs to a leader"
        assert self.is_leader == (self.leader_id == self.member_id)
        assert self.is_leader or self.transferee == NO_MEMBER
        if self.role in (Role.CANDIDATE, Role.LEADER):
            assert self.vote == self.member_id
        if self.leader_id == NO_MEMBER:
            assert not self.waiting_reads, "reads wait for a leader that is not there"
            assert self.read_round is None
        for progress in self.progress.values():
            progress.check_invariants(self.log.last_index)
