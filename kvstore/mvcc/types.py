"""Records of the store: key-values, events and the results of operations."""

import msgspec


class KeyValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One version of a key. A tombstone has version 0, create_revision 0 and no value.

    `sub` orders the operations of one txn within its main revision `mod_revision`.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    sub: int
    version: int
    lease: int = 0

    @property
    def is_tombstone(self) -> bool:
        """Tell whether this version says that the key was deleted."""
        return self.version == 0


class Event(msgspec.Struct, frozen=True, gc=False):
    """A change: the new version (a tombstone for DELETE) and the one before, if any."""

    kv: KeyValue
    prev: KeyValue | None = None


class RangeResult(msgspec.Struct, frozen=True, gc=False):
    """`count` is the number of keys in the range, whatever the limit."""

    revision: int
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False
    count: int = 0


class PutResult(msgspec.Struct, frozen=True, gc=False):
    """`prev_kv` only when asked for."""

    revision: int
    prev_kv: KeyValue | None = None


class DeleteRangeResult(msgspec.Struct, frozen=True, gc=False):
    """`prev_kvs` only when asked for, in key order."""

    revision: int
    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


class TxnResult(msgspec.Struct, frozen=True, gc=False):
    """One result per operation of the branch that ran."""

    revision: int
    succeeded: bool
    responses: tuple["OperationResult", ...] = ()


class CompactResult(msgspec.Struct, frozen=True, gc=False):
    """The compaction is decided; history goes in slices (`Store.compact_slice`)."""

    revision: int


OperationResult = RangeResult | PutResult | DeleteRangeResult | TxnResult
