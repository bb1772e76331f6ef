"""Watch responses as bytes. Pure.

Events are encoded once and shared by the responses of all watchers that get them: a response is
its parts put together, since protobuf allows a message's fields in any order and in pieces. The
field numbers here are those of etcd's WatchResponse. No stream or hub may enter.
"""

from collections.abc import Iterator, Sequence

from kvstore.mvcc.types import Event
from kvstore.mvcc.watch_types import Batch
from kvstore.pb import mvcc_pb2
from kvstore.server import convert
from kvstore.server.call import Pieces
from kvstore.server.wire import varint, with_length

FRAGMENT_BYTES_MAX = 1_572_864 + 512 * 1024
"""Responses to watchers that take fragments stay below: etcd's request limit plus its overhead."""

_WATCH_ID_TAG = b"\x10"  # field 2, varint
_FRAGMENT = b"\x38\x01"  # field 7, true
_EVENTS_TAG = b"\x5a"  # field 11, length-delimited
_UINT64_MAX = 2**64 - 1


def convert_event(event: Event, *, prev_kv: bool) -> mvcc_pb2.Event:
    """One event as etcd sends it; the version before only if wanted and known."""
    kv = event.kv
    message = mvcc_pb2.Event(
        type=mvcc_pb2.Event.DELETE if kv.is_tombstone else mvcc_pb2.Event.PUT,
        kv=convert.key_value(kv),
    )
    if prev_kv and event.prev is not None:
        message.prev_kv.CopyFrom(convert.key_value(event.prev))
    return message


class EventEncoder:
    """Encoded events of one round of sending: it holds on to them, so let it go afterwards."""

    def __init__(self, header: bytes) -> None:
        """`header`: what each response begins with, the field of the header."""
        self._header = header
        # By identity: equal events would have to be compared by their values.
        self._events: dict[tuple[int, bool], tuple[Event, bytes]] = {}
        self._runs: dict[tuple[int, bool], tuple[tuple[Event, ...], bytes]] = {}

    def responses(self, batch: Batch) -> Sequence[Pieces]:
        """The WatchResponses for a batch: one, unless it is too large for a watcher of parts."""
        start = self._header
        if batch.watch_id:
            start += _WATCH_ID_TAG + varint(batch.watch_id & _UINT64_MAX)
        pieces = (start, *[self._encode_run(run, batch.prev_kv) for run in batch.runs])
        if not batch.fragment or sum(map(len, pieces)) < FRAGMENT_BYTES_MAX:
            return (pieces,)
        return tuple(self._fragments(start, batch))

    def _fragments(self, start: bytes, batch: Batch) -> Iterator[Pieces]:
        parts: list[bytes] = []
        size = len(start)
        for event in batch.events:
            part = self._encode(event, batch.prev_kv)
            if parts and size + len(part) >= FRAGMENT_BYTES_MAX:
                yield (start, _FRAGMENT, *parts)
                parts, size = [], len(start)
            parts.append(part)
            size += len(part)
        yield (start, *parts)

    def _encode_run(self, run: tuple[Event, ...], prev_kv: bool) -> bytes:
        key = (id(run), prev_kv)
        found = self._runs.get(key)
        if found is None:
            joined = b"".join([self._encode(event, prev_kv) for event in run])
            found = self._runs[key] = (run, joined)
        return found[1]

    def _encode(self, event: Event, prev_kv: bool) -> bytes:
        key = (id(event), prev_kv)
        found = self._events.get(key)
        if found is None:
            message = convert_event(event, prev_kv=prev_kv)
            data = _EVENTS_TAG + with_length(message.SerializeToString())
            found = self._events[key] = (event, data)
        return found[1]
