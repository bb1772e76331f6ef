"""Compaction at run time: the physical work in slices, and `--auto-compaction-*` by the leader.

What a compaction removes is decided by the log entry (`kvstore.mvcc`); this only spreads the work
and, in periodic or revision mode, proposes the next one as etcd does.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from kvstore.commands import Compact
from kvstore.server.node import Node

logger = logging.getLogger(__name__)

# Keys looked at per slice: about a millisecond of work.
_KEYS_PER_SLICE = 500
_HELD_SECONDS = 0.02
# etcd's intervals: revision mode looks every five minutes, periodic mode ten times a period
# (at most hourly).
_REVISION_MODE_SECONDS = 300.0
_PERIOD_DIVISOR = 10
_HOUR_SECONDS = 3600.0


class AutoCompaction(msgspec.Struct, frozen=True):
    """`--auto-compaction-mode` and `--auto-compaction-retention`; None for what is off."""

    period_seconds: float | None = None
    revisions: int | None = None


class Compactor:
    """Compacts the history of one node."""

    def __init__(self, node: Node, auto: AutoCompaction) -> None:
        self._node = node
        self._auto = auto
        self._is_slicing = False
        self._when_done: list[Callable[[], None]] = []
        self._samples: deque[int] = deque()  # revisions, one per interval, oldest first
        self._next_look = node.clock.now() + self._interval_seconds()
        node.on_applied.append(self._slice_if_due)
        node.on_tick.append(self._tick)

    def when_compacted(self, done: Callable[[], None]) -> None:
        """Call `done` once no decided compaction waits for its physical work."""
        self._when_done.append(done)
        self._slice_if_due()

    # ------------------------------------------------------------------ physical

    def _slice_if_due(self) -> None:
        if not self._is_slicing and (self._when_done or self._node.machine.store.is_compacting):
            self._is_slicing = True
            self._node.clock.call_later(0, self._slice)

    def _slice(self) -> None:
        self._is_slicing = False
        if self._node.machine.store.compact_slice(_KEYS_PER_SLICE):
            self._is_slicing = True
            # A hash under way holds the work off: look again, not at once.
            delay = _HELD_SECONDS if self._node.machine.store.is_hashing else 0
            self._node.clock.call_later(delay, self._slice)
            return
        done, self._when_done = self._when_done, []
        for callback in done:
            callback()

    # ------------------------------------------------------------------ automatic

    def _interval_seconds(self) -> float:
        if self._auto.period_seconds is not None:
            return min(self._auto.period_seconds, _HOUR_SECONDS) / _PERIOD_DIVISOR
        return _REVISION_MODE_SECONDS

    def _tick(self, now: float) -> None:
        if now < self._next_look:
            return
        self._next_look = now + self._interval_seconds()
        revision = self._revision_to_compact()
        store = self._node.machine.store
        if revision > store.compact_revision and self._node.is_leader:
            logger.info("auto-compaction at revision %d", revision)
            self._node.propose(Compact(revision), _log_failure)

    def _revision_to_compact(self) -> int:
        """The revision whose history may go now; 0 = none."""
        current = self._node.machine.store.revision
        if self._auto.revisions is not None:
            return current - self._auto.revisions
        if self._auto.period_seconds is None:
            return 0
        self._samples.append(current)
        samples_per_period = round(self._auto.period_seconds / self._interval_seconds())
        if len(self._samples) <= samples_per_period:
            return 0
        return self._samples.popleft()


def _log_failure(result: Any) -> None:
    if isinstance(result, Exception):
        logger.warning("auto-compaction failed, tries again at its next turn: %s", result)
