"""Windows of what is received (RFC 9113, 5.2 and 6.9), and requests that are never complete."""

import pytest

from kvstore.http2.limits import (
    HELD_BYTES_MAX,
    RECEIVING_BYTES_MAX,
    STREAM_BLOCKED_BYTES,
    Limits,
)
from kvstore.http2.protocol import (
    DATA,
    PING,
    WINDOW_UPDATE,
    ErrorCode,
)
from kvstore.http2.receiver import CONNECTION_WINDOW
from tests.kvstore.http2.peer import REQUEST, Call, Peer, frame, message


def test_no_message_waits_for_credit_halfway() -> None:
    limits = Limits(message_bytes_max=300_000)
    peer = Peer(limits)
    call = peer.begin()
    data = message(bytes(300_000))
    for at in range(0, len(data), 16_000):
        peer.data(call, data[at : at + 16_000])
    assert call.messages == [bytes(300_000)]


def test_windows_are_refilled_by_halves() -> None:
    limits = Limits(message_bytes_max=1_000_000)
    peer = Peer(limits)
    call = peer.begin()
    credit = {0: CONNECTION_WINDOW, call.id: limits.stream_window}
    body = message(bytes(16_000 - 5))
    for _ in range(3_000):
        peer.data(call, body)
        for update in peer.take():
            assert update.kind == WINDOW_UPDATE
            credit[update.stream_id] += int.from_bytes(update.payload)
        for stream_id in credit:
            credit[stream_id] -= len(body)
            assert credit[stream_id] > 0
    assert len(call.messages) == 3_000
    assert peer.connection.receiver.window > CONNECTION_WINDOW // 3


def test_who_does_not_read_gets_no_credit_for_more_requests() -> None:
    limits = Limits(message_bytes_max=100_000)
    peer = Peer(limits)
    call = peer.begin()
    while not call.is_blocked:
        call.send(bytes(200_000))
    peer.take()
    for _ in range(limits.stream_window // 16_000):
        peer.data(call, message(bytes(16_000 - 5)))
    assert [f for f in peer.take() if f.stream_id == call.id] == []
    peer.data(call, message(bytes(16_000 - 5)))
    assert peer.stream_fault(call.id) is ErrorCode.FLOW_CONTROL_ERROR


class Shouting(Call):
    """Answers every request with more than its client reads."""

    def message_received(self, message: bytes) -> None:
        super().message_received(message)
        self.send(bytes(2 * STREAM_BLOCKED_BYTES))


@pytest.mark.parametrize("is_last", [True, False])
def test_requests_wait_while_their_answers_are_not_read(is_last: bool) -> None:
    peer = Peer(call_type=Shouting)
    call = peer.begin()
    peer.data(call, message(b"one") + message(b"two"))
    peer.data(call, message(b"three")[:3])
    peer.data(call, message(b"three")[3:] + message(b"four"), is_last=is_last)
    assert call.messages == [b"one"]
    assert call.happened == []
    for number in range(2, 5):
        while len(call.messages) < number:
            peer.window(0, 500_000)
            peer.window(call.id, 500_000)
            peer.take()
    assert call.messages == [b"one", b"two", b"three", b"four"]
    while is_last and "half-closed" not in call.happened:
        peer.window(0, 500_000)
        peer.window(call.id, 500_000)
        peer.take()
    assert peer.totals.receiving_bytes == 0


def test_a_blocked_stream_that_has_nothing_waiting_goes_on() -> None:
    peer = Peer(call_type=Shouting)
    call = peer.begin()
    peer.data(call, message(b"one"))
    assert call.is_blocked
    peer.window(0, 2**24)
    peer.window(call.id, 2**24)
    peer.take()
    peer.data(call, message(b"two"))
    assert call.messages == [b"one", b"two"]


def test_who_goes_on_asking_and_does_not_read_is_closed() -> None:
    peer = Peer(Limits(ping_interval_min_seconds=0.0))
    peer.connection.sender.pause()
    sent = 0
    while not peer.connection.is_closing:
        peer.now += 1.0
        peer.send(frame(PING, 0, 0, bytes(8)) * 150)
        sent += 150 * 17
        assert sent < 2 * HELD_BYTES_MAX
    assert peer.fault() is ErrorCode.ENHANCE_YOUR_CALM


def test_6_9_1_more_than_the_window_of_the_connection() -> None:
    peer = Peer()
    peer.connection.receiver.window = 10
    peer.data(peer.begin(), message(b"123456"))
    assert peer.fault() is ErrorCode.FLOW_CONTROL_ERROR


def test_padding_counts() -> None:
    limits = Limits(message_bytes_max=1)
    peer = Peer(limits)
    call = peer.begin()
    before = call.receive_window
    peer.send(frame(DATA, 0x8, call.id, b"\x64" + bytes(100)))
    assert call.receive_window == before - 101


def test_requests_that_are_never_complete_are_bounded() -> None:
    limits = Limits(message_bytes_max=2**20, streams_max=1000)
    peer = Peer(limits)
    calls = []
    while peer.totals.receiving_bytes <= RECEIVING_BYTES_MAX - 2**20:
        calls.append(peer.begin())
        for _ in range(64):
            peer.data(calls[-1], message(bytes(2**20))[:16_000])
        peer.take()
    last = peer.begin()
    while not last.is_over:
        peer.data(last, message(bytes(2**20))[:16_000])
    assert "grpc-status" in peer.fields(next(f for f in peer.take() if f.stream_id == last.id))
    assert peer.totals.receiving_bytes <= RECEIVING_BYTES_MAX
    assert not any(call.is_over for call in calls)
    peer.connection.lost()
    assert peer.totals.receiving_bytes == 0


def test_long_heads_of_calls_under_way_count_like_messages() -> None:
    peer = Peer()
    fields = [*REQUEST, ("authorization", "x" * 10_000)]
    kept = peer.begin(fields)
    size = peer.totals.receiving_bytes
    assert size > 10_000
    peer.connection.receiver.held_bytes = RECEIVING_BYTES_MAX - size
    peer.begin(fields)
    beyond = peer.next_id()
    peer.send(peer.headers(beyond, fields))
    assert peer.stream_fault(beyond) is ErrorCode.REFUSED_STREAM
    peer.begin()  # a short one
    peer.connection.reset(kept, ErrorCode.CANCEL)
    peer.begin(fields)
    peer.connection.lost()
    assert peer.totals.receiving_bytes == 0


def test_larger_messages_than_usual_may_be_allowed() -> None:
    peer = Peer(Limits(message_bytes_max=2 * RECEIVING_BYTES_MAX))
    call = peer.begin()
    peer.data(call, message(bytes(16_000))[:8_000])
    peer.connection.receiver.held_bytes += RECEIVING_BYTES_MAX
    peer.data(call, message(bytes(16_000))[8_000:])
    assert len(call.messages) == 1
