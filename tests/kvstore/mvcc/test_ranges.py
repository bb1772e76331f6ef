"""Rules of reading. What is doubtful was read off etcd 3.4.23."""

from typing import Any

import pytest

from kvstore.commands import (
    Compact,
    DeleteRange,
    Put,
    Range,
    SortOrder,
    SortTarget,
)
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
)
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import KeyValue

from .steps import LEASE, get, keys_of, put_all


@pytest.mark.parametrize(
    ("key", "range_end", "found"),
    [
        (b"b", b"", [b"b"]),
        (b"x", b"", []),
        (b"b", b"d", [b"b", b"c"]),
        (b"b", b"\0", [b"b", b"c", b"d"]),
        (b"\0", b"\0", [b"a", b"b", b"c", b"d"]),
        (b"b", b"b", []),
        (b"c", b"a", []),
        (b"bb", b"cc", [b"c"]),
    ],
)
@pytest.mark.parametrize("is_past", [False, True])
def test_bounds_of_a_range(
    store: Store, key: bytes, range_end: bytes, found: list[bytes], is_past: bool
) -> None:
    put_all(store, b"d", b"b", b"a", b"c")
    revision = 0
    if is_past:
        revision = store.revision
        store.delete_range(DeleteRange(b"b"))
        put_all(store, b"bbb", b"a")
    result = store.range(Range(key, range_end, revision=revision))
    assert (keys_of(result), result.count, result.more) == (found, len(found), False)
    counted = store.range(Range(key, range_end, revision=revision, count_only=True))
    assert (counted.kvs, counted.count) == ((), len(found))


def test_limit_cuts_and_tells_that_there_is_more(store: Store) -> None:
    put_all(store, b"a", b"b", b"c")
    for limit, more in ((1, True), (2, True), (3, False), (4, False)):
        result = store.range(Range(b"a", b"\0", limit))
        assert (keys_of(result), result.more) == ([b"a", b"b", b"c"][:limit], more)
        assert result.count == 3


@pytest.mark.parametrize("limit", [0, -1, 2**63 - 1])
def test_a_limit_that_is_none(store: Store, limit: int) -> None:
    put_all(store, b"a", b"b")
    result = store.range(Range(b"a", b"\0", limit))
    assert (len(result.kvs), result.more) == (2, False)


def test_a_page_of_the_past_counts_all_keys_of_its_revision(store: Store) -> None:
    """Both ways to count agree: by looking at each key, and by what happened since."""
    put_all(store, *(b"k%04d" % number for number in range(3000)))
    revision = store.revision
    store.delete_range(DeleteRange(b"k0001", b"k0004"))
    put_all(store, b"k0002", b"k0500", b"k5000")
    after_few = store.range(Range(b"k", b"l", 2, revision))
    assert (keys_of(after_few), after_few.count) == ([b"k0000", b"k0001"], 3000)
    narrow = store.range(Range(b"k0000", b"k0005", 2, revision))
    assert (keys_of(narrow), narrow.count) == ([b"k0000", b"k0001"], 5)


def test_revisions_that_can_be_read(store: Store) -> None:
    put_all(store, b"a", b"a", b"a")
    store.compact(Compact(3))
    for revision, version in ((0, 3), (-1, 3), (4, 3), (3, 2)):
        kv = get(store, b"a", revision)
        assert kv is not None
        assert kv.version == version
    with pytest.raises(CompactedError) as compacted:
        get(store, b"a", 2)
    assert (compacted.value.requested, compacted.value.compacted) == (2, 3)
    with pytest.raises(FutureRevisionError) as future:
        get(store, b"a", 5)
    assert (future.value.requested, future.value.current) == (5, 4)


def test_a_key_of_the_past_is_as_it_was(store: Store) -> None:
    put_all(store, b"a", b"b")
    store.delete_range(DeleteRange(b"a"))
    store.put(Put(b"a", b"new"))
    assert get(store, b"a", 1) is None
    assert get(store, b"a", 2) == KeyValue(b"a", b"va", 2, 2, 0, 1)
    assert get(store, b"a", 4) is None
    assert get(store, b"b", 2) is None


def test_keys_only_drops_the_values(store: Store) -> None:
    store.put(Put(b"a", b"1", LEASE))
    result = store.range(Range(b"a", keys_only=True))
    assert result.kvs == (KeyValue(b"a", b"", 2, 2, 0, 1, LEASE),)


@pytest.fixture
def sorted_store(store: Store) -> Store:
    """Four keys whose orders by key, version, creation, modification and value all differ."""
    for key, value in ((b"c", b"2"), (b"a", b"9"), (b"a", b"4"), (b"b", b"1"), (b"d", b"3")):
        store.put(Put(key, value))
    for key in (b"b", b"b", b"c", b"c", b"c"):
        store.put(Put(key, ignore_value=True))
    return store


@pytest.mark.parametrize(
    ("target", "ascending"),
    [
        (SortTarget.KEY, [b"a", b"b", b"c", b"d"]),
        (SortTarget.VERSION, [b"d", b"a", b"b", b"c"]),
        (SortTarget.CREATE, [b"c", b"a", b"b", b"d"]),
        (SortTarget.MOD, [b"a", b"d", b"b", b"c"]),
        (SortTarget.VALUE, [b"b", b"c", b"d", b"a"]),
    ],
)
def test_order_comes_before_the_limit(
    sorted_store: Store, target: SortTarget, ascending: list[bytes]
) -> None:
    def read(order: SortOrder, limit: int) -> list[bytes]:
        command = Range(b"a", b"z", limit, sort_order=order, sort_target=target)
        return keys_of(sorted_store.range(command))

    assert read(SortOrder.ASCEND, 3) == ascending[:3]
    assert read(SortOrder.DESCEND, 3) == ascending[::-1][:3]
    assert read(SortOrder.NONE, 0) == ascending


def test_values_of_keys_only_still_give_the_order(sorted_store: Store) -> None:
    command = Range(b"a", b"z", sort_target=SortTarget.VALUE, keys_only=True)
    assert keys_of(sorted_store.range(command)) == [b"b", b"c", b"d", b"a"]


def test_a_target_without_an_order_sorts_what_the_limit_fetched(sorted_store: Store) -> None:
    """etcd fetches limit + 1 by key, sorts those ascending, then cuts."""
    by_version = Range(b"a", b"z", 2, sort_target=SortTarget.VERSION)
    assert keys_of(sorted_store.range(by_version)) == [b"a", b"b"]
    by_creation = Range(b"a", b"z", 2, sort_target=SortTarget.CREATE)
    assert keys_of(sorted_store.range(by_creation)) == [b"c", b"a"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"min_mod_revision": 6}, [b"b", b"c", b"d"]),
        ({"max_mod_revision": 6}, [b"a", b"d"]),
        ({"min_create_revision": 3}, [b"a", b"b", b"d"]),
        ({"max_create_revision": 3}, [b"a", b"c"]),
        ({"max_create_revision": 3, "min_mod_revision": 6}, [b"c"]),
    ],
)
def test_filters_come_before_the_limit_and_not_into_the_count(
    sorted_store: Store, filters: dict[str, Any], found: list[bytes]
) -> None:
    whole = sorted_store.range(Range(b"a", b"z", **filters))
    assert (keys_of(whole), whole.more, whole.count) == (found, False, 4)
    one = sorted_store.range(Range(b"a", b"z", 1, **filters))
    assert (keys_of(one), one.more, one.count) == (found[:1], len(found) > 1, 4)
    counted = sorted_store.range(Range(b"a", b"z", 1, count_only=True, **filters))
    assert (counted.kvs, counted.more, counted.count) == ((), False, 4)
