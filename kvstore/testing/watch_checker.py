"""What a watcher got, against the order of writes: etcd's guarantees for watches.

PURE. Ordered, unique, atomic, reliable, resumable and bookmarkable are etcd's words
(https://etcd.io/docs/v3.5/learning/api_guarantees/#watch-apis); filters and `prev_kv` are options
of a watch request. All come to one rule: what was received is the list of the writes that were
asked for, from the start revision on, without a hole and without a repeat, in whole revisions.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Never

import msgspec

from kvstore.testing.history import ViolationError, Write


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A change as it was received. `value` None: the key was deleted.

    `prev_mod_revision` 0: no `prev_kv` came, and `prev_value` is None as well.
    """

    key: bytes
    value: bytes | None
    mod_revision: int
    prev_value: bytes | None = None
    prev_mod_revision: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True, tag="batch"):
    """One response. `revision` is its header's.

    is_progress: a progress notification, for which `revision` is a promise.
    is_fragment: the rest of this response's events comes in the next (`fragment` was asked for).
    """

    revision: int
    events: tuple[Event, ...] = ()
    is_progress: bool = False
    is_fragment: bool = False


class Resumption(msgspec.Struct, frozen=True, kw_only=True, tag="resumption"):
    """The stream broke, and the client asked again, from `start_revision` on."""

    start_revision: int


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, and all that was received.

    range_end      as in etcd: b"" one key, b"\\0" all keys from `key` on
    start_revision the first one wanted. For a watch that asked for 0 (only what comes) it is the
                   revision of the `created` response + 1
    through_revision the recorder waited until it had everything up to it: a watch that ends
                   before it has lost events. 0: it may end anywhere
    """

    key: bytes
    range_end: bytes = b""
    start_revision: int = 1
    no_put: bool = False
    no_delete: bool = False
    prev_kv: bool = False
    through_revision: int = 0
    received: tuple[Batch | Resumption, ...] = ()

    def includes(self, write: Write) -> bool:
        """Tell whether the filters and the range let it through."""
        if self.no_delete if write.value is None else self.no_put:
            return False
        if not self.range_end:
            return write.key == self.key
        return self.key <= write.key and (self.range_end == b"\0" or write.key < self.range_end)


class Order:
    """The store's order of writes, for checking many watches: each sees a part of it only."""

    def __init__(self, writes: Sequence[Write]) -> None:
        self._writes = writes
        self._before: list[int] = []  # position of the write before, of the same key; or -1
        last: dict[bytes, int] = {}
        for position, write in enumerate(writes):
            self._before.append(last.get(write.key, -1))
            last[write.key] = position

    def part_for(self, watch: Watch) -> list[Write]:
        """Give the writes by which `check` judges this watch as it does by all.

        Those from its start to the end of what it tells, and what was there before each.
        """
        told = (
            item.revision if isinstance(item, Batch) else item.start_revision
            for item in watch.received
        )
        through = max(watch.through_revision, *told, 0)
        first = self._position_of(watch.start_revision)
        end = self._position_of(through + 1)
        before = {position for position in self._before[first:end] if 0 <= position < first}
        return [self._writes[position] for position in (*sorted(before), *range(first, end))]

    def _position_of(self, revision: int) -> int:
        return bisect_left(self._writes, revision, key=lambda write: write.revision)


def check(watch: Watch, writes: Sequence[Write], *, compact_revision: int = 0) -> int:
    """Give the number of events checked; raise ViolationError that names the first wrong one.

    writes: all of the store's, in its order: by revision, and within one txn as they were done.
    compact_revision: the highest compaction of the run. A `prev_kv` that must be read at a
        revision before it may be missing.
    """
    return _Reader(watch, writes, compact_revision).read()


class _Reader:
    def __init__(self, watch: Watch, writes: Sequence[Write], compact_revision: int) -> None:
        self._watch = watch
        self._compact_revision = compact_revision
        self._previous: list[Write | None] = []
        self._due: list[Write] = []
        last: dict[bytes, Write] = {}
        for write in writes:
            if watch.includes(write) and write.revision >= watch.start_revision:
                self._due.append(write)
                self._previous.append(last.get(write.key))
            last[write.key] = write
        self._position = 0  # of the next write that is due
        self._whole = 0  # the same, after the last response that no fragment was missing of
        self._number = 0  # of what is read, for telling
        self._count = 0

    def read(self) -> int:
        for number, received in enumerate(self._watch.received):
            self._number = number
            match received:
                case Batch():
                    self._batch(received)
                case Resumption():
                    self._resumption(received)
        self._drop_part()
        due = self._next()
        if due is not None and due.revision <= self._watch.through_revision:
            raise ViolationError(
                f"lost (reliable): the watch ended without {due}, although it had time for "
                f"everything up to revision {self._watch.through_revision}"
            )
        return self._count

    def _next(self) -> Write | None:
        return self._due[self._position] if self._position < len(self._due) else None

    def _batch(self, batch: Batch) -> None:
        if batch.is_progress:
            self._progress(batch)
            return
        for event in batch.events:
            if event.mod_revision > batch.revision:
                self._fail("ordered", f"{event} is beyond its header's revision {batch.revision}")
            self._event(event)
        if not batch.is_fragment and self._is_inside_revision():
            self._fail("atomic", f"the batch ends before {self._next()}, which is of its revision")
        if not batch.is_fragment:
            self._whole = self._position

    def _event(self, event: Event) -> None:
        due = self._next()
        if due is None or (due.revision, due.key, due.value) != _identity(event):
            self._explain(event, due)
        self._previous_value(event, self._previous[self._position])
        self._position += 1
        self._count += 1

    def _explain(self, event: Event, due: Write | None) -> Never:
        """Say which promise it is that an event which is not due breaks."""
        identity = _identity(event)
        written = Write(event.mod_revision, event.key, event.value)
        at = [(write.revision, write.key, write.value) for write in self._due]
        if identity in at[: self._position]:
            self._fail("unique", f"{event} came before")
        if identity in at[self._position :]:
            assert due is not None
            if due.revision == event.mod_revision:
                self._fail("ordered", f"{event} came before {due}, which was written before it")
            self._fail("reliable", f"{event} came, and {due} was left out")
        if event.mod_revision < self._watch.start_revision:
            self._fail("ordered", f"{event} is before the start {self._watch.start_revision}")
        if not self._watch.includes(written):
            self._fail("filtered", f"{event} was not asked for")
        self._fail("reliable", f"{event} was never written; due is {due}")

    def _previous_value(self, event: Event, before: Write | None) -> None:
        got = (event.prev_mod_revision, event.prev_value)
        if not self._watch.prev_kv:
            wanted: tuple[int, bytes | None] = (0, None)
        elif before is None or before.value is None:
            wanted = (0, None)
        else:
            wanted = (before.revision, before.value)
            # It is read as of the revision before the event's (etcd: watchableStore, prevKV).
            if got == (0, None) and event.mod_revision - 1 < self._compact_revision:
                return
        if got != wanted:
            self._fail("prev_kv", f"{event} should have {wanted[1]!r} of revision {wanted[0]}")

    def _progress(self, batch: Batch) -> None:
        if batch.events:
            self._fail("bookmarkable", f"a progress notification has events: {batch.events[0]}")
        due = self._next()
        if due is not None and due.revision <= batch.revision:
            self._fail("bookmarkable", f"progress up to {batch.revision} was told before {due}")

    def _resumption(self, resumption: Resumption) -> None:
        """The client asks for what follows the last response that it has as a whole."""
        self._drop_part()
        start, due = resumption.start_revision, self._next()
        if due is not None and due.revision < start:
            self._fail("resumable", f"resumed at {start}, which leaves out {due}")
        if self._position and self._due[self._position - 1].revision >= start:
            self._fail("resumable", f"resumed at {start}: {self._due[self._position - 1]} is known")

    def _drop_part(self) -> None:
        """A stream that ends within a fragmented response: the client forgets all of it, whole
        revisions as well.
        """
        self._count -= self._position - self._whole
        self._position = self._whole

    def _is_inside_revision(self) -> bool:
        due = self._next()
        if due is None or self._position == 0:
            return False
        return self._due[self._position - 1].revision == due.revision

    def _fail(self, promise: str, what: str) -> Never:
        raise ViolationError(f"not {promise}, in item {self._number} of the watch: {what}")


def _identity(event: Event) -> tuple[int, bytes, bytes | None]:
    return event.mod_revision, event.key, event.value
