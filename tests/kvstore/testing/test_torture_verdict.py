"""Does the torture see a broken promise? A right history passes; each doctored one does not.

The controls of the harness: whatever a run can record is made wrong here, one thing at a time.
"""

from collections.abc import Callable

import msgspec
import pytest

from kvstore.testing.history import LostWriteError, ViolationError, Write
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture import verdict
from kvstore.testing.torture.readback import Readback
from kvstore.testing.torture.recorder import LeasedKey, RecordedWatch, Recorder
from kvstore.testing.watch_checker import Batch, Event, Watch

WRITES = (
    Write(2, b"t/a", b"1"),
    Write(3, b"t/w", b"written"),
    Write(4, b"t/a", b"2"),
    Write(5, b"t/lease", b"leased"),
    Write(6, b"t/b", b"3"),  # nobody was told
    Write(7, b"t/lease", None),
)
STATE = {b"t/a": b"2", b"t/w": b"written", b"t/b": b"3"}


def put(key: bytes, value: bytes, at: float, revision: int) -> Operation:
    return Operation(
        process=0,
        kind="put",
        key=key,
        value=value,
        invoked=at,
        completed=at + 0.5,
        revision=revision,
    )


def get(key: bytes, value: bytes, at: float, revision: int, mod_revision: int) -> Operation:
    return Operation(
        process=1,
        kind="get",
        key=key,
        value=value,
        invoked=at,
        completed=at + 0.5,
        revision=revision,
        mod_revision=mod_revision,
    )


def event(write: Write) -> Event:
    return Event(key=write.key, value=write.value, mod_revision=write.revision)


def recorded() -> Recorder:
    """A run in which all went well: one write has no answer, and was applied."""
    recorder = Recorder()
    recorder.operations = [
        put(b"t/a", b"1", 1.0, 2),
        get(b"t/a", b"1", 2.0, 3, 2),
        put(b"t/a", b"2", 3.0, 4),
        get(b"t/a", b"2", 4.0, 4, 4),
        put(b"t/lease", b"leased", 5.0, 5),
        Operation(process=0, kind="put", key=b"t/b", value=b"3", invoked=6.0),
    ]
    recorder.written = {b"t/w": b"written"}
    recorder.refused = {b"never"}
    recorder.leased = [LeasedKey(b"t/lease", promised_until=9.0)]
    recorder.deleted_at = {b"t/lease": 9.1}
    watch = RecordedWatch(Watch(key=b"t/", range_end=b"t0"))
    watch.received = [
        Batch(revision=4, events=tuple(map(event, WRITES[:3]))),
        Batch(revision=7, events=tuple(map(event, WRITES[3:]))),
    ]
    watch.through_revision = 7
    recorder.watches = [watch]
    return recorder


def found(writes: tuple[Write, ...] = WRITES, state: dict[bytes, bytes] | None = None) -> Readback:
    return Readback(writes=writes, state=STATE if state is None else state, hash_kv=1)


def test_a_right_history_passes() -> None:
    told = verdict.judge(recorded(), found())
    assert (told.operations, told.unknown, told.written, told.events) == (6, 1, 1, 6)
    assert "6 operations on 3 keys are linearizable" in told.told


def test_an_acknowledged_write_that_is_not_in_the_order_is_lost() -> None:
    recorder = recorded()
    recorder.watches = []
    without = tuple(write for write in WRITES if write.revision != 4)
    with pytest.raises(LostWriteError, match="an acknowledged write is lost"):
        verdict.judge(recorder, found(without, {**STATE, b"t/a": b"1"}))


def test_a_write_that_only_etcdctl_does_not_read_is_missed() -> None:
    state = {key: value for key, value in STATE.items() if key != b"t/w"}
    with pytest.raises(ViolationError, match="etcdctl reads None for b't/w'"):
        verdict.judge(recorded(), found(state=state))


def test_a_writers_write_is_lost() -> None:
    recorder = recorded()
    recorder.written[b"t/x"] = b"written too"
    with pytest.raises(LostWriteError, match="b't/x' = b'written too' was acknowledged"):
        verdict.judge(recorder, found())


def test_a_write_that_was_applied_twice_is_seen() -> None:
    recorder = recorded()
    recorder.watches = []
    writes = (*WRITES, Write(8, b"t/b", b"3"))
    with pytest.raises(ViolationError, match="b'3' was applied twice"):
        verdict.judge(recorder, found(writes))


def test_a_writers_write_that_was_applied_twice_is_seen() -> None:
    recorder = recorded()
    recorder.watches = []
    with pytest.raises(ViolationError, match="was written before"):
        verdict.judge(recorder, found((*WRITES, Write(8, b"t/w", b"written"))))


def test_a_write_that_surely_was_not_applied_must_not_appear() -> None:
    recorder = recorded()
    recorder.refused.add(b"3")
    with pytest.raises(ViolationError, match="although its client was told it was not"):
        verdict.judge(recorder, found())


def test_a_stale_read_is_seen() -> None:
    """After the second put was answered a get finds the first one's value."""
    recorder = recorded()
    recorder.operations[3] = get(b"t/a", b"1", 4.0, 3, 2)
    with pytest.raises(ViolationError, match="revision 3 although 4 was answered before"):
        verdict.judge(recorder, found())


def test_a_stale_read_without_revisions_is_seen_from_outside() -> None:
    """The order of writes cannot tell: only the search finds it."""
    recorder = recorded()
    recorder.operations = [
        msgspec.structs.replace(operation, revision=0, mod_revision=0)
        for operation in (
            put(b"t/a", b"1", 1.0, 2),
            put(b"t/a", b"2", 3.0, 4),
            get(b"t/a", b"1", 4.0, 3, 2),
        )
    ]
    with pytest.raises(ViolationError, match="violation: key b't/a'"):
        verdict.check_linearizable(recorder.operations)


def lose_an_event(recorder: Recorder) -> None:
    recorder.watches[0].received[0] = Batch(revision=4, events=tuple(map(event, WRITES[1:3])))


def repeat_events(recorder: Recorder) -> None:
    recorder.watches[0].received.append(recorder.watches[0].received[1])


def end_too_soon(recorder: Recorder) -> None:
    del recorder.watches[0].received[1]


@pytest.mark.parametrize(
    ("doctor", "promise"),
    [(lose_an_event, "reliable"), (repeat_events, "unique"), (end_too_soon, "reliable")],
)
def test_a_watch_that_breaks_its_promise_is_seen(
    doctor: Callable[[Recorder], None], promise: str
) -> None:
    recorder = recorded()
    doctor(recorder)
    with pytest.raises(ViolationError, match=promise):
        verdict.judge(recorder, found())


def test_a_lease_that_ended_too_soon_is_seen() -> None:
    recorder = recorded()
    recorder.deleted_at[b"t/lease"] = 8.9
    with pytest.raises(ViolationError, match=r"ended 0\.100 s too soon"):
        verdict.judge(recorder, found())


def test_a_key_that_outlived_its_lease_is_seen() -> None:
    recorder = recorded()
    recorder.deleted_at.clear()
    with pytest.raises(ViolationError, match="has outlived its lease"):
        verdict.judge(recorder, found())
