"""Small steps that the tests of the store share."""

import itertools

from kvstore.commands import Operation, Put, Range, Txn
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import KeyValue, RangeResult, TxnResult

LEASE, OTHER_LEASE, MISSING_LEASE = 7, 8, 99


def put_all(store: Store, *keys: bytes) -> None:
    for key in keys:
        store.put(Put(key, b"v" + key))


def keys_of(result: RangeResult) -> list[bytes]:
    return [kv.key for kv in result.kvs]


def get(store: Store, key: bytes, revision: int = 0) -> KeyValue | None:
    kvs = store.range(Range(key, revision=revision)).kvs
    return kvs[0] if kvs else None


def run(store: Store, *operations: Operation) -> TxnResult:
    return store.txn(Txn(success=operations))


def finish_compaction(store: Store) -> None:
    while store.compact_slice(1):
        pass


def rows_of(store: Store) -> list[tuple[bytes, int]]:
    return [(kv.key, kv.mod_revision) for kv in itertools.chain.from_iterable(store.pinned_rows())]
