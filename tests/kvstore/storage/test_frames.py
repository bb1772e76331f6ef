"""Frames: what is written is read; what is damaged is seen; what proves damage is found."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.storage.frames import (
    END,
    FIRST_OF_BATCH,
    OVERHEAD_BYTES,
    FrameReader,
    encode_frame,
    first_proof_of_sync,
    is_good_frame,
    was_written_whole,
)

payloads = st.lists(st.binary(max_size=1200), min_size=1, max_size=8)


def chained(*contents: bytes, first: int = 0) -> list[bytes]:
    """Frames in a row; the one at position `first` begins a batch."""
    frames, chain = [], 0
    for position, payload in enumerate(contents):
        kind = 2 | (FIRST_OF_BATCH if position == first else 0)
        frame, chain = encode_frame(kind, payload, chain)
        frames.append(frame)
    return frames


@settings(deadline=None, max_examples=60)
@given(payloads)
def test_frames_are_read_as_they_were_written(contents: list[bytes]) -> None:
    frames = chained(*contents)
    reader = FrameReader(b"".join(frames) + bytes(100))
    assert list(reader) == [(2, payload) for payload in contents]
    assert reader.offset == sum(map(len, frames))


@settings(deadline=None, max_examples=60)
@given(payloads, st.data())
def test_a_flipped_bit_ends_the_good_frames_before_its_frame(
    contents: list[bytes], data: st.DataObject
) -> None:
    frames = chained(*contents)
    damaged = bytearray(b"".join(frames))
    bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    reader = FrameReader(bytes(damaged))
    assert len(list(reader)) < len(frames)
    assert reader.offset <= bit // 8


def test_a_lost_doubled_or_moved_frame_breaks_the_chain() -> None:
    a, b, c = chained(b"a", b"b", b"c")
    for data in (a + c, a + a + b, b + a):
        assert len(list(FrameReader(data))) <= 1


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=1500), st.data())
def test_one_flipped_bit_in_a_frame_is_never_taken_for_a_torn_write(
    payload: bytes, data: st.DataObject
) -> None:
    # A whole sector of zeros in the payload could be one that was never written.
    filled = payload.replace(b"\0", b"\1")
    before, frame = chained(b"x" * 100, filled)
    damaged = bytearray(before + frame + bytes(600))
    bit = data.draw(st.integers(len(before) * 8, (len(before) + len(frame)) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    reader = FrameReader(bytes(damaged))
    assert len(list(reader)) == 1
    assert was_written_whole(bytes(damaged), reader.offset, reader.chain)


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=1, max_size=3000), st.integers(0, 600), st.data())
def test_a_torn_write_is_never_taken_for_damage(
    payload: bytes, start: int, data: st.DataObject
) -> None:
    (before,) = chained(bytes(start))
    chain = int.from_bytes(before[:4], "little")
    frame, _ = encode_frame(2 | FIRST_OF_BATCH, payload, chain)
    torn = bytearray(before + frame + bytes(600))
    if data.draw(st.booleans()):
        cut = len(before) + data.draw(st.integers(0, len(frame) - 1))
        torn[cut:] = bytes(len(torn) - cut)
    else:
        lost = data.draw(st.integers(len(before) // 512, (len(before) + len(frame) - 1) // 512))
        low, high = max(lost * 512, len(before)), min((lost + 1) * 512, len(torn))
        torn[low:high] = bytes(high - low)
    reader = FrameReader(bytes(torn))
    if len(list(reader)) == 1:  # else what was lost were zeros, and nothing was lost
        assert not was_written_whole(bytes(torn), reader.offset, reader.chain)


def test_a_frame_that_begins_a_batch_proves_what_lies_before_it() -> None:
    bad, good = chained(b"a" * 50, b"b" * 50, first=1)
    assert first_proof_of_sync(bytes(len(bad)) + good, 0) == len(bad)


def test_a_frame_within_a_batch_proves_nothing() -> None:
    bad, good = chained(b"a" * 50, b"b" * 50, first=0)
    assert first_proof_of_sync(bytes(len(bad)) + good, 0) is None


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_garbage_is_no_frame(data: bytes) -> None:
    assert not is_good_frame(data, 0)
    assert list(FrameReader(data)) == []
    assert not was_written_whole(data, 0, 0) or len(data) >= OVERHEAD_BYTES


def test_the_end_mark_is_not_what_an_unwritten_sector_holds() -> None:
    assert END != b"\0"
