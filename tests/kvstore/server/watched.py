"""A node that applies at once and a client that keeps what it is sent, for tests of watches."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from kvstore.commands import DeleteRange, Put
from kvstore.errors import KvError
from kvstore.lease import Lessor
from kvstore.mvcc.store import Store
from kvstore.mvcc.watch import WatchHub
from kvstore.pb.rpc_pb2 import (
    ResponseHeader,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from kvstore.seams import Clock, Timer
from kvstore.server.call import Pieces
from kvstore.server.watch import WatchService


class ManualTimer:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualClock:
    """Time that passes when the test says so, or a little with each look at it."""

    def __init__(self) -> None:
        self.time = 0.0
        self.seconds_per_look = 0.0
        self.timers: list[ManualTimer] = []

    def now(self) -> float:
        self.time += self.seconds_per_look
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here may sleep")

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(ManualTimer(self.time + seconds, callback))
        return self.timers[-1]

    def turn(self) -> bool:
        """Run what is due now; tell whether there was anything."""
        due = [timer for timer in self.timers if timer.due <= self.time]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            if not timer.is_cancelled:
                timer.callback()
        return bool(due)

    def advance(self, seconds: float) -> None:
        self.time += seconds
        while self.turn():
            pass


class Machine(msgspec.Struct):
    store: Store


class Options(msgspec.Struct):
    election_seconds: float = 1.0


class SoloNode:
    """A store whose writes are applied at once."""

    def __init__(self) -> None:
        self.cluster_id = 11
        self.member_id = 22
        self.term = 3
        self.leader_id = 22
        self.is_learner = False
        self.watches = WatchHub(slice_events_max=3)
        self.manual_clock = ManualClock()
        self.clock: Clock = self.manual_clock
        self.machine = Machine(Store(Lessor()))
        self.options = Options()
        self.on_applied: list[Callable[[], None]] = []
        self.on_tick: list[Callable[[float], None]] = []

    def publish(self) -> int:
        store = self.machine.store
        self.watches.notify(store.take_events(), store.revision)
        for callback in self.on_applied:
            callback()
        return store.revision

    def put(self, key: bytes, value: bytes = b"v") -> int:
        self.machine.store.put(Put(key, value))
        return self.publish()

    def delete(self, key: bytes) -> int:
        self.machine.store.delete_range(DeleteRange(key))
        return self.publish()

    def tick(self) -> None:
        for callback in self.on_tick:
            callback(self.clock.now())


class RecordingCall:
    """A client's stream: keeps what is sent; blocks after `room` responses."""

    def __init__(self, service: WatchService, **metadata: str) -> None:
        self.metadata = metadata
        self.on_request: Callable[[Any], None] = lambda _: None
        self.on_half_closed: Callable[[], None] = lambda: None
        self.on_closed: Callable[[], None] = lambda: None
        self.on_writable: Callable[[], None] = lambda: None
        self.responses: list[WatchResponse] = []
        self.failure: KvError | None = None
        self.room = 10**9
        service.watch(self)

    @property
    def is_blocked(self) -> bool:
        return len(self.responses) >= self.room

    def send(self, response: WatchResponse | bytes) -> None:
        if isinstance(response, bytes):
            response = WatchResponse.FromString(response)
        self.responses.append(response)

    def send_all(self, responses: Sequence[Pieces]) -> None:
        for pieces in responses:
            self.send(b"".join(pieces))

    def end(self) -> None:
        raise AssertionError("the service never ends a stream in peace")

    def fail(self, error: KvError) -> None:
        self.failure = error
        self.on_closed()

    def create(self, key: bytes, range_end: bytes = b"", **fields: Any) -> None:
        request = WatchCreateRequest(key=key, range_end=range_end, **fields)
        self.on_request(WatchRequest(create_request=request))

    def cancel(self, watch_id: int) -> None:
        self.on_request(WatchRequest(cancel_request=WatchCancelRequest(watch_id=watch_id)))

    def ask_progress(self) -> None:
        self.on_request(WatchRequest(progress_request=WatchProgressRequest()))

    def take(self) -> list[WatchResponse]:
        taken, self.responses = self.responses, []
        return taken

    def unblock(self) -> None:
        self.room = 10**9
        self.on_writable()


def header(revision: int) -> ResponseHeader:
    return ResponseHeader(cluster_id=11, member_id=22, revision=revision, raft_term=3)


def revisions(responses: list[WatchResponse]) -> list[int]:
    return [event.kv.mod_revision for response in responses for event in response.events]
