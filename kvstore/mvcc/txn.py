"""Txns: which branch runs, and whether all of it can.

Pure, and reading only: everything that could fail is found out here, before the store writes
anything, so a txn is all or nothing.
"""

import operator
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from kvstore.commands import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Put,
    Range,
    Txn,
)
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseNotFoundError,
)
from kvstore.mvcc.key_index import KeyIndex, in_range
from kvstore.mvcc.leases import LeaseTable
from kvstore.mvcc.types import KeyValue


class Branch(msgspec.Struct, frozen=True, gc=False):
    """The side of a txn that its compares chose; nested txns are replaced by theirs."""

    succeeded: bool
    operations: tuple["Range | Put | DeleteRange | Branch", ...]


def choose_branch(index: KeyIndex, txn: Txn) -> Branch:
    """Evaluate the compares, also of nested txns, against the state before the whole txn."""
    # Many txns compare nothing, and a generator costs as much as a put.
    succeeded = not txn.compares or all(_holds(index, compare) for compare in txn.compares)
    operations = txn.success if succeeded else txn.failure
    chosen = [
        choose_branch(index, operation) if isinstance(operation, Txn) else operation
        for operation in operations
    ]
    return Branch(succeeded, tuple(chosen))


def check_branch(
    branch: Branch, index: KeyIndex, leases: LeaseTable, *, revision: int, compact_revision: int
) -> None:
    """Raise what would make an operation of the branch fail: first puts, then ranges, as etcd."""
    deleted: list[DeleteRange] = []
    ranges: list[Range] = []
    for operation in _flat(branch):
        if isinstance(operation, Put):
            _check_put(operation, index, leases, deleted)
        elif isinstance(operation, DeleteRange):
            deleted.append(operation)
        else:
            ranges.append(operation)
    for range_ in ranges:
        # Unlike a range by itself, one in a txn may not say «now» by any negative number.
        if range_.revision != 0:
            if range_.revision > revision:
                raise FutureRevisionError(range_.revision, revision)
            if range_.revision < compact_revision:
                raise CompactedError(range_.revision, compact_revision)


def _flat(branch: Branch) -> list[Range | Put | DeleteRange]:
    flat: list[Range | Put | DeleteRange] = []
    for operation in branch.operations:
        if isinstance(operation, Branch):
            flat += _flat(operation)
        else:
            flat.append(operation)
    return flat


def _check_put(put: Put, index: KeyIndex, leases: LeaseTable, deleted: list[DeleteRange]) -> None:
    if put.ignore_value or put.ignore_lease:
        # The duplicate-key check lets a delete with an open end pass before a put under it, as
        # etcd's does (whose server then ends in a panic).
        is_deleted = any(in_range(put.key, range_.key, range_.range_end) for range_ in deleted)
        if is_deleted or index.get(put.key) is None:
            raise KeyNotFoundError(f"no key {put.key!r} to take the old value or lease from")
    if put.lease and not leases.has(put.lease):
        raise LeaseNotFoundError(f"no lease {put.lease:x}")


def _holds(index: KeyIndex, compare: Compare) -> bool:
    """A range must hold for all its keys; no key at all counts as one with zeros everywhere.

    A VALUE compare without a key is false whatever it asks for: a missing value is not an empty
    one.
    """
    field, relation = _FIELDS[compare.target], _RELATIONS[compare.result]
    is_empty = True
    for kv in index.alive(compare.key, compare.range_end):
        is_empty = False
        if not relation(field(kv), compare.value):
            return False
    if is_empty:
        return compare.target is not CompareTarget.VALUE and relation(0, compare.value)
    return True


_FIELDS: dict[CompareTarget, Callable[[KeyValue], int | bytes]] = {
    CompareTarget.VERSION: attrgetter("version"),
    CompareTarget.CREATE: attrgetter("create_revision"),
    CompareTarget.MOD: attrgetter("mod_revision"),
    CompareTarget.VALUE: attrgetter("value"),
    CompareTarget.LEASE: attrgetter("lease"),
}

_RELATIONS: dict[CompareResult, Callable[[Any, Any], bool]] = {
    CompareResult.EQUAL: operator.eq,
    CompareResult.GREATER: operator.gt,
    CompareResult.LESS: operator.lt,
    CompareResult.NOT_EQUAL: operator.ne,
}
