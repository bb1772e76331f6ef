"""What the scheduler believes, whatever order it is told in: kube-behaviour 7.1, 7.2."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.record import from_object
from controlplane.api.selectors import from_labels
from controlplane.api.types.core_v1 import Node
from controlplane.api.types.scheduling_v1 import PriorityClass
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.configuration import DEFAULT, DEFAULT_PLUGINS, Configuration
from controlplane.scheduler.events import Event
from controlplane.scheduler.framework import Plugin, Profile, View, Weighted
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClass
from controlplane.scheduler.queue import Entry
from tests.controlplane.scheduler.caches import end, pop, reject, set_pod, with_nodes
from tests.controlplane.scheduler.objects import Object, node, pod

FIT = frozenset(("NodeResourcesFit",))


def _cpu(cache: Cache) -> int:
    return int(cache.table.requested("cpu", cache.table.all_rows).sum())


def test_assumed_pod_takes_its_room_at_once_and_once() -> None:
    """7.2: assume in the cache."""
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="3"))
    cache.assume(pop(cache).pod, "n", 0.0)
    assert _cpu(cache) == 3000
    set_pod(cache, pod("a", cpu="3"))  # an older word of it
    assert cache.pop(0.0) is None
    set_pod(cache, pod("a", cpu="3", nodeName="n"))
    assert _cpu(cache) == 3000
    end(cache, "a")
    assert _cpu(cache) == 0


def test_binding_that_failed_gives_the_room_back() -> None:
    """7.2: a failed bind un-assumes; the pod is tried again after its back-off."""
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="3"))
    entry = pop(cache)
    cache.assume(entry.pod, "n", 0.0)
    cache.forget(entry, 0.0, is_gone=False)
    assert _cpu(cache) == 0
    assert cache.pop(0.5) is None
    assert pop(cache, 1.0).pod.name == "a"


def test_binding_that_failed_late_takes_nothing_back() -> None:
    """The outcome was unknown, and the pod has its node after all."""
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="3"))
    entry = pop(cache)
    cache.assume(entry.pod, "n", 0.0)
    set_pod(cache, pod("a", cpu="3", nodeName="n"))
    cache.forget(entry, 0.0, is_gone=False)
    assert _cpu(cache) == 3000
    assert cache.pop(10.0) is None


def test_pod_that_went_while_it_was_bound_is_forgotten() -> None:
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="3"))
    entry = pop(cache)
    cache.assume(entry.pod, "n", 0.0)
    end(cache, "a")
    cache.forget(entry, 0.0, is_gone=True)
    assert _cpu(cache) == 0
    assert cache.pop(100.0) is None


def test_later_pod_of_the_name_is_another() -> None:
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="1", nodeName="n"))
    other = pod("a", cpu="2")
    other["metadata"]["uid"] = "another"
    set_pod(cache, other)
    assert _cpu(cache) == 0
    assert pop(cache).pod.uid == "another"


@pytest.mark.parametrize("end", [{"phase": "Succeeded"}, {"phase": "Failed"}])
def test_pod_that_has_ended_takes_nothing(end: Object) -> None:
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="1", nodeName="n"))
    set_pod(cache, pod("a", cpu="1", nodeName="n", status=end))
    assert _cpu(cache) == 0


def test_pods_of_a_node_that_comes_later_are_counted() -> None:
    cache = Cache(DEFAULT)
    set_pod(cache, pod("a", cpu="1", nodeName="late"))
    cache.set_node("late", from_object(Node, node("late")), 0.0)
    assert _cpu(cache) == 1000
    cache.set_node("late", None, 0.0)
    cache.set_node("late", from_object(Node, node("late")), 0.0)
    assert _cpu(cache) == 1000, "it comes back with its pods"


def test_what_happened_while_it_was_tried_is_not_lost() -> None:
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="5"))
    entry, events = pop(cache), cache.event_count
    cache.set_node("m", from_object(Node, node("m", allocatable={"cpu": "8"})), 0.0)
    assert cache.rejected(entry, FIT, events, 0.0)
    assert pop(cache, 1.0).pod.name == "a"


def test_who_goes_while_it_is_tried_does_not_come_back() -> None:
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="5"))
    entry = pop(cache)
    end(cache, "a")
    assert not cache.rejected(entry, FIT, cache.event_count, 0.0)
    assert len(cache.queue) == 0


def test_priority_is_that_of_the_class_where_the_pod_does_not_say() -> None:
    """8.4, for pods that controllers make past admission."""
    cache = with_nodes()
    classes = {
        "high": PriorityClass(value=100, preemption_policy="Never"),
        "usual": PriorityClass(value=5, global_default=True),
    }
    for name, one in classes.items():
        cache.priorities.set(name, one)
    for obj in (
        pod("usual"),
        pod("high", priorityClassName="high"),
        pod("system", priorityClassName="system-node-critical"),
        pod("said", priority=7),
    ):
        set_pod(cache, obj)
    found = [pop(cache).pod for _ in range(4)]
    assert [(one.name, one.priority, one.is_preempting) for one in found] == [
        ("system", 2_000_001_000, True),
        ("high", 100, False),
        ("said", 7, True),
        ("usual", 5, True),
    ]


def test_kin_that_is_known_later_counts_when_the_pod_is_tried() -> None:
    """7.5: default constraints; the watch of services may be behind that of pods."""
    cache = with_nodes()
    set_pod(cache, pod("a", {"app": "x"}))
    cache.kindred.set_service("default", "x", {"app": "x"})
    spreads = pop(cache).pod.kind.terms.spreads
    assert {one.match.selector for one in spreads} == {from_labels({"app": "x"})}


def test_nomination_in_the_status_is_believed() -> None:
    """7.7: after a restart of the scheduler."""
    cache = with_nodes()
    set_pod(cache, pod("a", cpu="1", status={"nominatedNodeName": "n"}))
    assert cache.nominations.node_of("uid-a") == "n"
    set_pod(cache, pod("a", cpu="1"))
    assert cache.nominations.node_of("uid-a") == ""


def test_room_that_somebody_no_longer_waits_for_is_offered_to_others() -> None:
    """7.7: a nominated pod that goes, or gets another node, leaves its room."""
    cache = with_nodes()
    set_pod(cache, pod("important", cpu="3", priority=10, status={"nominatedNodeName": "n"}))
    important = pop(cache)
    reject(cache, pod("lesser", cpu="3"))
    cache.set_node("m", from_object(Node, node("m", allocatable={"cpu": "3"})), 20.0)
    lesser = pop(cache, 20.0)
    cache.queue.rejected(lesser, FIT, 20.0)
    cache.assume(important.pod, "m", 40.0)
    assert pop(cache, 40.0).pod.name == "lesser"
    set_pod(cache, pod("other", cpu="4", priority=10, status={"nominatedNodeName": "n"}), 40.0)
    other = pop(cache, 40.0)
    cache.queue.rejected(other, FIT, 40.0)
    cache.queue.rejected(lesser, FIT, 40.0)
    end(cache, "other", 60.0)
    assert pop(cache, 60.0).pod.name == "lesser"


def _held_back(by: Object) -> tuple[Cache, Entry]:
    """`waiting` is held back by a pod that waits for the node with a better right to it."""
    cache = with_nodes(node("n"), node("m", allocatable={"cpu": "1"}))
    set_pod(cache, {**by, "status": {"nominatedNodeName": "n"}})
    ahead = pop(cache)
    reject(cache, pod("waiting", cpu="2"))
    return cache, ahead


@pytest.mark.parametrize("node_name", ["", "m"])
def test_nomination_that_is_given_up_is_told_to_those_whom_it_held_back(node_name: str) -> None:
    """7.7: a changed nominatedNodeName is an end on the old node."""
    important = pod("important", cpu="3", priority=10)
    cache, ahead = _held_back(important)
    cache.nominate(ahead.pod, "n", 20.0)
    assert cache.pop(20.0) is None, "it is what it was"
    cache.nominate(ahead.pod, node_name, 20.0)
    assert pop(cache, 20.0).pod.name == "waiting"
    assert cache.nominations.node_of(ahead.pod.uid) == node_name


def test_nomination_that_somebody_takes_out_of_the_status_is_told_as_well() -> None:
    important = pod("important", cpu="3", priority=10)
    cache, ahead = _held_back(important)
    cache.queue.rejected(ahead, FIT, 0.0)
    set_pod(cache, important, 20.0)
    assert {pop(cache, 20.0).pod.name for _ in range(2)} == {"important", "waiting"}


def test_who_gives_its_own_nomination_up_waits_all_the_same() -> None:
    """It is no news to itself; whatever else happens while it is tried is."""
    cache, ahead = _held_back(pod("important", cpu="5", priority=10))
    events = cache.event_count
    events += cache.nominate(ahead.pod, "", 20.0)
    assert cache.rejected(ahead, FIT, events, 20.0)
    assert pop(cache, 40.0).pod.name == "waiting"
    assert cache.pop(40.0) is None
    cache, ahead = _held_back(pod("important", cpu="5", priority=10))
    events = cache.event_count
    cache.set_node("l", from_object(Node, node("l")), 20.0)
    events += cache.nominate(ahead.pod, "", 20.0)
    assert cache.rejected(ahead, FIT, events, 20.0)
    assert {pop(cache, 40.0).pod.name for _ in range(2)} == {"important", "waiting"}


def test_room_of_an_assumed_pod_that_is_bound_elsewhere_is_offered_to_others() -> None:
    """7.2: somebody else bound it meanwhile."""
    cache = with_nodes(node("n"), node("m", allocatable={"cpu": "0"}))
    set_pod(cache, pod("a", cpu="3"))
    cache.assume(pop(cache).pod, "n", 0.0)
    reject(cache, pod("waiting", cpu="3"))
    set_pod(cache, pod("a", cpu="3", nodeName="m"), 20.0)
    assert pop(cache, 20.0).pod.name == "waiting"


class _Broken(Plugin):
    name = "Broken"

    def filter(self, view: View) -> Any:
        return view.everything(value=False)

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        raise ZeroDivisionError


def test_hint_that_fails_is_a_yes() -> None:
    """A plug-in of somebody else's must not keep pods for ever."""
    told: list[str] = []
    profile = Profile([*DEFAULT_PLUGINS, Weighted(_Broken())])
    cache = Cache(
        Configuration({"default-scheduler": profile}), lambda name, error: told.append(name)
    )
    cache.set_node("n", from_object(Node, node("n")), 0.0)
    reject(cache, pod("a"))
    cache.set_node("m", from_object(Node, node("m")), 20.0)
    assert told == ["Broken"]
    assert pop(cache, 20.0).pod.name == "a"


_STEPS = st.sampled_from(
    (
        *("create", "bound", "elsewhere", "end", "go", "mark"),
        *("attempt", "attempt", "fail", "fail_for_good", "add_node", "lose_node"),
    )
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(_STEPS, st.integers(0, 3)), max_size=40))
def test_room_taken_is_that_of_the_pods_that_have_it(steps: list[tuple[str, int]]) -> None:
    """Whatever is told in whatever order: no pod counts twice, none is forgotten or kept."""
    world = _World()
    for step, number in steps:
        world.now += 5.0
        getattr(world, step)(f"p{number}")
        _check(world.cache)


class _World:
    """What may be told or done; a step is a method."""

    def __init__(self) -> None:
        self.cache = with_nodes(node("n", allocatable={"cpu": "1000"}))
        self.now = 0.0
        self._trying: dict[str, Entry] = {}

    def create(self, name: str) -> None:
        set_pod(self.cache, pod(name, cpu="1"), self.now)

    def bound(self, name: str) -> None:
        set_pod(self.cache, pod(name, cpu="1", nodeName="n"), self.now)

    def elsewhere(self, name: str) -> None:
        set_pod(self.cache, pod(name, cpu="1", nodeName="m"), self.now)

    def end(self, name: str) -> None:
        set_pod(self.cache, pod(name, cpu="1", status={"phase": "Succeeded"}), self.now)

    def mark(self, name: str) -> None:
        obj = pod(name, cpu="1")
        obj["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
        set_pod(self.cache, obj, self.now)

    def go(self, name: str) -> None:
        end(self.cache, name, self.now)

    def attempt(self, name: str) -> None:
        entry = self.cache.pop(self.now)
        if entry is not None:
            self.cache.assume(entry.pod, "n", self.now)
            self._trying[entry.pod.name] = entry

    def fail(self, name: str) -> None:
        entry = self._trying.pop(name, None)
        if entry is not None:
            self.cache.forget(entry, self.now, is_gone=False)

    def fail_for_good(self, name: str) -> None:
        entry = self._trying.pop(name, None)
        if entry is not None:
            self.cache.forget(entry, self.now, is_gone=True)

    def add_node(self, name: str) -> None:
        self.cache.set_node("m", from_object(Node, node("m")), self.now)

    def lose_node(self, name: str) -> None:
        self.cache.set_node("m", None, self.now)


def _check(cache: Cache) -> None:
    table = cache.table
    for name, row in table.rows.items():
        count = sum(table.pod(f"uid-p{n}") in table.pods[row].values() for n in range(4))
        assert count == len(table.pods[row]), name
        assert int(table.requested("cpu", table.all_rows)[row]) == 1000 * count
        found = Counter((one.kind, one.is_terminating) for one in table.pods[row].values())
        assert found == {kind: rows[row] for kind, rows in table.classes.items() if row in rows}
    assert all(table.classes.values()), "of whom nobody is left nothing is kept"
    for n in range(4):
        waits = cache.queue.get(f"uid-p{n}") is not None
        assert not (waits and table.pod(f"uid-p{n}")), "who has a node does not wait for one"
