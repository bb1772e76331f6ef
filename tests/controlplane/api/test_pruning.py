"""Unknown fields: 2.11 tells them, 11.7 drops them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import schemas
from controlplane.api.pruning import UNKNOWN_MAX, prune, unknown_fields
from controlplane.api.schema import Schema
from controlplane.api.validation import validate

POD = schemas.schema_of("", "v1", "Pod")


def custom(spec: dict[str, Any]) -> Schema:
    return Schema({"type": "object", "properties": {"spec": spec}}, {})


def test_unknown_fields_are_told_by_their_paths() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "bogus": 1,
        "metadata": {"name": "x", "lables": {}},
        "spec": {"containers": [{"name": "c"}, {"nam": "c", "ports": [{"port": 1}]}]},
    }
    assert sorted(unknown_fields(POD, obj)) == [
        "bogus",
        "metadata.lables",
        "spec.containers[1].nam",
        "spec.containers[1].ports[0].port",
    ]


def test_known_object_has_none_and_stays_the_same_object() -> None:
    obj = {"metadata": {"labels": {"anything": "goes"}}, "spec": {"containers": [{"name": "c"}]}}
    assert unknown_fields(POD, obj) == []
    assert prune(POD, obj) is obj


def test_pruned_object_shares_what_is_unchanged() -> None:
    obj: dict[str, Any] = {
        "metadata": {"name": "x"},
        "spec": {"containers": [{"name": "c", "x": 1}, {"name": "d"}]},
    }
    pruned = prune(POD, obj)
    assert pruned["spec"]["containers"] == [{"name": "c"}, {"name": "d"}]
    assert pruned["metadata"] is obj["metadata"]
    assert pruned["spec"]["containers"][1] is obj["spec"]["containers"][1]
    assert obj["spec"]["containers"][0] == {"name": "c", "x": 1}


def test_null_of_a_typed_field_is_dropped_and_is_not_unknown() -> None:
    """In maps and lists Go has its zero value for it: `data: {a: }` makes an empty entry."""
    obj = {
        "metadata": {"labels": {"a": None}, "annotations": None},
        "spec": {"containers": [None], "nodeName": None, "overhead": {"cpu": None}},
    }
    assert unknown_fields(POD, obj) == []
    assert prune(POD, obj) == {
        "metadata": {"labels": {"a": ""}},
        "spec": {"containers": [{}], "overhead": {"cpu": "0"}},
    }


def test_open_types_keep_everything() -> None:
    revision = schemas.schema_of("apps", "v1", "ControllerRevision")
    obj = {"data": {"spec": {"a": None, "b": [{"c": 1}]}}, "revision": 1}
    assert prune(revision, obj) is obj
    managed: dict[str, Any] = {
        "metadata": {"managedFields": [{"fieldsV1": {"f:spec": {"f:x": {}}}}]}
    }
    assert unknown_fields(POD, managed) == []


@pytest.mark.parametrize(
    ("spec", "value", "left"),
    [
        ({"type": "object"}, {"a": 1}, {}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": 1, "b": 2}, {"a": 1}),
        (
            {"type": "object", "additionalProperties": {"type": "object"}},
            {"k": {"x": 1}},
            {"k": {}},
        ),
        ({"type": "object", "additionalProperties": True}, {"k": {"x": 1}}, {"k": {"x": 1}}),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            {"a": {"b": None}},
            {"a": {"b": None}},
        ),
        (
            {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"a": {"type": "object"}},
            },
            {"a": {"b": 1}, "c": {"d": 1}},
            {"a": {}, "c": {"d": 1}},
        ),
        (
            {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
            [{"a": 1, "b": 2}, 3, {}],
            [{"a": 1}, 3, {}],
        ),
        ({"type": "string"}, {"a": 1}, {"a": 1}),
    ],
)
def test_custom_resources_lose_what_their_schema_does_not_say(
    spec: dict[str, Any], value: Any, left: Any
) -> None:
    """11.7."""
    obj = {"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "x"}, "spec": value}
    assert prune(custom(spec), obj) == {**obj, "spec": left}


def test_nulls_of_custom_resources_stay_for_defaulting_to_see() -> None:
    spec = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert prune(custom(spec), {"spec": {"a": None, "b": None}}) == {"spec": {"a": None}}


def test_metadata_of_custom_resources_is_typed_whatever_the_definition_says() -> None:
    schema = Schema({"type": "object", "properties": {"metadata": {"type": "object"}}}, {})
    obj = {"metadata": {"name": "x", "labels": {"a": "b"}, "bogus": 1}, "other": 1}
    assert sorted(unknown_fields(schema, obj)) == ["metadata.bogus", "other"]
    assert prune(schema, obj) == {"metadata": {"name": "x", "labels": {"a": "b"}}}


def test_embedded_resource_keeps_what_every_object_has() -> None:
    spec = {"type": "object", "x-kubernetes-embedded-resource": True}
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "y": 1}, "spec": {}}
    assert prune(custom(spec), {"spec": inner}) == {
        "spec": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    }


def test_very_many_unknown_fields_are_dropped_in_one_pass() -> None:
    """Path by path this would copy 100,000 fields 100,000 times."""
    obj = {"spec": {f"x{n}": n for n in range(100_000)}}
    assert prune(POD, obj) == {"spec": {}}


TREES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "containers", "name", "labels", "env", "bogus"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "bogus"]), TREES))
def test_pruning_leaves_nothing_to_prune_and_makes_nothing_worse(obj: dict[str, Any]) -> None:
    pruned = prune(POD, obj)
    assert unknown_fields(POD, pruned) == []
    assert prune(POD, pruned) is pruned
    faults = {cause.field for cause in validate(POD, obj, with_required=False)}
    assert {cause.field for cause in validate(POD, pruned, with_required=False)} <= faults


def test_what_is_told_of_unknown_fields_is_short() -> None:
    """A key may be as long as the body, and stand in the path of thousands of unknown fields."""
    schema = custom({"type": "object", "additionalProperties": {"type": "object"}})
    unknown = dict.fromkeys(map(str, range(1_000)), 1)
    found = unknown_fields(schema, {"spec": {"k" * 100_000: unknown}})
    assert len(found) == UNKNOWN_MAX
    assert {len(path) for path in found} == {1_024}
