"""The whole control plane, from a seed: it holds, it repeats exactly, and what is broken is caught.

A planted bug is put into the code by a patch of a test; each must break a promise within a few
seeds, and the code without it holds them on the same ones.
"""

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api import pods
from controlplane.apiserver import pods as evictions
from controlplane.controllers import replicasets, rollouts
from controlplane.scheduler import requests
from controlplane.simulation import command, nodes, report, scenario
from controlplane.simulation.scenario import Plan
from kvstore.testing.history import ViolationError

SHORT = Plan(trouble_seconds=12.0, calm_seconds=8.0)
SEEDS_MAX = 4
"""Within so many each planted bug is caught."""


def test_a_seed_holds_and_repeats_exactly() -> None:
    first, second = (scenario.run(7, SHORT) for _ in range(2))
    assert first == second
    assert first.trace_hash
    assert first.pods_bound > 0
    assert first.faults


Plant = Callable[[pytest.MonkeyPatch], None]


def _surge_off_by_one(patch: pytest.MonkeyPatch) -> None:
    right = rollouts.bounds

    def wrong(deployment: Any) -> rollouts.Bounds:
        found = right(deployment)
        return rollouts.Bounds(found.surge + 1, found.unavailable)

    patch.setattr(rollouts, "bounds", wrong)


def _counts_only_who_is_ready(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replicasets, "is_active", pods.is_ready)


def _forgets_what_pods_ask_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(nodes, "CPUS", 2)
    patch.setattr(requests, "requests_of", lambda *arguments, **named: {})


def _spends_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evictions, "_spent", lambda budget, pod, now: budget)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_surge_off_by_one, "all together want"),
        (_counts_only_who_is_ready, "of one ReplicaSet that wants"),
        (_forgets_what_pods_ask_for, "which then gives"),
        (_spends_nothing, "knows nothing of it"),
    ],
    ids=["surge", "readiness", "room", "budget"],
)
def test_what_is_broken_is_caught(monkeypatch: pytest.MonkeyPatch, plant: Plant, told: str) -> None:
    plant(monkeypatch)
    found = (_violation(seed) for seed in range(1, SEEDS_MAX + 1))
    assert told in next(filter(None, found), "nobody has noticed")


def _violation(seed: int) -> str:
    """Empty: every promise held."""
    try:
        scenario.run(seed, SHORT)
    except ViolationError as violation:
        return str(violation)
    return ""


def test_the_command_tells_how_to_repeat_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int) -> report.Report:
        if seed == 4:
            raise ViolationError("a promise is broken")
        return report.Report(trace_hash="beef")

    monkeypatch.setattr(scenario, "run", run)
    told: list[str] = []
    parse = command.parser().parse_args
    assert (
        command.run(parse(["--first-seed", "3", "--seeds", "3", "--jobs", "1"]), told.append) == 1
    )
    assert "seed 4: ViolationError: a promise is broken" in told[0]
    assert "python -m controlplane.simulation --seed 4" in told[0]
    assert "2 of 3 seeds held all promises" in told[-1]
    assert command.run(parse(["--seed", "4", "--jobs", "1"]), told.append) == 1
    assert command.run(parse(["--seed", "5", "--jobs", "1"]), told.append) == 0
    assert told[-1] == "trace hash beef"


def test_what_never_happened_is_named() -> None:
    never = report.never_happened(report.total([report.Report(), report.Report()]))
    assert "pods bound" in never
    assert "process dies" in never
