"""A store with its hub and one stream, to test watches with."""

from kvstore.commands import Compact, DeleteRange, Put, Txn
from kvstore.lease import Lessor
from kvstore.mvcc.store import Store
from kvstore.mvcc.types import Event
from kvstore.mvcc.watch import WatchHub
from kvstore.mvcc.watch_stream import WatchStream
from kvstore.mvcc.watch_types import Batch, Compacted, WatchSpec


class Bench:
    """A store, its hub and one stream."""

    def __init__(self, **limits: int) -> None:
        self.store = Store(Lessor())
        self.hub = WatchHub(**limits)
        self.stream = self.hub.open_stream()

    def put(self, key: bytes, value: bytes = b"v") -> int:
        self.store.put(Put(key, value))
        return self.publish()

    def delete(self, key: bytes) -> int:
        self.store.delete_range(DeleteRange(key))
        return self.publish()

    def txn(self, *puts: Put) -> int:
        self.store.txn(Txn(success=puts))
        return self.publish()

    def publish(self) -> int:
        self.hub.notify(self.store.take_events(), self.store.revision)
        return self.store.revision

    def compact(self, revision: int) -> None:
        self.store.compact(Compact(revision))
        while self.store.compact_slice(1000):
            pass

    def watch(self, spec: WatchSpec, stream: WatchStream | None = None) -> int:
        outcome = self.hub.create(stream or self.stream, spec, self.store.revision)
        assert isinstance(outcome, int)
        return outcome

    def take_all(self, stream: WatchStream | None = None) -> list[Batch | Compacted]:
        taken: list[Batch | Compacted] = []
        while True:
            item = self.hub.take(stream or self.stream)
            if item is not None:
                taken.append(item)
            elif self.hub.needs_catch_up:
                self.hub.catch_up(self.store)
            else:
                return taken

    def revisions(self, stream: WatchStream | None = None) -> list[int]:
        return [event.kv.mod_revision for event in events_of(self.take_all(stream))]


def events_of(items: list[Batch | Compacted]) -> list[Event]:
    return [event for item in items if isinstance(item, Batch) for event in item.events]
