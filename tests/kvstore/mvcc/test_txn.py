"""Rules of txns. What is doubtful was read off etcd 3.4.23."""

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
    Txn,
)
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
    KeyNotFoundError,
    KvError,
    LeaseNotFoundError,
)
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import DeleteRangeResult, KeyValue, PutResult, RangeResult, TxnResult

from .steps import LEASE, MISSING_LEASE, get, put_all, run


def compare(
    target: CompareTarget, result: CompareResult, value: int | bytes, *key_range: bytes
) -> Compare:
    key, range_end = key_range if len(key_range) == 2 else (*key_range, b"")
    return Compare(result, target, key, value, range_end)


def holds(store: Store, *compares: Compare) -> bool:
    return store.txn(Txn(compares)).succeeded


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
