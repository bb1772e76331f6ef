"""A recorded history of operations, and whether it can be true.

Revisions make the check of a store with a single order of writes exact and linear: the revision
that an answer carries says where in the order it happened. What cannot be told from outside
(a write without an answer) is looked up in the order itself, by its unique value.
"""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec


class ViolationError(AssertionError):
    """The history is impossible for a linearizable store, or a promise was broken."""


class LostWriteError(ViolationError):
    """A write was acknowledged, and it is not in the order of writes."""


class Operation(msgspec.Struct, kw_only=True):
    """One call. `completed` is None while its outcome is unknown."""

    kind: str  # put, delete, cas, get
    key: bytes
    value: bytes = b""  # written (unique), or read
    expected: bytes = b""  # of a cas
    invoked: float
    completed: float | None = None
    revision: int = 0  # of the answer's header
    mod_revision: int = 0  # of what a get found; 0 = nothing
    is_effective: bool = True  # False: a cas that did not match


class Write(msgspec.Struct, frozen=True):
    """One event of the store's final, agreed history."""

    revision: int
    key: bytes
    value: bytes | None  # None: deleted


def check(operations: Sequence[Operation], writes: Sequence[Write]) -> None:
    """Raise ViolationError unless `operations` fit the agreed order of `writes` (by revision)."""
    _check_acknowledged(operations, writes)
    _check_real_time(operations)
    _check_reads(operations, writes)


def _check_acknowledged(operations: Sequence[Operation], writes: Sequence[Write]) -> None:
    """Every acknowledged write is where its answer said; no value was written twice."""
    at = {(write.revision, write.key): write.value for write in writes}
    values: set[bytes] = set()
    for write in writes:
        if write.value is not None:
            if write.value in values:
                raise ViolationError(f"{write.value!r} was applied twice")
            values.add(write.value)
    for operation in operations:
        if operation.kind == "get" or operation.completed is None:
            continue
        if not operation.is_effective:
            if operation.kind == "cas" and operation.value in values:
                raise ViolationError(f"a cas that answered no was applied: {operation}")
            continue
        wanted = None if operation.kind == "delete" else operation.value
        if at.get((operation.revision, operation.key), b"\0missing") != wanted:
            raise LostWriteError(f"an acknowledged write is lost: {operation}")


def _check_real_time(operations: Sequence[Operation]) -> None:
    """What was answered before another operation began is at or before it in the order."""
    done = sorted(
        (operation.completed, operation.revision)
        for operation in operations
        if operation.completed is not None
    )
    times = [time for time, _ in done]
    highest = [0]
    for _, revision in done:
        highest.append(max(highest[-1], revision))
    for operation in operations:
        if operation.completed is None:
            continue
        seen = highest[bisect_right(times, operation.invoked)]
        is_new_write = operation.kind != "get" and operation.is_effective
        if operation.revision < seen or (is_new_write and operation.revision == seen):
            raise ViolationError(
                f"revision {operation.revision} although {seen} was answered before: {operation}"
            )


def _check_reads(operations: Sequence[Operation], writes: Sequence[Write]) -> None:
    """A read at a revision returns what the order says was there."""
    by_key: dict[bytes, list[Write]] = {}
    for write in writes:
        by_key.setdefault(write.key, []).append(write)
    for operation in operations:
        if operation.kind != "get" or operation.completed is None:
            continue
        of_key = by_key.get(operation.key, [])
        position = bisect_right(of_key, operation.revision, key=lambda write: write.revision)
        last = of_key[position - 1] if position else None
        wanted = last.value if last is not None else None
        found = operation.value if operation.mod_revision else None
        if found != wanted:
            raise ViolationError(f"read {found!r} where the order has {wanted!r}: {operation}")
