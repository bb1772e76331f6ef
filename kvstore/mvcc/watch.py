"""The hub of watches: every watcher gets each event of its range once, in order, none lost.

Pure: events and requests in, batches out; a driver sends them. No clock, stream of bytes or
protobuf may enter.

A watcher is *synced* (new events reach it through the index) or *lagging* (it reads history from
the revision it needs next, in bounded slices). A stream whose client does not read is paused; what
gathers for it then is references to the newest events, and when these would hold on to more than
RETAINED_BYTES_MAX it is dropped: the watchers keep only their positions and lag. So memory does
not depend on how many clients are slow or for how long, and a compaction beyond the position of a
lagging watcher cancels it, as in etcd.
"""

from collections.abc import Iterable

from kvstore.mvcc.types import Event
from kvstore.mvcc.watch_index import OPEN_END, Group, WatcherIndex
from kvstore.mvcc.watch_stream import Chunk, Watcher, WatchStream, chunks_for, event_bytes
from kvstore.mvcc.watch_types import Batch, Compacted, History, Refusal, WatchSpec

RETAINED_BYTES_MAX = 16 * 1024 * 1024
"""Everything pending, of all streams, lies within the newest so many bytes of gathered events."""

PENDING_CHUNKS_MAX = 256
"""Chunks pending for one watcher: bounds the references, which its neighbours do not share."""

SLICE_EVENTS_MAX = 500
"""Events of history that one catch-up reads: about 2 ms."""

SLICE_BYTES_MAX = 1024 * 1024
"""Bytes of history that one catch-up reads, for large values."""

COHORT_MAX = 256
"""Lagging watchers that share one reading of a slice; each costs an entry in its index."""

WATCHERS_MAX = 100_000
"""Watchers of one stream: none needs more, and each takes memory."""

_FIRST_REVISION = 1


class WatchHub:
    """All watch streams of a member."""

    def __init__(
        self,
        *,
        retained_bytes_max: int = RETAINED_BYTES_MAX,
        slice_events_max: int = SLICE_EVENTS_MAX,
    ) -> None:
        self._retained_bytes_max = retained_bytes_max
        self._slice_events_max = slice_events_max
        self._synced: WatcherIndex[Watcher] = WatcherIndex()
        self._revision = 0  # of the newest notification
        self._gathered_bytes = 0  # ever
        # Ordered sets of streams: with pending events, oldest first; those that may be taken
        # from now; those with lagging watchers that may read history now.
        self._holding: dict[WatchStream, None] = {}
        self._deliverable: dict[WatchStream, None] = {}
        self._catching_up: dict[WatchStream, None] = {}

    # Streams and watchers.

    def open_stream(self) -> WatchStream:
        """A stream without watchers."""
        return WatchStream()

    def close_stream(self, stream: WatchStream) -> None:
        """Forget a stream and its watchers."""
        for watch_id in list(stream.watchers):
            self.cancel(stream, watch_id)
        stream.notices.clear()
        self._review(stream)

    def create(self, stream: WatchStream, spec: WatchSpec, revision: int) -> int | Refusal:
        """Add a watcher, the store being at `revision`; its id.

        Whether its start is compacted shows at the next catch-up, after the caller has told the
        client of the id: etcd answers `created` first in that case too.
        """
        key = spec.key or b"\0"
        if spec.range_end not in (b"", OPEN_END) and key >= spec.range_end:
            return Refusal.EMPTY_RANGE
        if spec.watch_id in stream.watchers and spec.watch_id:
            return Refusal.DUPLICATE_ID
        if len(stream.watchers) >= WATCHERS_MAX:
            return Refusal.TOO_MANY
        watch_id = spec.watch_id or stream.choose_id()
        watcher = Watcher(stream, watch_id, (key, spec.range_end), spec)
        stream.watchers[watch_id] = watcher
        if spec.start_revision == 0 or spec.start_revision > revision:
            watcher.next_revision = spec.start_revision or revision + 1
            self._synced.add(watcher.bounds, watcher)
        else:
            watcher.next_revision = max(spec.start_revision, _FIRST_REVISION)
            self._lag(watcher)
            self._review(stream)
        return watch_id

    def cancel(self, stream: WatchStream, watch_id: int) -> bool:
        """Remove a watcher and what is pending for it; False if there is none such."""
        watcher = stream.watchers.pop(watch_id, None)
        if watcher is None:
            return False
        if watcher.is_lagging:
            del stream.lagging[watcher]
        else:
            self._synced.remove(watcher.bounds, watcher)
        stream.ready.pop(watcher, None)
        self._review(stream)
        return True

    def pause(self, stream: WatchStream) -> None:
        """The client does not read: nothing more is taken for now."""
        stream.is_paused = True
        self._review(stream)

    def resume(self, stream: WatchStream) -> None:
        """The client reads again."""
        stream.is_paused = False
        self._review(stream)

    # Events.

    def notify(self, events: list[Event], revision: int) -> None:
        """Take in the events of applied commands, which end with `revision`."""
        self._revision = revision
        self._release()
        for group, found in self._gather(self._synced, events).items():
            self._spread(group, found)
        self._gathered_bytes += sum(map(event_bytes, events))

    def restored(self) -> None:
        """The store was replaced by a snapshot: what happened meanwhile was never notified."""
        for watcher in self._synced.clear():
            watcher.next_revision = max(watcher.next_revision, self._revision + 1)
            watcher.is_started = True
            self._lag(watcher)
            self._review(watcher.stream)

    @property
    def needs_catch_up(self) -> bool:
        """Tell whether there is history to read for streams that may be sent to."""
        return bool(self._catching_up)

    def catch_up(self, history: History) -> None:
        """Read one bounded slice of history for the lagging watchers that wait longest."""
        cohort = self._cohort(history)
        if not cohort:
            return
        self._release()
        start = cohort[0].next_revision
        events, resume = _slice(history, start, self._slice_events_max)
        index: WatcherIndex[Watcher] = WatcherIndex()
        for watcher in cohort:
            index.add(watcher.bounds, watcher)
        for group, found in self._gather(index, events).items():
            self._spread(group, found)
        self._gathered_bytes += sum(map(event_bytes, events))
        for watcher in cohort:
            self._advance(watcher, resume, is_last=resume > history.revision)

    def _cohort(self, history: History) -> list[Watcher]:
        """Lagging watchers to serve by one slice, the one that waits longest first.

        Those that need what is compacted are cancelled instead.
        """
        cohort: list[Watcher] = []
        for stream in list(self._catching_up):
            for watcher in list(stream.lagging):
                if _is_lost(watcher, history.compact_revision):
                    self.cancel(stream, watcher.watch_id)
                    stream.notices.append(Compacted(watcher.watch_id, history.compact_revision))
                    self._review(stream)
                elif not cohort or self._may_join(cohort, watcher):
                    cohort.append(watcher)
                if len(cohort) == COHORT_MAX:
                    return cohort
        return cohort

    def _may_join(self, cohort: list[Watcher], watcher: Watcher) -> bool:
        ahead = watcher.next_revision - cohort[0].next_revision
        return 0 <= ahead < self._slice_events_max

    def _advance(self, watcher: Watcher, resume: int, *, is_last: bool) -> None:
        """A slice has been read up to before `resume`, and maybe up to the present."""
        watcher.next_revision = max(watcher.next_revision, resume)
        watcher.is_started = True
        stream = watcher.stream
        del stream.lagging[watcher]
        if is_last:
            watcher.is_lagging = False
            self._synced.add(watcher.bounds, watcher)
        else:
            stream.lagging[watcher] = None  # behind the others
        self._catching_up.pop(stream, None)
        self._review(stream)

    # What to send.

    @property
    def is_idle(self) -> bool:
        """Tell whether there is nothing to take now, and no history to read."""
        return not (self._deliverable or self._catching_up)

    def take_deliverable(self) -> list[WatchStream]:
        """Streams from which there is something to take now."""
        return list(self._deliverable)

    def take(self, stream: WatchStream) -> Batch | Compacted | None:
        """The next thing to send on a stream; None when there is nothing, or it is paused."""
        if stream.is_paused:
            return None
        if stream.ready:
            batch = stream.take_batch()
            if not stream.ready:
                self._review(stream)
            return batch
        if stream.notices:
            notice = stream.notices.popleft()
            self._review(stream)
            return notice
        return None

    def is_synced(self, stream: WatchStream) -> bool:
        """Tell whether everything up to the present has been taken for all watchers."""
        return not (stream.lagging or stream.ready or stream.notices)

    def progress(self, stream: WatchStream) -> list[int]:
        """Watchers to send a progress notification to: synced, and silent since the last call."""
        due: list[int] = []
        for watcher in stream.watchers.values():
            if watcher.spec.progress_notify:
                if watcher.is_quiet and not (watcher.is_lagging or watcher.pending):
                    due.append(watcher.watch_id)
                watcher.is_quiet = True
        return due

    # Inside.

    def _gather(
        self, index: WatcherIndex[Watcher], events: Iterable[Event]
    ) -> dict[Group[Watcher], list[Event]]:
        gathered: dict[Group[Watcher], list[Event]] = {}
        for event in events:
            for group in index.match(event.kv.key):
                found = gathered.get(group)
                if found is None:
                    gathered[group] = [event]
                else:
                    found.append(event)
        return gathered

    def _spread(self, group: Group[Watcher], events: list[Event]) -> None:
        """Make the events pending for each watcher of a group, cut and filtered only once."""
        first = events[0].kv.mod_revision
        variants: dict[tuple[int, int], tuple[Chunk, ...]] = {}
        for watcher in list(group.watchers):
            if watcher not in group.watchers:
                continue  # dropped to history with its whole stream, just now
            start = watcher.next_revision
            variant = (watcher.filters, max(first, start))
            chunks = variants.get(variant)
            if chunks is None:
                chunks = variants[variant] = chunks_for(watcher.spec, events, variant[1])
            if not chunks:
                continue
            stream, pending = watcher.stream, watcher.pending
            if not stream.ready:
                stream.ready[watcher] = None
                stream.held_since = self._gathered_bytes
                self._review(stream)
            elif not pending:
                stream.ready[watcher] = None
            pending += chunks
            if len(pending) > PENDING_CHUNKS_MAX:
                self._drop_pending(stream)
                self._review(stream)

    def _release(self) -> None:
        """Drop what would hold on to events that are too long ago."""
        for stream in list(self._holding):
            if self._gathered_bytes - stream.held_since <= self._retained_bytes_max:
                return
            self._drop_pending(stream)
            self._review(stream)

    def _drop_pending(self, stream: WatchStream) -> None:
        """Keep only the positions of a stream's watchers; they will read history."""
        for watcher in stream.ready:
            watcher.next_revision = watcher.pending[0].events[0].kv.mod_revision
            watcher.is_started = True
            watcher.pending.clear()
            if not watcher.is_lagging:
                self._synced.remove(watcher.bounds, watcher)
                self._lag(watcher)
        stream.ready.clear()

    def _lag(self, watcher: Watcher) -> None:
        watcher.is_lagging = True
        watcher.stream.lagging[watcher] = None

    def _review(self, stream: WatchStream) -> None:
        """Put a stream into the sets where it belongs now."""
        is_open = not stream.is_paused
        has_pending = bool(stream.ready)
        _set(self._holding, stream, member=has_pending)
        _set(self._deliverable, stream, member=is_open and (has_pending or bool(stream.notices)))
        may_read = is_open and not has_pending and bool(stream.lagging)
        _set(self._catching_up, stream, member=may_read)


def _set(streams: dict[WatchStream, None], stream: WatchStream, *, member: bool) -> None:
    if member:
        streams.setdefault(stream)
    else:
        streams.pop(stream, None)


def _is_lost(watcher: Watcher, compact_revision: int) -> bool:
    """Tell whether events that the watcher needs may be compacted.

    Of the compact revision itself the deletions are gone. Who starts to watch there does not get
    them, as in etcd; but who is under way must not miss one unawares.
    """
    if watcher.is_started:
        return watcher.next_revision <= compact_revision
    return watcher.next_revision < compact_revision


def _slice(history: History, start: int, events_max: int) -> tuple[list[Event], int]:
    """Events from `start` on, whole revisions up to a bound, and the revision to go on from."""
    events: list[Event] = []
    size = last = 0
    for event in history.events_since(start):
        revision = event.kv.mod_revision
        if revision != last:
            if len(events) >= events_max or size >= SLICE_BYTES_MAX:
                return events, revision
            last = revision
        events.append(event)
        size += event_bytes(event)
    return events, history.revision + 1
