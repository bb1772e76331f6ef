"""Reads: etcd's RangeRequest, every option of it, at any revision that is not compacted away.

Pure, over the index and the log. Nothing that writes may enter. Where etcd 3.4 does something
that its documentation does not say, it is followed, and named here.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter

from kvstore.commands import Range, SortOrder, SortTarget
from kvstore.errors import CompactedError, FutureRevisionError
from kvstore.mvcc.key_index import KeyIndex, in_range
from kvstore.mvcc.revision_log import RevisionLog
from kvstore.mvcc.types import KeyValue, RangeResult

_SORT_KEYS: dict[SortTarget, Callable[[KeyValue], int | bytes]] = {
    SortTarget.KEY: attrgetter("key"),
    SortTarget.VERSION: attrgetter("version"),
    SortTarget.CREATE: attrgetter("create_revision"),
    SortTarget.MOD: attrgetter("mod_revision"),
    SortTarget.VALUE: attrgetter("value"),
}

_LIMIT_MAX = 2**62
"""No range is longer; keeps a limit of 2**63 - 1 plus one within a machine word."""


def read(
    index: KeyIndex, log: RevisionLog, command: Range, *, present: int, compact_revision: int
) -> RangeResult:
    """Answer a range; a revision of 0 or less is the present one.

    `present` is the current revision, within a write txn the one being made. `count` ignores
    limit and filters.
    """
    revision = command.revision
    if revision <= 0 and not command.range_end and not command.count_only:
        kv = index.get(command.key)
        # The read that all hot paths make; order and limit mean nothing to one key.
        if kv is None:
            return RangeResult(present)
        if not _has_filters(command) and not command.keys_only:
            return RangeResult(present, (kv,), False, 1)
    if revision > present:
        raise FutureRevisionError(revision, present)
    if revision <= 0:
        revision = present
    if revision < compact_revision:
        raise CompactedError(revision, compact_revision)
    return _read(index, log, command, present, revision if revision < present else None)


def _read(
    index: KeyIndex, log: RevisionLog, command: Range, present: int, past: int | None
) -> RangeResult:
    """Answer a range whose revision is the present one, or one of the past that is there."""
    if command.count_only:
        return RangeResult(present, (), False, _count(index, log, command, past))
    fetch_max = _fetch_max(command)
    kvs = tuple(islice(_find(index, command, past), fetch_max))
    # A fetch that stopped early has not seen all keys; any other one has counted them.
    count = _count(index, log, command, past) if len(kvs) == fetch_max else len(kvs)
    if _has_filters(command):
        kvs = tuple(kv for kv in kvs if _passes(kv, command))
    if command.sort_order or command.sort_target:
        kvs = _sorted(kvs, command)
    more = 0 < command.limit < len(kvs)
    if more:
        kvs = kvs[: command.limit]
    if command.keys_only:
        kvs = tuple(map(_without_value, kvs))
    return RangeResult(present, kvs, more, count)


def _find(index: KeyIndex, command: Range, past: int | None) -> Iterator[KeyValue]:
    if past is None:
        return index.alive(command.key, command.range_end)
    return index.alive_at(command.key, command.range_end, past)


def _fetch_max(command: Range) -> int | None:
    """How many key-values to look at: one more than the limit tells whether there are more.

    A filter or an explicit order needs all of them. As in etcd 3.4, a sort target alone does not:
    it orders the first ones by key.
    """
    if command.limit <= 0 or command.sort_order or _has_filters(command):
        return None
    return min(command.limit, _LIMIT_MAX) + 1


def _count(index: KeyIndex, log: RevisionLog, command: Range, past: int | None) -> int:
    """Number of keys in the range, now or at a revision of the past.

    In the past it is today's number without the births since and with the deaths since; that is
    cheaper than looking at each key when little has happened. (A list that is read in pages at
    its first page's revision asks for this on every page.)
    """
    key, range_end = command.key, command.range_end
    if past is None:
        return index.count(key, range_end)
    if index.candidate_count(key, range_end) <= log.count_since_max(past + 1):
        return sum(1 for _ in index.alive_at(key, range_end, past))
    count = index.count(key, range_end)
    for kv in log.since(past + 1):
        if kv.version < 2 and in_range(kv.key, key, range_end):
            count += -1 if kv.version else 1
    return count


def _has_filters(command: Range) -> bool:
    return bool(
        command.min_mod_revision
        or command.max_mod_revision
        or command.min_create_revision
        or command.max_create_revision
    )


def _passes(kv: KeyValue, command: Range) -> bool:
    """Tell whether a key-value passes the filters; 0 is no filter, any other number is one."""
    return not (
        (command.max_mod_revision and kv.mod_revision > command.max_mod_revision)
        or (command.min_mod_revision and kv.mod_revision < command.min_mod_revision)
        or (command.max_create_revision and kv.create_revision > command.max_create_revision)
        or (command.min_create_revision and kv.create_revision < command.min_create_revision)
    )


def _sorted(kvs: tuple[KeyValue, ...], command: Range) -> tuple[KeyValue, ...]:
    """Order by the target; without an order that is ascending. Equal ones stay in key order.

    (etcd leaves the order of more than a dozen equal ones to chance.)
    """
    descending = command.sort_order is SortOrder.DESCEND
    return tuple(sorted(kvs, key=_SORT_KEYS[command.sort_target], reverse=descending))


def _without_value(kv: KeyValue) -> KeyValue:
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.sub, kv.version, kv.lease)
