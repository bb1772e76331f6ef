"""Which watchers want a key: watchers grouped by the range that they watch, found by stabbing.

Pure. Watchers of one range share a group, so that matching costs per distinct range and not per
watcher. Single keys are a dict; open ends a sorted list; other ranges lie in sorted blocks that
know their greatest end. Revisions, filters and streams may not enter.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

W = TypeVar("W")

OPEN_END = b"\0"
"""etcd's range_end for "all keys from here on"."""

BLOCK_RANGES_MAX = 128
"""Ranges per block: a stab looks at one entry per block and into the blocks that may match."""

Bounds = tuple[bytes, bytes]
"""key and range_end as etcd writes them."""


class Group(Generic[W]):
    """The watchers of one range, in the order in which they came."""

    __slots__ = ("bounds", "watchers")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.watchers: dict[W, None] = {}


class _Block:
    """Neighbouring ranges, sorted."""

    __slots__ = ("end", "ranges")

    def __init__(self, ranges: list[Bounds]) -> None:
        self.ranges = ranges
        self.end = max(end for _, end in ranges)


class WatcherIndex(Generic[W]):
    """Watchers by range. An empty range_end is a single key, OPEN_END has no upper bound."""

    def __init__(self) -> None:
        self._groups: dict[Bounds, Group[W]] = {}
        self._keys: dict[bytes, Group[W]] = {}
        self._open: list[bytes] = []
        self._blocks: list[_Block] = []

    def __len__(self) -> int:
        """Number of distinct ranges."""
        return len(self._groups)

    def add(self, bounds: Bounds, watcher: W) -> None:
        """Let a watcher be found by the keys of its range."""
        group = self._groups.get(bounds)
        if group is None:
            group = self._groups[bounds] = Group(bounds)
            self._insert(group)
        group.watchers[watcher] = None

    def remove(self, bounds: Bounds, watcher: W) -> None:
        """Forget a watcher that was added."""
        group = self._groups[bounds]
        del group.watchers[watcher]
        if not group.watchers:
            del self._groups[bounds]
            self._delete(bounds)

    def clear(self) -> list[W]:
        """Forget and return all watchers."""
        watchers = [watcher for group in self._groups.values() for watcher in group.watchers]
        self._groups, self._keys, self._open, self._blocks = {}, {}, [], []
        return watchers

    def match(self, key: bytes) -> Iterator[Group[W]]:
        """Groups whose range holds the key."""
        group = self._keys.get(key)
        if group is not None:
            yield group
        for start in self._open[: bisect_right(self._open, key)]:
            yield self._groups[start, OPEN_END]
        for block in self._blocks:
            if block.ranges[0][0] > key:
                return
            if block.end > key:
                for bounds in block.ranges:
                    if bounds[0] > key:
                        break
                    if bounds[1] > key:
                        yield self._groups[bounds]

    def _insert(self, group: Group[W]) -> None:
        key, end = group.bounds
        if not end:
            self._keys[key] = group
        elif end == OPEN_END:
            insort(self._open, key)
        elif not self._blocks:
            self._blocks.append(_Block([group.bounds]))
        else:
            position = self._block_of(group.bounds)
            block = self._blocks[position]
            insort(block.ranges, group.bounds)
            block.end = max(block.end, end)
            if len(block.ranges) > BLOCK_RANGES_MAX:
                half = len(block.ranges) // 2
                halves = [_Block(block.ranges[:half]), _Block(block.ranges[half:])]
                self._blocks[position : position + 1] = halves

    def _delete(self, bounds: Bounds) -> None:
        key, end = bounds
        if not end:
            del self._keys[key]
        elif end == OPEN_END:
            self._open.remove(key)
        else:
            position = self._block_of(bounds)
            rest = [other for other in self._blocks[position].ranges if other != bounds]
            self._blocks[position : position + 1] = [_Block(rest)] if rest else []

    def _block_of(self, bounds: Bounds) -> int:
        """Position of the block that holds a range, or that it belongs into."""
        after = bisect_right(self._blocks, bounds, key=lambda block: block.ranges[0])
        return max(0, after - 1)
