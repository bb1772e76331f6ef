"""Events in the words of events.k8s.io/v1: the objects of core/v1, which are stored. PURE.

Source: Kubernetes' API references of both; kube-behaviour 2.20, 3.5.
"""

from collections.abc import Iterator, Mapping

from controlplane.api.causes import immutable, invalid, required
from controlplane.api.errors import Cause
from controlplane.api.kinds import event as core
from controlplane.api.resource import Object, Strategy
from controlplane.api.tables import Cell

_TYPES = ("Normal", "Warning")
_CORE_NAMES = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_NEW_NAMES = {there: here for here, there in _CORE_NAMES.items()}
_DEPRECATED = tuple(name for name in _CORE_NAMES if name.startswith("deprecated"))
_IMMUTABLE = (
    "involvedObject",
    "reason",
    "message",
    "type",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)
_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def to_storage(event: Object) -> Object:
    """As core/v1 has it."""
    renamed = {_CORE_NAMES.get(name, name): value for name, value in event.items()}
    return {**renamed, "apiVersion": "v1"}


def from_storage(event: Object) -> Object:
    """As events.k8s.io/v1 has it."""
    renamed = {_NEW_NAMES.get(name, name): value for name, value in event.items()}
    return {**renamed, "apiVersion": "events.k8s.io/v1"}


def _validate(event: Object) -> list[Cause]:
    return core.validate(to_storage(event), reporter="reportingController")


def _validate_create(event: Object) -> list[Cause]:
    return [*_new(event), *_series(event)]


def _new(event: Object) -> Iterator[Cause]:
    """What old clients left out is there, and what only they say is not."""
    if not event.get("eventTime"):
        yield required("eventTime")
    kind = event.get("type") or ""
    if kind not in _TYPES:
        yield invalid("type", "", f"has invalid value: {kind}")
    for name in _DEPRECATED:
        if event.get(name):
            yield invalid(_CORE_NAMES[name], "", "needs to be unset")


def _series(event: Object) -> Iterator[Cause]:
    series = event.get("series")
    if series is not None:
        if (series.get("count") or 0) < 2:
            yield invalid("series.count", "", "should be at least 2")
        if not series.get("lastObservedTime"):
            yield required("series.lastObservedTime")


def _validate_update(new: Object, old: Object) -> list[Cause]:
    """Only the series goes on; one that old clients have written may stay as it is."""
    now, before = to_storage(new), to_storage(old)
    changed = [
        immutable("reportingController" if name == "reportingComponent" else name, now.get(name))
        for name in _IMMUTABLE
        if (now.get(name) or None) != (before.get(name) or None)
    ]
    return changed if new.get("series") == old.get("series") else [*changed, *_series(new)]


def _of_core(cell: Cell) -> Cell:
    return lambda event, now: cell(to_storage(event), now)


_LABELS: Mapping[str, str] = {
    "reportingController": "reportingComponent",
    **{f"regarding.{name}": f"involvedObject.{name}" for name in _REFERENCE},
}

STRATEGY = Strategy(
    validate=_validate,
    validate_create=_validate_create,
    validate_update=_validate_update,
    cells={name: _of_core(cell) for name, cell in core.CELLS.items()},
    to_storage=to_storage,
    from_storage=from_storage,
    stored_labels=_LABELS,
)
