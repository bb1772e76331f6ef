"""The client's end, against our server's end and against frames made by hand."""

import struct
from typing import Any

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.http2 import grpc
from kvstore.http2.client import CALL_WINDOW, ClientCall, ClientConnection
from kvstore.http2.connection import Connection
from kvstore.http2.limits import Limits
from kvstore.http2.protocol import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    SettingCode,
)
from kvstore.http2.stream import Stream
from kvstore.http2.totals import Totals
from tests.kvstore.http2.peer import Frame, frame, message, parse

BLOCK = grpc.request_headers("/test.Echo/Put", "localhost", "http", [("hasleader", "true")])


class Caller:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.end: tuple[str, str, bool] | None = None

    def message_received(self, message: bytes) -> None:
        self.messages.append(message)

    def ended(self, code: str, text: str, *, is_sent: bool) -> None:
        assert self.end is None, "a call ends once"
        self.end = (code, text, is_sent)


OK = ("OK", "", True)


class Echo(Stream):
    """Answers each message with itself, and ends when the client has."""

    def message_received(self, message: bytes) -> None:
        super().message_received(message)
        self.send(message)

    def half_closed(self) -> None:
        super().half_closed()
        self.end("DATA_LOSS", "100 % of a é") if self.head.path.endswith("Fail") else self.end()


class Pair:
    """Both ends, and a wire that cuts where it likes."""

    def __init__(self, piece: int = 1 << 30) -> None:
        self.client = ClientConnection(lambda: None)
        self.server = Connection(Limits(), Totals(), Echo, lambda: None, 0.0)
        self._piece = piece

    def settle(self) -> None:
        """Carry all that each has to say."""
        while True:
            there, back = self.client.take(), self.server.sender.take()
            if not there and not back:
                return
            for at in range(0, len(there), self._piece):
                self.server.feed(there[at : at + self._piece], 0.0)
            for at in range(0, len(back), self._piece):
                self.client.feed(back[at : at + self._piece])

    def ask(self, payload: bytes, block: bytes = BLOCK) -> Caller:
        caller = Caller()
        call = self.client.call(block, caller)
        self.client.send(call, payload, is_last=True)
        return caller


@pytest.mark.parametrize("piece", [1, 3, 1000, 1 << 30])
def test_calls_are_answered_in_whatever_pieces_their_bytes_come(piece: int) -> None:
    pair = Pair(piece)
    callers = [pair.ask(b"%d" % number * number) for number in range(40)]
    pair.settle()
    assert [caller.messages for caller in callers] == [[b"%d" % n * n] for n in range(40)]
    assert {caller.end for caller in callers} == {OK}
    assert not pair.client.calls
    assert not pair.server.streams


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3 * CALL_WINDOW // 2), min_size=1, max_size=4), st.integers(1, 99))
def test_messages_larger_than_every_window_arrive(sizes: list[int], seed: int) -> None:
    pair = Pair(10_000 + seed)
    callers = [pair.ask(bytes((seed,)) * size) for size in sizes]
    pair.settle()
    assert [len(caller.messages[0]) for caller in callers] == sizes
    assert {caller.end for caller in callers} == {OK}


def test_a_failed_call_has_its_code_and_text() -> None:
    pair = Pair()
    caller = pair.ask(b"x", grpc.request_headers("/test.Echo/Fail", "localhost", "http", []))
    pair.settle()
    assert caller.end == ("DATA_LOSS", "100 % of a é", True)


def test_a_stream_whose_reader_is_behind_holds_the_server_back_and_nobody_else() -> None:
    pair = Pair()
    caller = Caller()
    call = pair.client.call(BLOCK, caller)
    call.is_held = True
    for _ in range(40):
        pair.client.send(call, b"x" * 100_000, is_last=False)
    pair.settle()
    received = len(caller.messages)
    assert received * 100_000 < CALL_WINDOW
    other = pair.ask(b"y" * 2_000_000)
    pair.settle()
    assert other.end == OK
    assert len(caller.messages) == received
    while len(caller.messages) < 40:
        before = len(caller.messages)
        pair.client.release(call)
        call.is_held = True
        pair.settle()
        assert len(caller.messages) > before, "it goes on when the reader does"


def test_a_cancelled_call_is_told_to_the_server_and_not_to_its_caller() -> None:
    pair = Pair()
    caller = Caller()
    call = pair.client.call(BLOCK, caller)
    pair.client.send(call, b"x", is_last=False)
    pair.settle()
    assert len(pair.server.streams) == 1
    pair.client.cancel(call)
    pair.client.cancel(call)
    pair.client.send(call, b"y", is_last=True)
    pair.settle()
    assert not pair.server.streams
    assert caller.end is None
    assert not pair.server.is_closing


# ------------------------------------------------------------------ a server made by hand


class Hand:
    """A server whose frames the test makes, with header blocks of PyPI's `hpack`."""

    def __init__(self, *settings: tuple[SettingCode, int]) -> None:
        self.client = ClientConnection(lambda: None)
        greeting = self.client.take()
        assert greeting.startswith(PREFACE)
        self.greeting = parse(greeting[len(PREFACE) :])
        self.encoder = hpack.Encoder()
        payload = b"".join(code.to_bytes(2) + value.to_bytes(4) for code, value in settings)
        self.say(frame(SETTINGS, 0, 0, payload))
        assert self.hear() == [Frame(SETTINGS, ACK, 0, b"")]

    def say(self, *frames: bytes) -> None:
        self.client.feed(b"".join(frames))

    def hear(self) -> list[Frame]:
        return parse(self.client.take())

    def headers(self, fields: Any, *, stream_id: int = 1, ends: bool = False) -> bytes:
        flags = END_HEADERS | (END_STREAM if ends else 0)
        return frame(HEADERS, flags, stream_id, self.encoder.encode(fields))

    def ask(self, payload: bytes = b"x", *, is_last: bool = True) -> tuple[ClientCall, Caller]:
        caller = Caller()
        call = self.client.call(BLOCK, caller)
        self.client.send(call, payload, is_last=is_last)
        return call, caller


HEADS = [(":status", "200"), ("content-type", "application/grpc")]
TRAILERS = [("grpc-status", "0"), ("grpc-message", "")]


def test_the_client_asks_for_no_pushes_and_has_large_windows() -> None:
    settings, update = Hand().greeting
    assert (settings.kind, update.kind) == (SETTINGS, WINDOW_UPDATE)
    values = dict(struct.iter_unpack(">HI", settings.payload))
    assert values == {SettingCode.ENABLE_PUSH: 0, SettingCode.INITIAL_WINDOW_SIZE: CALL_WINDOW}


def test_a_unary_call_is_two_frames() -> None:
    hand = Hand()
    hand.ask(b"hello")
    head, data = hand.hear()
    assert (head.kind, head.flags, head.stream_id) == (HEADERS, END_HEADERS, 1)
    fields: Any = hpack.Decoder().decode(head.payload)
    assert fields == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/test.Echo/Put"),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("hasleader", "true"),
    ]
    assert data == Frame(DATA, END_STREAM, 1, message(b"hello"))


def test_blocks_that_use_the_table_are_read_as_often_as_they_come() -> None:
    """Go's servers say "the same as before" from the second answer on (RFC 7541, 6.1)."""
    hand = Hand()
    for number in range(20):
        _, caller = hand.ask()
        stream_id = 1 + 2 * number
        text = [("grpc-status", "5"), ("grpc-message", f"no %25{number % 3}")]
        hand.say(
            hand.headers(HEADS, stream_id=stream_id),
            hand.headers(text, stream_id=stream_id, ends=True),
        )
        assert caller.end == ("NOT_FOUND", f"no %{number % 3}", True)


def test_padding_continuations_and_crumbs_change_nothing() -> None:
    hand = Hand()
    _, caller = hand.ask()
    block = hand.encoder.encode(HEADS)
    body = message(b"answer")
    hand.say(
        frame(HEADERS, PADDED, 1, b"\x03" + block[:2] + b"\0\0\0"),
        frame(CONTINUATION, 0, 1, block[2:3]),
        frame(CONTINUATION, END_HEADERS, 1, block[3:]),
        frame(DATA, PADDED, 1, b"\x02" + body[:3] + b"\0\0"),
        frame(DATA, 0, 1, b""),
        frame(DATA, 0, 1, body[3:]),
        frame(0x77, 0, 1, b"?"),
        hand.headers(TRAILERS, ends=True),
    )
    assert caller.messages == [b"answer"]
    assert caller.end == OK


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([[(":status", "503")]], "UNAVAILABLE"),
        ([[(":status", "404")]], "UNIMPLEMENTED"),
        ([[(":status", "302")]], "UNKNOWN"),
        ([[*HEADS, ("grpc-status", "8"), ("grpc-message", "")]], "RESOURCE_EXHAUSTED"),
        ([[(":status", "100")], HEADS, [("grpc-status", "99")]], "UNKNOWN"),
        ([HEADS, [("x", "y")]], "UNKNOWN"),
        ([[(":status", "100")]], "UNKNOWN"),
        ([HEADS, [("grpc-status", "9" * 5000)]], "UNKNOWN"),
    ],
)
def test_answers_that_are_none_have_codes(frames: Any, code: str) -> None:
    """gRPC's documentation, "HTTP to gRPC Status Code Mapping"."""
    hand = Hand()
    _, caller = hand.ask()
    *firsts, last = frames
    hand.say(*map(hand.headers, firsts), hand.headers(last, ends=True))
    assert caller.end is not None
    assert (caller.end[0], caller.end[2]) == (code, True)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(DATA, END_STREAM, 1, message(b"x"))],
        [frame(DATA, 0, 1, message(b"x", flag=1))],
        [frame(DATA, 0, 1, message(b"x")[:4]), "trailers"],
        ["more headers"],
    ],
)
def test_a_broken_answer_ends_its_call_alone(frames: Any) -> None:
    hand = Hand()
    _, caller = hand.ask()
    _, other = hand.ask()
    words = {"trailers": TRAILERS, "more headers": HEADS}
    hand.say(hand.headers(HEADS))
    for one in frames:
        ends = one == "trailers"
        hand.say(hand.headers(words[one], ends=ends) if isinstance(one, str) else one)
    assert caller.end is not None
    assert caller.end[0] == "INTERNAL"
    assert other.end is None
    hand.say(hand.headers(HEADS, stream_id=3), hand.headers(TRAILERS, stream_id=3, ends=True))
    assert other.end == OK


def test_a_message_before_the_headers_is_no_answer() -> None:
    """RFC 9113, 8.1."""
    hand = Hand()
    _, caller = hand.ask()
    hand.say(frame(DATA, 0, 1, message(b"x")), hand.headers(HEADS))
    assert caller.messages == []
    assert caller.end is not None
    assert caller.end[0] == "INTERNAL"


@pytest.mark.parametrize(
    ("code", "is_sent"), [(ErrorCode.REFUSED_STREAM, False), (ErrorCode.INTERNAL_ERROR, True)]
)
def test_only_a_refused_call_was_surely_not_handled(code: ErrorCode, is_sent: bool) -> None:
    """RFC 9113, 8.7."""
    hand = Hand()
    _, caller = hand.ask()
    hand.hear()
    hand.say(frame(RST_STREAM, 0, 1, code.to_bytes(4)))
    assert caller.end is not None
    assert (caller.end[0], caller.end[2]) == ("UNAVAILABLE", is_sent)
    assert hand.hear() == []


@pytest.mark.parametrize(
    "end",
    [
        frame(RST_STREAM, 0, 1, ErrorCode.REFUSED_STREAM.to_bytes(4)),
        frame(GOAWAY, 0, 0, bytes(8)),
    ],
)
def test_a_call_whose_answer_has_begun_was_handled_whatever_is_said_later(end: bytes) -> None:
    """Or a write would be done twice."""
    hand = Hand()
    _, caller = hand.ask()
    hand.say(hand.headers(HEADS), end)
    assert caller.end is not None
    assert (caller.end[0], caller.end[2]) == ("UNAVAILABLE", True)


def test_a_server_that_goes_away_finishes_what_it_has_and_says_what_it_never_saw() -> None:
    """RFC 9113, 6.8."""
    hand = Hand()
    _, first = hand.ask()
    _, second = hand.ask()
    hand.hear()
    hand.say(frame(GOAWAY, 0, 0, (2**31 - 1).to_bytes(4) + bytes(4)))
    assert not hand.client.is_usable
    assert (first.end, second.end) == (None, None)
    hand.say(frame(GOAWAY, 0, 0, (1).to_bytes(4) + bytes(4)))
    assert second.end is not None
    assert (second.end[0], second.end[2]) == ("UNAVAILABLE", False)
    hand.say(
        hand.headers(HEADS), frame(DATA, 0, 1, message(b"a")), hand.headers(TRAILERS, ends=True)
    )
    assert (first.messages, first.end) == ([b"a"], OK)


def test_a_lost_connection_leaves_every_call_unknown() -> None:
    hand = Hand()
    _, caller = hand.ask()
    hand.client.lost("cut")
    assert caller.end == ("UNAVAILABLE", "cut", True)
    assert not hand.client.is_usable
    hand.say(hand.headers(HEADS))


def setting(code: SettingCode, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, code.to_bytes(2) + value.to_bytes(4))


@pytest.mark.parametrize(
    "fault",
    [
        setting(SettingCode.MAX_FRAME_SIZE, 0),
        setting(SettingCode.MAX_FRAME_SIZE, 2**24),
        setting(SettingCode.INITIAL_WINDOW_SIZE, 2**31),
        frame(SETTINGS, 0, 1, b""),
        frame(PING, 0, 1, bytes(8)),
        frame(PING, 0, 0, bytes(7)),
        frame(GOAWAY, 0, 0, b""),
        frame(GOAWAY, 0, 1, bytes(8)),
        frame(RST_STREAM, 0, 1, b"\x07"),
        frame(RST_STREAM, 0, 3, ErrorCode.REFUSED_STREAM.to_bytes(4)),
        frame(WINDOW_UPDATE, 0, 1, bytes(4)),
        frame(WINDOW_UPDATE, 0, 1, (2**31 - 1).to_bytes(4)),
        frame(WINDOW_UPDATE, 0, 0, (2**31 - 1).to_bytes(4)),
        frame(WINDOW_UPDATE, 0, 0, b"\1"),
        frame(DATA, 0, 0, b"x"),
        frame(DATA, 0, 2, b"x"),
        frame(HEADERS, END_HEADERS, 3, b"\x88"),
        frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, END_HEADERS, 3, b""),
        frame(HEADERS, 0, 1, b"\x88") + 99 * frame(CONTINUATION, 0, 1, b""),
        frame(PUSH_PROMISE, 0, 1, bytes(4)),
        frame(CONTINUATION, END_HEADERS, 1, b""),
        frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, bytes(8)),
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(DATA, 0, 1, bytes(FRAME_BYTES_DEFAULT + 1)),
        frame(SETTINGS, 0, 0, b"\0"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_no_http2_ends_the_connection(fault: bytes) -> None:
    hand = Hand()
    _, caller = hand.ask()
    hand.hear()
    hand.say(fault)
    assert hand.client.is_closing
    assert [one.kind for one in hand.hear()] == [GOAWAY]
    assert caller.end is not None
    assert (caller.end[0], caller.end[2]) == ("UNAVAILABLE", True)


def test_a_server_greets_before_it_says_anything_else() -> None:
    """RFC 9113, 3.4."""
    client = ClientConnection(lambda: None)
    client.feed(frame(PING, 0, 0, bytes(8)))
    assert client.is_closing
    assert not client.is_greeted


def test_pings_are_answered_and_those_of_ours_are_known() -> None:
    hand = Hand()
    hand.say(frame(PING, 0, 0, b"12345678"))
    assert hand.hear() == [Frame(PING, ACK, 0, b"12345678")]
    hand.client.ping()
    (ping,) = hand.hear()
    assert (ping.kind, ping.flags, len(ping.payload)) == (PING, 0, 8)
    hand.say(frame(PING, ACK, 0, ping.payload))
    assert hand.hear() == []


def test_the_servers_settings_bound_what_is_sent() -> None:
    hand = Hand(
        (SettingCode.INITIAL_WINDOW_SIZE, 10),
        (SettingCode.MAX_CONCURRENT_STREAMS, 1),
        (SettingCode.HEADER_TABLE_SIZE, 0),
    )
    call, _ = hand.ask(b"0123456789")
    assert hand.client.is_full
    head, data = hand.hear()
    assert head.payload[:1] == b"\x20", "our table is empty: RFC 7541, 4.2"
    assert data == Frame(DATA, 0, 1, message(b"0123456789")[:10])
    hand.say(frame(WINDOW_UPDATE, 0, 1, (3).to_bytes(4)))
    assert hand.hear() == [Frame(DATA, 0, 1, b"567")]
    smaller = setting(SettingCode.INITIAL_WINDOW_SIZE, 8)
    hand.say(smaller, frame(WINDOW_UPDATE, 0, 1, (3).to_bytes(4)))
    assert hand.hear() == [Frame(SETTINGS, ACK, 0, b""), Frame(DATA, 0, 1, b"8")]
    hand.say(frame(WINDOW_UPDATE, 0, 1, (9).to_bytes(4)))
    assert hand.hear() == [Frame(DATA, END_STREAM, 1, b"9")]
    assert call.is_closed


def test_a_window_that_shrinks_while_its_call_waits_for_the_connections_is_kept_to() -> None:
    """RFC 9113, 6.9.2: it may become negative."""
    hand = Hand()
    hand.ask(b"x" * 65_000)
    hand.ask(b"0123456789" * 100)  # of which 530 bytes have room
    *_, last = hand.hear()
    assert (last.stream_id, len(last.payload)) == (3, 530)
    hand.say(
        setting(SettingCode.INITIAL_WINDOW_SIZE, 100), frame(WINDOW_UPDATE, 0, 0, b"\0\0\xff\xff")
    )
    assert hand.hear() == [Frame(SETTINGS, ACK, 0, b"")], "its window is 430 below zero"
    hand.say(frame(WINDOW_UPDATE, 0, 3, (530).to_bytes(4)))
    expected = message(b"0123456789" * 100)
    assert hand.hear() == [Frame(DATA, 0, 3, expected[530:630])]
    hand.say(frame(WINDOW_UPDATE, 0, 3, (1000).to_bytes(4)))
    assert hand.hear() == [Frame(DATA, END_STREAM, 3, expected[630:])]
