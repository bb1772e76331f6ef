"""The watch half of the differential test: who must have seen what, and whether both did.

An audit watcher of everything tells the history of each system; from it follows how many events
every other watcher must get, so a comparison waits for exactly those and can miss none.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kvstore.pb.mvcc_pb2 import Event
from kvstore.pb.rpc_pb2 import (
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from tests.conformance.client import Client, WatchStream

SETTLE_SECONDS_MAX = 30.0  # etcd syncs watchers of the past every 100 ms; machines may be busy
SYSTEMS = ("etcd", "keelson")
AUDIT_ID = 10_000
PROBE_ID = 10_001
Normalise = Callable[[Event], Event]


class WatchDifference(Exception):  # noqa: N818 - a finding, not a fault
    """The two systems' watches disagree, or one breaks a promise."""


class Stream:
    """One watch stream of one system, sorted into control responses and events by watcher."""

    def __init__(self, client: Client) -> None:
        self._stream = WatchStream(client)
        self.control: deque[WatchResponse] = deque()
        self.events: dict[int, list[Event]] = {}
        self._last_revision: dict[int, int] = {}

    def send(self, request: WatchRequest) -> None:
        """Send a request."""
        self._stream.send(request)

    def open(self, watch_id: int) -> None:
        """Events of this id are expected from now on."""
        self.events[watch_id] = []
        self._last_revision[watch_id] = 0

    def forget(self, watch_id: int) -> None:
        """No event of this id may come any more."""
        del self.events[watch_id]

    def next_control(self) -> WatchResponse:
        """The next response that is not events."""
        while not self.control:
            self._take(self._stream.receive(SETTLE_SECONDS_MAX))
        return self.control.popleft()

    def wait_for(self, watch_id: int, done: Callable[[list[Event]], bool]) -> list[Event]:
        """The events of a watcher once `done` says that they are enough."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while not done(self.events[watch_id]):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise WatchDifference(f"watcher {watch_id} got only {self.events[watch_id]}")
            try:
                self._take(self._stream.receive(remaining))
            except AssertionError:
                continue
        return self.events[watch_id]

    def drain(self) -> None:
        """Take what is here already."""
        for response in self._stream.waiting():
            self._take(response)

    def close(self) -> None:
        """Cancel the stream."""
        self._stream.close()

    def _take(self, response: Any) -> None:
        if not isinstance(response, WatchResponse):
            raise WatchDifference(f"the stream ended: {response}")
        if not response.events:
            self.control.append(response)
            return
        watch_id = response.watch_id
        if watch_id not in self.events:
            raise WatchDifference(f"events of a watcher that does not exist: {response}")
        revisions = [event.kv.mod_revision for event in response.events]
        if revisions != sorted(revisions) or revisions[0] <= self._last_revision[watch_id]:
            raise WatchDifference(f"revisions out of order or split: {revisions}")
        self._last_revision[watch_id] = revisions[-1]
        self.events[watch_id].extend(response.events)


@dataclass
class Watcher:
    """A watcher that lives on the same stream of both systems."""

    request: WatchCreateRequest
    first_revision: int
    expected: int = 0
    counted: int = 0  # how much of the history `expected` covers

    def wants(self, event: Event) -> bool:
        """Whether this event of the history belongs to the watcher."""
        if event.kv.mod_revision < self.first_revision:
            return False
        if int(event.type) in map(int, self.request.filters):  # NOPUT = PUT, NODELETE = DELETE
            return False
        key, end = self.request.key or b"\0", self.request.range_end
        if not end:
            return event.kv.key == key
        return event.kv.key >= key and (end == b"\0" or event.kv.key < end)


@dataclass
class Watches:
    """All watch streams of both systems, pairwise."""

    pairs: list[tuple[Stream, Stream]]
    audit: tuple[Stream, Stream]
    normalise: tuple[Normalise, Normalise]
    history: list[Event] = field(default_factory=list)
    watchers: list[dict[int, Watcher]] = field(default_factory=list)
    compared: int = 0
    may_be_unsynced: bool = False  # a watcher was created in the past since the last probe

    @classmethod
    def open(
        cls, clients: tuple[Client, Client], normalise: tuple[Normalise, Normalise], streams: int
    ) -> "Watches":
        """Open the streams and the audit watchers on two empty stores."""
        pairs = [(Stream(clients[0]), Stream(clients[1])) for _ in range(streams)]
        audit = (Stream(clients[0]), Stream(clients[1]))
        request = WatchCreateRequest(
            key=b"\0", range_end=b"\0", prev_kv=True, watch_id=AUDIT_ID, start_revision=2
        )
        for stream in audit:
            stream.open(AUDIT_ID)
            stream.send(WatchRequest(create_request=request))
            assert stream.next_control().created
        return cls(pairs, audit, normalise, watchers=[{} for _ in pairs])

    def created(self, stream: int, response: WatchResponse, request: WatchCreateRequest) -> None:
        """Both systems have created this watcher."""
        first = request.start_revision or response.header.revision + 1
        self.may_be_unsynced |= first <= response.header.revision
        watcher = Watcher(request, first)
        self.watchers[stream][response.watch_id] = watcher
        for side in self.pairs[stream]:
            side.open(response.watch_id)

    def cancelled(self, stream: int, watch_id: int) -> None:
        """Both systems have ended this watcher."""
        del self.watchers[stream][watch_id]
        for side in self.pairs[stream]:
            side.forget(watch_id)

    def release(self, stream: int, watch_id: int) -> None:
        """Make the id of a watcher that a compaction cancelled free on both systems.

        etcd 3.4 keeps it taken until the client cancels it once more, and answers that; a server
        that frees it at once has nothing to answer. A progress request marks the end of waiting.
        """
        for side in self.pairs[stream]:
            side.send(WatchRequest(cancel_request=WatchCancelRequest(watch_id=watch_id)))
            side.send(WatchRequest(progress_request=WatchProgressRequest()))
            response = side.next_control()
            if response.watch_id == watch_id and response.canceled:
                response = side.next_control()
            if response.watch_id != -1:
                raise WatchDifference(f"not the progress asked for: {response}")

    def settle(self, revision: int) -> None:
        """Wait until every watcher has what it must have by this revision, and compare."""
        self._extend_history(revision)
        for pair, watchers in zip(self.pairs, self.watchers, strict=True):
            for watch_id, watcher in watchers.items():
                watcher.expected += sum(map(watcher.wants, self.history[watcher.counted :]))
                watcher.counted = len(self.history)
                self._compare(pair, watch_id, watcher)

    def sync(self, revision: int) -> None:
        """Wait until no watcher reads history any more (needs an event at `revision`).

        A server brings its unsynced watchers up to date together or in order: once a probe that
        was created last has its event, the others are synced as well.
        """
        self.settle(revision)
        if not self.may_be_unsynced:
            return
        request = WatchCreateRequest(
            key=b"\0", range_end=b"\0", watch_id=PROBE_ID, start_revision=revision
        )
        for side in self.audit:
            side.open(PROBE_ID)
            side.send(WatchRequest(create_request=request))
            assert side.next_control().created
        for side in self.audit:
            side.wait_for(PROBE_ID, bool)
            side.send(WatchRequest(cancel_request=WatchCancelRequest(watch_id=PROBE_ID)))
            assert side.next_control().canceled
            side.forget(PROBE_ID)
        self.may_be_unsynced = False

    def has_delete_at(self, revision: int) -> bool:
        """Tell whether the history (up to the last compaction at least) has a delete there."""
        return any(
            event.kv.mod_revision == revision and event.type == Event.DELETE
            for event in self.history
        )

    def _extend_history(self, revision: int) -> None:
        known = self.history[-1].kv.mod_revision if self.history else 1
        if known >= revision:
            return
        news = []
        for side, normalise in zip(self.audit, self.normalise, strict=True):
            events = side.wait_for(
                AUDIT_ID, lambda got: bool(got) and got[-1].kv.mod_revision >= revision
            )
            news.append([normalise(event) for event in events])
            side.events[AUDIT_ID] = []
        self._equal("everything", *news)
        self.history.extend(news[0])

    def _compare(self, pair: tuple[Stream, Stream], watch_id: int, watcher: Watcher) -> None:
        got = []
        for name, side, normalise in zip(SYSTEMS, pair, self.normalise, strict=True):
            side.drain()
            try:
                events = side.wait_for(watch_id, lambda got: len(got) >= watcher.expected)
            except WatchDifference as short:
                wanted = [event for event in self.history if watcher.wants(event)]
                wanted = wanted[-watcher.expected :]
                raise WatchDifference(
                    f"{name}: {short}\nof {watcher}, which should have got {wanted}"
                ) from None
            got.append([normalise(event) for event in events])
            side.events[watch_id] = []
        watcher.expected = 0
        self._equal(f"watcher {watch_id} of {watcher.request}", *got)

    def _equal(self, what: str, first: list[Event], second: list[Event]) -> None:
        self.compared += len(first)
        if first != second:
            raise WatchDifference(f"events of {what} differ:\n{first}\n-- and --\n{second}")

    def close(self) -> None:
        """Cancel all streams."""
        for pair in (*self.pairs, self.audit):
            for side in pair:
                side.close()
