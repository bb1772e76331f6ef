"""What is refused before it is proposed. The rules and their gaps were read off etcd 3.4.23."""

import pytest

from kvstore.commands import (
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
    DuplicateKeyError,
    EmptyKeyError,
    LeaseProvidedError,
    TooManyOperationsError,
    ValueProvidedError,
)
from kvstore.mvcc.checks import check_delete, check_put, check_range, check_txn

OPERATIONS_MAX = 128


def both_sides(*operations: Operation) -> list[Txn]:
    return [Txn(success=operations), Txn(failure=operations)]


def nested(*operations: Operation) -> Txn:
    return Txn(success=operations)


def exists(key: bytes) -> Compare:
    return Compare(CompareResult.GREATER, CompareTarget.VERSION, key, 0)


def test_every_request_needs_a_key() -> None:
    with pytest.raises(EmptyKeyError):
        check_range(Range(b""))
    with pytest.raises(EmptyKeyError):
        check_put(Put(b""))
    with pytest.raises(EmptyKeyError):
        check_delete(DeleteRange(b"", b"z"))
    with pytest.raises(EmptyKeyError):
        check_txn(Txn((exists(b""),)), OPERATIONS_MAX)


@pytest.mark.parametrize("operation", [Range(b""), Put(b""), DeleteRange(b""), nested(Put(b""))])
def test_every_operation_of_a_txn_needs_a_key(operation: Operation) -> None:
    for txn in both_sides(operation):
        with pytest.raises(EmptyKeyError):
            check_txn(txn, OPERATIONS_MAX)


def test_ignore_value_excludes_a_value_and_ignore_lease_a_lease() -> None:
    with pytest.raises(ValueProvidedError):
        check_put(Put(b"a", b"1", ignore_value=True))
    with pytest.raises(LeaseProvidedError):
        check_put(Put(b"a", lease=1, ignore_lease=True))
    check_put(Put(b"a", b"1", lease=1))
    check_put(Put(b"a", b"1", ignore_lease=True))
    check_put(Put(b"a", lease=1, ignore_value=True))


def test_each_list_of_a_txn_is_bounded_by_itself() -> None:
    full = (Range(b"a"),) * OPERATIONS_MAX
    compares = (exists(b"a"),) * OPERATIONS_MAX
    check_txn(Txn(compares, full, full), OPERATIONS_MAX)
    for txn in (*both_sides(*full, Range(b"a")), Txn((*compares, exists(b"a")))):
        with pytest.raises(TooManyOperationsError):
            check_txn(txn, OPERATIONS_MAX)


def test_a_nested_txn_may_use_what_its_level_leaves() -> None:
    level = (Range(b"a"),) * 100
    check_txn(Txn(success=(*level, nested(*(Range(b"a"),) * 27))), OPERATIONS_MAX)
    with pytest.raises(TooManyOperationsError):
        check_txn(Txn(success=(*level, nested(*(Range(b"a"),) * 28))), OPERATIONS_MAX)


def test_size_is_checked_before_duplicate_keys() -> None:
    with pytest.raises(TooManyOperationsError):
        check_txn(Txn(success=(Put(b"a"), Put(b"a"), Put(b"b"))), 2)


DUPLICATES: dict[str, tuple[Operation, ...]] = {
    "two puts": (Put(b"a"), Put(b"a")),
    "delete, put": (DeleteRange(b"a"), Put(b"a")),
    "put, delete": (Put(b"a"), DeleteRange(b"a")),
    "put in a deleted range": (DeleteRange(b"a", b"c"), Put(b"b")),
    "put and nested put": (Put(b"a"), nested(Put(b"a"))),
    "two nested puts": (nested(Put(b"a")), nested(Put(b"a"))),
    "nested put, put on the other side": (nested(Put(b"a")), Txn(failure=(Put(b"a"),))),
    "delete and nested put": (nested(Put(b"a")), DeleteRange(b"a")),
    "delete and nested put on the other side": (Txn(failure=(Put(b"a"),)), DeleteRange(b"a")),
    "nested delete, put": (nested(DeleteRange(b"a")), Put(b"a")),
    "nested delete, nested put": (nested(DeleteRange(b"a")), nested(Put(b"a"))),
    "deeply nested": (nested(nested(Put(b"a"))), Put(b"a")),
    "inside of a nested one": (nested(Put(b"a"), Put(b"a")),),
}


@pytest.mark.parametrize("operations", DUPLICATES.values(), ids=DUPLICATES)
def test_a_key_is_written_once(operations: tuple[Operation, ...]) -> None:
    for txn in both_sides(*operations):
        with pytest.raises(DuplicateKeyError):
            check_txn(txn, OPERATIONS_MAX)


NOT_DUPLICATES: dict[str, tuple[Operation, ...]] = {
    "two deletes": (DeleteRange(b"a"), DeleteRange(b"a", b"c")),
    "put and read": (Put(b"a"), Range(b"a")),
    "put at the end of a deleted range": (DeleteRange(b"a", b"c"), Put(b"c")),
    "the sides of a nested txn": (Txn(success=(Put(b"a"),), failure=(Put(b"a"),)),),
    "delete and put on its sides": (Txn(success=(DeleteRange(b"a"),), failure=(Put(b"a"),)),),
    "nested put, then nested delete": (nested(Put(b"a")), nested(DeleteRange(b"a"))),
    "delete with an open end": (DeleteRange(b"a", b"\0"), Put(b"b")),
    "empty range": (DeleteRange(b"c", b"a"), Put(b"b"), Put(b"c")),
}


@pytest.mark.parametrize("operations", NOT_DUPLICATES.values(), ids=NOT_DUPLICATES)
def test_what_etcd_lets_pass_passes(operations: tuple[Operation, ...]) -> None:
    for txn in both_sides(*operations):
        check_txn(txn, OPERATIONS_MAX)
        with pytest.raises(DuplicateKeyError):
            check_txn(Txn(success=(txn, Put(b"q"), Put(b"q"))), OPERATIONS_MAX)


def test_the_sides_of_a_txn_exclude_each_other() -> None:
    check_txn(Txn(success=(Put(b"a"),), failure=(Put(b"a"), DeleteRange(b"b"))), OPERATIONS_MAX)
    with pytest.raises(DuplicateKeyError):
        check_txn(Txn(success=(Put(b"a"),), failure=(Put(b"b"), Put(b"b"))), OPERATIONS_MAX)
