"""How long a Job waits before it replaces pods that failed. PURE.

10 s after a failure, doubled with each that follows, up to 10 minutes; a success ends it.

Source: Kubernetes' documentation, "Pod backoff failure policy"; kube-behaviour 4.11.
"""

from collections.abc import Iterable

import msgspec

FIRST_SECONDS = 10.0
SECONDS_MAX = 600.0
_DOUBLINGS_MAX = 16  # beyond the maximum: keeps the power small


class Backoff(msgspec.Struct, frozen=True):
    """Failures since the last success. Times are seconds since 1970; 0: there was none."""

    failures: int = 0
    failed_at: float = 0.0
    succeeded_at: float = 0.0

    def after(self, successes: Iterable[float], failures: Iterable[float]) -> "Backoff":
        """When more pods have ended, at these times."""
        succeeded_at = max([self.succeeded_at, *successes])
        later = [time for time in failures if time > succeeded_at]
        before = self.failures if self.failed_at > succeeded_at else 0
        failed_at = max([self.failed_at, *later])
        return Backoff(before + len(later), failed_at, succeeded_at)

    def seconds_left(self, now: float) -> float:
        """Until a pod may be made; 0: at once."""
        return seconds_left(self.failures, self.failed_at, now)


def seconds_left(failures: int, failed_at: float, now: float) -> float:
    """Until what failed so often, last at `failed_at`, may be tried again; 0: at once."""
    if not failures:
        return 0.0
    wait = min(FIRST_SECONDS * 2.0 ** min(failures - 1, _DOUBLINGS_MAX), SECONDS_MAX)
    # A pod whose node's clock is ahead has not to wait for longer than it would.
    return max(0.0, wait - max(0.0, now - failed_at))
