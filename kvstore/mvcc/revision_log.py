"""Log of the store by revision: every version that is not compacted away, oldest first.

Pure. It is what etcd calls the key bucket, as lists in memory: history for watches, the order in
which the hash is taken, and the body of a snapshot. No rule about keys may enter.

The log is cut into segments. Only the last one ever changes in place, and only by appending; a
compaction replaces segments by filtered copies. So whoever holds the list of segments and the
length of the last one has pinned the log as it was, for nothing, whatever happens afterwards.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator

from kvstore.mvcc.types import KeyValue

SEGMENT_ROWS_MAX = 1024
"""Versions per segment: a compaction step handles one, in about half a millisecond."""


def _mod_revision(kv: KeyValue) -> int:
    return kv.mod_revision


def _first_revision(segment: list[KeyValue]) -> int:
    return segment[0].mod_revision


class RevisionLog:
    """Versions in the order (mod_revision, sub)."""

    __slots__ = ("_cursor", "_length", "_segments")

    def __init__(self) -> None:
        """An empty log."""
        self._segments: list[list[KeyValue]] = []
        self._length = 0
        self._cursor = 0  # position of the segment that the compaction under way looks at next

    def __len__(self) -> int:
        return self._length

    def append(self, kv: KeyValue) -> None:
        """Add the newest version."""
        segments = self._segments
        if not segments or len(segments[-1]) >= SEGMENT_ROWS_MAX:
            segments.append([])
        segments[-1].append(kv)
        self._length += 1

    def extend(self, rows: list[KeyValue]) -> None:
        """Add many versions, all newer than those before."""
        position = 0
        while position < len(rows):
            if not self._segments or len(self._segments[-1]) >= SEGMENT_ROWS_MAX:
                self._segments.append([])
            last = self._segments[-1]
            end = position + SEGMENT_ROWS_MAX - len(last)
            last += rows[position:end]
            position = end
        self._length += len(rows)

    def since(self, revision: int) -> Iterator[KeyValue]:
        """Versions from `revision` on, as the log is at the call."""
        segments, position, length = self._pin(revision)
        return _walk(segments, position, length)

    def pinned(self) -> Iterator[list[KeyValue]]:
        """The whole log as it is at the call, segment by segment; not to be changed."""
        segments, _, length = self._pin(0)
        return _whole(segments, length)

    def count_since_max(self, revision: int) -> int:
        """An upper bound of the number of versions from `revision` on, at no cost."""
        return (len(self._segments) - self._find(revision)) * SEGMENT_ROWS_MAX

    def start_compaction(self) -> None:
        """Filter from the start: there is a newer compact revision."""
        self._cursor = 0

    def compact_segment(self, revision: int, keep: Callable[[KeyValue], bool]) -> int:
        """Filter the next segment's versions before `revision`.

        Returns how many versions it looked at; 0 when the compaction is complete.
        """
        position = self._cursor
        if position == len(self._segments) or _first_revision(self._segments[position]) >= revision:
            return 0
        segment = self._segments[position]
        kept = [kv for kv in segment if kv.mod_revision >= revision or keep(kv)]
        self._length -= len(segment) - len(kept)
        before = self._segments[position - 1] if position else []
        if not kept:
            del self._segments[position]
            if position and position == len(self._segments):
                # It is the last one now and will grow: whoever pinned it as a whole must not see.
                self._segments[-1] = list(before)
        elif position and len(before) + len(kept) <= SEGMENT_ROWS_MAX:
            # What many compactions leave of many segments must not stay many segments.
            self._segments[position - 1 : position + 1] = [before + kept]
        else:
            self._segments[position] = kept
            self._cursor += 1
        return len(segment)

    def _find(self, revision: int) -> int:
        """Position of the first segment that may hold versions from `revision` on."""
        # The versions of one revision may spread over segments, hence the one before.
        return max(0, bisect_left(self._segments, revision, key=_first_revision) - 1)

    def _pin(self, revision: int) -> tuple[list[list[KeyValue]], int, int]:
        """Segments from `revision` on, where to start in the first, how long the last one is."""
        segments = self._segments[self._find(revision) :]
        if not segments:
            return [], 0, 0
        position = bisect_left(segments[0], revision, key=_mod_revision)
        return segments, position, len(segments[-1])


def _whole(segments: list[list[KeyValue]], length: int) -> Iterator[list[KeyValue]]:
    last = len(segments) - 1
    for position, segment in enumerate(segments):
        yield segment[:length] if position == last else segment


def _walk(segments: list[list[KeyValue]], position: int, length: int) -> Iterator[KeyValue]:
    last = len(segments) - 1
    for number, segment in enumerate(segments):
        end = length if number == last else len(segment)
        for row in range(position, end):
            yield segment[row]
        position = 0
