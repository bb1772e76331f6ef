"""How soon to look again at what is deleted, and waits for something in it. PURE."""

from datetime import datetime

from controlplane.api.resource import Object

AGAIN_SECONDS_MIN, AGAIN_SECONDS_MAX = 1.0, 30.0
_SHARE = 4  # of the time that it has waited: a look may read many thousands of objects


def again_seconds(obj: Object, now: float) -> float:
    """Soon at first, seldom at what has waited for long. `now`: seconds since 1970."""
    deleted = datetime.fromisoformat(obj["metadata"]["deletionTimestamp"]).timestamp()
    return min(max((now - deleted) / _SHARE, AGAIN_SECONDS_MIN), AGAIN_SECONDS_MAX)
