"""Has every write of the store an author? PURE.

A put was asked for by an operation that was acknowledged or has no answer, never by one that was
refused; a deletion by such an operation, or it is the end of a lease. None is older than its
author.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from kvstore.testing.history import ViolationError, Write
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.answers import Answers
from kvstore.testing.torture.lease_promises import LeasedKey


def check(
    operations: Iterable[Operation],
    leased: Iterable[LeasedKey],
    writes: Sequence[Write],
    answers: Answers,
) -> None:
    """Raise ViolationError that names the first write that nobody can have asked for.

    operations: all that were not refused. Of each value there is one.
    """
    puts: dict[tuple[bytes, bytes], Operation] = {}
    deletions = _Deletions(leased)
    for operation in operations:
        if operation.kind == "delete":
            deletions.add(operation)
        elif operation.kind != "get" and operation.value is not None and _may_write(operation):
            puts[operation.key, operation.value] = operation
    for write in writes:
        told_at = answers.happened_by(write.revision)
        if write.value is None:
            deletions.take(write, told_at)
            continue
        author = puts.get((write.key, write.value))
        if author is None:
            raise ViolationError(f"{write} has no author")
        if told_at < author.invoked:
            raise ViolationError(f"{write} was there before it was asked for: {author.told()}")


class _Deletions:
    """Who may have deleted each key. An author deletes once."""

    def __init__(self, leased: Iterable[LeasedKey]) -> None:
        self._leased = {lease.key for lease in leased}
        self._answered: dict[tuple[bytes, int], Operation] = {}
        self._unanswered: dict[bytes, list[float]] = defaultdict(list)  # by when they were begun

    def add(self, operation: Operation) -> None:
        if operation.completed is None:
            begun = self._unanswered[operation.key]
            begun.insert(bisect_right(begun, operation.invoked), operation.invoked)
        elif operation.is_effective:
            self._answered[operation.key, operation.revision] = operation

    def take(self, write: Write, told_at: float) -> None:
        """Find the author of a deletion that was known at `told_at`, and use it up."""
        author = self._answered.pop((write.key, write.revision), None)
        if author is not None:
            if told_at < author.invoked:
                raise ViolationError(f"{write} was there before it was asked for: {author.told()}")
            return
        if write.key in self._leased:
            self._leased.remove(write.key)
            return
        # Deletions come in their order: what fits the first one as well as a later one is best
        # used now, the oldest first.
        begun = self._unanswered[write.key]
        if not begun or begun[0] > told_at:
            raise ViolationError(f"{write}, a deletion, has no author")
        begun.pop(0)


def _may_write(operation: Operation) -> bool:
    return operation.completed is None or operation.is_effective
