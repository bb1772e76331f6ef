"""Replay, on bytes alone: it answers with what was written, or refuses; nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.errors import DataFolderError, OperatorError, WalCorruptError
from kvstore.raft.types import Entry, HardState
from kvstore.storage import records
from kvstore.storage.frames import FIRST_OF_BATCH, encode_frame
from kvstore.storage.records import RecordKind, SegmentHeader, SnapshotMarker
from kvstore.storage.replay import Replay
from tests.kvstore.storage.logs import IDENTITY, entries, entry, meta


def header(**changes: object) -> SegmentHeader:
    fields = {
        "version": records.FORMAT_VERSION,
        "cluster_id": IDENTITY.cluster_id,
        "member_id": IDENTITY.member_id,
        "sequence": 1,
        "first_index": 1,
        "position": 0,
        "chain": 0,
        "hard_state": HardState(),
        "snapshot": None,
    }
    return SegmentHeader(**{**fields, **changes})  # type: ignore[arg-type]


def segment(first: SegmentHeader, *contents: tuple[int, bytes]) -> bytes:
    """A segment whose records each begin a batch."""
    frame, _ = encode_frame(RecordKind.SEGMENT_HEADER | FIRST_OF_BATCH, records.encode(first), 0)
    frames, chain = [frame], first.chain
    for kind, payload in contents:
        frame, chain = encode_frame(kind | FIRST_OF_BATCH, payload, chain, first.salt)
        frames.append(frame)
    return b"".join(frames)


def appended(*batch: Entry, hard_state: HardState | None = None) -> tuple[int, bytes]:
    return RecordKind.APPEND, records.encode((hard_state, batch))


def replayed(data: bytes, name: str = records.segment_name(1, 1)) -> Replay:
    replay = Replay(IDENTITY)
    replay.segment(f"wal/{name}", data, is_last=True)
    return replay


def test_replaying_twice_gives_the_same() -> None:
    data = segment(header(), appended(*entries(1, 3)), appended(*entries(4, 4)))
    assert replayed(data).recovery() == replayed(data).recovery()
    assert replayed(data).recovery().entries == entries(1, 4)


def test_a_value_that_looks_like_a_frame_does_not_make_a_torn_tail_damage() -> None:
    """Who does not know the salt cannot forge the proof that a batch was followed by another."""
    decoy, _ = encode_frame(RecordKind.APPEND | FIRST_OF_BATCH, b"a client's value", 0)
    batch = appended(entry(1)), appended(Entry(2, 1, bytes(600) + decoy + bytes(600)))
    whole = segment(header(salt=0x5EC0DE), *batch)
    assert decoy in whole
    torn = whole[:-400] + bytes(400)
    assert replayed(torn).recovery().entries == entries(1, 1)
    guessed = segment(header(), *batch)[:-400] + bytes(400)
    with pytest.raises(WalCorruptError, match="good ones follow"):
        replayed(guessed)


def test_a_gap_between_records_is_refused() -> None:
    with pytest.raises(WalCorruptError, match="entries 2 to 4 are missing"):
        replayed(segment(header(), appended(entry(1)), appended(entry(5))))


@pytest.mark.parametrize(
    "content",
    [(RecordKind.APPEND, b"\xc1"), (RecordKind.APPEND, b"\x90"), (RecordKind.SNAPSHOT_MARKER, b"")],
)
def test_a_sound_record_of_unknown_shape_is_refused(content: tuple[int, bytes]) -> None:
    with pytest.raises(WalCorruptError, match="unreadable"):
        replayed(segment(header(), content))


@pytest.mark.parametrize("kind", [RecordKind.SEGMENT_HEADER, RecordKind.SNAPSHOT_CHUNK, 99])
def test_a_record_that_does_not_belong_into_a_wal_is_refused(kind: int) -> None:
    with pytest.raises(WalCorruptError, match="belongs into a WAL"):
        replayed(segment(header(), (kind, b"")))


def test_an_unreadable_header_is_refused() -> None:
    frame, _ = encode_frame(RecordKind.SEGMENT_HEADER | FIRST_OF_BATCH, b"\xc1", 0)
    with pytest.raises(WalCorruptError, match="header is unreadable"):
        replayed(frame)


def test_a_segment_without_a_header_is_refused() -> None:
    frame, _ = encode_frame(*appended(entry(1)), 0)
    for data in (b"", bytes(1000), frame):
        with pytest.raises(WalCorruptError, match="header is damaged"):
            replayed(data)


def test_a_format_of_another_version_is_refused() -> None:
    with pytest.raises(DataFolderError, match="run the version that wrote it"):
        replayed(segment(header(version=2)))


def test_a_header_carries_the_state_of_the_segments_before_it() -> None:
    marker = SnapshotMarker(meta(9), 4000)
    first = header(sequence=7, first_index=10, hard_state=HardState(3, 1, 8), snapshot=marker)
    recovery = replayed(segment(first, appended(entry(10))), records.segment_name(7, 10)).recovery()
    assert recovery.snapshot == meta(9)
    assert recovery.entries == [entry(10)]
    assert recovery.hard_state == HardState(3, 1, 9)


def test_a_log_that_begins_behind_its_snapshot_is_refused() -> None:
    marker = SnapshotMarker(meta(7), 4000)
    first = header(sequence=7, first_index=10, snapshot=marker)
    with pytest.raises(WalCorruptError, match="starts at entry 10 but its snapshot ends at 7"):
        replayed(segment(first), records.segment_name(7, 10)).recovery()


def test_a_hard_state_older_than_the_snapshot_is_raised_without_a_vote() -> None:
    marker = records.encode(SnapshotMarker(meta(9, term=4), 0, True))
    state = appended(hard_state=HardState(2, 3, 1))
    data = segment(header(), state, (RecordKind.SNAPSHOT_MARKER, marker))
    assert replayed(data).recovery().hard_state == HardState(term=4, vote=0, commit=9)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_is_refused_or_leaves_a_beginning(data: st.DataObject) -> None:
    """Overwritten, cut out, doubled, cut off: never an entry that was not written so."""
    written = entries(1, 12, size=data.draw(st.sampled_from([8, 100, 600])))
    log = bytearray(segment(header(), *(appended(each) for each in written)) + bytes(700))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(log)))
        end = min(len(log), start + data.draw(st.integers(0, 900)))
        log[start:end] = data.draw(
            st.one_of(st.binary(max_size=40), st.just(bytes(end - start)), st.just(log[:start]))
        )
    try:
        recovered = replayed(bytes(log)).recovery().entries
    except OperatorError:
        return
    assert recovered == written[: len(recovered)]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(WalCorruptError):
        replayed(data)
