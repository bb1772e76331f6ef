"""The hub of watches, rule by rule, over a real store."""

import pytest

from kvstore.commands import Compact, DeleteRange, Put, Txn
from kvstore.lease import Lessor
from kvstore.mvcc import watch
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import Event
from kvstore.mvcc.watch import WatchHub
from kvstore.mvcc.watch_stream import BATCH_BYTES_MAX, WatchStream
from kvstore.mvcc.watch_types import Batch, Compacted, Refusal, WatchSpec


class Bench:
    """A store, its hub and one stream."""

    def __init__(self, **limits: int) -> None:
        self.store = Store(Lessor())
        self.hub = WatchHub(**limits)
        self.stream = self.hub.open_stream()

    def put(self, key: bytes, value: bytes = b"v") -> int:
        self.store.put(Put(key, value))
        return self.publish()

    def delete(self, key: bytes) -> int:
        self.store.delete_range(DeleteRange(key))
        return self.publish()

    def txn(self, *puts: Put) -> int:
        self.store.txn(Txn(success=puts))
        return self.publish()

    def publish(self) -> int:
        self.hub.notify(self.store.take_events(), self.store.revision)
        return self.store.revision

    def compact(self, revision: int) -> None:
        self.store.compact(Compact(revision))
        while self.store.compact_slice(1000):
            pass

    def watch(self, spec: WatchSpec, stream: WatchStream | None = None) -> int:
        outcome = self.hub.create(stream or self.stream, spec, self.store.revision)
        assert isinstance(outcome, int)
        return outcome

    def take_all(self, stream: WatchStream | None = None) -> list[Batch | Compacted]:
        taken: list[Batch | Compacted] = []
        while True:
            item = self.hub.take(stream or self.stream)
            if item is not None:
                taken.append(item)
            elif self.hub.needs_catch_up:
                self.hub.catch_up(self.store)
            else:
                return taken

    def revisions(self, stream: WatchStream | None = None) -> list[int]:
        return [event.kv.mod_revision for event in events_of(self.take_all(stream))]


def events_of(items: list[Batch | Compacted]) -> list[Event]:
    return [event for item in items if isinstance(item, Batch) for event in item.events]


# Ids and refusals.


def test_ids_are_counted_from_0_and_skip_chosen_ones() -> None:
    bench = Bench()
    spec = WatchSpec(b"k")
    assert bench.watch(spec) == 0
    assert bench.watch(WatchSpec(b"k", watch_id=1)) == 1
    assert bench.watch(spec) == 2
    assert bench.watch(WatchSpec(b"k", watch_id=-7)) == -7
    assert bench.watch(spec) == 3


def test_chosen_id_that_is_taken_is_refused() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k", watch_id=5))
    outcome = bench.hub.create(bench.stream, WatchSpec(b"k", watch_id=5), 1)
    assert outcome is Refusal.DUPLICATE_ID


def test_cancelled_id_is_free_again() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k", watch_id=5))
    assert bench.hub.cancel(bench.stream, 5)
    assert bench.watch(WatchSpec(b"k", watch_id=5)) == 5


@pytest.mark.parametrize(("key", "end"), [(b"k", b"k"), (b"l", b"k"), (b"\0", b"\0")])
def test_empty_range_is_refused_but_not_the_open_one(key: bytes, end: bytes) -> None:
    bench = Bench()
    outcome = bench.hub.create(bench.stream, WatchSpec(key, end), 1)
    assert outcome == (0 if end == b"\0" else Refusal.EMPTY_RANGE)


def test_watchers_of_a_stream_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "WATCHERS_MAX", 2)
    bench = Bench()
    bench.watch(WatchSpec(b"k"))
    bench.watch(WatchSpec(b"k"))
    assert bench.hub.create(bench.stream, WatchSpec(b"k"), 1) is Refusal.TOO_MANY


@pytest.mark.parametrize(
    ("key", "end", "seen"),
    [
        (b"", b"", [b"\0"]),
        (b"", b"\0", [b"\0", b"a", b"b"]),
        (b"", b"b", [b"\0", b"a"]),
        (b"a", b"", [b"a"]),
        (b"a", b"\0", [b"a", b"b"]),
        (b"a", b"b", [b"a"]),
    ],
)
def test_empty_key_means_the_smallest(key: bytes, end: bytes, seen: list[bytes]) -> None:
    bench = Bench()
    bench.watch(WatchSpec(key, end))
    for name in (b"\0", b"a", b"b"):
        bench.put(name)
    assert [event.kv.key for event in events_of(bench.take_all())] == seen


# Where a watcher starts.


def test_start_0_is_what_comes_after_creation() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.watch(WatchSpec(b"k"))
    assert bench.revisions() == []
    revision = bench.put(b"k")
    assert bench.revisions() == [revision]


def test_start_in_the_past_reads_history_then_goes_on() -> None:
    bench = Bench()
    revisions = [bench.put(b"k") for _ in range(3)]
    bench.watch(WatchSpec(b"k", start_revision=revisions[1]))
    assert not bench.hub.is_synced(bench.stream)
    assert bench.revisions() == revisions[1:]
    assert bench.hub.is_synced(bench.stream)
    assert bench.revisions() == []
    assert bench.put(b"k") in bench.revisions()


def test_start_in_the_future_waits_for_it() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k", start_revision=4))
    assert bench.hub.is_synced(bench.stream)
    for _ in range(4):
        bench.put(b"k")
    assert bench.revisions() == [4, 5]


def test_negative_start_is_the_beginning() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.watch(WatchSpec(b"k", start_revision=-3))
    assert bench.revisions() == [2]


def test_events_applied_but_not_notified_yet_come_once() -> None:
    bench = Bench()
    bench.store.put(Put(b"k", b"1"))
    bench.watch(WatchSpec(b"k", watch_id=1, start_revision=1))
    bench.watch(WatchSpec(b"k", watch_id=2))
    before = bench.take_all()
    assert [item.watch_id for item in before] == [1]
    bench.publish()
    assert bench.take_all() == []


def test_start_below_the_compaction_is_cancelled() -> None:
    bench = Bench()
    for _ in range(5):
        bench.put(b"k")
    bench.compact(4)
    watch_id = bench.watch(WatchSpec(b"k", start_revision=3))
    assert bench.take_all() == [Compacted(watch_id, 4)]
    assert not bench.hub.cancel(bench.stream, watch_id)
    assert bench.hub.is_synced(bench.stream)


def test_start_at_the_compaction_is_served() -> None:
    bench = Bench()
    for _ in range(5):
        bench.put(b"k")
    bench.compact(4)
    bench.watch(WatchSpec(b"k", start_revision=4))
    assert bench.revisions() == [4, 5, 6]


# What comes.


def test_all_events_of_a_revision_come_together_in_order() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"a", b"z"))
    revision = bench.txn(Put(b"c"), Put(b"a"), Put(b"b"))
    (batch,) = bench.take_all()
    assert isinstance(batch, Batch)
    assert [event.kv.key for event in batch.events] == [b"c", b"a", b"b"]
    assert {event.kv.mod_revision for event in batch.events} == {revision}


@pytest.mark.parametrize(
    ("no_put", "no_delete", "seen"),
    [
        (False, False, [2, 3, 4]),
        (True, False, [3]),
        (False, True, [2, 4]),
        (True, True, []),
    ],
)
@pytest.mark.parametrize("start", [0, 2])
def test_filters_leave_out_puts_or_deletes(
    no_put: bool, no_delete: bool, seen: list[int], start: int
) -> None:
    bench = Bench()
    spec = WatchSpec(b"k", start_revision=start, no_put=no_put, no_delete=no_delete)
    if start == 0:
        bench.watch(spec)
    bench.put(b"k")
    bench.delete(b"k")
    bench.put(b"k")
    if start:
        bench.watch(spec)
    assert bench.revisions() == seen


def test_batch_carries_the_version_before_and_what_the_watcher_asked_for() -> None:
    bench = Bench()
    bench.put(b"k", b"old")
    bench.watch(WatchSpec(b"k", prev_kv=True, fragment=True))
    bench.put(b"k", b"new")
    (batch,) = bench.take_all()
    assert isinstance(batch, Batch)
    assert batch.prev_kv
    assert batch.fragment
    assert batch.events[0].prev is not None
    assert batch.events[0].prev.value == b"old"


def test_watchers_of_one_range_share_their_events() -> None:
    bench = Bench()
    other = bench.hub.open_stream()
    bench.watch(WatchSpec(b"k"))
    bench.watch(WatchSpec(b"k", prev_kv=True), other)
    bench.put(b"k")
    (one,), (two,) = bench.take_all(), bench.take_all(other)
    assert isinstance(one, Batch)
    assert isinstance(two, Batch)
    assert one.events is two.events


def test_events_of_a_waiting_watcher_are_merged() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k"))
    revisions = [bench.put(b"k") for _ in range(3)]
    (batch,) = bench.take_all()
    assert isinstance(batch, Batch)
    assert [event.kv.mod_revision for event in batch.events] == revisions


def test_merged_batch_is_bounded_and_never_cuts_a_revision() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"a", b"z"))
    half = b"x" * (BATCH_BYTES_MAX * 2 // 5)
    for _ in range(5):
        bench.put(b"k", half)
    bench.txn(Put(b"a", half), Put(b"b", half), Put(b"c", half), Put(b"d", half))
    bench.put(b"k")
    sizes = [len(events_of([item])) for item in bench.take_all()]
    assert sizes == [1, 1, 1, 1, 1, 4, 1] or sum(sizes) == 10
    assert 4 in sizes


def test_large_notification_is_cut_between_revisions() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k"))
    for _ in range(3):
        bench.store.put(Put(b"k", b"x" * BATCH_BYTES_MAX))
    bench.publish()
    assert [len(events_of([item])) for item in bench.take_all()] == [1, 1, 1]


def test_watcher_with_much_to_take_lets_others_go_between() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k", watch_id=1))
    bench.watch(WatchSpec(b"l", watch_id=2))
    for _ in range(2):
        bench.put(b"k", b"x" * BATCH_BYTES_MAX)
    bench.put(b"l")
    assert [item.watch_id for item in bench.take_all()] == [1, 2, 1]


# Cancelling and closing.


def test_nothing_comes_after_cancel() -> None:
    bench = Bench()
    watch_id = bench.watch(WatchSpec(b"k"))
    bench.put(b"k")
    assert bench.hub.cancel(bench.stream, watch_id)
    bench.put(b"k")
    assert bench.take_all() == []
    assert not bench.hub.cancel(bench.stream, watch_id)


def test_lagging_watcher_can_be_cancelled() -> None:
    bench = Bench()
    bench.put(b"k")
    watch_id = bench.watch(WatchSpec(b"k", start_revision=1))
    assert bench.hub.needs_catch_up
    assert bench.hub.cancel(bench.stream, watch_id)
    assert not bench.hub.needs_catch_up
    bench.hub.catch_up(bench.store)
    assert bench.take_all() == []


def test_closed_stream_leaves_nothing_behind() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.put(b"k")
    bench.compact(2)
    bench.watch(WatchSpec(b"k"))
    bench.watch(WatchSpec(b"k", start_revision=1))
    bench.hub.catch_up(bench.store)
    bench.put(b"k")
    bench.watch(WatchSpec(b"k", start_revision=2))
    bench.hub.close_stream(bench.stream)
    assert bench.hub.take_deliverable() == []
    assert not bench.hub.needs_catch_up
    assert len(bench.hub._synced) == 0
    assert not bench.hub._holding


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


# Progress.


def test_progress_goes_to_silent_synced_watchers_that_want_it() -> None:
    bench = Bench()
    bench.put(b"k")
    bench.watch(WatchSpec(b"a", watch_id=1, progress_notify=True))
    bench.watch(WatchSpec(b"b", watch_id=2))
    bench.watch(WatchSpec(b"c", watch_id=3, progress_notify=True))
    bench.watch(WatchSpec(b"d", watch_id=4, progress_notify=True, start_revision=1))
    bench.put(b"c")
    assert bench.hub.progress(bench.stream) == [1]
    bench.take_all()
    assert bench.hub.progress(bench.stream) == [1, 4], "3 has had an event since"
    assert bench.hub.progress(bench.stream) == [1, 3, 4]


def test_stream_is_synced_when_all_its_watchers_have_all() -> None:
    bench = Bench()
    assert bench.hub.is_synced(bench.stream)
    bench.watch(WatchSpec(b"k"))
    bench.put(b"k")
    assert not bench.hub.is_synced(bench.stream)
    bench.take_all()
    assert bench.hub.is_synced(bench.stream)
    bench.watch(WatchSpec(b"k", start_revision=1))
    assert not bench.hub.is_synced(bench.stream)
    bench.take_all()
    assert bench.hub.is_synced(bench.stream)
