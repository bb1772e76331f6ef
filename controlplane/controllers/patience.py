"""How soon to look again at what waits for something: soon at first, seldom after long. PURE."""

from controlplane.api.meta import seconds_of
from controlplane.api.resource import Object

AGAIN_SECONDS_MIN, AGAIN_SECONDS_MAX = 1.0, 30.0
_SHARE = 4  # of the time that it has waited: a look may read many thousands of objects


def again_seconds(obj: Object, now: float) -> float:
    """At what is deleted, and waits for something in it. `now`: seconds since 1970."""
    return patience_seconds(obj["metadata"]["deletionTimestamp"], now)


def patience_seconds(since: str | None, now: float, *, least: float = AGAIN_SECONDS_MIN) -> float:
    """At what has waited since a time, as metadata tells it; None: it does not say."""
    waited = now - (seconds_of(since) or now)
    return min(max(waited / _SHARE, least), AGAIN_SECONDS_MAX)
