"""Operations and compares as a caller writes them, in and out of a txn.

Pure constructors of the records in `kvstore.commands`:

    client.txn().when(Value("k") == b"old", Version("lock") == 0).then(put("k", b"new"), get("k"))
"""

from kvstore.commands import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Operation,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)

Key = bytes | str
FROM_KEY = b"\x00"  # as range_end: every key at or after the first


def to_bytes(text: Key) -> bytes:
    """Keys and values are bytes; text goes as UTF-8."""
    return text.encode() if isinstance(text, str) else text


def prefix_end(prefix: bytes) -> bytes:
    """The range_end with which `prefix` is a range of all keys that begin with it.

    The prefix with its last byte that can grow incremented and the rest cut; a prefix of 0xff
    only (or an empty one) has no end.
    """
    for position in reversed(range(len(prefix))):
        if prefix[position] < 0xFF:
            return prefix[:position] + bytes([prefix[position] + 1])
    return FROM_KEY


def key_range(
    key: Key, range_end: Key = b"", *, prefix: bool = False, from_key: bool = False
) -> tuple[bytes, bytes]:
    """The (key, range_end) on the wire; at most one of range_end, prefix, from_key is given.

    An empty key with `prefix` or `from_key` means every key.
    """
    if prefix + from_key + bool(range_end) > 1:
        raise ValueError("range_end, prefix and from_key exclude each other")
    start = to_bytes(key)
    if prefix:
        return start or FROM_KEY, prefix_end(start)
    if from_key:
        return start or FROM_KEY, FROM_KEY
    return start, to_bytes(range_end)


def put(
    key: Key,
    value: Key = b"",
    *,
    lease: int = 0,
    prev_kv: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
) -> Put:
    """Write a key (keeping its value or its lease, when told to ignore the one given)."""
    return Put(to_bytes(key), to_bytes(value), lease, prev_kv, ignore_value, ignore_lease)


def get(  # etcd's RangeRequest has this many fields, and they are all keyword-only
    key: Key,
    range_end: Key = b"",
    *,
    prefix: bool = False,
    from_key: bool = False,
    limit: int = 0,
    revision: int = 0,
    sort_order: SortOrder = SortOrder.NONE,
    sort_target: SortTarget = SortTarget.KEY,
    keys_only: bool = False,
    count_only: bool = False,
    min_mod_revision: int = 0,
    max_mod_revision: int = 0,
    min_create_revision: int = 0,
    max_create_revision: int = 0,
) -> Range:
    """Read a key or a range, now or at a revision."""
    start, end = key_range(key, range_end, prefix=prefix, from_key=from_key)
    return Range(
        key=start,
        range_end=end,
        limit=limit,
        revision=revision,
        sort_order=sort_order,
        sort_target=sort_target,
        keys_only=keys_only,
        count_only=count_only,
        min_mod_revision=min_mod_revision,
        max_mod_revision=max_mod_revision,
        min_create_revision=min_create_revision,
        max_create_revision=max_create_revision,
    )


def delete(
    key: Key,
    range_end: Key = b"",
    *,
    prefix: bool = False,
    from_key: bool = False,
    prev_kv: bool = False,
) -> DeleteRange:
    """Delete a key or a range."""
    start, end = key_range(key, range_end, prefix=prefix, from_key=from_key)
    return DeleteRange(start, end, prev_kv)


def is_read_only(txn: Txn) -> bool:
    """Tell whether no branch of a txn can write (then it may be sent twice)."""
    return all(map(_only_reads, txn.success + txn.failure))


def _only_reads(operation: Operation) -> bool:
    return isinstance(operation, Range) or (isinstance(operation, Txn) and is_read_only(operation))


class _Field:
    """A field of a key (or of all keys of a range), waiting for its comparison."""

    target: CompareTarget
    __hash__ = None  # type: ignore[assignment]  # a question, not a value

    def __init__(
        self, key: Key, range_end: Key = b"", *, prefix: bool = False, from_key: bool = False
    ) -> None:
        self._range = key_range(key, range_end, prefix=prefix, from_key=from_key)

    def _compare(self, result: CompareResult, value: int | bytes | str) -> Compare:
        wanted = to_bytes(value) if isinstance(value, str) else value
        if isinstance(wanted, bytes) is not (self.target is CompareTarget.VALUE):
            raise TypeError(f"{type(self).__name__} cannot be compared with {value!r}")
        key, range_end = self._range
        return Compare(result, self.target, key, wanted, range_end)

    def __eq__(self, value: int | bytes | str) -> Compare:  # type: ignore[override]
        return self._compare(CompareResult.EQUAL, value)

    def __ne__(self, value: int | bytes | str) -> Compare:  # type: ignore[override]
        return self._compare(CompareResult.NOT_EQUAL, value)

    def __gt__(self, value: int | bytes | str) -> Compare:
        return self._compare(CompareResult.GREATER, value)

    def __lt__(self, value: int | bytes | str) -> Compare:
        return self._compare(CompareResult.LESS, value)


class Value(_Field):
    """The value; false for a key that does not exist."""

    target = CompareTarget.VALUE


class Version(_Field):
    """How often the key was written since its creation; 0: it does not exist."""

    target = CompareTarget.VERSION


class CreateRevision(_Field):
    """The revision that created the key; 0: it does not exist."""

    target = CompareTarget.CREATE


class ModRevision(_Field):
    """The revision that wrote the key last; 0: it does not exist."""

    target = CompareTarget.MOD


class LeaseOf(_Field):
    """The lease that the key is attached to; 0: none."""

    target = CompareTarget.LEASE
