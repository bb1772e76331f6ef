"""What rows of probes say. Numbers are rows of kube-behaviour.md."""

import pytest

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Container, ContainerStatus, Probe
from controlplane.node.plan import Health
from controlplane.node.probe_results import Kind, Row, after, health_of, timing_of, told_rows

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


def test_what_was_told_holds_until_a_probe_says_otherwise() -> None:
    """10.5: where an agent begins anew."""
    both = spec("startup", "readiness")
    assert health_of(both, told_rows(None)) == Health(is_started=False, is_ready=False)
    ready = told_rows(ContainerStatus(started=True, ready=True))
    assert health_of(both, ready) == Health()
    unready = told_rows(ContainerStatus(started=True))
    assert health_of(both, unready) == Health(is_ready=False)
    timing = timing_of(from_object(Probe, EXEC))
    found = ready["readiness"]
    for _ in range(3):
        assert found.result
        found = after(found, timing, is_success=False)
    assert found.result is False
