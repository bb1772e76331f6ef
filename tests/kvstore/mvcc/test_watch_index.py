"""The index of watchers: a stab finds exactly the ranges that hold the key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.mvcc.watch_index import BLOCK_RANGES_MAX, OPEN_END, Bounds, WatcherIndex


def found(index: WatcherIndex[str], key: bytes) -> set[str]:
    return {watcher for group in index.match(key) for watcher in group.watchers}


def holds(bounds: Bounds, key: bytes) -> bool:
    start, end = bounds
    if not end:
        return key == start
    return key >= start and (end == OPEN_END or key < end)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        ((b"k", b""), [b"k"], [b"j", b"k\0", b"l"]),
        ((b"k", b"m"), [b"k", b"k\0", b"l"], [b"j", b"m"]),
        ((b"k", OPEN_END), [b"k", b"\xff\xff"], [b"j"]),
        ((b"\0", OPEN_END), [b"\0", b"\xff"], []),
    ],
)
def test_bounds_are_those_of_etcd(
    bounds: Bounds, inside: list[bytes], outside: list[bytes]
) -> None:
    index: WatcherIndex[str] = WatcherIndex()
    index.add(bounds, "w")
    assert all(found(index, key) == {"w"} for key in inside)
    assert all(found(index, key) == set() for key in outside)


def test_watchers_of_one_range_share_a_group() -> None:
    index: WatcherIndex[str] = WatcherIndex()
    index.add((b"a", b"b"), "1")
    index.add((b"a", b"b"), "2")
    assert len(index) == 1
    (group,) = index.match(b"a")
    assert list(group.watchers) == ["1", "2"]


def test_removed_watcher_is_not_found_and_the_last_one_takes_the_range_along() -> None:
    index: WatcherIndex[str] = WatcherIndex()
    for bounds in ((b"a", b""), (b"a", b"b"), (b"a", OPEN_END)):
        index.add(bounds, "1")
        index.add(bounds, "2")
        index.remove(bounds, "1")
        assert found(index, b"a") == {"2"}
        index.remove(bounds, "2")
        assert found(index, b"a") == set()
        assert len(index) == 0


def test_clear_returns_all_watchers() -> None:
    index: WatcherIndex[str] = WatcherIndex()
    index.add((b"a", b""), "1")
    index.add((b"a", b"b"), "2")
    assert sorted(index.clear()) == ["1", "2"]
    assert found(index, b"a") == set()


def test_many_ranges_are_split_into_blocks_and_still_found() -> None:
    index: WatcherIndex[str] = WatcherIndex()
    count = 5 * BLOCK_RANGES_MAX
    names = [b"%05d" % (number * 7919 % count) for number in range(count)]
    for name in names:
        index.add((name + b"/", name + b"0"), name.decode())
    for name in names:
        assert found(index, name + b"/x") == {name.decode()}
    for name in names[::2]:
        index.remove((name + b"/", name + b"0"), name.decode())
    for position, name in enumerate(names):
        assert found(index, name + b"/x") == ({name.decode()} if position % 2 else set())


KEYS = st.binary(min_size=1, max_size=2)
BOUNDS = st.one_of(
    st.tuples(KEYS, st.just(b"")),
    st.tuples(KEYS, st.just(OPEN_END)),
    st.tuples(KEYS, KEYS).map(lambda pair: (min(pair), max(pair) + b"\1")),
)


@settings(max_examples=50, deadline=None)
@given(
    ranges=st.lists(BOUNDS, max_size=300, unique=True),
    removed=st.sets(st.integers(0, 299)),
    keys=st.lists(KEYS, min_size=1, max_size=10),
)
def test_stabbing_agrees_with_looking_at_every_range(
    ranges: list[Bounds], removed: set[int], keys: list[bytes]
) -> None:
    index: WatcherIndex[str] = WatcherIndex()
    for number, bounds in enumerate(ranges):
        index.add(bounds, str(number))
    for number in removed & set(range(len(ranges))):
        index.remove(ranges[number], str(number))
    left = {str(number): bounds for number, bounds in enumerate(ranges) if number not in removed}
    for key in keys:
        expected = {name for name, bounds in left.items() if holds(bounds, key)}
        assert found(index, key) == expected
