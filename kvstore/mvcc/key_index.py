"""Index of the store by key: which versions a key has, and which keys live, in order.

Pure. It knows versions, not operations: revisions are chosen by the store. Two sorted containers
hold the keys, those that live now and those that are deleted but not yet compacted away. So a
range or a count at the current revision costs a bisection and never looks at a key outside of its
answer; a read in the past merges both.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter

from sortedcontainers import SortedList

from kvstore.mvcc.types import KeyValue

OPEN_END = b"\0"
"""The `range_end` that stands for «no upper bound»."""

_mod_revision = attrgetter("mod_revision")


def in_range(candidate: bytes, key: bytes, range_end: bytes) -> bool:
    """Tell whether [key, range_end) holds a key; an empty end means `key` alone."""
    if not range_end:
        return candidate == key
    return key <= candidate and (range_end == OPEN_END or candidate < range_end)


class KeyIndex:
    """All versions that are not compacted away, by key.

    The newest version of a key stands in a dict of its own, for most keys have no other: that
    saves a list per key, and the current revision is all that most reads want.
    """

    __slots__ = ("_dead", "_live", "_older", "newest")

    def __init__(self, rows: Iterable[KeyValue] = ()) -> None:
        """The index of versions given in revision order."""
        self.newest: dict[bytes, KeyValue] = {}
        self._older: dict[bytes, list[KeyValue]] = {}
        self._live: SortedList[bytes] = SortedList()
        self._dead: SortedList[bytes] = SortedList()
        self.load(rows)
        self.sort()

    def load(self, rows: Iterable[KeyValue]) -> int:
        """Add many versions, newer than those before; `sort` must follow before any other use.

        Returns the bytes of their keys and values.
        """
        newest, older = self.newest, self._older
        size = 0
        for kv in rows:
            key = kv.key
            size += len(key) + len(kv.value)
            before = newest.get(key)
            if before is not None:
                older.setdefault(key, []).append(before)
            newest[key] = kv
        return size

    def sort(self) -> None:
        """Put what was loaded in order, in one go: far quicker than a key at a time."""
        self._live = SortedList([key for key, kv in self.newest.items() if kv.version])
        self._dead = SortedList([key for key, kv in self.newest.items() if not kv.version])

    def __len__(self) -> int:
        """Number of keys that live now."""
        return len(self._live)

    def add(self, kv: KeyValue) -> None:
        """Add a version that is newer than all others of its key."""
        key = kv.key
        before = self.newest.get(key)
        self.newest[key] = kv
        if before is None:
            assert kv.version, "a tombstone needs a key to delete"
            self._live.add(key)
            return
        older = self._older.get(key)
        if older is None:
            self._older[key] = [before]
        else:
            older.append(before)
        if not before.version:
            self._dead.remove(key)
            self._live.add(key)
        elif not kv.version:
            self._live.remove(key)
            self._dead.add(key)

    def get(self, key: bytes) -> KeyValue | None:
        """The key-value as it is now."""
        kv = self.newest.get(key)
        return kv if kv is not None and kv.version else None

    def version_at(self, key: bytes, revision: int) -> KeyValue | None:
        """The newest version up to a revision, possibly a tombstone."""
        kv = self.newest.get(key)
        if kv is None or kv.mod_revision <= revision:
            return kv
        older = self._older.get(key)
        if older is None:
            return None
        position = bisect_right(older, revision, key=_mod_revision)
        return older[position - 1] if position else None

    def get_at(self, key: bytes, revision: int) -> KeyValue | None:
        """The key-value as it was at a revision."""
        kv = self.version_at(key, revision)
        return kv if kv is not None and kv.version else None

    def keys(self, key: bytes, range_end: bytes) -> Iterator[bytes]:
        """Living keys of a range, in order; the index must not change meanwhile."""
        if not range_end:
            return iter((key,) if self.get(key) is not None else ())
        return _between(self._live, key, range_end)

    def alive(self, key: bytes, range_end: bytes) -> Iterator[KeyValue]:
        """Key-values of a range as they are now, in key order."""
        return map(self.newest.__getitem__, self.keys(key, range_end))

    def alive_at(self, key: bytes, range_end: bytes, revision: int) -> Iterator[KeyValue]:
        """Key-values of a range as they were at a revision, in key order."""
        candidates: Iterable[bytes] = (key,)
        if range_end:
            candidates = merge(
                _between(self._live, key, range_end), _between(self._dead, key, range_end)
            )
        for candidate in candidates:
            kv = self.get_at(candidate, revision)
            if kv is not None:
                yield kv

    def count(self, key: bytes, range_end: bytes) -> int:
        """Number of living keys in a range, without a walk."""
        if not range_end:
            return int(self.get(key) is not None)
        return _count_between(self._live, key, range_end)

    def candidate_count(self, key: bytes, range_end: bytes) -> int:
        """Number of keys in a range that live or have a history."""
        if not range_end:
            return 1
        return self.count(key, range_end) + _count_between(self._dead, key, range_end)

    def outlives(self, kv: KeyValue, revision: int) -> bool:
        """Tell whether a compaction at `revision`, not before `kv`, leaves it to readers.

        That is the newest version up to that revision, unless it is a tombstone.
        """
        return kv.version != 0 and self.version_at(kv.key, revision) is kv

    def compact(self, kv: KeyValue, revision: int) -> bool:
        """Forget what a compaction drops of the key of a version before `revision`; tell whether
        that version stays.

        It stays if it is what readers see at the revision. Versions of that very revision all
        stay, tombstones too: who watches from there on must get to know of them. The first call
        for a key drops all of it at once, so a key with a long history costs one bisection a
        version and no repeated shifting.
        """
        key = kv.key
        newest = self.newest.get(key)
        if newest is None:
            return False
        older = self._older.get(key)
        if newest.mod_revision < revision:
            if older is not None:
                del self._older[key]
            if not newest.version:
                del self.newest[key]
                self._dead.remove(key)
                return False
            return newest is kv
        if older is None:
            return False
        position = bisect_left(older, revision, key=_mod_revision)
        if position == 0:
            return False
        survivor = older[position - 1]
        following = older[position] if position < len(older) else newest
        stays = survivor.version != 0 and following.mod_revision != revision
        del older[: position - 1 if stays else position]
        if not older:
            del self._older[key]
        return stays and survivor is kv


def _between(keys: "SortedList[bytes]", key: bytes, range_end: bytes) -> Iterator[bytes]:
    if range_end == OPEN_END:
        return keys.irange(key)
    return keys.irange(key, range_end, inclusive=(True, False))


def _count_between(keys: "SortedList[bytes]", key: bytes, range_end: bytes) -> int:
    end = len(keys) if range_end == OPEN_END else keys.bisect_left(range_end)
    return max(0, end - keys.bisect_left(key))
