"""The space quota: what a write will cost, and the NOSPACE alarm when there is no room for it.

A member refuses before it proposes, as etcd does; what is refused once the alarm is raised is the
state machine's business (`kvstore.apply`).
"""

from collections.abc import Iterable
from typing import Any

from kvstore.apply import AlarmMember
from kvstore.commands import Alarm, AlarmAction, AlarmType, Operation, Put, Txn
from kvstore.errors import NoSpaceError
from kvstore.server.call import Call
from kvstore.server.node import Node

# etcd's estimates of what metadata takes.
KEY_OVERHEAD_BYTES = 256
LEASE_BYTES = 64


def put_bytes(command: Put) -> int:
    """What a put will take."""
    return KEY_OVERHEAD_BYTES + len(command.key) + len(command.value)


def txn_bytes(command: Txn) -> int:
    """What a txn will take: its larger branch. 0 if it puts nothing: then it always may run."""
    return max(_operations_bytes(command.success), _operations_bytes(command.failure))


def _operations_bytes(operations: Iterable[Operation]) -> int:
    size = 0
    for operation in operations:
        if isinstance(operation, Put):
            size += put_bytes(operation)
        elif isinstance(operation, Txn):
            size += txn_bytes(operation)
    return size


class Quota:
    """The quota of one member; `bytes_max` is None when there is none."""

    def __init__(self, node: Node, bytes_max: int | None) -> None:
        self._node = node
        self._bytes_max = bytes_max
        self._refused: list[Call] = []  # wait for the alarm that tells everyone

    def has_room(self, request_bytes: int) -> bool:
        """Tell whether a write of this size may be proposed."""
        if self._bytes_max is None or request_bytes == 0:
            return True
        return self._node.db_size_in_use + request_bytes < self._bytes_max

    def refuse(self, call: Call) -> None:
        """Fail a call with NoSpaceError once the NOSPACE alarm is raised on all members."""
        member_id = self._node.member_id
        if AlarmMember(AlarmType.NOSPACE, member_id) in self._node.machine.alarms:
            call.fail(NoSpaceError())
            return
        self._refused.append(call)
        if len(self._refused) == 1:
            alarm = Alarm(AlarmAction.ACTIVATE, member_id, AlarmType.NOSPACE)
            self._node.propose(alarm, self._fail_refused)

    def _fail_refused(self, _: Any) -> None:
        # Whether or not the alarm could be raised, there is no room here.
        refused, self._refused = self._refused, []
        for call in refused:
            call.fail(NoSpaceError())
