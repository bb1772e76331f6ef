"""The order of pods that wait, back-off, hints, gates: kube-behaviour 7.1."""

from typing import Any

import pytest

from controlplane.scheduler.pod_class import PodFacts
from controlplane.scheduler.queue import Entry, Place, SchedulingQueue
from tests.controlplane.scheduler.objects import facts, pod

FIT = frozenset(("NodeResourcesFit",))


def _pod(name: str, priority: int = 0, **spec: Any) -> PodFacts:
    return facts(pod(name, priority=priority, **spec))


def _reject(queue: SchedulingQueue, now: float, rejectors: frozenset[str] = FIT) -> Entry:
    entry = queue.pop(now)
    assert entry is not None
    queue.rejected(entry, rejectors, now)
    return entry


def _popped(queue: SchedulingQueue, now: float) -> list[str]:
    found = iter(lambda: queue.pop(now), None)
    return [entry.pod.name for entry in found if entry is not None]


def test_more_important_come_first_then_who_came_first() -> None:
    """7.1: activeQ by priority descending, then by time in the queue."""
    queue = SchedulingQueue()
    for now, (name, priority) in enumerate([("a", 0), ("b", 5), ("c", 0), ("d", 5)]):
        queue.add(_pod(name, priority), now)
    assert _popped(queue, 10) == ["b", "d", "a", "c"]


def test_backoff_is_one_second_doubled_up_to_ten() -> None:
    """7.1: 1 s doubling to 10 s."""
    queue = SchedulingQueue()
    queue.add(_pod("a"), 0.0)
    now = 0.0
    for seconds in (1, 2, 4, 8, 10, 10):
        _reject(queue, now, frozenset())
        assert queue.due() == now + seconds
        assert queue.pop(now + seconds - 0.001) is None
        now += seconds
    assert _popped(queue, now) == ["a"]


def test_who_is_rejected_waits_for_an_event_that_may_help() -> None:
    """7.1: cluster events move pods by the hints of the plug-ins that rejected them."""
    queue = SchedulingQueue()
    queue.add(_pod("small", cpu="1"), 0.0)
    queue.add(_pod("large", cpu="3"), 0.0)
    _reject(queue, 0.0)
    _reject(queue, 0.0)
    assert queue.pop(20.0) is None
    moved = queue.happened(
        FIT, lambda name, one: name in FIT and one.kind.requests["cpu"] < 2000, 20.0
    )
    assert moved == 1
    assert _popped(queue, 20.0) == ["small"]


def test_who_was_rejected_by_others_is_not_asked_about() -> None:
    """7.1: hints of the plug-ins that rejected the pod, and want to hear of such an event."""
    queue = SchedulingQueue()
    queue.add(_pod("a"), 0.0)
    _reject(queue, 0.0)
    assert queue.happened(("NodePorts", "NodeAffinity"), lambda name, one: True, 20.0) == 0
    assert queue.pop(20.0) is None
    assert queue.happened(("NodePorts", *FIT), lambda name, one: True, 20.0) == 1


def test_one_answer_serves_all_pods_of_a_class() -> None:
    queue = SchedulingQueue()
    asked = []
    for position in range(50):
        queue.add(_pod(f"p{position}"), 0.0)
    for _ in range(50):
        _reject(queue, 0.0)

    def hint(name: str, one: PodFacts) -> bool:
        asked.append(one.name)
        return True

    assert queue.happened(FIT, hint, 0.5) == 50
    assert len(asked) == 1
    assert queue.pop(0.5) is None, "their back-off is not over"
    assert len(_popped(queue, 1.0)) == 50


def test_who_waits_for_five_minutes_is_tried_again() -> None:
    """7.1: flush after 5 min."""
    queue = SchedulingQueue()
    queue.add(_pod("a"), 0.0)
    _reject(queue, 0.0)
    now = 0.0
    while queue.pop(now) is None:
        due = queue.due()
        assert due is not None
        assert due > now
        now = due
    assert 300.0 <= now <= 330.0


def test_gates_keep_a_pod_out() -> None:
    """7.1: schedulingGates."""
    queue = SchedulingQueue()
    queue.add(_pod("a"), 0.0, is_gated=True)
    queue.happened(FIT, lambda name, one: True, 400.0)
    assert queue.pop(400.0) is None
    assert queue.due() is None
    queue.add(_pod("a"), 400.0)
    assert _popped(queue, 400.0) == ["a"]


@pytest.mark.parametrize("place", [Place.ACTIVE, Place.BACKOFF, Place.WAITING, Place.GATED])
def test_who_is_gone_is_nowhere(place: Place) -> None:
    queue = SchedulingQueue()
    queue.add(_pod("a"), 0.0, is_gated=place == Place.GATED)
    if place in (Place.BACKOFF, Place.WAITING):
        _reject(queue, 0.0, FIT if place == Place.WAITING else frozenset())
    entry = queue.get("uid-a")
    assert entry is not None
    assert entry.place == place
    queue.remove("uid-a")
    queue.happened(FIT, lambda name, one: True, 500.0)
    assert queue.pop(1000.0) is None
    assert queue.due() is None
    assert len(queue) == 0


def test_pod_that_changed_keeps_its_backoff() -> None:
    """Or whoever changes a label every second would be tried every second."""
    queue = SchedulingQueue()
    queue.add(_pod("a"), 0.0)
    _reject(queue, 0.0)
    queue.add(_pod("a", cpu="1"), 0.1)
    assert queue.pop(0.9) is None
    assert _popped(queue, 1.0) == ["a"]


def test_pod_that_changed_while_it_was_tried_is_tried_as_it_is() -> None:
    queue = SchedulingQueue()
    queue.add(_pod("a"), 0.0)
    entry = queue.pop(0.0)
    assert entry is not None
    changed = _pod("a", cpu="1")
    queue.add(changed, 0.1)
    queue.rejected(entry, FIT, 0.2)
    again = queue.pop(0.2)
    assert again is not None
    assert again.pod is changed
