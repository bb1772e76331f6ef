"""Sets of completion indexes, as a Job's status writes them: "0-2,5". PURE.

Three or more in a row are written as first and last. A job has up to 100,000 of them, most of them
side by side, so a set is kept as spans.

Source: Kubernetes' API reference of JobStatus.completedIndexes; kube-behaviour 4.12.
"""

import re
from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator

import msgspec

Span = tuple[int, int]
"""First and last index."""
_SPAN = re.compile("([0-9]{1,10})(?:-([0-9]{1,10}))?")


class Indexes(msgspec.Struct, frozen=True):
    """A set of them. `spans` are in order, and neither overlap nor touch each other."""

    spans: tuple[Span, ...] = ()

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __contains__(self, index: int) -> bool:
        after = bisect_right(self.spans, index, key=_first)
        return after > 0 and index <= self.spans[after - 1][1]

    @property
    def text(self) -> str:
        """As in a status."""
        return ",".join(map(_text, self.spans))

    def adding(self, indexes: Iterable[int]) -> "Indexes":
        """With these, too."""
        return self.joined(Indexes(tuple((index, index) for index in indexes)))

    def joined(self, other: "Indexes") -> "Indexes":
        """With those of another set, too."""
        return Indexes(tuple(_joined(sorted((*self.spans, *other.spans))))) if other.spans else self

    def count_of(self, other: "Indexes") -> int:
        """How many of another set are in this one."""
        mine, theirs = list(self.spans), list(other.spans)
        count = 0
        while mine and theirs:
            (first, last), (start, end) = mine[-1], theirs[-1]
            count += max(0, min(last, end) - max(first, start) + 1)
            (mine if first >= start else theirs).pop()
        return count

    def missing(self, end: int, besides: Container[object] = ()) -> Iterator[int]:
        """What is neither in the set nor in `besides`, in order, before `end`."""
        start = 0
        for first, last in (*self.spans, (end, end)):
            for index in range(start, min(first, end)):
                if index not in besides:
                    yield index
            start = last + 1


def parse(text: str, end: int) -> Indexes:
    """Of a status, as far as they are before `end`: a job may have shrunk.

    Raises ValueError for a text that is no such set.
    """
    spans = [_span(part) for part in text.split(",")] if text else []
    kept = [(first, min(last, end - 1)) for first, last in spans if first < end]
    return Indexes(tuple(_joined(sorted(kept))))


def _span(part: str) -> Span:
    told = _SPAN.fullmatch(part)
    first, last = (int(told[1]), int(told[2] or told[1])) if told is not None else (1, 0)
    if first > last:
        raise ValueError(f"{part!r} is no span of indexes")
    return first, last


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans in order, those that overlap or touch as one."""
    current: Span | None = None
    for first, last in spans:
        if current is not None and first <= current[1] + 1:
            current = (current[0], max(current[1], last))
            continue
        if current is not None:
            yield current
        current = (first, last)
    if current is not None:
        yield current


def _text(span: Span) -> str:
    first, last = span
    if first == last:
        return str(first)
    return f"{first}{'-' if last - first > 1 else ','}{last}"


def _first(span: Span) -> int:
    return span[0]
