"""Tables: what kubectl prints."""

import sys
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import jsonpath, tables
from controlplane.api.errors import ApiError, UnreadableError
from controlplane.api.registry import Registry
from controlplane.api.resource import Column, Strategy
from controlplane.api.subresources import resource_for
from tests.controlplane.api.served import resource

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400
PODS = next(one for one in Registry.builtin().all() if one.plural == "pods")
NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1.9, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 1, "2m1s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 61, "3h1m"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + HOUR, "2d1h"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY + HOUR, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR + 20 * DAY, "8y"),
    ],
)
def test_age_has_two_units_while_the_second_one_matters(seconds: float, text: str) -> None:
    """1.2: AGE of kubectl get; boundaries of apimachinery's HumanDuration."""
    assert tables.age(seconds) == text


@given(st.floats(0, 200 * YEAR))
def test_age_is_never_more_than_the_truth(seconds: float) -> None:
    units = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "y": YEAR}
    told, number = 0, ""
    for character in tables.age(seconds):
        if character.isdigit():
            number += character
        else:
            told, number = told + int(number) * units[character], ""
    assert told <= seconds < told * 1.2 + 1.1


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("2023-11-14T22:13:15Z", "5s"),
        ("2023-11-14T22:13:15.999999Z", "4s"),
        ("2023-11-14T23:13:15+01:00", "5s"),
        ("0001-01-01T00:00:00+23:59", "2024y"),
        (None, "<unknown>"),
        ("", "<unknown>"),
        ("yesterday", "<invalid>"),
        ("2023-11-14", "<invalid>"),
        (5, "<invalid>"),
    ],
)
def test_since_reads_rfc3339(timestamp: object, text: str) -> None:
    assert tables.since(timestamp, NOW) == text


def test_table_has_rows_columns_and_the_lists_metadata() -> None:
    """1.2: the wire form of meta.k8s.io/v1."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "creationTimestamp": "2023-11-14T22:13:15Z"},
        "spec": {"nodeName": "n", "priority": 7},
        "status": {"phase": "Running"},
    }
    made = tables.table(
        resource("pods"), [pod], now=NOW, resource_version="9", continue_token="c", remaining=4
    )
    assert (made["kind"], made["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert made["metadata"] == {"resourceVersion": "9", "continue": "c", "remainingItemCount": 4}
    assert made["columnDefinitions"][0] == {
        "name": "Name",
        "type": "string",
        "format": "name",
        "description": "",
        "priority": 0,
    }
    assert [one["priority"] for one in made["columnDefinitions"]] == [0, 0, 0, 0, 1]
    assert made["rows"] == [
        {
            "cells": ["a", "Running", 7, "5s", "n"],
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": pod["metadata"],
            },
        }
    ]
    assert orjson.loads(orjson.dumps(made)) == made


@pytest.mark.parametrize(("include", "carried"), [("Object", True), ("None", False)])
def test_rows_carry_what_is_asked_for(include: str, carried: bool) -> None:
    """1.2: includeObject."""
    pod = {"metadata": {"name": "a"}}
    made = tables.table(resource("pods"), [pod], now=NOW, include_object=include)
    assert made["rows"][0]["object"] == (pod if carried else None)
    assert made["metadata"] == {}


def test_other_include_objects_are_refused() -> None:
    with pytest.raises(ApiError, match="includeObject") as caught:
        tables.table(resource("pods"), [], now=NOW, include_object="Everything")
    assert caught.value.code == 400


def test_later_events_of_a_watch_need_no_columns() -> None:
    """1.2: kubectl get -w"""
    made = tables.table(resource("pods"), [{"metadata": {"name": "a"}}], now=NOW, has_columns=False)
    assert made["columnDefinitions"] is None
    assert made["rows"][0]["cells"][0] == "a"


def test_a_scale_is_printed() -> None:
    """2.13: kubectl get --subresource=scale"""
    scale = {
        "metadata": {"name": "web", "creationTimestamp": "2023-11-14T22:13:15Z"},
        "spec": {"replicas": 3},
        "status": {"replicas": 2},
    }
    made = tables.table(resource_for(resource("crontabs"), "scale"), [scale], now=NOW)
    assert [one["name"] for one in made["columnDefinitions"]] == [
        "Name",
        "Desired",
        "Available",
        "Age",
    ]
    assert made["rows"][0]["cells"] == ["web", 3, 2, "5s"]


def test_a_kind_without_columns_shows_name_and_age() -> None:
    made = tables.table(resource("namespaces"), [{"metadata": {"name": "a"}}], now=NOW)
    assert [one["name"] for one in made["columnDefinitions"]] == ["Name", "Age"]
    assert made["rows"][0]["cells"] == ["a", "<unknown>"]


def _cells(value: object, kind: str, *, is_custom: bool) -> Any:
    columns = (Column(name="X", type=kind, path=".spec.x"),)
    made = msgspec.structs.replace(
        resource("crontabs"), columns=columns, is_custom=is_custom, strategy=Strategy()
    )
    obj = {"metadata": {"name": "a"}, "spec": {} if value is None else {"x": value}}
    return tables.table(made, [obj], now=NOW)["rows"][0]["cells"]


@pytest.mark.parametrize(
    ("value", "kind", "cell"),
    [
        ("a", "string", "a"),
        (3, "string", "3"),
        (2.0, "string", "2"),
        (2.5, "string", "2.5"),
        (True, "string", "true"),
        ({"b": 1, "a": [1]}, "string", '{"a":[1],"b":1}'),
        ([], "string", "[]"),
        (3, "integer", 3),
        (3.9, "integer", 3),
        (1e300, "integer", None),
        ("3", "integer", None),
        (True, "integer", None),
        (2.5, "number", 2.5),
        ("2", "number", None),
        (False, "boolean", False),
        ("true", "boolean", None),
        ("2023-11-14T22:13:15Z", "date", "5s"),
        ("soon", "date", "<invalid>"),
        (None, "string", None),
        (None, "integer", None),
        (None, "date", None),
    ],
)
def test_cells_of_custom_resources_fit_their_type(value: object, kind: str, cell: object) -> None:
    """11.7: what is missing or has another type is null."""
    assert _cells(value, kind, is_custom=True) == ["a", cell]


@pytest.mark.parametrize(
    ("kind", "cell"),
    [("string", ""), ("integer", 0), ("number", 0), ("boolean", False), ("date", "<unknown>")],
)
def test_cells_of_built_in_kinds_are_zero_where_nothing_is(kind: str, cell: object) -> None:
    """A Deployment without status prints 0 available."""
    assert _cells(None, kind, is_custom=False) == [cell]


def test_a_path_that_is_none_leaves_its_cell_empty() -> None:
    """A definition is stored before anybody follows its paths."""
    columns = (Column(name="X", path=".spec[?("),)
    made = msgspec.structs.replace(resource("crontabs"), columns=columns)
    rows = tables.table(made, [{"metadata": {"name": "a"}}], now=NOW)["rows"]
    assert rows[0]["cells"] == ["a", None]


def test_a_path_that_is_too_long_is_not_kept() -> None:
    """A definition may have megabytes of it, and thousands of paths are remembered."""
    path = ".spec" * jsonpath.LENGTH_MAX
    before = sys.getrefcount(path)
    made = msgspec.structs.replace(resource("crontabs"), columns=(Column(name="X", path=path),))
    rows = list(tables.rows(made, [b'{"metadata":{"name":"a"}}'], now=NOW))
    assert orjson.loads(rows[0])["cells"] == ["a", None]
    del made
    assert sys.getrefcount(path) == before


@pytest.mark.parametrize("plural", ["pods", "crontabs", "deployments"])
def test_rows_of_bytes_are_those_of_their_objects(plural: str) -> None:
    """1.2."""
    kind = resource(plural)
    found = [
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": f"a{number}", "labels": {"é": '"}]'}},
            "spec": {"replicas": number, "nodeName": "n"},
        }
        for number in range(3)
    ]
    told = tables.rows(kind, map(orjson.dumps, found), now=NOW)
    assert [orjson.loads(row) for row in told] == tables.table(kind, found, now=NOW)["rows"]


def test_what_is_no_object_has_no_row() -> None:
    for raw in (
        b'{"apiVersion":"v1",',
        b'{"apiVersion":"v1"}',
        b'{"apiVersion":"v1","metadata":7}',
    ):
        with pytest.raises(UnreadableError):
            list(tables.rows(PODS, [raw], now=NOW))
