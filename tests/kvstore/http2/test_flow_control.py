"""Windows of what is sent (RFC 9113, 5.2 and 6.9), and who waits for them."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvstore.http2.limits import (
    BATCH_BYTES_MAX,
    SENDING_BYTES_MAX,
    STREAM_BLOCKED_BYTES,
    STREAM_WRITABLE_BYTES,
)
from kvstore.http2.protocol import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    HEADERS,
    WINDOW_DEFAULT,
    WINDOW_MAX,
    ErrorCode,
    SettingCode,
)
from kvstore.http2.totals import Totals
from tests.kvstore.http2.peer import REQUEST, Answering, Call, Frame, Peer, frame, message

HALF_CLOSED = END_HEADERS | END_STREAM


def bodies(frames: list[Frame], stream_id: int | None = None) -> bytes:
    return b"".join(
        f.payload for f in frames if f.kind == DATA and stream_id in (None, f.stream_id)
    )


# ---------------------------------------------------------------------- sending


def test_a_large_answer_goes_in_frames_of_the_peers_size() -> None:
    peer = Peer()
    call = peer.begin(flags=HALF_CLOSED)
    call.answer(bytes(40_000))
    frames = peer.take()
    sizes = [len(f.payload) for f in frames if f.kind == DATA]
    assert sizes == [FRAME_BYTES_DEFAULT, FRAME_BYTES_DEFAULT, 40_005 - 2 * FRAME_BYTES_DEFAULT]
    assert (frames[-1].kind, frames[-1].flags) == (HEADERS, HALF_CLOSED)
    assert call.is_over
    peer.settings((SettingCode.MAX_FRAME_SIZE, 2**20))
    peer.window(0, 2**20)
    call = peer.begin(flags=HALF_CLOSED)
    call.answer(bytes(40_000))
    assert [len(f.payload) for f in peer.take() if f.kind == DATA] == [40_005]


def test_an_answer_waits_for_the_window_of_its_stream() -> None:
    peer = Peer()
    peer.window(0, 1_000_000)
    call = peer.begin(flags=HALF_CLOSED)
    call.answer(bytes(100_000))
    assert len(bodies(peer.take())) == WINDOW_DEFAULT
    assert not call.is_over
    peer.window(call.id, 10_000)
    assert len(bodies(peer.take())) == 10_000
    peer.window(call.id, 1_000_000)
    frames = peer.take()
    assert len(bodies(frames)) == 100_005 - WINDOW_DEFAULT - 10_000
    assert frames[-1].flags == HALF_CLOSED
    assert call.happened == ["half-closed", "closed"]
    assert peer.totals.sending_bytes == 0


def test_streams_take_turns_at_the_window_of_the_connection() -> None:
    peer = Peer()
    calls = [peer.begin(flags=HALF_CLOSED) for _ in range(3)]
    for call in calls:
        call.answer(bytes(200_000))
    peer.take()
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 1_000_000))
    peer.window(0, 9 * FRAME_BYTES_DEFAULT)
    frames = [f for f in peer.take() if f.kind == DATA]
    assert [f.stream_id for f in frames] == [3, 5, 1] * 3 or [f.stream_id for f in frames] == [
        1,
        3,
        5,
    ] * 3
    peer.window(0, 1_000_000)
    peer.take()
    assert all(call.is_over for call in calls)


def test_who_comes_later_does_not_overtake() -> None:
    peer = Peer()
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 1_000_000))
    first = peer.begin()
    first.send(bytes(WINDOW_DEFAULT + 10))
    peer.take()
    second = peer.begin()
    second.send(b"small")
    assert [f.kind for f in peer.take()] == [HEADERS]
    peer.window(0, 1_000)
    frames = [f for f in peer.take() if f.kind == DATA]
    assert [f.stream_id for f in frames] == [first.id, second.id]


def test_nothing_leaves_while_the_transport_is_full() -> None:
    peer = Peer()
    call = peer.begin()
    peer.connection.sender.pause()
    call.send(b"one")
    call.send(b"two")
    assert bodies(peer.take()) == b""
    call.end()
    assert not call.is_over
    peer.connection.sender.resume()
    frames = peer.take()
    assert bodies(frames) == message(b"one") + message(b"two")
    assert peer.fields(frames[-2]) == {"grpc-status": "0"}
    assert call.is_over


def test_a_dropped_queue_is_not_sent() -> None:
    peer = Peer()
    call = peer.begin()
    peer.connection.sender.pause()
    call.send(b"one")
    call.end("UNAVAILABLE", "stopped", drop_queue=True)
    peer.connection.sender.resume()
    frames = peer.take()
    assert bodies(frames) == b""
    assert peer.totals.sending_bytes == 0
    assert call.is_over


def test_a_stream_whose_client_does_not_read_is_blocked_and_told_when_it_may_go_on() -> None:
    peer = Peer()
    call = peer.begin()
    part = bytes(100_000)
    sent = 0
    while not call.is_blocked:
        call.send(part)
        sent += 1
    assert sent * len(part) >= STREAM_BLOCKED_BYTES
    assert (sent - 2) * len(part) < STREAM_BLOCKED_BYTES
    peer.window(0, WINDOW_MAX - WINDOW_DEFAULT)
    while call.queued_bytes > STREAM_WRITABLE_BYTES:
        assert "writable" not in call.happened
        peer.window(call.id, 50_000)
    assert call.happened == ["writable"]
    assert not call.is_blocked


def test_a_blocked_stream_that_has_ended_is_not_told() -> None:
    peer = Peer()
    call = peer.begin()
    while not call.is_blocked:
        call.send(bytes(200_000))
    call.end()
    peer.window(0, WINDOW_MAX - WINDOW_DEFAULT)
    peer.window(call.id, WINDOW_MAX - WINDOW_DEFAULT)
    peer.take()
    assert call.happened == ["closed"]


def test_a_writable_stream_may_send_at_once() -> None:
    class Eager(Call):
        def writable(self) -> None:
            super().writable()
            self.send(b"more")

    peer = Peer(call_type=Eager)
    call = peer.begin()
    while not call.is_blocked:
        call.send(bytes(200_000))
    peer.window(call.id, WINDOW_MAX - WINDOW_DEFAULT)
    peer.take()
    peer.window(0, WINDOW_MAX - WINDOW_DEFAULT)
    assert bodies(peer.take()).endswith(message(b"more"))


def test_6_9_2_a_new_initial_window_moves_those_of_all_streams_even_below_zero() -> None:
    peer = Peer()
    call = peer.begin()
    call.send(bytes(50_000))
    peer.take()
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 10_000))
    assert call.send_window == WINDOW_DEFAULT - 50_005 - (WINDOW_DEFAULT - 10_000) < 0
    call.send(b"waits")
    assert bodies(peer.take()) == b""
    peer.window(call.id, -call.send_window)
    assert bodies(peer.take()) == b""
    peer.window(call.id, 4)
    assert bodies(peer.take()) == message(b"waits")[:4]
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 10_100))
    assert bodies(peer.take()) == message(b"waits")[4:]


def test_6_9_2_a_stream_that_was_ready_is_not_when_its_window_shrinks() -> None:
    peer = Peer()
    call = peer.begin()
    peer.connection.sender.pause()
    call.send(b"ready")
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 0))
    peer.connection.sender.resume()
    assert bodies(peer.take()) == b""
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 100))
    assert bodies(peer.take()) == message(b"ready")


@pytest.mark.parametrize("is_stream", [True, False])
def test_6_9_1_a_window_beyond_its_maximum(is_stream: bool) -> None:
    peer = Peer()
    call = peer.begin()
    peer.window(call.id if is_stream else 0, WINDOW_MAX)
    if is_stream:
        assert peer.stream_fault(call.id) is ErrorCode.FLOW_CONTROL_ERROR
    else:
        assert peer.fault() is ErrorCode.FLOW_CONTROL_ERROR


def test_6_9_2_an_initial_window_that_makes_one_too_large() -> None:
    peer = Peer()
    call = peer.begin()
    peer.window(call.id, WINDOW_MAX - WINDOW_DEFAULT)
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, WINDOW_DEFAULT + 1))
    assert peer.fault() is ErrorCode.FLOW_CONTROL_ERROR


def test_updates_of_closed_streams_are_nothing() -> None:
    peer = Peer(call_type=Answering)
    call = peer.begin()
    peer.data(call, message(b"x"), is_last=True)
    peer.take()
    peer.window(call.id, 0)
    peer.window(call.id, 5)
    assert peer.fault() is None


def test_no_new_calls_while_too_much_waits_for_a_reader() -> None:
    totals = Totals()
    peer, other = Peer(totals=totals), Peer(totals=totals)
    call = peer.begin(flags=HALF_CLOSED)
    call.answer(bytes(SENDING_BYTES_MAX + WINDOW_DEFAULT))
    refused = peer.next_id()
    peer.send(peer.headers(refused))
    assert peer.stream_fault(refused) is ErrorCode.REFUSED_STREAM
    other.begin()
    assert other.fault() is None
    peer.connection.lost()
    assert totals.sending_bytes == 0


def test_each_stream_is_blocked_at_once_while_too_much_waits() -> None:
    peer = Peer()
    large, small = peer.begin(flags=HALF_CLOSED), peer.begin()
    large.answer(bytes(SENDING_BYTES_MAX + WINDOW_DEFAULT))
    small.send(b"small")
    assert small.is_blocked


# ---------------------------------------------------------------------- both


class Windows(RuleBasedStateMachine):
    """Whatever the windows, every byte arrives once and in order, and never more than allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = Peer()
        self.calls = [self.peer.begin() for _ in range(3)]
        self.sent = {call.id: b"" for call in self.calls}
        self.got = dict(self.sent)
        self.ended: set[int] = set()
        self.initial = WINDOW_DEFAULT
        self.credit = dict.fromkeys((0, *self.sent), WINDOW_DEFAULT)

    @rule(
        which=st.integers(0, 2),
        size=st.integers(0, 70_000),
        letter=st.binary(min_size=1, max_size=1),
    )
    def message(self, which: int, size: int, letter: bytes) -> None:
        call = self.calls[which]
        if not call.is_ended:
            self.sent[call.id] += message(letter * size)
        call.send(letter * size)

    @rule(which=st.integers(0, 2))
    def end(self, which: int) -> None:
        self.calls[which].end()

    @rule(which=st.integers(0, 2), more=st.integers(1, 60_000))
    def credit_stream(self, which: int, more: int) -> None:
        call = self.calls[which]
        if not call.is_over:
            self.credit[call.id] += more
            self.peer.window(call.id, more)

    @rule(more=st.integers(1, 120_000))
    def credit_all(self, more: int) -> None:
        self.credit[0] += more
        self.peer.window(0, more)

    @rule()
    def pause(self) -> None:
        self.peer.connection.sender.pause()

    @rule()
    def resume(self) -> None:
        self.peer.connection.sender.resume()

    @rule(size=st.integers(0, 100_000))
    def resize(self, size: int) -> None:
        for call in self.calls:
            self.credit[call.id] += size - self.initial
        self.initial = size
        self.peer.settings((SettingCode.INITIAL_WINDOW_SIZE, size))

    @invariant()
    def take(self) -> None:
        for f in self.peer.take():
            if f.kind == DATA:
                assert f.stream_id not in self.ended
                self.got[f.stream_id] += f.payload
                for window in (0, f.stream_id):
                    self.credit[window] -= len(f.payload)
                    assert self.credit[window] >= 0
            elif f.kind == HEADERS and f.flags & END_STREAM:
                self.ended.add(f.stream_id)

    def teardown(self) -> None:
        self.resume()
        self.credit_all(2**28)
        for which in range(3):
            self.credit_stream(which, 2**28)
        self.take()
        assert self.got == self.sent
        assert self.ended == {call.id for call in self.calls if call.is_ended}
        assert self.peer.totals.sending_bytes == self.peer.connection.sender.queued_bytes == 0


Windows.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestWindows = Windows.TestCase


def test_a_table_of_another_size_is_acknowledged_in_the_next_block() -> None:
    """RFC 7541, 4.2: a smaller one must be said."""
    peer = Peer(call_type=Answering)
    peer.settings((SettingCode.HEADER_TABLE_SIZE, 100))
    peer.take()
    peer.decoder.max_allowed_table_size = 100
    peer.send(peer.headers(1, REQUEST), frame(DATA, END_STREAM, 1, message(b"x")))
    headers, _, trailers = peer.take()
    assert headers.payload[0] == 0x20
    assert peer.fields(headers)[":status"] == "200"
    assert peer.fields(trailers) == {"grpc-status": "0"}
    peer.settings((SettingCode.HEADER_TABLE_SIZE, 4096))
    peer.send(peer.headers(3, REQUEST), frame(DATA, END_STREAM, 3, message(b"x")))
    assert peer.take()[1].payload[0] != 0x20


def test_an_answer_that_nobody_takes_goes_when_its_deadline_passes() -> None:
    peer = Peer()
    call = peer.begin([*REQUEST, ("grpc-timeout", "5S")], flags=HALF_CLOSED)
    call.answer(bytes(10 * WINDOW_DEFAULT))
    peer.take()
    assert peer.totals.sending_bytes > 0
    peer.connection.tick(peer.now + 6.0)
    assert peer.stream_fault(call.id) is ErrorCode.CANCEL
    assert peer.totals.sending_bytes == peer.totals.streams == 0


def test_a_batch_is_bounded_however_large_the_windows_are() -> None:
    peer = Peer()
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 2**30), (SettingCode.MAX_FRAME_SIZE, 2**20))
    peer.window(0, 2**30)
    call = peer.begin()
    while not call.is_blocked:
        call.send(bytes(2**20 - 100))
    taken = []
    while data := peer.connection.sender.take():
        taken.append(len(data))
    assert len(taken) > 1
    assert max(taken) <= BATCH_BYTES_MAX + 2**20 + 100
    for _ in range(5):
        peer.begin(flags=HALF_CLOSED).answer(bytes(2**20 - 100))
    taken = [len(peer.connection.sender.take()) for _ in range(3)]
    assert max(taken) <= BATCH_BYTES_MAX + 2**20 + 1_000
