"""What each row of the store benchmark has to reach: ours / etcd, median of the pairs."""

import msgspec


class Ratios(msgspec.Struct, frozen=True):
    """Ours / etcd: of the rate, of the CPU per completion, of the 99th percentile of latency."""

    rate: float
    cpu: float
    p99: float


class Bar(msgspec.Struct, frozen=True):
    """Bounds on the ratios of one row."""

    rate_min: float | None = None
    cpu_max: float | None = None
    p99_max: float | None = None

    def misses(self, ratios: Ratios) -> list[str]:
        """What was not reached, in words; a ratio that is not a number reaches nothing."""
        missed = []
        if self.rate_min is not None and not ratios.rate >= self.rate_min:
            missed.append(f"rate {ratios.rate:.2f} < {self.rate_min:g}")
        if self.cpu_max is not None and not ratios.cpu <= self.cpu_max:
            missed.append(f"cpu {ratios.cpu:.2f} > {self.cpu_max:g}")
        if self.p99_max is not None and not ratios.p99 <= self.p99_max:
            missed.append(f"p99 {ratios.p99:.2f} > {self.p99_max:g}")
        return missed


NO_BAR = Bar()

BARS = {
    "put 256 B, 1 client": Bar(rate_min=1.2),
    "put 256 B, 32 clients": Bar(rate_min=1.8, cpu_max=0.5),
    "put 256 B, 500 clients": Bar(rate_min=1.8),
    "linearizable get, 1 client": Bar(rate_min=1.5),
    "linearizable get, 32 clients": Bar(rate_min=2.5, cpu_max=0.3),
    "linearizable get, 500 clients": Bar(rate_min=3.0),
    "serializable get, 1 client": Bar(rate_min=1.5),
    "serializable get, 32 clients": Bar(rate_min=3.0, cpu_max=0.3),
    "serializable get, 500 clients": Bar(rate_min=3.5),
    "txn of 4 puts, 32 clients": Bar(rate_min=2.0, cpu_max=0.35),
    "txn of 4 puts, 500 clients": Bar(rate_min=3.0),
    "range of 100, 32 clients": Bar(rate_min=1.5, cpu_max=0.5),
    "range of 1000, 32 clients": Bar(rate_min=1.5, cpu_max=0.5),
    "watch 1000 streams x 1": Bar(rate_min=1.3, cpu_max=0.5),
    "watch 10 streams x 100": Bar(rate_min=0.8, cpu_max=0.5),
    "lease keep-alive, 100 streams": Bar(rate_min=1.5, cpu_max=0.5),
    "mixed, 2000/s open loop": Bar(p99_max=1.0, cpu_max=0.5),
}
