"""What users do: valid objects, ends that can be reached, all kinds of it."""

import random
from collections import Counter
from typing import Any

import pytest

from cluster.chaos import lives, manifests
from cluster.chaos.lives import Step

SEEDS = 300


def all_of(life: Any) -> list[tuple[Step, ...]]:
    return [life(f"x-{seed}", random.Random(seed)) for seed in range(SEEDS)]


def test_a_life_is_the_same_for_the_same_dice() -> None:
    for life in (lives.deployment, lives.job):
        assert life("a", random.Random(1)) == life("a", random.Random(1))


def test_deployments_know_every_change_and_end_deleted() -> None:
    found = all_of(lives.deployment)
    verbs = {step.do for steps in found for step in steps}
    assert verbs == {
        *("create", "expose", "retype", "hide", "delete", "settle", "rest"),
        *("scale", "update", "roll back", "pause", "resume"),
    }
    for steps in found:
        assert steps[0].do == "create"
        assert steps[-1].do == "delete"


def test_what_is_paused_or_suspended_goes_on_before_it_ends() -> None:
    """Else nothing would ever settle."""
    for life in (lives.deployment, lives.job):
        for steps in all_of(life):
            is_held = bool(steps[0].obj and steps[0].obj["spec"].get("suspend"))
            for step in steps:
                is_held = step.do in ("pause", "suspend") or (
                    is_held and step.do not in ("resume", "unsuspend")
                )
            assert not is_held


def test_a_service_goes_before_its_deployment() -> None:
    for steps in all_of(lives.deployment):
        verbs = Counter(step.do for step in steps)
        assert verbs["expose"] == verbs["hide"] <= 1
        if not verbs["expose"]:
            assert not verbs["retype"]


@pytest.mark.parametrize(
    "words", ["suspend", "ttlSecondsAfterFinished", "backoffLimitPerIndex", "completionMode"]
)
def test_jobs_are_of_all_kinds(words: str) -> None:
    specs = [steps[0].obj["spec"] for steps in all_of(lives.job) if steps[0].obj]
    assert 0 < sum(words in spec for spec in specs) < SEEDS
    commands = [spec["template"]["spec"]["containers"][0]["command"][2] for spec in specs]
    assert {command[-1] for command in commands} == {"0", "1"}


def test_most_jobs_stay_to_be_counted() -> None:
    kept = [steps for steps in all_of(lives.job) if steps[-1].do != "delete"]
    assert SEEDS / 2 < len(kept) < SEEDS


def test_a_pod_that_is_to_fail_fails() -> None:
    made = manifests.job("a", random.Random(1), fails=True, completions=2)
    assert made["spec"]["template"]["spec"]["containers"][0]["command"][2].endswith("exit 1")
    assert "fails" not in made["spec"]
