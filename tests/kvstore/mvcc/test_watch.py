"""The hub of watches, rule by rule, over a real store."""

import pytest

from kvstore.commands import Put
from kvstore.mvcc import watch
from kvstore.mvcc.watch_stream import BATCH_BYTES_MAX
from kvstore.mvcc.watch_types import Batch, Compacted, Refusal, WatchSpec
from tests.kvstore.mvcc.watch_bench import Bench, events_of

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
    assert one.runs[0] is two.runs[0]


def test_events_of_a_waiting_watcher_are_merged() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"k"))
    assert bench.hub.is_idle
    revisions = [bench.put(b"k") for _ in range(3)]
    assert not bench.hub.is_idle
    (batch,) = bench.take_all()
    assert bench.hub.is_idle
    assert isinstance(batch, Batch)
    assert [event.kv.mod_revision for event in batch.events] == revisions


def test_merged_batch_is_bounded_and_never_cuts_a_revision() -> None:
    bench = Bench()
    bench.watch(WatchSpec(b"a", b"z"))
    half = b"x" * (BATCH_BYTES_MAX * 2 // 5)
    for number in range(5):
        bench.put(b"k%d" % number, half)
    bench.txn(Put(b"a", half), Put(b"b", half), Put(b"c", half), Put(b"d", half))
    bench.put(b"k")
    sizes = [len(events_of([item])) for item in bench.take_all()]
    assert sizes == [2, 2, 1, 4, 1]


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
