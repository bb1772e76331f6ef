"""The newest objects of every resource as bytes, and the changes that led there. PURE.

One watch of the store feeds all of it, so its revision is the store's as far as objects go: a list
is consistent as soon as the cache has come to the revision that the store has now. Everybody who
watches a resource reads the same changes, each encoded once for each form.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from sortedcontainers import SortedDict

from controlplane.api.errors import UnreadableError
from controlplane.apiserver.recent import Change, Entry, Recent
from controlplane.objects import splice

_LAST = "\U0010ffff"
"""Behind all that a key may go on with."""

Index = Callable[[Mapping[str, Any]], Mapping[str, str]]
Value = bytes | UnreadableError | None
"""What is stored at a key, why it cannot be read, or that nothing is there any more."""


class Unreadable:
    """What is stored at a key and cannot be read.

    last  what was readable there before, and was told; None: nothing
    """

    __slots__ = ("error", "last", "revision")

    def __init__(self, error: UnreadableError, revision: int, last: Entry | None) -> None:
        self.error = error
        self.revision = revision
        self.last = last


Subscriber = Callable[[Sequence[Change], int], None]
"""Takes the changes of a resource, and the revision up to which these are all. No changes at all:
the cache is retired, there will be none."""


class ResourceCache:
    """All objects of one resource, sorted by key.

    index: what field selectors may ask of an object.
    """

    def __init__(self, index: Index, revision: int) -> None:
        self._index = index
        self._entries: SortedDict[str, Entry] = SortedDict()
        self._unreadable: SortedDict[str, Unreadable] = SortedDict()
        self._recent = Recent(revision)
        self._snapshot: tuple[Entry, ...] | None = None
        self._subscribers: dict[int, Subscriber] = {}
        self._subscriber_count = 0
        self.changes = 0
        """Counts what has happened to it."""
        self.is_retired = False
        """Whether it is followed no more, since there is a newer one."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first_revision(self) -> int:
        """Of all changes after it nothing is missing."""
        return self._recent.first_revision

    @property
    def recent_bytes(self) -> int:
        """How much its changes hold."""
        return self._recent.held.bytes

    @property
    def unreadable_count(self) -> int:
        """How many objects there are that cannot be read."""
        return len(self._unreadable)

    def get(self, key: str) -> Entry | None:
        """The object at a key, if there is one that can be read."""
        return self._entries.get(key)

    def broken(self, key: str) -> Unreadable | None:
        """What is at a key and cannot be read; None: it can, or nothing is there."""
        return self._unreadable.get(key)

    def unreadable(self, prefix: str) -> Iterator[tuple[str, UnreadableError]]:
        """What cannot be read, of the keys that begin with `prefix`, in order."""
        for key in self._unreadable.irange(prefix, prefix + _LAST):
            yield key, self._unreadable[key].error

    def snapshot(self, prefix: str) -> Iterator[Entry]:
        """What `scan` finds now, whatever changes meanwhile; all who begin before the next change
        share it."""
        if self._snapshot is None:
            self._snapshot = tuple(self._entries.values())
        start = bisect_left(self._snapshot, prefix, key=lambda entry: entry.key)
        end = bisect_left(self._snapshot, prefix + _LAST, key=lambda entry: entry.key)
        return islice(self._snapshot, start, end)

    def scan(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Objects whose key begins with `prefix`, in order, behind the key `after`."""
        start = max(prefix, after)
        for key in self._entries.irange(start, prefix + _LAST):
            if key != after:
                yield self._entries[key]

    def look_at(self, raw: bytes) -> Entry:
        """What selectors see of an object that is not in the cache; `raw` has its revision."""
        found = orjson.loads(raw)
        metadata = found["metadata"]
        return Entry(
            "",
            raw,
            int(metadata["resourceVersion"]),
            metadata.get("labels") or {},
            self._index(found),
        )

    def since(self, revision: int, count_max: int | None = None) -> Sequence[Change] | None:
        """Changes after a revision; None: they are no longer all known.

        count_max  so many will do, but all of a revision
        """
        return self._recent.since(revision, count_max)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell a subscriber of every change from now on; what is returned ends it."""
        number = self._subscriber_count
        self._subscriber_count += 1
        self._subscribers[number] = subscriber

        def end() -> None:
            self._subscribers.pop(number, None)

        return end

    def load(self, key: str, value: bytes | UnreadableError, revision: int) -> None:
        """What was there before the first change. Raises UnreadableError once it is noted."""
        try:
            self._entries[key] = self._entry(key, value, revision)
        except UnreadableError as error:
            self._unreadable[key] = Unreadable(error, revision, None)
            raise

    def loaded(self, revision: int) -> None:
        """The first list was complete at a revision."""
        self._recent = Recent(revision)

    def put(self, key: str, value: bytes | UnreadableError, revision: int) -> Change:
        """An object was written. Raises UnreadableError once it is noted: then nobody is told, and
        what was told before stays the last that is known of it.
        """
        self.changes += 1
        self._snapshot = None
        try:
            entry = self._entry(key, value, revision)
        except UnreadableError as error:
            self._unreadable[key] = Unreadable(error, revision, self._taken(key))
            raise
        change = Change(entry, self._taken(key), is_deletion=False)
        self._entries[key] = entry
        self._recent.add(change)
        return change

    def delete(self, key: str, revision: int) -> Change | None:
        """An object was deleted; None: nobody knew it."""
        self.changes += 1
        self._snapshot = None
        old = self._taken(key)
        if old is None:
            return None
        change = Change(old.at(revision), old, is_deletion=True)
        self._recent.add(change)
        return change

    def _taken(self, key: str) -> Entry | None:
        """What was last known at a key; nothing is there now."""
        broken = self._unreadable.pop(key, None)
        return self._entries.pop(key, None) if broken is None else broken.last

    def reindex(self, index: Index) -> None:
        """Look at all objects again."""
        self._index = index
        for entry in self._entries.values():
            entry.fields = index(orjson.loads(entry.raw))

    def tell(self, changes: Sequence[Change], revision: int) -> None:
        """Tell all subscribers."""
        for subscriber in tuple(self._subscribers.values()):
            subscriber(changes, revision)

    def retire(self) -> None:
        """There is a newer cache: whoever subscribes hears so."""
        self.is_retired = True
        self.tell((), self.first_revision)

    def _entry(self, key: str, value: bytes | UnreadableError, revision: int) -> Entry:
        """Raises UnreadableError."""
        if isinstance(value, UnreadableError):
            raise value
        try:
            found = orjson.loads(value)
            labels = dict(found["metadata"].get("labels") or {})
            return Entry(key, splice(value, revision), revision, labels, self._index(found))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            why = f"it is no object ({type(error).__name__})"
            raise UnreadableError(why, key) from None
        except UnreadableError as error:
            raise error.at(key.encode()) from None


class ObjectCache:
    """The caches of all resources: `apply` is the one way in.

    index_of       (group or `core`, plural) -> index for its objects
    on_unreadable  is told, once for each revision, of what cannot be read: it is noted, and harms
                   nothing but itself and lists that should have it
    """

    def __init__(
        self,
        index_of: Callable[[str, str], Index],
        prefix: str,
        on_unreadable: Callable[[UnreadableError], None] = lambda error: None,
    ) -> None:
        self._index_of = index_of
        self._prefix = prefix
        self._on_unreadable = on_unreadable
        self._caches: dict[tuple[str, str], ResourceCache] = {}
        self.revision = 0
        """All changes up to it are here."""
        self.first_revision = 0

    def of(self, group: str, plural: str) -> ResourceCache:
        """The cache of a resource; an empty one if there is nothing of it."""
        place = (group or "core", plural)
        found = self._caches.get(place)
        if found is None:
            found = ResourceCache(self._index_of(*place), self.first_revision)
            self._caches[place] = found
        return found

    def load(self, key: str, value: bytes | UnreadableError, revision: int) -> None:
        """What the first list has at a key."""
        cache = self._cache_of(key)
        if cache is None:
            return
        try:
            cache.load(key, value, revision)
        except UnreadableError as error:
            self._on_unreadable(error)

    def loaded(self, revision: int) -> None:
        """The first list was complete at a revision."""
        self.revision = self.first_revision = revision
        for cache in self._caches.values():
            cache.loaded(revision)

    def retire(self) -> None:
        """There is a newer cache."""
        for cache in self._caches.values():
            cache.retire()

    def each(self) -> Iterator[tuple[str, str, ResourceCache]]:
        """(group or `core`, plural, cache)."""
        for (group, plural), cache in self._caches.items():
            yield group, plural, cache

    def apply(self, changes: Sequence[tuple[str, Value, int]], revision: int) -> None:
        """Changes in their order, (key, what is there now, revision), all up to a revision.
        Subscribers hear of it once all of them are in."""
        told: dict[int, tuple[ResourceCache, list[Change]]] = {}
        for key, value, at in changes:
            cache = self._cache_of(key)
            if cache is None:
                continue
            change = self._change(cache, key, value, at)
            if change is not None:
                told.setdefault(id(cache), (cache, []))[1].append(change)
        self.revision = max(self.revision, revision)
        for cache, of_cache in told.values():
            cache.tell(of_cache, self.revision)

    def _change(self, cache: ResourceCache, key: str, value: Value, revision: int) -> Change | None:
        if value is None:
            return cache.delete(key, revision)
        try:
            return cache.put(key, value, revision)
        except UnreadableError as error:
            self._on_unreadable(error)
            return None

    def reindex(self, group: str, plural: str) -> None:
        """What field selectors may ask of a resource has changed.

        Those who watch it go on; they were promised nothing of the new fields.
        """
        place = (group or "core", plural)
        if place in self._caches:
            self._caches[place].reindex(self._index_of(*place))

    def _cache_of(self, key: str) -> ResourceCache | None:
        parts = key.removeprefix(self._prefix).split("/", 2)
        if len(parts) < 3:
            return None
        return self.of(parts[0], parts[1])
