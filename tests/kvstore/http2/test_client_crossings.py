"""What crosses on the wire, and callers that do something when they are told something."""

import pytest

from kvstore.http2.client import ClientConnection
from kvstore.http2.limits import REMEMBERED_BLOCKS_MAX
from kvstore.http2.protocol import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    HEADERS,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    SettingCode,
)
from tests.kvstore.http2.peer import frame, message
from tests.kvstore.http2.test_client import BLOCK, HEADS, OK, TRAILERS, Caller, Hand


def test_what_the_server_still_says_of_a_cancelled_call_is_nothing_to_anybody() -> None:
    hand = Hand()
    gone, caller = hand.ask(is_last=False)
    hand.client.cancel(gone)
    _, other = hand.ask()
    hand.hear()
    hand.say(
        hand.headers(HEADS),
        frame(DATA, 0, 1, message(b"late")),
        frame(WINDOW_UPDATE, 0, 1, (10).to_bytes(4)),
        frame(RST_STREAM, 0, 1, ErrorCode.CANCEL.to_bytes(4)),
        frame(SETTINGS, ACK, 0, b""),
        hand.headers(HEADS, stream_id=3),
        frame(DATA, 0, 3, message(b"mine")),
        hand.headers(TRAILERS, stream_id=3, ends=True),
    )
    assert (caller.messages, caller.end) == ([], None)
    assert (other.messages, other.end) == ([b"mine"], OK)
    assert hand.client.is_usable


def test_the_window_of_the_connection_is_widened_before_it_is_used_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has two gigabytes; here 64 bytes."""
    hand = Hand()
    hand.ask()
    hand.hear()
    hand.say(hand.headers(HEADS))
    monkeypatch.setattr("kvstore.http2.client.WINDOW_MAX", 64)
    hand.say(frame(DATA, 0, 1, message(b"x" * 20)))
    assert hand.hear() == []
    hand.say(frame(DATA, 0, 1, message(b"x" * 20)))
    (update,) = hand.hear()
    assert (update.kind, update.stream_id) == (WINDOW_UPDATE, 0)
    assert int.from_bytes(update.payload) == 50


def test_ever_new_header_blocks_are_read_and_not_all_remembered() -> None:
    hand = Hand()
    for number in range(REMEMBERED_BLOCKS_MAX + 3):
        call, caller = hand.ask()
        text = b"%d" % number
        literal = b"\x00\x0bgrpc-status\x012\x00\x0cgrpc-message" + bytes((len(text),)) + text
        hand.say(
            frame(HEADERS, END_HEADERS, call.id, b"\x88"),
            frame(HEADERS, END_HEADERS | END_STREAM, call.id, literal),
        )
        assert caller.end == ("UNKNOWN", text.decode(), True)


def test_frames_are_as_large_as_the_server_takes_them() -> None:
    large = 2 * FRAME_BYTES_DEFAULT
    hand = Hand((SettingCode.MAX_FRAME_SIZE, large))
    hand.ask(b"x" * (large + 100))
    _, *data = hand.hear()
    assert [len(one.payload) for one in data] == [large, 105]


class Quitter(Caller):
    """Ends the connection at its first message."""

    def __init__(self, client: ClientConnection) -> None:
        super().__init__()
        self._client = client

    def message_received(self, message: bytes) -> None:
        super().message_received(message)
        self._client.lost("enough")


def test_nothing_is_read_after_a_caller_has_ended_the_connection() -> None:
    hand = Hand()
    caller = Quitter(hand.client)
    hand.client.call(BLOCK, caller)
    hand.hear()
    two = frame(DATA, 0, 1, message(b"a")), frame(DATA, 0, 1, message(b"b"))
    hand.say(hand.headers(HEADS), *two)
    assert caller.messages == [b"a"]
    assert caller.end == ("UNAVAILABLE", "enough", True)


def test_a_call_that_the_end_of_another_cancels_is_told_nothing() -> None:
    hand = Hand()
    other = Caller()

    class Canceller(Caller):
        def ended(self, code: str, text: str, *, is_sent: bool) -> None:
            super().ended(code, text, is_sent=is_sent)
            hand.client.cancel(later)

    first = Canceller()
    hand.client.call(BLOCK, first)
    later = hand.client.call(BLOCK, other)
    hand.client.lost("cut")
    assert first.end == ("UNAVAILABLE", "cut", True)
    assert other.end is None
