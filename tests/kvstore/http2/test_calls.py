"""Calls from their first frame to their last, as gRPC's clients make them."""

import struct

import pytest

from kvstore.http2 import grpc
from kvstore.http2.limits import REMEMBERED_BLOCKS_MAX, SMALL_HEAD_BYTES, Limits
from kvstore.http2.protocol import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    SettingCode,
)
from tests.kvstore.http2.peer import REQUEST, Answering, Frame, Peer, frame, message


def unary(peer: Peer, payload: bytes = b"hello") -> list[Frame]:
    stream_id = peer.next_id()
    peer.send(peer.headers(stream_id), frame(DATA, END_STREAM, stream_id, message(payload)))
    return peer.take()


def test_the_server_says_its_settings_first() -> None:
    limits = Limits(streams_max=77, message_bytes_max=1000)
    greeting = Peer(limits).greeting
    assert [f.kind for f in greeting] == [SETTINGS, WINDOW_UPDATE]
    values = dict(struct.iter_unpack(">HI", greeting[0].payload))
    assert values[SettingCode.MAX_CONCURRENT_STREAMS] == 77
    assert values[SettingCode.INITIAL_WINDOW_SIZE] == limits.stream_window > 1000


def test_a_unary_call_is_three_frames_each_way() -> None:
    peer = Peer(call_type=Answering)
    headers, data, trailers = unary(peer)
    assert (headers.kind, headers.flags) == (HEADERS, END_HEADERS)
    assert peer.fields(headers) == {":status": "200", "content-type": "application/grpc"}
    assert (data.kind, data.flags, data.payload) == (DATA, 0, message(b"hello"))
    assert (trailers.kind, trailers.flags) == (HEADERS, END_HEADERS | END_STREAM)
    assert peer.fields(trailers) == {"grpc-status": "0"}
    assert {f.stream_id for f in (headers, data, trailers)} == {1}
    assert peer.calls[1].happened == ["half-closed", "closed"]
    assert not peer.connection.streams
    assert peer.totals.streams == 0


def test_many_calls_on_one_connection() -> None:
    peer = Peer(call_type=Answering)
    for number in range(300):
        assert unary(peer, b"%d" % number)[1].payload == message(b"%d" % number)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_frames_may_come_in_any_pieces(size: int) -> None:
    peer = Peer(call_type=Answering, is_greeted=False)
    data = PREFACE + frame(SETTINGS)
    for stream_id in (1, 3):
        data += peer.headers(stream_id) + frame(DATA, END_STREAM, stream_id, message(b"x" * 300))
    for at in range(0, len(data), size):
        peer.send(data[at : at + size])
    assert peer.calls[3].messages == [b"x" * 300]
    assert len([f for f in peer.take() if f.kind == DATA]) == 2


def test_the_head_reaches_the_call() -> None:
    peer = Peer()
    call = peer.begin([*REQUEST, ("hasleader", "true"), ("grpc-timeout", "2S")])
    assert call.head.path == "/test.Echo/Put"
    assert call.head.metadata["hasleader"] == "true"
    assert call.deadline == peer.now + 2


def test_equal_blocks_are_decoded_once_and_changed_tables_forget_them() -> None:
    peer = Peer()
    peer.begin()  # puts its fields into the table
    first, second = peer.begin(), peer.begin()
    assert first.head is second.head
    assert peer.begin([*REQUEST, ("x-new", "1")]).head is not second.head
    assert peer.begin([*REQUEST, ("x-new", "1")]).head.metadata["x-new"] == "1"
    assert peer.begin().head == second.head


def test_not_more_blocks_are_remembered_than_the_limit() -> None:
    peer = Peer()
    for number in range(200):
        fields = [*REQUEST, ("x-number", str(number))]
        peer.begin([(name, value, True) for name, value in fields])  # never put into the table
    assert 0 < len(peer.connection._heads._known) <= REMEMBERED_BLOCKS_MAX
    fields = [*REQUEST, ("x-long", "y" * SMALL_HEAD_BYTES)]
    block = [(name, value, True) for name, value in fields]
    assert peer.begin(block).head is not peer.begin(block).head  # nor long ones


def test_a_status_fits_into_a_frame_of_any_peer() -> None:
    peer = Peer()
    peer.begin().end("INTERNAL", "€" * 100_000)
    assert max(len(answer.payload) for answer in peer.take()) <= FRAME_BYTES_DEFAULT


def test_padding_and_priority_are_skipped() -> None:
    peer = Peer()
    block = peer.encoder.encode(REQUEST)
    flags = END_HEADERS | PADDED | PRIORITIZED
    peer.send(frame(HEADERS, flags, 1, b"\x03" + b"\0\0\0\0\x10" + block + b"\0" * 3))
    peer.send(frame(DATA, PADDED | END_STREAM, 1, b"\x02" + message(b"m") + b"\0" * 2))
    assert peer.calls[1].messages == [b"m"]
    assert peer.calls[1].happened == ["half-closed"]


def test_padding_alone_is_skipped() -> None:
    peer = Peer()
    block = peer.encoder.encode(REQUEST)
    peer.send(frame(HEADERS, END_HEADERS | PADDED, 1, b"\x02" + block + b"\0" * 2))
    assert peer.calls[1].head.path == "/test.Echo/Put"


def test_a_block_may_come_in_continuations() -> None:
    peer = Peer()
    block = peer.encoder.encode(REQUEST)
    peer.send(
        frame(HEADERS, END_STREAM, 1, block[:5]),
        frame(0x9, 0, 1, block[5:9]),
        frame(0x9, END_HEADERS, 1, block[9:]),
    )
    assert peer.calls[1].happened == ["half-closed"]


# ---------------------------------------------------------------------- streams


def test_a_stream_carries_messages_both_ways() -> None:
    peer = Peer()
    call = peer.begin()
    peer.data(call, message(b"one") + message(b"two") + message(b"three")[:4])
    assert call.messages == [b"one", b"two"]
    peer.data(call, message(b"three")[4:] + message(b""))
    assert call.messages == [b"one", b"two", b"three", b""]
    call.send(b"first")
    call.send(b"second")
    headers, first, second = peer.take()
    assert peer.fields(headers)[":status"] == "200"
    assert [first.payload, second.payload] == [message(b"first"), message(b"second")]
    peer.data(call, b"", is_last=True)
    assert call.happened == ["half-closed"]
    call.end()
    [trailers] = peer.take()
    assert (trailers.flags, peer.fields(trailers)) == (
        END_HEADERS | END_STREAM,
        {"grpc-status": "0"},
    )
    assert call.is_over
    call.send(b"late")
    call.answer(b"late")
    call.end("INTERNAL")
    assert peer.take() == []


def test_an_error_is_trailers_alone_or_trailers() -> None:
    peer = Peer()
    alone = peer.begin(flags=END_HEADERS | END_STREAM)
    alone.end("NOT_FOUND", "no such lease: 7 %")
    [answer] = peer.take()
    assert answer.flags == END_HEADERS | END_STREAM
    assert peer.fields(answer) == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": "5",
        "grpc-message": "no%20such%20lease:%207%20%25",
    }
    after = peer.begin(flags=END_HEADERS | END_STREAM)
    after.send(b"m")
    after.end("UNAVAILABLE", "gone")
    *_, trailers = peer.take()
    assert peer.fields(trailers) == {"grpc-status": "14", "grpc-message": "gone"}


def test_8_1_an_answer_before_the_request_ended_is_followed_by_a_reset() -> None:
    peer = Peer()
    call = peer.begin()
    call.end("UNIMPLEMENTED", "unknown service")
    answer, reset = peer.take()
    assert peer.fields(answer)["grpc-status"] == "12"
    assert (reset.kind, reset.payload) == (RST_STREAM, ErrorCode.NO_ERROR.to_bytes(4))
    peer.data(call, message(b"on its way"), is_last=True)  # sent before the peer knew
    peer.send(peer.headers(call.id, [("x", "trailer")]))
    assert peer.fault() is None
    assert call.messages == []


def test_trailers_of_a_client_end_its_half() -> None:
    peer = Peer()
    call = peer.begin()
    peer.send(peer.headers(call.id, [("x-sum", "1")], flags=END_HEADERS | END_STREAM))
    assert call.happened == ["half-closed"]


def test_a_reset_by_the_client_ends_the_call() -> None:
    peer = Peer()
    call = peer.begin()
    peer.data(call, message(b"part")[:3])
    assert peer.totals.receiving_bytes == 3
    peer.send(frame(RST_STREAM, 0, call.id, ErrorCode.CANCEL.to_bytes(4)))
    assert call.happened == ["closed"]
    call.send(b"late")
    assert peer.take() == []
    assert (peer.totals.receiving_bytes, peer.totals.streams) == (0, 0)


def test_a_reset_by_the_server_ends_the_call() -> None:
    peer = Peer()
    call = peer.begin()
    for _ in range(2):
        peer.connection.reset(call, ErrorCode.CANCEL)
    [reset] = peer.take()
    assert reset.payload == ErrorCode.CANCEL.to_bytes(4)
    assert call.happened == ["closed"]


def test_deadlines_pass() -> None:
    peer = Peer()
    timed, untimed = peer.begin([*REQUEST, ("grpc-timeout", "5S")]), peer.begin()
    peer.connection.tick(peer.now + 4)
    assert not timed.is_over
    peer.connection.tick(peer.now + 5)
    assert timed.is_over
    assert not untimed.is_over
    assert peer.fields(peer.take()[0])["grpc-status"] == "4"


def test_calls_of_one_connection_that_end_together_at_their_deadlines() -> None:
    """Ending one may end another: what is over is not ended again."""
    peer = Peer()
    calls = [peer.begin([*REQUEST, ("grpc-timeout", "1S")]) for _ in range(3)]
    calls[0].closed = lambda: calls[2].end("CANCELLED")  # type: ignore[method-assign]
    peer.connection.tick(peer.now + 2)
    assert all(call.is_over for call in calls)


# ---------------------------------------------------------------------- what is refused


def test_a_request_that_ends_within_a_message_is_refused() -> None:
    peer = Peer()
    call = peer.begin()
    peer.data(call, message(b"half of it")[:8], is_last=True)
    assert peer.fields(peer.take()[0])["grpc-status"] == "13"
    assert call.happened == ["closed"]


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_message_beyond_the_limit_is_refused(pieces: int) -> None:
    peer = Peer(Limits(message_bytes_max=100))
    call = peer.begin()
    data = message(bytes(101))
    if pieces == 1:
        peer.data(call, data)
    else:
        peer.data(call, data[:7])
    fields = peer.fields(peer.take()[0])
    assert fields["grpc-status"] == "8"
    assert fields["grpc-message"] == "grpc: received message larger than max (101 vs. 100)"
    assert call.messages == []


def test_a_compressed_message_is_refused() -> None:
    peer = Peer()
    call = peer.begin([*REQUEST, ("grpc-encoding", "gzip")])
    peer.data(call, message(b"zzz", flag=1))
    fields = peer.fields(peer.take()[0])
    assert fields["grpc-status"] == "12"
    assert fields["grpc-message"] == (
        "grpc: Decompressor is not installed for grpc-encoding %22gzip%22".replace("%22", '"')
    )


def test_a_message_with_another_flag_is_refused() -> None:
    peer = Peer()
    call = peer.begin()
    peer.data(call, message(b"zzz", flag=2))
    assert peer.fields(peer.take()[0])["grpc-status"] == "13"


def test_nothing_of_a_refused_request_is_delivered_later() -> None:
    peer = Peer(Limits(message_bytes_max=10))
    call = peer.begin()
    peer.data(call, message(b"ok") + message(bytes(11)) + message(b"never"))
    assert call.messages == [b"ok"]


def test_requests_after_the_answer_are_not_delivered() -> None:
    """The answer waits for a window, and so does the reset that follows it."""
    peer = Peer()
    call = peer.begin()
    call.answer(bytes(100_000))
    assert not call.is_over
    peer.data(call, message(b"late"))
    assert call.messages == []


def test_what_is_not_grpc_is_answered_in_http() -> None:
    peer = Peer()
    get = [(":method", "GET"), *REQUEST[1:]]
    peer.send(peer.headers(1, get, flags=END_HEADERS | END_STREAM))
    [answer] = peer.take()
    assert peer.fields(answer)[":status"] == "405"
    peer.send(peer.headers(3, REQUEST[:-1]))
    answer, reset = peer.take()
    assert (peer.fields(answer)[":status"], reset.kind) == ("415", RST_STREAM)
    peer.data(3, b"whatever", is_last=True)
    assert peer.fault() is None
    assert peer.calls == {}


# ---------------------------------------------------------------------- the connection's end


def test_a_drained_connection_takes_no_new_streams() -> None:
    peer = Peer(call_type=Answering)
    call = peer.begin()
    for _ in range(2):
        peer.connection.drain()
    [goaway] = peer.take()
    assert goaway.kind == GOAWAY
    assert struct.unpack(">II", goaway.payload[:8]) == (call.id, ErrorCode.NO_ERROR)
    late = peer.next_id()
    peer.send(peer.headers(late), frame(DATA, END_STREAM, late, message(b"x")))
    assert peer.take() == []
    assert late not in peer.calls
    peer.data(call, message(b"still"), is_last=True)
    assert len(peer.take()) == 3


def test_a_lost_connection_ends_its_calls() -> None:
    peer = Peer()
    calls = [peer.begin() for _ in range(3)]
    peer.connection.lost()
    assert [call.happened for call in calls] == [["closed"]] * 3
    assert peer.totals.streams == 0
    peer.send(frame(PING, 0, 0, bytes(8)))
    peer.connection.tick(peer.now + 1e6)
    peer.connection.drain()
    assert peer.take() == []


def test_calls_may_end_one_another_when_the_connection_is_lost() -> None:
    peer = Peer()
    first, second = peer.begin(), peer.begin()
    first.closed = lambda: peer.connection.reset(second, ErrorCode.CANCEL)  # type: ignore[method-assign]
    peer.connection.lost()
    assert second.happened == ["closed"]
    assert peer.totals.streams == 0


def test_a_silent_peer_is_asked_and_then_left() -> None:
    limits = Limits(keepalive_interval_seconds=10, keepalive_timeout_seconds=3)
    peer = Peer(limits)
    peer.connection.tick(peer.now + 9)
    assert peer.take() == []
    peer.connection.tick(peer.now + 10)
    [ping] = peer.take()
    assert (ping.kind, ping.flags) == (PING, 0)
    peer.connection.tick(peer.now + 12)
    peer.now += 12
    peer.send(frame(PING, ACK, 0, ping.payload))
    peer.connection.tick(peer.now + 10)
    peer.connection.tick(peer.now + 13)
    assert peer.fault() is ErrorCode.NO_ERROR


def test_keep_alive_may_be_off() -> None:
    peer = Peer(Limits(keepalive_interval_seconds=0))
    peer.connection.tick(peer.now + 1e9)
    assert peer.take() == []


def test_the_driver_is_told_once_that_there_is_something_to_write() -> None:
    peer = Peer(call_type=Answering)
    before = peer.outputs
    for _ in range(3):
        stream_id = peer.next_id()
        peer.send(peer.headers(stream_id), frame(DATA, END_STREAM, stream_id, message(b"x")))
    assert peer.outputs == before + 1
    assert peer.connection.sender.has_output
    assert len(peer.take()) == 9
    assert not peer.connection.sender.has_output


def test_messages_that_are_sent_together_share_a_frame() -> None:
    peer = Peer()
    call = peer.begin()
    call.send_prefixed(grpc.prefix(3) + b"one" + grpc.prefix(3) + b"two")
    headers, data = peer.take()
    assert (headers.kind, data.kind) == (HEADERS, DATA)
    assert data.payload == message(b"one") + message(b"two")


def test_a_large_message_is_cut_into_frames_at_once_where_windows_allow() -> None:
    peer = Peer()
    body = bytes(range(256)) * 200
    peer.begin(flags=END_HEADERS | END_STREAM).answer(body)
    headers, *parts, trailers = peer.take()
    assert (headers.kind, trailers.kind) == (HEADERS, HEADERS)
    assert [len(part.payload) for part in parts] == 3 * [FRAME_BYTES_DEFAULT] + [2_053]
    assert b"".join(part.payload for part in parts) == message(body)


def test_a_status_message_of_any_text_is_sent() -> None:
    peer = Peer()
    call = peer.begin(flags=END_HEADERS | END_STREAM)
    call.end("UNKNOWN", "ü\n")
    assert peer.fields(peer.take()[0])["grpc-message"].encode() == grpc.percent_encoded("ü\n")


def test_a_connection_is_done_when_all_is_answered_and_taken() -> None:
    peer = Peer(call_type=Answering)
    assert peer.connection.is_done
    call = peer.begin()
    assert not peer.connection.is_done
    peer.data(call, message(b"x"), is_last=True)
    assert not peer.connection.is_done
    peer.take()
    assert peer.connection.is_done


def test_the_end_of_a_request_that_is_answered_already() -> None:
    peer = Peer()
    peer.settings((SettingCode.INITIAL_WINDOW_SIZE, 3))
    call = peer.begin()
    call.answer(b"answered early")
    peer.data(call, b"", is_last=True)
    assert call.happened == []
    peer.window(call.id, 100)
    assert call.is_over
    assert peer.fault() is None
