"""The hub of watches where clients are slow or start in the past, rule by rule."""

import pytest

from kvstore.commands import Put
from kvstore.mvcc import watch
from kvstore.mvcc.watch_types import Batch, Compacted, WatchSpec
from tests.kvstore.mvcc.watch_bench import Bench, events_of

# Clients that do not read.


def test_paused_stream_is_not_taken_from() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k"))
    bench.hub.pause(bench.stream)
    revision = bench.put(b"k")
    assert bench.hub.take(bench.stream) is None
    assert bench.hub.take_deliverable() == []
    bench.hub.resume(bench.stream)
    assert bench.hub.take_deliverable() == [bench.stream]
    assert bench.revisions() == [revision]


def test_paused_stream_reads_no_history() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.watch(WatchSpec(b"k", start_revision=1))
    bench.hub.pause(bench.stream)
    assert not bench.hub.needs_catch_up
    bench.hub.catch_up(bench.store)
    bench.hub.resume(bench.stream)
    assert bench.revisions() == [2]


def test_long_paused_stream_keeps_only_positions_and_loses_nothing() -> None:
    bench = Bench(retained_bytes_max=2000)
    bench.watch(WatchSpec(b"k"))
    reader = bench.hub.open_stream()
    bench.watch(WatchSpec(b"k"), reader)
    bench.hub.pause(bench.stream)
    expected = []
    for _ in range(50):
        expected.append(bench.put(b"k"))
        assert bench.revisions(reader) == expected[-1:]
    (watcher,) = bench.stream.watchers.values()
    assert watcher.is_lagging
    assert not watcher.pending
    bench.hub.resume(bench.stream)
    assert bench.revisions() == expected


def test_references_to_pending_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PENDING_CHUNKS_MAX", 3)
    bench = Bench()
    for watch_id in (1, 2, 3):
        bench.watch(WatchSpec(b"k", watch_id=watch_id))
    expected = [bench.put(b"k") for _ in range(10)]
    assert all(not watcher.pending for watcher in bench.stream.watchers.values())
    taken = bench.take_all()
    for watch_id in (1, 2, 3):
        mine = [item for item in taken if item.watch_id == watch_id]
        assert [event.kv.mod_revision for event in events_of(mine)] == expected


def test_watcher_behind_the_compaction_is_cancelled_when_its_client_reads_again() -> None:
    bench = Bench(retained_bytes_max=1000)
    watch_id = bench.watch(WatchSpec(b"k"))
    bench.hub.pause(bench.stream)
    for _ in range(20):
        bench.put(b"k")
    bench.compact(10)
    assert bench.take_all() == []
    bench.hub.resume(bench.stream)
    assert bench.take_all() == [Compacted(watch_id, 10)]


def test_watcher_under_way_never_misses_a_deletion_at_the_compact_revision() -> None:
    bench = Bench(retained_bytes_max=1)
    bench.put(b"k")
    watch_id = bench.watch(WatchSpec(b"k"))
    bench.hub.pause(bench.stream)
    deleted = bench.delete(b"k")
    bench.put(b"l")
    bench.put(b"l")
    bench.compact(deleted)
    bench.hub.resume(bench.stream)
    assert bench.take_all() == [Compacted(watch_id, deleted)]


def test_pending_events_come_before_the_cancellation_of_another_watcher() -> None:
    bench = Bench()
    for _ in range(4):
        bench.put(b"k")
    bench.compact(3)
    bench.watch(WatchSpec(b"k", watch_id=1, start_revision=2))
    bench.hub.catch_up(bench.store)
    bench.watch(WatchSpec(b"k", watch_id=2))
    bench.put(b"k")
    assert [type(item) for item in bench.take_all()] == [Batch, Compacted]


def test_untaken_history_is_dropped_like_anything_pending() -> None:
    bench = Bench(retained_bytes_max=1000, slice_events_max=2)
    for _ in range(6):
        bench.put(b"k")
    bench.watch(WatchSpec(b"k", start_revision=1))
    bench.hub.catch_up(bench.store)
    bench.hub.pause(bench.stream)
    for _ in range(10):
        bench.put(b"x")
    (watcher,) = bench.stream.watchers.values()
    assert not watcher.pending
    bench.hub.resume(bench.stream)
    assert bench.revisions() == [2, 3, 4, 5, 6, 7]


# Reading history.


def test_history_is_read_in_bounded_slices_of_whole_revisions() -> None:
    bench = Bench(slice_events_max=4)
    for _ in range(5):
        bench.txn(Put(b"a"), Put(b"b"), Put(b"c"))
    bench.watch(WatchSpec(b"a", b"z", start_revision=1))
    sizes = []
    while bench.hub.needs_catch_up:
        bench.hub.catch_up(bench.store)
        batch = bench.hub.take(bench.stream)
        assert isinstance(batch, Batch)
        assert bench.hub.take(bench.stream) is None
        sizes.append(len(batch.events))
    assert sizes == [6, 6, 3]
    assert bench.hub.is_synced(bench.stream)


def test_large_values_make_slices_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SLICE_BYTES_MAX", 1000)
    bench = Bench()
    for _ in range(3):
        bench.put(b"k", b"x" * 2000)
    bench.watch(WatchSpec(b"k", start_revision=1))
    bench.hub.catch_up(bench.store)
    batch = bench.hub.take(bench.stream)
    assert isinstance(batch, Batch)
    assert len(batch.events) == 1
    assert bench.revisions() == [3, 4]


def test_lagging_watchers_take_turns() -> None:
    bench = Bench(slice_events_max=10)
    for _ in range(100):
        bench.put(b"k")
    slow, quick = bench.stream, bench.hub.open_stream()
    bench.watch(WatchSpec(b"x", start_revision=1), slow)
    bench.watch(WatchSpec(b"k", start_revision=95), quick)
    bench.hub.catch_up(bench.store)
    bench.hub.catch_up(bench.store)
    batch = bench.hub.take(quick)
    assert isinstance(batch, Batch)
    assert [event.kv.mod_revision for event in batch.events] == list(range(95, 102))


def test_neighbours_share_the_reading_of_a_slice() -> None:
    bench = Bench(slice_events_max=10)
    for _ in range(10):
        bench.put(b"k")
    streams = [bench.hub.open_stream() for _ in range(5)]
    for position, stream in enumerate(streams):
        bench.watch(WatchSpec(b"k", start_revision=2 + position), stream)
    bench.hub.catch_up(bench.store)
    for position, stream in enumerate(streams):
        batch = bench.hub.take(stream)
        assert isinstance(batch, Batch)
        assert batch.events[0].kv.mod_revision == 2 + position


def test_readers_of_a_slice_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "COHORT_MAX", 2)
    bench = Bench()
    bench.put(b"k")
    for _ in range(3):
        bench.watch(WatchSpec(b"k", start_revision=1))
    bench.hub.catch_up(bench.store)
    assert len(bench.stream.ready) == 2
    assert bench.revisions() == [2, 2, 2]


def test_new_events_while_lagging_come_from_history_in_order() -> None:
    bench = Bench(slice_events_max=2)
    for _ in range(6):
        bench.put(b"k")
    bench.watch(WatchSpec(b"k", start_revision=1))
    bench.hub.catch_up(bench.store)
    bench.put(b"k")
    assert bench.revisions() == [2, 3, 4, 5, 6, 7, 8]


def test_store_replaced_by_a_snapshot_is_read_from_where_each_watcher_was() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k", watch_id=1))
    bench.watch(WatchSpec(b"k", watch_id=2, start_revision=5))
    bench.put(b"k")
    bench.store.put(Put(b"k", b"never notified"))
    bench.store.put(Put(b"k", b"never notified"))
    bench.store.take_events()
    bench.hub.restored()
    taken = bench.take_all()
    assert [event.kv.mod_revision for event in events_of(taken)] == [2, 3, 4]
    assert {item.watch_id for item in taken} == {1}
    bench.put(b"k")
    assert sorted(item.watch_id for item in bench.take_all()) == [1, 2]
