"""Watch: start revisions in the past and the future, and compaction."""

from collections.abc import Callable

import pytest

from kvstore.pb.mvcc_pb2 import Event
from kvstore.pb.rpc_pb2 import WatchCreateRequest
from tests.conformance.client import Client, WatchStream, end_of, op_delete, op_put, summary

covers = pytest.mark.covers
OpenWatch = Callable[..., WatchStream]


@covers("WatchCreateRequest.start_revision")
def test_a_start_in_the_past_replays_history_and_goes_on(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    start = client.put(prefix, b"1").header.revision
    client.put(prefix, b"2")
    client.delete(prefix)
    watch.created(prefix, start_revision=start)
    client.put(prefix, b"3")
    assert summary(watch.events(4)) == [
        ("PUT", prefix, b"1"),
        ("PUT", prefix, b"2"),
        ("DELETE", prefix, b""),
        ("PUT", prefix, b"3"),
    ]


def test_the_start_revision_is_inclusive(client: Client, watch: WatchStream, prefix: bytes) -> None:
    client.put(prefix, b"1")
    start = client.put(prefix, b"2").header.revision
    watch.created(prefix, start_revision=start)
    assert summary(watch.events(1)) == [("PUT", prefix, b"2")]


def test_start_zero_sees_only_what_comes(client: Client, watch: WatchStream, prefix: bytes) -> None:
    client.put(prefix, b"before")
    watch.created(prefix)
    client.put(prefix, b"after")
    assert summary(watch.events(1)) == [("PUT", prefix, b"after")]


def test_a_negative_start_is_below_every_compaction(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    compacted = client.put(prefix).header.revision
    client.compact(compacted)
    watch.created(prefix, start_revision=-1)
    cancelled = watch.receive()
    assert (cancelled.canceled, cancelled.compact_revision) == (True, compacted)


@pytest.mark.oracle_fault("forgets a delete at the compact revision (issue 18089)")
def test_a_start_at_the_compact_revision_sees_its_delete(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    client.put(prefix, b"1")
    compacted = client.delete(prefix).header.revision
    client.put(prefix, b"2")
    client.compact(compacted, physical=True)
    watch.created(prefix, start_revision=compacted)
    assert summary(watch.events(2)) == [("DELETE", prefix, b""), ("PUT", prefix, b"2")]


def test_a_start_after_the_last_write_waits_for_the_next(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    revision = client.put(prefix, b"1").header.revision
    watch.created(prefix, start_revision=revision + 1)
    client.put(prefix, b"2")
    assert summary(watch.events(1)) == [("PUT", prefix, b"2")]


def test_a_start_in_the_future_skips_what_comes_before_it(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    revision = client.put(prefix, b"0").header.revision
    watch.created(prefix, start_revision=revision + 3)
    for value in (b"1", b"2", b"3", b"4"):
        client.put(prefix, value)
    assert [event.kv.value for event in watch.events(2)] == [b"3", b"4"]


def test_created_of_a_start_in_the_past_carries_the_present_revision(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    start = client.put(prefix).header.revision
    present = client.put(prefix).header.revision
    assert watch.created(prefix, start_revision=start).header.revision == present


def test_history_of_a_range_is_whole_and_in_order(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    written = [client.put(prefix + b"%d" % (n % 7)).header.revision for n in range(100)]
    watch.created(prefix, end_of(prefix), start_revision=written[0])
    assert [event.kv.mod_revision for event in watch.events(100)] == written


def test_a_txn_in_history_is_not_split(client: Client, watch: WatchStream, prefix: bytes) -> None:
    client.put(prefix + b"d")
    response = client.txn(
        success=[op_put(prefix + b"z"), op_delete(prefix + b"d"), op_put(prefix + b"a")]
    )
    watch.created(prefix, end_of(prefix), start_revision=response.header.revision)
    events = watch.receive().events
    assert [event.kv.key[-1:] for event in events] == [b"z", b"d", b"a"]


def test_history_holds_deletes_and_generations(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    start = client.put(prefix).header.revision
    client.delete(prefix)
    client.put(prefix)
    watch.created(prefix, start_revision=start)
    events = watch.events(3)
    assert [event.type for event in events] == [Event.PUT, Event.DELETE, Event.PUT]
    assert [event.kv.version for event in events] == [1, 0, 1]


def test_filters_apply_to_history(client: Client, watch: WatchStream, prefix: bytes) -> None:
    start = client.put(prefix).header.revision
    client.delete(prefix)
    watch.created(prefix, start_revision=start, filters=[WatchCreateRequest.NOPUT])
    assert summary(watch.events(1)) == [("DELETE", prefix, b"")]


def test_prev_kv_applies_to_history(client: Client, watch: WatchStream, prefix: bytes) -> None:
    start = client.put(prefix, b"1").header.revision
    client.put(prefix, b"2")
    client.delete(prefix)
    watch.created(prefix, start_revision=start, prev_kv=True)
    events = watch.events(3)
    assert not events[0].HasField("prev_kv")
    assert [event.prev_kv.value for event in events[1:]] == [b"1", b"2"]


def test_history_and_news_meet_without_gap_or_duplicate(
    client: Client, open_watch: OpenWatch, prefix: bytes
) -> None:
    start = client.put(prefix).header.revision
    streams: list[WatchStream] = []
    written = [start]
    for n in range(100):
        if n % 10 == 0:
            streams.append(open_watch(client))
            streams[-1].create(prefix, start_revision=start)
        written.append(client.put(prefix).header.revision)
    for stream in streams:
        assert stream.receive().created
        assert [event.kv.mod_revision for event in stream.events(101)] == written


def test_a_watcher_below_the_compaction_is_cancelled_with_its_revision(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    start = client.put(prefix).header.revision
    compacted = client.put(prefix).header.revision
    client.compact(compacted)
    watch.create(prefix, start_revision=start)
    created = watch.receive()
    assert (created.created, created.canceled) == (True, False)
    cancelled = watch.receive()
    assert (cancelled.created, cancelled.canceled) == (False, True)
    assert (cancelled.compact_revision, cancelled.watch_id) == (compacted, created.watch_id)
    assert len(cancelled.events) == 0


def test_a_stream_survives_a_compacted_watcher(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    start = client.put(prefix).header.revision
    client.compact(client.put(prefix).header.revision)
    watch.created(prefix, watch_id=1)
    watch.created(prefix, watch_id=2, start_revision=start)
    assert watch.receive().canceled
    client.put(prefix)
    assert watch.receive().watch_id == 1


def test_a_watcher_that_was_cancelled_by_compaction_gets_no_events(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    start = client.put(prefix).header.revision
    client.compact(client.put(prefix).header.revision)
    watch.created(prefix, watch_id=2, start_revision=start)
    assert watch.receive().canceled
    watch.created(prefix, watch_id=3)
    client.put(prefix)
    assert watch.receive().watch_id == 3


def test_a_start_at_the_compact_revision_replays_from_it(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    client.put(prefix, b"1")
    compacted = client.put(prefix, b"2").header.revision
    client.put(prefix, b"3")
    client.compact(compacted, physical=True)
    watch.created(prefix, start_revision=compacted)
    assert [event.kv.value for event in watch.events(2)] == [b"2", b"3"]


def test_prev_kv_that_was_compacted_is_absent(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    client.put(prefix, b"1")
    revision = client.put(prefix, b"2").header.revision
    client.compact(revision, physical=True)
    watch.created(prefix, start_revision=revision, prev_kv=True)
    [event] = watch.events(1)
    assert event.kv.value == b"2"
    assert not event.HasField("prev_kv")


def test_compaction_leaves_a_synced_watcher_alone(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix)
    client.put(prefix, b"1")
    client.compact(client.put(prefix, b"2").header.revision, physical=True)
    client.put(prefix, b"3")
    assert [event.kv.value for event in watch.events(3)] == [b"1", b"2", b"3"]


def test_history_after_a_compaction_is_whole(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    written = [client.put(prefix, b"%d" % n).header.revision for n in range(20)]
    client.compact(written[9], physical=True)
    watch.created(prefix, start_revision=written[10])
    assert [event.kv.mod_revision for event in watch.events(10)] == written[10:]


def test_a_watch_in_history_can_be_cancelled(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    start = client.put(prefix).header.revision
    watch.created(prefix, start_revision=start, watch_id=4)
    assert len(watch.events(1)) == 1
    watch.cancel(4)
    assert watch.receive().canceled
