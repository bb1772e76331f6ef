"""The Watch service over a real store and hub; the client is a call that records."""

from pathlib import Path

import pytest

from kvstore.commands import Compact, Put, Txn
from kvstore.errors import NoLeaderError
from kvstore.pb import mvcc_pb2
from kvstore.pb.rpc_pb2 import (
    PutRequest,
    PutResponse,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)
from kvstore.server.watch import WatchService
from tests.kvstore.server.single import running
from tests.kvstore.server.watched import RecordingCall, SoloNode, header, revisions


@pytest.fixture
def node() -> SoloNode:
    return SoloNode()


@pytest.fixture
def service(node: SoloNode) -> WatchService:
    return WatchService(node, progress_interval_seconds=10.0)


@pytest.fixture
def call(service: WatchService) -> RecordingCall:
    return RecordingCall(service)


def test_created_is_answered_with_id_and_present_revision(
    node: SoloNode, call: RecordingCall
) -> None:
    node.put(b"k")
    call.create(b"k")
    assert call.take() == [WatchResponse(header=header(2), watch_id=0, created=True)]


def test_event_is_sent_when_it_is_applied(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k", prev_kv=True, watch_id=-4)
    node.put(b"k", b"1")
    node.put(b"k", b"2")
    node.delete(b"k")
    first, second, third = call.take()[1:]
    one = mvcc_pb2.KeyValue(key=b"k", value=b"1", create_revision=2, mod_revision=2, version=1)
    two = mvcc_pb2.KeyValue(key=b"k", value=b"2", create_revision=2, mod_revision=3, version=2)
    gone = mvcc_pb2.KeyValue(key=b"k", mod_revision=4)
    assert first == WatchResponse(header=header(2), watch_id=-4, events=[mvcc_pb2.Event(kv=one)])
    assert second == WatchResponse(
        header=header(3), watch_id=-4, events=[mvcc_pb2.Event(kv=two, prev_kv=one)]
    )
    deletion = mvcc_pb2.Event(type=mvcc_pb2.Event.DELETE, kv=gone, prev_kv=two)
    assert third == WatchResponse(header=header(4), watch_id=-4, events=[deletion])


def test_prev_kv_is_only_for_who_asked(node: SoloNode, call: RecordingCall) -> None:
    node.put(b"k", b"1")
    call.create(b"k", watch_id=1)
    call.create(b"k", watch_id=2, prev_kv=True)
    node.put(b"k", b"2")
    plain, with_prev = call.take()[2:]
    assert not plain.events[0].HasField("prev_kv")
    assert with_prev.events[0].prev_kv.value == b"1"


def test_refusal_is_a_response_and_the_stream_goes_on(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k", b"k")
    assert call.take() == [
        WatchResponse(
            header=header(1),
            watch_id=-1,
            created=True,
            canceled=True,
            cancel_reason="mvcc: watcher range is empty",
        )
    ]
    call.create(b"k")
    node.put(b"k")
    assert revisions(call.take()) == [2]


def test_filters_of_the_request_apply(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k", watch_id=1, filters=[WatchCreateRequest.NOPUT])
    call.create(b"k", watch_id=2, filters=[WatchCreateRequest.NODELETE])
    node.put(b"k")
    node.delete(b"k")
    got = [(response.watch_id, revisions([response])) for response in call.take()[2:]]
    assert got == [(2, [2]), (1, [3])]


def test_history_comes_after_created_and_in_slices(node: SoloNode, call: RecordingCall) -> None:
    for _ in range(8):
        node.put(b"k")
    call.create(b"k", start_revision=2)
    (created,) = call.take()
    assert created.created
    node.manual_clock.advance(0)
    responses = call.take()
    assert [len(response.events) for response in responses] == [3, 3, 2]
    assert revisions(responses) == list(range(2, 10))
    node.put(b"k")
    assert revisions(call.take()) == [10]


def test_loop_is_given_back_after_a_slice_of_time(
    node: SoloNode, service: WatchService, call: RecordingCall
) -> None:
    for _ in range(8):
        node.put(b"k")
    call.create(b"k", start_revision=2)
    call.take()
    node.manual_clock.seconds_per_look = 0.003
    seen = []
    while node.manual_clock.turn():
        seen.append(len(revisions(call.take())))
    assert sum(seen) == 8
    assert len(seen) > 2


def test_reading_history_without_a_match_gives_the_loop_back_too(
    node: SoloNode, call: RecordingCall
) -> None:
    for _ in range(8):
        node.put(b"k")
    call.create(b"other", start_revision=2)
    node.manual_clock.seconds_per_look = 0.006
    turns = 0
    while node.manual_clock.turn():
        turns += 1
    assert turns == 3
    assert not node.watches.needs_catch_up


def test_applied_events_wait_for_the_round_that_is_scheduled(
    node: SoloNode, service: WatchService
) -> None:
    calls = [RecordingCall(service) for _ in range(4)]
    for call in calls:
        call.create(b"k")
    node.manual_clock.seconds_per_look = 0.006
    node.put(b"k")
    node.put(b"k")
    assert sum(len(revisions(call.responses)) for call in calls) < 8
    while node.manual_clock.turn():
        pass
    assert [revisions(call.take()) for call in calls] == [[2, 3]] * 4


def test_start_below_the_compaction_is_created_then_cancelled(
    node: SoloNode, call: RecordingCall
) -> None:
    for _ in range(4):
        node.put(b"k")
    node.machine.store.compact(Compact(4))
    call.create(b"k", start_revision=2)
    node.manual_clock.advance(0)
    assert call.take() == [
        WatchResponse(header=header(5), created=True),
        WatchResponse(header=header(0), canceled=True, compact_revision=4),
    ]


def test_cancel_is_confirmed_once_and_ends_the_events(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k")
    call.cancel(99)
    call.cancel(0)
    call.cancel(0)
    node.put(b"k")
    assert call.take()[1:] == [WatchResponse(header=header(1), canceled=True)]


def test_empty_request_is_not_answered(call: RecordingCall) -> None:
    call.on_request(WatchRequest())
    assert call.take() == []


def test_half_closed_stream_goes_on(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k")
    call.on_half_closed()
    node.put(b"k")
    assert revisions(call.take()) == [2]


def test_blocked_stream_is_held_back_and_goes_on_where_it_stopped(
    node: SoloNode, service: WatchService, call: RecordingCall
) -> None:
    other = RecordingCall(service)
    for client in (call, other):
        client.create(b"k")
    call.room = 2
    for _ in range(5):
        node.put(b"k")
    assert revisions(call.responses) == [2]
    assert revisions(other.take()) == [2, 3, 4, 5, 6]
    call.unblock()
    node.manual_clock.advance(0)
    assert revisions(call.take()) == [2, 3, 4, 5, 6]


def test_manual_progress_of_a_synced_stream_is_answered_at_once(
    node: SoloNode, call: RecordingCall
) -> None:
    call.ask_progress()
    call.create(b"k")
    node.put(b"k")
    call.ask_progress()
    assert [(r.watch_id, r.header.revision) for r in call.take() if not r.created] == [
        (-1, 1),
        (0, 2),
        (-1, 2),
    ]


def test_manual_progress_waits_until_every_watcher_is_synced(
    node: SoloNode, call: RecordingCall
) -> None:
    for _ in range(8):
        node.put(b"k")
    call.create(b"k", watch_id=1)
    call.create(b"k", watch_id=2, start_revision=1)
    call.ask_progress()
    assert [response.created for response in call.take()] == [True, True]
    node.manual_clock.advance(0)
    responses = call.take()
    assert revisions(responses) == list(range(2, 10))
    assert responses[-1] == WatchResponse(header=header(9), watch_id=-1)
    assert [response.watch_id for response in responses].count(-1) == 1


def test_silent_watcher_is_notified_of_progress(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k", watch_id=1, progress_notify=True)
    call.create(b"l", watch_id=2)
    node.put(b"x")
    call.take()
    node.manual_clock.advance(9.9)
    assert call.take() == []
    node.manual_clock.advance(0.1)
    assert call.take() == [WatchResponse(header=header(2), watch_id=1)]
    node.put(b"k")
    call.take()
    node.manual_clock.advance(10)
    assert call.take() == [], "an event was news enough"
    node.manual_clock.advance(10)
    assert call.take() == [WatchResponse(header=header(3), watch_id=1)]


def test_blocked_stream_is_not_notified_of_progress(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k", watch_id=1, progress_notify=True)
    call.room = 1
    node.manual_clock.advance(10)
    assert len(call.take()) == 1


def test_closed_stream_is_forgotten(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k", progress_notify=True)
    call.take()
    call.on_closed()
    node.put(b"k")
    node.manual_clock.advance(100)
    assert call.responses == []
    assert all(timer.is_cancelled for timer in node.manual_clock.timers)


def test_stream_that_wants_a_leader_fails_at_once_without_one(
    node: SoloNode, service: WatchService
) -> None:
    node.leader_id = 0
    with pytest.raises(NoLeaderError):  # which ends the call
        RecordingCall(service, hasleader="true")


def test_stream_that_wants_a_leader_fails_when_it_is_gone_for_long(
    node: SoloNode, service: WatchService, call: RecordingCall
) -> None:
    wanting = RecordingCall(service, hasleader="true")
    node.leader_id = 0
    for _ in range(3):
        node.tick()
        node.manual_clock.advance(1)
    assert wanting.failure is None
    node.leader_id = 22
    node.tick()
    node.leader_id = 0
    for _ in range(4):
        assert wanting.failure is None
        node.tick()
        node.manual_clock.advance(1)
    assert isinstance(wanting.failure, NoLeaderError)
    assert call.failure is None
    call.create(b"k")
    node.put(b"k")
    assert revisions(call.take()) == [2]
    assert wanting.responses == []


def test_txn_is_one_response(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"a", b"z")
    node.machine.store.txn(Txn(success=(Put(b"b"), Put(b"a"))))
    node.publish()
    (response,) = call.take()[1:]
    assert [event.kv.key for event in response.events] == [b"b", b"a"]


async def test_watch_on_a_real_member_reads_history_and_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as member:
        for value in (b"1", b"2"):
            await member.call("KV/Put", PutRequest(key=b"k", value=value), PutResponse)
        stream = member.stream("Watch/Watch", WatchResponse)
        request = WatchCreateRequest(key=b"k", start_revision=2, prev_kv=True)
        await stream.write(WatchRequest(create_request=request))
        created = await stream.read()
        assert (created.created, created.header.revision) == (True, 3)
        assert revisions([await stream.read()]) == [2, 3]
        await member.call("KV/Put", PutRequest(key=b"k", value=b"3"), PutResponse)
        news = await stream.read()
        assert (news.events[0].kv.value, news.events[0].prev_kv.value) == (b"3", b"2")
        cancel = WatchCancelRequest(watch_id=created.watch_id)
        await stream.write(WatchRequest(cancel_request=cancel))
        assert (await stream.read()).canceled
