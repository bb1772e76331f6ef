"""What is counted of nodes and their pods, and how much work that is."""

import sys
from collections.abc import Callable
from types import FrameType

from controlplane.api.selectors import from_labels
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.terms import PodMatch
from tests.controlplane.scheduler.objects import node, pod, table


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
