"""Events of both groups."""

from typing import Any

import pytest

from controlplane.api.discovery import storage_version_hash
from controlplane.apiserver.selection import index_of
from tests.controlplane.api.kinds.built_in import (
    faults,
    faults_of_new,
    faults_of_update,
    printed,
    resource,
)

EVENTS = resource("", "events")
NEW_EVENTS = resource("events.k8s.io", "events")
AGO_10M = "2023-11-14T22:03:20Z"
AGO_2H = "2023-11-14T20:13:20.000000Z"


def _old(**rest: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "n"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "n", "fieldPath": "spec"},
        "reason": "Pulled",
        "message": " done\n",
        "type": "Normal",
        "source": {"component": "kubelet", "host": "n1"},
        **rest,
    }


def _new(**rest: Any) -> dict[str, Any]:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "n"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "n"},
        "eventTime": AGO_2H,
        "reportingController": "example.com/c",
        "reportingInstance": "c-1",
        "action": "Pulling",
        "reason": "Pulled",
        "note": "done",
        "type": "Normal",
        **rest,
    }


@pytest.mark.parametrize(
    ("namespace", "involved", "fits"),
    [("n", "n", True), ("n", "m", False), ("n", "", False), ("default", "", True)],
)
def test_an_event_is_beside_its_object(namespace: str, involved: str, fits: bool) -> None:  # 3.5
    obj = _old(
        metadata={"name": "e", "namespace": namespace}, involvedObject={"namespace": involved}
    )
    told = f'involvedObject.namespace: Invalid value: "{involved}": does not match event.namespace'
    assert faults(EVENTS, obj) == ([] if fits else [told])


def test_what_has_a_time_tells_who_reports_it() -> None:  # 3.5
    assert faults(EVENTS, _old(eventTime=AGO_2H)) == [
        "reportingComponent: Required value",
        *_told_of_no_reporter("reportingComponent"),
    ]
    nobody = _new(reportingController="", reportingInstance="", action="")
    assert faults(NEW_EVENTS, nobody) == [
        "reportingController: Required value",
        *_told_of_no_reporter("reportingController"),
    ]


def _told_of_no_reporter(place: str) -> list[str]:
    """An empty name is no qualified name either."""
    shape = (
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and "
        "end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
        "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    )
    return [
        f'{place}: Invalid value: "": name part must be non-empty',
        f'{place}: Invalid value: "": {shape}',
        "reportingInstance: Required value",
        "action: Required value",
    ]


def test_words_and_notes_have_lengths() -> None:  # 3.5
    assert faults(NEW_EVENTS, _new(reason="r" * 128, note="x" * 1024)) == []
    assert faults(NEW_EVENTS, _new(reason="r" * 129, note="x" * 1025)) == [
        'reason: Invalid value: "": can have at most 128 characters',
        'message: Invalid value: "": can have at most 1024 characters',
    ]


def test_new_events_leave_out_what_old_ones_said() -> None:  # 3.5
    assert faults_of_new(NEW_EVENTS, _new(deprecatedCount=2, type="Odd", eventTime=None)) == [
        "eventTime: Required value",
        'type: Invalid value: "": has invalid value: Odd',
        'count: Invalid value: "": needs to be unset',
    ]


def test_a_series_has_two_events_at_least() -> None:  # 3.5
    series = {"count": 2, "lastObservedTime": AGO_2H}
    assert faults_of_new(NEW_EVENTS, _new(series=series)) == []
    assert faults_of_new(NEW_EVENTS, _new(series={"count": 1})) == [
        'series.count: Invalid value: "": should be at least 2',
        "series.lastObservedTime: Required value",
    ]


def test_only_the_series_of_a_new_event_goes_on() -> None:  # 3.5
    old = _new()
    series = {"count": 2, "lastObservedTime": AGO_2H}
    assert faults_of_update(NEW_EVENTS, _new(series=series), old) == []
    # … also of one that an old client has made, and counts in its own way.
    counted = _new(deprecatedCount=3, eventTime=None, type="Odd")
    assert faults_of_update(NEW_EVENTS, {**counted, "series": series}, counted) == []
    assert faults_of_update(NEW_EVENTS, _new(reason="Other", reportingController="x"), old) == [
        'reason: Invalid value: "Other": field is immutable',
        'reportingController: Invalid value: "x": field is immutable',
    ]
    # Old clients count by patching the event itself.
    assert EVENTS.strategy.validate_update is None


def test_how_events_are_printed() -> None:  # 1.2
    obj = _old(firstTimestamp=AGO_2H, lastTimestamp=AGO_10M, count=7)
    narrow = {
        "Last Seen": "10m",
        "Type": "Normal",
        "Reason": "Pulled",
        "Object": "pod/p",
        "Message": "done",
    }
    assert printed(EVENTS, obj) == narrow
    assert printed(EVENTS, obj, wide=True) == narrow | {
        "Subobject": "spec",
        "Source": "kubelet, n1",
        "First Seen": "120m",
        "Count": 7,
        "Name": "e",
    }


def test_a_new_event_is_printed_by_its_series() -> None:  # 1.2, 3.5
    single = printed(NEW_EVENTS, _new(), wide=True)
    assert (single["Last Seen"], single["First Seen"], single["Count"]) == ("120m", "120m", 1)
    assert (single["Object"], single["Source"]) == ("pod/p", "example.com/c, c-1")
    assert single["Message"] == "done"
    series = printed(NEW_EVENTS, _new(series={"count": 9, "lastObservedTime": AGO_10M}), wide=True)
    assert (series["Last Seen"], series["First Seen"], series["Count"]) == ("10m", "120m", 9)


def test_an_event_without_any_time_was_seen_nobody_knows_when() -> None:  # 1.2
    assert printed(EVENTS, _old())["Last Seen"] == "<unknown>"


def test_events_are_found_by_what_they_are_about() -> None:  # 2.20
    assert {"involvedObject.uid", "involvedObject.name", "reason", "type"} <= set(
        EVENTS.field_labels
    )
    assert "regarding.uid" in NEW_EVENTS.field_labels
    assert "involvedObject.uid" not in NEW_EVENTS.field_labels


# ------------------------------------------------------------------- one object, two kinds


def test_both_are_stored_as_one() -> None:  # 3.5
    assert EVENTS.key("n", "e") == NEW_EVENTS.key("n", "e") == "/registry/core/events/n/e"
    assert NEW_EVENTS.storage_api_version == "v1"
    rows = {storage_version_hash(one) for one in (EVENTS, NEW_EVENTS)}
    assert rows == {"r2yiGXH7wu8="}  # as discovery of Kubernetes tells of both


_SAID = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "eventTime": "eventTime",
    "series": "series",
    "action": "action",
    "related": "related",
    "reason": "reason",
    "type": "type",
    "reportingInstance": "reportingInstance",
}
"""API reference: field of events.k8s.io/v1 -> the same of core/v1."""


def test_every_field_has_its_other_name() -> None:  # 3.5
    assert _SAID.keys() | {"apiVersion", "kind", "metadata"} == NEW_EVENTS.schema.properties.keys()
    new = {**{name: name for name in _SAID}, "apiVersion": "events.k8s.io/v1", "kind": "Event"}
    to_storage, from_storage = NEW_EVENTS.strategy.to_storage, NEW_EVENTS.strategy.from_storage
    assert to_storage is not None
    assert from_storage is not None
    old = to_storage(new)
    assert old == {
        **{there: here for here, there in _SAID.items()},
        "apiVersion": "v1",
        "kind": "Event",
    }
    assert old.keys() <= EVENTS.schema.properties.keys()
    assert from_storage(old) == new


def test_selectors_name_fields_of_what_is_stored() -> None:  # 2.20
    found = NEW_EVENTS.strategy.stored_labels
    assert {found.get(label, label) for label in NEW_EVENTS.field_labels} <= set(
        EVENTS.field_labels
    )


@pytest.mark.parametrize(
    ("event", "source"),
    [
        (_old(), "kubelet"),
        (_old(source=None, reportingComponent="c"), "c"),
        (_old(source={}, reportingComponent="c"), "c"),
        (_old(source={"host": "h"}), ""),
    ],
)
def test_a_source_is_a_component(event: Any, source: str) -> None:  # 2.20
    assert index_of(EVENTS)(event)["source"] == source
