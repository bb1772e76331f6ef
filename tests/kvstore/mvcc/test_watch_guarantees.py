"""Watch guarantees under random schedules: ordered, unique, whole, complete, filtered."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from kvstore.commands import Compact, DeleteRange, Put, Txn
from kvstore.lease import Lessor
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import Event
from kvstore.mvcc.watch import WatchHub
from kvstore.mvcc.watch_stream import WatchStream
from kvstore.mvcc.watch_types import Batch, Compacted, WatchSpec

KEYS = st.sampled_from([b"a", b"ab", b"b", b"c"])
RANGES = st.sampled_from(
    [(b"a", b""), (b"b", b""), (b"a", b"b"), (b"a", b"c"), (b"b", b"\0"), (b"", b"\0")]
)


class Client:
    """What one watcher should get, and what it got."""

    def __init__(self, spec: WatchSpec, start: int) -> None:
        self.spec = spec
        self.start = start
        self.got: list[Event] = []
        self.is_over = False

    def wants(self, event: Event) -> bool:
        key, end = self.spec.key or b"\0", self.spec.range_end
        kv = event.kv
        in_range = kv.key == key if not end else kv.key >= key and (end == b"\0" or kv.key < end)
        is_filtered = self.spec.no_delete if kv.is_tombstone else self.spec.no_put
        return in_range and not is_filtered and kv.mod_revision >= self.start


class Guarantees(RuleBasedStateMachine):
    streams: Bundle[WatchStream] = Bundle("streams")

    @initialize(
        retained=st.sampled_from([1, 700, 3000, 10**6]), slice_events=st.sampled_from([1, 3, 100])
    )
    def start(self, retained: int, slice_events: int) -> None:
        self.store = Store(Lessor())
        self.hub = WatchHub(retained_bytes_max=retained, slice_events_max=slice_events)
        self.clients: dict[tuple[int, int], Client] = {}
        self.opened: list[WatchStream] = []
        self.events: list[Event] = []
        self.compactions: set[int] = set()

    # Writes.

    @rule(key=KEYS, count=st.integers(1, 4))
    def put(self, key: bytes, count: int) -> None:
        for _ in range(count):
            self.store.put(Put(key, b"x" * 50))

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.store.delete_range(DeleteRange(key))

    @rule()
    def delete_all(self) -> None:
        self.store.delete_range(DeleteRange(b"a", b"\0"))

    @rule(keys=st.sets(KEYS, min_size=2))
    def txn(self, keys: set[bytes]) -> None:
        self.store.txn(Txn(success=tuple(Put(key) for key in sorted(keys))))

    @rule()
    def publish(self) -> None:
        events = self.store.take_events()
        self.events += events
        if events:
            self.hub.notify(events, self.store.revision)

    @rule()
    def install_snapshot(self) -> None:
        self.events += self.store.take_events()
        self.hub.restored()

    @rule(back=st.integers(0, 8))
    def compact(self, back: int) -> None:
        revision = self.store.revision - back
        if revision > max(self.store.compact_revision, 0):
            self.store.compact(Compact(revision))
            self.compactions.add(revision)
            while self.store.compact_slice(100):
                pass

    # Clients.

    @rule(target=streams)
    def open_stream(self) -> WatchStream:
        self.opened.append(self.hub.open_stream())
        return self.opened[-1]

    @rule(
        stream=streams,
        bounds=RANGES,
        offset=st.one_of(st.none(), st.integers(-8, 3)),
        no_put=st.booleans(),
        no_delete=st.booleans(),
    )
    def create(
        self,
        stream: WatchStream,
        bounds: tuple[bytes, bytes],
        offset: int | None,
        no_put: bool,
        no_delete: bool,
    ) -> None:
        start = 0 if offset is None else max(1, self.store.revision + offset)
        spec = WatchSpec(
            *bounds, start_revision=start, no_put=no_put and not no_delete, no_delete=no_delete
        )
        watch_id = self.hub.create(stream, spec, self.store.revision)
        assert isinstance(watch_id, int)
        client = Client(spec, start or self.store.revision + 1)
        self.clients[self.opened.index(stream), watch_id] = client

    @rule(stream=streams, position=st.integers(0, 5))
    def cancel(self, stream: WatchStream, position: int) -> None:
        ids = sorted(stream.watchers)
        if position < len(ids):
            assert self.hub.cancel(stream, ids[position])
            self.clients[self.opened.index(stream), ids[position]].is_over = True

    @rule(stream=streams)
    def pause(self, stream: WatchStream) -> None:
        self.hub.pause(stream)

    @rule(stream=streams)
    def resume(self, stream: WatchStream) -> None:
        self.hub.resume(stream)

    @rule()
    def catch_up(self) -> None:
        self.hub.catch_up(self.store)

    @rule(stream=streams, count=st.integers(1, 3))
    def take(self, stream: WatchStream, count: int) -> None:
        for _ in range(count):
            item = self.hub.take(stream)
            if item is None:
                return
            client = self.clients[self.opened.index(stream), item.watch_id]
            assert not client.is_over, "something came after the end"
            if isinstance(item, Compacted):
                assert item.compact_revision in self.compactions
                client.is_over = True
            else:
                self.receive(client, item)

    def receive(self, client: Client, batch: Batch) -> None:
        assert batch.events
        first, last = batch.events[0].kv.mod_revision, batch.events[-1].kv.mod_revision
        if client.got:
            assert first > client.got[-1].kv.mod_revision, "a revision came in two batches"
        seen = self.expected(client, first, last)
        assert [event.kv for event in batch.events] == [event.kv for event in seen]
        for event, known in zip(batch.events, seen, strict=True):
            if event.prev is None:
                is_compacted = event.kv.mod_revision <= self.store.compact_revision
                assert known.prev is None or is_compacted
            else:
                assert event.prev == known.prev
        client.got += batch.events

    def expected(self, client: Client, first: int, last: int) -> list[Event]:
        return [
            event
            for event in self.all_events()
            if first <= event.kv.mod_revision <= last and client.wants(event)
        ]

    def all_events(self) -> list[Event]:
        return self.events + self.store._events

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.publish()
        for stream in self.opened:
            self.resume(stream)
        while self.hub.needs_catch_up or self.hub.take_deliverable():
            self.hub.catch_up(self.store)
            for stream in self.opened:
                self.take(stream, 1000)
        for stream in self.opened:
            assert self.hub.is_synced(stream)
        for client in self.clients.values():
            if not client.is_over:
                expected = self.expected(client, 0, self.store.revision)
                assert [event.kv for event in client.got] == [event.kv for event in expected]
        assert not self.hub._holding


Guarantees.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGuarantees = Guarantees.TestCase
