"""Measurements made up for tests."""

from benchmarks.outcome import Outcome
from benchmarks.report import Report, RowReport


def outcome(
    rate: float = 1_000.0,
    *,
    p99_ms: float = 2.0,
    cpu_us: float = 100.0,
    failures: int = 0,
    generator_cpu: float = 0.5,
) -> Outcome:
    """One second of measurement."""
    completions = int(rate)
    return Outcome(
        rate=rate,
        p50_ms=1.0,
        p99_ms=p99_ms,
        completions=completions,
        failures=failures,
        seconds=1.0,
        members_cpu_seconds=cpu_us * completions / 1e6,
        generator_cpu=generator_cpu,
    )


def report(*rows: RowReport) -> Report:
    """A run of these rows."""
    return Report(
        plan="quick",
        pairs=1,
        seconds=1.5,
        began="2026-01-02T03:04:05+00:00",
        ended="2026-01-02T03:05:05+00:00",
        machine="this machine: a test",
        versions={"etcd": "3.4.23"},
        rows=list(rows),
    )
