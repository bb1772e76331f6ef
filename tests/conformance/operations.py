"""Random operations for the differential test: a pure function of the seed.

Requests are templates: a revision in them may be relative (to the store's present revision, or to
its compact revision), a lease id may mean "the n-th that the server chose". `resolve` fills such
places in. So any tail of a run can be replayed on empty stores and still make sense.

The alphabet is small on purpose: operations must meet. Left out is only what kills the oracle
(unknown sort targets and alarm actions; a put with `ignore_*` beside an open-ended delete).
"""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from kvstore.pb.rpc_pb2 import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    HashKVRequest,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
)

STREAMS = 2
KEYS = (b"a", b"aa", b"ab", b"b", b"c", b"ca", b"d", b"\xff")  # <= 12: Go's sort is stable so far
ENDS = (*KEYS, b"\0", b"\0", b"e", b"b\0")
VALUES = (b"", b"1", b"2", b"\xff\0", b"long" * 20)
LEASES = range(1, 7)
TTLS = (1000, 2000, 5000)  # none expires during a run
RELATIVE_TO_PRESENT = -(10**9)
RELATIVE_TO_COMPACT = -2 * 10**9
RELATIVE_SPAN = 10**6
SERVER_CHOSEN = 10**12  # + n: the n-th lease id that the server chose
_REVISION_FIELDS = frozenset(
    {
        "revision",
        "start_revision",
        "mod_revision",
        "create_revision",
        "min_mod_revision",
        "max_mod_revision",
        "min_create_revision",
        "max_create_revision",
    }
)


@dataclass(frozen=True)
class Operation:
    """One step of a run: a kind for the statistics, a request, for watches also the stream."""

    kind: str
    request: Message
    stream: int = 0


@dataclass
class Position:
    """What relative revisions are relative to."""

    revision: int = 1
    compact_revision: int = 0


def resolve(request: Message, position: Position) -> Message:
    """A copy of the request with its relative revisions made absolute."""
    resolved = copy.deepcopy(request)
    _resolve(resolved, position)
    return resolved


def _resolve(message: Message, position: Position) -> None:
    for field, value in message.ListFields():
        if isinstance(value, Message):
            _resolve(value, position)
        elif field.is_repeated and field.message_type is not None:
            for item in value:
                _resolve(item, position)
        elif field.name in _REVISION_FIELDS:
            setattr(message, field.name, _absolute(value, position))


def _absolute(value: int, position: Position) -> int:
    for base, origin in (
        (RELATIVE_TO_PRESENT, position.revision),
        (RELATIVE_TO_COMPACT, position.compact_revision),
    ):
        if abs(value - base) < RELATIVE_SPAN:
            return max(1, origin + value - base)
    return value


class Generator:
    """An endless sequence of operations."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._server_chosen = 0
        draw = self
        self._kinds: dict[str, tuple[int, Callable[[], Operation]]] = {
            "put": (20, lambda: Operation("put", draw._put())),
            "range": (14, lambda: Operation("range", draw._range())),
            "delete": (9, lambda: Operation("delete", draw._delete())),
            "txn": (17, lambda: Operation("txn", draw._txn(depth=0))),
            "compact": (5, draw._compact),
            "lease grant": (6, draw._lease_grant),
            "lease revoke": (5, draw._lease_revoke),
            "lease keep-alive": (5, draw._lease_keep_alive),
            "lease time-to-live": (5, draw._lease_time_to_live),
            "lease list": (5, lambda: Operation("lease list", LeaseLeasesRequest())),
            "watch create": (6, draw._watch_create),
            "watch cancel": (5, draw._watch_cancel),
            "watch progress": (5, draw._watch_progress),
            "hash": (5, draw._hash),
        }

    @property
    def kinds(self) -> list[str]:
        """Names of all kinds of operation."""
        return list(self._kinds)

    def __iter__(self) -> Iterator[Operation]:
        names = list(self._kinds)
        weights = [self._kinds[name][0] for name in names]
        while True:
            [name] = self._random.choices(names, weights)
            yield self._kinds[name][1]()

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _key(self) -> bytes:
        return b"" if self._chance(0.01) else self._random.choice(KEYS)

    def _end(self, probability: float) -> bytes:
        return self._random.choice(ENDS) if self._chance(probability) else b""

    def _revision(self, *, back: int = 12, ahead: int = 1) -> int:
        """Mostly readable, sometimes compacted or in the future."""
        if self._chance(0.2):
            return RELATIVE_TO_COMPACT + self._random.randint(-1, 2)
        return RELATIVE_TO_PRESENT - self._random.randint(-ahead, back)

    def _lease(self) -> int:
        return self._random.choice(LEASES)

    def _any_lease(self) -> int:
        if self._server_chosen and self._chance(0.4):
            return SERVER_CHOSEN + self._random.randint(0, self._server_chosen)
        return self._lease()

    def _put(self) -> PutRequest:
        request = PutRequest(
            key=self._key(), value=self._random.choice(VALUES), prev_kv=self._chance(0.4)
        )
        # Only chosen ids are attached to keys: HashKV covers the lease id.
        if self._chance(0.3):
            request.lease = self._lease()
        if self._chance(0.1):
            request.ignore_value = True
            request.value = b"x" if self._chance(0.1) else b""
        if self._chance(0.1):
            request.ignore_lease = True
            request.lease = request.lease if self._chance(0.1) else 0
        return request

    def _range(self) -> RangeRequest:
        request = RangeRequest(
            key=self._key(),
            range_end=self._end(0.7),
            serializable=self._chance(0.3),
            keys_only=self._chance(0.2),
            count_only=self._chance(0.1),
        )
        if self._chance(0.4):
            request.limit = self._random.choice((1, 2, 3, 5, -1))
        if self._chance(0.4):
            request.revision = self._revision()
        if self._chance(0.4):
            request.sort_order = self._random.choice((0, 1, 2))  # type: ignore[assignment]
            request.sort_target = self._random.choice((0, 1, 2, 3, 4))  # type: ignore[assignment]
        if self._chance(0.2):
            self._filter(request)
        return request

    def _filter(self, request: RangeRequest) -> None:
        for name in ("min_mod_revision", "max_mod_revision"):
            if self._chance(0.5):
                setattr(request, name, RELATIVE_TO_PRESENT - self._random.randint(0, 15))
        for name in ("min_create_revision", "max_create_revision"):
            if self._chance(0.3):
                setattr(request, name, RELATIVE_TO_PRESENT - self._random.randint(0, 30))

    def _delete(self) -> DeleteRangeRequest:
        return DeleteRangeRequest(
            key=self._key(), range_end=self._end(0.25), prev_kv=self._chance(0.5)
        )

    def _txn(self, *, depth: int) -> TxnRequest:
        request = TxnRequest(
            compare=[self._compare() for _ in range(self._random.randint(0, 2))],
            success=self._branch(depth),
            failure=self._branch(depth),
        )
        if depth == 0:
            _spare_the_oracle(request)
        return request

    def _branch(self, depth: int) -> list[RequestOp]:
        return [self._operation(depth) for _ in range(self._random.randint(0, 3))]

    def _operation(self, depth: int) -> RequestOp:
        [kind] = self._random.choices(("put", "range", "delete", "txn"), (5, 3, 2, 1))
        if kind == "put":
            return RequestOp(request_put=self._put())
        if kind == "range":
            return RequestOp(request_range=self._range())
        if kind == "delete" or depth >= 2:
            return RequestOp(request_delete_range=self._delete())
        return RequestOp(request_txn=self._txn(depth=depth + 1))

    def _compare(self) -> Compare:
        compare = Compare(
            key=self._key(),
            range_end=self._end(0.2),
            result=self._random.choice((0, 1, 2, 3)),  # type: ignore[arg-type]
            target=self._random.choice((0, 1, 2, 3, 4)),  # type: ignore[arg-type]
        )
        if self._chance(0.05):
            return compare
        match compare.target:
            case Compare.VERSION:
                compare.version = self._random.randint(0, 4)
            case Compare.CREATE:
                compare.create_revision = self._compared_revision()
            case Compare.MOD:
                compare.mod_revision = self._compared_revision()
            case Compare.VALUE:
                compare.value = self._random.choice(VALUES)
            case _:
                compare.lease = self._random.choice((0, *LEASES))
        return compare

    def _compared_revision(self) -> int:
        return 0 if self._chance(0.3) else RELATIVE_TO_PRESENT - self._random.randint(0, 10)

    def _compact(self) -> Operation:
        # Always physical: while all keys are deleted, etcd 3.4's HashKV covers also what a
        # compaction still under way has not reached.
        request = CompactionRequest(revision=self._revision(back=20, ahead=1), physical=True)
        return Operation("compact", request)

    def _lease_grant(self) -> Operation:
        request = LeaseGrantRequest(TTL=self._random.choice(TTLS), ID=self._lease())
        if self._chance(0.25):
            request.ID = 0
            self._server_chosen += 1
        elif self._chance(0.05):
            request.TTL = 9_000_000_001
        return Operation("lease grant", request)

    def _lease_revoke(self) -> Operation:
        return Operation("lease revoke", LeaseRevokeRequest(ID=self._any_lease()))

    def _lease_keep_alive(self) -> Operation:
        return Operation("lease keep-alive", LeaseKeepAliveRequest(ID=self._any_lease()))

    def _lease_time_to_live(self) -> Operation:
        request = LeaseTimeToLiveRequest(ID=self._any_lease(), keys=self._chance(0.6))
        return Operation("lease time-to-live", request)

    def _watch_create(self) -> Operation:
        request = WatchCreateRequest(
            key=self._key(),
            range_end=self._end(0.6),
            prev_kv=self._chance(0.5),
            progress_notify=self._chance(0.2),
            fragment=self._chance(0.2),
        )
        if self._chance(0.3):
            request.start_revision = self._revision(ahead=3)
        if self._chance(0.3):
            request.filters.append(self._random.choice((0, 1)))  # type: ignore[arg-type]
        if self._chance(0.5):
            request.watch_id = self._random.randint(1, 6)
        return self._watch("watch create", WatchRequest(create_request=request))

    def _watch_cancel(self) -> Operation:
        request = WatchCancelRequest(watch_id=self._random.randint(0, 12))
        return self._watch("watch cancel", WatchRequest(cancel_request=request))

    def _watch_progress(self) -> Operation:
        request = WatchRequest(progress_request=WatchProgressRequest())
        return self._watch("watch progress", request)

    def _watch(self, kind: str, request: WatchRequest) -> Operation:
        return Operation(kind, request, self._random.randrange(STREAMS))

    def _hash(self) -> Operation:
        request = HashKVRequest()
        if self._chance(0.5):
            request.revision = self._revision()
        return Operation("hash", request)


def _spare_the_oracle(txn: TxnRequest) -> None:
    """Drop `ignore_*` beside deletes: etcd 3.4 may find the key gone while it applies, and dies."""
    operations = list(_flatten(txn))
    if any(operation.HasField("request_delete_range") for operation in operations):
        for operation in operations:
            if operation.HasField("request_put"):
                operation.request_put.ignore_value = False
                operation.request_put.ignore_lease = False


def _flatten(txn: TxnRequest) -> Iterator[RequestOp]:
    for operation in (*txn.success, *txn.failure):
        yield operation
        if operation.HasField("request_txn"):
            yield from _flatten(operation.request_txn)
