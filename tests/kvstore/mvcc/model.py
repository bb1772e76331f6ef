"""A naive store: the whole state at every revision, every rule written out the slow way.

Only for comparing with the real one; shares no code with it but the records.
"""

from typing import Any

import google_crc32c

from kvstore.commands import (
    Compact,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseNotFoundError,
)
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
from kvstore.pb import mvcc_pb2

State = dict[bytes, KeyValue]


def within(candidate: bytes, key: bytes, range_end: bytes) -> bool:
    if range_end == b"":
        return candidate == key
    return candidate >= key and (range_end == b"\0" or candidate < range_end)


class Model:
    """States by revision, and all versions ever written."""

    def __init__(self, leases: set[int]) -> None:
        self.leases = leases
        self.revision = 1
        self.compact_revision = -1
        self.states: dict[int, State] = {0: {}, 1: {}}
        self.rows: list[KeyValue] = []
        self._work: State = {}
        self._written: list[KeyValue] = []

    # Operations.

    def range(self, command: Range) -> RangeResult:
        present = self.revision + bool(self._written)
        if command.revision > present:
            raise FutureRevisionError(command.revision, present)
        revision = command.revision if command.revision > 0 else present
        if revision < self.compact_revision:
            raise CompactedError(revision, self.compact_revision)
        state = self._work if revision == present else self.states[revision]
        found = [state[key] for key in sorted(state)]
        found = [kv for kv in found if within(kv.key, command.key, command.range_end)]
        count = len(found)
        if command.count_only:
            return RangeResult(present, (), False, count)
        kvs, more = _arrange(found, command)
        if command.keys_only:
            kvs = [
                KeyValue(kv.key, b"", *(getattr(kv, f) for f in kv.__struct_fields__[2:]))
                for kv in kvs
            ]
        return RangeResult(present, tuple(kvs), more, count)

    def put(self, command: Put) -> PutResult:
        if command.lease and command.lease not in self.leases:
            raise LeaseNotFoundError
        self._begin()
        result = self._put(command)
        self._commit()
        return result

    def delete_range(self, command: DeleteRange) -> DeleteRangeResult:
        self._begin()
        result = self._delete_range(command)
        self._commit()
        return result

    def delete_keys(self, keys: list[bytes]) -> int:
        self._begin()
        for key in keys:
            self._delete_range(DeleteRange(key))
        self._commit()
        return self.revision

    def txn(self, command: Txn) -> TxnResult:
        self._begin()
        chosen = self._chosen(command)
        self._check_puts(chosen)
        self._check_ranges(chosen)
        responses = self._run(chosen)
        self._commit()
        return TxnResult(self.revision, chosen[0], responses)

    def compact(self, command: Compact) -> CompactResult:
        if command.revision <= self.compact_revision:
            raise CompactedError(command.revision, self.compact_revision)
        if command.revision > self.revision:
            raise FutureRevisionError(command.revision, self.revision)
        self.compact_revision = command.revision
        return CompactResult(self.revision)

    # Answers about everything.

    def events_since(self, revision: int) -> list[Event]:
        if revision < self.compact_revision:
            raise CompactedError(revision, self.compact_revision)
        return [
            Event(kv, self._previous(kv)) for kv in self.kept_rows() if kv.mod_revision >= revision
        ]

    def events_at(self, revision: int) -> list[Event]:
        return [
            Event(kv, None if kv.version == 1 else self.states[revision - 1].get(kv.key))
            for kv in self.rows
            if kv.mod_revision == revision
        ]

    def _previous(self, kv: KeyValue) -> KeyValue | None:
        before = kv.mod_revision - 1
        is_unknown = kv.version == 1 or before < self.compact_revision
        return None if is_unknown else self.states[before].get(kv.key)

    def kept_rows(self) -> list[KeyValue]:
        kept = self.states[max(0, self.compact_revision)]
        return [
            kv
            for kv in self.rows
            if kv.mod_revision >= self.compact_revision or kept.get(kv.key) is kv
        ]

    def hash_kv(self, revision: int) -> tuple[int, int, int]:
        if 0 < revision <= self.compact_revision:
            raise CompactedError(revision, self.compact_revision)
        if revision > self.revision:
            raise FutureRevisionError(revision, self.revision)
        revision = revision or self.revision
        # What is kept for watchers only, at the compact revision, is nothing that etcd 3.4 hashes.
        visible = self.states[max(0, revision)] or self.states[max(0, self.compact_revision)]
        data = b"key"
        for kv in self.kept_rows():
            is_old = kv.mod_revision <= self.compact_revision
            if kv.mod_revision > revision or (is_old and visible.get(kv.key) is not kv):
                continue
            data += kv.mod_revision.to_bytes(8, "big") + b"_" + kv.sub.to_bytes(8, "big")
            data += b"t" * kv.is_tombstone
            message = mvcc_pb2.KeyValue(key=kv.key)
            if not kv.is_tombstone:
                for field in ("create_revision", "mod_revision", "version", "value", "lease"):
                    setattr(message, field, getattr(kv, field))
            data += message.SerializeToString()
        return google_crc32c.value(data), revision, self.compact_revision

    @property
    def leased(self) -> dict[int, list[bytes]]:
        keys: dict[int, list[bytes]] = {}
        for key, kv in sorted(self.states[self.revision].items()):
            if kv.lease:
                keys.setdefault(kv.lease, []).append(key)
        return keys

    # Inside.

    def _begin(self) -> None:
        self._work = dict(self.states[self.revision])
        self._written = []

    def _commit(self) -> None:
        if self._written:
            self.revision += 1
            self.states[self.revision] = dict(self._work)
            self.rows += self._written
        self._written = []

    def _put(self, command: Put) -> PutResult:
        main = self.revision + 1
        before = self._work.get(command.key)
        if before is None and (command.ignore_value or command.ignore_lease):
            self._begin()  # what its txn did before is undone with it
            raise KeyNotFoundError
        kv = KeyValue(
            key=command.key,
            value=before.value if before and command.ignore_value else command.value,
            create_revision=before.create_revision if before else main,
            mod_revision=main,
            sub=len(self._written),
            version=before.version + 1 if before else 1,
            lease=before.lease if before and command.ignore_lease else command.lease,
        )
        self._work[command.key] = kv
        self._written.append(kv)
        return PutResult(main, before if command.prev_kv else None)

    def _delete_range(self, command: DeleteRange) -> DeleteRangeResult:
        keys = [k for k in sorted(self._work) if within(k, command.key, command.range_end)]
        previous = tuple(self._work.pop(key) for key in keys)
        for key in keys:
            tombstone = KeyValue(key, b"", 0, self.revision + 1, len(self._written), 0)
            self._written.append(tombstone)
        present = self.revision + bool(self._written)
        return DeleteRangeResult(present, len(keys), previous if command.prev_kv else ())

    def _chosen(self, command: Txn) -> tuple[bool, list[object]]:
        succeeded = all(self._holds(compare) for compare in command.compares)
        operations = command.success if succeeded else command.failure
        chosen: list[object] = [
            self._chosen(operation) if isinstance(operation, Txn) else operation
            for operation in operations
        ]
        return succeeded, chosen

    def _check_puts(self, chosen: tuple[bool, list[object]]) -> None:
        for operation in _flatten(chosen):
            if isinstance(operation, Put):
                takes_old = operation.ignore_value or operation.ignore_lease
                if takes_old and operation.key not in self._work:
                    raise KeyNotFoundError
                if operation.lease and operation.lease not in self.leases:
                    raise LeaseNotFoundError

    def _check_ranges(self, chosen: tuple[bool, list[object]]) -> None:
        for operation in _flatten(chosen):
            if isinstance(operation, Range) and operation.revision:
                if operation.revision > self.revision:
                    raise FutureRevisionError(operation.revision, self.revision)
                if operation.revision < self.compact_revision:
                    raise CompactedError(operation.revision, self.compact_revision)

    def _run(self, chosen: tuple[bool, list[object]]) -> tuple[OperationResult, ...]:
        results: list[OperationResult] = []
        for operation in chosen[1]:
            if isinstance(operation, Put):
                results.append(self._put(operation))
            elif isinstance(operation, DeleteRange):
                results.append(self._delete_range(operation))
            elif isinstance(operation, Range):
                results.append(self.range(operation))
            else:
                assert isinstance(operation, tuple)
                results.append(TxnResult(0, operation[0], self._run(operation)))
        return tuple(results)

    def _holds(self, compare: Compare) -> bool:
        state = self.states[self.revision]
        found = [kv for key, kv in state.items() if within(key, compare.key, compare.range_end)]
        if not found:
            if compare.target == CompareTarget.VALUE:
                return False
            found = [KeyValue(b"", b"", 0, 0, 0, 0, 0)]
        return all(_relates(_field(kv, compare.target), compare) for kv in found)


def _flatten(chosen: tuple[bool, list[object]]) -> list[object]:
    flat: list[object] = []
    for operation in chosen[1]:
        flat += _flatten(operation) if isinstance(operation, tuple) else [operation]
    return flat


def _arrange(found: list[KeyValue], command: Range) -> tuple[list[KeyValue], bool]:
    """Filter, order and cut; etcd fetches only one more than the limit if it may."""
    low_mod, high_mod = command.min_mod_revision, command.max_mod_revision
    low_create, high_create = command.min_create_revision, command.max_create_revision
    is_filtered = any((low_mod, high_mod, low_create, high_create))
    if command.limit > 0 and command.sort_order == SortOrder.NONE and not is_filtered:
        found = found[: command.limit + 1]
    kept = [
        kv
        for kv in found
        if (not high_mod or kv.mod_revision <= high_mod)
        and (not low_mod or kv.mod_revision >= low_mod)
        and (not high_create or kv.create_revision <= high_create)
        and (not low_create or kv.create_revision >= low_create)
    ]
    if command.sort_target != SortTarget.KEY or command.sort_order != SortOrder.NONE:
        field = {
            SortTarget.KEY: "key",
            SortTarget.VERSION: "version",
            SortTarget.CREATE: "create_revision",
            SortTarget.MOD: "mod_revision",
            SortTarget.VALUE: "value",
        }[command.sort_target]
        kept.sort(
            key=lambda kv: getattr(kv, field),
            reverse=command.sort_order == SortOrder.DESCEND,
        )
    if 0 < command.limit < len(kept):
        return kept[: command.limit], True
    return kept, False


def _field(kv: KeyValue, target: CompareTarget) -> Any:
    return {
        CompareTarget.VERSION: kv.version,
        CompareTarget.CREATE: kv.create_revision,
        CompareTarget.MOD: kv.mod_revision,
        CompareTarget.VALUE: kv.value,
        CompareTarget.LEASE: kv.lease,
    }[target]


def _relates(actual: Any, compare: Compare) -> bool:
    order = (actual > compare.value) - (actual < compare.value)
    relations: dict[CompareResult, bool] = {
        CompareResult.EQUAL: order == 0,
        CompareResult.NOT_EQUAL: order != 0,
        CompareResult.GREATER: order > 0,
        CompareResult.LESS: order < 0,
    }
    return relations[compare.result]
