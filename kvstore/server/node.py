"""The driver of one member: feeds the Raft core, keeps the order of durability, applies.

All I/O goes through the seams. The order that makes a promise a promise is in `_process` and
nowhere else. Decisions about consensus live in `kvstore.raft`, about data in `kvstore.apply`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from kvstore import commands
from kvstore.apply import MembershipResult, StateMachine
from kvstore.commands import Command, MembershipCommand, Proposal
from kvstore.errors import (
    BadLeaderTransfereeError,
    KvError,
    LeaderTransferTimeoutError,
    MalformedRequestError,
    MembershipBusyError,
    NotLeaderError,
    StoppedError,
)
from kvstore.mvcc.watch import WatchHub
from kvstore.raft import codec
from kvstore.raft.core import Raft
from kvstore.raft.types import (
    Entry,
    EntryKind,
    Message,
    Ready,
    Restored,
    Role,
    SnapshotMeta,
)
from kvstore.seams import Clock, PeerTransport, Random
from kvstore.server import farewell, peer_messages
from kvstore.server.commit_hold import CommitHold
from kvstore.server.log_window import LogWindow
from kvstore.server.proposals import Proposals
from kvstore.server.reads import ReadDone, ReadQueue
from kvstore.server.ticks import Ticks
from kvstore.server.waiters import Done
from kvstore.storage.log_storage import LogStorage

logger = logging.getLogger(__name__)

# How long applying may hold the loop before others get a turn.
APPLY_SLICE_SECONDS = 0.005
# Turns of the loop for which reads wait for others, while there are more with each turn.
GATHER_TURNS_MAX = 4
# The clock is looked at once per so many entries.
_ENTRIES_PER_CLOCK_READ = 16

_RAFT_FRAME = b"R"


class NodeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Timing of one node."""

    heartbeat_seconds: float = 0.1
    election_ticks: int = 10
    request_timeout_seconds: float = 7.0
    advances_first_election: bool = False
    """Give a leader one heartbeat to be heard at the start, not a whole election timeout."""

    @property
    def election_seconds(self) -> float:
        """The shortest election timeout."""
        return self.heartbeat_seconds * self.election_ticks


class FrameHandler(Protocol):
    """Takes frames of its own kind from other members."""

    def on_frame(self, sender: int, payload: bytes) -> None:
        """One frame, without its leading kind byte; garbage must be ignored."""


class Node:
    """One member's replicated state machine.

    `machine` is replaced as a whole when a snapshot is installed: never keep a reference to it
    or to its parts across a return to the event loop.
    """

    on_commit: Callable[[], None] | None = None
    """Called before each batch is applied, when somebody wants to know."""

    def __init__(
        self,
        *,
        cluster_id: int,
        member_id: int,
        raft: Raft,
        machine: StateMachine,
        storage: LogStorage,
        transport: PeerTransport,
        clock: Clock,
        random: Random,
        options: NodeOptions,
        watches: WatchHub,
        restored: Restored,
    ) -> None:
        self.cluster_id = cluster_id
        self.member_id = member_id
        self.raft = raft
        self.machine = machine
        self.storage = storage
        self.transport = transport
        self.clock = clock
        self.random = random
        self.options = options
        self.watches = watches
        self.applied_term = restored.first.term
        self.on_applied: list[Callable[[], None]] = []  # after each batch, watches notified
        self.on_leader_change: list[Callable[[], None]] = []
        self.on_membership_change: list[Callable[[], None]] = []
        self.on_tick: list[Callable[[float], None]] = []
        self.frame_handlers: dict[bytes, FrameHandler] = {}
        self.install_snapshot: Callable[[SnapshotMeta], Any] | None = None
        self.send_snapshot: Callable[[int], None] | None = None
        self.is_member, self.is_learner = True, False  # as of the applied index; see `Host`
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._is_leaving = self._is_removed = False  # the cluster has removed this member
        self._is_processing = False
        self._observed: tuple[int, bool] = (0, False)
        # Ids must not repeat those of an earlier run of this member: its log may still hold them.
        first_id = random.getrandbits(46) << 16
        self._proposals = Proposals(member_id, first_id, options.request_timeout_seconds)
        self._reads = ReadQueue(
            first_id,
            timeout_seconds=options.request_timeout_seconds,
            retry_seconds=options.election_seconds,
        )
        self.log_window = LogWindow(restored.entries)
        self._commit_hold = CommitHold(raft, clock, self.wake)
        self._tell_membership()

    # ------------------------------------------------------------------ what services use

    @property
    def is_leader(self) -> bool:
        """Tell whether this member believes that it leads."""
        return self.raft.role is Role.LEADER

    @property
    def leader_id(self) -> int:
        """The leader that this member knows of; 0 if none."""
        return self.raft.leader_id

    @property
    def term(self) -> int:
        """The current Raft term."""
        return self.raft.term

    @property
    def is_stopping(self) -> bool:
        """True once `stop` was called."""
        return self._is_stopping

    @property
    def db_size(self) -> int:
        """Bytes of the durable state: newest snapshot plus WAL.

        Never less than what is in use, as clients of etcd may assume: the accounted bytes of many
        small keys can exceed their records in the WAL.
        """
        durable_bytes = self.storage.snapshot_bytes + self.storage.wal_bytes
        return max(durable_bytes, self.db_size_in_use)

    @property
    def db_size_in_use(self) -> int:
        """Accounted bytes of live data and history; what the space quota is about."""
        return self.machine.store.size_bytes

    @property
    def request_timeout_seconds(self) -> float:
        """Time after which a request without an outcome fails."""
        return self.options.request_timeout_seconds

    def propose(self, command: Command, done: Done[Any]) -> None:
        """Replicate a command; `done` gets its result once this member has applied it."""
        if self._is_stopping:
            done(StoppedError())
            return
        self._proposals.add(self.clock.now(), command, done)
        self._wake.set()

    def propose_as_leader(self, command: Command) -> bool:
        """Propose without waiting, and only if this member leads now (never forwarded)."""
        data = commands.encode(Proposal(self.member_id, 0, command))
        accepted = self.is_leader and self.raft.propose([data])
        self._wake.set()
        return accepted

    def propose_membership(self, command: MembershipCommand, done: Done[MembershipResult]) -> None:
        """Replicate a change of the membership, as leader, if none is under way.

        `done` gets the result once it is applied here, or NotLeaderError (perhaps: not yet, see
        `Raft.is_settled`), MembershipBusyError. It is never proposed again: a leader that fails
        meanwhile leaves the outcome unknown.
        """
        if not self.raft.is_settled:
            done(NotLeaderError())
            return
        if not self.raft.may_propose_membership():
            done(MembershipBusyError())
            return
        try:
            request_id = self._proposals.await_result(self.clock.now(), done)
        except KvError as error:
            done(error)
            return
        data = commands.encode(Proposal(self.member_id, request_id, command))
        self.raft.propose_membership(data)
        self._wake.set()

    def read_index(self, done: ReadDone) -> None:
        """Call `done(None)` when a linearizable read may be served from `machine`."""
        if self._is_stopping:
            done(StoppedError())
            return
        try:
            self._reads.add(self.clock.now(), done)
        except KvError as error:
            done(error)
            return
        self._wake.set()

    def best_successor(self) -> int:
        """The connected voter that can take leadership over soonest; 0 if there is none."""
        voters = self.raft.membership.voters
        return self.raft.best_successor(list(filter(self.transport.is_connected, voters)))

    def transfer_leadership(
        self, to: int, done: Callable[[KvError | None], None], *, timeout_seconds: float
    ) -> None:
        """Hand leadership to another voter; `done(None)` once it leads.

        Fails with NotLeaderError, BadLeaderTransfereeError or LeaderTransferTimeoutError.
        """
        if not self.is_leader:
            done(NotLeaderError())
            return
        if to not in self.raft.membership.voters:
            done(BadLeaderTransfereeError())
            return
        if to == self.member_id:
            done(None)
            return

        def finish(error: KvError | None) -> None:
            timer.cancel()
            self.on_leader_change.remove(look)
            done(error)

        def look() -> None:
            if self.leader_id == to:
                finish(None)

        timer = self.clock.call_later(timeout_seconds, lambda: finish(LeaderTransferTimeoutError()))
        self.on_leader_change.append(look)
        self.raft.transfer_leadership(to)
        self._wake.set()

    # ------------------------------------------------------------------ running

    async def run(self) -> None:
        """Drive the core until `stop`. Raises DiskError, or MemberRemovedError once this member
        is none of the cluster's any more: then the process must end.
        """
        self._ticks = Ticks(self.raft, self.options.heartbeat_seconds, self.clock.now())
        self._schedule_tick()
        if self.options.advances_first_election:
            # Too few to campaign at once; and a pre-vote deposes no leader that others hear.
            for _ in range(self.options.election_ticks - 1):
                self.raft.tick()
        self._wake.set()
        while not self._is_stopping:
            await self._wake.wait()
            await self._gather_reads()
            self._wake.clear()
            self._submit()
            while self.raft.has_ready():
                await self._process(self.raft.ready())
                self._submit()
            if self.member_id in self.machine.members.removed and not self._is_leaving:
                self._is_leaving = True
                seconds = farewell.seconds(self.options.election_seconds)
                self.clock.call_later(seconds, self.on_removed)
        if self._is_removed:
            raise farewell.error(self.member_id)

    async def _gather_reads(self) -> None:
        """Let the reads that the next turns of the loop bring join the round of those that wait,
        as long as there is nothing else to do."""
        count = 0
        for _ in range(GATHER_TURNS_MAX):
            more = self._reads.gathering_count
            if more == count or self._proposals.has_pending or self.raft.has_ready():
                return
            count = more
            await self.clock.sleep(0)

    def stop(self) -> None:
        """End `run`; every waiting request fails with StoppedError."""
        self._is_stopping = True
        self._proposals.fail_all(StoppedError)
        self._reads.fail_all(StoppedError)
        self._wake.set()

    def on_removed(self) -> None:
        """The cluster has removed this member: it was applied here, or a peer says so."""
        self._is_removed = True
        self.stop()

    def wake(self) -> None:
        """Look at the core again: something outside has stepped it."""
        self._wake.set()

    def on_frame(self, sender: int, frame: bytes) -> None:
        """One frame of a peer. Garbage is dropped: the sender is an authenticated member, but
        may run another version."""
        kind, payload = frame[:1], frame[1:]
        if kind != _RAFT_FRAME:
            handler = self.frame_handlers.get(kind)
            if handler is not None:
                handler.on_frame(sender, payload)
            return
        try:
            message = peer_messages.read(
                payload, sender=sender, receiver=self.member_id, is_leader=self.is_leader
            )
        except MalformedRequestError as error:
            logger.warning("dropped a message of peer %x: %s", sender, error)
            return
        self.raft.step(message)
        self._beat_while_processing()
        self._wake.set()

    def on_unreachable(self, member_id: int) -> None:
        """The transport lost frames to a member: probe it from what it acknowledged."""
        self.raft.report_unreachable(member_id)
        self._wake.set()

    def _schedule_tick(self) -> None:
        self.clock.call_later(self._ticks.seconds_to_next(self.clock.now()), self._tick)

    def _tick(self) -> None:
        if self._is_stopping:
            return
        now = self.clock.now()
        self._ticks.tick(now)
        self._schedule_tick()
        self._beat_while_processing()
        self._proposals.expire(now)
        self._reads.tick(now)
        for callback in self.on_tick:
            callback(now)
        self._wake.set()

    def _beat_while_processing(self) -> None:
        """A slow disk or much to apply must not look like a dead member: heartbeats wait for
        neither. They promise nothing that is not durable."""
        if self._is_processing:
            self._send(self.raft.take_appends())

    def _submit(self) -> None:
        """Hand what was gathered since the last time to the core, as one batch."""
        self._proposals.submit(self.raft.propose, self.raft.term)
        self._reads.ask(self.clock.now(), self.raft.read_index)

    async def _process(self, ready: Ready) -> None:
        self._is_processing = True
        if ready.snapshot is not None:
            assert self.install_snapshot is not None
            await self.install_snapshot(ready.snapshot)
            self.log_window.clear()
            self._proposals.on_snapshot()
            self._tell_membership()
            self._publish()  # watchers have missed what the snapshot jumped over
        if ready.hard_state is not None or ready.entries:
            self.storage.append(ready.hard_state, ready.entries)
        self._send(ready.appends)  # a leader may send while it syncs …
        if ready.entries and ready.appends and self.is_leader:
            self._commit_hold.appended()
        if ready.must_sync:
            await self.storage.sync()
        self._send(ready.promises)  # … but votes and acknowledgements wait for the sync
        self.raft.stored(ready)  # and only now does a leader count itself
        self._observe_leader()
        await self._apply(ready.committed)
        for state in ready.reads:
            self._reads.confirm(state.context, state.index)
        for context in ready.rejected_reads:
            self._reads.reject(context)
        self._reads.serve(self.machine.applied_index)
        for member_id in ready.snapshots_wanted:
            assert self.send_snapshot is not None
            self.send_snapshot(member_id)
        self.log_window.count(ready.entries)
        self.log_window.compact(self.raft, self.machine.applied_index)
        self._is_processing = False

    def _send(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        frames: dict[int, list[bytes]] = {}
        for message in messages:
            frames.setdefault(message.to, []).append(_RAFT_FRAME + codec.encode(message))
        for to, batch in frames.items():
            self.transport.send(to, batch)

    # ------------------------------------------------------------------ applying

    async def _apply(self, committed: Sequence[Entry]) -> None:
        if not committed:
            return
        if self.on_commit is not None:
            self.on_commit()
        slice_end = self.clock.now() + APPLY_SLICE_SECONDS
        for position, entry in enumerate(committed):
            self._apply_entry(entry)
            if position % _ENTRIES_PER_CLOCK_READ == 0 and self.clock.now() > slice_end:
                self._publish()
                await self.clock.sleep(0)
                slice_end = self.clock.now() + APPLY_SLICE_SECONDS
        self.raft.applied(committed[-1].index)
        self._publish()

    def _apply_entry(self, entry: Entry) -> None:
        assert entry.index == self.machine.applied_index + 1, "a gap in the committed entries"
        if entry.term > self.applied_term:
            self.applied_term = entry.term
            self._proposals.on_term_applied(entry.term)
        if not entry.data:
            self.machine.skip(entry.index)
            if entry.kind is EntryKind.MEMBERSHIP:
                self.raft.leave_joint()
            elif self.is_leader and entry.term == self.term:
                # Everything of earlier leaders is applied: leases start to run here.
                self.machine.lessor.promote(
                    self.clock.now(), extend_seconds=self.options.election_seconds
                )
            return
        proposal = commands.decode(entry.data)
        result = self.machine.apply(entry.index, proposal)
        if isinstance(result, MembershipResult):
            if result.change is not None:
                self.raft.change_membership(result.change)
            self._tell_membership()
        if proposal.member_id == self.member_id and proposal.request_id:
            self._proposals.resolve(proposal.request_id, result)

    def _tell_membership(self) -> None:
        own = self.machine.members.records.get(self.member_id)
        # Who joins learns first, whatever it is to be: its log is not there yet.
        self.is_member, self.is_learner = own is not None, own is None or own.is_learner
        for callback in self.on_membership_change:
            callback()

    def _publish(self) -> None:
        events = self.machine.take_events()
        if events:
            self.watches.notify(events, self.machine.store.revision)
        for callback in self.on_applied:
            callback()

    def _observe_leader(self) -> None:
        observed = (self.leader_id, self.is_leader)
        if observed == self._observed:
            return
        if self._observed[1] and not self.is_leader:
            self.machine.lessor.demote()
        logger.info("member %x: leader is %x in term %d", self.member_id, self.leader_id, self.term)
        self._observed = observed
        for callback in list(self.on_leader_change):
            callback()
