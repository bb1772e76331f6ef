import os
import subprocess
import sys

import pytest

from kvstore.testing.history import LostWriteError
from kvstore.testing.simulation import scenario

SEEDS = 100
SEEDS_PER_TEST = 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first_seed", range(1, SEEDS + 1, SEEDS_PER_TEST))
def test_no_promise_is_broken_under_crashes_cuts_and_losses(first_seed: int) -> None:
    reports = [scenario.run(seed) for seed in range(first_seed, first_seed + SEEDS_PER_TEST)]
    assert all(report.events_watched > 0 for report in reports)
    # The faults that the run is about did happen.
    assert sum(report.crashes + report.partitions for report in reports) > 0


@pytest.mark.timeout(300)
def test_a_seed_replays_to_the_same_trace_in_another_process() -> None:
    """Hashes of strings, addresses of objects and the real clock must not matter."""
    hashes = set()
    for hash_seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-m", "kvstore.testing", "simulate", "--seed", "7"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        hashes.add(printed.split("trace_hash=")[1].split(",")[0])
    assert len(hashes) == 1


def test_different_seeds_are_different_runs() -> None:
    assert scenario.run(7).trace_hash != scenario.run(8).trace_hash


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(1, 6))
def test_without_the_sync_a_power_cut_loses_acknowledged_writes(seed: int) -> None:
    """The negative control: a simulation that did not notice this would prove nothing."""
    with pytest.raises(LostWriteError):
        scenario.run(seed, scenario.Plan(is_sync_removed=True))
