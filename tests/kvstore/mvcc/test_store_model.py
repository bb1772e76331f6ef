"""The store against the naive model: random operations, compactions in random slices, restarts."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from itertools import chain
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from kvstore.commands import Compact, DeleteRange, Put, Range, Txn
from kvstore.errors import KvError
from kvstore.lease import LeaseRecord, Lessor
from kvstore.mvcc import revision_log, store
from kvstore.mvcc.key_index import KeyIndex
from kvstore.mvcc.store import HashKv, Store, row_bytes

from . import strategies
from .model import Model


def outcome(call: Callable[[], Any]) -> Any:
    """Result of a call, or the class of its error."""
    try:
        return call()
    except KvError as error:
        return type(error)


class StoreAgainstModel(RuleBasedStateMachine):
    """Every rule does the same to both and compares the answers."""

    def __init__(self) -> None:
        super().__init__()
        # Small bounds, so that few rows already make many segments and slices.
        self.bounds = ExitStack()
        self.bounds.enter_context(patch.object(revision_log, "SEGMENT_ROWS_MAX", 3))
        self.bounds.enter_context(patch.object(store, "HASH_SLICE_ROWS", 2))
        self.lessor = Lessor()
        for lease_id in strategies.LEASES:
            self.lessor.grant(lease_id, 60)
        self.store = Store(self.lessor)
        self.model = Model(set(strategies.LEASES))
        self.hashing: Generator[None, None, HashKv] | None = None
        self.hash_expected: HashKv | None = None

    def both(self, name: str, *arguments: Any) -> None:
        revision = self.model.revision
        expected = outcome(lambda: getattr(self.model, name)(*arguments))
        assert outcome(lambda: getattr(self.store, name)(*arguments)) == expected
        assert self.store.revision == self.model.revision
        events = self.model.events_at(revision + 1) if self.model.revision > revision else []
        assert self.store.take_events() == events

    @rule(command=strategies.puts())
    def put(self, command: Put) -> None:
        self.both("put", command)

    @rule(command=strategies.deletes)
    def delete(self, command: DeleteRange) -> None:
        self.both("delete_range", command)

    @rule(keys=st.lists(strategies.keys, unique=True))
    def delete_keys(self, keys: list[bytes]) -> None:
        self.both("delete_keys", keys)

    @rule(command=strategies.txns)
    def txn(self, command: Txn) -> None:
        self.both("txn", command)

    @rule(
        command=st.one_of(strategies.ranges, strategies.plain_ranges),
        back=st.one_of(st.none(), strategies.steps_back),
    )
    def read(self, command: Range, back: int | None) -> None:
        if back is not None:
            command = replace(command, revision=self.model.revision - back)
        self.both("range", command)

    @rule(back=strategies.steps_back)
    def compact(self, back: int) -> None:
        self.both("compact", Compact(self.model.revision - back))

    @rule(keys_max=st.integers(1, 50))
    def compact_slice(self, keys_max: int) -> None:
        is_held = self.store.compact_slice(keys_max)
        assert not is_held or self.model.compact_revision >= 0

    @rule(back=strategies.steps_back)
    def history(self, back: int) -> None:
        revision = self.model.revision - back
        expected = outcome(lambda: self.model.events_since(revision))
        assert outcome(lambda: list(self.store.events_since(revision))) == expected

    @rule(revision=st.one_of(st.just(0), strategies.steps_back))
    def hash_at_once(self, revision: int) -> None:
        revision = revision and self.model.revision - revision
        expected = outcome(lambda: self.model.hash_kv(revision))
        assert outcome(lambda: self.store.hash_kv(revision)) == expected

    @precondition(lambda self: self.hashing is None)
    @rule()
    def start_hash(self) -> None:
        self.hash_expected = self.model.hash_kv(0)
        self.hashing = self.store.hash_slices(0)
        self.step_hash()

    @precondition(lambda self: self.hashing is not None)
    @rule()
    def step_hash(self) -> None:
        assert self.hashing is not None
        try:
            next(self.hashing)
        except StopIteration as done:
            self.hashing, result = None, done.value
            assert result == self.hash_expected

    @rule()
    def restart(self) -> None:
        """What a snapshot carries makes the same store, wherever compaction is."""
        self.hashing = None
        records = [LeaseRecord(lease_id, 60) for lease_id in strategies.LEASES]
        self.lessor = Lessor.restore(records)
        before = self.store
        self.store = Store(
            self.lessor, revision=before.revision, compact_revision=before.compact_revision
        )
        for _ in self.store.load(before.pinned_rows()):
            pass

    @invariant()
    def leases_hold_the_keys_that_the_store_says(self) -> None:
        leased = {id_: self.lessor.keys(id_) for id_ in strategies.LEASES if self.lessor.keys(id_)}
        assert leased == self.model.leased

    @invariant()
    def sizes_are_those_of_the_rows(self) -> None:
        live = self.model.states[self.model.revision].values()
        assert self.store.key_count == len(live)
        assert self.store.live_bytes == sum(map(row_bytes, live))
        rows = list(chain.from_iterable(self.store.pinned_rows()))
        assert self.store.size_bytes == sum(map(row_bytes, rows))
        assert self.store.row_count == len(rows)
        assert set(map(row_key, rows)) >= set(map(row_key, self.model.kept_rows()))

    def teardown(self) -> None:
        """Once compaction is through, exactly what it keeps is there."""
        self.bounds.close()
        if self.hashing is not None:
            self.hashing.close()
        while self.store.compact_slice(1):
            pass
        rows = list(chain.from_iterable(self.store.pinned_rows()))
        assert rows == self.model.kept_rows()
        assert self.store.hash_kv(0) == self.model.hash_kv(0)
        assert same_index(self.store._index, KeyIndex(rows))


def row_key(kv: Any) -> tuple[int, int]:
    return kv.mod_revision, kv.sub


def same_index(index: KeyIndex, other: KeyIndex) -> bool:
    return all(
        getattr(index, name) == getattr(other, name)
        for name in ("newest", "_older", "_live", "_dead")
    )


StoreAgainstModel.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None
)
TestStoreAgainstModel = StoreAgainstModel.TestCase
