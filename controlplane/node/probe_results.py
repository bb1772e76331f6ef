"""What a row of probes says of a container. PURE.

Source: Kubernetes' documentation, "Liveness, Readiness, and Startup Probes"; kube-behaviour 10.5.
"""

from typing import Literal

import msgspec

from controlplane.api.types.core_v1 import Container as Spec
from controlplane.api.types.core_v1 import ContainerStatus, Probe
from controlplane.node.plan import Health

Kind = Literal["startup", "liveness", "readiness"]

PERIOD_SECONDS = 10
TIMEOUT_SECONDS = 1
SUCCESS_THRESHOLD = 1
FAILURE_THRESHOLD = 3


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Of a probe, with its defaults."""

    initial_delay_seconds: float
    period_seconds: float
    timeout_seconds: float
    success_threshold: int
    failure_threshold: int


def timing_of(probe: Probe) -> Timing:
    """0 is no value of any but the delay: it was left out."""
    return Timing(
        initial_delay_seconds=float(max(probe.initial_delay_seconds, 0)),
        period_seconds=float(max(probe.period_seconds, 0) or PERIOD_SECONDS),
        timeout_seconds=float(max(probe.timeout_seconds, 0) or TIMEOUT_SECONDS),
        success_threshold=max(probe.success_threshold, 0) or SUCCESS_THRESHOLD,
        failure_threshold=max(probe.failure_threshold, 0) or FAILURE_THRESHOLD,
    )


def probes_of(spec: Spec) -> dict[Kind, Probe]:
    """Those that it has."""
    found: dict[Kind, Probe | None] = {
        "startup": spec.startup_probe,
        "liveness": spec.liveness_probe,
        "readiness": spec.readiness_probe,
    }
    return {kind: probe for kind, probe in found.items() if probe is not None}


class Row(msgspec.Struct, frozen=True):
    """Equal answers in a row, and the result that stands: None, before the first that counts."""

    is_success: bool = False
    count: int = 0
    result: bool | None = None


def after(row: Row, timing: Timing, *, is_success: bool) -> Row:
    """The row with one more answer."""
    count = row.count + 1 if row.count and row.is_success == is_success else 1
    needed = timing.success_threshold if is_success else timing.failure_threshold
    result = is_success if count >= needed else row.result
    return Row(is_success, count, result)


def health_of(spec: Spec, rows: dict[Kind, Row]) -> Health:
    """What all probes of a container say together."""
    startup, liveness, readiness = (
        rows.get("startup", Row()).result,
        rows.get("liveness", Row()).result,
        rows.get("readiness", Row()).result,
    )
    is_started = spec.startup_probe is None or startup is True
    is_ready = is_started and (spec.readiness_probe is None or readiness is True)
    failed = ""
    if startup is False and spec.startup_probe is not None:
        failed = "startup"
    elif liveness is False and spec.liveness_probe is not None:
        failed = "liveness"
    return Health(is_started=is_started, is_ready=is_ready, failed=failed)


def told_rows(told: ContainerStatus | None) -> dict[Kind, Row]:
    """Where a new agent begins with a container that ran before: with what was told of it last.

    It must not leave the endpoints because nobody has asked it for a while.
    """
    if told is None:
        return {}
    rows: dict[Kind, Row] = {}
    if told.started:
        rows["startup"] = Row(result=True)
    if told.ready:
        rows["readiness"] = Row(result=True)
    return rows
