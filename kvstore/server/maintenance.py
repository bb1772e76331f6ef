"""The Maintenance service: status, alarms, hashes, snapshots, defragmentation, leadership.

What takes long goes in slices with a turn of the event loop after each. Knows no transport.
"""

from collections.abc import Callable, Generator
from typing import Any, Protocol

import google_crc32c

from kvstore.apply import AlarmMember
from kvstore.commands import Alarm, AlarmAction, AlarmType
from kvstore.errors import (
    KvError,
    NoLeaderError,
    RequestTimeoutError,
    StoppedError,
    TooManyRequestsError,
    UnknownMethodError,
    UnsupportedError,
)
from kvstore.mvcc.store import HashKv
from kvstore.pb import rpc_pb2
from kvstore.rpc_errors import status_of
from kvstore.server import backup, convert
from kvstore.server.call import Call, Methods, StreamCall, admit
from kvstore.server.node import Node

METHODS: Methods = {
    "/etcdserverpb.Maintenance/Alarm": ("alarm", rpc_pb2.AlarmRequest, "unary"),
    "/etcdserverpb.Maintenance/Status": ("status", rpc_pb2.StatusRequest, "unary"),
    "/etcdserverpb.Maintenance/Defragment": (
        "defragment",
        rpc_pb2.DefragmentRequest,
        "unary",
    ),
    "/etcdserverpb.Maintenance/Hash": ("hash", rpc_pb2.HashRequest, "unary"),
    "/etcdserverpb.Maintenance/HashKV": ("hash_kv", rpc_pb2.HashKVRequest, "unary"),
    "/etcdserverpb.Maintenance/Snapshot": ("snapshot", rpc_pb2.SnapshotRequest, "stream"),
    "/etcdserverpb.Maintenance/MoveLeader": (
        "move_leader",
        rpc_pb2.MoveLeaderRequest,
        "unary",
    ),
    "/etcdserverpb.Maintenance/Downgrade": ("downgrade", rpc_pb2.DowngradeRequest, "unary"),
}

# The level of etcd's API that we speak: clients choose by it what they may ask for.
API_VERSION = "3.5.0"

# A snapshot under way pins the memory of its moment: its client may not stop reading for longer.
SNAPSHOT_STALL_SECONDS = 60.0

# Hashes and snapshots walk the whole state, and pin it: so many of a member's at a time.
SCANS_MAX = 8


class SnapshotTask(Protocol):
    """A snapshot being made durable; an asyncio task is one."""

    def add_done_callback(self, callback: Callable[[Any], None], /) -> None:
        """Run `callback` when it is over."""

    def cancelled(self) -> bool:
        """Tell whether the member stopped before it was done."""

    def exception(self) -> BaseException | None:
        """What it failed with."""


class MaintenanceService:
    """Looks after one node."""

    def __init__(self, node: Node, snapshot_now: Callable[[], SnapshotTask]) -> None:
        self._node = node
        self._snapshot_now = snapshot_now
        self._scans = 0

    # ------------------------------------------------------------------ status and alarms

    def status(self, _request: rpc_pb2.StatusRequest, call: Call) -> None:
        """What this member knows of itself, also without a leader."""
        admit(call, self._node, also_by_learner=True)
        node = self._node
        own = node.machine.members.records.get(node.member_id)
        errors = [] if node.leader_id else [status_of(NoLeaderError()).text]
        errors += [_alarm_text(alarm) for alarm in _in_order(node.machine.alarms)]
        call.reply(
            rpc_pb2.StatusResponse(
                header=self._header(),
                version=API_VERSION,
                dbSize=node.db_size,
                leader=node.leader_id,
                raftIndex=node.raft.commit_index,
                raftTerm=node.term,
                raftAppliedIndex=node.machine.applied_index,
                errors=errors,
                dbSizeInUse=node.db_size_in_use,
                isLearner=own is not None and own.is_learner,
            )
        )

    def alarm(self, request: rpc_pb2.AlarmRequest, call: Call) -> None:
        """List, raise or disarm alarms."""
        admit(call, self._node)
        if int(request.action) == AlarmAction.GET and int(request.alarm) not in set(AlarmType):
            call.reply(self._alarm_response(()))  # as in etcd: there are none of that kind
            return
        try:
            action, alarm = AlarmAction(request.action), AlarmType(request.alarm)
        except ValueError as error:
            raise UnknownMethodError(f"alarm action or type: {error}") from None

        def list_alarms(error: KvError | None) -> None:
            if error is not None:
                call.fail(error)
                return
            alarms = self._node.machine.alarms
            wanted = [a for a in alarms if alarm in (AlarmType.NONE, a.alarm)]
            call.reply(self._alarm_response(_in_order(wanted)))

        def done(result: Any) -> None:
            if isinstance(result, KvError):
                call.fail(result)
            else:
                call.reply(self._alarm_response(result.alarms))

        if action is AlarmAction.GET:
            self._node.read_index(list_alarms)
        else:
            self._node.propose(Alarm(action, request.memberID, alarm), done)

    def _alarm_response(self, alarms: Any) -> rpc_pb2.AlarmResponse:
        return rpc_pb2.AlarmResponse(
            header=self._header(),
            alarms=[
                rpc_pb2.AlarmMember(memberID=alarm.member_id, alarm=_ALARM_TYPES[alarm.alarm])
                for alarm in alarms
            ],
        )

    # ------------------------------------------------------------------ hashes

    def hash_kv(self, request: rpc_pb2.HashKVRequest, call: Call) -> None:
        """etcd's hash of the key space at a revision of this member; waits for nothing."""

        admit(call, self._node)

        header = self._header()  # the present revision, whatever revision is hashed (etcd's way)

        def reply(result: HashKv) -> None:
            value, _, compact_revision = result
            call.reply(
                rpc_pb2.HashKVResponse(header=header, hash=value, compact_revision=compact_revision)
            )

        self._scan(lambda: self._node.machine.store.hash_slices(request.revision), reply)

    def hash(self, _request: rpc_pb2.HashRequest, call: Call) -> None:
        """CRC-32C of the whole state: equal on members that have applied the same entries."""
        admit(call, self._node)
        header = self._header()

        def reply(value: int) -> None:
            call.reply(rpc_pb2.HashResponse(header=header, hash=value))

        self._scan(lambda: _crc(self._node.machine.snapshot_chunks()), reply)

    def _scan(
        self, begin: Callable[[], Generator[None, None, Any]], done: Callable[[Any], None]
    ) -> None:
        """Run a generator, a step per turn of the loop. Its first is taken now: what it raises is
        raised. TooManyRequestsError when enough of them run."""

        def step() -> None:
            try:
                next(work)
            except StopIteration as end:
                self._end_scan()
                done(end.value)
            except BaseException:
                self._end_scan()
                raise
            else:
                self._node.clock.call_later(0, step)

        self._check_room()
        work = begin()
        self._scans += 1
        step()

    def _check_room(self) -> None:
        if self._scans >= SCANS_MAX:
            raise TooManyRequestsError

    def _end_scan(self) -> None:
        self._scans -= 1

    # ------------------------------------------------------------------ disk

    def snapshot(self, call: StreamCall) -> None:
        """Stream the whole state as it is when the request arrives."""

        admit(call, self._node)

        def on_request(_request: rpc_pb2.SnapshotRequest) -> None:
            call.on_request = _ignore
            try:
                self._check_room()
            except TooManyRequestsError as error:
                call.fail(error)
                return
            stream = _SnapshotStream(self._node, call, self._end_scan)
            self._scans += 1
            stream.step()

        call.on_request = on_request

    def defragment(self, _request: rpc_pb2.DefragmentRequest, call: Call) -> None:
        """Snapshot now, which drops the log segments and snapshots before it."""

        admit(call, self._node)

        def done(task: SnapshotTask) -> None:
            # A snapshot only fails with the disk, and that ends the member.
            if task.cancelled() or task.exception() is not None:
                call.fail(StoppedError())
            else:
                call.reply(rpc_pb2.DefragmentResponse(header=self._header()))

        self._snapshot_now().add_done_callback(done)

    # ------------------------------------------------------------------ leadership, version

    def move_leader(self, request: rpc_pb2.MoveLeaderRequest, call: Call) -> None:
        """Hand leadership to another voter; only the leader can."""

        admit(call, self._node)

        def done(error: KvError | None) -> None:
            if error is not None:
                call.fail(error)
            else:
                call.reply(rpc_pb2.MoveLeaderResponse(header=self._header()))

        self._node.transfer_leadership(
            request.targetID, done, timeout_seconds=self._node.options.request_timeout_seconds
        )

    def downgrade(self, _request: rpc_pb2.DowngradeRequest, _call: Call) -> None:
        """Refuse."""
        raise UnsupportedError("downgrading the cluster")

    def _header(self) -> rpc_pb2.ResponseHeader:
        return convert.header(self._node, self._node.machine.store.revision)


class _SnapshotStream:
    """One snapshot on its way to a client: a piece per turn of the loop, while it reads."""

    def __init__(self, node: Node, call: StreamCall, on_over: Callable[[], None]) -> None:
        self._node = node
        self._call = call
        self._on_over = on_over
        self._blobs = backup.blobs(node.machine.snapshot_chunks())
        self._is_over = False
        # How large the snapshot gets is known at its end only; clients show it as progress.
        self._remaining = node.db_size_in_use
        self._next = next(self._blobs)
        self._stall = node.clock.call_later(SNAPSHOT_STALL_SECONDS, self._give_up)
        call.on_writable = self.step
        call.on_closed = self._close

    def step(self) -> None:
        """Send the next piece; the one after it is made first, to know which is the last."""
        if self._is_over:
            return
        blob, following = self._next, next(self._blobs, None)
        is_last = following is None
        self._remaining = 0 if is_last else max(self._remaining - len(blob), 1)
        self._call.send(rpc_pb2.SnapshotResponse(remaining_bytes=self._remaining, blob=blob))
        self._stall.cancel()
        if following is None:
            self._call.end()
            return
        self._next = following
        self._stall = self._node.clock.call_later(SNAPSHOT_STALL_SECONDS, self._give_up)
        if not self._call.is_blocked:
            self._node.clock.call_later(0, self.step)

    def _give_up(self) -> None:
        self._call.fail(RequestTimeoutError())
        self._close()

    def _close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._stall.cancel()
        self._blobs.close()
        self._on_over()


def _ignore(_request: rpc_pb2.SnapshotRequest) -> None:
    """A second request on a stream that answers one."""


def _crc(chunks: Any) -> Generator[None, None, int]:
    value = 0
    for chunk in chunks:
        value = google_crc32c.extend(value, chunk)
        yield
    return value


def _in_order(alarms: Any) -> list[AlarmMember]:
    return sorted(alarms, key=lambda alarm: (alarm.member_id, alarm.alarm))


def _alarm_text(alarm: AlarmMember) -> str:
    """An alarm as etcd prints its message in `errors`, trailing space and all."""
    fields = f"memberID:{alarm.member_id} " if alarm.member_id else ""
    return fields + (f"alarm:{alarm.alarm.name} " if alarm.alarm else "")


_ALARM_TYPES = {
    AlarmType.NONE: rpc_pb2.AlarmType.NONE,
    AlarmType.NOSPACE: rpc_pb2.AlarmType.NOSPACE,
    AlarmType.CORRUPT: rpc_pb2.AlarmType.CORRUPT,
}
