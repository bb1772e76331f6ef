"""What the client gives back: frozen records, in etcd's words.

Data only: no I/O, no protobuf, no behaviour but what a record says about itself.
"""

from enum import IntEnum

import msgspec

from kvstore.commands import AlarmType


class Header(msgspec.Struct, frozen=True, gc=False):
    """Who answered, and at which revision of the store."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0
    raft_term: int = 0


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """One version of a key; in a DELETE event only `key` and `mod_revision` are set."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


class PutResponse(msgspec.Struct, frozen=True):
    """`prev_kv` only when asked for and there was one."""

    header: Header
    prev_kv: KeyValue | None = None


class RangeResponse(msgspec.Struct, frozen=True):
    """`count` is the number of keys in the range, whatever the limit; `more`: the limit cut."""

    header: Header
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False
    count: int = 0


class DeleteResponse(msgspec.Struct, frozen=True):
    """`prev_kvs` only when asked for, in key order."""

    header: Header
    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


class TxnResponse(msgspec.Struct, frozen=True):
    """One response per operation of the branch that ran."""

    header: Header
    succeeded: bool
    responses: tuple["OperationResponse", ...] = ()


class CompactResponse(msgspec.Struct, frozen=True):
    """The compaction is decided (and done, when `physical` was asked for)."""

    header: Header


OperationResponse = PutResponse | RangeResponse | DeleteResponse | TxnResponse


class EventType(IntEnum):
    """What happened to a key."""

    PUT = 0
    DELETE = 1


class Event(msgspec.Struct, frozen=True):
    """A change; `prev_kv` only when asked for and not yet compacted."""

    type: EventType
    kv: KeyValue
    prev_kv: KeyValue | None = None


class WatchBatch(msgspec.Struct, frozen=True):
    """Events in revision order, whole revisions only.

    Everything up to and including `revision` has been delivered, so a later watch may start at
    `revision + 1`. No events: a progress notification.
    """

    header: Header
    revision: int
    events: tuple[Event, ...] = ()


class LeaseGrant(msgspec.Struct, frozen=True, gc=False):
    """A new lease; the TTL is what the server granted."""

    header: Header
    lease_id: int
    ttl_seconds: int


class LeaseTimeToLive(msgspec.Struct, frozen=True):
    """Remaining TTL, -1 for a lease that does not exist (any more)."""

    header: Header
    lease_id: int
    ttl_seconds: int
    granted_ttl_seconds: int = 0
    keys: tuple[bytes, ...] = ()


class LeaseList(msgspec.Struct, frozen=True):
    """The ids of all leases."""

    header: Header
    lease_ids: tuple[int, ...] = ()


class Member(msgspec.Struct, frozen=True):
    """A member of the cluster; the name is empty until it has started once."""

    member_id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False


class MemberList(msgspec.Struct, frozen=True):
    """The members of the cluster."""

    header: Header
    members: tuple[Member, ...] = ()


class MemberAdded(msgspec.Struct, frozen=True):
    """A new member, among all of them."""

    header: Header
    member: Member
    members: tuple[Member, ...] = ()


class Status(msgspec.Struct, frozen=True):
    """One member's view of itself."""

    header: Header
    version: str
    db_size: int
    db_size_in_use: int
    leader: int
    raft_index: int
    raft_term: int
    raft_applied_index: int
    errors: tuple[str, ...] = ()
    is_learner: bool = False


class HashKv(msgspec.Struct, frozen=True, gc=False):
    """Hash of a member's key space at a revision, for comparing members."""

    header: Header
    hash: int
    compact_revision: int


class AlarmMember(msgspec.Struct, frozen=True, gc=False):
    """An alarm that a member has raised."""

    member_id: int
    alarm: AlarmType


class AlarmList(msgspec.Struct, frozen=True):
    """Alarms raised, or, after a disarm, those that were taken back."""

    header: Header
    alarms: tuple[AlarmMember, ...] = ()
