"""The newest objects of every resource as bytes, and the changes that led there. PURE.

One watch of the store feeds all of it, so its revision is the store's as far as objects go: a list
is consistent as soon as the cache has come to the revision that the store has now. Everybody who
watches a resource reads the same changes, each encoded once for each form.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from sortedcontainers import SortedDict

from controlplane.api.errors import ApiError
from controlplane.objects import splice

RECENT_BYTES_MAX = 32 * 1024 * 1024  # of a resource's changes, for watches that resume
RECENT_COUNT_MAX = 100_000

Index = Callable[[Mapping[str, Any]], Mapping[str, str]]


class UnreadableError(Exception):
    """What is stored is no object."""


class Entry:
    """An object: its key, the revision of its last change, its bytes, what selectors look at."""

    __slots__ = ("fields", "key", "labels", "raw", "revision")

    def __init__(
        self,
        key: str,
        raw: bytes,
        revision: int,
        labels: Mapping[str, str],
        fields: Mapping[str, str],
    ) -> None:
        self.key = key
        self.raw = raw
        self.revision = revision
        self.labels = labels
        self.fields = fields

    def at(self, revision: int) -> "Entry":
        """The same content, as what is told of a later revision."""
        before, after = (b'"resourceVersion":"%d"' % r for r in (self.revision, revision))
        raw = self.raw.replace(before, after, 1)
        return Entry(self.key, raw, revision, self.labels, self.fields)


class Change:
    """One event of one object. `old` is what was there before; of a deletion `new` is that, with
    the revision of the deletion.

    encoded: (form, type) -> the bytes that every watcher of that form gets.
    """

    __slots__ = ("encoded", "is_deletion", "new", "old")

    def __init__(self, new: Entry, old: Entry | None, *, is_deletion: bool) -> None:
        self.new = new
        self.old = old
        self.is_deletion = is_deletion
        self.encoded: dict[tuple[str, str], bytes] = {}

    @property
    def revision(self) -> int:
        """When."""
        return self.new.revision


Subscriber = Callable[[Sequence[Change], int], None]
"""Takes the changes of a resource, and the revision up to which these are all."""


class ResourceCache:
    """All objects of one resource, sorted by key.

    index: what field selectors may ask of an object.
    """

    def __init__(self, index: Index, revision: int) -> None:
        self._index = index
        self._entries: SortedDict[str, Entry] = SortedDict()
        self._recent: deque[Change] = deque()
        self._recent_bytes = 0
        self._subscribers: dict[int, Subscriber] = {}
        self._subscriber_count = 0
        self.changes = 0
        """Counts what has happened to it."""
        self.first_revision = revision
        """Of all changes after it nothing is missing."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The object at a key."""
        return self._entries.get(key)

    def scan(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Objects whose key begins with `prefix`, in order, behind the key `after`."""
        start = max(prefix, after)
        for key in self._entries.irange(start, prefix + "\U0010ffff"):
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

    def since(self, revision: int) -> list[Change] | None:
        """Changes after a revision; None: they are no longer all known."""
        if revision < self.first_revision:
            return None
        found: list[Change] = []
        for change in reversed(self._recent):
            if change.revision <= revision:
                break
            found.append(change)
        found.reverse()
        return found

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell a subscriber of every change from now on; what is returned ends it."""
        number = self._subscriber_count
        self._subscriber_count += 1
        self._subscribers[number] = subscriber

        def end() -> None:
            self._subscribers.pop(number, None)

        return end

    def load(self, key: str, value: bytes, revision: int) -> None:
        """An object that was there before the first change."""
        self._entries[key] = self._entry(key, value, revision)

    def put(self, key: str, value: bytes, revision: int) -> Change:
        """An object was written."""
        change = Change(
            self._entry(key, value, revision), self._entries.get(key), is_deletion=False
        )
        self._entries[key] = change.new
        self._remember(change)
        return change

    def delete(self, key: str, revision: int) -> Change | None:
        """An object was deleted; None: nobody knew it."""
        old = self._entries.pop(key, None)
        if old is None:
            return None
        change = Change(old.at(revision), old, is_deletion=True)
        self._remember(change)
        return change

    def reindex(self, index: Index) -> None:
        """Look at all objects again."""
        self._index = index
        for entry in self._entries.values():
            entry.fields = index(orjson.loads(entry.raw))

    def tell(self, changes: Sequence[Change], revision: int) -> None:
        """Tell all subscribers."""
        for subscriber in tuple(self._subscribers.values()):
            subscriber(changes, revision)

    def _entry(self, key: str, value: bytes, revision: int) -> Entry:
        """Raises UnreadableError."""
        try:
            found = orjson.loads(value)
            labels = dict(found["metadata"].get("labels") or {})
            raw = splice(value, revision)
        except (ValueError, TypeError, KeyError, AttributeError, ApiError) as error:
            raise UnreadableError(str(error)) from None
        return Entry(key, raw, revision, labels, self._index(found))

    def _remember(self, change: Change) -> None:
        self.changes += 1
        self._recent.append(change)
        self._recent_bytes += len(change.new.raw)
        while self._recent_bytes > RECENT_BYTES_MAX or len(self._recent) > RECENT_COUNT_MAX:
            forgotten = self._recent.popleft()
            self._recent_bytes -= len(forgotten.new.raw)
            self.first_revision = forgotten.revision


class ObjectCache:
    """The caches of all resources: `apply` is the one way in.

    index_of       (group or `core`, plural) -> index for its objects
    on_unreadable  is told the key of what is no object, and why; for everybody else it is not
                   there, so that it harms nothing but itself
    """

    def __init__(
        self,
        index_of: Callable[[str, str], Index],
        prefix: str,
        on_unreadable: Callable[[str, str], None] = lambda key, why: None,
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

    def load(self, key: str, value: bytes, revision: int) -> None:
        """An object of the first list."""
        cache = self._cache_of(key)
        if cache is None:
            return
        try:
            cache.load(key, value, revision)
        except UnreadableError as error:
            self._on_unreadable(key, str(error))

    def loaded(self, revision: int) -> None:
        """The first list was complete at a revision."""
        self.revision = self.first_revision = revision
        for cache in self._caches.values():
            cache.first_revision = revision

    def apply(self, changes: Sequence[tuple[str, bytes | None, int]], revision: int) -> None:
        """Changes in their order, (key, value or None for a deletion, revision), all up to a
        revision. Subscribers hear of it once all of them are in."""
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

    def _change(
        self, cache: ResourceCache, key: str, value: bytes | None, revision: int
    ) -> Change | None:
        if value is not None:
            try:
                return cache.put(key, value, revision)
            except UnreadableError as error:
                self._on_unreadable(key, str(error))
        return cache.delete(key, revision)

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
