"""Types of `events_v1`; made by scripts/gentypes."""

from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import core_v1, meta_v1


class EventSeries(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"count", "lastObservedTime"})
    count: int = 0
    last_observed_time: str = ""


class Event(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "eventTime", "kind", "metadata"})
    action: str = ""
    api_version: str = "events.k8s.io/v1"
    deprecated_count: int = 0
    deprecated_first_timestamp: str | None = None
    deprecated_last_timestamp: str | None = None
    deprecated_source: core_v1.EventSource = core_v1.EventSource()
    event_time: str = ""
    kind: str = "Event"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    note: str = ""
    reason: str = ""
    regarding: core_v1.ObjectReference = core_v1.ObjectReference()
    related: core_v1.ObjectReference | None = None
    reporting_controller: str = ""
    reporting_instance: str = ""
    series: EventSeries | None = None
    type: str = ""
