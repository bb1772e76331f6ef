"""The log's tail in memory: entries behind a compaction point, and the marks upon them.

    compacted_index <= applied <= handed_committed <= commit <= last_index
    compacted_index <= durable <= handed <= last_index

`handed` is what the driver was given to write and `durable` what it has reported as synced;
`handed_committed` is what it was given to apply and `applied` what it has reported. Disk and wire
do not enter; entries are immutable and shared with messages, never copied.
"""

from bisect import bisect_right
from collections.abc import Sequence

from kvstore.raft.types import Entry, EntryKind, SnapshotMeta

# Counted beside an entry's data, so that limits in bytes also bound the number of tiny entries.
ENTRY_OVERHEAD_BYTES = 32
_MEMBERSHIP = EntryKind.MEMBERSHIP


def _term_of(entry: Entry) -> int:
    return entry.term


class Log:
    """Entries after (`compacted_index`, `compacted_term`); everything up to there is applied."""

    __slots__ = (
        "_bytes",
        "_entries",
        "applied",
        "commit",
        "compacted_index",
        "compacted_term",
        "durable",
        "handed",
        "handed_committed",
        "membership_indexes",
    )

    def __init__(self, first: SnapshotMeta, entries: Sequence[Entry]) -> None:
        """Start from what was on disk: all of it is durable, committed is what was compacted."""
        self.reset(first)
        self.append(entries)
        self.durable = self.handed = self.last_index

    def reset(self, first: SnapshotMeta) -> None:
        """Forget everything; a snapshot (durable already) stands for what is up to `first`."""
        self.compacted_index = first.index
        self.compacted_term = first.term
        self._entries: list[Entry] = []
        # Running total of bytes before each entry and, last, behind them all.
        self._bytes = [0]
        # Where changes of the membership are, ascending.
        self.membership_indexes: list[int] = []
        self.durable = self.handed = first.index
        self.applied = self.handed_committed = self.commit = first.index

    @property
    def last_index(self) -> int:
        """Index of the newest entry."""
        return self.compacted_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """Term of the newest entry."""
        return self._entries[-1].term if self._entries else self.compacted_term

    def term(self, index: int) -> int:
        """Term of an entry that is here, or of the compaction point."""
        if index == self.compacted_index:
            return self.compacted_term
        assert self.compacted_index < index <= self.last_index, "index is outside the log's tail"
        return self._entries[index - self.compacted_index - 1].term

    def matches(self, index: int, term: int) -> bool:
        """Tell whether the entry at `index` is here and of `term` (Raft, 5.3: log matching)."""
        return self.compacted_index <= index <= self.last_index and self.term(index) == term

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Tell whether a log that ends so is at least as up-to-date as this (Raft, 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def find_by_term(self, index: int, term: int) -> int:
        """Highest index <= `index` whose entry may have a term <= `term`.

        Terms never fall along a log, so no entry above the answer can match one of `term`: a
        leader and a follower skip a whole divergent term in one round (Raft, end of 5.3). One
        below the compaction point means that nothing here qualifies.
        """
        index = min(index, self.last_index)
        if index <= self.compacted_index:
            qualifies = index < self.compacted_index or self.compacted_term <= term
            return index if qualifies else index - 1
        count = index - self.compacted_index
        found = bisect_right(self._entries, term, 0, count, key=_term_of)
        if found == 0 and self.compacted_term > term:
            return self.compacted_index - 1
        return self.compacted_index + found

    def entries(self, low: int, high: int) -> tuple[Entry, ...]:
        """Entries `low` to `high`, both included."""
        assert self.compacted_index < low, "entries are compacted"
        base = self.compacted_index + 1
        return tuple(self._entries[low - base : high - base + 1])

    def entries_within(self, low: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `low` on that fit into `bytes_max`, but at least one if there is one."""
        start = low - self.compacted_index - 1
        assert start >= 0, "entries are compacted"
        stop = bisect_right(self._bytes, self._bytes[start] + bytes_max, start) - 1
        return tuple(self._entries[start : max(stop, start + 1)])

    def bytes_between(self, low: int, high: int) -> int:
        """Bytes of the entries after `low` up to `high`."""
        base = self.compacted_index
        return self._bytes[high - base] - self._bytes[low - base]

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries behind the last one."""
        total = self._bytes[-1]
        self._bytes += [total := total + len(e.data) + ENTRY_OVERHEAD_BYTES for e in entries]
        self._entries += entries
        self.membership_indexes += [e.index for e in entries if e.kind is _MEMBERSHIP]

    def merge(self, previous_index: int, previous_term: int, entries: Sequence[Entry]) -> bool:
        """Follow a leader's log (Raft, Figure 2, AppendEntries 2 to 4); False: no match.

        Entries that are here already stay: a late or repeated message must not cut off what was
        acknowledged since. Only a real conflict truncates.
        """
        if not self.matches(previous_index, previous_term):
            return False
        agreed = 0
        for entry in entries[: self.last_index - previous_index]:
            if self.term(entry.index) != entry.term:
                self._truncate(entry.index)
                break
            agreed += 1
        self.append(entries[agreed:])
        return True

    def _truncate(self, index: int) -> None:
        """Drop the entry at `index` and all behind it."""
        assert index > self.commit, "a committed entry is in conflict with the leader's log"
        kept = index - self.compacted_index - 1
        del self._entries[kept:]
        del self._bytes[kept + 1 :]
        while self.membership_indexes and self.membership_indexes[-1] >= index:
            self.membership_indexes.pop()
        # What is on disk from here on is void, and so is a write of it that is under way: the
        # entries that replace it go to disk behind it.
        self.durable = min(self.durable, index - 1)
        self.handed = min(self.handed, index - 1)

    def commit_to(self, index: int) -> None:
        """Raise the commit index; a lower one is old news."""
        assert index <= self.last_index, "commit beyond the log: acknowledged entries are lost"
        self.commit = max(self.commit, index)

    def hand_unwritten(self) -> tuple[Entry, ...]:
        """Entries for the driver to write."""
        entries = self.entries(self.handed + 1, self.last_index)
        self.handed = self.last_index
        return entries

    def hand_committed(self) -> tuple[Entry, ...]:
        """Entries for the driver to apply."""
        entries = self.entries(self.handed_committed + 1, self.commit)
        self.handed_committed = self.commit
        return entries

    def compact(self, index: int) -> None:
        """Forget entries up to `index`, which must be applied; a lower one was forgotten before."""
        assert index <= self.applied, "only applied entries may be compacted"
        if index <= self.compacted_index:
            return
        self.compacted_term = self.term(index)
        dropped = index - self.compacted_index
        del self._entries[:dropped]
        del self._bytes[:dropped]
        self.compacted_index = index
        self.membership_indexes = [i for i in self.membership_indexes if i > index]

    def check_invariants(self) -> None:
        """Assert what must always hold."""
        assert self.compacted_index <= self.handed_committed <= self.commit <= self.last_index
        assert self.applied <= self.handed_committed
        assert self.compacted_index <= self.durable <= self.handed <= self.last_index
        assert len(self._bytes) == len(self._entries) + 1
        index, term = self.compacted_index, self.compacted_term
        for entry in self._entries:
            assert entry.index == index + 1, "the log has a gap"
            assert entry.term >= term, "terms fall along the log"
            index, term = entry.index, entry.term
        changes = [e.index for e in self._entries if e.kind is _MEMBERSHIP]
        assert self.membership_indexes == changes, "a change of membership is overlooked"
