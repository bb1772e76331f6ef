"""What is counted of nodes and their pods, and how much work that is."""

import sys
from collections.abc import Callable
from types import FrameType

from controlplane.api.selectors import from_labels
from controlplane.scheduler.filters import accepted
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.terms import PodMatch
from tests.controlplane.scheduler.objects import facts, node, node_facts, pod, table


def calls(work: Callable[[], object]) -> int:
    """How many calls it takes: a measure of work that is the same on each machine."""
    count = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def _of_two_apps(pods: int) -> NodeTable:
    """Pods of two classes in turn, on three nodes."""
    placed = [
        (pod(f"p{number}", {"app": f"a{number % 2}"}), f"n{number % 3}") for number in range(pods)
    ]
    return table([node(f"n{number}") for number in range(3)], placed)


def test_new_question_about_pods_is_asked_of_classes() -> None:
    """With more kinds of pods than counts are kept, each placement has such questions."""
    few, many = _of_two_apps(6), _of_two_apps(300)
    match = PodMatch(frozenset(("default",)), from_labels({"app": "a1"}))
    assert calls(lambda: few.counts(match)) == calls(lambda: many.counts(match))
    assert few.counts(match).tolist() == [1, 1, 1]
    assert many.counts(match).tolist() == [50, 50, 50]


def test_what_no_node_has_is_not_counted_until_one_has_it() -> None:
    """Pods may ask for whatever they like, also those that name their node themselves."""
    names = [f"example.com/r{number}" for number in range(50)]
    asking = pod("p", requests=dict.fromkeys(names, "2"))
    made = table([node("n"), node("m")], [(asking, "n"), (pod("q", requests={names[7]: "3"}), "n")])
    assert sorted(made.resources) == ["cpu", "memory"]
    made.set_node(node_facts(node("m", allocatable={names[7]: "9"})))
    assert sorted(made.resources) == ["cpu", "example.com/r7", "memory"]
    assert made.requested(names[7], made.all_rows).tolist() == [5, 0]
    made.remove_pod("uid-q")
    assert made.requested(names[7], made.all_rows).tolist() == [2, 0]


def test_node_may_have_many_resources() -> None:
    names = [f"example.com/r{number}" for number in range(50)]
    made = table([node("n", allocatable=dict.fromkeys(names, "9"))])
    for name in names:
        made.add_pod(facts(pod(f"asks-{name}", requests={name: "4"})), "n")
    left = [made.allocatable(name, made.all_rows) for name in names]
    assert all(one is not None and one.tolist() == [9] for one in left)
    assert all(made.requested(name, made.all_rows).tolist() == [4] for name in names)


def test_labels_that_no_node_has_share_a_column() -> None:
    """Pods may name as many as they like, and each column would be a look at each node."""
    made = table([node(f"n{number}") for number in range(20)])
    nobody = made.columns.of("a")
    assert made.columns.of("b") is nobody
    assert nobody.ids[: made.size].tolist() == [0] * 20
    made.set_node(node_facts(node("n3", {"b": "1"})))
    assert made.columns.of("b").ids[: made.size].nonzero()[0].tolist() == [3]
    assert made.columns.of("a") is nobody
    made.set_node(node_facts(node("n3")))
    assert made.columns.of("b") is nobody
    made.set_node(node_facts(node("n4", {"b": "2"})))
    made.remove_node("n4")
    assert made.columns.of("b") is nobody


def test_who_names_many_labels_is_refused_at_the_first_that_no_node_has() -> None:
    made = table([node("n")])
    few, many = (
        facts(pod("p", nodeSelector={f"label-{number}": "" for number in range(count)})).kind
        for count in (10, 1000)
    )
    assert not accepted(few, made, made.all_rows).any()
    assert calls(lambda: accepted(few, made, made.all_rows)) == calls(
        lambda: accepted(many, made, made.all_rows)
    )
