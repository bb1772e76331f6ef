"""What the clients of a torture write down, and how the director waits for them."""

import asyncio
import math

import msgspec
import pytest

from kvstore import client
from kvstore.client.types import Header
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.answers import Answer
from kvstore.testing.torture.recorder import RecordedWatch, Recorder
from kvstore.testing.watch_checker import Batch, Event, Resumption, Watch


def put(invoked: float, completed: float | None, revision: int = 0) -> Operation:
    return Operation(
        process=0,
        kind="put",
        key=b"k",
        value=b"v",
        invoked=invoked,
        completed=completed,
        revision=revision,
    )


async def test_only_a_write_that_was_begun_after_the_moment_ends_the_waiting() -> None:
    recorder = Recorder()
    waiting = asyncio.ensure_future(recorder.acknowledged_since(1e12, seconds_max=60))
    recorder.record(put(1e12 - 1, 1e12 + 1, 2))
    recorder.record(put(1e12 + 1, None))
    recorder.record(
        Operation(process=1, kind="get", key=b"k", invoked=1e12 + 1, completed=1e12 + 2, revision=2)
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    recorder.record_write(put(1e12 + 2, None))
    await asyncio.sleep(0)
    assert not waiting.done()
    recorder.record_write(msgspec.structs.replace(put(1e12 + 2, 1e12 + 3, 3), key=b"w"))
    await waiting


async def test_no_answer_at_all_is_a_violation() -> None:
    with pytest.raises(ViolationError, match=r"no write was acknowledged for 0\.01 s"):
        await Recorder().acknowledged_more(1, seconds_max=0.01)


async def test_operations_without_an_answer_are_counted() -> None:
    recorder = Recorder()
    recorder.record(put(1.0, None))
    recorder.record(put(1.0, 2.0, 7))
    recorder.record_write(put(1.0, None))
    assert (recorder.count, recorder.unknown, recorder.revision) == (3, 2, 7)
    assert recorder.written_keys == [b"k"]


async def test_a_batch_is_recorded_with_what_was_before_and_who_is_gone() -> None:
    recorder = Recorder()
    recorded = RecordedWatch(Watch(key=b"k", prev_kv=True))
    was = client.KeyValue(b"k", b"1", mod_revision=2)
    events = (
        client.Event(client.EventType.PUT, client.KeyValue(b"k", b"2", mod_revision=3), was),
        client.Event(client.EventType.DELETE, client.KeyValue(b"k", mod_revision=4)),
    )
    recorder.record_batch(recorded, client.WatchBatch(Header(), 4, events))
    recorder.record_batch(recorded, client.WatchBatch(Header(), 9))
    assert recorded.received == [
        Batch(
            revision=4,
            events=(
                Event(key=b"k", value=b"2", mod_revision=3, prev_value=b"1", prev_mod_revision=2),
                Event(key=b"k", value=None, mod_revision=4),
            ),
        ),
        Batch(revision=9, is_progress=True),
    ]
    assert recorded.revision == 9
    assert [answer.revision for answer in recorder.answers] == [4, 9]
    assert all(answer.invoked == -math.inf for answer in recorder.answers), "it may be old"


async def test_what_a_raw_watch_has_got_ends_before_the_part_of_a_response() -> None:
    """A header's revision says nothing of what was delivered, but for a progress notification."""
    recorder = Recorder()
    recorded = RecordedWatch(Watch(key=b"k", start_revision=3))
    events = (Event(key=b"k", value=b"1", mod_revision=3),)
    later = (Event(key=b"k", value=b"2", mod_revision=4),)
    told = []
    for item in (
        Batch(revision=9, events=events),
        Batch(revision=9, events=later, is_fragment=True),
        Resumption(start_revision=4),
        Batch(revision=9, events=later),
        Batch(revision=9, is_progress=True),
    ):
        recorder.record_item(recorded, item, term=2)
        told.append(recorded.revision)
    assert told == [3, 3, 3, 4, 9]
    assert [answer.term for answer in recorder.answers] == [2, 2, 2, 2]


async def test_every_answer_is_kept_with_its_revision_and_term() -> None:
    recorder = Recorder()
    recorder.record(put(1.0, 2.0, 7), term=3)
    recorder.record(put(1.0, None))
    recorder.record_header(Header(revision=8, raft_term=4), invoked=2.5)
    first, second = recorder.answers
    assert first == Answer(1.0, 2.0, 7, 3, is_write=True)
    assert (second.invoked, second.revision, second.term, second.is_write) == (2.5, 8, 4, False)
    assert recorder.revision == 8
