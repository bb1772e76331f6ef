"""The smallest part of an impossible history that is still impossible.

Each cut keeps this: *if the history was legal, what is left is legal too*. So what is left, being
impossible, shows that the whole is.

1. **Prefix.** Calls invoked after a moment are dropped, and the answers that came after it are
   forgotten: an order of the whole, cut behind the last call that was answered by then, is an
   order of the prefix. Legality can only be lost as the moment moves on, so the first moment at
   which it is lost is found by halving.
2. **Calls that changed nothing** are dropped: any order stays one without them.
3. **A write that nothing left can tell** is dropped. Taking it out of an order changes what is
   there between it and the next write. Those that could tell the difference are its *witnesses*:
   whoever found or compares what it left, a failed cas, a delete whose answer depends on whether
   there was something. A witness that was answered before the write began comes before it, and one
   that began after another acknowledged write, which itself began after this one was answered,
   comes after that one: neither is in between.
4. **What was answered before an acknowledged put began** is dropped, all at once, if only puts
   and calls without an answer overlap that put, once those that changed nothing are dropped by
   rule 2: they can be where they were, or need not be, and from the put on all is as it was.

The writer of a value that is still read or compared is kept although these rules may let it go:
"b'1' was overwritten" tells more than "nobody wrote b'1'". (Rule 4 forgets the answer of a cas
that is kept so: what it compared is gone.)
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from kvstore.testing.linearizability.operation import Operation

Judge = Callable[[Sequence[Operation]], bool]
Part = dict[int, Operation]  # by position in the order of `invoked`, and in that order


class Shrunk(NamedTuple):
    """The smallest part, in the order of `invoked`: as it was, and without what was forgotten.

    Both are impossible; `window` is for a reader, and what is wrong with `part` is the reason.
    """

    window: list[Operation]
    part: list[Operation]


def shrink(operations: Sequence[Operation], is_impossible: Judge) -> Shrunk:
    """Give the smallest impossible part.

    operations: of one key, impossible together.
    is_impossible: tells it of a part; False as well when it cannot tell.
    """
    ordered = sorted(operations, key=lambda operation: operation.invoked)
    left = _prefix(ordered, _first_impossible_moment(ordered, is_impossible))
    left = _drop_before_put(left, is_impossible)
    while True:
        size = len(left)
        left = _drop_observations(left, is_impossible)
        left = _drop_writes(left, is_impossible)
        if len(left) == size:
            return Shrunk([ordered[position] for position in left], list(left.values()))


def _first_impossible_moment(ordered: Sequence[Operation], is_impossible: Judge) -> float:
    moments = sorted({o.completed for o in ordered if o.completed is not None})
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        if is_impossible(list(_prefix(ordered, moments[middle]).values())):
            high = middle
        else:
            low = middle + 1
    return moments[high]


def _prefix(ordered: Sequence[Operation], moment: float) -> Part:
    prefix: Part = {}
    for position, operation in enumerate(ordered):
        is_answered = operation.completed is not None and operation.completed <= moment
        if is_answered:
            prefix[position] = operation
        elif operation.invoked <= moment and operation.kind != "get":
            prefix[position] = operation.without_answer()
    return prefix


def _drop_observations(left: Part, is_impossible: Judge) -> Part:
    """Drop many at a time at first, one at a time in the end."""
    size = max(1, len(left) // 2)
    while True:
        named = _Named(left.values())
        # A failed cas whose value was found all the same is the best explanation there is.
        positions = [
            position
            for position, operation in left.items()
            if operation.is_observation
            and not (operation.kind == "cas" and named.includes(operation))
        ]
        for start in range(0, len(positions), size):
            smaller = _without(left, positions[start : start + size])
            if is_impossible(list(smaller.values())):
                left = smaller
        if size == 1:
            return left
        size //= 2


def _drop_before_put(left: Part, is_impossible: Judge) -> Part:
    """Drop what came before the latest put that lets it, and is not the reason itself."""
    puts = [o for o in left.values() if o.kind == "put" and _is_quiet(o, left.values())]
    low, high = 0, len(puts)
    while low < high:
        middle = (low + high) // 2
        if is_impossible(list(_without_before(left, puts[middle]).values())):
            low = middle + 1
        else:
            high = middle
    return _without_before(left, puts[low - 1]) if low else left


def _is_quiet(put: Operation, others: Iterable[Operation]) -> bool:
    if put.completed is None:
        return False
    return not any(
        other.kind != "put"
        and not other.is_observation
        and other.completed is not None
        and other.completed >= put.invoked
        and other.invoked <= put.completed
        for other in others
    )


def _without_before(left: Part, put: Operation) -> Part:
    assert put.completed is not None
    before = {
        position
        for position, operation in left.items()
        if (operation.completed is not None and operation.completed < put.invoked)
        or (operation.is_observation and operation.invoked <= put.completed)
    }
    after = _without(left, before)
    named = _Named(after.values())
    kept = {
        position: left[position]
        if left[position].kind == "put"
        else left[position].without_answer()
        for position in before
        if left[position].kind != "get" and named.includes(left[position])
    }
    return dict(sorted({**kept, **after}.items()))


def _drop_writes(left: Part, is_impossible: Judge) -> Part:
    """Drop the earliest, as many as can be, and then others one at a time.

    What is left should be what came last: "it was put, and then it was not there" is no help if
    there was a delete in between.
    """
    positions = list(left)
    low, high = 0, len(positions)
    while low < high:
        middle = (low + high + 1) // 2
        if is_impossible(list(_without_writes(left, positions[:middle]).values())):
            low = middle
        else:
            high = middle - 1
    left = _without_writes(left, positions[:low])
    for position in list(left):
        smaller = _without_writes(left, [position])
        if len(smaller) < len(left) and is_impossible(list(smaller.values())):
            left = smaller
    return left


def _without(left: Part, dropped: Iterable[int]) -> Part:
    gone = set(dropped)
    return {position: left[position] for position in left if position not in gone}


def _without_writes(left: Part, chunk: Sequence[int]) -> Part:
    """Drop those of `chunk` that may be, one after the other; one may make room for another."""
    while dropped := list(_untold_writes(left, [p for p in chunk if p in left])):
        left = _without(left, dropped)
    return left


def _untold_writes(left: Part, chunk: Sequence[int]) -> Iterator[int]:
    """Give those of `chunk` that may be dropped one after the other, in this order.

    A cover of a write begins after it, so it is still there when the write is dropped, even if
    its own turn comes later.
    """
    covers = [operation for operation in left.values() if operation.is_effective]
    begins = [cover.invoked for cover in covers]
    ends = [math.inf]  # from each cover on, the earliest end
    for cover in reversed(covers):
        ends.append(min(ends[-1], math.inf if cover.completed is None else cover.completed))
    ends.reverse()
    named = _Named(left.values())
    others = {position: other for position, other in left.items() if other.kind != "put"}
    for position in chunk:
        write = left[position]
        if write.is_observation or named.includes(write):
            continue
        answered = math.inf if write.completed is None else write.completed
        covered = ends[bisect_right(begins, answered)]
        others.pop(position, None)
        if not any(
            other.invoked <= covered
            and (other.completed is None or other.completed >= write.invoked)
            and _is_witness(other, write)
            for other in others.values()
        ):
            yield position
        elif write.kind != "put":
            others[position] = write


class _Named:
    """The values and revisions that operations name, of which a reader would ask whence."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._values: set[bytes | None] = set()
        self._revisions: set[int | None] = set()
        for operation in operations:
            is_get = operation.kind == "get"
            self._values.add(operation.value if is_get else operation.expected_value)
            self._revisions.add(operation.mod_revision if is_get else operation.expected_revision)

    def includes(self, write: Operation) -> bool:
        """Tell whether what it wrote is named; a delete writes nothing that has a name."""
        if write.value is None:
            return False
        return write.value in self._values or (
            write.revision > 0 and write.revision in self._revisions
        )


def _is_witness(other: Operation, write: Operation) -> bool:
    """Tell whether `other` right after `write` could tell that it is missing."""
    match other.kind:
        case "put":
            return False
        case "get":
            return other.value == write.value
        case "delete":
            return other.succeeded is (write.kind != "delete")
        case "cas" if other.succeeded is False:
            return True
        case "cas" if other.expected_revision is None:
            return other.expected_value == write.value
        case "cas" if other.expected_revision == 0 or write.value is None:
            return other.expected_revision == 0 and write.value is None
        case "cas":
            return write.revision in (0, other.expected_revision)
