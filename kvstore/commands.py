"""Commands: what a client asks of the state machine, and what members write to the log.

Pure records. Ranges appear here because a txn contains them; a range by itself is a read and is
never logged. Every command is a frozen struct; `encode`/`decode` are the only codec.
"""

from enum import IntEnum

import msgspec


class _Record(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    """Base of all commands: an array on the wire, its first element names the type."""


class SortOrder(IntEnum):
    """Order of a range's result."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    """What a range's result is sorted by."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class CompareResult(IntEnum):
    """Relation that a compare asks for."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


class CompareTarget(IntEnum):
    """Field of the key-value that a compare looks at."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class AlarmAction(IntEnum):
    """What an alarm request does."""

    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


class AlarmType(IntEnum):
    """Kinds of alarm."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


class Range(_Record, frozen=True, tag="r"):
    """Read keys in [key, range_end) at a revision (0 = now), etcd's RangeRequest."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: SortOrder = SortOrder.NONE
    sort_target: SortTarget = SortTarget.KEY
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class Put(_Record, frozen=True, tag="p"):
    """Write one key."""

    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRange(_Record, frozen=True, tag="d"):
    """Delete the keys in [key, range_end)."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False


class Compare(_Record, frozen=True, tag="c"):
    """One condition of a txn. `value` is an int, or bytes for CompareTarget.VALUE."""

    result: CompareResult
    target: CompareTarget
    key: bytes
    value: int | bytes
    range_end: bytes = b""


class Txn(_Record, frozen=True, tag="t"):
    """If all compares hold, run `success`, else `failure`; one main revision for all of it."""

    compares: tuple[Compare, ...] = ()
    success: tuple["Operation", ...] = ()
    failure: tuple["Operation", ...] = ()


class Compact(_Record, frozen=True, tag="k"):
    """Forget history before `revision`."""

    revision: int
    physical: bool = False


class LeaseGrant(_Record, frozen=True, tag="lg"):
    """Create a lease; the proposer has chosen `lease_id` (never 0) and the granted TTL."""

    lease_id: int
    ttl_seconds: int


class LeaseRevoke(_Record, frozen=True, tag="lr"):
    """Delete a lease and its keys."""

    lease_id: int


class LeaseCheckpoint(_Record, frozen=True, tag="lc"):
    """Remaining TTLs in seconds (0 = the full one again), so that a new leader knows them."""

    remaining: tuple[tuple[int, int], ...]


class Alarm(_Record, frozen=True, tag="a"):
    """Raise or disarm an alarm of a member (GET is a read and never logged)."""

    action: AlarmAction
    member_id: int
    alarm: AlarmType


class PublishMember(_Record, frozen=True, tag="m"):
    """A member tells the others its name and where clients reach it."""

    member_id: int
    name: str
    client_urls: tuple[str, ...]


class AddMember(_Record, frozen=True, tag="ma"):
    """A new member; its proposer has computed the id."""

    member_id: int
    peer_urls: tuple[str, ...]
    is_learner: bool = False


class RemoveMember(_Record, frozen=True, tag="mr"):
    """A member leaves; its id is never used again."""

    member_id: int


class UpdateMember(_Record, frozen=True, tag="mu"):
    """A member is reached by its peers elsewhere."""

    member_id: int
    peer_urls: tuple[str, ...]


class PromoteMember(_Record, frozen=True, tag="mp"):
    """A learner becomes a voter."""

    member_id: int


Operation = Range | Put | DeleteRange | Txn
Command = (
    Put
    | DeleteRange
    | Txn
    | Compact
    | LeaseGrant
    | LeaseRevoke
    | LeaseCheckpoint
    | Alarm
    | PublishMember
    | AddMember
    | RemoveMember
    | UpdateMember
    | PromoteMember
)
MembershipCommand = AddMember | RemoveMember | UpdateMember | PromoteMember


class Proposal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one log entry carries: a command and who waits for its result."""

    member_id: int
    request_id: int
    command: Command


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Proposal)


def encode(proposal: Proposal) -> bytes:
    """Bytes for the log."""
    return _encoder.encode(proposal)


def decode(data: bytes) -> Proposal:
    """The proposal in a log entry; raises msgspec.ValidationError on garbage."""
    return _decoder.decode(data)
