"""Many watches on one stream that comes and goes: which requests to send, what to deliver. Pure.

The rules that keep a watch whole, across streams, endpoints and slow consumers:

- A watcher knows the revision that it needs next. Only whole revisions that went into its buffer
  move it, and progress notifications, which promise that all up to their revision was delivered.
- A watch "from now" is anchored by its `created` response: it needs header.revision + 1 next.
- A new stream creates every watcher again at the revision it needs next: nothing is missed, and
  nothing comes twice.
- Fragments are put together before they count; a half-received revision is forgotten.
- A watcher whose buffer is full is cancelled on the server, and created again once its consumer
  has read half of it. So memory is bounded and a slow consumer never holds up the others.

No clock, no stream, no task.
"""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, IntEnum

import msgspec

from kvstore.client import convert
from kvstore.client.types import Event, Header, WatchBatch
from kvstore.errors import CompactedError, KvError, WatchCanceledError
from kvstore.pb import mvcc_pb2, rpc_pb2

BUFFER_EVENTS_MAX = 8192  # a few seconds of a busy store
BUFFER_BYTES_MAX = 8 * 1024 * 1024  # the same with large values; one response may exceed it
_MANUAL_PROGRESS_ID = -1  # etcd answers a progress request under this watch id


class Filter(IntEnum):
    """Events that a watch leaves out."""

    NOPUT = 0
    NODELETE = 1


class WatchOptions(msgspec.Struct, frozen=True):
    """What to watch, etcd's WatchCreateRequest."""

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    filters: tuple[Filter, ...] = ()
    progress_notify: bool = False
    fragment: bool = False


class _Phase(Enum):
    """Where a watcher stands with the server."""

    WANTED = "to be created on the next stream"
    CREATING = "asked for, not confirmed"
    LIVE = "confirmed, events arrive"
    PAUSED = "cancelled there until its consumer has made room"
    ENDED = "no more events will come"


class Watcher:
    """One watch: what it needs next, and what waits for its consumer."""

    def __init__(self, options: WatchOptions, on_change: Callable[[], None]) -> None:
        self.options = options
        self.next_revision = options.start_revision  # 0: whatever comes after `created`
        self.is_anchored = False  # created once
        self.error: KvError | None = None
        self._on_change = on_change
        self._batches: deque[tuple[WatchBatch, int]] = deque()
        self._event_count = 0
        self._byte_count = 0
        self.phase = _Phase.WANTED
        self.watch_id = 0
        self.is_behind = False  # nothing has come of the backlog that it was confirmed with
        self.fragments: list[mvcc_pb2.Event] = []

    @property
    def has_ended(self) -> bool:
        """True when nothing more will be buffered."""
        return self.phase is _Phase.ENDED

    @property
    def buffered_event_count(self) -> int:
        """Events that wait for the consumer."""
        return self._event_count

    @property
    def is_full(self) -> bool:
        """True when the buffer has reached a bound."""
        return self._event_count >= BUFFER_EVENTS_MAX or self._byte_count >= BUFFER_BYTES_MAX

    @property
    def has_room(self) -> bool:
        """True when the buffer is at most half full."""
        return (
            self._event_count <= BUFFER_EVENTS_MAX // 2
            and self._byte_count <= BUFFER_BYTES_MAX // 2
        )

    def take(self) -> WatchBatch | None:
        """The oldest batch in the buffer."""
        if not self._batches:
            return None
        batch, size = self._batches.popleft()
        self._event_count -= len(batch.events)
        self._byte_count -= size
        return batch

    def anchor(self, revision: int) -> None:
        """The server confirmed the watch, at this revision of the store."""
        self.phase = _Phase.LIVE
        self.is_anchored = True
        self.next_revision = self.next_revision or revision + 1
        self._on_change()

    def deliver(self, header: Header, messages: Sequence[mvcc_pb2.Event]) -> None:
        """Buffer events of whole revisions, without those that it had before."""
        wanted = [m for m in messages if m.kv.mod_revision >= self.next_revision]
        if not wanted:
            return
        events = tuple(convert.event(message) for message in wanted)
        revision = events[-1].kv.mod_revision
        self.next_revision = revision + 1
        size = sum(map(_bytes_of, events))
        self._batches.append((WatchBatch(header, revision, events), size))
        self._event_count += len(events)
        self._byte_count += size
        self._on_change()

    def progress(self, header: Header) -> None:
        """Note that everything up to the header's revision has been delivered."""
        if header.revision < self.next_revision - 1:
            return  # events after it were delivered already
        self.next_revision = max(self.next_revision, header.revision + 1)
        if self.options.progress_notify:
            self.notify_progress(header)

    def notify_progress(self, header: Header) -> None:
        """Put a progress notification into the buffer; it replaces one that nobody has read."""
        if self._batches and not self._batches[-1][0].events:
            self._batches.pop()
        self._batches.append((WatchBatch(header, header.revision), 0))
        self._on_change()

    def end(self, error: KvError | None = None) -> None:
        """No more events; an error is raised once the buffer is read."""
        self.phase = _Phase.ENDED
        self.fragments.clear()
        self.error = error
        self._on_change()


def _bytes_of(event: Event) -> int:
    prev = event.prev_kv
    size = len(event.kv.key) + len(event.kv.value)
    return size + (len(prev.key) + len(prev.value) if prev is not None else 0)


class WatchMultiplexer:
    """The watchers of a client and the stream they share."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []
        self._creating: deque[Watcher] = deque()  # responses come in the order of the requests
        self._live: dict[int, Watcher] = {}
        self._requests: list[rpc_pb2.WatchRequest] = []
        self._awaiting_progress: list[Watcher] = []
        self._is_connected = False

    @property
    def is_empty(self) -> bool:
        """True when nobody watches."""
        return not self._watchers

    def add(self, watcher: Watcher) -> None:
        """Begin a watch."""
        self._watchers.append(watcher)
        self._create(watcher)

    def remove(self, watcher: Watcher) -> None:
        """End a watch, on its consumer's wish; harmless when it has ended."""
        if watcher not in self._watchers:
            return
        self._forget(watcher)
        if watcher.phase is _Phase.LIVE:
            self._cancel(watcher)
        watcher.end()

    def connected(self) -> None:
        """A new stream: create every watcher again, at the revision that it needs next."""
        assert not self._is_connected
        self._is_connected = True
        for watcher in self._watchers:
            self._create(watcher)

    def disconnected(self) -> None:
        """The stream is gone, and with it all that the server knew."""
        self._is_connected = False
        self._creating.clear()
        self._live.clear()
        self._requests.clear()
        for watcher in self._watchers:
            watcher.fragments.clear()
            if watcher.phase is not _Phase.PAUSED:
                watcher.phase = _Phase.WANTED

    def fail(self, error: KvError) -> None:
        """No stream will ever do: end all watches."""
        for watcher in self._watchers:
            watcher.end(error)
        self._watchers.clear()
        self._awaiting_progress.clear()

    def request_progress(self, watcher: Watcher) -> None:
        """Ask the server how far it has delivered; the answer becomes a batch without events."""
        if watcher not in self._awaiting_progress and not watcher.has_ended:
            self._awaiting_progress.append(watcher)
        if watcher.phase is _Phase.LIVE:
            self._ask_progress()

    def consumed(self, watcher: Watcher) -> None:
        """The consumer has read a batch: resume a paused watcher when there is room."""
        if watcher.phase is _Phase.PAUSED and watcher.has_room:
            watcher.phase = _Phase.WANTED
            self._create(watcher)

    def take_requests(self) -> list[rpc_pb2.WatchRequest]:
        """What is to be sent, in order."""
        requests, self._requests = self._requests, []
        return requests

    def receive(self, response: rpc_pb2.WatchResponse) -> None:
        """Handle one response."""
        if response.created:
            self._on_created(response)
        elif response.watch_id == _MANUAL_PROGRESS_ID:
            self._on_manual_progress(response)
        else:
            watcher = self._live.get(response.watch_id)
            if watcher is not None:  # else: on its way when the watch was cancelled
                self._on_watcher_response(watcher, response)

    def _create(self, watcher: Watcher) -> None:
        if not self._is_connected or watcher.phase is not _Phase.WANTED:
            return
        watcher.phase = _Phase.CREATING
        self._creating.append(watcher)
        options = watcher.options
        create = rpc_pb2.WatchCreateRequest(
            key=options.key,
            range_end=options.range_end,
            start_revision=watcher.next_revision,
            # Always: an idle watch, too, must move on, lest a compaction overtakes it.
            progress_notify=True,
            filters=[f.value for f in options.filters],  # type: ignore[misc]
            prev_kv=options.prev_kv,
            fragment=options.fragment,
        )
        self._requests.append(rpc_pb2.WatchRequest(create_request=create))

    def _cancel(self, watcher: Watcher) -> None:
        del self._live[watcher.watch_id]
        cancel = rpc_pb2.WatchCancelRequest(watch_id=watcher.watch_id)
        self._requests.append(rpc_pb2.WatchRequest(cancel_request=cancel))

    def _on_created(self, response: rpc_pb2.WatchResponse) -> None:
        watcher = self._creating.popleft()
        if response.canceled:
            if not watcher.has_ended:
                self._refuse(watcher, response)
            return
        watcher.watch_id = response.watch_id
        self._live[response.watch_id] = watcher
        if watcher.has_ended:  # its consumer left meanwhile
            self._cancel(watcher)
        else:
            watcher.anchor(response.header.revision)
            # Where there is a backlog, etcd before 3.4.25 would answer ahead of it.
            watcher.is_behind = watcher.next_revision <= response.header.revision
            if not watcher.is_behind:
                self._ask_for(watcher)

    def _ask_for(self, watcher: Watcher) -> None:
        if watcher in self._awaiting_progress:
            self._ask_progress()

    def _ask_progress(self) -> None:
        progress = rpc_pb2.WatchProgressRequest()
        self._requests.append(rpc_pb2.WatchRequest(progress_request=progress))

    def _on_watcher_response(self, watcher: Watcher, response: rpc_pb2.WatchResponse) -> None:
        if response.canceled:
            del self._live[response.watch_id]
            self._refuse(watcher, response)
        elif watcher.is_full:
            watcher.fragments.clear()
            self._cancel(watcher)
            watcher.phase = _Phase.PAUSED
        elif response.events:
            watcher.fragments.extend(response.events)
            if not response.fragment:
                watcher.deliver(convert.header(response.header), watcher.fragments)
                watcher.fragments.clear()
                if watcher.is_behind:
                    watcher.is_behind = False
                    self._ask_for(watcher)
        else:
            watcher.progress(convert.header(response.header))

    def _forget(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)
        if watcher in self._awaiting_progress:
            self._awaiting_progress.remove(watcher)

    def _refuse(self, watcher: Watcher, response: rpc_pb2.WatchResponse) -> None:
        self._forget(watcher)
        error: KvError = WatchCanceledError(response.cancel_reason or "canceled by the server")
        if response.compact_revision:
            error = CompactedError(watcher.next_revision, response.compact_revision)
        watcher.end(error)

    def _on_manual_progress(self, response: rpc_pb2.WatchResponse) -> None:
        # It does not move the resume revision: etcd before 3.4.25 and 3.5.8 may send it ahead of
        # events that are still under way.
        # Who is not live now has not got all up to here: he is answered once he is.
        header = convert.header(response.header)
        waiting, self._awaiting_progress = self._awaiting_progress, []
        for watcher in waiting:
            if watcher.phase is _Phase.LIVE:
                watcher.notify_progress(header)
            elif not watcher.has_ended:
                self._awaiting_progress.append(watcher)
