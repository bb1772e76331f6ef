"""Clients that mean harm: each is stopped by a bound of its own, and costs nobody else anything."""

import pytest

from kvstore.http2.limits import (
    CONTINUATIONS_MAX,
    HEADER_BLOCK_BYTES_MAX,
    HEADER_FIELDS_MAX,
    IDLE_FRAMES_BURST,
    IDLE_FRAMES_PER_ANSWER,
    PING_STRIKES_MAX,
    RESETS_BURST,
    STREAMS_PER_IDLE_FRAME,
    Bucket,
    Limits,
)
from kvstore.http2.protocol import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    ErrorCode,
    SettingCode,
)
from tests.kvstore.http2.peer import REQUEST, Answering, Peer, frame, message

CALM = ErrorCode.ENHANCE_YOUR_CALM


def test_a_bucket_refills() -> None:
    bucket = Bucket(2, 1.0, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(5.0)


def test_rapid_reset() -> None:
    peer = Peer()
    sent = 0
    while not peer.connection.is_closing:
        call = peer.begin()
        peer.send(frame(RST_STREAM, 0, call.id, ErrorCode.CANCEL.to_bytes(4)))
        sent += 1
        assert sent <= RESETS_BURST + 1
    assert peer.fault() is CALM
    assert peer.totals.streams == 0


def test_resets_in_the_course_of_things_are_borne() -> None:
    peer = Peer()
    for _ in range(3 * RESETS_BURST):
        peer.now += 0.01
        call = peer.begin()
        peer.send(frame(RST_STREAM, 0, call.id, ErrorCode.CANCEL.to_bytes(4)))
    assert peer.fault() is None


@pytest.mark.parametrize("payload", [b"", b"x" * 16_000])
def test_continuations_without_end(payload: bytes) -> None:
    peer = Peer()
    peer.send(frame(HEADERS, 0, 1, b""))
    sent = 0
    while not peer.connection.is_closing:
        sent += 1
        assert sent <= CONTINUATIONS_MAX + 1
        assert sent * len(payload) <= HEADER_BLOCK_BYTES_MAX + len(payload)
        peer.send(frame(CONTINUATION, 0, 1, payload))
    assert peer.fault() is CALM


@pytest.mark.parametrize(
    "flood",
    [
        frame(SETTINGS),
        frame(PRIORITY, 0, 1, bytes(5)),
        frame(DATA, 0, 1),
        frame(0xEE, 0, 0, b"?"),
        frame(PING, 1, 0, bytes(8)),
        frame(0x7, 0, 0, bytes(8)),
    ],
    ids=["settings", "priority", "empty DATA", "unknown", "ping ACK", "goaway"],
)
def test_frames_that_say_nothing(flood: bytes) -> None:
    peer = Peer()
    peer.begin()
    for _ in range(IDLE_FRAMES_BURST - 10):
        peer.send(flood)
    assert not peer.connection.is_closing
    for _ in range(20):
        peer.send(flood)
    assert peer.fault() is CALM


def test_pings_too_often_without_a_call() -> None:
    peer = Peer()
    for _ in range(PING_STRIKES_MAX + 1):
        peer.now += 60.0
        assert peer.fault() is None
        peer.send(frame(PING, 0, 0, bytes(8)))
    peer.now += 60.0
    peer.send(frame(PING, 0, 0, bytes(8)))
    assert peer.fault() is CALM


def test_pings_are_judged_by_the_interval_while_a_call_is_under_way() -> None:
    peer = Peer(Limits(ping_interval_min_seconds=5.0))
    peer.begin()
    for _ in range(100):
        peer.now += 5.0
        peer.send(frame(PING, 0, 0, bytes(8)))
    assert peer.fault() is None
    for _ in range(PING_STRIKES_MAX + 1):
        peer.now += 1.0
        peer.send(frame(PING, 0, 0, bytes(8)))
    assert peer.fault() is CALM


def test_pings_that_follow_answers_are_welcome() -> None:
    """gRPC's clients measure the bandwidth-delay product by them, as often as anything comes."""
    peer = Peer(call_type=Answering)
    for _ in range(3 * IDLE_FRAMES_BURST):
        call = peer.begin()
        peer.data(call, message(b"x"), is_last=True)
        peer.send(frame(PING, 0, 0, bytes(8)))
        peer.now += 0.0002
    assert peer.fault() is None


def test_resets_that_cross_our_own_ends_are_no_rapid_resets() -> None:
    peer = Peer()
    for _ in range(2 * RESETS_BURST):
        peer.now += 0.006
        call = peer.begin()
        call.end("UNAVAILABLE", "etcdserver: no leader")
        peer.send(frame(RST_STREAM, 0, call.id, ErrorCode.CANCEL.to_bytes(4)))
    assert peer.fault() is None


def test_who_makes_us_reset_stream_after_stream_is_stopped() -> None:
    """CVE-2025-8671: the handler has begun, and the client's fault ends it."""
    peer = Peer()
    sent = 0
    while not peer.connection.is_closing:
        peer.window(peer.begin().id, 0)
        sent += 1
        assert sent <= RESETS_BURST + 1
    assert peer.fault() is CALM


def test_crumbs_of_windows() -> None:
    peer = Peer()
    call = peer.begin()
    sent = 0
    while not peer.connection.is_closing:
        peer.window(call.id, 1)
        sent += 1
        assert sent <= IDLE_FRAMES_BURST + 1
    assert peer.fault() is CALM


def test_crumbs_of_windows_that_give_answers_back_are_borne() -> None:
    """As grpcio sends them: two of a few bytes for each unary call, thousands of calls a second."""
    peer = Peer(call_type=Answering)
    for _ in range(2 * IDLE_FRAMES_BURST):
        call = peer.begin()
        peer.data(call, message(b"x"), is_last=True)
        peer.window(0, 9)
        peer.window(0, 6)
    assert peer.fault() is None
    for _ in range(IDLE_FRAMES_BURST + 1):  # what was not used is not saved up
        peer.window(0, 1)
    assert peer.fault() is CALM


def test_a_large_answer_that_is_taken_in_crumbs() -> None:
    """Data dribble (CVE-2019-9511): the frames that crumbs let go pay for no more of them."""
    peer = Peer()
    peer.begin(flags=END_HEADERS | END_STREAM).answer(bytes(900_000))
    for _ in range(IDLE_FRAMES_BURST + IDLE_FRAMES_PER_ANSWER + 1):
        peer.window(0, 1)
    assert peer.fault() is CALM


def test_crumbs_of_messages() -> None:
    peer = Peer()
    call = peer.begin()
    sent = 0
    while not peer.connection.is_closing:
        peer.data(call, b"\0")  # four of five are the middle of a message without content
        sent += 1
        assert sent <= 2 * IDLE_FRAMES_BURST
    assert peer.fault() is CALM


def test_small_messages_are_no_crumbs_nor_are_prefixes_by_themselves() -> None:
    peer = Peer()
    call = peer.begin()
    for _ in range(2 * IDLE_FRAMES_BURST):
        peer.data(call, message(b"x"))
        peer.data(call, message(b"yz")[:5])
        peer.data(call, b"yz")
    assert peer.fault() is None
    assert len(call.messages) == 4 * IDLE_FRAMES_BURST


def test_changes_of_all_windows_cost_by_the_streams_that_they_touch() -> None:
    peer = Peer()
    for _ in range(10 * STREAMS_PER_IDLE_FRAME):
        peer.begin()
    sent = 0
    while not peer.connection.is_closing:
        peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 70_000 + sent))
        sent += 1
        assert sent <= IDLE_FRAMES_BURST // 11 + 1
    assert peer.fault() is CALM


def test_answers_that_no_window_holds_back_are_bounded_within_one_feed() -> None:
    peer = Peer()
    flood = b"".join(
        peer.headers(stream_id, [("x-not", "a call")]) for stream_id in range(1, 400_000, 2)
    )
    peer.send(flood)
    assert peer.fault() is CALM


def test_more_fields_than_anybody_needs_end_the_connection() -> None:
    peer = Peer()
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82" * (HEADER_FIELDS_MAX + 1)))
    assert peer.fault() is CALM


def test_the_policy_for_pings_may_be_off() -> None:
    peer = Peer(Limits(ping_interval_min_seconds=0.0))
    for _ in range(100):
        peer.send(frame(PING, 0, 0, bytes(8)))
    assert peer.fault() is None


def test_a_bomb_in_a_header_block_ends_the_connection() -> None:
    peer = Peer()
    fields = [*REQUEST, ("x", "y" * 3_900)]
    peer.begin(fields)
    block = peer.encoder.encode(fields)
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, block + b"\xbe" * 10_000))
    assert peer.fault() is CALM


def test_idle_streams_cost_no_more_than_their_bookkeeping() -> None:
    peer = Peer()
    for _ in range(10_000):
        peer.begin()
        peer.take()
    assert peer.totals.streams == 10_000
    assert (peer.totals.receiving_bytes, peer.totals.sending_bytes) == (0, 0)
