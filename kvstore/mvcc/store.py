"""The store: revisions of key-values in memory, as etcd's mvcc keeps them.

Pure. It applies operations in the order that it is given them and knows nothing of the log that
ordered them. What takes longer than a millisecond comes in slices: compaction, hash, snapshot. A
failed operation changes nothing.
"""

from collections.abc import Generator, Iterable, Iterator
from itertools import chain

from kvstore.commands import Compact, DeleteRange, Put, Range, Txn
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseNotFoundError,
)
from kvstore.mvcc import hashing, ranges
from kvstore.mvcc.key_index import KeyIndex
from kvstore.mvcc.leases import LeaseTable
from kvstore.mvcc.revision_log import RevisionLog
from kvstore.mvcc.txn import Branch, check_branch, choose_branch
from kvstore.mvcc.types import (
    CompactResult,
    DeleteRangeResult,
    Event,
    KeyValue,
    OperationResult,
    PutResult,
    RangeResult,
    TxnResult,
)

FIRST_REVISION = 1
"""Revision of an empty store; the first write makes 2."""

NEVER_COMPACTED = -1
"""Compact revision before the first compaction, as etcd shows it in HashKV."""

HASH_SLICE_ROWS = 256
"""Versions hashed between two yields: some 0.5 ms."""

LOAD_SLICE_ROWS = 2048
"""Keys looked at between two pauses while a store is loaded: about a millisecond."""

ROW_OVERHEAD_BYTES = 300
"""Memory of a version besides key and value: struct, integers, places in index and log."""

HashKv = tuple[int, int, int]
"""A hash, the revision that it covers, the compact revision that it was taken at."""


def row_bytes(kv: KeyValue) -> int:
    """Bytes that a version is accounted with."""
    return len(kv.key) + len(kv.value) + ROW_OVERHEAD_BYTES


class Store:
    """Key-values at every revision since the last compaction."""

    def __init__(
        self,
        leases: LeaseTable,
        *,
        revision: int = FIRST_REVISION,
        compact_revision: int = NEVER_COMPACTED,
    ) -> None:
        """An empty store; one that is to be restored has `load` called next."""
        self.revision = revision
        self.compact_revision = compact_revision
        self._leases = leases
        self._sub = 0  # writes made by the operation under way
        self._events: list[Event] = []
        self._hashes_open = 0
        self._log = RevisionLog()
        self._index = KeyIndex()
        self.size_bytes = 0
        """Accounted bytes of all versions."""
        self.live_bytes = 0
        """Accounted bytes of the newest versions of the keys that live."""
        # A snapshot may have been taken before the compaction was through.
        self._is_compacting = compact_revision > NEVER_COMPACTED

    def load(self, batches: Iterable[list[KeyValue]]) -> Iterator[None]:
        """Fill an empty store with all versions, in revision order, pausing after each slice.

        The leases must be there already. Until the last slice is done it is no store to use.
        """
        for rows in batches:
            self._log.extend(rows)
            self.size_bytes += self._index.load(rows) + len(rows) * ROW_OVERHEAD_BYTES
            yield
        for count, kv in enumerate(self._index.newest.values(), start=1):
            if kv.version:
                self.live_bytes += row_bytes(kv)
                if kv.lease:
                    self._leases.attach(kv.lease, kv.key)
            if count % LOAD_SLICE_ROWS == 0:
                yield
        self._index.sort()

    @property
    def key_count(self) -> int:
        """Number of keys that live."""
        return len(self._index)

    @property
    def row_count(self) -> int:
        """Number of versions, with history and tombstones."""
        return len(self._log)

    @property
    def is_compacting(self) -> bool:
        """Tell whether a decided compaction still has physical work to do."""
        return self._is_compacting

    @property
    def is_hashing(self) -> bool:
        """Tell whether a hash under way holds the physical work off."""
        return self._hashes_open > 0

    # Operations.

    def range(self, command: Range) -> RangeResult:
        """Read. Within a txn it sees the txn's own writes."""
        return ranges.read(
            self._index,
            self._log,
            command,
            present=self._present(),
            compact_revision=self.compact_revision,
        )

    def candidate_count(self, key: bytes, range_end: bytes) -> int:
        """Number of keys in a range that live or have a history, without a walk."""
        return self._index.candidate_count(key, range_end)

    def put(self, command: Put) -> PutResult:
        """Write one key."""
        if command.lease and not self._leases.has(command.lease):
            raise LeaseNotFoundError(f"no lease {command.lease:x}")
        result = self._put(command)
        self._commit()
        return result

    def delete_range(self, command: DeleteRange) -> DeleteRangeResult:
        """Delete the keys of a range; none is no fault, and no revision."""
        result = self._delete_range(command)
        self._commit()
        return result

    def delete_keys(self, keys: Iterable[bytes]) -> int:
        """Delete those of the keys that live, in one revision; returns the revision now."""
        for key in keys:
            kv = self._index.get(key)
            if kv is not None:
                self._delete(kv)
        self._commit()
        return self.revision

    def txn(self, command: Txn) -> TxnResult:
        """Run the branch that the compares choose: all of it in one revision, or nothing."""
        branch = choose_branch(self._index, command)
        check_branch(
            branch,
            self._index,
            self._leases,
            revision=self.revision,
            compact_revision=self.compact_revision,
        )
        responses = self._run(branch)
        self._commit()
        return TxnResult(self.revision, branch.succeeded, responses)

    def compact(self, command: Compact) -> CompactResult:
        """Forget what was before a revision: at once for readers, in slices for the memory.

        Kept is, for each key, the newest version up to that revision, unless it is a tombstone
        of an earlier one; and all that was written at that very revision.
        """
        revision = command.revision
        if revision <= self.compact_revision:
            raise CompactedError(revision, self.compact_revision)
        if revision > self.revision:
            raise FutureRevisionError(revision, self.revision)
        self.compact_revision = revision
        self._is_compacting = True
        self._log.start_compaction()
        return CompactResult(self.revision)

    # Work in slices.

    def compact_slice(self, keys_max: int) -> bool:
        """Drop history, looking at about `keys_max` versions; tells whether there is more to do.

        It waits (and does nothing) while a hash is being taken. What readers see never depends
        on how far it has come.
        """
        if self._hashes_open:
            return self._is_compacting
        looked_at = 0
        while self._is_compacting and looked_at < keys_max:
            count = self._log.compact_segment(self.compact_revision, self._compact_row)
            self._is_compacting = count > 0
            looked_at += count
        return self._is_compacting

    def _compact_row(self, kv: KeyValue) -> bool:
        is_kept = self._index.compact(kv, self.compact_revision)
        if not is_kept:
            self.size_bytes -= row_bytes(kv)
        return is_kept

    def hash_kv(self, revision: int) -> HashKv:
        """Hash of all versions up to a revision (0 = now), in one go."""
        slices = self.hash_slices(revision)
        while True:
            try:
                next(slices)
            except StopIteration as done:
                result: HashKv = done.value
                return result

    def hash_slices(self, revision: int) -> Generator[None, None, HashKv]:
        """The hash, with a pause after each slice of work; its moment is the first step.

        Versions up to the compact revision count only if they are still visible at `revision`:
        so members agree however far their compactions have come. As in etcd 3.4, if no key at
        all is visible there, whatever the compaction keeps counts.
        """
        compact_revision = self.compact_revision
        if 0 < revision <= compact_revision:
            raise CompactedError(revision, compact_revision)
        if revision > self.revision:
            raise FutureRevisionError(revision, self.revision)
        revision = revision or self.revision
        rows = self._log.pinned()
        self._hashes_open += 1
        try:
            alive = len(self._index)
            for count, kv in enumerate(self._log.since(revision + 1)):
                alive -= _birth_or_death(kv)
                if count % HASH_SLICE_ROWS == HASH_SLICE_ROWS - 1:
                    yield
            visible_at = revision if alive else compact_revision
            crc = hashing.EMPTY_HASH
            for count, kv in enumerate(chain.from_iterable(rows)):
                if kv.mod_revision > revision:
                    break
                if kv.mod_revision > compact_revision or self._index.outlives(kv, visible_at):
                    crc = hashing.extend(crc, kv)
                if count % HASH_SLICE_ROWS == HASH_SLICE_ROWS - 1:
                    yield
        finally:
            self._hashes_open -= 1
        return crc, revision, compact_revision

    def pinned_rows(self) -> Iterator[list[KeyValue]]:
        """All versions in revision order as they are at the call, in bounded lists."""
        return self._log.pinned()

    # Events.

    def take_events(self) -> list[Event]:
        """Changes since the last take, in revision order."""
        events, self._events = self._events, []
        return events

    def events_since(self, revision: int) -> Iterator[Event]:
        """History in revision order, from `revision` up to the revision at the call.

        The compact revision itself may be asked for: no event of it is lost (etcd 3.4 forgets
        its deletes). The version before an event is left out where it is compacted. A compaction
        beyond the next event ends an iteration under way with CompactedError, as asking anew would.
        """
        if revision < self.compact_revision:
            raise CompactedError(revision, self.compact_revision)
        return self._history(self._log.since(revision))

    def _history(self, rows: Iterator[KeyValue]) -> Iterator[Event]:
        for kv in rows:
            revision = kv.mod_revision
            if revision < self.compact_revision:
                raise CompactedError(revision, self.compact_revision)
            if revision == self.compact_revision or kv.version == 1:
                yield Event(kv)
            else:
                yield Event(kv, self._index.get_at(kv.key, revision - 1))

    # Inside of an operation.

    def _present(self) -> int:
        """The revision that an operation sees: a txn that has written sees the one it makes."""
        return self.revision + 1 if self._sub else self.revision

    def _commit(self) -> None:
        if self._sub:
            self.revision += 1
            self._sub = 0

    def _run(self, branch: Branch) -> tuple[OperationResult, ...]:
        return tuple(map(self._run_one, branch.operations))

    def _run_one(self, operation: Range | Put | DeleteRange | Branch) -> OperationResult:
        match operation:
            case Put():
                return self._put(operation)
            case Range():
                return self.range(operation)
            case DeleteRange():
                return self._delete_range(operation)
            case _:
                # etcd leaves the revision of a nested txn's header out.
                return TxnResult(0, operation.succeeded, self._run(operation))

    def _put(self, command: Put) -> PutResult:
        main = self.revision + 1
        before = self._index.get(command.key)
        if before is None:
            if command.ignore_value or command.ignore_lease:
                raise KeyNotFoundError(
                    f"no key {command.key!r} to take the old value or lease from"
                )
            kv = KeyValue(command.key, command.value, main, main, self._sub, 1, command.lease)
        else:
            self.live_bytes -= row_bytes(before)
            kv = KeyValue(
                before.key,  # the same object: one copy of a key, however often it is written
                before.value if command.ignore_value else command.value,
                before.create_revision,
                main,
                self._sub,
                before.version + 1,
                before.lease if command.ignore_lease else command.lease,
            )
            if before.lease and before.lease != kv.lease:
                self._leases.detach(before.lease, kv.key)
        if kv.lease:
            self._leases.attach(kv.lease, kv.key)
        self.live_bytes += self._write(kv, before)
        return PutResult(main, before if command.prev_kv else None)

    def _delete_range(self, command: DeleteRange) -> DeleteRangeResult:
        kvs = tuple(self._index.alive(command.key, command.range_end))
        for kv in kvs:
            self._delete(kv)
        return DeleteRangeResult(self._present(), len(kvs), kvs if command.prev_kv else ())

    def _delete(self, kv: KeyValue) -> None:
        self.live_bytes -= row_bytes(kv)
        if kv.lease:
            self._leases.detach(kv.lease, kv.key)
        self._write(KeyValue(kv.key, b"", 0, self.revision + 1, self._sub, 0), kv)

    def _write(self, kv: KeyValue, before: KeyValue | None) -> int:
        """Add a version behind the living one `before`; returns its accounted bytes."""
        if before is not None and before.mod_revision > self.revision:
            # The previous key-value of an event is the one before its revision, not before its
            # place in the txn.
            before = self._index.get_at(kv.key, self.revision)
        self._index.add(kv)
        self._log.append(kv)
        # A key that is created has no previous one, whatever the same txn deleted.
        self._events.append(Event(kv, before))
        size = row_bytes(kv)
        self.size_bytes += size
        self._sub += 1
        return size


def _birth_or_death(kv: KeyValue) -> int:
    """By how much a version changes the number of keys that live."""
    return 1 if kv.version == 1 else -1 if kv.is_tombstone else 0
