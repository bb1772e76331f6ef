"""Rules of the store, one by one. What is doubtful was read off etcd 3.4.23."""

import itertools
from typing import Any

import pytest

from kvstore.commands import (
    Compact,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Operation,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
    KeyNotFoundError,
    KvError,
    LeaseNotFoundError,
)
from kvstore.lease import Lessor
from kvstore.mvcc import revision_log
from kvstore.mvcc.store import FIRST_REVISION, NEVER_COMPACTED, Store
from kvstore.mvcc.types import DeleteRangeResult, KeyValue, PutResult, RangeResult, TxnResult

LEASE, OTHER_LEASE, MISSING_LEASE = 7, 8, 99


@pytest.fixture
def lessor() -> Lessor:
    lessor = Lessor()
    lessor.grant(LEASE, 60)
    lessor.grant(OTHER_LEASE, 60)
    return lessor


@pytest.fixture
def store(lessor: Lessor) -> Store:
    return Store(lessor)


def put_all(store: Store, *keys: bytes) -> None:
    for key in keys:
        store.put(Put(key, b"v" + key))


def keys_of(result: RangeResult) -> list[bytes]:
    return [kv.key for kv in result.kvs]


def get(store: Store, key: bytes, revision: int = 0) -> KeyValue | None:
    kvs = store.range(Range(key, revision=revision)).kvs
    return kvs[0] if kvs else None


def compare(
    target: CompareTarget, result: CompareResult, value: int | bytes, *key_range: bytes
) -> Compare:
    key, range_end = key_range if len(key_range) == 2 else (*key_range, b"")
    return Compare(result, target, key, value, range_end)


def holds(store: Store, *compares: Compare) -> bool:
    return store.txn(Txn(compares)).succeeded


def run(store: Store, *operations: Operation) -> TxnResult:
    return store.txn(Txn(success=operations))


# Revisions and versions.


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


# Leases.


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


# Ranges.


@pytest.mark.parametrize(
    ("key", "range_end", "found"),
    [
        (b"b", b"", [b"b"]),
        (b"x", b"", []),
        (b"b", b"d", [b"b", b"c"]),
        (b"b", b"\0", [b"b", b"c", b"d"]),
        (b"\0", b"\0", [b"a", b"b", b"c", b"d"]),
        (b"b", b"b", []),
        (b"c", b"a", []),
        (b"bb", b"cc", [b"c"]),
    ],
)
@pytest.mark.parametrize("is_past", [False, True])
def test_bounds_of_a_range(
    store: Store, key: bytes, range_end: bytes, found: list[bytes], is_past: bool
) -> None:
    put_all(store, b"d", b"b", b"a", b"c")
    revision = 0
    if is_past:
        revision = store.revision
        store.delete_range(DeleteRange(b"b"))
        put_all(store, b"bbb", b"a")
    result = store.range(Range(key, range_end, revision=revision))
    assert (keys_of(result), result.count, result.more) == (found, len(found), False)
    counted = store.range(Range(key, range_end, revision=revision, count_only=True))
    assert (counted.kvs, counted.count) == ((), len(found))


def test_limit_cuts_and_tells_that_there_is_more(store: Store) -> None:
    put_all(store, b"a", b"b", b"c")
    for limit, more in ((1, True), (2, True), (3, False), (4, False)):
        result = store.range(Range(b"a", b"\0", limit))
        assert (keys_of(result), result.more) == ([b"a", b"b", b"c"][:limit], more)
        assert result.count == 3


@pytest.mark.parametrize("limit", [0, -1, 2**63 - 1])
def test_a_limit_that_is_none(store: Store, limit: int) -> None:
    put_all(store, b"a", b"b")
    result = store.range(Range(b"a", b"\0", limit))
    assert (len(result.kvs), result.more) == (2, False)


def test_a_page_of_the_past_counts_all_keys_of_its_revision(store: Store) -> None:
    """Both ways to count agree: by looking at each key, and by what happened since."""
    put_all(store, *(b"k%04d" % number for number in range(3000)))
    revision = store.revision
    store.delete_range(DeleteRange(b"k0001", b"k0004"))
    put_all(store, b"k0002", b"k0500", b"k5000")
    after_few = store.range(Range(b"k", b"l", 2, revision))
    assert (keys_of(after_few), after_few.count) == ([b"k0000", b"k0001"], 3000)
    narrow = store.range(Range(b"k0000", b"k0005", 2, revision))
    assert (keys_of(narrow), narrow.count) == ([b"k0000", b"k0001"], 5)


def test_revisions_that_can_be_read(store: Store) -> None:
    put_all(store, b"a", b"a", b"a")
    store.compact(Compact(3))
    for revision, version in ((0, 3), (-1, 3), (4, 3), (3, 2)):
        kv = get(store, b"a", revision)
        assert kv is not None
        assert kv.version == version
    with pytest.raises(CompactedError) as compacted:
        get(store, b"a", 2)
    assert (compacted.value.requested, compacted.value.compacted) == (2, 3)
    with pytest.raises(FutureRevisionError) as future:
        get(store, b"a", 5)
    assert (future.value.requested, future.value.current) == (5, 4)


def test_a_key_of_the_past_is_as_it_was(store: Store) -> None:
    put_all(store, b"a", b"b")
    store.delete_range(DeleteRange(b"a"))
    store.put(Put(b"a", b"new"))
    assert get(store, b"a", 1) is None
    assert get(store, b"a", 2) == KeyValue(b"a", b"va", 2, 2, 0, 1)
    assert get(store, b"a", 4) is None
    assert get(store, b"b", 2) is None


def test_keys_only_drops_the_values(store: Store) -> None:
    store.put(Put(b"a", b"1", LEASE))
    result = store.range(Range(b"a", keys_only=True))
    assert result.kvs == (KeyValue(b"a", b"", 2, 2, 0, 1, LEASE),)


@pytest.fixture
def sorted_store(store: Store) -> Store:
    """Four keys whose orders by key, version, creation, modification and value all differ."""
    for key, value in ((b"c", b"2"), (b"a", b"9"), (b"a", b"4"), (b"b", b"1"), (b"d", b"3")):
        store.put(Put(key, value))
    for key in (b"b", b"b", b"c", b"c", b"c"):
        store.put(Put(key, ignore_value=True))
    return store


@pytest.mark.parametrize(
    ("target", "ascending"),
    [
        (SortTarget.KEY, [b"a", b"b", b"c", b"d"]),
        (SortTarget.VERSION, [b"d", b"a", b"b", b"c"]),
        (SortTarget.CREATE, [b"c", b"a", b"b", b"d"]),
        (SortTarget.MOD, [b"a", b"d", b"b", b"c"]),
        (SortTarget.VALUE, [b"b", b"c", b"d", b"a"]),
    ],
)
def test_order_comes_before_the_limit(
    sorted_store: Store, target: SortTarget, ascending: list[bytes]
) -> None:
    def read(order: SortOrder, limit: int) -> list[bytes]:
        command = Range(b"a", b"z", limit, sort_order=order, sort_target=target)
        return keys_of(sorted_store.range(command))

    assert read(SortOrder.ASCEND, 3) == ascending[:3]
    assert read(SortOrder.DESCEND, 3) == ascending[::-1][:3]
    assert read(SortOrder.NONE, 0) == ascending


def test_values_of_keys_only_still_give_the_order(sorted_store: Store) -> None:
    command = Range(b"a", b"z", sort_target=SortTarget.VALUE, keys_only=True)
    assert keys_of(sorted_store.range(command)) == [b"b", b"c", b"d", b"a"]


def test_a_target_without_an_order_sorts_what_the_limit_fetched(sorted_store: Store) -> None:
    """etcd fetches limit + 1 by key, sorts those ascending, then cuts."""
    by_version = Range(b"a", b"z", 2, sort_target=SortTarget.VERSION)
    assert keys_of(sorted_store.range(by_version)) == [b"a", b"b"]
    by_creation = Range(b"a", b"z", 2, sort_target=SortTarget.CREATE)
    assert keys_of(sorted_store.range(by_creation)) == [b"c", b"a"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"min_mod_revision": 6}, [b"b", b"c", b"d"]),
        ({"max_mod_revision": 6}, [b"a", b"d"]),
        ({"min_create_revision": 3}, [b"a", b"b", b"d"]),
        ({"max_create_revision": 3}, [b"a", b"c"]),
        ({"max_create_revision": 3, "min_mod_revision": 6}, [b"c"]),
    ],
)
def test_filters_come_before_the_limit_and_not_into_the_count(
    sorted_store: Store, filters: dict[str, Any], found: list[bytes]
) -> None:
    whole = sorted_store.range(Range(b"a", b"z", **filters))
    assert (keys_of(whole), whole.more, whole.count) == (found, False, 4)
    one = sorted_store.range(Range(b"a", b"z", 1, **filters))
    assert (keys_of(one), one.more, one.count) == (found[:1], len(found) > 1, 4)
    counted = sorted_store.range(Range(b"a", b"z", 1, count_only=True, **filters))
    assert (counted.kvs, counted.more, counted.count) == ((), False, 4)


# Txns.


def test_operations_of_a_txn_share_a_revision_in_order_of_subs(store: Store) -> None:
    result = run(store, Put(b"b"), Put(b"a"))
    assert result == TxnResult(2, True, (PutResult(2), PutResult(2)))
    assert [(event.kv.key, event.kv.sub) for event in store.take_events()] == [(b"b", 0), (b"a", 1)]


def test_a_txn_that_changes_nothing_makes_no_revision(store: Store) -> None:
    result = run(store, Range(b"a"), DeleteRange(b"a"))
    assert result == TxnResult(1, True, (RangeResult(1), DeleteRangeResult(1)))


def test_a_range_in_a_txn_reads_its_writes_and_their_revision(store: Store) -> None:
    put_all(store, b"a")
    result = run(
        store, Range(b"b"), Put(b"b"), Range(b"b"), DeleteRange(b"a"), Range(b"a", b"c", revision=2)
    )
    before, _, after, _, past = result.responses
    assert before == RangeResult(2)
    assert after == RangeResult(3, (KeyValue(b"b", b"", 3, 3, 0, 1),), False, 1)
    assert past == RangeResult(3, (KeyValue(b"a", b"va", 2, 2, 0, 1),), False, 1)


def test_prev_kv_in_a_txn_is_what_the_operation_found(store: Store) -> None:
    store.put(Put(b"a", b"1"))
    result = run(
        store, Txn(success=(Put(b"a", b"2"),)), Txn(success=(DeleteRange(b"a", prev_kv=True),))
    )
    nested = result.responses[1]
    assert isinstance(nested, TxnResult)
    deleted = nested.responses[0]
    assert isinstance(deleted, DeleteRangeResult)
    assert [kv.value for kv in deleted.prev_kvs] == [b"2"]
    assert [event.prev for event in store.take_events()[1:]] == [
        KeyValue(b"a", b"1", 2, 2, 0, 1)
    ] * 2
    assert get(store, b"a") is None


def test_a_nested_txn_has_no_revision_of_its_own(store: Store) -> None:
    result = run(store, Txn(success=(Put(b"a"),)), Put(b"b"))
    assert result.responses[0] == TxnResult(0, True, (PutResult(2),))


def test_compares_of_nested_txns_see_the_state_before_the_txn(store: Store) -> None:
    exists = compare(CompareTarget.VERSION, CompareResult.GREATER, 0, b"a")
    result = run(store, Put(b"a"), Txn((exists,), (Put(b"yes"),), (Put(b"no"),)))
    assert result.responses[1] == TxnResult(0, False, (PutResult(2),))
    assert get(store, b"no") is not None


def test_the_failure_branch_runs_when_a_compare_fails(store: Store) -> None:
    exists = compare(CompareTarget.VERSION, CompareResult.GREATER, 0, b"a")
    missing = compare(CompareTarget.CREATE, CompareResult.EQUAL, 0, b"a")
    txn = Txn((missing, exists), (Put(b"yes"),), (Put(b"no"),))
    assert store.txn(txn) == TxnResult(2, False, (PutResult(2),))
    assert (get(store, b"yes"), get(store, b"no") is None) == (None, False)


@pytest.mark.parametrize("target", CompareTarget)
@pytest.mark.parametrize("result", CompareResult)
def test_compares_relate_the_actual_to_the_expected(
    store: Store, target: CompareTarget, result: CompareResult
) -> None:
    for value in (b"0", b"5", b"5"):
        store.put(Put(b"a", value, LEASE))
    is_value = target is CompareTarget.VALUE
    actual = 5 if is_value else {"VERSION": 3, "CREATE": 2, "MOD": 4, "LEASE": LEASE}[target.name]
    expected = {
        CompareResult.EQUAL: [False, True, False],
        CompareResult.NOT_EQUAL: [True, False, True],
        CompareResult.GREATER: [True, False, False],
        CompareResult.LESS: [False, False, True],
    }[result]
    numbers = (actual - 1, actual, actual + 1)
    values = [b"%d" % number if is_value else number for number in numbers]
    assert [holds(store, compare(target, result, value, b"a")) for value in values] == expected


@pytest.mark.parametrize("target", CompareTarget)
def test_a_missing_key_has_zeros_but_no_value(store: Store, target: CompareTarget) -> None:
    is_value = target is CompareTarget.VALUE
    nothing = b"" if is_value else 0
    for key_range in ((b"x",), (b"x", b"z")):
        equal = compare(target, CompareResult.EQUAL, nothing, *key_range)
        not_equal = compare(target, CompareResult.NOT_EQUAL, b"1" if is_value else 1, *key_range)
        assert holds(store, equal) is not is_value
        assert holds(store, not_equal) is not is_value


def test_a_range_compare_must_hold_for_all_keys(store: Store) -> None:
    put_all(store, b"a", b"b", b"b")
    for version, expected in ((0, True), (1, False)):
        greater = compare(CompareTarget.VERSION, CompareResult.GREATER, version, b"a", b"c")
        assert holds(store, greater) is expected


FAILING: dict[str, tuple[tuple[Operation, ...], type[KvError]]] = {
    "lease": ((Put(b"x", lease=MISSING_LEASE),), LeaseNotFoundError),
    "ignore": ((Put(b"x", ignore_lease=True),), KeyNotFoundError),
    "future": ((Range(b"a", revision=100),), FutureRevisionError),
    "the revision being made": ((Range(b"a", revision=5),), FutureRevisionError),
    "compacted": ((Range(b"a", revision=2),), CompactedError),
    "negative": ((Range(b"a", revision=-1),), CompactedError),
    "nested": ((Txn(success=(Range(b"a", revision=100),)),), FutureRevisionError),
    "put before range": ((Range(b"a", revision=100), Put(b"x", lease=99)), LeaseNotFoundError),
    "put under an open delete": (
        (DeleteRange(b"a", b"\0"), Put(b"b", ignore_value=True)),
        KeyNotFoundError,
    ),
}


@pytest.mark.parametrize(("operations", "error"), FAILING.values(), ids=FAILING)
def test_a_txn_is_all_or_nothing(
    store: Store, operations: tuple[Operation, ...], error: type[KvError]
) -> None:
    put_all(store, b"a", b"b", b"a")
    store.compact(Compact(3))
    store.take_events()
    before = store.hash_kv(0)
    with pytest.raises(error):
        run(store, Put(b"p"), *operations)
    assert (store.hash_kv(0), store.revision, store.take_events()) == (before, 4, [])
    # The branch that is not taken is not looked at.
    assert store.txn(Txn(failure=operations)).succeeded


def test_ignore_in_a_txn_takes_from_a_key_that_the_txn_does_not_delete(store: Store) -> None:
    put_all(store, b"a", b"b")
    run(store, DeleteRange(b"b"), Put(b"a", ignore_value=True))
    assert get(store, b"a") == KeyValue(b"a", b"va", 2, 4, 1, 2)


def test_revision_minus_1_in_a_txn_is_refused_only_after_a_compaction(store: Store) -> None:
    assert run(store, Range(b"a", revision=-1)).responses == (RangeResult(1),)
    with pytest.raises(CompactedError):
        run(store, Range(b"a", revision=-2))


# Events and history.


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


def test_a_deletion_at_the_compact_revision_is_not_history(store: Store) -> None:
    put_all(store, b"a", b"b")
    store.delete_range(DeleteRange(b"a"))
    store.compact(Compact(4))
    assert list(store.events_since(4)) == []


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


# Compaction.


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


def test_compaction_keeps_the_newest_version_unless_it_is_a_tombstone(store: Store) -> None:
    put_all(store, b"a", b"b", b"a", b"c", b"a")  # revisions 2 … 6
    store.delete_range(DeleteRange(b"c"))
    store.delete_range(DeleteRange(b"b"))
    store.compact(Compact(7))
    while store.compact_slice(1):
        pass
    rows = [(kv.key, kv.mod_revision) for kv in itertools.chain.from_iterable(store.pinned_rows())]
    assert rows == [(b"b", 3), (b"a", 6), (b"b", 8)]
    assert store.row_count == 3


def test_a_generation_before_the_compaction_goes_without_the_one_after(store: Store) -> None:
    put_all(store, b"a", b"b")
    store.delete_range(DeleteRange(b"a", b"\0"))
    put_all(store, b"a", b"b", b"b")
    store.compact(Compact(4))
    while store.compact_slice(1):
        pass
    rows = [(kv.key, kv.mod_revision) for kv in itertools.chain.from_iterable(store.pinned_rows())]
    assert rows == [(b"a", 5), (b"b", 6), (b"b", 7)]
    assert keys_of(store.range(Range(b"a", b"\0", revision=4))) == []
    assert keys_of(store.range(Range(b"a", b"\0", revision=6))) == [b"a", b"b"]


def test_a_compaction_of_everything_leaves_the_revision(store: Store) -> None:
    put_all(store, b"a")
    store.delete_range(DeleteRange(b"a"))
    store.compact(Compact(3))
    assert store.is_compacting
    assert store.compact_slice(1) is True
    assert store.compact_slice(1) is False
    assert not store.is_compacting
    assert (store.row_count, store.size_bytes, store.key_count) == (0, 0, 0)
    assert (store.revision, list(store.events_since(3))) == (3, [])
    assert store.put(Put(b"a")).revision == 4


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
    while store.compact_slice(100):
        pass
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
    while store.compact_slice(100):
        pass
    assert store.row_count == 1


def test_many_compactions_do_not_leave_many_segments(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revision_log, "SEGMENT_ROWS_MAX", 4)
    for number in range(20):
        put_all(store, b"k%d" % number, b"hot", b"hot", b"hot")
        store.compact(Compact(store.revision))
        while store.compact_slice(1):
            pass
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
    while store.compact_slice(100):
        pass
    rows = list(itertools.chain.from_iterable(pinned))
    assert [(kv.key, kv.mod_revision) for kv in rows] == [(b"a", 2), (b"a", 3), (b"b", 4)]


# Hash.


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
