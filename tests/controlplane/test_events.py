"""Events. Numbers are rows of kube-behaviour.md."""

from collections.abc import AsyncIterator

import pytest

from controlplane.api.resource import Object
from controlplane.events import (
    CACHE_MAX,
    COMBINED,
    EVENTS,
    QUEUE_MAX,
    Correlator,
    EventRecorder,
    Happening,
    Series,
)
from controlplane.objects import ObjectStore
from kvstore.client import Client
from tests.controlplane.kinds import WIDGETS, widget

NOW = 1_700_000_000.0


def _happening(message: str = "m", *, name: str = "a", reason: str = "r") -> Happening:
    return Happening(("v1", "Pod", "n", name, f"uid-{name}", "7"), "Normal", reason, message)


def _observe(correlator: Correlator, happening: Happening, now: float = NOW) -> Series:
    series = correlator.observe(happening, now)
    assert series is not None
    return series


def test_same_event_is_counted() -> None:
    """3.5: count++ and lastTimestamp."""
    correlator = Correlator()
    first = _observe(correlator, _happening())
    second = _observe(correlator, _happening(), NOW + 5)
    assert (second.name, second.count, second.first, second.last) == (
        first.name,
        2,
        NOW,
        NOW + 5,
    )
    assert _observe(correlator, _happening("other")).count == 1
    assert _observe(correlator, _happening(reason="other")).count == 1
    assert _observe(correlator, _happening(name="b")).count == 1


def test_ten_similar_events_within_600_seconds_become_one() -> None:
    """3.5."""
    correlator = Correlator()
    told = [_observe(correlator, _happening(f"m{n}"), NOW + n) for n in range(12)]
    assert [series.count for series in told] == [1] * 10 + [2, 3]
    combined = [series.happening.message.startswith(COMBINED) for series in told]
    assert combined == [False] * 9 + [True] * 3
    assert len({series.name for series in told}) == 10


@pytest.mark.parametrize(("gap", "is_combined"), [(600.0, True), (600.1, False)])
def test_events_that_come_slowly_are_not_combined(gap: float, is_combined: bool) -> None:
    """3.5: 600 s since the last similar one."""
    correlator = Correlator()
    for n in range(9):
        _observe(correlator, _happening(f"m{n}"))
    late = _observe(correlator, _happening("late"), NOW + gap)
    assert late.happening.message.startswith(COMBINED) is is_combined


def test_object_that_talks_all_the_time_is_not_listened_to() -> None:
    """3.5: burst 25, then 1 per 300 s, per source and object."""
    correlator = Correlator()
    told = [correlator.observe(_happening(), NOW) for _ in range(30)]
    assert [series is not None for series in told] == [True] * 25 + [False] * 5
    assert correlator.observe(_happening(name="b"), NOW) is not None
    assert correlator.observe(_happening(), NOW + 299) is None
    later = correlator.observe(_happening(), NOW + 300)
    assert later is not None
    assert later.count == 32, "what was not told counts all the same"
    assert correlator.observe(_happening(), NOW + 301) is None


def test_clock_that_was_set_back_silences_nobody_for_as_long() -> None:
    """3.5: once per 300 s at the least, whatever the clock says."""
    correlator = Correlator()
    for _ in range(30):
        correlator.observe(_happening(), NOW + 86_400)
    assert correlator.observe(_happening(), NOW) is None
    assert correlator.observe(_happening(), NOW + 300) is not None


def test_memory_is_bounded() -> None:
    """3.5: LRU 4096."""
    correlator = Correlator()
    _observe(correlator, _happening(name="first"))
    for n in range(CACHE_MAX - 1):
        _observe(correlator, _happening(name=f"p{n}"))
    assert _observe(correlator, _happening(name="first")).count == 2
    for n in range(CACHE_MAX, 2 * CACHE_MAX):
        _observe(correlator, _happening(name=f"p{n}"))
    assert _observe(correlator, _happening(name="first")).count == 1
    assert CACHE_MAX == 4096


# --------------------------------------------------------------------- on real stores


@pytest.fixture
async def recorder(store: ObjectStore) -> AsyncIterator[EventRecorder]:
    async with EventRecorder(store, "tester", host="h1") as recorder:
        yield recorder


async def _events(store: ObjectStore, namespace: str) -> list[Object]:
    return (await store.list(EVENTS, namespace)).items


async def test_event_is_written_and_counted(
    recorder: EventRecorder, store: ObjectStore, namespace: str
) -> None:
    """3.5."""
    made = await store.create(WIDGETS, widget(namespace))
    for _ in range(3):
        recorder.record(made, "Warning", "Failed", "no luck")
    await recorder.flush()
    (event,) = await _events(store, namespace)
    assert event["involvedObject"] == {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "namespace": namespace,
        "name": "a",
        "uid": made["metadata"]["uid"],
        "resourceVersion": made["metadata"]["resourceVersion"],
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Failed", "no luck")
    assert event["source"] == {"component": "tester", "host": "h1"}
    assert (event["count"], event["kind"]) == (3, "Event")
    assert event["metadata"]["name"].startswith("a.")


async def test_event_whose_time_was_over_comes_again(
    recorder: EventRecorder, store: ObjectStore, namespace: str
) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    recorder.record(made, "Normal", "Made", "it")
    await recorder.flush()
    (event,) = await _events(store, namespace)
    await store.delete(EVENTS, namespace, event["metadata"]["name"])
    recorder.record(made, "Normal", "Made", "it")
    await recorder.flush()
    (again,) = await _events(store, namespace)
    assert (again["count"], again["metadata"]["name"]) == (2, event["metadata"]["name"])


async def test_events_go_after_an_hour(
    recorder: EventRecorder, store: ObjectStore, client: Client, namespace: str
) -> None:
    """3.5: TTL 1 h; 2.23."""
    made = await store.create(WIDGETS, widget(namespace))
    for number in range(3):
        recorder.record(made, "Normal", "Made", f"it {number}")
    await recorder.flush()
    kvs = (await client.get_range(f"/registry/core/events/{namespace}/", prefix=True)).kvs
    (lease_id,) = {kv.lease for kv in kvs}
    left = await client.leases.time_to_live(lease_id)
    assert 3600 <= left.ttl_seconds <= left.granted_ttl_seconds <= 3600 * 21 / 20
    kept = await client.get(f"/registry/example.com/widgets/{namespace}/a")
    assert kept is not None
    assert kept.lease == 0, "other objects stay"


async def test_recording_never_waits(store: ObjectStore, namespace: str) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    recorder = EventRecorder(store, "tester")
    for _ in range(QUEUE_MAX + 5):
        recorder.record(made, "Normal", "Made", "it")
    assert recorder.dropped == 5
    async with recorder:
        await recorder.flush()
    assert len(await _events(store, namespace)) == 1
