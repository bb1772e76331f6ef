"""Events: what happened to an object, how often, and who says so. PURE.

One file for both groups: core/v1 and events.k8s.io/v1 say the same in other words. Source:
Kubernetes' API references of both; kube-behaviour 2.20, 3.5.
"""

from collections.abc import Callable, Iterator

from controlplane.api import tables
from controlplane.api.causes import immutable, invalid, required
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.syntaxes import faults_of_qualified_name

WORD_CHARACTERS_MAX = 128
"""Of reason, action and reporting instance."""
NOTE_BYTES_MAX = 1024
_UNKNOWN = "<unknown>"
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


def _is_new(event: Object) -> bool:
    return str(event.get("apiVersion", "")).startswith("events.k8s.io/")


def _core(event: Object) -> Object:
    """In the words of core/v1."""
    if not _is_new(event):
        return event
    return {_CORE_NAMES.get(name, name): value for name, value in event.items()}


def _validate(event: Object) -> list[Cause]:
    core = _core(event)
    found = [*_namespace(core)]
    if core.get("eventTime"):
        found += _reported(core, is_new=_is_new(event))
    if _is_new(event):
        found += _new(event)
    return found


def _namespace(event: Object) -> Iterator[Cause]:
    """It is beside its object, or in `default` if that has no namespace."""
    namespace = (event.get("metadata") or {}).get("namespace") or ""
    involved = (event.get("involvedObject") or {}).get("namespace") or ""
    if involved:
        fits = involved == namespace or bool(event.get("eventTime"))
    elif event.get("eventTime"):
        fits = namespace in ("default", "kube-system")
    else:
        fits = namespace in ("", "default")
    if not fits:
        yield invalid("involvedObject.namespace", involved, "does not match event.namespace")


def _reported(event: Object, *, is_new: bool) -> Iterator[Cause]:
    """Who has an event's time tells more than old clients did."""
    controller = event.get("reportingComponent") or ""
    place = "reportingController" if is_new else "reportingComponent"
    if not controller:
        yield required(place)
    for fault in faults_of_qualified_name(controller):
        yield invalid(place, controller, fault)
    for name in ("reportingInstance", "action", "reason"):
        word = event.get(name) or ""
        if not word:
            yield required(name)
        elif len(word.encode()) > WORD_CHARACTERS_MAX:
            yield invalid(name, "", f"can have at most {WORD_CHARACTERS_MAX} characters")
    if len((event.get("message") or "").encode()) > NOTE_BYTES_MAX:
        yield invalid("message", "", f"can have at most {NOTE_BYTES_MAX} characters")


def _new(event: Object) -> Iterator[Cause]:
    if not event.get("eventTime"):
        yield required("eventTime")
    kind = event.get("type") or ""
    if kind not in _TYPES:
        yield invalid("type", "", f"has invalid value: {kind}")
    for name in _DEPRECATED:
        value = event.get(name)
        if value:
            yield invalid(_CORE_NAMES[name], "", "needs to be unset")
    series = event.get("series")
    if series is not None:
        if (series.get("count") or 0) < 2:
            yield invalid("series.count", "", "should be at least 2")
        if not series.get("lastObservedTime"):
            yield required("series.lastObservedTime")


def _validate_update(new: Object, old: Object) -> list[Cause]:
    """Of events.k8s.io only the series goes on."""
    if not _is_new(new):
        return []
    now, before = _core(new), _core(old)
    return [
        immutable("reportingController" if name == "reportingComponent" else name, now.get(name))
        for name in _IMMUTABLE
        if (now.get(name) or None) != (before.get(name) or None)
    ]


# Cells.


def _since(moment: str | None, now: float) -> str:
    return tables.since(moment, now) if moment else _UNKNOWN


def _first(event: Object) -> str | None:
    return event.get("firstTimestamp") or event.get("eventTime")


def _last_seen(event: Object, now: float) -> str:
    series = event.get("series")
    if series is not None:
        return _since(series.get("lastObservedTime"), now)
    return _since(event.get("lastTimestamp") or _first(event), now)


def _count(event: Object, now: float) -> int:
    series = event.get("series")
    return int((series or event).get("count") or (0 if series else 1))


def _object(event: Object, now: float) -> str:
    involved = event.get("involvedObject") or {}
    kind, name = (involved.get("kind") or "").lower(), involved.get("name")
    return f"{kind}/{name}" if name else kind


def _source(event: Object, now: float) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance")
    return f"{component}, {host}" if host else component


def _cell(function: Callable[[Object, float], object]) -> Callable[[Object, float], object]:
    return lambda event, now: function(_core(event), now)


STRATEGY = Strategy(
    validate=_validate,
    validate_update=_validate_update,
    cells={
        "last_seen": _cell(_last_seen),
        "first_seen": _cell(lambda event, now: _since(_first(event), now)),
        "count": _cell(_count),
        "object": _cell(_object),
        "subobject": _cell(
            lambda event, now: (event.get("involvedObject") or {}).get("fieldPath") or ""
        ),
        "source": _cell(_source),
        "message": _cell(lambda event, now: (event.get("message") or "").strip()),
    },
)
