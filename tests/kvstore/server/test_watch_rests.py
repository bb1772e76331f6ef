"""The more there is to send to watchers, the more of it goes out together."""

import pytest

from kvstore.server import watch
from kvstore.server.watch import WatchService
from tests.kvstore.server.watched import RecordingCall, SoloNode, revisions


@pytest.fixture
def node() -> SoloNode:
    return SoloNode()


@pytest.fixture
def service(node: SoloNode) -> WatchService:
    return WatchService(node, progress_interval_seconds=10.0)


@pytest.fixture
def call(service: WatchService) -> RecordingCall:
    return RecordingCall(service)


def test_events_for_many_watchers_gather_while_others_have_the_loop(
    node: SoloNode, call: RecordingCall
) -> None:
    for _ in range(100):
        call.create(b"k")
    call.take()
    first = node.put(b"k")
    assert revisions(call.take()) == [first] * 100
    second, third = node.put(b"k"), node.put(b"k")
    assert call.take() == []
    node.manual_clock.advance(watch._REST_SECONDS_MAX)
    responses = call.take()
    assert len(responses) == 100
    assert {tuple(revisions([response])) for response in responses} == {(second, third)}


def test_a_few_watchers_wait_for_nothing(node: SoloNode, call: RecordingCall) -> None:
    call.create(b"k")
    call.take()
    for _ in range(10):
        assert revisions(call.take()) == []
        revision = node.put(b"k")
        assert revisions(call.take()) == [revision]


def test_nobody_cuts_a_rest_short(
    node: SoloNode, call: RecordingCall, service: WatchService
) -> None:
    for _ in range(100):
        call.create(b"k")
    node.put(b"k")
    call.take()
    node.put(b"k")
    service.wake()
    node.manual_clock.advance(0)
    assert call.take() == []
    node.manual_clock.advance(watch._REST_SECONDS_MAX)
    assert len(call.take()) == 100
