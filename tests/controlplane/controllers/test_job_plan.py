"""What a Job needs next. Numbers are rows of kube-behaviour.md."""

from typing import Any

import msgspec
import pytest

from controlplane.api.meta import rfc3339
from controlplane.api.types.core_v1 import Pod
from controlplane.controllers import job_plan
from controlplane.controllers.job_backoff import Backoff
from controlplane.controllers.job_plan import Plan
from tests.controlplane.controllers.job_objects import job, planned, pod, said
from tests.controlplane.controllers.objects import NOW

STARTED = {"startTime": rfc3339(NOW)}


def names(pods: Any) -> list[str]:
    return [one.metadata.name for one in pods]


def indexes(found: Plan) -> list[int | None]:
    return [new.index for new in found.made]


def many(count: int, phase: str = "Running", **told: Any) -> list[Pod]:
    return [pod(f"{phase}-{number}", phase, **told) for number in range(count)]


# ------------------------------------------------------------------------- how many run


def test_a_job_starts_with_as_many_as_may_run_at_once() -> None:
    """4.11."""
    found = planned(job(parallelism=3, completions=5))
    assert len({new.name for new in found.made}) == 3
    assert found.status.start_time == rfc3339(NOW)
    assert all(new.name.startswith("sum-") and new.index is None for new in found.made)


def test_no_more_run_than_are_needed_still() -> None:
    """4.11: completions - succeeded, counted or not."""
    running = job({"succeeded": 2}, parallelism=3, completions=5)
    found = planned(running, *many(1), *many(1, "Succeeded"))
    assert len(found.made) == 1
    assert not planned(running, *many(2), *many(1, "Succeeded")).made


def test_a_job_without_completions_is_done_when_one_succeeds_and_the_others_end() -> None:
    """4.11."""
    queue = job(parallelism=3)
    assert len(planned(queue, *many(1)).made) == 2
    one_done = planned(queue, *many(2), *many(1, "Succeeded"))
    assert not one_done.made
    assert not one_done.dismissed
    assert said(one_done) == {}
    done = planned(queue, *many(1, "Succeeded"), *many(1, "Failed"))
    assert said(done) == {"SuccessCriteriaMet": ("True", "CompletionsReached")}


def test_who_has_done_least_goes_first_when_there_are_too_many() -> None:
    """4.11."""
    pods = [pod("runs"), pod("waits", "Pending"), pod("unplaced", "Pending", node="")]
    found = planned(job(parallelism=1, completions=9), *pods)
    assert names(found.dismissed) == ["unplaced", "waits"]
    assert not found.doomed
    assert not found.made


def test_at_most_500_are_made_or_deleted_at_once() -> None:
    """4.11."""
    assert len(planned(job(parallelism=900, completions=900)).made) == 500
    assert len(planned(job(parallelism=0, completions=900), *many(600)).dismissed) == 500


def test_who_is_not_tracked_is_replaced() -> None:
    """4.11: nobody would count it."""
    found = planned(job(parallelism=1, completions=1), *many(1, is_tracked=False))
    assert names(found.doomed) == ["Running-0"]
    assert len(found.made) == 1


def test_names_are_given_again_until_something_ends() -> None:
    """4.11: who lost an answer makes no second pod."""
    of = job(parallelism=4, completions=9)
    first = [new.name for new in planned(of).made]
    assert [new.name for new in planned(of, pod(first[0]), pod(first[2])).made] == [
        first[1],
        first[3],
    ]
    ended = msgspec.structs.replace(of.status, failed=1)
    later = planned(msgspec.structs.replace(of, status=ended))
    assert not {new.name for new in later.made} & set(first)


def test_a_name_that_is_taken_is_not_given() -> None:
    of = job(parallelism=1, completions=1)
    (first,) = planned(of).made
    (second,) = job_plan.plan(of, [], NOW, Backoff(), lambda name: name == first.name).made
    assert second.name != first.name


def test_long_names_are_cut() -> None:
    """2.9: 58 characters and 5."""
    of = job(name="j" * 63, completionMode="Indexed", completions=12, parallelism=12)
    names = [new.name for new in planned(of).made]
    assert {len(name) for name in names} == {63}
    assert all(name[:-5].endswith(f"j-{index}-") for index, name in enumerate(names))


# ------------------------------------------------------------------------------ failures


def test_failures_are_replaced_ever_later() -> None:
    """4.11: 10 s, doubled with each, up to 10 min."""
    of = job(parallelism=1, completions=1, backoffLimit=99)
    waits = []
    for count in range(1, 9):
        failed = [pod(f"f{number}", "Failed", ended=NOW) for number in range(count)]
        found = planned(of, *failed)
        assert not found.made
        waits.append(found.again_seconds)
        assert planned(of, *failed, now=NOW + (found.again_seconds or 0)).made
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600]


def test_a_success_ends_the_back_off() -> None:
    """4.11: failures count since the last success."""
    of = job(parallelism=1, completions=9, backoffLimit=99)
    before = Backoff(failures=5, failed_at=NOW - 30)
    assert planned(of, backoff=before).again_seconds == 130
    succeeded = pod("s", "Succeeded", ended=NOW - 20)
    assert planned(of, succeeded, backoff=before).made
    later = pod("f", "Failed", ended=NOW)
    assert planned(of, succeeded, later, backoff=before).again_seconds == 10


def test_the_back_off_outlives_the_controller() -> None:
    """4.11: as far as its pods are there."""
    failed = [pod(f"f{number}", "Failed", is_tracked=False, ended=NOW) for number in range(3)]
    past = job_plan.reconstructed(failed)
    assert past.seconds_left(NOW) == 40
    told_to_go = pod("d", "Failed", is_tracked=False, is_deleted=True)
    assert job_plan.reconstructed([told_to_go]).seconds_left(NOW) == 0


def test_a_job_fails_beyond_its_limit() -> None:
    """4.11: BackoffLimitExceeded; default 6."""
    of = job({"failed": 5}, parallelism=2, completions=2, backoffLimit=None)
    assert said(planned(of, *many(1, "Failed"))) == {}
    found = planned(of, *many(2, "Failed"), *many(1))
    assert said(found) == {"FailureTarget": ("True", "BackoffLimitExceeded")}
    assert found.status.conditions[0].message == "Job has reached the specified backoff limit"
    assert names(found.doomed) == ["Running-0"]
    assert sorted(names(found.released)) == ["Failed-0", "Failed-1"]
    of = msgspec.structs.replace(of, status=found.status)
    goes = planned(of, *many(2, "Failed", is_tracked=False), *many(1, is_deleted=True))
    assert goes.status.failed == 7
    assert names(goes.released) == ["Running-0"]
    assert goes.status.uncounted_terminated_pods is not None
    assert goes.status.uncounted_terminated_pods.failed == ("uid-Running-0",), "it counts, too"


@pytest.mark.parametrize(
    ("limit", "restarts", "fails"), [(2, 1, 0), (2, 2, 1), (0, 0, 0), (0, 1, 1)]
)
def test_restarts_count_as_failures(limit: int, restarts: int, fails: int) -> None:
    """4.11: of pods that restart OnFailure."""
    of = job(backoffLimit=limit, completions=1, pod={"restartPolicy": "OnFailure"})
    assert ("FailureTarget" in said(planned(of, *many(1, restarts=restarts)))) == bool(fails)
    never = job(backoffLimit=limit, completions=1)
    assert said(planned(never, *many(1, restarts=restarts))) == {}


def test_a_job_fails_at_its_deadline() -> None:
    """4.11: DeadlineExceeded."""
    of = job(STARTED, activeDeadlineSeconds=30, completions=1)
    assert planned(of, *many(1), now=NOW + 10).again_seconds == 20
    assert planned(of, *many(1), now=NOW - 3600).again_seconds == 30, "the clock was set back"
    at_once = job(STARTED, activeDeadlineSeconds=0, completions=1)
    assert planned(at_once, *many(1), now=NOW - 3600).again_seconds == 1
    found = planned(of, *many(1), now=NOW + 30)
    assert said(found) == {"FailureTarget": ("True", "DeadlineExceeded")}


def test_a_pod_that_is_deleted_has_failed_unless_its_end_is_waited_for() -> None:
    """4.13: podReplacementPolicy."""
    deleted = pod("d", is_deleted=True)
    now_ = job(parallelism=1, completions=1, podReplacementPolicy="TerminatingOrFailed")
    found = planned(now_, deleted, now=NOW + 10)
    assert len(found.made) == 1
    assert names(found.released) == ["d"]
    assert found.status.terminating == 1
    later = job(parallelism=1, completions=1, podReplacementPolicy="Failed")
    found = planned(later, deleted, now=NOW + 10)
    assert not found.made
    assert not found.released
    ended = planned(later, pod("d", "Failed", is_deleted=True), now=NOW + 10)
    assert len(ended.made) == 1
    assert names(ended.released) == ["d"]


# ---------------------------------------------------------------------------- the end


def test_the_end_is_told_when_everything_is_gone_and_counted() -> None:
    """4.11: SuccessCriteriaMet, then Complete."""
    of = job(STARTED, parallelism=2, completions=1)
    first = planned(of, *many(1, "Succeeded"), *many(1))
    assert said(first) == {"SuccessCriteriaMet": ("True", "CompletionsReached")}
    assert names(first.dismissed) == ["Running-0"]
    assert names(first.released) == ["Succeeded-0"]
    of = msgspec.structs.replace(of, status=first.status)
    leaves = planned(
        of, *many(1, "Succeeded", is_tracked=False), pod("l", is_deleted=True, is_tracked=False)
    )
    assert (leaves.status.succeeded, leaves.status.terminating) == (1, 1)
    assert "Complete" not in said(leaves)
    of = msgspec.structs.replace(of, status=leaves.status)
    last = planned(of, *many(1, "Succeeded", is_tracked=False), now=NOW + 5)
    assert said(last)["Complete"] == ("True", "CompletionsReached")
    assert last.status.completion_time == rfc3339(NOW + 5)
    assert last.happenings == [("Normal", "Completed", "Job completed")]


def test_a_job_of_nothing_is_done_at_once() -> None:
    found = planned(job(completions=0, parallelism=1))
    assert said(found)["Complete"] == ("True", "CompletionsReached")


def test_a_failed_job_tells_its_reason_twice() -> None:
    """4.11: FailureTarget, then Failed."""
    told = {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded", "message": "m"}
    of = job({**STARTED, "conditions": [told]}, completions=1)
    found = planned(of)
    assert said(found)["Failed"] == ("True", "DeadlineExceeded")
    assert found.status.completion_time is None
    assert found.happenings == [("Warning", "DeadlineExceeded", "m")]


def test_more_successes_than_needed_are_told() -> None:
    of = job({**STARTED, "succeeded": 3}, completions=2)
    assert [reason for _, reason, _ in planned(of).happenings] == [
        "TooManySucceededPods",
        "Completed",
    ]


def test_a_job_that_is_deleted_lets_all_its_pods_go() -> None:
    of = job(STARTED, parallelism=3, completions=3)
    metadata = msgspec.structs.replace(of.metadata, deletion_timestamp=rfc3339(NOW))
    of = msgspec.structs.replace(of, metadata=metadata)
    found = planned(of, *many(1), *many(1, "Failed"))
    assert sorted(names(found.released)) == ["Failed-0", "Running-0"]
    assert not found.made
    assert not found.doomed


# ----------------------------------------------------------------------------- suspension


def test_a_suspended_job_runs_nothing() -> None:
    """4.13: active pods go, startTime is cleared, condition Suspended."""
    found = planned(job(STARTED, suspend=True, parallelism=2, completions=4), *many(2))
    assert names(found.dismissed) == ["Running-0", "Running-1"]
    assert not found.made
    assert found.status.start_time is None
    assert said(found) == {"Suspended": ("True", "JobSuspended")}
    assert found.happenings == (("Normal", "Suspended", "Job suspended"),)


def test_a_job_that_goes_on_starts_anew() -> None:
    """4.13: its deadline, too."""
    before = planned(job(STARTED, suspend=True, completions=1, activeDeadlineSeconds=5)).status
    resumed = job(completions=1, activeDeadlineSeconds=5)
    resumed = msgspec.structs.replace(resumed, status=before)
    found = planned(resumed, now=NOW + 1000)
    assert said(found) == {"Suspended": ("False", "JobResumed")}
    assert found.status.start_time == rfc3339(NOW + 1000)
    assert len(found.made) == 1
    assert (
        planned(msgspec.structs.replace(resumed, status=found.status), now=NOW + 1000).happenings
        == ()
    )


# -------------------------------------------------------------------------------- indexed


def indexed(status: Any = None, **spec: Any) -> Any:
    return job(status, completionMode="Indexed", **spec)


def test_each_index_has_one_pod() -> None:
    """4.12: the lowest first, those that nobody has."""
    of = indexed({"completedIndexes": "0,2"}, completions=6, parallelism=3)
    found = planned(of, pod("one", index=1), pod("three", "Succeeded", index=3))
    assert indexes(found) == [4, 5]
    assert found.status.completed_indexes == "0,2,3"
    assert found.status.succeeded == 3
    assert found.status.uncounted_terminated_pods is None


def test_doubles_and_strangers_go() -> None:
    """4.12: also of indexes that the job no longer has."""
    of = indexed(completions=2, parallelism=2)
    pods = [pod("a", "Pending", index=0), pod("b", index=0), pod("c", index=1), pod("d", index=2)]
    found = planned(of, *pods, pod("e"))
    assert sorted(names(found.dismissed)) == ["a", "d", "e"]


def test_an_index_that_is_completed_needs_no_pod() -> None:
    """4.12."""
    of = indexed({"completedIndexes": "0"}, completions=3, parallelism=3)
    found = planned(of, pod("late", index=0), pod("b", index=1), pod("c", index=2))
    assert names(found.dismissed) == ["late"]


def test_an_index_outside_counts_as_nothing() -> None:
    """4.12."""
    of = indexed({**STARTED, "completedIndexes": "0-9"}, completions=2, parallelism=2)
    found = planned(of, pod("f", "Failed", index=7), pod("s", "Succeeded", index=8))
    assert found.status.completed_indexes == "0,1"
    assert found.status.failed == 0
    assert found.status.uncounted_terminated_pods is None
    assert sorted(names(found.released)) == ["f", "s"]


def test_an_index_fails_by_itself() -> None:
    """4.12: backoffLimitPerIndex; the last failure is kept to tell how many there were."""
    of = indexed(completions=2, parallelism=2, backoffLimitPerIndex=1, backoffLimit=2**31 - 1)
    first = pod("first", "Failed", index=0, failures=0)
    waits = planned(of, first, pod("other", index=1))
    assert waits.again_seconds == 10
    assert not waits.made
    assert not waits.released
    again = planned(of, first, pod("other", index=1), now=NOW + 10)
    (new,) = again.made
    assert (new.index, new.failures) == (0, (1, 0))
    replaced = planned(of, first, pod("second", index=0, failures=1), pod("other", index=1))
    assert names(replaced.released) == ["first"]
    lost = planned(of, pod("second", "Failed", index=0, failures=1), pod("other", index=1))
    assert lost.status.failed_indexes == "0"
    assert names(lost.released) == ["second"]
    assert said(lost) == {}, "other indexes go on"
    ends = planned(
        msgspec.structs.replace(of, status=lost.status), pod("other", "Succeeded", index=1)
    )
    assert said(ends) == {"FailureTarget": ("True", "FailedIndexes")}


def test_too_many_failed_indexes_end_the_job() -> None:
    """4.12: maxFailedIndexes."""
    of = indexed(
        {"failedIndexes": "0"},
        completions=9,
        parallelism=2,
        backoffLimitPerIndex=0,
        maxFailedIndexes=1,
        backoffLimit=2**31 - 1,
    )
    assert said(planned(of, pod("b", index=1))) == {}
    found = planned(of, pod("b", "Failed", index=1, failures=0))
    assert said(found) == {"FailureTarget": ("True", "MaxFailedIndexesExceeded")}


@pytest.mark.parametrize(
    ("rule", "done", "is_met"),
    [
        ({"succeededIndexes": "0,2-4"}, "0,2-4", True),
        ({"succeededIndexes": "0,2-4"}, "0,2,3", False),
        ({"succeededIndexes": "0,2-4", "succeededCount": 2}, "1,3,4", True),
        ({"succeededIndexes": "0,2-4", "succeededCount": 2}, "1,4", False),
        ({"succeededCount": 2}, "1,4", True),
        ({"succeededCount": 3}, "1,4", False),
    ],
)
def test_some_indexes_may_suffice(rule: Any, done: str, is_met: bool) -> None:
    """4.13: successPolicy."""
    of = indexed(
        {"completedIndexes": done}, completions=9, parallelism=1, successPolicy={"rules": [rule]}
    )
    found = planned(of, pod("p", index=7))
    assert said(found) == ({"SuccessCriteriaMet": ("True", "SuccessPolicy")} if is_met else {})
    assert names(found.dismissed) == (["p"] if is_met else [])


# ------------------------------------------------------------------------- failure policy


def policy(*rules: Any) -> Any:
    return {"rules": list(rules)}


def on_codes(action: str, *values: int, operator: str = "In", **more: Any) -> Any:
    return {"action": action, "onExitCodes": {"operator": operator, "values": values, **more}}


DISRUPTED = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}


def test_a_rule_fails_the_job() -> None:
    """4.13: FailJob, reason PodFailurePolicy."""
    of = job(completions=1, podFailurePolicy=policy(on_codes("FailJob", 42)))
    assert said(planned(of, pod("p", "Failed", code=41))) == {}
    found = planned(of, pod("p", "Failed", code=42))
    assert said(found) == {"FailureTarget": ("True", "PodFailurePolicy")}
    assert found.status.conditions[0].message == (
        "Container c for pod shop/p failed with exit code 42 matching FailJob rule at index 0"
    )


def test_a_rule_ignores_a_failure() -> None:
    """4.13: it is replaced, and not counted."""
    of = job(completions=1, backoffLimit=0, podFailurePolicy=policy(DISRUPTED))
    condition = {"type": "DisruptionTarget", "status": "True"}
    found = planned(of, pod("p", "Failed", conditions=[condition]), now=NOW + 10)
    assert said(found) == {}
    assert found.status.uncounted_terminated_pods is None
    assert names(found.released) == ["p"]
    assert len(found.made) == 1


def test_the_first_rule_that_matches_decides() -> None:
    """4.13: Count before FailJob."""
    rules = policy(on_codes("Count", 42), on_codes("FailJob", 0, operator="NotIn"))
    of = job(completions=1, podFailurePolicy=rules)
    assert said(planned(of, pod("p", "Failed", code=42))) == {}
    assert said(planned(of, pod("p", "Failed", code=1)))["FailureTarget"][1] == "PodFailurePolicy"


def test_a_rule_may_be_of_one_container() -> None:
    """4.13."""
    of = job(completions=1, podFailurePolicy=policy(on_codes("FailJob", 42, containerName="d")))
    assert said(planned(of, pod("p", "Failed", code=42))) == {}


def test_a_rule_fails_an_index() -> None:
    """4.13: FailIndex."""
    of = indexed(
        completions=2,
        parallelism=2,
        backoffLimitPerIndex=5,
        backoffLimit=2**31 - 1,
        podFailurePolicy=policy(on_codes("FailIndex", 42)),
    )
    found = planned(of, pod("p", "Failed", index=0, failures=0, code=42))
    assert found.status.failed_indexes == "0"
    assert indexes(found) == [1]


def test_ignored_failures_of_an_index_are_told_to_its_next_pod() -> None:
    """4.13."""
    of = indexed(
        completions=1,
        parallelism=1,
        backoffLimitPerIndex=0,
        backoffLimit=2**31 - 1,
        podFailurePolicy=policy(on_codes("Ignore", 42)),
    )
    (new,) = planned(of, pod("p", "Failed", index=0, failures=0, code=42), now=NOW + 10).made
    assert new.failures == (0, 1)
