"""How watches stay whole: the rules of `watch_state`, without a network."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.client import Filter, watch_state
from kvstore.client.watch_state import Watcher, WatchMultiplexer, WatchOptions
from kvstore.errors import CompactedError, UnavailableError, WatchCanceledError
from kvstore.pb import mvcc_pb2, rpc_pb2


class Fixture:
    """A multiplexer and its stream's other end."""

    def __init__(self) -> None:
        self.multiplexer = WatchMultiplexer()
        self.next_id = 0

    def watcher(self, **options: object) -> Watcher:
        watcher = Watcher(WatchOptions(key=b"k", **options), lambda: None)  # type: ignore[arg-type]
        self.multiplexer.add(watcher)
        return watcher

    def creates(self) -> list[rpc_pb2.WatchCreateRequest]:
        requests = self.multiplexer.take_requests()
        return [r.create_request for r in requests if r.HasField("create_request")]

    def cancels(self) -> list[int]:
        requests = self.multiplexer.take_requests()
        return [r.cancel_request.watch_id for r in requests if r.HasField("cancel_request")]

    def confirm(self, revision: int = 10) -> int:
        self.next_id += 1
        self.respond(revision, self.next_id, created=True)
        return self.next_id

    def respond(
        self, revision: int, watch_id: int, events: Sequence[int] = (), **fields: object
    ) -> None:
        self.multiplexer.receive(
            rpc_pb2.WatchResponse(
                header=rpc_pb2.ResponseHeader(revision=revision),
                watch_id=watch_id,
                events=[event(r) for r in events],
                **fields,  # type: ignore[arg-type]
            )
        )


def event(revision: int, value: bytes = b"v") -> mvcc_pb2.Event:
    return mvcc_pb2.Event(kv=mvcc_pb2.KeyValue(key=b"k", value=value, mod_revision=revision))


def taken(watcher: Watcher) -> list[int]:
    revisions = []
    while (batch := watcher.take()) is not None:
        revisions += [e.kv.mod_revision for e in batch.events]
    return revisions


@pytest.fixture
def stream() -> Fixture:
    fixture = Fixture()
    fixture.multiplexer.connected()
    return fixture


def reconnect(stream: Fixture) -> list[int]:
    """The start revisions that are asked for on the next stream."""
    stream.multiplexer.disconnected()
    stream.multiplexer.connected()
    return [create.start_revision for create in stream.creates()]


def test_a_watch_from_now_is_anchored_by_its_created_response(stream: Fixture) -> None:
    stream.watcher()
    assert [create.start_revision for create in stream.creates()] == [0]
    stream.confirm(revision=10)
    assert reconnect(stream) == [11]


def test_an_unconfirmed_watch_from_now_stays_one(stream: Fixture) -> None:
    stream.watcher()
    assert reconnect(stream) == [0]


def test_a_watch_resumes_after_the_last_revision_it_delivered(stream: Fixture) -> None:
    watcher = stream.watcher(start_revision=5)
    watch_id = stream.confirm(revision=100)
    stream.respond(100, watch_id, [5, 6, 6])
    assert reconnect(stream) == [7]
    assert taken(watcher) == [5, 6, 6]


def test_events_that_were_delivered_before_are_dropped(stream: Fixture) -> None:
    watcher = stream.watcher(start_revision=5)
    stream.respond(100, stream.confirm(), [5, 6])
    reconnect(stream)
    stream.respond(100, stream.confirm(), [6, 7])
    assert taken(watcher) == [5, 6, 7]


def test_progress_moves_the_resume_revision_but_never_back(stream: Fixture) -> None:
    stream.watcher()
    watch_id = stream.confirm(revision=10)
    stream.respond(20, watch_id)
    stream.respond(15, watch_id)
    assert reconnect(stream) == [21]


def test_progress_does_not_move_a_watch_of_the_future(stream: Fixture) -> None:
    stream.watcher(start_revision=50)
    stream.respond(20, stream.confirm(revision=10))
    assert reconnect(stream) == [50]


def test_only_who_asked_sees_progress_and_unread_progress_is_replaced(stream: Fixture) -> None:
    quiet, curious = stream.watcher(), stream.watcher(progress_notify=True)
    for watch_id in (stream.confirm(), stream.confirm()):
        stream.respond(20, watch_id)
        stream.respond(21, watch_id)
    assert quiet.take() is None
    batch = curious.take()
    assert batch is not None
    assert (batch.revision, batch.events) == (21, ())
    assert curious.take() is None


def test_manual_progress_reaches_who_asked_and_moves_nothing(stream: Fixture) -> None:
    asking, silent = stream.watcher(), stream.watcher()
    stream.confirm(), stream.confirm()
    stream.multiplexer.request_progress(asking)
    assert any(r.HasField("progress_request") for r in stream.multiplexer.take_requests())
    stream.respond(30, -1)
    assert silent.take() is None
    batch = asking.take()
    assert batch is not None
    assert batch.revision == 30
    assert reconnect(stream) == [11, 11]


def asks_progress(stream: Fixture) -> bool:
    requests = stream.multiplexer.take_requests()
    return any(request.HasField("progress_request") for request in requests)


def test_manual_progress_is_no_news_of_a_watch_that_is_not_confirmed(stream: Fixture) -> None:
    early, late = stream.watcher(), stream.watcher(start_revision=5)
    stream.confirm()
    stream.multiplexer.request_progress(early)
    stream.multiplexer.request_progress(late)
    assert asks_progress(stream)
    stream.respond(30, -1)
    assert early.take() is not None
    assert late.take() is None


def test_a_watch_with_a_backlog_asks_for_progress_once_something_of_it_has_come(
    stream: Fixture,
) -> None:
    """etcd before 3.4.25 answers ahead of it."""
    late = stream.watcher(start_revision=5)
    stream.multiplexer.request_progress(late)
    watch_id = stream.confirm(revision=30)
    assert not asks_progress(stream)
    stream.respond(30, watch_id, [7])
    assert asks_progress(stream)
    stream.respond(30, watch_id, [8])
    assert not asks_progress(stream)
    stream.respond(30, -1)
    assert taken(late) == [7, 8]


def test_nobody_who_has_ended_waits_for_progress(stream: Fixture) -> None:
    left, refused = stream.watcher(), stream.watcher()
    for watcher in (left, refused):
        stream.multiplexer.request_progress(watcher)
    stream.multiplexer.remove(left)
    stream.confirm()
    stream.respond(9, 2, created=True, canceled=True)
    failed = stream.watcher()
    stream.multiplexer.request_progress(failed)
    stream.multiplexer.fail(UnavailableError("gone"))
    for watcher in (left, refused, failed):
        stream.multiplexer.request_progress(watcher)
    assert not stream.multiplexer._awaiting_progress


def test_manual_progress_waits_for_a_watch_that_is_paused(
    stream: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "BUFFER_EVENTS_MAX", 1)
    watcher = stream.watcher(start_revision=1)
    watch_id = stream.confirm()
    stream.multiplexer.request_progress(watcher)
    stream.respond(9, watch_id, [1])
    stream.respond(9, watch_id, [2])  # one too many: it is cancelled, and asked for again later
    stream.respond(9, -1)
    batch = watcher.take()
    assert batch is not None
    assert [e.kv.mod_revision for e in batch.events] == [1]
    assert watcher.take() is None
    stream.multiplexer.consumed(watcher)
    stream.confirm(revision=1)
    assert asks_progress(stream)


def test_progress_is_asked_for_again_on_the_next_stream(stream: Fixture) -> None:
    watcher = stream.watcher()
    stream.confirm()
    stream.multiplexer.request_progress(watcher)
    assert reconnect(stream) == [11]
    stream.confirm(revision=10)
    assert asks_progress(stream)
    stream.respond(30, -1)
    batch = watcher.take()
    assert batch is not None
    assert (batch.revision, batch.events) == (30, ())


def test_fragments_arrive_together(stream: Fixture) -> None:
    watcher = stream.watcher(start_revision=5)
    watch_id = stream.confirm()
    stream.respond(9, watch_id, [5, 5], fragment=True)
    assert watcher.take() is None
    stream.respond(9, watch_id, [5])
    batch = watcher.take()
    assert batch is not None
    assert len(batch.events) == 3


def test_a_half_received_revision_is_asked_for_again(stream: Fixture) -> None:
    watcher = stream.watcher(start_revision=5)
    stream.respond(9, stream.confirm(), [5, 5], fragment=True)
    assert reconnect(stream) == [5]
    stream.respond(9, stream.confirm(), [5, 5, 5])
    assert taken(watcher) == [5, 5, 5]


def test_a_full_watcher_is_cancelled_and_resumes_when_half_read(
    stream: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "BUFFER_EVENTS_MAX", 4)
    slow, fast = stream.watcher(start_revision=1), stream.watcher(start_revision=1)
    slow_id, fast_id = stream.confirm(), stream.confirm()
    stream.creates()
    for revision in range(1, 7):
        stream.respond(9, slow_id, [revision])
        stream.respond(9, fast_id, [revision])
        assert taken(fast) == [revision]  # not held up
    assert stream.cancels() == [slow_id]
    for _ in range(2):
        assert slow.take() is not None
        stream.multiplexer.consumed(slow)
    assert [create.start_revision for create in stream.creates()] == [5]
    stream.respond(9, stream.confirm(), [5, 6])
    assert taken(slow) == [3, 4, 5, 6]


def test_a_paused_watcher_stays_paused_over_a_reconnect(
    stream: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "BUFFER_BYTES_MAX", 2)
    watcher = stream.watcher(start_revision=1)
    watch_id = stream.confirm()
    stream.respond(9, watch_id, [1])
    stream.respond(9, watch_id, [2])
    assert reconnect(stream) == []
    assert watcher.take() is not None
    stream.multiplexer.consumed(watcher)
    assert [create.start_revision for create in stream.creates()] == [2]


def test_compaction_ends_a_watch_with_its_revisions(stream: Fixture) -> None:
    watcher = stream.watcher(start_revision=3)
    watch_id = stream.confirm()
    stream.respond(9, watch_id, canceled=True, compact_revision=8)
    assert isinstance(watcher.error, CompactedError)
    assert (watcher.error.requested, watcher.error.compacted) == (3, 8)
    assert stream.multiplexer.is_empty


def test_a_refused_watch_ends_alone(stream: Fixture) -> None:
    refused, other = stream.watcher(), stream.watcher(start_revision=1)
    stream.respond(9, -1, created=True, canceled=True, cancel_reason="mvcc: empty range")
    stream.respond(9, stream.confirm(), [1])
    assert isinstance(refused.error, WatchCanceledError)
    assert str(refused.error) == "mvcc: empty range"
    assert taken(other) == [1]


def test_a_watch_cancelled_before_its_confirmation_is_cancelled_after_it(stream: Fixture) -> None:
    watcher = stream.watcher()
    stream.multiplexer.remove(watcher)
    watch_id = stream.confirm()
    assert stream.cancels() == [watch_id]
    stream.respond(9, watch_id, [11])
    assert taken(watcher) == []


def test_events_after_a_cancel_are_dropped(stream: Fixture) -> None:
    watcher = stream.watcher(start_revision=1)
    watch_id = stream.confirm()
    stream.respond(9, watch_id, [1])
    stream.multiplexer.remove(watcher)
    stream.respond(9, watch_id, [2])
    stream.respond(9, watch_id, canceled=True)
    assert taken(watcher) == [1]
    stream.multiplexer.remove(watcher)  # twice is harmless


def test_failure_ends_every_watch(stream: Fixture) -> None:
    watchers = [stream.watcher(), stream.watcher()]
    stream.multiplexer.fail(UnavailableError("closed"))
    assert all(isinstance(w.error, UnavailableError) for w in watchers)
    assert stream.multiplexer.is_empty


def test_options_reach_the_server(stream: Fixture) -> None:
    stream.watcher(range_end=b"l", prev_kv=True, filters=(Filter.NODELETE,), fragment=True)
    (create,) = stream.creates()
    assert (create.key, create.range_end, create.prev_kv, create.fragment) == (
        b"k",
        b"l",
        True,
        True,
    )
    assert list(create.filters) == [rpc_pb2.WatchCreateRequest.NODELETE]
    assert create.progress_notify  # always: an idle watch moves on, too


# Each step is what a server might do next; the model server keeps the whole history.
_steps = st.lists(
    st.sampled_from(["write", "send", "half", "progress", "break", "read", "manual"]), max_size=80
)


@settings(max_examples=200, deadline=None)
@given(_steps, st.integers(1, 3))
def test_whatever_happens_every_event_comes_once_and_in_order(steps: list[str], size: int) -> None:
    """Events of a revision (`size` of them) are neither lost, repeated nor torn apart."""
    stream = Fixture()
    stream.multiplexer.connected()
    watcher = stream.watcher()
    stream.creates()
    watch_id = stream.confirm(revision=1)
    last, sent, seen = 1, 1, []
    for step in steps:
        match step:
            case "write":
                last += 1
            case "send" if sent < last:
                sent += 1
                stream.respond(last, watch_id, [sent] * size)
            case "half" if sent < last:
                stream.respond(last, watch_id, [sent + 1], fragment=True)
                (start,) = reconnect(stream)
                watch_id, sent = stream.confirm(revision=last), start - 1
            case "progress" if sent == last:
                stream.respond(last, watch_id)
            case "manual":
                stream.respond(last, -1)  # may overtake events on old servers
            case "break":
                (start,) = reconnect(stream)
                watch_id, sent = stream.confirm(revision=last), start - 1
            case "read":
                seen += taken(watcher)
    while sent < last:
        sent += 1
        stream.respond(last, watch_id, [sent] * size)
    seen += taken(watcher)
    assert seen == [revision for revision in range(2, last + 1) for _ in range(size)]
