"""One member of a test cluster: the core with a disk that forgets what was not synced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from kvstore.raft.core import Raft
from kvstore.raft.types import (
    Config,
    Entry,
    EntryKind,
    HardState,
    InstallSnapshot,
    Membership,
    MembershipChange,
    Message,
    Ready,
    Restored,
    SnapshotMeta,
)

# A state machine of this simplicity: everything that was applied, as (index, term, data).
Machine = tuple[tuple[int, int, bytes], ...]


@dataclass(frozen=True)
class SnapshotStream:
    """A snapshot on its way; `kind` and ends like a message's, so that the network carries it."""

    sender: int
    to: int
    term: int
    meta: SnapshotMeta
    machine: Machine


@dataclass
class Disk:
    """What survives a crash."""

    first: SnapshotMeta
    hard_state: HardState = field(default_factory=HardState)
    entries: list[Entry] = field(default_factory=list)
    machine: Machine = ()
    received: dict[int, Machine] = field(default_factory=dict)

    def write(self, record: HardState | Entry) -> None:
        """Append one record to the WAL: an entry voids those at and behind its index."""
        if isinstance(record, HardState):
            self.hard_state = record
            return
        position = record.index - self.first.index - 1
        assert 0 <= position <= len(self.entries), "the WAL would have a gap"
        self.entries[position:] = [record]

    def install(self, meta: SnapshotMeta) -> Machine:
        """A received snapshot replaces everything."""
        self.first, self.entries, self.machine = meta, [], self.received[meta.index]
        return self.machine

    def save_snapshot(self, meta: SnapshotMeta, machine: Machine) -> None:
        """A snapshot of our own: entries behind it stay."""
        self.entries = [entry for entry in self.entries if entry.index > meta.index]
        self.first, self.machine = meta, machine


class Member:
    """Drives one core exactly in the order that `Ready` asks for."""

    def __init__(self, config: Config, disk: Disk, draw_election_ticks: Callable[[], int]) -> None:
        self.config = config
        self.disk = disk
        self.draw_election_ticks = draw_election_ticks
        self.is_disk_slow = False
        self.reads: list[tuple[int, int]] = []
        self.rejected_reads: list[int] = []
        self.restart()

    @property
    def member_id(self) -> int:
        return self.config.member_id

    def restart(self) -> None:
        """Start again from the disk."""
        disk = self.disk
        self.ready: Ready | None = None
        self.machine = disk.machine
        self.is_up = True
        self.raft = Raft(
            self.config,
            Restored(
                hard_state=disk.hard_state,
                first=disk.first,
                entries=tuple(disk.entries),
                applied=disk.first.index,
            ),
            self.draw_election_ticks,
        )

    def crash(self, records_kept: int = 0) -> None:
        """Lose what was not synced, but for the first `records_kept` records of the write."""
        if self.ready is not None:
            for record in list(_records(self.ready))[:records_kept]:
                self.disk.write(record)
        self.ready = None
        self.is_up = False

    def begin(self) -> tuple[Message, ...]:
        """Take a Ready: what may be sent while the disk syncs."""
        ready = self.raft.ready()
        self.ready = ready
        if ready.snapshot is not None:
            self.machine = self.disk.install(ready.snapshot)
        return ready.appends

    def end(self) -> tuple[Message, ...]:
        """The sync is done: what may be sent only now. Applies what is committed."""
        ready = self.ready
        assert ready is not None
        self.ready = None
        for record in _records(ready):
            self.disk.write(record)
        self.raft.stored(ready)
        for entry in ready.committed:
            self.machine += ((entry.index, entry.term, entry.data),)
            if entry.kind is EntryKind.MEMBERSHIP:
                self._apply_membership(entry.data)
        if ready.committed:
            self.raft.applied(ready.committed[-1].index)
        self.reads += [(read.context, read.index) for read in ready.reads]
        self.rejected_reads += ready.rejected_reads
        return ready.promises

    def propose_membership(self, change: MembershipChange) -> bool:
        """Propose a change, as leader."""
        return self.raft.propose_membership(msgspec.msgpack.encode(change))

    def _apply_membership(self, data: bytes) -> None:
        if data:
            self.raft.change_membership(msgspec.msgpack.decode(data, type=MembershipChange))
        else:
            self.raft.leave_joint()

    def snapshot(self) -> SnapshotMeta:
        """Save a snapshot of what is applied and compact the log up to it."""
        meta = self._applied_meta()
        self.disk.save_snapshot(meta, self.machine)
        self.raft.compact(meta.index)
        return meta

    def stream_to(self, to: int) -> SnapshotStream:
        """A snapshot of the live state for another member."""
        return SnapshotStream(
            self.member_id, to, self.raft.term, self._applied_meta(), self.machine
        )

    def receive(self, stream: SnapshotStream) -> None:
        """Store a snapshot, durably, then tell the core."""
        self.disk.received[stream.meta.index] = stream.machine
        self.raft.step(
            InstallSnapshot(to=stream.to, sender=stream.sender, term=stream.term, meta=stream.meta)
        )

    def _applied_meta(self) -> SnapshotMeta:
        index, term = self.machine[-1][:2] if self.machine else (0, 0)
        return SnapshotMeta(index, term, self.raft.membership)


def _records(ready: Ready) -> Iterator[HardState | Entry]:
    if ready.hard_state is not None:
        yield ready.hard_state
    yield from ready.entries


def new_disk(membership: Membership) -> Disk:
    """The disk of a member that has just been founded."""
    return Disk(SnapshotMeta(0, 0, membership))
