"""What the clients of a torture write down, and how the director waits for them."""

import asyncio

import pytest

from kvstore import client
from kvstore.client.types import Header
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.recorder import RecordedWatch, Recorder
from kvstore.testing.watch_checker import Batch, Event, Watch


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
    recorder.record_write(b"w", b"v", invoked=1e12 + 2)
    await waiting


async def test_no_answer_at_all_is_a_violation() -> None:
    with pytest.raises(ViolationError, match=r"no write was acknowledged for 0\.01 s"):
        await Recorder().acknowledged_more(1, seconds_max=0.01)


async def test_operations_without_an_answer_are_counted() -> None:
    recorder = Recorder()
    recorder.record(put(1.0, None))
    recorder.record(put(1.0, 2.0, 7))
    recorder.unanswered += 1
    assert (recorder.count, recorder.unknown, recorder.revision) == (3, 2, 7)


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
    assert list(recorder.deleted_at) == [b"k"]
