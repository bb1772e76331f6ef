"""The replicated state machine: applies the log's commands, in order, on every member alike.

Pure and deterministic: no clock, no dice, nothing that differs from member to member may decide
here, and a failed command is a result like any other (its error), never an exception. Snapshots
of the whole state leave as bounded chunks and come back by `restore`, at once or in slices.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from kvstore.commands import (
    Alarm,
    AlarmAction,
    AlarmType,
    Command,
    Compact,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MembershipCommand,
    Proposal,
    PublishMember,
    Put,
    Txn,
)
from kvstore.errors import CorruptError, KvError, NoSpaceError, RequestError
from kvstore.lease import LeaseRecord, Lessor
from kvstore.members import MemberRecord, Members
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import (
    CompactResult,
    DeleteRangeResult,
    Event,
    KeyValue,
    PutResult,
    TxnResult,
)
from kvstore.raft.types import MembershipChange

CHUNK_BYTES_MAX = 256 * 1024
"""Largest piece of a snapshot: a message that never keeps a connection from its heartbeats long."""

ROWS_PER_CHUNK_MAX = 512
"""Versions per chunk: encoding that many takes well under a millisecond."""

LEASES_PER_CHUNK_MAX = 1024
"""Leases per chunk, for the same reason."""

_MORE, _LAST = b"\0", b"\1"
"""First byte of a chunk: whether its record goes on in the next one."""


class LeaseGrantResult(msgspec.Struct, frozen=True, gc=False):
    """The lease exists now."""

    revision: int
    lease_id: int
    ttl_seconds: int


class AlarmMember(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """One alarm of one member."""

    alarm: AlarmType
    member_id: int


class AlarmResult(msgspec.Struct, frozen=True, gc=False):
    """The alarm that was raised (also if it was before) or disarmed; none if it was not there."""

    revision: int
    alarms: tuple[AlarmMember, ...] = ()


class Applied(msgspec.Struct, frozen=True, gc=False):
    """A command without an answer was applied: a lease's end, a checkpoint."""

    revision: int


class MembershipResult(msgspec.Struct, frozen=True, gc=False):
    """What is known of the members has changed. `change`: who votes now (None: as before)."""

    revision: int
    change: MembershipChange | None


Result = (
    PutResult
    | DeleteRangeResult
    | TxnResult
    | CompactResult
    | LeaseGrantResult
    | AlarmResult
    | Applied
    | MembershipResult
)


class _Header(msgspec.Struct, frozen=True, array_like=True, tag="h", gc=False):
    """First record of a snapshot. The counts tell a whole one from a part."""

    applied_index: int
    revision: int
    compact_revision: int
    alarms: tuple[AlarmMember, ...]
    members: dict[int, MemberRecord]
    lease_count: int
    row_count: int
    removed: tuple[int, ...] = ()


class _Leases(msgspec.Struct, frozen=True, array_like=True, tag="l", gc=False):
    leases: list[LeaseRecord]


class _Rows(msgspec.Struct, frozen=True, array_like=True, tag="v", gc=False):
    """Versions of key-values; over the whole snapshot they come in revision order."""

    rows: list[KeyValue]


_Record = _Header | _Leases | _Rows

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Record] = msgspec.msgpack.Decoder(_Record)


class StateMachine:
    """Store, leases, alarms and members, as of `applied_index`."""

    def __init__(self, founders: Mapping[int, MemberRecord] | None = None) -> None:
        """`founders`: the members of the empty state, by id."""
        self.lessor = Lessor()
        self.store = Store(self.lessor)
        self.alarms: frozenset[AlarmMember] = frozenset()
        self.members = Members(founders)
        self.applied_index = 0
        self._raised: frozenset[AlarmType] = frozenset()

    def apply(self, index: int, proposal: Proposal) -> Result | KvError:
        """Apply the command of one log entry; a command that fails changes nothing."""
        self.skip(index)
        command = proposal.command
        try:
            if self._raised:
                self._refuse(command)
            return self._apply(command)
        except RequestError as error:
            # The frames that it passed would keep the command alive as long as the result.
            return error.with_traceback(None)

    def skip(self, index: int) -> None:
        """Count a log entry without a command (a new leader's, a change of membership)."""
        assert index > self.applied_index, "an entry is applied once"
        self.applied_index = index

    def take_events(self) -> list[Event]:
        """Changes of keys since the last take, in revision order."""
        return self.store.take_events()

    def _apply(self, command: Command) -> Result:
        match command:
            case Put():
                return self.store.put(command)
            case Txn():
                return self.store.txn(command)
            case DeleteRange():
                return self.store.delete_range(command)
            case Compact():
                return self.store.compact(command)
            case LeaseGrant() | LeaseRevoke() | LeaseCheckpoint():
                return self._apply_to_lease(command)
            case Alarm():
                return self._apply_alarm(command)
            case PublishMember():
                self.members.publish(command)
                return MembershipResult(self.store.revision, None)
            case _:
                return MembershipResult(self.store.revision, self.members.change(command))

    def _apply_to_lease(
        self, command: LeaseGrant | LeaseRevoke | LeaseCheckpoint
    ) -> LeaseGrantResult | Applied:
        match command:
            case LeaseGrant(lease_id, ttl_seconds):
                self.lessor.grant(lease_id, ttl_seconds)
                return LeaseGrantResult(self.store.revision, lease_id, ttl_seconds)
            case LeaseRevoke(lease_id):
                return Applied(self.store.delete_keys(self.lessor.revoke(lease_id)))
            case _:
                for lease_id, remaining_seconds in command.remaining:
                    self.lessor.checkpoint(lease_id, remaining_seconds)
                return Applied(self.store.revision)

    def _apply_alarm(self, command: Alarm) -> AlarmResult:
        alarm = AlarmMember(command.alarm, command.member_id)
        if command.action is AlarmAction.ACTIVATE:
            self._set_alarms(self.alarms | {alarm})
            return AlarmResult(self.store.revision, (alarm,))
        assert command.action is AlarmAction.DEACTIVATE, "reading alarms is not logged"
        if alarm not in self.alarms:
            return AlarmResult(self.store.revision)
        self._set_alarms(self.alarms - {alarm})
        return AlarmResult(self.store.revision, (alarm,))

    def _set_alarms(self, alarms: frozenset[AlarmMember]) -> None:
        self.alarms = alarms
        self._raised = frozenset(alarm.alarm for alarm in alarms)

    def _refuse(self, command: Command) -> None:
        """Raise if an alarm forbids the command: what etcd's capped and corrupt appliers refuse."""
        if AlarmType.CORRUPT in self._raised and not isinstance(
            command, Alarm | LeaseCheckpoint | PublishMember | MembershipCommand
        ):
            raise CorruptError("the members' data differ; a member must be replaced")
        if AlarmType.NOSPACE in self._raised and (
            isinstance(command, LeaseGrant) or _may_put(command)
        ):
            raise NoSpaceError("the space quota is used up; compact, delete, then disarm")

    # Snapshots.

    def snapshot_chunks(self) -> Iterator[bytes]:
        """The state as it is at the call, in chunks; the store may go on changing meanwhile."""
        leases = list(self.lessor.records())
        header = _Header(
            self.applied_index,
            self.store.revision,
            self.store.compact_revision,
            tuple(sorted(self.alarms)),
            dict(self.members.records),
            len(leases),
            self.store.row_count,
            tuple(sorted(self.members.removed)),
        )
        rows = _row_batches(self.store.pinned_rows(), self.store.row_count)
        records: Iterator[_Record] = chain((header,), _lease_batches(leases), rows)
        return chain.from_iterable(map(_chunks, records))

    @classmethod
    def restore(cls, chunks: Iterable[bytes]) -> "StateMachine":
        """The state machine of a whole snapshot, with no events, in one go."""
        slices = cls.restore_slices(chunks)
        while True:
            try:
                next(slices)
            except StopIteration as done:
                machine: StateMachine = done.value
                return machine

    @classmethod
    def restore_slices(cls, chunks: Iterable[bytes]) -> Generator[None, None, "StateMachine"]:
        """The same with a pause after each slice of work, to be driven while others are served."""
        records = _records(chunks)
        header = next(records)
        assert isinstance(header, _Header), "a snapshot starts with its header"
        leases: list[LeaseRecord] = []
        first_rows: list[_Record] = []
        for record in records:
            if not isinstance(record, _Leases):
                first_rows.append(record)
                break
            leases += record.leases
        machine = cls()
        machine.applied_index = header.applied_index
        machine.members = Members(header.members, frozenset(header.removed))
        machine._set_alarms(frozenset(header.alarms))
        machine.lessor = Lessor.restore(leases)
        machine.store = Store(
            machine.lessor, revision=header.revision, compact_revision=header.compact_revision
        )
        yield from machine.store.load(map(_rows_of, chain(first_rows, records)))
        assert len(leases) == header.lease_count, "leases are missing"
        assert machine.store.row_count == header.row_count, "key-values are missing"
        return machine


def _rows_of(record: _Record) -> list[KeyValue]:
    assert isinstance(record, _Rows), "a snapshot is a header, leases, then key-values"
    return record.rows


def _may_put(command: Command) -> bool:
    """Tell whether a command holds a put, whichever side it is on.

    Unlike etcd's, this also finds the puts of nested txns: the quota bounds memory here.
    """
    if isinstance(command, Txn):
        return any(
            isinstance(operation, Put) or (isinstance(operation, Txn) and _may_put(operation))
            for operation in chain(command.success, command.failure)
        )
    return isinstance(command, Put)


def _lease_batches(leases: list[LeaseRecord]) -> Iterator[_Leases]:
    for start in range(0, len(leases), LEASES_PER_CHUNK_MAX):
        yield _Leases(leases[start : start + LEASES_PER_CHUNK_MAX])


def _row_batches(segments: Iterator[list[KeyValue]], row_count: int) -> Iterator[_Rows]:
    for segment in segments:
        batch: list[KeyValue] = []
        batch_bytes = 0
        for kv in segment:
            batch.append(kv)
            batch_bytes += len(kv.key) + len(kv.value)
            if batch_bytes >= CHUNK_BYTES_MAX // 2 or len(batch) == ROWS_PER_CHUNK_MAX:
                yield _Rows(batch)
                batch, batch_bytes = [], 0
        if batch:
            yield _Rows(batch)
        row_count -= len(segment)
    # Better no snapshot than one that cannot be restored, with the log before it dropped.
    assert row_count == 0, "the pinned key-values have changed"


def _chunks(record: _Record) -> Iterator[bytes]:
    """Encode a record; one that is too large (a large value) goes in several chunks."""
    encoded = _encoder.encode(record)
    step = CHUNK_BYTES_MAX - 1
    for start in range(0, len(encoded), step):
        is_last = start + step >= len(encoded)
        yield (_LAST if is_last else _MORE) + encoded[start : start + step]


def _records(chunks: Iterable[bytes]) -> Iterator[_Record]:
    pieces: list[bytes] = []
    for chunk in chunks:
        pieces.append(chunk[1:])
        if chunk[:1] == _LAST:
            yield _decoder.decode(b"".join(pieces))
            pieces = []
    assert not pieces, "a snapshot ends with a whole record"
