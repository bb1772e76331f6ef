"""Events: what happened to an object, how often, and who says so. PURE.

They are stored in the words of core/v1; `event_events.py` has those of events.k8s.io/v1, in which
the same objects are served. Source: Kubernetes' API references of both; kube-behaviour 2.20, 3.5.
"""

from collections.abc import Iterator, Mapping

from controlplane.api import tables
from controlplane.api.causes import invalid, required
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy
from controlplane.api.syntaxes import faults_of_qualified_name
from controlplane.api.tables import Cell

WORD_CHARACTERS_MAX = 128
"""Of reason, action and reporting instance."""
NOTE_BYTES_MAX = 1024
_UNKNOWN = "<unknown>"


def validate(event: Object, *, reporter: str = "reportingComponent") -> list[Cause]:
    """All that is wrong with an event. reporter: the field of who reports it, in its version."""
    found = [*_namespace(event)]
    if event.get("eventTime"):
        found += _reported(event, reporter)
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


def _reported(event: Object, reporter: str) -> Iterator[Cause]:
    """Who has an event's time tells more than old clients did."""
    controller = event.get("reportingComponent") or ""
    if not controller:
        yield required(reporter)
    for fault in faults_of_qualified_name(controller):
        yield invalid(reporter, controller, fault)
    for name in ("reportingInstance", "action", "reason"):
        word = event.get(name) or ""
        if not word:
            yield required(name)
        elif len(word.encode()) > WORD_CHARACTERS_MAX:
            yield invalid(name, "", f"can have at most {WORD_CHARACTERS_MAX} characters")
    if len((event.get("message") or "").encode()) > NOTE_BYTES_MAX:
        yield invalid("message", "", f"can have at most {NOTE_BYTES_MAX} characters")


def _reporter(event: Object) -> str:
    """What the field selector `source` asks for."""
    source = event.get("source")
    component = source.get("component") if isinstance(source, Mapping) else None
    return str(component or event.get("reportingComponent") or "")


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
    component = _reporter(event)
    host = (event.get("source") or {}).get("host") or event.get("reportingInstance")
    return f"{component}, {host}" if host else component


CELLS: Mapping[str, Cell] = {
    "last_seen": _last_seen,
    "first_seen": lambda event, now: _since(_first(event), now),
    "count": _count,
    "object": _object,
    "subobject": lambda event, now: (event.get("involvedObject") or {}).get("fieldPath") or "",
    "source": _source,
    "message": lambda event, now: (event.get("message") or "").strip(),
}

STRATEGY = Strategy(validate=validate, cells=CELLS, field_values={"source": _reporter})
