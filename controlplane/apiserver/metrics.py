"""What was asked and how long it took, and what is held now, in Prometheus' text format. PURE."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from controlplane.apiserver.incoming import Target

_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

Readings = Mapping[tuple[tuple[str, str], ...], float]
"""(label, value) pairs -> what is measured now."""

Labels = tuple[str, str, str, str, str]  # verb, group, version, resource, scope


class Metrics:
    """Requests by verb and resource; what is none of ours is one row for each method and code."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[Labels, int]] = Counter()
        self._buckets: dict[Labels, list[int]] = {}
        self._seconds: dict[Labels, float] = {}
        self._gauges: dict[str, tuple[str, Callable[[], Readings]]] = {}
        self._counts: dict[str, tuple[str, int]] = {}

    def gauge(self, name: str, help_: str, read: Callable[[], Readings]) -> None:
        """Show what `read` says at the moment when it is asked for."""
        self._gauges[name] = (help_, read)

    def count(self, name: str, help_: str, by: int = 1) -> None:
        """Something has happened, `by` times; 0 makes it known that it may."""
        _, before = self._counts.get(name, ("", 0))
        self._counts[name] = (help_, before + by)

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
        yield f"# HELP {name} Seconds until it was answered (of a watch: until it began)."
        yield f"# TYPE {name} histogram"
        for labels, buckets in sorted(self._buckets.items()):
            bounds = [*map(str, _BOUNDS_SECONDS), "+Inf"]
            for bound, count in zip(bounds, accumulate(buckets), strict=True):
                yield f'{name}_bucket{{{_told(labels)},le="{bound}"}} {count}'
            yield f"{name}_sum{{{_told(labels)}}} {self._seconds[labels]:.6f}"
            yield f"{name}_count{{{_told(labels)}}} {sum(buckets)}"
        for name, (help_, count) in sorted(self._counts.items()):
            yield f"# HELP {name} {help_}"
            yield f"# TYPE {name} counter"
            yield f"{name} {count}"
        yield from self._gauge_lines()

    def _gauge_lines(self) -> Iterator[str]:
        for name, (help_, read) in sorted(self._gauges.items()):
            yield f"# HELP {name} {help_}"
            yield f"# TYPE {name} gauge"
            for labels, value in sorted(read().items()):
                told = ",".join(f'{label}="{text}"' for label, text in labels)
                yield f"{name}{{{told}}} {value:.0f}" if told else f"{name} {value:.0f}"


def _labels(method: str, target: Target | None) -> Labels:
    """Nothing that a client can make up: each other text would be a row for ever."""
    if target is None:
        return (method if method in _METHODS else "other", "", "", "", "")
    scope = "resource" if target.name else "namespace" if target.namespace else "cluster"
    return (target.verb.upper(), target.group, target.version, target.resource, scope)


def _told(labels: Labels) -> str:
    names = ("verb", "group", "version", "resource", "scope")
    return ",".join(f'{name}="{value}"' for name, value in zip(names, labels, strict=True))
