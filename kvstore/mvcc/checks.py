"""Checks of requests that need no state: what etcd refuses in its API layer, before proposing.

Pure functions that return nothing or raise a RequestError. The store relies on none of them to
stay consistent.
"""

from collections.abc import Sequence

from kvstore.commands import DeleteRange, Operation, Put, Range, Txn
from kvstore.errors import (
    DuplicateKeyError,
    EmptyKeyError,
    LeaseProvidedError,
    TooManyOperationsError,
    ValueProvidedError,
)


def check_range(command: Range) -> None:
    """Check a range."""
    _check_key(command.key)


def check_put(command: Put) -> None:
    """Check a put."""
    _check_key(command.key)
    if command.ignore_value and command.value:
        raise ValueProvidedError("ignore_value together with a value")
    if command.ignore_lease and command.lease:
        raise LeaseProvidedError("ignore_lease together with a lease")


def check_delete(command: DeleteRange) -> None:
    """Check a delete."""
    _check_key(command.key)


def check_txn(command: Txn, operations_max: int) -> None:
    """Check a txn with all that is nested in it: sizes and keys first, then duplicate keys."""
    _check_operations(command, operations_max)
    for operations in (command.success, command.failure):
        if operations:
            _Writes.of(operations)


def _check_key(key: bytes) -> None:
    if not key:
        raise EmptyKeyError("a request needs a key")


def _check_operations(txn: Txn, operations_max: int) -> None:
    count = max(len(txn.compares), len(txn.success), len(txn.failure))
    if count > operations_max:
        raise TooManyOperationsError(f"{count} operations, at most {operations_max} are allowed")
    for compare in txn.compares:
        _check_key(compare.key)
    for operation in (*txn.success, *txn.failure):
        # A nested txn may only be as large as this level leaves room for.
        _check_operation(operation, operations_max - count)


def _check_operation(operation: Operation, operations_max: int) -> None:
    match operation:
        case Range():
            check_range(operation)
        case Put():
            check_put(operation)
        case DeleteRange():
            check_delete(operation)
        case _:
            _check_operations(operation, operations_max)


class _Writes:
    """What one list of operations writes: keys put, ranges deleted, nested ones included.

    The rules are etcd's, with their gaps: a put may not meet another put, nor a delete of its own
    level or of an earlier nested txn; the two sides of a nested txn exclude each other, so they
    may write the same key; a nested delete may follow an earlier nested put; and the open end
    `\\0` is compared as the key it looks like, so such a delete meets no put.
    """

    def __init__(self) -> None:
        self.puts: set[bytes] = set()
        self.deletes: list[tuple[bytes, bytes]] = []

    @classmethod
    def of(cls, operations: Sequence[Operation]) -> "_Writes":
        """Collect deletes first, then nested txns, then puts; raises DuplicateKeyError."""
        writes = cls()
        for operation in operations:
            if isinstance(operation, DeleteRange):
                end = operation.range_end or operation.key + b"\0"
                writes.deletes.append((operation.key, end))
        for operation in operations:
            if isinstance(operation, Txn):
                writes._add_nested(cls.of(operation.success), cls.of(operation.failure))
        for operation in operations:
            if isinstance(operation, Put):
                writes._add_put(operation.key)
        return writes

    def _add_nested(self, success: "_Writes", failure: "_Writes") -> None:
        self._add_puts(success.puts, allowed=set())
        self._add_puts(failure.puts, allowed=success.puts)
        self.deletes += success.deletes
        self.deletes += failure.deletes

    def _add_puts(self, keys: set[bytes], *, allowed: set[bytes]) -> None:
        for key in keys - allowed:
            self._add_put(key)
        for key in keys & allowed:
            self._check_not_deleted(key)

    def _add_put(self, key: bytes) -> None:
        if key in self.puts:
            raise DuplicateKeyError(f"key {key!r} is written twice")
        self._check_not_deleted(key)
        self.puts.add(key)

    def _check_not_deleted(self, key: bytes) -> None:
        for start, end in self.deletes:
            if start <= key < end:
                raise DuplicateKeyError(f"key {key!r} is put and deleted")
