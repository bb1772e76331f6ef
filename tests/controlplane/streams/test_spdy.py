"""SPDY/3.1: what one end says the other hears, whatever pieces it comes in; what is no SPDY ends
the connection and nothing else.
"""

import contextlib
import itertools
import struct
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.streams import spdy_frames as frames
from controlplane.streams.spdy import (
    DATA_BYTES,
    STREAMS_MAX,
    WINDOW_BYTES,
    Ended,
    Event,
    Left,
    Opened,
    Received,
    Replied,
    Reset,
    Spdy,
)
from controlplane.streams.spdy_dictionary import DICTIONARY
from controlplane.streams.violations import ViolationError

NUMBERS = st.integers(1, (1 << 31) - 1)
HEADERS = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40),
    max_size=5,
)
FRAMES = st.one_of(
    st.builds(frames.SynStream, NUMBERS, HEADERS, st.booleans(), st.integers(0, 7)),
    st.builds(frames.SynReply, NUMBERS, HEADERS, st.booleans()),
    st.builds(frames.Headers, NUMBERS, HEADERS, st.booleans()),
    st.builds(frames.RstStream, NUMBERS, st.integers(1, 11)),
    st.builds(frames.Settings, st.none() | NUMBERS),
    st.builds(frames.Ping, NUMBERS),
    st.builds(frames.GoAway, NUMBERS, st.integers(0, 2)),
    st.builds(frames.WindowUpdate, NUMBERS, NUMBERS),
    st.builds(frames.Data, NUMBERS, st.binary(max_size=300), st.booleans()),
)


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)] or [b""]


def joined(found: Iterable[frames.Frame]) -> list[frames.Frame]:
    """Frames of data in one piece each, however they came."""
    whole: list[frames.Frame] = []
    is_open = False
    for one in found:
        frame = one
        if isinstance(frame, frames.Data) and is_open and isinstance(whole[-1], frames.Data):
            before = whole.pop()
            assert isinstance(before, frames.Data)
            frame = frames.Data(frame.stream, before.data + frame.data, frame.is_last)
        whole.append(frame)
        is_open = isinstance(frame, frames.Data) and not frame.is_last
    return whole


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_come_as_they_were_sent(sent: list[frames.Frame], cuts: list[int]) -> None:
    # Ends of data are only told by frames, so two that follow each other would run into one.
    sent = [
        frames.Data(one.stream, one.data, True) if isinstance(one, frames.Data) else one
        for one in sent
    ]
    encoder, decoder = frames.Encoder(), frames.Decoder()
    data = b"".join(map(encoder.encode, sent))
    found = [frame for piece in pieces(data, cuts) for frame in decoder.feed(piece)]
    assert joined(found) == sent


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_at_all_break_a_decoder_otherwise(parts: list[bytes]) -> None:
    decoder = frames.Decoder()
    with contextlib.suppress(ViolationError):
        for part in parts:
            list(decoder.feed(part))


@given(st.sampled_from(range(1, 10)), st.integers(0, 255), st.binary(max_size=100))
def test_no_control_frame_breaks_an_end_otherwise(kind: int, flags: int, body: bytes) -> None:
    end = Spdy(is_client=False)
    with contextlib.suppress(ViolationError):
        list(end.receive(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body))
    assert len(end.take()) < 1_000


def test_the_dictionary_is_that_of_the_protocol() -> None:
    """Every stream of headers of SPDY/3 begins with its checksum."""
    assert len(DICTIONARY) == 1_423
    assert frames.Encoder().encode(frames.SynReply(1, {}))[12:18] == b"\x78\xbb\xe3\xc6\xa7\xc2"


def test_headers_that_inflate_without_end_are_refused() -> None:
    deflater = zlib.compressobj(zdict=DICTIONARY)
    bomb = deflater.compress(bytes(frames.HEADERS_BYTES_MAX * 2)) + deflater.flush()
    assert len(bomb) < 1_000
    body = struct.pack(">IIBB", 1, 0, 0, 0) + bomb
    with pytest.raises(ViolationError, match="bytes of headers"):
        list(frames.Decoder().feed(struct.pack(">HHI", 0x8003, 1, len(body)) + body))


def test_a_control_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    head = struct.pack(">HHI", 0x8003, 6, frames.CONTROL_BYTES_MAX + 1)
    with pytest.raises(ViolationError, match="a control frame of"):
        list(frames.Decoder().feed(head))


class Pair:
    """A client's and a server's end, and what each has heard."""

    def __init__(self) -> None:
        self.client, self.server = Spdy(is_client=True), Spdy(is_client=False)
        self.at_client: list[Event] = []
        self.at_server: list[Event] = []

    def move(self) -> None:
        while (out := self.client.take()) or (back := self.server.take()):
            self.at_server += self.server.receive(out)
            self.at_client += self.client.receive(back if not out else self.server.take())

    def heard(self) -> list[Event]:
        """At the server, since it was last asked."""
        self.move()
        found, self.at_server = self.at_server, []
        return found


def test_a_stream_from_its_beginning_to_its_end() -> None:
    pair = Pair()
    number = pair.client.open({"streamtype": "data", "Port": "80"})
    assert pair.heard() == [Opened(number, {"streamtype": "data", "port": "80"})]
    pair.server.reply(number)
    pair.client.write(number, b"question")
    pair.client.end(number)
    assert pair.heard() == [Received(number, b"question"), Ended(number)]
    pair.server.write(number, b"answer")
    pair.server.end(number)
    pair.move()
    assert pair.at_client == [Replied(number), Received(number, b"answer"), Ended(number)]
    pair.server.write(number, b"more")  # it is over
    assert pair.server.take() == b""


def test_a_stream_is_reset_and_a_connection_left() -> None:
    pair = Pair()
    number = pair.client.open({})
    pair.heard()
    pair.client.reset(number, 5)
    pair.client.go_away()
    assert pair.heard() == [Reset(number), Left()]
    pair.server.write(number, b"late")
    assert pair.server.take() == b""


@given(st.binary(max_size=5 * WINDOW_BYTES), st.integers(1, 100_000))
def test_a_window_is_heeded_of_whoever_knows_of_windows(data: bytes, window: int) -> None:
    """Never more is under way than it allows, and all comes in the end."""
    server, encoder, decoder = Spdy(is_client=False), frames.Encoder(), frames.Decoder()
    list(server.receive(encoder.encode(frames.Settings(window))))
    list(server.receive(encoder.encode(frames.SynStream(1, {}))))
    server.write(1, data)
    server.end(1)
    found, is_last = b"", False
    while not is_last:
        under_way = 0
        for frame in decoder.feed(server.take()):
            assert isinstance(frame, frames.Data)
            found, under_way = found + frame.data, under_way + len(frame.data)
            is_last = frame.is_last
        assert under_way <= window
        assert server.held_bytes(1) == len(data) - len(found)
        if not is_last:
            assert under_way == window
            list(server.receive(encoder.encode(frames.WindowUpdate(1, window))))
    assert found == data


def test_kubectl_which_knows_of_no_windows_is_sent_all() -> None:
    server, encoder = Spdy(is_client=False), frames.Encoder()
    list(server.receive(encoder.encode(frames.SynStream(1, {}))))
    server.write(1, bytes(10 * WINDOW_BYTES))
    assert server.held_bytes(1) == 0
    assert len(server.take()) > 10 * WINDOW_BYTES
    server.consumed(1, WINDOW_BYTES)
    assert server.take() == b"", "it would not understand"


def test_what_was_used_opens_the_window_of_the_peer() -> None:
    server, encoder = Spdy(is_client=False), frames.Encoder()
    list(server.receive(encoder.encode(frames.Settings(WINDOW_BYTES))))
    list(server.receive(encoder.encode(frames.SynStream(1, {}))))
    server.consumed(1, WINDOW_BYTES // 2 - 1)
    assert server.take() == b""
    server.consumed(1, 1)
    assert list(frames.Decoder().feed(server.take())) == [frames.WindowUpdate(1, WINDOW_BYTES // 2)]


def test_large_writes_are_cut_so_that_others_have_their_turns() -> None:
    server, encoder = Spdy(is_client=False), frames.Encoder()
    list(server.receive(encoder.encode(frames.SynStream(1, {}))))
    server.write(1, bytes(3 * DATA_BYTES))
    sizes = [len(one.data) for one in frames.Decoder().feed(server.take()) if one.stream == 1]  # type: ignore[union-attr]
    assert sizes == [DATA_BYTES] * 3


def test_only_so_many_streams_are_taken() -> None:
    server, encoder = Spdy(is_client=False), frames.Encoder()
    for number in range(1, 2 * STREAMS_MAX + 2, 2):
        list(server.receive(encoder.encode(frames.SynStream(number, {}))))
    assert list(frames.Decoder().feed(server.take())) == [frames.RstStream(2 * STREAMS_MAX + 1, 3)]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (frames.SynStream(2, {}), "opens a stream 2"),
        (frames.Data(1, b"x"), "nobody has opened"),
        (frames.Data(0, b"x"), "nobody has opened"),
        (frames.SynReply(2, {}), "nobody has opened"),
        (frames.Settings(1 << 31), "a window of"),
    ],
)
def test_what_a_client_may_not_do(frame: frames.Frame, why: str) -> None:
    with pytest.raises(ViolationError, match=why):
        list(Spdy(is_client=False).receive(frames.Encoder().encode(frame)))


def test_streams_are_opened_in_their_order_and_ended_once() -> None:
    server, encoder = Spdy(is_client=False), frames.Encoder()
    list(server.receive(encoder.encode(frames.SynStream(3, {}, True))))
    with pytest.raises(ViolationError, match="which it had ended"):
        list(server.receive(encoder.encode(frames.Data(3, b"x"))))
    with pytest.raises(ViolationError, match="opens a stream 1 after 3"):
        list(server.receive(encoder.encode(frames.SynStream(1, {}))))


def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    server, encoder = Spdy(is_client=False), frames.Encoder()
    ping = encoder.encode(frames.Ping(1))
    assert list(server.receive(ping)) == []
    assert server.take() == ping
    assert list(server.receive(encoder.encode(frames.Ping(2)))) == []
    assert server.take() == b""


def test_a_ping_of_ours_is_answered_without_a_word_to_us() -> None:
    pair = Spdy(is_client=False), Spdy(is_client=True)
    for end, peer in (pair, pair[::-1]):
        end.ping()
        assert list(peer.receive(end.take())) == []
        answer = peer.take()
        assert answer
        assert list(end.receive(answer)) == []
        assert end.take() == b""


def test_a_window_that_is_opened_too_far_ends_its_stream() -> None:
    server, encoder = Spdy(is_client=False), frames.Encoder()
    list(server.receive(encoder.encode(frames.SynStream(1, {}))))
    widened = encoder.encode(frames.WindowUpdate(1, (1 << 31) - 1))
    assert list(server.receive(widened)) == [Reset(1)]
