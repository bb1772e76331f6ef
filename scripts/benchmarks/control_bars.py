"""What each row of `scripts/bench control` has to reach.

Mostly it is what Kubernetes 1.33 did on this kind of machine, its limits on requests raised; its
API server is over one etcd. Of how soon a pod runs it is Kubernetes' own objective (p99 of 5 s,
sig-scalability's slos.md); of the scheduler's algorithm alone it is what we want of it.
"""

import msgspec


class Figures(msgspec.Struct, frozen=True):
    """Of one row; what it does not measure is None."""

    rate: float | None = None
    seconds: float | None = None  # until all of it was done
    p50_ms: float | None = None
    p99_ms: float | None = None
    mib: float | None = None
    failures: int = 0
    cpu_us: float | None = None  # for one completion; of the API server, or of all that took part
    cpu_us_of: dict[str, float] = {}  # … where several did: of each kind of process
    cpu_percent: float | None = None  # of one core
    generator_cpu: float = 0.0  # share of one core


class ControlBar(msgspec.Struct, frozen=True):
    """Bounds on the figures of one row."""

    rate_min: float | None = None
    seconds_max: float | None = None
    p50_ms_max: float | None = None
    p99_ms_max: float | None = None
    mib_max: float | None = None

    def misses(self, found: Figures) -> list[str]:
        """What was not reached, in words; what was not measured reaches nothing."""
        missed = []
        if self.rate_min is not None and not (found.rate or 0.0) >= self.rate_min:
            missed.append(f"rate {found.rate or 0.0:.0f}/s < {self.rate_min:g}/s")
        for name, value, most, unit in (
            ("all", found.seconds, self.seconds_max, "s"),
            ("p50", found.p50_ms, self.p50_ms_max, "ms"),
            ("p99", found.p99_ms, self.p99_ms_max, "ms"),
            ("RSS", found.mib, self.mib_max, "MiB"),
        ):
            if most is not None and not (value is not None and value <= most):
                told = "none" if value is None else f"{value:.1f} {unit}"
                missed.append(f"{name} {told} > {most:g} {unit}")
        if found.failures:
            missed.append(f"{found.failures} failed")
        return missed


NO_BAR = ControlBar()

BARS = {
    "create pod, 1 client": ControlBar(rate_min=392),
    "create pod, 16 clients": ControlBar(rate_min=1_108),
    "get pod, 1 client": ControlBar(rate_min=901),
    "get pod, 16 clients": ControlBar(rate_min=2_484),
    "list 5000 pods, JSON": ControlBar(p50_ms_max=223),
    "list 5000 pods, Table": ControlBar(p50_ms_max=151),
    "watch, 100 watchers": ControlBar(p50_ms_max=12),
    "RSS idle": ControlBar(mib_max=265),
    "RSS with 5000 pods": ControlBar(mib_max=724),
    "place alone, 5000 nodes": ControlBar(rate_min=5_000),
    "place alone, 5000 nodes, service": ControlBar(rate_min=5_000),
    "idle, controllers": ControlBar(mib_max=110),
    "idle, scheduler": ControlBar(mib_max=60),
    "start pod, 1 at a time": ControlBar(p99_ms_max=5_000),
    "start pod, 30 at once": ControlBar(p99_ms_max=5_000),
    "schedule 1000 pods, 500 nodes": ControlBar(rate_min=174),
    "Deployment of 1000, 500 nodes": ControlBar(seconds_max=11.5),
    "schedule 2000 pods, 5000 nodes": ControlBar(rate_min=135),
}
