"""The whole control plane, from a seed: it holds, it repeats exactly, and what is broken is caught.

A planted bug is put into the code by a patch of a test; each must break a promise within a few
seeds, and the code without it holds them on the same ones.
"""

from collections.abc import Callable
from typing import Any

import pytest

from controlplane import controller
from controlplane.apiserver import pods as evictions
from controlplane.controllers import rollouts
from controlplane.node.observer import Observer
from controlplane.scheduler.scheduler import Scheduler
from controlplane.simulation import command, report, scenario
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


def _blind_to_its_own_writes(patch: pytest.MonkeyPatch) -> None:
    async def wrong(self: Any, written: Any) -> None:
        """Go on at once."""

    patch.setattr(controller._Running, "_until_seen", wrong)


def _blind_to_cordons(patch: pytest.MonkeyPatch) -> None:
    right = Scheduler._on_node

    def wrong(self: Any, key: Any, obj: Any) -> None:
        right(self, key, None if obj is None else {**obj, "spec": {}})

    patch.setattr(Scheduler, "_on_node", wrong)


def _spends_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evictions, "_spent", lambda budget, pod, now: budget)


def _forgets_what_runs(patch: pytest.MonkeyPatch) -> None:
    right = Observer._take

    def wrong(self: Any, found: Any) -> None:
        right(self, {} if self._listed_at is None else found)

    patch.setattr(Observer, "_take", wrong)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_surge_off_by_one, "all together want"),
        (_blind_to_its_own_writes, "of one ReplicaSet that wants"),
        (_blind_to_cordons, "which took no pods"),
        (_spends_nothing, "knows nothing of it"),
        (_forgets_what_runs, "a second sandbox"),
    ],
    ids=["surge", "own-writes", "cordons", "budget", "agent"],
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
