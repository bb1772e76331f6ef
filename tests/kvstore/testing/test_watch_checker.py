"""What a watcher may get: one history that is right, and one for each promise that is broken."""

import msgspec
import pytest

from kvstore.testing.history import ViolationError, Write
from kvstore.testing.watch_checker import Batch, Event, Order, Resumption, Watch, check

WRITES = [
    Write(2, b"a", b"1"),
    Write(3, b"b", b"2"),
    Write(4, b"a", b"3"),  # one txn
    Write(4, b"b", None),
    Write(5, b"a", None),
    Write(6, b"a", b"4"),
    Write(7, b"z", b"5"),
]


def event(write: Write) -> Event:
    return Event(key=write.key, value=write.value, mod_revision=write.revision)


A2, B3, A4, B4, A5, A6, Z7 = map(event, WRITES)
PREVIOUS = [
    A2,
    B3,
    msgspec.structs.replace(A4, prev_value=b"1", prev_mod_revision=2),
    msgspec.structs.replace(B4, prev_value=b"2", prev_mod_revision=3),
    msgspec.structs.replace(A5, prev_value=b"3", prev_mod_revision=4),
    A6,
]


def batch(*events: Event, is_fragment: bool = False) -> Batch:
    return Batch(
        revision=max(event.mod_revision for event in events),
        events=events,
        is_fragment=is_fragment,
    )


def progress(revision: int) -> Batch:
    return Batch(revision=revision, is_progress=True)


def watch(*received: Batch | Resumption, **fields: object) -> Watch:
    asked = {"key": b"a", "range_end": b"c", **fields}
    return Watch(received=received, **asked)  # type: ignore[arg-type]


ALL = (batch(A2), batch(B3, A4, B4), batch(A5), batch(A6))

GOOD = {
    "nothing yet": (watch(), 0),
    "everything, batched in any way": (watch(*ALL, through_revision=7), 6),
    "it may end anywhere": (watch(*ALL[:2]), 4),
    "from a later revision on": (watch(*ALL[2:], start_revision=5), 2),
    "progress is told of revisions that have no event here": (watch(*ALL, progress(9)), 6),
    "progress between": (watch(*ALL[:2], progress(4), *ALL[2:]), 6),
    "resumed where it broke": (watch(*ALL[:2], Resumption(start_revision=5), *ALL[2:]), 6),
    "resumed after a bookmark": (watch(*ALL, progress(9), Resumption(start_revision=10)), 6),
    "a revision in fragments": (
        watch(ALL[0], batch(B3, A4, is_fragment=True), batch(B4), *ALL[2:]),
        6,
    ),
    "a part that was forgotten": (
        watch(
            ALL[0],
            batch(B3, A4, is_fragment=True),
            Resumption(start_revision=3),
            batch(B3, A4, B4),
        ),
        4,
    ),
    "whole revisions of a part that was forgotten": (
        watch(
            batch(A2, is_fragment=True),
            batch(B3, is_fragment=True),
            Resumption(start_revision=1),
            batch(A2, B3, is_fragment=True),
            batch(A4, B4),
        ),
        4,
    ),
    "a part at the end counts for nothing": (watch(ALL[0], batch(B3, is_fragment=True)), 1),
    "no puts": (watch(batch(B4), batch(A5), no_put=True, through_revision=7), 2),
    "no deletes": (watch(batch(A2, B3, A4, A6), no_delete=True, through_revision=7), 4),
    "one key": (watch(batch(Z7), key=b"z", range_end=b"", through_revision=7), 1),
    "from a key on": (watch(batch(Z7), key=b"c", range_end=b"\0", through_revision=7), 1),
    "with what was there before": (watch(batch(*PREVIOUS), prev_kv=True, through_revision=7), 6),
}


@pytest.mark.parametrize(("got", "count"), GOOD.values(), ids=GOOD.keys())
def test_what_was_promised_is_accepted(got: Watch, count: int) -> None:
    assert check(got, WRITES) == count
    assert check(got, Order(WRITES).part_for(got)) == count


BAD = {
    "lost at the end": (watch(*ALL[:3], through_revision=6), "reliable.*ended without.*revision=6"),
    "left out": (watch(ALL[0], ALL[2]), "reliable.*mod_revision=5.* came, and .*revision=3"),
    "left out of a txn": (watch(batch(A2, B3, B4)), "ordered.*revision=4, key=b'a'"),
    "out of order": (watch(batch(B3), batch(A2)), "reliable.*revision=3.* came, and .*revision=2"),
    "out of order in a txn": (watch(batch(A2, B3, B4, A4)), "ordered.*came before"),
    "repeated": (watch(ALL[0], ALL[0]), "unique.*item 1"),
    "repeated after a resumption": (
        watch(*ALL, Resumption(start_revision=6), ALL[3]),
        "resumable.*is known",
    ),
    "lost by a resumption": (watch(ALL[0], Resumption(start_revision=5)), "resumable.*leaves out"),
    "resumed after a part": (
        watch(ALL[0], batch(B3, is_fragment=True), Resumption(start_revision=4)),
        "resumable.*leaves out.*revision=3",
    ),
    "lost with a part": (
        watch(ALL[0], batch(B3, A4, is_fragment=True), through_revision=3),
        "reliable.*ended without.*revision=3",
    ),
    "before the start": (watch(ALL[0], start_revision=3), "ordered.*before the start 3"),
    "a split txn": (watch(batch(A2, B3, A4), batch(B4)), "atomic.*item 0.*revision=4, key=b'b'"),
    "beyond the header": (
        watch(Batch(revision=1, events=(A2,))),
        "ordered.*beyond its header's revision 1",
    ),
    "a promise too early": (watch(ALL[0], progress(3)), "bookmarkable.*up to 3.*revision=3"),
    "a promise within a txn": (
        watch(batch(A2, B3, A4, is_fragment=True), progress(4)),
        "bookmarkable",
    ),
    "a promise with events": (
        watch(msgspec.structs.replace(ALL[0], is_progress=True)),
        "bookmarkable.*has events",
    ),
    "a put for whom wanted none": (watch(ALL[0], no_put=True), "filtered"),
    "a delete for whom wanted none": (watch(batch(A2, B3, A4, B4), no_delete=True), "filtered"),
    "another key": (watch(ALL[0], key=b"b", range_end=b""), "filtered"),
    "beyond the range": (watch(batch(Z7)), "filtered"),
    "another value": (
        watch(batch(msgspec.structs.replace(A2, value=b"9"))),
        "reliable.*never written",
    ),
    "the value before is missing": (
        watch(batch(A2, B3, A4, B4), prev_kv=True),
        "prev_kv.*b'1' of revision 2",
    ),
    "the value before is another": (
        watch(
            batch(A2, B3, msgspec.structs.replace(PREVIOUS[2], prev_value=b"2"), PREVIOUS[3]),
            prev_kv=True,
        ),
        "prev_kv",
    ),
    "a value before what was created": (
        watch(
            batch(msgspec.structs.replace(A6, prev_value=b"3", prev_mod_revision=4)),
            prev_kv=True,
            start_revision=6,
        ),
        "prev_kv.*None of revision 0",
    ),
    "a value before that nobody asked for": (watch(batch(*PREVIOUS)), "prev_kv"),
}


@pytest.mark.parametrize(("got", "what"), BAD.values(), ids=BAD.keys())
def test_a_broken_promise_is_named(got: Watch, what: str) -> None:
    with pytest.raises(ViolationError, match=what):
        check(got, WRITES)
    with pytest.raises(ViolationError, match=what):
        check(got, Order(WRITES).part_for(got))


def test_a_watch_is_judged_by_its_part_of_the_order() -> None:
    """What comes after it, and what was there before but for the keys in it, is left out."""
    got = watch(*ALL[2:3], start_revision=5, prev_kv=True)
    assert Order(WRITES).part_for(got) == [WRITES[2], WRITES[4]]
    assert Order(WRITES).part_for(watch(start_revision=8)) == []


def test_a_compacted_value_may_be_missing_but_not_wrong() -> None:
    missing = watch(batch(A2, B3, A4, B4), prev_kv=True)
    assert check(missing, WRITES, compact_revision=4) == 4
    with pytest.raises(ViolationError, match="prev_kv"):
        check(missing, WRITES, compact_revision=3)
    wrong = msgspec.structs.replace(PREVIOUS[2], prev_value=b"2")
    with pytest.raises(ViolationError, match="prev_kv"):
        check(watch(batch(A2, B3, wrong, B4), prev_kv=True), WRITES, compact_revision=4)
