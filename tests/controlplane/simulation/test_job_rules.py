"""Promises of Jobs, broken in a history that is written by hand; and kept in one beside it."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest

from controlplane.simulation.jobs import Jobs, numbers_of
from kvstore.testing.history import ViolationError
from tests.controlplane.simulation.histories import GOING, History, job, pod


def _worker(name: str, index: int = 0, phase: str = "Running", **metadata: Any) -> Any:
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    finalizers = ["batch.kubernetes.io/job-tracking"]
    metadata |= {"annotations": annotations, "finalizers": finalizers}
    return pod(name, owner="sum", phase=phase, **metadata)


def test_an_index_has_one_pod_at_a_time() -> None:
    history = History(Jobs())
    history.put(job())
    history.put(_worker("a", 1))
    history.put(_worker("a", 1, phase="Failed"))
    history.put(_worker("b", 1))
    with pytest.raises(ViolationError, match="index 1 has b, c"):
        history.put(_worker("c", 1))


def test_no_more_pods_run_than_may_at_a_time() -> None:
    history = History(Jobs())
    history.put(job(parallelism=2))
    history.put(_worker("a", 0))
    history.put(_worker("b", 1))
    with pytest.raises(ViolationError, match="3 of 2 at a time"):
        history.put(_worker("c", 2))


def test_what_is_counted_stays_counted() -> None:
    history = History(Jobs())
    history.put(job(succeeded=2))
    with pytest.raises(ViolationError, match="had 2 succeeded, and now has 1"):
        history.put(job(succeeded=1))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"succeeded": 1, "failed": 1, "completedIndexes": "0"}, ""),
        ({"succeeded": 2, "failed": 1, "completedIndexes": "0"}, "2 succeeded, it says"),
        ({"succeeded": 1, "completedIndexes": "0"}, "None failed, it says"),
        ({"succeeded": 1, "failed": 1, "completedIndexes": "1"}, "indexes"),
        ({"succeeded": 1, "failed": 1, "completedIndexes": "0", "active": 1}, "not counted all"),
    ],
)
def test_counts_are_what_the_history_tells(status: Mapping[str, Any], told: str) -> None:
    rule = Jobs()
    history = History(rule)
    history.put(job())
    for name, phase in (("a", "Failed"), ("b", "Succeeded")):
        history.put(_worker(name))
        history.put(_worker(name, phase=phase))
        history.remove(_worker(name))
    history.put(job(done=True, **status))
    if not told:
        rule.check_counts(history.ledger)
        return
    with pytest.raises(ViolationError, match=told):
        rule.check_counts(history.ledger)


def test_who_is_deleted_before_he_has_ended_has_failed() -> None:
    for status, is_right in (
        ({"failed": 1, "succeeded": 1}, True),
        ({"succeeded": 1}, False),
        ({"failed": 2}, False),
    ):
        rule = Jobs()
        history = History(rule)
        history.put(job(indexed=False))
        history.put(_worker("a"))
        history.put(_worker("a", deletionTimestamp=GOING))
        history.remove(_worker("a"))
        history.put(_worker("b"))
        history.put(_worker("b", phase="Succeeded"))
        history.put(job(indexed=False, done=True, **status))
        with nullcontext() if is_right else pytest.raises(ViolationError, match="it says"):
            rule.check_counts(history.ledger)


def test_who_succeeds_after_all_counts_once() -> None:
    for status, is_right in (
        ({"failed": 1, "completedIndexes": ""}, True),
        ({"succeeded": 1, "completedIndexes": "0"}, True),
        ({"failed": 1, "succeeded": 1, "completedIndexes": "0"}, False),
        ({"completedIndexes": ""}, False),
    ):
        rule = Jobs()
        history = History(rule)
        history.put(job())
        history.put(_worker("a"))
        history.put(_worker("a", deletionTimestamp=GOING))
        history.put(_worker("a", deletionTimestamp=GOING, phase="Succeeded"))
        history.put(job(done=True, **status))
        with nullcontext() if is_right else pytest.raises(ViolationError, match="it counts"):
            rule.check_counts(history.ledger)


@pytest.mark.parametrize("is_suspended", [True, False])
def test_who_goes_when_his_job_is_suspended_may_count_as_nothing(is_suspended: bool) -> None:
    """He was evicted, and who suspends the Job had not heard of it."""
    for status, is_right in (({"failed": 1}, True), ({}, is_suspended), ({"failed": 2}, False)):
        rule = Jobs()
        history = History(rule)
        history.put(job(indexed=False))
        history.put(_worker("a"))
        suspended = job(indexed=False)
        suspended["spec"]["suspend"] = is_suspended
        history.put(suspended)
        history.put(_worker("a", deletionTimestamp=GOING))
        let_go = _worker("a", deletionTimestamp=GOING)
        let_go["metadata"]["finalizers"] = []
        history.put(let_go)
        history.remove(let_go)
        history.put(job(indexed=False, done=True, **status))
        with nullcontext() if is_right else pytest.raises(ViolationError, match="it says"):
            rule.check_counts(history.ledger)


def test_indexes_are_read_as_they_are_written() -> None:
    assert numbers_of("") == []
    assert numbers_of("0-2,5") == [0, 1, 2, 5]
