"""Bytes of the peer port: any cut gives the same frames, garbage gives a FrameError."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvstore.server import peer_frames
from kvstore.server.peer_frames import (
    FRAME_BYTES_MAX,
    HANDSHAKE_BYTES_MAX,
    FrameError,
    FrameReader,
    Hello,
    Purpose,
    SnapshotEnd,
    SnapshotHeader,
    SnapshotReply,
    SnapshotSum,
    Welcome,
)


def feed(reader: FrameReader, data: bytes, *, piece_bytes: int) -> list[bytes]:
    """Give bytes to a reader as a socket would, at most so many at a time."""
    frames = []
    view = memoryview(data)
    while view:
        room = reader.buffer()
        count = min(len(room), len(view), piece_bytes)
        room[:count] = view[:count]
        reader.received(count)
        view = view[count:]
        while (payload := reader.next_frame()) is not None:
            frames.append(payload)
    return frames


@given(
    sizes=st.lists(
        st.one_of(
            st.integers(0, 20),
            st.integers(0, 70_000),
            st.integers(262_100, 262_200),
            st.just(600_000),
        ),
        max_size=12,
    ),
    piece_bytes=st.sampled_from([1_000, 4_096, 65_536, 262_144, 10**7]),
    seed=st.integers(0, 2**32),
)
@example(sizes=[262_140, 262_141, 262_142, 262_143, 262_144], piece_bytes=10**7, seed=1)
@settings(deadline=None, max_examples=60)
def test_frames_are_the_same_however_the_stream_is_cut(
    sizes: list[int], piece_bytes: int, seed: int
) -> None:
    frames = [random.Random(seed + size).randbytes(size) for size in sizes]
    stream = b"".join(map(peer_frames.frame, frames))
    assert feed(FrameReader(FRAME_BYTES_MAX), stream, piece_bytes=piece_bytes) == frames


def test_frames_may_come_byte_by_byte() -> None:
    frames = [b"", b"a", b"bc", bytes(300), b""]
    stream = b"".join(map(peer_frames.frame, frames))
    assert feed(FrameReader(), stream, piece_bytes=1) == frames


def test_length_beyond_the_limit_is_refused_before_any_byte_of_it() -> None:
    with pytest.raises(FrameError, match="a frame of 4097 bytes"):
        feed(FrameReader(), (HANDSHAKE_BYTES_MAX + 1).to_bytes(4, "big"), piece_bytes=4)


def test_limit_raised_after_the_handshake_holds_for_the_next_frame() -> None:
    reader = FrameReader()
    assert feed(reader, peer_frames.frame(b"hello"), piece_bytes=100) == [b"hello"]
    reader.frame_bytes_max = 10_000
    assert feed(reader, peer_frames.frame(bytes(10_000)), piece_bytes=999) == [bytes(10_000)]


def test_announced_size_costs_nothing_until_it_arrives() -> None:
    reader = FrameReader(FRAME_BYTES_MAX)
    feed(reader, FRAME_BYTES_MAX.to_bytes(4, "big") + b"x", piece_bytes=100)
    assert len(reader.buffer()) <= 256 * 1024


def test_handshake_and_snapshot_records_survive_the_wire() -> None:
    def payload(framed: bytes) -> bytes:
        (only,) = feed(FrameReader(), framed, piece_bytes=7)
        return only

    hello = Hello(peer_frames.MAGIC, 1, 2**63 + 1, 2**64 - 1, 3, Purpose.SNAPSHOT)
    welcome = Welcome(peer_frames.MAGIC, 1, 2**63 + 1, 3, "no")
    end = SnapshotEnd(2**40, 2**32 - 1)
    header = SnapshotHeader(b"\x00\xff")
    record = peer_frames.record_frame
    assert peer_frames.read_hello(payload(record(hello))) == hello
    assert peer_frames.read_welcome(payload(record(welcome))) == welcome
    assert peer_frames.read_snapshot_part(payload(record(header))) == header
    assert peer_frames.read_snapshot_part(payload(record(end))) == end
    assert peer_frames.read_snapshot_part(payload(peer_frames.chunk_frame(b"\xc1\x92"))) == (
        b"\xc1\x92"
    )
    assert peer_frames.read_reply(payload(record(SnapshotReply("no")))).refusal == "no"


@pytest.mark.parametrize(
    "read",
    [
        peer_frames.read_hello,
        peer_frames.read_welcome,
        peer_frames.read_reply,
        peer_frames.read_snapshot_part,
    ],
)
def test_garbage_in_a_frame_is_a_frame_error_or_a_record(read: Callable[[bytes], object]) -> None:
    dice = random.Random(5)
    valid = peer_frames.record_frame(Hello(peer_frames.MAGIC, 1, 2, 3, 4, Purpose.MESSAGES))[4:]
    for _ in range(20_000):
        if dice.random() < 0.5:
            garbage = bytearray(valid)
            garbage[dice.randrange(0, len(garbage))] = dice.randrange(0, 256)
        else:
            garbage = bytearray(dice.randbytes(dice.randrange(0, 40)))
        with suppress(FrameError):
            assert read(bytes(garbage)) is not None


@pytest.mark.parametrize(
    ("read", "record"),
    [
        (peer_frames.read_hello, Hello(peer_frames.MAGIC, 1, 2, 3, 4, Purpose.MESSAGES)),
        (peer_frames.read_welcome, Welcome(peer_frames.MAGIC, 1, 2, 3, "no", False)),
        (peer_frames.read_reply, SnapshotReply("no")),
        (peer_frames.read_snapshot_part, SnapshotEnd(1, 2)),
    ],
)
def test_absurd_nesting_in_a_frame_is_a_frame_error(
    read: Callable[[bytes], object],
    record: Hello | Welcome | SnapshotReply | SnapshotEnd,
) -> None:
    head = peer_frames.record_frame(record)[4:]
    with pytest.raises(FrameError, match="recursion"):
        read(bytes([head[0] + 1]) + head[1:] + b"\x91" * 3_500 + b"\xc0")


def test_garbage_on_the_stream_is_a_frame_error_or_frames() -> None:
    dice = random.Random(6)
    for _ in range(300):
        reader = FrameReader()
        try:
            frames = feed(reader, dice.randbytes(2_000), piece_bytes=dice.randrange(1, 900))
        except FrameError:
            continue
        assert sum(map(len, frames)) < 2_000


def test_sum_depends_on_every_byte_and_not_on_the_cut() -> None:
    whole, cut, other = SnapshotSum(), SnapshotSum(), SnapshotSum()
    whole.add(b"abcdef")
    cut.add(b"abc")
    cut.add(b"def")
    other.add(b"abcdeg")
    assert whole.end() == cut.end() != other.end()
