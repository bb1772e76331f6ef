"""The Watch service: client streams on one side, the hub of watches on the other.

All rules about events are `kvstore.mvcc.watch`'s; this sends what the hub hands out, for a few
milliseconds at a time, and holds back where a client does not read. Knows no transport.
"""

from collections.abc import Callable
from typing import Any, Protocol

from kvstore.errors import NoLeaderError
from kvstore.mvcc.watch import WatchHub
from kvstore.mvcc.watch_stream import WatchStream
from kvstore.mvcc.watch_types import Compacted, History, Refusal, WatchSpec
from kvstore.pb import rpc_pb2
from kvstore.seams import Clock, Timer
from kvstore.server import convert
from kvstore.server.call import Methods, Pieces, StreamCall, admit
from kvstore.server.headers import Headers
from kvstore.server.watch_encoding import EventEncoder

METHODS: Methods = {"/etcdserverpb.Watch/Watch": ("watch", rpc_pb2.WatchRequest, "stream")}

PROGRESS_INTERVAL_SECONDS = 600.0
"""etcd's default time between progress notifications of a silent watcher."""

# How long sending to watchers may hold the loop before others get a turn.
_SEND_SLICE_SECONDS = 0.005
# After each response, which takes some microseconds, others have the loop for several times that;
# less than a turn of the loop is not worth a timer, and more than this would be noticed.
_REST_SECONDS_PER_RESPONSE = 40e-6
_REST_SECONDS_MIN = 0.001
_REST_SECONDS_MAX = 0.02
# What a notice counts among them.
_NOTICE_BYTES = 64
# Responses of one stream that are handed over together, about.
_SEND_BYTES = 128 * 1024
# Election timeouts without a leader after which streams that want one fail. More than one, as in
# etcd: to connect again costs clients more than to wait for an election that is under way.
_LEADERLESS_ELECTIONS = 3
# The id in answers that concern no watcher.
_NO_WATCH_ID = -1


class Machine(Protocol):
    """The replicated state, as far as watches read it."""

    @property
    def store(self) -> History:
        """The key-values; another one after a snapshot was installed."""


class Options(Protocol):
    """Timing of a node."""

    @property
    def election_seconds(self) -> float:
        """The shortest election timeout."""


class WatchedNode(Protocol):
    """What the service needs of the node."""

    cluster_id: int
    member_id: int
    watches: WatchHub
    clock: Clock
    on_applied: list[Callable[[], None]]
    on_tick: list[Callable[[float], None]]

    @property
    def term(self) -> int:
        """The current Raft term."""

    @property
    def leader_id(self) -> int:
        """The leader known to this member; 0 if none."""

    @property
    def is_learner(self) -> bool:
        """True while it does not vote."""

    @property
    def machine(self) -> Machine:
        """The replicated state machine."""

    @property
    def options(self) -> Options:
        """Timing."""


class WatchService:
    """Serves the watch streams of one node."""

    def __init__(
        self, node: WatchedNode, *, progress_interval_seconds: float = PROGRESS_INTERVAL_SECONDS
    ) -> None:
        self._node = node
        self._headers = Headers(node)
        self._hub = node.watches
        self._progress_interval_seconds = progress_interval_seconds
        self._clients: dict[WatchStream, _Client] = {}
        self._awaiting_progress: dict[_Client, None] = {}
        self._next_round: Timer | None = None
        self._rests_until = 0.0
        self._leaderless_since: float | None = None
        node.on_applied.append(self._on_applied)
        node.on_tick.append(self._on_tick)

    def watch(self, call: StreamCall) -> None:
        """Serve one stream; it fails at once if it wants a leader and there is none."""
        admit(call, self._node)
        wants_leader = call.metadata.get("hasleader") == "true"
        client = _Client(self, self._node, call, wants_leader=wants_leader)
        self._clients[client.stream] = client
        client.schedule_progress(self._progress_interval_seconds)

    def forget(self, client: "_Client") -> None:
        """The stream is over."""
        self._hub.close_stream(client.stream)
        self._awaiting_progress.pop(client, None)
        del self._clients[client.stream]

    def await_progress(self, client: "_Client") -> None:
        """Answer the client's progress request once all its watchers are synced."""
        self._awaiting_progress[client] = None
        self._answer_progress()

    def wake(self) -> None:
        """Something may be sent: at the next turn of the loop that is no rest, at once for all."""
        if self._next_round is None:
            seconds = max(0.0, self._rests_until - self._node.clock.now())
            self._next_round = self._node.clock.call_later(seconds, self._run_round)

    def _on_applied(self) -> None:
        # History is not read here: that would hold back the next commands.
        if self._next_round is not None or self._hub.is_idle:
            return
        if self._node.clock.now() < self._rests_until:
            self.wake()
        else:
            self._send()

    def _run_round(self) -> None:
        """One slice of history for those that lag, and one slice of time for sending."""
        self._next_round = None
        if self._hub.needs_catch_up:
            self._hub.catch_up(self._node.machine.store)
        self._send()

    def _send(self) -> None:
        """Send what there is, for one slice of time; come back for what is left."""
        clock = self._node.clock
        slice_end = clock.now() + _SEND_SLICE_SECONDS
        encoder = EventEncoder(self._headers.field(self._node.machine.store.revision))
        responses = 0
        for stream in self._hub.take_deliverable():
            responses += self._clients[stream].send_pending(encoder)
            if clock.now() > slice_end:
                break
        self._rest(responses)
        self._answer_progress()
        if not self._hub.is_idle:
            self.wake()

    def _rest(self, responses: int) -> None:
        """Leave the loop to others, in proportion to what was sent.

        The more there is to send, the more events gather meanwhile, and a watcher gets those of
        several revisions for the price of one. Few responses are no reason to rest.
        """
        seconds = min(responses * _REST_SECONDS_PER_RESPONSE, _REST_SECONDS_MAX)
        if seconds >= _REST_SECONDS_MIN:
            self._rests_until = self._node.clock.now() + seconds

    def _answer_progress(self) -> None:
        for client in list(self._awaiting_progress):
            if self._hub.is_synced(client.stream):
                del self._awaiting_progress[client]
                client.send_progress(_NO_WATCH_ID)

    def _on_tick(self, now: float) -> None:
        if self._node.leader_id:
            self._leaderless_since = None
            return
        if self._leaderless_since is None:
            self._leaderless_since = now
        patience = _LEADERLESS_ELECTIONS * self._node.options.election_seconds
        if now - self._leaderless_since >= patience:
            for client in list(self._clients.values()):
                client.lose_leader()


class _Client:
    """One stream of a client: its requests in, responses out."""

    def __init__(
        self, service: WatchService, node: WatchedNode, call: StreamCall, *, wants_leader: bool
    ) -> None:
        self.stream = node.watches.open_stream()
        self._service = service
        self._node = node
        self._hub = node.watches
        self._call = call
        self._wants_leader = wants_leader
        self._progress_timer: Timer | None = None
        call.on_request = self._on_request
        call.on_writable = self._on_writable
        call.on_closed = self._on_closed

    # Requests. A client that half-closes goes on watching.

    def _on_request(self, request: rpc_pb2.WatchRequest) -> None:
        match request.WhichOneof("request_union"):
            case "create_request":
                self._create(request.create_request)
            case "cancel_request":
                self._cancel(request.cancel_request.watch_id)
            case "progress_request":
                self._service.await_progress(self)
            case None:
                pass  # as in etcd: a request of a kind that it does not know is not answered

    def _create(self, request: rpc_pb2.WatchCreateRequest) -> None:
        revision = self._node.machine.store.revision
        outcome = self._hub.create(self.stream, _spec(request), revision)
        response = rpc_pb2.WatchResponse(header=self._header(), created=True)
        if isinstance(outcome, Refusal):
            response.watch_id = _NO_WATCH_ID
            response.canceled = True
            response.cancel_reason = outcome.value
        else:
            response.watch_id = outcome
        self._call.send(response)
        if self._hub.needs_catch_up:
            self._service.wake()

    def _cancel(self, watch_id: int) -> None:
        if self._hub.cancel(self.stream, watch_id):
            header = self._header()
            self._call.send(rpc_pb2.WatchResponse(header=header, watch_id=watch_id, canceled=True))

    # Responses.

    def send_pending(self, encoder: EventEncoder) -> int:
        """Send what the hub has for the stream, until its client does not keep up; how much."""
        count = 0
        while not self._call.is_blocked:
            responses = self._take_responses(encoder)
            if not responses:
                return count
            self._call.send_all(responses)
            count += len(responses)
        self._hub.pause(self.stream)
        return count

    def _take_responses(self, encoder: EventEncoder) -> list[Pieces]:
        """As many as go out together."""
        responses: list[Pieces] = []
        size = 0
        while size < _SEND_BYTES and (item := self._hub.take(self.stream)) is not None:
            if isinstance(item, Compacted):
                responses.append((self._compacted(item).SerializeToString(),))
                size += _NOTICE_BYTES
                continue
            for pieces in encoder.responses(item):
                responses.append(pieces)
                size += sum(map(len, pieces))
        return responses

    def _compacted(self, notice: Compacted) -> rpc_pb2.WatchResponse:
        # etcd's header has no revision here, and no reason stands beside compact_revision.
        return rpc_pb2.WatchResponse(
            header=convert.header(self._node, 0),
            watch_id=notice.watch_id,
            canceled=True,
            compact_revision=notice.compact_revision,
        )

    def send_progress(self, watch_id: int) -> None:
        """Tell that every event up to the header's revision has been sent."""
        self._call.send(rpc_pb2.WatchResponse(header=self._header(), watch_id=watch_id))

    def schedule_progress(self, interval_seconds: float) -> None:
        """Notify silent watchers that want it, from now on."""

        def notify() -> None:
            if not self._call.is_blocked:
                for watch_id in self._hub.progress(self.stream):
                    self.send_progress(watch_id)
            self.schedule_progress(interval_seconds)

        self._progress_timer = self._node.clock.call_later(interval_seconds, notify)

    def lose_leader(self) -> None:
        """The member has had no leader for too long."""
        if self._wants_leader:
            self._call.fail(NoLeaderError())

    def _header(self) -> rpc_pb2.ResponseHeader:
        return convert.header(self._node, self._node.machine.store.revision)

    def _on_writable(self) -> None:
        self._hub.resume(self.stream)
        self._service.wake()

    def _on_closed(self) -> None:
        assert self._progress_timer is not None
        self._progress_timer.cancel()
        self._service.forget(self)


def _spec(request: rpc_pb2.WatchCreateRequest) -> WatchSpec:
    filters: Any = request.filters
    return WatchSpec(
        key=request.key,
        range_end=request.range_end,
        start_revision=request.start_revision,
        watch_id=request.watch_id,
        no_put=rpc_pb2.WatchCreateRequest.NOPUT in filters,
        no_delete=rpc_pb2.WatchCreateRequest.NODELETE in filters,
        prev_kv=request.prev_kv,
        progress_notify=request.progress_notify,
        fragment=request.fragment,
    )
