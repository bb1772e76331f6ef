"""The bytes of a watch: forms, bookmarks, versions (kube-behaviour 1.2, 2.4 to 2.6)."""

from typing import Any

import orjson

from controlplane.apiserver.cache import ObjectCache
from controlplane.apiserver.reads import watch_seconds
from controlplane.apiserver.selection import Form, index_of
from controlplane.apiserver.watches import Watcher, error_line, framed
from tests.controlplane.apiserver.asked import resource
from tests.controlplane.apiserver.test_cache import (
    START,
    Step,
    events,
    feed,
    new_cache,
    selection,
    watcher,
)

RED = "labelSelector=color%3Dred"


def told(form: str, *steps: Step, query: str = "") -> list[Any]:
    made = new_cache()
    watching = watcher(selection(query), START, form)
    feed(made, [[step] for step in steps])
    changes = made.of("example.com", "widgets").since(START)
    assert changes is not None
    return events(watching.step(changes, made.revision))


def test_a_table_tells_its_columns_once() -> None:
    """1.2: later events may omit columnDefinitions."""
    found = told("table", Step("a", "x", "red"), Step("a", "x", "blue"), Step("a", "x", None))
    assert [event["type"] for event in found] == ["ADDED", "MODIFIED", "DELETED"]
    assert all(event["object"]["kind"] == "Table" for event in found)
    assert ["columnDefinitions" in event["object"] for event in found] == [True, False, False]
    row = found[2]["object"]["rows"][0]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["resourceVersion"] == str(START + 3)


def test_every_watch_of_tables_gets_columns_also_from_changes_that_others_had_before() -> None:
    made = new_cache()
    first, second = (watcher(selection(), START, "table") for _ in range(2))
    feed(made, [[Step("a", "x", "red")], [Step("a", "y", "red")]])
    changes = made.of("example.com", "widgets").since(START) or ()
    for watching in (first, second):
        found = events(watching.step(changes, made.revision))
        assert ["columnDefinitions" in event["object"] for event in found] == [True, False]


def test_metadata_only() -> None:
    (event,) = told("metadata", Step("a", "x", "red"))
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert event["object"]["apiVersion"] == "meta.k8s.io/v1"
    assert "spec" not in event["object"]
    assert event["object"]["metadata"]["labels"] == {"color": "red"}


def test_what_leaves_the_selection_is_deleted_as_it_was_in_it() -> None:
    """2.4. Who may see red ones only is not shown what a blue one holds."""
    found = told("json", Step("a", "x", "red", 1), Step("a", "x", "blue", 2), query=RED)
    assert [event["type"] for event in found] == ["ADDED", "DELETED"]
    last = found[1]["object"]
    assert last["spec"] == {"size": 1}
    assert last["metadata"]["labels"] == {"color": "red"}
    assert last["metadata"]["resourceVersion"] == str(START + 2)


def test_what_is_deleted_outside_the_selection_is_not_told() -> None:
    assert told("json", Step("a", "x", "blue"), Step("a", "x", None), query=RED) == []


def test_fields_are_left_and_entered_like_labels() -> None:
    found = told(
        "json",
        Step("a", "x", "red", 1),
        Step("a", "x", "red", 2),
        Step("a", "x", "red", 1),
        query="fieldSelector=spec.size%3D1",
    )
    assert [event["type"] for event in found] == ["ADDED", "DELETED", "ADDED"]


def test_one_change_looks_different_from_inside_and_outside_a_selection() -> None:
    """What is encoded for one watch must not be given to another that sees another event."""
    made = new_cache()
    feed(made, [[Step("a", "x", "red", 1)], [Step("a", "x", "blue", 2)]])
    changes = made.of("example.com", "widgets").since(START) or ()

    def types(query: str, form: str = "json") -> list[tuple[str, int]]:
        found = events(watcher(selection(query), START, form).step(changes, made.revision))
        return [(e["type"], e["object"].get("spec", {}).get("size", 0)) for e in found]

    for _ in range(2):
        assert types(RED) == [("ADDED", 1), ("DELETED", 1)]
        assert types("labelSelector=color%3Dblue") == [("ADDED", 2)]
        assert types("") == [("ADDED", 1), ("MODIFIED", 2)]
        assert types(RED, "metadata") == [("ADDED", 0), ("DELETED", 0)]


def test_an_event_is_encoded_once_for_all_of_one_form() -> None:
    made = new_cache()
    feed(made, [[Step("a", "x", "red")]])
    changes = made.of("example.com", "widgets").since(START)
    assert changes is not None
    (change,) = changes
    first = watcher(selection(), START).step([change], START + 1)
    (kept,) = change._encoded.values()
    assert first == kept
    assert watcher(selection(RED), START).step([change], START + 1) == kept
    assert len(change._encoded) == 1


# ------------------------------------------------------------------- bookmarks, 2.5


def test_a_bookmark_says_how_far_it_has_come_and_nothing_else() -> None:
    (event,) = events(watcher(selection(), 120).bookmark())
    assert event == {
        "type": "BOOKMARK",
        "object": {
            "kind": "Widget",
            "apiVersion": "example.com/v1",
            "metadata": {"resourceVersion": "120"},
        },
    }


def test_the_end_of_the_initial_events_is_marked() -> None:
    """2.6."""
    (event,) = events(watcher(selection(), 120).bookmark(ends_initial_events=True))
    assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_bookmarks_have_the_form_of_their_watch() -> None:
    (table,) = events(watcher(selection(), 120, "table").bookmark())
    assert table["object"]["kind"] == "Table"
    assert table["object"]["metadata"]["resourceVersion"] == "120"
    (partial,) = events(watcher(selection(), 120, "metadata").bookmark())
    assert partial["object"]["kind"] == "PartialObjectMetadata"


def test_a_bookmark_never_goes_back() -> None:
    watching = watcher(selection(), 120)
    watching.step((), 110)
    assert watching.revision == 120
    watching.step((), 130)
    assert watching.revision == 130


# ------------------------------------------------------------------------ versions


def _scalers(form: str) -> list[Any]:
    """autoscaling/v1 of what is kept as autoscaling/v2."""
    kind = resource("horizontalpodautoscalers", "autoscaling", "v1")
    made = ObjectCache(lambda group, plural: index_of(kind), "/registry/")
    made.loaded(START)
    target = {"type": "Utilization", "averageUtilization": 50}
    kept = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "x", "namespace": "a"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
    made.apply([(kind.key("a", "x"), orjson.dumps(kept), START + 1)], START + 1)
    changes = made.of("autoscaling", kind.plural).since(START) or ()
    newest = resource("horizontalpodautoscalers", "autoscaling", "v2")
    for watched in (newest, kind):
        watching = Watcher(watched, selection(), Form(form), now=lambda: 0.0, revision=START)
        watching._selection.prefix = kind.key_prefix
        found = events(watching.step(changes, START + 1))
    return found


def test_objects_are_told_in_the_version_that_is_watched() -> None:
    """… though another version's watch has the same change encoded already."""
    (event,) = _scalers("json")
    assert event["object"]["apiVersion"] == "autoscaling/v1"
    assert event["object"]["spec"]["targetCPUUtilizationPercentage"] == 50
    assert "metrics" not in event["object"]["spec"]


def test_rows_are_made_of_the_version_that_is_watched() -> None:
    (event,) = _scalers("table")
    columns = [column["name"] for column in event["object"]["columnDefinitions"]]
    cells = dict(zip(columns, event["object"]["rows"][0]["cells"], strict=True))
    assert "50%" in cells["Targets"]


# -------------------------------------------------------------------------- framing


def test_a_watch_lasts_as_long_as_is_asked_for_or_half_an_hour_to_an_hour() -> None:
    """2.4."""
    assert watch_seconds(7, 0.5) == 7.0
    assert watch_seconds(0, 0.0) == 30 * 60
    assert watch_seconds(0, 0.5) == 45 * 60


def test_an_error_is_the_last_line() -> None:
    (event,) = events(error_line({"kind": "Status", "code": 410}))
    assert event == {"type": "ERROR", "object": {"kind": "Status", "code": 410}}


def test_chunks_say_their_length_in_bytes() -> None:
    assert framed("ä\n".encode()) == "3\r\nä\n\r\n".encode()


def test_what_a_client_has_seen_already_is_not_told_again() -> None:
    """Another server was ahead: its client goes on here from a revision that is yet to come."""
    made = new_cache()
    watching = watcher(selection(), START + 2)
    got: list[bytes] = []
    made.of("example.com", "widgets").subscribe(
        lambda changes, at: got.append(watching.step(changes, at))
    )
    feed(made, [[Step("a", "x", "red", size)] for size in range(4)])
    versions = [event["object"]["metadata"]["resourceVersion"] for event in events(b"".join(got))]
    assert versions == [str(START + 3), str(START + 4)]
