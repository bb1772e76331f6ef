"""Rules of RFC 9113 that a client may break, by section, and what it gets for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.http2.limits import FORGOTTEN_STREAMS_MAX, Limits
from kvstore.http2.protocol import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    SettingCode,
)
from tests.kvstore.http2.peer import REQUEST, Answering, Peer, frame, message

UNKNOWN = 0xEE


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nXX", b"\x16\x03"])
def test_3_4_no_preface(data: bytes) -> None:
    peer = Peer(is_greeted=False)
    peer.send(data)
    assert peer.fault() is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("first", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, ACK)])
def test_3_4_no_settings_after_the_preface(first: bytes) -> None:
    peer = Peer(is_greeted=False)
    peer.send(PREFACE, first)
    assert peer.fault() is ErrorCode.PROTOCOL_ERROR


def fault_after(*frames: bytes, opens: bool = False) -> ErrorCode | None:
    """What a greeted connection ends with; `opens`: stream 1 has begun."""
    peer = Peer()
    if opens:
        peer.begin()
    peer.send(*frames)
    return peer.fault()


def stream_fault_after(*frames: bytes) -> ErrorCode | None:
    """What stream 1, which has begun, ends with; the connection goes on."""
    peer = Peer()
    call = peer.begin()
    peer.send(*frames)
    fault = peer.stream_fault(1)
    assert call.is_over == (fault is not None)
    return fault


PROTOCOL, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    ("section", "sent", "fault"),
    [
        ("4.2", frame(DATA, 0, 1, bytes(16_385)), SIZE),
        ("5.1 DATA of an idle stream", frame(DATA, 0, 1), PROTOCOL),
        ("5.1 RST_STREAM of an idle stream", frame(RST_STREAM, 0, 1, bytes(4)), PROTOCOL),
        ("5.1 WINDOW_UPDATE of an idle stream", frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), PROTOCOL),
        ("5.1.1 an even stream", frame(HEADERS, END_HEADERS, 2), PROTOCOL),
        ("6.1 DATA of no stream", frame(DATA, 0, 0), PROTOCOL),
        ("6.2 HEADERS of no stream", frame(HEADERS, END_HEADERS, 0), PROTOCOL),
        ("6.2 half a priority", frame(HEADERS, END_HEADERS | PRIORITIZED, 1, bytes(4)), SIZE),
        ("6.2 padding", frame(HEADERS, END_HEADERS | PADDED, 1, b"\x05abc"), PROTOCOL),
        ("6.2 no padding", frame(HEADERS, END_HEADERS | PADDED, 1), SIZE),
        ("6.3", frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
        ("6.4 no stream", frame(RST_STREAM, 0, 0, bytes(4)), PROTOCOL),
        ("6.4 size", frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
        ("6.5 a stream", frame(SETTINGS, 0, 1), PROTOCOL),
        ("6.5 a part", frame(SETTINGS, 0, 0, bytes(5)), SIZE),
        ("6.5 an ACK of more", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
        ("6.7 a stream", frame(PING, 0, 1, bytes(8)), PROTOCOL),
        ("6.7 size", frame(PING, 0, 0, bytes(7)), SIZE),
        ("6.8 a stream", frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
        ("6.8 size", frame(GOAWAY, 0, 0, bytes(7)), SIZE),
        ("6.9 size", frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
        ("6.9 none", frame(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL),
        ("6.10 nothing to continue", frame(CONTINUATION, END_HEADERS, 1), PROTOCOL),
        ("6.10 interrupted", frame(HEADERS, 0, 1) + frame(PING, 0, 0, bytes(8)), PROTOCOL),
        ("6.10 by an unknown frame", frame(HEADERS, 0, 1) + frame(UNKNOWN), PROTOCOL),
        ("6.10 another's", frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 3), PROTOCOL),
        ("8.4", frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), PROTOCOL),
        ("4.3", frame(HEADERS, END_HEADERS, 1, b"\xff\xff"), ErrorCode.COMPRESSION_ERROR),
    ],
)
def test_faults_of_the_connection(section: str, sent: bytes, fault: ErrorCode) -> None:
    assert fault_after(sent) is fault, section


@pytest.mark.parametrize(
    ("code", "value", "fault"),
    [
        (SettingCode.ENABLE_PUSH, 2, PROTOCOL),
        (SettingCode.INITIAL_WINDOW_SIZE, 2**31, ErrorCode.FLOW_CONTROL_ERROR),
        (SettingCode.MAX_FRAME_SIZE, 16_383, PROTOCOL),
        (SettingCode.MAX_FRAME_SIZE, 2**24, PROTOCOL),
        (SettingCode.ENABLE_PUSH, 0, None),
        (SettingCode.MAX_FRAME_SIZE, 2**24 - 1, None),
        (SettingCode.MAX_CONCURRENT_STREAMS, 0, None),
        (SettingCode.MAX_HEADER_LIST_SIZE, 5, None),
        (0x99, 12345, None),
    ],
)
def test_6_5_2_values_of_settings(code: int, value: int, fault: ErrorCode | None) -> None:
    peer = Peer()
    peer.settings((code, value))
    assert peer.fault() is fault


def test_6_5_3_settings_are_acknowledged() -> None:
    peer = Peer()
    peer.settings((SettingCode.ENABLE_PUSH, 0))
    [answer] = peer.take()
    assert (answer.kind, answer.flags, answer.payload) == (SETTINGS, ACK, b"")
    peer.send(frame(SETTINGS, ACK))
    assert peer.take() == []


def test_6_7_a_ping_is_answered_with_its_payload() -> None:
    peer = Peer()
    peer.send(frame(PING, 0, 0, b"12345678"), frame(PING, ACK, 0, b"not ours"))
    [answer] = peer.take()
    assert (answer.kind, answer.flags, answer.payload) == (PING, ACK, b"12345678")


@pytest.mark.parametrize(
    ("section", "sent", "fault"),
    [
        ("5.1 DATA after the end", frame(DATA, END_STREAM, 1) + frame(DATA, 0, 1), "STREAM_CLOSED"),
        (
            "5.1 HEADERS after the end",
            frame(DATA, END_STREAM, 1) + frame(HEADERS, END_HEADERS | END_STREAM, 1),
            "STREAM_CLOSED",
        ),
        ("6.3 size", frame(PRIORITY, 0, 1, bytes(4)), "FRAME_SIZE_ERROR"),
        ("6.9 none", frame(WINDOW_UPDATE, 0, 1, bytes(4)), "PROTOCOL_ERROR"),
        ("8.1 trailers that end nothing", frame(HEADERS, END_HEADERS, 1), "PROTOCOL_ERROR"),
        (
            "8.1 pseudo-header fields in trailers",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x84"),
            "PROTOCOL_ERROR",
        ),
    ],
)
def test_faults_of_a_stream(section: str, sent: bytes, fault: str) -> None:
    assert stream_fault_after(sent) is ErrorCode[fault], section


def test_8_1_1_a_malformed_request_never_becomes_a_call() -> None:
    peer = Peer()
    peer.send(peer.headers(1, [("Upper", "x"), *REQUEST]))
    assert peer.stream_fault(1) is PROTOCOL
    peer.send(frame(DATA, END_STREAM, 1, message(b"on its way")))
    assert peer.fault() is None
    assert peer.calls == {}


def test_6_1_padding_of_data_that_is_no_padding() -> None:
    assert fault_after(frame(DATA, PADDED, 1, b"\x04abc"), opens=True) is PROTOCOL
    assert fault_after(frame(DATA, PADDED, 1), opens=True) is SIZE


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_5_1_frames_of_a_stream_that_both_have_ended(kind: int) -> None:
    peer = Peer(call_type=Answering)
    call = peer.begin()
    peer.data(call, message(b"x"), is_last=True)
    peer.take()
    payload = peer.encoder.encode(REQUEST) if kind == HEADERS else b""
    peer.send(frame(kind, END_HEADERS if kind == HEADERS else 0, call.id, payload))
    assert peer.fault() is ErrorCode.STREAM_CLOSED


def test_5_1_1_streams_that_were_skipped_are_closed() -> None:
    peer = Peer()
    peer.send(peer.headers(9))
    peer.send(peer.headers(3))
    assert peer.fault() is ErrorCode.STREAM_CLOSED


def test_5_1_priority_and_resets_of_closed_streams_are_borne() -> None:
    peer = Peer(call_type=Answering)
    call = peer.begin()
    peer.data(call, message(b"x"), is_last=True)
    peer.send(frame(RST_STREAM, 0, call.id, bytes(4)), frame(PRIORITY, 0, call.id, bytes(5)))
    assert peer.fault() is None


def test_4_1_unknown_frames_and_flags_are_ignored() -> None:
    peer = Peer(call_type=Answering)
    peer.send(frame(UNKNOWN, 0xFF, 5, b"whatever"))
    block = peer.encoder.encode(REQUEST)
    peer.send(frame(HEADERS, END_HEADERS | 0xC2, 1, block))
    peer.send(frame(DATA, END_STREAM | 0xF6, 1, message(b"x")))
    assert len(peer.take()) == 3


def test_4_1_the_reserved_bit_of_a_stream_id_is_ignored() -> None:
    peer = Peer(call_type=Answering)
    peer.send(peer.headers(1 | 1 << 31))
    peer.send(frame(DATA, END_STREAM, 1 | 1 << 31, message(b"x")))
    assert len(peer.take()) == 3


def test_6_8_a_client_that_goes_away_still_gets_its_answers() -> None:
    peer = Peer(call_type=Answering)
    call = peer.begin()
    peer.send(frame(GOAWAY, 0, 0, bytes(8) + b"bye"))
    peer.data(call, message(b"x"), is_last=True)
    assert len(peer.take()) == 3


def test_8_7_streams_beyond_the_limit_are_refused_and_may_be_tried_again() -> None:
    peer = Peer(Limits(streams_max=2))
    first, _ = peer.begin(), peer.begin()
    refused = peer.next_id()
    peer.send(peer.headers(refused))
    assert peer.stream_fault(refused) is ErrorCode.REFUSED_STREAM
    peer.send(frame(RST_STREAM, 0, first.id, bytes(4)))
    peer.begin()
    assert peer.totals.streams == 2


def test_5_1_what_was_on_its_way_to_a_stream_that_we_ended_is_borne_however_many_there_were() -> (
    None
):
    peer = Peer()
    closed = peer.begin(flags=END_HEADERS | END_STREAM)
    closed.answer(b"")
    for _ in range(FORGOTTEN_STREAMS_MAX + 10):
        peer.connection.reset(peer.begin(), ErrorCode.CANCEL)
    first = closed.id + 2
    for stream_id in (first, first + 8, first + 2 * FORGOTTEN_STREAMS_MAX):
        peer.data(stream_id, b"late")
        assert peer.fault() is None


def test_5_1_data_of_a_stream_that_ended_on_both_sides_is_a_fault() -> None:
    peer = Peer()
    closed = peer.begin(flags=END_HEADERS | END_STREAM)
    closed.answer(b"")
    peer.data(closed, b"late")
    assert peer.fault() is ErrorCode.STREAM_CLOSED


def test_6_3_a_priority_of_another_size_for_a_stream_that_never_was() -> None:
    peer = Peer()
    peer.send(frame(PRIORITY, 0, 7, bytes(4)))
    assert peer.fault() is ErrorCode.PROTOCOL_ERROR


def test_6_5_3_the_last_of_two_initial_windows_counts() -> None:
    peer = Peer()
    call = peer.begin()
    code = SettingCode.INITIAL_WINDOW_SIZE
    peer.settings((code, 0), (code, 7), (code, 3))
    assert call.send_window == 3


def test_a_fault_ends_every_call_and_says_why() -> None:
    peer = Peer()
    call = peer.begin()
    peer.send(frame(PING, 0, 7, bytes(8)))
    [goaway] = peer.take()
    assert goaway.payload[:4] == call.id.to_bytes(4)
    assert goaway.payload[8:] == b"PING of a stream"
    assert call.happened == ["closed"]
    peer.send(frame(PING, 0, 0, bytes(8)))
    assert peer.take() == []


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10),
            st.integers(0, 255),
            st.integers(0, 6),
            st.one_of(st.binary(max_size=40), st.just(b"\x82\x86\x84"), st.just(message(b"x"))),
        ),
        max_size=30,
    )
)
def test_whatever_comes_the_connection_stands_or_ends_with_a_reason(
    frames: list[tuple[int, int, int, bytes]],
) -> None:
    peer = Peer(call_type=Answering)
    peer.begin()
    for parts in frames:
        peer.send(frame(*parts))
    ended = peer.fault()
    if ended is not None:
        assert not peer.connection.streams
    assert peer.totals.streams == len(peer.connection.streams)
    peer.connection.lost()
    assert (peer.totals.receiving_bytes, peer.totals.sending_bytes) == (0, 0)
