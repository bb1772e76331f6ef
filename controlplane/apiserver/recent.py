"""The latest changes of a resource, for watches that resume or lag: bounded by all that they hold.
PURE.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

RECENT_BYTES_MAX = 32 * 1024 * 1024  # of a resource's changes, for watches that resume
RECENT_COUNT_MAX = 100_000
_FIXED_BYTES = 1_000  # of a change, its entry's key, labels and fields, beside the object's bytes
_FORGOTTEN_MAX = 1_024  # places of forgotten changes that wait to be given back together


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


class Held:
    """A sum that a ring and its changes share."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Change:
    """One event of one object. `old` is what was there before; of a deletion `new` is that, with
    the revision of the deletion.
    """

    __slots__ = ("_encoded", "_held", "_size", "is_deletion", "new", "old")

    def __init__(self, new: Entry, old: Entry | None, *, is_deletion: bool) -> None:
        self.new = new
        self.old = old
        self.is_deletion = is_deletion
        self._encoded: dict[tuple[str, str], bytes] = {}
        self._size = _FIXED_BYTES + len(new.raw) + (0 if old is None else len(old.raw))
        self._held: Held | None = None

    @property
    def revision(self) -> int:
        """When."""
        return self.new.revision

    def encoded(self, form: tuple[str, str], encode: Callable[[], bytes]) -> bytes:
        """The bytes that every watcher of a (form, type) gets: made once, and kept."""
        found = self._encoded.get(form)
        if found is None:
            found = self._encoded[form] = encode()
            self._size += len(found)
            if self._held is not None:
                self._held.bytes += len(found)
        return found

    def kept(self, held: Held) -> None:
        """It counts from now on."""
        self._held = held
        held.bytes += self._size

    def forgotten(self) -> None:
        """It counts no more; whoever has it may use it still."""
        assert self._held is not None
        self._held.bytes -= self._size
        self._held = None


class Recent:
    """Changes in the order of their revisions."""

    def __init__(self, revision: int) -> None:
        self._changes: list[Change | None] = []
        self._start = 0  # before it all are forgotten
        self.held = Held()
        self.first_revision = revision
        """Of all changes after it nothing is missing."""

    def add(self, change: Change) -> None:
        """Remember the newest one, and forget the oldest where all together are too much."""
        change.kept(self.held)
        self._changes.append(change)
        while self.held.bytes > RECENT_BYTES_MAX or self._count > RECENT_COUNT_MAX:
            oldest = self._changes[self._start]
            assert oldest is not None
            oldest.forgotten()
            self.first_revision = oldest.revision
            self._changes[self._start] = None
            self._start += 1
        if self._start >= _FORGOTTEN_MAX:
            del self._changes[: self._start]
            self._start = 0

    def since(self, revision: int, count_max: int | None = None) -> Sequence[Change] | None:
        """Changes after a revision; None: they are no longer all known.

        count_max  so many will do, but all of a revision
        """
        if revision < self.first_revision:
            return None
        first = self._after(revision)
        last = len(self._changes) if count_max is None else first + count_max
        if last < len(self._changes):
            last = self._after(_revision(self._changes[last - 1]))
        return [change for change in self._changes[first:last] if change is not None]

    def _after(self, revision: int) -> int:
        return bisect_right(self._changes, revision, lo=self._start, key=_revision)

    @property
    def _count(self) -> int:
        return len(self._changes) - self._start


def _revision(change: Change | None) -> int:
    assert change is not None, "forgotten ones are never looked at"
    return change.revision
