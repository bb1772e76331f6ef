"""Rules of compaction and of the hash. What is doubtful was read off etcd 3.4.23."""

import itertools

import pytest

from kvstore.commands import (
    Compact,
    DeleteRange,
    Put,
    Range,
    Txn,
)
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
)
from kvstore.lease import Lessor
from kvstore.mvcc import revision_log
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import Event, KeyValue

from .steps import (
    LEASE,
    finish_compaction,
    get,
    keys_of,
    put_all,
    rows_of,
    run,
)


def test_a_compact_revision_only_grows_up_to_the_present(store: Store) -> None:
    with pytest.raises(CompactedError):
        store.compact(Compact(-1))
    assert store.compact(Compact(0)).revision == 1
    with pytest.raises(CompactedError):
        store.compact(Compact(0))
    put_all(store, b"a", b"a")
    with pytest.raises(FutureRevisionError):
        store.compact(Compact(4))
    assert store.compact(Compact(3)).revision == 3
    assert store.compact_revision == 3
    assert get(store, b"a", 3) is not None


def test_compaction_keeps_the_newest_version_unless_it_is_an_old_tombstone(store: Store) -> None:
    put_all(store, b"a", b"b", b"a", b"c", b"a")  # revisions 2 … 6
    store.delete_range(DeleteRange(b"c"))
    store.delete_range(DeleteRange(b"b"))
    store.compact(Compact(7))
    finish_compaction(store)
    assert rows_of(store) == [(b"b", 3), (b"a", 6), (b"c", 7), (b"b", 8)]
    store.compact(Compact(8))
    finish_compaction(store)
    assert rows_of(store) == [(b"a", 6), (b"b", 8)]
    assert store.row_count == 2


def test_a_generation_before_the_compaction_goes_without_the_one_after(store: Store) -> None:
    put_all(store, b"a", b"b")
    store.delete_range(DeleteRange(b"a", b"\0"))
    put_all(store, b"a", b"b", b"b")
    store.compact(Compact(4))
    finish_compaction(store)
    assert rows_of(store) == [(b"a", 4), (b"b", 4), (b"a", 5), (b"b", 6), (b"b", 7)]
    assert keys_of(store.range(Range(b"a", b"\0", revision=4))) == []
    store.compact(Compact(5))
    finish_compaction(store)
    assert rows_of(store) == [(b"a", 5), (b"b", 6), (b"b", 7)]
    assert keys_of(store.range(Range(b"a", b"\0", revision=5))) == [b"a"]
    assert keys_of(store.range(Range(b"a", b"\0", revision=6))) == [b"a", b"b"]


def test_what_is_before_a_deletion_goes_with_it(store: Store) -> None:
    put_all(store, b"a", b"b", b"c", b"d")  # revisions 2 … 5
    store.delete_range(DeleteRange(b"a", b"e"))
    put_all(store, b"b", b"c", b"c", b"x")  # one anew, one twice anew, one never again
    store.compact(Compact(7))
    finish_compaction(store)
    assert rows_of(store) == [(b"b", 7), (b"c", 8), (b"c", 9), (b"x", 10)]
    assert keys_of(store.range(Range(b"a", b"\0", revision=7))) == [b"b"]
    assert store.row_count == 4


def test_a_version_that_is_replaced_at_the_compact_revision_goes(store: Store) -> None:
    put_all(store, b"a", b"b", b"a", b"b", b"a")
    store.compact(Compact(4))
    finish_compaction(store)
    assert rows_of(store) == [(b"b", 3), (b"a", 4), (b"b", 5), (b"a", 6)]


def test_all_of_the_compact_revision_stays(store: Store) -> None:
    put_all(store, b"a", b"b")
    run(store, Txn(success=(DeleteRange(b"a"), Put(b"a"))), DeleteRange(b"b"))
    events = store.take_events()[2:]
    put_all(store, b"a")
    store.compact(Compact(4))
    for _ in range(2):  # what readers see does not depend on how far it has come
        assert list(store.events_since(4))[:3] == [Event(event.kv) for event in events]
        finish_compaction(store)
    assert rows_of(store) == [(b"a", 4), (b"a", 4), (b"b", 4), (b"a", 5)]
    assert [kv.value for kv in store.range(Range(b"a", b"\0", revision=4)).kvs] == [b""]


def test_a_log_whose_end_is_dropped_leaves_what_was_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision_log, "SEGMENT_ROWS_MAX", 2)
    log = revision_log.RevisionLog()
    rows = [KeyValue(b"%d" % number, b"", 2, number, 0, 1) for number in range(2, 7)]
    log.extend(rows[:2])
    log.extend(rows[2:])
    pinned = log.pinned()
    log.start_compaction()
    while log.compact_segment(100, lambda kv: kv.mod_revision < 4):
        pass
    log.append(KeyValue(b"new", b"", 2, 7, 0, 1))
    assert [kv.mod_revision for segment in pinned for kv in segment] == [2, 3, 4, 5, 6]
    assert [kv.mod_revision for kv in log.since(0)] == [2, 3, 7]


def test_a_compaction_of_everything_leaves_the_revision_and_its_deletes(store: Store) -> None:
    put_all(store, b"a")
    store.delete_range(DeleteRange(b"a"))
    [_, delete] = store.take_events()
    store.compact(Compact(3))
    assert store.is_compacting
    finish_compaction(store)
    assert not store.is_compacting
    assert (store.row_count, store.key_count, store.revision) == (1, 0, 3)
    assert list(store.events_since(3)) == [Event(delete.kv)]
    assert store.put(Put(b"a")).revision == 4
    store.delete_range(DeleteRange(b"a"))
    store.compact(Compact(5))
    finish_compaction(store)
    assert rows_of(store) == [(b"a", 5)]


def test_compaction_waits_while_a_hash_is_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.mvcc.store.HASH_SLICE_ROWS", 1)
    put_all(store, b"a", b"a")
    expected = store.hash_kv(0)
    slices = store.hash_slices(0)
    next(slices)
    put_all(store, b"a")
    store.compact(Compact(4))
    assert store.is_hashing
    assert store.compact_slice(100) is True
    assert store.row_count == 3
    next(slices)
    with pytest.raises(StopIteration) as done:
        next(slices)
    assert done.value.value == expected
    finish_compaction(store)
    assert store.row_count == 1


def test_an_abandoned_hash_lets_compaction_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.mvcc.store.HASH_SLICE_ROWS", 1)
    put_all(store, b"a", b"a")
    slices = store.hash_slices(0)
    next(slices)
    slices.close()
    store.compact(Compact(3))
    finish_compaction(store)
    assert store.row_count == 1


def test_many_compactions_do_not_leave_many_segments(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revision_log, "SEGMENT_ROWS_MAX", 4)
    for number in range(20):
        put_all(store, b"k%d" % number, b"hot", b"hot", b"hot")
        store.compact(Compact(store.revision))
        finish_compaction(store)
    segments = list(store.pinned_rows())
    assert sum(map(len, segments)) == 21
    # Two neighbours always hold more than one could.
    assert len(segments) <= 2 * 21 / 4 + 1


def test_pinned_rows_stay_whatever_happens(store: Store) -> None:
    put_all(store, b"a", b"a", b"b")
    pinned = store.pinned_rows()
    put_all(store, b"a", b"c")
    store.delete_range(DeleteRange(b"a"))
    store.compact(Compact(store.revision))
    finish_compaction(store)
    rows = list(itertools.chain.from_iterable(pinned))
    assert [(kv.key, kv.mod_revision) for kv in rows] == [(b"a", 2), (b"a", 3), (b"b", 4)]


def test_hash_of_a_revision_outside_of_history(store: Store) -> None:
    put_all(store, b"a", b"a")
    store.compact(Compact(2))
    with pytest.raises(CompactedError):
        store.hash_kv(2)
    with pytest.raises(FutureRevisionError):
        store.hash_kv(4)
    assert store.hash_kv(0) == store.hash_kv(3)


def test_hash_of_a_revision_ignores_what_came_after(store: Store) -> None:
    put_all(store, b"a", b"b", b"a")
    before = store.hash_kv(0)
    store.delete_range(DeleteRange(b"a", b"\0"))
    put_all(store, b"c")
    assert store.hash_kv(before[1]) == before


def test_a_hash_in_slices_is_that_of_one_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_all(store, b"a", b"b", b"a")
    store.delete_range(DeleteRange(b"b"))
    put_all(store, b"c", b"d")
    expected = store.hash_kv(5)
    monkeypatch.setattr("kvstore.mvcc.store.HASH_SLICE_ROWS", 1)
    slices = store.hash_slices(5)
    # Two versions after the revision, four up to it.
    assert [next(slices) for _ in range(6)] == [None] * 6
    with pytest.raises(StopIteration) as done:
        next(slices)
    assert done.value.value == expected


def test_a_store_comes_back_from_its_rows(store: Store, lessor: Lessor) -> None:
    store.put(Put(b"a", b"1", LEASE))
    store.put(Put(b"b", b"1", LEASE))
    store.delete_range(DeleteRange(b"b"))
    lessor.revoke(LEASE)
    lessor.grant(LEASE, 60)
    restored = Store(lessor, revision=store.revision)
    assert len(list(restored.load(store.pinned_rows()))) == 1
    assert restored.hash_kv(0) == store.hash_kv(0)
    assert restored.size_bytes == store.size_bytes
    assert restored.live_bytes == store.live_bytes
    assert lessor.keys(LEASE) == [b"a"]
    assert restored.put(Put(b"b")).revision == 5


def test_sizes_follow_writes_deletes_and_compaction(store: Store) -> None:
    assert (store.size_bytes, store.live_bytes) == (0, 0)
    store.put(Put(b"a", bytes(1000)))
    one = store.size_bytes
    assert one == store.live_bytes > 1000
    store.put(Put(b"a", bytes(1000)))
    assert (store.size_bytes, store.live_bytes) == (2 * one, one)
    store.delete_range(DeleteRange(b"a"))
    assert store.live_bytes == 0
    assert store.size_bytes > 2 * one
