"""The entries that a node keeps in memory for followers that lag; who lags more gets a snapshot.

Counts bytes and entries per batch and says up to where the core may forget. While a follower is
sent a snapshot more is kept: what comes after it must still be there once it is loaded.
"""

from collections import deque
from collections.abc import Sequence

from kvstore.raft.core import Raft
from kvstore.raft.types import Entry

LOG_BYTES_MAX = 64 * 1024 * 1024
LOG_ENTRIES_MAX = 50_000
HELD_BYTES_MAX = 512 * 1024 * 1024
HELD_ENTRIES_MAX = 1_000_000

# Granularity at which entries read from the disk are forgotten again.
_RESTORED_BATCH = 1024


class LogWindow:
    """Sizes of what is in one core's log, and who still needs it."""

    def __init__(self, restored: Sequence[Entry]) -> None:
        """`restored`: the entries that the log begins with."""
        self._sizes: deque[tuple[int, int]] = deque()  # (last index, bytes) per batch
        self._bytes = 0
        self._holds: dict[int, int] = {}  # follower → index of the snapshot on its way
        for start in range(0, len(restored), _RESTORED_BATCH):
            self.count(restored[start : start + _RESTORED_BATCH])

    def count(self, entries: Sequence[Entry]) -> None:
        """These were added."""
        if entries:
            size = sum(len(entry.data) for entry in entries)
            self._sizes.append((entries[-1].index, size))
            self._bytes += size

    def clear(self) -> None:
        """A snapshot replaced the log."""
        self._sizes.clear()
        self._bytes = 0

    def hold(self, member_id: int, index: int) -> None:
        """A snapshot at `index` is on its way to a follower, which goes on from there."""
        self._holds[member_id] = index

    def release(self, member_id: int) -> None:
        """The follower did not take it."""
        self._holds.pop(member_id, None)

    def compact(self, raft: Raft, applied: int) -> None:
        """Let the core forget what is too much, but nothing that is not applied."""
        if self._holds:
            self._holds = {
                member_id: index
                for member_id, index in self._holds.items()
                if raft.lags_behind(member_id, index)
            }
        held_from = min(self._holds.values(), default=applied)
        compact_to = 0
        while self._sizes and self._sizes[0][0] < applied:
            is_held = self._sizes[0][0] > held_from
            bytes_max = HELD_BYTES_MAX if is_held else LOG_BYTES_MAX
            entries_max = HELD_ENTRIES_MAX if is_held else LOG_ENTRIES_MAX
            if self._bytes <= bytes_max and raft.last_index - self._sizes[0][0] <= entries_max:
                break
            compact_to, size = self._sizes.popleft()
            self._bytes -= size
        if compact_to:
            raft.compact(compact_to)
