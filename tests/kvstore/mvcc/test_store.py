"""Rules of writing, of leases and of history. What is doubtful was read off etcd 3.4.23."""

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
    KeyNotFoundError,
    LeaseNotFoundError,
)
from kvstore.lease import Lessor
from kvstore.mvcc.store import FIRST_REVISION, NEVER_COMPACTED, Store
from kvstore.mvcc.types import DeleteRangeResult, Event, KeyValue, PutResult, RangeResult

from .steps import LEASE, MISSING_LEASE, OTHER_LEASE, finish_compaction, get, put_all, rows_of, run


def test_an_empty_store_is_at_revision_1(store: Store) -> None:
    assert (store.revision, store.compact_revision) == (FIRST_REVISION, NEVER_COMPACTED)
    assert store.range(Range(b"a")) == RangeResult(1)
    assert store.put(Put(b"a")) == PutResult(2)


def test_version_counts_the_puts_of_a_generation(store: Store) -> None:
    put_all(store, b"a", b"a")
    assert get(store, b"a") == KeyValue(b"a", b"va", 2, 3, 0, 2)
    store.delete_range(DeleteRange(b"a"))
    assert get(store, b"a") is None
    put_all(store, b"a")
    assert get(store, b"a") == KeyValue(b"a", b"va", 5, 5, 0, 1)


def test_deleting_nothing_makes_no_revision(store: Store) -> None:
    assert store.delete_range(DeleteRange(b"a", b"\0", True)) == DeleteRangeResult(1)
    assert store.delete_keys([b"a"]) == 1
    assert store.take_events() == []


def test_deletes_of_one_request_share_a_revision_in_key_order(store: Store) -> None:
    put_all(store, b"b", b"a", b"c")
    result = store.delete_range(DeleteRange(b"a", b"c", prev_kv=True))
    assert (result.revision, result.deleted) == (5, 2)
    assert [kv.key for kv in result.prev_kvs] == [b"a", b"b"]
    deletes = [event.kv for event in store.take_events()[3:]]
    assert [(kv.key, kv.mod_revision, kv.sub) for kv in deletes] == [(b"a", 5, 0), (b"b", 5, 1)]
    assert deletes[0] == KeyValue(b"a", b"", 0, 5, 0, 0)


def test_prev_kv_is_given_when_asked_for(store: Store) -> None:
    assert store.put(Put(b"a", b"1", prev_kv=True)).prev_kv is None
    assert store.put(Put(b"a", b"2")).prev_kv is None
    previous = store.put(Put(b"a", b"3", prev_kv=True)).prev_kv
    assert previous is not None
    assert previous.value == b"2"
    assert store.delete_range(DeleteRange(b"a")).prev_kvs == ()


def test_ignore_value_and_ignore_lease_keep_the_old_ones(store: Store, lessor: Lessor) -> None:
    store.put(Put(b"a", b"1", LEASE))
    store.put(Put(b"a", ignore_value=True, lease=OTHER_LEASE))
    assert get(store, b"a") == KeyValue(b"a", b"1", 2, 3, 0, 2, OTHER_LEASE)
    store.put(Put(b"a", b"2", ignore_lease=True))
    assert get(store, b"a") == KeyValue(b"a", b"2", 2, 4, 0, 3, OTHER_LEASE)
    assert lessor.lease_of(b"a") == OTHER_LEASE


@pytest.mark.parametrize("put", [Put(b"a", ignore_value=True), Put(b"a", ignore_lease=True)])
def test_ignore_needs_the_key_to_exist(store: Store, put: Put) -> None:
    put_all(store, b"a")
    store.delete_range(DeleteRange(b"a"))
    with pytest.raises(KeyNotFoundError):
        store.put(put)
    assert store.revision == 3


def test_a_put_alone_looks_for_the_lease_first_a_txn_for_the_key(store: Store) -> None:
    put = Put(b"a", ignore_value=True, lease=MISSING_LEASE)
    with pytest.raises(LeaseNotFoundError):
        store.put(put)
    with pytest.raises(KeyNotFoundError):
        run(store, put)


def test_a_put_moves_the_key_to_its_lease(store: Store, lessor: Lessor) -> None:
    store.put(Put(b"a", lease=LEASE))
    store.put(Put(b"a", lease=LEASE))
    assert lessor.keys(LEASE) == [b"a"]
    store.put(Put(b"a", lease=OTHER_LEASE))
    assert (lessor.keys(LEASE), lessor.keys(OTHER_LEASE)) == ([], [b"a"])
    store.put(Put(b"a"))
    assert lessor.keys(OTHER_LEASE) == []


def test_a_delete_takes_the_key_off_its_lease(store: Store, lessor: Lessor) -> None:
    store.put(Put(b"a", lease=LEASE))
    store.delete_range(DeleteRange(b"a"))
    assert lessor.keys(LEASE) == []


def test_events_carry_the_key_value_before_the_revision(store: Store) -> None:
    put_all(store, b"a", b"a")
    store.delete_range(DeleteRange(b"a"))
    put_all(store, b"a")
    events = store.take_events()
    versions = [kv and kv.version for event in events for kv in (event.kv, event.prev)]
    assert versions == [1, None, 2, 1, 0, 2, 1, None]
    assert store.take_events() == []
    assert list(store.events_since(0)) == events
    assert list(store.events_since(4)) == events[2:]
    assert list(store.events_since(100)) == []


def test_history_starts_at_the_compact_revision(store: Store) -> None:
    put_all(store, b"a", b"b", b"a", b"b")
    events = store.take_events()
    store.compact(Compact(4))
    with pytest.raises(CompactedError):
        store.events_since(3)
    # The event at the compact revision itself is left, without the one before.
    first, second = store.events_since(4)
    assert (first.kv, first.prev) == (events[2].kv, None)
    assert second == events[3]


def test_a_deletion_at_the_compact_revision_is_history(store: Store) -> None:
    """Who lists at a revision and watches from there on must not miss it (etcd issue 18089)."""
    put_all(store, b"a", b"b")
    store.delete_range(DeleteRange(b"a"))
    [*_, delete] = store.take_events()
    store.compact(Compact(4))
    assert list(store.events_since(4)) == [Event(delete.kv)]
    finish_compaction(store)
    assert list(store.events_since(4)) == [Event(delete.kv)]
    assert rows_of(store) == [(b"b", 3), (b"a", 4)]


def test_a_key_that_is_created_has_no_version_before_it(store: Store) -> None:
    """Even where the same txn deleted it first, as in etcd."""
    put_all(store, b"a")
    run(store, Txn(success=(DeleteRange(b"a"), Put(b"a"))))
    [first, delete, created] = store.take_events()
    assert (delete.kv.mod_revision, created.kv.mod_revision) == (3, 3)
    assert (delete.prev, created.prev) == (first.kv, None)
    assert list(store.events_since(3)) == [delete, created]


def test_candidates_are_counted_without_a_walk(store: Store) -> None:
    """Keys with a history count as well as those that live: a bound, not the count of a range."""
    put_all(store, b"a", b"b", b"b", b"c")
    store.delete_range(DeleteRange(b"b"))
    assert store.candidate_count(b"a", b"c") == 2
    assert store.candidate_count(b"b", b"\0") == 2
    assert store.candidate_count(b"d", b"e") == 0


def test_a_compaction_ends_an_iteration_that_it_overtakes(store: Store) -> None:
    put_all(store, b"a", b"a", b"a")
    history = store.events_since(2)
    assert next(history).kv.mod_revision == 2
    store.compact(Compact(4))
    with pytest.raises(CompactedError):
        next(history)


def test_history_is_as_long_as_it_was_at_the_call(store: Store) -> None:
    put_all(store, b"a", b"b")
    history = store.events_since(2)
    put_all(store, b"c")
    assert [event.kv.key for event in history] == [b"a", b"b"]
