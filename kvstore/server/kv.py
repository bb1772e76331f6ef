"""The KV service: Range, Put, DeleteRange, Txn, Compact.

Reads are served from the state machine, after a read index unless they are serializable; writes
are proposed. The order of the checks is etcd's: quota, request, size. Knows no transport.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf.message import Message

from kvstore.commands import Command, Compact, Range, Txn
from kvstore.errors import KvError, RequestTooLargeError
from kvstore.mvcc.checks import check_delete, check_put, check_range, check_txn
from kvstore.pb import rpc_pb2
from kvstore.server import convert
from kvstore.server.call import Call, Methods, admit
from kvstore.server.compactor import Compactor
from kvstore.server.headers import Headers
from kvstore.server.large_ranges import LARGE_ROWS, Encoding, LargeRanges
from kvstore.server.node import Node
from kvstore.server.quota import Quota, put_bytes, txn_bytes
from kvstore.server.range_encoding import RangeEncoder

METHODS: Methods = {
    "/etcdserverpb.KV/Range": ("range", rpc_pb2.RangeRequest, "unary"),
    "/etcdserverpb.KV/Put": ("put", rpc_pb2.PutRequest, "unary"),
    "/etcdserverpb.KV/DeleteRange": ("delete_range", rpc_pb2.DeleteRangeRequest, "unary"),
    "/etcdserverpb.KV/Txn": ("txn", rpc_pb2.TxnRequest, "unary"),
    "/etcdserverpb.KV/Compact": ("compact", rpc_pb2.CompactionRequest, "unary"),
}

# What etcd's log entry adds to a request: the entry's header with a 64-bit id, tag and length.
_ENTRY_HEADER_BYTES = 14
_TAG_BYTES = 1


class KvLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`--max-request-bytes` and `--max-txn-ops`; the defaults are etcd's."""

    request_bytes_max: int = 1_572_864
    operations_max: int = 128


class KvService:
    """Serves key-values of one node."""

    def __init__(self, node: Node, compactor: Compactor, quota: Quota, limits: KvLimits) -> None:
        self._node = node
        self._compactor = compactor
        self._quota = quota
        self._limits = limits
        self._headers = Headers(node)
        self._encoder = RangeEncoder()
        self._large_ranges = LargeRanges(node.clock, self._begin_large)

    def range(self, request: rpc_pb2.RangeRequest, call: Call) -> None:
        """Read keys; a serializable read also without a leader."""
        # A member that has not come to its own addition yet has nothing worth to be served.
        also_by_learner = request.serializable and self._node.is_member
        admit(call, self._node, also_by_learner=also_by_learner)
        command = convert.range_(request)
        check_range(command)
        if request.serializable:
            self._answer_range(command, call)
        else:
            self._read(self._answer_range, command, call)

    def put(self, request: rpc_pb2.PutRequest, call: Call) -> None:
        """Write a key."""
        admit(call, self._node)
        command = convert.put(request)
        if not self._quota.has_room(put_bytes(command)):
            self._quota.refuse(call)
            return
        check_put(command)
        self._check_size(request)
        self._write(command, call, convert.put_response)

    def delete_range(self, request: rpc_pb2.DeleteRangeRequest, call: Call) -> None:
        """Delete keys; never refused for want of space."""
        admit(call, self._node)
        command = convert.delete_range(request)
        check_delete(command)
        self._check_size(request)
        self._write(command, call, convert.delete_range_response)

    def txn(self, request: rpc_pb2.TxnRequest, call: Call) -> None:
        """Run a txn: through the log, unless it only reads."""
        admit(call, self._node)
        command = convert.txn(request)
        if not self._quota.has_room(txn_bytes(command)):
            self._quota.refuse(call)
            return
        check_txn(command, self._limits.operations_max)
        if not convert.is_read_only(request):
            self._check_size(request)
            self._write(command, call, convert.txn_answer)
            return
        if convert.is_serializable(request):
            self._answer_txn(command, call)
        else:
            self._read(self._answer_txn, command, call)

    def compact(self, request: rpc_pb2.CompactionRequest, call: Call) -> None:
        """Forget history; a physical compaction answers when this member has freed it."""

        admit(call, self._node)

        def reply() -> None:
            header = self._headers.field(self._node.machine.store.revision)
            call.reply(rpc_pb2.CompactionResponse(), header)

        def done(result: Any) -> None:
            if isinstance(result, KvError):
                call.fail(result)
            elif request.physical:
                self._compactor.when_compacted(reply)
            else:
                reply()

        self._node.propose(Compact(request.revision, physical=request.physical), done)

    def _read(self, answer: Callable[[Any, Call], None], command: Range | Txn, call: Call) -> None:
        """Answer once this member has applied all that was committed before now."""

        def done(error: KvError | None) -> None:
            if error is not None:
                call.fail(error)
                return
            try:
                answer(command, call)
            except KvError as failure:
                call.fail(failure)

        self._node.read_index(done)

    def _write(
        self,
        command: Command,
        call: Call,
        respond: Callable[[Any], Message | bytes],
    ) -> None:
        """Propose a command and answer with its result."""

        def done(result: Any) -> None:
            if isinstance(result, KvError):
                call.fail(result)
                return
            try:
                call.reply(respond(result), self._headers.field(result.revision))
            except KvError as failure:  # it is written, but the answer is too large to be made
                call.fail(failure)

        self._node.propose(command, done)

    def _answer_range(self, command: Range, call: Call) -> None:
        if command.range_end and self._is_large(command):
            self._large_ranges.add(command, call)
        elif call.accepts_answer():
            result = self._node.machine.store.range(command)
            header = self._headers.field(result.revision)
            call.reply(self._encoder.response(result, header, keys_only=command.keys_only))

    def _is_large(self, command: Range) -> bool:
        """Tell whether a range may have so many rows that they are not encoded at once."""
        if command.count_only or 0 < command.limit <= LARGE_ROWS:
            return False
        store = self._node.machine.store
        return store.candidate_count(command.key, command.range_end) > LARGE_ROWS

    def _begin_large(self, command: Range) -> Encoding:
        result = self._node.machine.store.range(command)
        header = self._headers.field(result.revision)
        return self._encoder.response_in_slices(result, header, keys_only=command.keys_only)

    def _answer_txn(self, command: Txn, call: Call) -> None:
        if not call.accepts_answer():
            return
        result = self._node.machine.store.txn(command)
        call.reply(convert.txn_answer(result), self._headers.field(result.revision))

    def _check_size(self, request: Message) -> None:
        """The limit is on etcd's log entry, so that both refuse the same requests."""
        size = request.ByteSize()
        length_bytes = (size.bit_length() + 6) // 7 or 1
        entry_bytes = _ENTRY_HEADER_BYTES + _TAG_BYTES + length_bytes + size
        if entry_bytes > self._limits.request_bytes_max:
            raise RequestTooLargeError(f"{entry_bytes} bytes")
