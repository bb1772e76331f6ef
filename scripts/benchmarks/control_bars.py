"""What each row of `scripts/bench control` has to reach: what a kube-apiserver 1.33 did over etcd
on this kind of machine.
"""

import msgspec


class Figures(msgspec.Struct, frozen=True):
    """Of one row; what it does not measure is None."""

    rate: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    mib: float | None = None
    failures: int = 0
    cpu_us: float | None = None  # the API server's, for one completion
    generator_cpu: float = 0.0  # share of one core


class ControlBar(msgspec.Struct, frozen=True):
    """Bounds on the figures of one row."""

    rate_min: float | None = None
    p50_ms_max: float | None = None
    mib_max: float | None = None

    def misses(self, found: Figures) -> list[str]:
        """What was not reached, in words; what was not measured reaches nothing."""
        missed = []
        if self.rate_min is not None and not (found.rate or 0.0) >= self.rate_min:
            missed.append(f"rate {found.rate or 0.0:.0f}/s < {self.rate_min:g}/s")
        for name, value, most in (
            ("p50", found.p50_ms, self.p50_ms_max),
            ("RSS", found.mib, self.mib_max),
        ):
            unit = "MiB" if name == "RSS" else "ms"
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
}
