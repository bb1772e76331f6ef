"""What is measured and what comes of it: rate, latencies, failures, CPU of both sides."""

import math
import os
import time
from collections.abc import Sequence

import msgspec

from benchmarks import observe


class Target(msgspec.Struct, frozen=True):
    """Where the members of one system listen, and the processes whose CPU is counted."""

    endpoints: list[str]
    pids: list[int] = []

    def cpu_seconds(self) -> float:
        """Used so far by all of them."""
        return sum(map(observe.cpu_seconds, self.pids))


class Outcome(msgspec.Struct, frozen=True):
    """Completions per second, latencies in ms (of what was answered), and CPU."""

    rate: float
    p50_ms: float
    p99_ms: float
    completions: int
    failures: int
    seconds: float
    members_cpu_seconds: float  # summed over the members
    generator_cpu: float  # share of one core

    @classmethod
    def nothing(cls) -> "Outcome":
        """A measurement that could not be made."""
        return cls(0.0, math.inf, math.inf, 0, 1, 0.0, 0.0, 0.0)

    @property
    def cpu_us(self) -> float:
        """The members' CPU microseconds for one completion."""
        return self.members_cpu_seconds * 1e6 / max(self.completions, 1)


class Meter:
    """Runs from its making to `outcome`; whoever drives a load adds latencies and failures."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.latencies: list[float] = []  # seconds
        self.failures = 0
        self.began = time.perf_counter()
        self._cpu = _own_cpu_seconds()
        self._members_cpu = target.cpu_seconds()

    def outcome(self, completions: int | None = None) -> Outcome:
        """All of it; completions are the latencies unless something else was counted."""
        seconds = time.perf_counter() - self.began
        cpu = _own_cpu_seconds() - self._cpu
        ordered = sorted(self.latencies)
        count = len(ordered) if completions is None else completions
        return Outcome(
            rate=count / seconds,
            p50_ms=percentile(ordered, 50) * 1e3,
            p99_ms=percentile(ordered, 99) * 1e3,
            completions=count,
            failures=self.failures,
            seconds=seconds,
            members_cpu_seconds=self._target.cpu_seconds() - self._members_cpu,
            generator_cpu=cpu / seconds,
        )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The least value that so many percent do not exceed (nearest rank); infinite when empty."""
    if not ordered:
        return math.inf  # nothing was answered: no bar on latency may count as met
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _own_cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system
