import math
import os

import pytest

from benchmarks.outcome import Meter, Target, percentile


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(1, 50, 1), (1, 99, 1), (2, 50, 1), (100, 50, 50), (100, 99, 99), (101, 99, 100), (1, 0, 1)],
)
def test_percentile_is_of_the_nearest_rank(count: int, percent: int, expected: int) -> None:
    assert percentile(range(1, count + 1), percent) == expected


def test_percentile_of_nothing_meets_no_bar() -> None:
    assert percentile([], 99) == math.inf


def test_a_meter_counts_latencies_failures_and_cpu_of_both_sides() -> None:
    meter = Meter(Target([], [os.getpid()]))
    meter.latencies += [0.003, 0.001, 0.002]
    meter.failures = 1
    found = meter.outcome()
    assert (found.completions, found.failures) == (3, 1)
    assert (found.p50_ms, found.p99_ms) == (2.0, 3.0)
    assert found.rate * found.seconds == pytest.approx(3)
    assert found.members_cpu_seconds >= 0
    assert found.generator_cpu >= 0


def test_a_meter_may_count_something_else_than_latencies() -> None:
    found = Meter(Target([])).outcome(completions=7)
    assert found.completions == 7
    assert found.p99_ms == math.inf
