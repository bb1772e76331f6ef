"""Revisions across keys: one order of all writes, which agrees with real time.

Linearizability is local (Herlihy and Wing, 1990): a history is linearizable if each key's part is,
so the search goes key by key. Revisions count the writes of all keys, so what they say across keys
is checked here, for the whole history, in one pass. It is exact for what has a revision; calls
without an answer join in by what a get found of them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kvstore.testing.linearizability.operation import Operation


class Contradiction(NamedTuple):
    """Operations that cannot all be true, and why."""

    window: tuple[Operation, ...]
    explanation: str


def find_contradiction(operations: Sequence[Operation]) -> Contradiction | None:
    """Find operations whose revisions fit no order of all writes that agrees with real time."""
    for found in (_too_new(operations), _written_twice(operations), _going_back(operations)):
        first = next(found, None)
        if first is not None:
            return first
    return None


def _too_new(operations: Sequence[Operation]) -> Iterator[Contradiction]:
    """A get cannot find what was written after the revision that it saw."""
    for operation in operations:
        if 0 < operation.revision < operation.mod_revision:
            yield Contradiction(
                (operation,),
                f"mod_revision {operation.mod_revision} was found at revision {operation.revision}",
            )


def _written_twice(operations: Sequence[Operation]) -> Iterator[Contradiction]:
    """Each revision is one write of one key (a txn of several keys cannot be recorded)."""
    writers: dict[int, Operation] = {}
    finders: dict[int, Operation] = {}
    for operation in operations:
        if operation.is_effective and operation.revision:
            other = writers.setdefault(operation.revision, operation)
            if other is not operation:
                yield _pair(other, operation, f"both wrote revision {operation.revision}")
        if operation.mod_revision:
            other = finders.setdefault(operation.mod_revision, operation)
            if other.key != operation.key:
                yield _pair(other, operation, f"both found revision {operation.mod_revision}")
    for revision, finder in finders.items():
        writer = writers.get(revision)
        if writer is not None and writer.key != finder.key:
            yield _pair(writer, finder, f"revision {revision} was written to another key")


def _going_back(operations: Sequence[Operation]) -> Iterator[Contradiction]:
    """What was answered before a call began is at or before its place in the order.

    Equal times are taken for overlapping, which never makes a legal history illegal.
    """
    answered = sorted(
        (operation for operation in operations if operation.completed is not None),
        key=lambda operation: operation.completed or 0.0,
    )
    times = [operation.completed or 0.0 for operation in answered]
    highest: list[Operation] = []
    for operation in answered:
        is_higher = not highest or operation.revision > highest[-1].revision
        highest.append(operation if is_higher else highest[-1])
    for place in _places(operations):
        position = bisect_left(times, place.operation.invoked)
        if position == 0:
            continue
        before, revision = highest[position - 1], place.revision
        window = tuple({id(o): o for o in (before, *place.evidence)}.values())
        if revision < before.revision:
            why = f"revision {revision} although {before.revision} was answered before it began"
            yield Contradiction(window, why)
        elif revision == before.revision and place.is_write:
            yield Contradiction(window, f"revision {revision} was there before it was written")


class _Place(NamedTuple):
    """Where an operation is in the order of writes, and what shows it."""

    operation: Operation
    revision: int
    is_write: bool
    evidence: tuple[Operation, ...]


def _places(operations: Sequence[Operation]) -> Iterator[_Place]:
    writers: dict[tuple[bytes, bytes | None], list[Operation]] = {}
    for operation in operations:
        if operation.revision:
            yield _Place(operation, operation.revision, operation.is_effective, (operation,))
        if operation.kind in ("put", "cas"):
            writers.setdefault((operation.key, operation.value), []).append(operation)
    # What a get found is one of the writes of this value. If there is only one, and it has no
    # answer, then it took effect, at the revision that was found.
    for finder in operations:
        of_value = writers.get((finder.key, finder.value), ())
        if finder.mod_revision and len(of_value) == 1 and of_value[0].completed is None:
            yield _Place(of_value[0], finder.mod_revision, True, (of_value[0], finder))


def _pair(first: Operation, second: Operation, why: str) -> Contradiction:
    return Contradiction((first, second), why)
