"""Watch responses as bytes: what is put together is what protobuf reads."""

from collections.abc import Iterator

import pytest

from kvstore.mvcc.types import Event, KeyValue
from kvstore.mvcc.watch_types import Batch
from kvstore.pb.rpc_pb2 import ResponseHeader, WatchResponse
from kvstore.server import watch_encoding
from kvstore.server.watch_encoding import EventEncoder

HEADER = ResponseHeader(cluster_id=11, member_id=22, revision=9, raft_term=3)


def key_value(key: bytes, value: bytes, revision: int) -> KeyValue:
    return KeyValue(key, value, revision, revision, 0, 1)


def parsed(batch: Batch) -> Iterator[WatchResponse]:
    header = WatchResponse(header=HEADER).SerializeToString()
    for pieces in EventEncoder(header).responses(batch):
        yield WatchResponse.FromString(b"".join(pieces))


@pytest.mark.parametrize("watch_id", [0, 1, 127, 128, 2**63 - 1, -1, -(2**63)])
def test_every_watch_id_survives_encoding(watch_id: int) -> None:
    event = Event(key_value(b"k", b"x" * 1000, 9))
    (response,) = parsed(Batch(watch_id, ((event,),), False, False))
    assert response.watch_id == watch_id
    assert response.header == HEADER
    assert response.events[0].kv.value == b"x" * 1000


def test_large_revision_is_sent_in_fragments_below_the_limit() -> None:
    limit = watch_encoding.FRAGMENT_BYTES_MAX
    sizes = [limit // 2, limit // 4, limit // 2, 2 * limit, 10, 10]
    events = [Event(key_value(b"%d" % n, b"x" * size, 9)) for n, size in enumerate(sizes)]
    fragments = list(parsed(Batch(5, (tuple(events[:2]), tuple(events[2:])), False, True)))
    assert [len(fragment.events) for fragment in fragments] == [2, 1, 1, 2]
    assert [fragment.fragment for fragment in fragments] == [True, True, True, False]
    assert {fragment.watch_id for fragment in fragments} == {5}
    keys = [event.kv.key for fragment in fragments for event in fragment.events]
    assert keys == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_large_revision_is_whole_for_who_takes_no_fragments() -> None:
    limit = watch_encoding.FRAGMENT_BYTES_MAX
    events = [Event(key_value(b"%d" % n, b"x" * limit, 9)) for n in range(3)]
    (response,) = parsed(Batch(5, (tuple(events),), False, False))
    assert len(response.events) == 3
    assert not response.fragment


def test_shared_events_are_encoded_once() -> None:
    encoder = EventEncoder(WatchResponse(header=HEADER).SerializeToString())
    run = (Event(key_value(b"k", b"v", 9)),)
    first = encoder.responses(Batch(1, (run,), False, False))
    second = encoder.responses(Batch(2, (run,), False, False))
    merged = encoder.responses(Batch(3, (run, (run[0],)), False, False))
    assert len(encoder._events) == 1
    assert len(encoder._runs) == 2
    for (pieces,) in (first, second, merged):
        assert WatchResponse.FromString(b"".join(pieces)).events[0].kv.value == b"v"
