"""Does the torture see a broken promise? A right history passes; each doctored one does not.

The controls of the harness: whatever a run can record is made wrong here, one thing at a time.
"""

import math
from collections.abc import Callable

import msgspec
import pytest

from kvstore.testing import check_command
from kvstore.testing.history import LostWriteError, ViolationError, Write
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture import verdict
from kvstore.testing.torture.answers import Answer
from kvstore.testing.torture.lease_promises import LeasedKey
from kvstore.testing.torture.readback import Found, Readback
from kvstore.testing.torture.recorder import RecordedWatch, Recorder
from kvstore.testing.watch_checker import Batch, Event, Resumption, Watch

WRITES = (
    Write(2, b"t/a", b"1"),
    Write(3, b"t/w", b"written"),
    Write(4, b"t/a", b"2"),
    Write(5, b"t/lease", b"leased"),
    Write(6, b"t/b", b"3"),  # nobody was told
    Write(7, b"t/lease", None),
)
STATE = {b"t/a": Found(b"2", 4), b"t/w": Found(b"written", 3), b"t/b": Found(b"3", 6)}


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
    for operation in (
        put(b"t/a", b"1", 1.0, 2),
        get(b"t/a", b"1", 2.0, 3, 2),
        put(b"t/a", b"2", 3.0, 4),
        get(b"t/a", b"2", 4.0, 4, 4),
        put(b"t/lease", b"leased", 5.0, 5),
        Operation(process=0, kind="put", key=b"t/b", value=b"3", invoked=6.0),
    ):
        recorder.record(operation)
    recorder.record_write(put(b"t/w", b"written", 1.1, 3))
    recorder.refused = {b"never"}
    recorder.leased = [LeasedKey(key=b"t/lease", ttl_seconds=4, promised_until=9.0, renewed_by=5.1)]
    recorder.answers.append(Answer(-math.inf, 9.1, 7))
    watch = RecordedWatch(Watch(key=b"t/", range_end=b"t0"))
    watch.received = [
        Batch(revision=4, events=tuple(map(event, WRITES[:3]))),
        Resumption(start_revision=5),
        Batch(revision=7, events=tuple(map(event, WRITES[3:]))),
    ]
    watch.through_revision = 7
    silent = RecordedWatch(Watch(key=b"t/other"))
    silent.received = [Batch(revision=7, is_progress=True)]
    silent.through_revision = 7
    recorder.watches = [watch, silent]
    return recorder


def found(writes: tuple[Write, ...] = WRITES, state: dict[bytes, Found] | None = None) -> Readback:
    return Readback(writes=writes, state=STATE if state is None else state, revision=9, hash_kv=1)


def test_a_right_history_passes() -> None:
    told = verdict.judge(recorded(), found())
    assert (told.operations, told.unknown, told.written, told.events) == (6, 1, 1, 6)
    assert (told.writes, told.watches_without_events, told.resumptions) == (6, 1, 1)
    assert "6 operations on 3 keys are linearizable" in told.told
    assert "1 of them got none" in told.told


def test_an_acknowledged_write_that_is_not_in_the_order_is_lost() -> None:
    recorder = recorded()
    recorder.watches = []
    without = tuple(write for write in WRITES if write.revision != 4)
    with pytest.raises(LostWriteError, match="an acknowledged write is lost"):
        verdict.judge(recorder, found(without, {**STATE, b"t/a": Found(b"1", 2)}))


def test_a_write_that_only_etcdctl_does_not_read_is_missed() -> None:
    state = {key: value for key, value in STATE.items() if key != b"t/w"}
    with pytest.raises(ViolationError, match="etcdctl reads None for b't/w'"):
        verdict.judge(recorded(), found(state=state))


def test_a_key_that_etcdctl_reads_at_another_revision_is_seen() -> None:
    with pytest.raises(ViolationError, match=r"etcdctl reads Found.* for b't/a'"):
        verdict.judge(recorded(), found(state={**STATE, b"t/a": Found(b"2", 2)}))


def test_a_writers_write_is_lost() -> None:
    recorder = recorded()
    recorder.record_write(put(b"t/x", b"written too", 1.0, 8))
    with pytest.raises(LostWriteError, match=r"lost: .*b'written too'"):
        verdict.judge(recorder, found())


def test_a_writers_write_that_was_refused_must_not_appear() -> None:
    """A refused one is recorded as that, and nowhere else."""
    recorder = recorded()
    del recorder.written[b"t/w"]
    recorder.refused.add(b"written")
    with pytest.raises(ViolationError, match="although its client was told it was not"):
        verdict.judge(recorder, found())


def test_a_writers_write_without_an_answer_may_be_there_or_not() -> None:
    recorder = recorded()
    recorder.record_write(put(b"t/x", b"x", 1.0, 8).without_answer())
    recorder.record_write(put(b"t/w2", b"w2", 1.0, 8).without_answer())
    writes = (*WRITES, Write(8, b"t/x", b"x"))
    assert verdict.judge(recorder, found(writes, {**STATE, b"t/x": Found(b"x", 8)})).unknown == 3


def test_a_write_that_nobody_asked_for_is_seen() -> None:
    writes = (*WRITES, Write(8, b"t/c", b"whose?"))
    with pytest.raises(ViolationError, match=r"b'whose\?'.* has no author"):
        verdict.judge(recorded(), found(writes, {**STATE, b"t/c": Found(b"whose?", 8)}))


def test_a_deletion_that_was_refused_must_not_happen() -> None:
    """It is recorded nowhere, so nobody has asked for it."""
    writes = (*WRITES, Write(8, b"t/a", None))
    state = {key: value for key, value in STATE.items() if key != b"t/a"}
    with pytest.raises(ViolationError, match="a deletion, has no author"):
        verdict.judge(recorded(), found(writes, state))


def test_an_acknowledged_write_that_is_gone_in_the_end_is_seen_from_outside() -> None:
    """Without revisions, and nobody has read the key since: only what etcdctl reads tells."""
    last = put(b"t/a", b"2", 3.0, 0)
    verdict.check_linearizable([last, *verdict.final_gets([last], found())])
    nothing = found((), {})
    with pytest.raises(ViolationError, match="violation: key b't/a'"):
        verdict.check_linearizable([last, *verdict.final_gets([last], nothing)])


def test_what_etcdctl_reads_is_one_more_read_of_each_key() -> None:
    """Its answer is of a revision that is older than what clients were told before."""
    recorder = recorded()
    recorder.record(get(b"t/a", b"2", 9.5, 8, 4))
    stale = msgspec.structs.replace(found(), revision=7)
    verdict.judge(recorder, found())
    with pytest.raises(ViolationError, match="revision 7 although 8 was answered before"):
        verdict.judge(recorder, stale)


def test_a_read_of_what_a_writer_wrote_is_judged() -> None:
    recorder = recorded()
    recorder.record(
        Operation(process=1, kind="get", key=b"t/w", invoked=7.0, completed=7.5, revision=6)
    )
    with pytest.raises(ViolationError, match="read None where the order has b'written'"):
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
    with pytest.raises(ViolationError, match="b'written' was applied twice"):
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
    recorder.watches[0].received.append(recorder.watches[0].received[2])


def end_too_soon(recorder: Recorder) -> None:
    del recorder.watches[0].received[2]


def repeat_after_a_resumption(recorder: Recorder) -> None:
    """As a member does that begins before the revision that it was asked for."""
    recorder.watches[0].received[2] = Batch(
        revision=7, events=tuple(map(event, (WRITES[2], *WRITES[3:])))
    )


def stay_silent(recorder: Recorder) -> None:
    """A watch that got nothing, of a key that was written."""
    silent = RecordedWatch(Watch(key=b"t/b", start_revision=5))
    silent.through_revision = 7
    recorder.watches.append(silent)


def promise_too_much(recorder: Recorder) -> None:
    silent = RecordedWatch(Watch(key=b"t/b", start_revision=5))
    silent.received = [Batch(revision=7, is_progress=True)]
    recorder.watches.append(silent)


@pytest.mark.parametrize(
    ("doctor", "promise"),
    [
        (lose_an_event, "reliable"),
        (repeat_events, "unique"),
        (end_too_soon, "reliable"),
        (repeat_after_a_resumption, "unique"),
        (stay_silent, "reliable"),
        (promise_too_much, "bookmarkable"),
    ],
)
def test_a_watch_that_breaks_its_promise_is_seen(
    doctor: Callable[[Recorder], None], promise: str
) -> None:
    recorder = recorded()
    doctor(recorder)
    with pytest.raises(ViolationError, match=promise):
        verdict.judge(recorder, found())


def test_a_lease_that_ended_too_soon_is_seen() -> None:
    """A get was told a revision after the end, although no watcher had heard of it."""
    recorder = recorded()
    recorder.record(get(b"t/a", b"2", 8.4, 7, 4))
    with pytest.raises(ViolationError, match=r"ended 0\.100 s too soon"):
        verdict.judge(recorder, found())


def test_a_key_that_outlived_its_lease_is_seen() -> None:
    recorder = recorded()
    recorder.watches = []
    leased = {**STATE, b"t/lease": Found(b"leased", 5)}
    with pytest.raises(ViolationError, match="has outlived its lease"):
        verdict.judge(recorder, found(WRITES[:-1], leased))


def test_a_lease_that_ended_too_late_is_seen() -> None:
    """The cluster served all the time, and 20 s later its key was still there."""
    recorder = recorded()
    recorder.answers = [answer for answer in recorder.answers if answer.revision < 7]
    for second in range(9, 31):
        recorder.record(put(b"t/b", b"%d" % second, second, 0).without_answer())
        recorder.answers.append(Answer(second, second + 0.1, 6, is_write=True))
    with pytest.raises(ViolationError, match=r"of b't/lease' ended .* too late"):
        verdict.judge(recorder, found())


def test_a_file_of_the_history_can_be_judged_alone() -> None:
    """The writers' puts and the ends of leases are in it: all writes of every key."""
    recording = verdict.recording(recorded(), found())
    kinds = [(operation.kind, operation.key) for operation in recording.operations]
    assert ("put", b"t/w") in kinds
    assert ("delete", b"t/lease") in kinds
    assert ("get", b"t/w") in kinds  # etcdctl's, in the end
    assert check_command.judge(recording, states_max=100)[0]
