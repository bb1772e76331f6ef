"""What rows of probes say. Numbers are rows of kube-behaviour.md."""

import pytest

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Container, Probe
from controlplane.node.plan import Health
from controlplane.node.probe_results import Kind, Row, after, health_of, is_due, timing_of

EXEC = {"exec": {"command": ["x"]}}


def spec(*kinds: str) -> Container:
    probes = {f"{kind}Probe": EXEC for kind in kinds}
    return from_object(Container, {"name": "a", **probes})


def row(answers: str, **probe: int) -> Row:
    """Of answers like `+--`."""
    timing = timing_of(from_object(Probe, {**EXEC, **probe}))
    found = Row()
    for answer in answers:
        found = after(found, timing, is_success=answer == "+")
    return found


def test_defaults() -> None:
    """10.5: period 10 s, timeout 1 s, success 1, failure 3, delay 0."""
    timing = timing_of(from_object(Probe, EXEC))
    assert (timing.period_seconds, timing.timeout_seconds) == (10, 1)
    assert (timing.success_threshold, timing.failure_threshold) == (1, 3)
    assert timing.initial_delay_seconds == 0


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        ("", None),
        ("+", True),
        ("--", None),
        ("---", False),
        ("+--", True),
        ("+---", False),
        ("--+--", True),
        ("+---+", True),
    ],
)
def test_three_failures_in_a_row_count_and_one_success(answers: str, result: bool | None) -> None:
    """10.5."""
    assert row(answers).result is result


def test_thresholds_are_the_probe_s() -> None:
    """10.5."""
    assert row("+", successThreshold=2).result is None
    assert row("++", successThreshold=2).result is True
    assert row("-", failureThreshold=1).result is False


def health(container: Container, **answers: str) -> Health:
    rows: dict[Kind, Row] = {}
    for kind in ("startup", "liveness", "readiness"):
        if kind in answers:
            rows[kind] = row(answers[kind])
    return health_of(container, rows)


def test_readiness_begins_with_no_and_liveness_with_yes() -> None:
    """10.5: readiness failure does not restart."""
    assert health(spec("readiness")) == Health(is_ready=False)
    assert health(spec("readiness"), readiness="+").is_ready
    assert health(spec("readiness"), readiness="+---") == Health(is_ready=False)
    assert health(spec("liveness")) == Health()
    assert health(spec("liveness"), liveness="---").failed == "liveness"


def test_startup_comes_before_all_else() -> None:
    """10.5: startup disables others until success."""
    both = spec("startup", "readiness")
    assert health(both, readiness="+") == Health(is_started=False, is_ready=False)
    assert health(both, startup="+", readiness="+") == Health()
    assert health(spec("startup"), startup="---").failed == "startup"
    assert not is_due("liveness", both, {}, is_ending=False)
    assert is_due("liveness", both, {"startup": row("+")}, is_ending=False)
    assert not is_due("startup", both, {"startup": row("+")}, is_ending=False)
    assert not is_due("liveness", spec("liveness"), {}, is_ending=True)
    assert is_due("readiness", spec("readiness"), {}, is_ending=True)
