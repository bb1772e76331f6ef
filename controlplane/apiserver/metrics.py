"""Counts of what was asked and how long it took, in the text format of Prometheus. PURE."""

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from controlplane.apiserver.incoming import Target

_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

Labels = tuple[str, str, str, str, str]  # verb, group, version, resource, scope


class Metrics:
    """Requests by verb and resource; what is none of ours is one row for each method and code."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[Labels, int]] = Counter()
        self._buckets: dict[Labels, list[int]] = {}
        self._seconds: dict[Labels, float] = {}

    def observe(self, method: str, target: Target | None, code: int, seconds: float) -> None:
        """A request has been answered. target: None unless it is of a resource that is served."""
        labels = _labels(method, target)
        self._requests[labels, code] += 1
        buckets = self._buckets.setdefault(labels, [0] * (len(_BOUNDS_SECONDS) + 1))
        position = next(
            (i for i, bound in enumerate(_BOUNDS_SECONDS) if seconds <= bound),
            len(_BOUNDS_SECONDS),
        )
        buckets[position] += 1
        self._seconds[labels] = self._seconds.get(labels, 0.0) + seconds

    def text(self) -> bytes:
        """All of it."""
        return ("\n".join(self._lines()) + "\n").encode()

    def _lines(self) -> Iterator[str]:
        name = "apiserver_request_total"
        yield f"# HELP {name} Requests by verb, resource and code."
        yield f"# TYPE {name} counter"
        for (labels, code), count in sorted(self._requests.items()):
            yield f'{name}{{{_told(labels)},code="{code}"}} {count}'
        name = "apiserver_request_duration_seconds"
        yield f"# HELP {name} Seconds until the answer (of a watch: until it began)."
        yield f"# TYPE {name} histogram"
        for labels, buckets in sorted(self._buckets.items()):
            bounds = [*map(str, _BOUNDS_SECONDS), "+Inf"]
            for bound, count in zip(bounds, accumulate(buckets), strict=True):
                yield f'{name}_bucket{{{_told(labels)},le="{bound}"}} {count}'
            yield f"{name}_sum{{{_told(labels)}}} {self._seconds[labels]:.6f}"
            yield f"{name}_count{{{_told(labels)}}} {sum(buckets)}"


def _labels(method: str, target: Target | None) -> Labels:
    """Nothing that a client can make up: each other text would be a row for ever."""
    if target is None:
        return (method if method in _METHODS else "other", "", "", "", "")
    scope = "resource" if target.name else "namespace" if target.namespace else "cluster"
    return (target.verb.upper(), target.group, target.version, target.resource, scope)


def _told(labels: Labels) -> str:
    names = ("verb", "group", "version", "resource", "scope")
    return ",".join(f'{name}="{value}"' for name, value in zip(names, labels, strict=True))
