"""Conditions of objects' status."""

from controlplane.controllers.conditions import is_true, with_conditions
from tests.controlplane.controllers.objects import NOW

BEFORE = {
    "type": "Ready",
    "status": "True",
    "reason": "A",
    "message": "a",
    "lastTransitionTime": "then",
}


def test_time_of_a_condition_changes_with_its_status_only() -> None:
    (same,) = with_conditions([BEFORE], [("Ready", True, "B", "b")], NOW)
    assert same == {**BEFORE, "reason": "B", "message": "b"}
    (turned,) = with_conditions([BEFORE], [("Ready", False, "B", "b")], NOW)
    assert (turned["status"], turned["lastTransitionTime"]) == ("False", "2023-11-14T22:13:20Z")


def test_what_others_say_stays() -> None:
    found = with_conditions([BEFORE], [("Other", True, "B", "b")], NOW)
    assert found[0] == BEFORE
    assert found[1]["type"] == "Other"


def test_condition_is_true_where_it_says_so() -> None:
    assert is_true({"status": {"conditions": [BEFORE]}}, "Ready")
    assert not is_true({"status": {"conditions": [{**BEFORE, "status": "False"}]}}, "Ready")
    assert not is_true({}, "Ready")
