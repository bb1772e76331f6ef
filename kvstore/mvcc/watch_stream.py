"""State of one watch stream and of its watchers. The rules that move it are `WatchHub`'s.

Pure. No history, index or other stream may enter.
"""

from collections import deque

import msgspec

from kvstore.mvcc.types import Event
from kvstore.mvcc.watch_index import Bounds
from kvstore.mvcc.watch_types import Batch, Compacted, WatchSpec

BATCH_BYTES_MAX = 1024 * 1024
"""Events of several revisions go into one batch up to this; one revision is never cut here."""

EVENT_OVERHEAD_BYTES = 300
"""What an event costs in memory besides its keys and values, roughly."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """Events of whole revisions, shared by all watchers that get the same ones."""

    events: tuple[Event, ...]
    size: int


class Watcher:
    """One watcher.

    `next_revision` is the first revision that it has not gathered: `pending` comes before it. For
    a synced watcher it may lag behind the present, since nothing between concerned it.
    """

    __slots__ = (
        "bounds",
        "filters",
        "is_lagging",
        "is_quiet",
        "is_started",
        "next_revision",
        "pending",
        "spec",
        "stream",
        "watch_id",
    )

    def __init__(
        self, stream: "WatchStream", watch_id: int, bounds: Bounds, spec: WatchSpec
    ) -> None:
        self.stream = stream
        self.watch_id = watch_id
        self.bounds = bounds
        self.spec = spec
        self.filters = spec.no_put + 2 * spec.no_delete  # as a number, to be looked up by
        self.next_revision = 0
        self.pending: deque[Chunk] = deque()
        self.is_lagging = False
        self.is_started = False  # `next_revision` is no longer what the client asked for
        self.is_quiet = True  # nothing was sent since the last progress notification was due


class WatchStream:
    """The watchers of one client's stream. Opaque to whoever drives it."""

    __slots__ = ("held_since", "is_paused", "lagging", "next_id", "notices", "ready", "watchers")

    def __init__(self) -> None:
        self.watchers: dict[int, Watcher] = {}
        self.next_id = 0
        self.is_paused = False
        self.ready: dict[Watcher, None] = {}  # those with pending events, first come first
        self.lagging: dict[Watcher, None] = {}  # those that must read history
        self.notices: deque[Compacted] = deque()
        self.held_since = 0  # the hub's count of gathered bytes when `ready` became non-empty

    def choose_id(self) -> int:
        """The next free id, counted from 0 as etcd does."""
        while self.next_id in self.watchers:
            self.next_id += 1
        self.next_id += 1
        return self.next_id - 1

    def take_batch(self) -> Batch:
        """Merge what is pending for the watcher that has waited longest, up to a size."""
        watcher = next(iter(self.ready))
        pending = watcher.pending
        chunk = pending.popleft()
        runs = [chunk.events]
        size = chunk.size
        while pending and size + pending[0].size <= BATCH_BYTES_MAX:
            chunk = pending.popleft()
            runs.append(chunk.events)
            size += chunk.size
        del self.ready[watcher]
        if pending:
            self.ready[watcher] = None  # behind the others
        watcher.is_quiet = False
        return Batch(watcher.watch_id, tuple(runs), watcher.spec.prev_kv, watcher.spec.fragment)


def event_bytes(event: Event) -> int:
    """Memory that an event may hold, roughly."""
    kv, prev = event.kv, event.prev
    size = EVENT_OVERHEAD_BYTES + len(kv.key) + len(kv.value)
    return size if prev is None else size + len(prev.key) + len(prev.value)


def chunks_for(spec: WatchSpec, events: list[Event], revision: int) -> tuple[Chunk, ...]:
    """Events from `revision` on that pass the filters, cut between revisions into chunks."""
    chunks: list[Chunk] = []
    taken: list[Event] = []
    size = last = 0
    for event in events:
        kv = event.kv
        if kv.mod_revision < revision:
            continue
        if spec.no_delete if kv.version == 0 else spec.no_put:
            continue
        if size >= BATCH_BYTES_MAX and kv.mod_revision != last:
            chunks.append(Chunk(tuple(taken), size))
            taken, size = [], 0
        taken.append(event)
        size += event_bytes(event)
        last = kv.mod_revision
    if taken:
        chunks.append(Chunk(tuple(taken), size))
    return tuple(chunks)
