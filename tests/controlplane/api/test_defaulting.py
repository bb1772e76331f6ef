"""What is not said and means something: by a custom resource's schema (11.7), or by a table."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import schemas
from controlplane.api.defaulting import TABLES_MAX, apply_defaults, apply_schema_defaults
from controlplane.api.errors import ApiError
from controlplane.api.schema import Schema


def custom(**fields: Any) -> Schema:
    spec = {"type": "object", "properties": fields}
    return Schema({"type": "object", "properties": {"spec": spec}}, {})


def defaulted(value: Any, **fields: Any) -> Any:
    return apply_schema_defaults(custom(**fields), {"spec": value})["spec"]


def test_what_is_absent_gets_its_default_and_what_is_there_keeps_its_value() -> None:
    fields = {"a": {"type": "integer", "default": 3}, "b": {"type": "boolean", "default": False}}
    assert defaulted({}, **fields) == {"a": 3, "b": False}
    assert defaulted({"a": 0, "b": True}, **fields) == {"a": 0, "b": True}


def test_defaults_reach_into_defaults_lists_and_maps() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "integer", "default": 1}}}
    fields = {
        "made": {**inner, "default": {}},
        "items": {"type": "array", "items": inner},
        "values": {"type": "object", "additionalProperties": inner},
        "absent": inner,
    }
    value = {"items": [{}, {"x": 2}], "values": {"k": {}}}
    assert defaulted(value, **fields) == {
        "made": {"x": 1},
        "items": [{"x": 1}, {"x": 2}],
        "values": {"k": {"x": 1}},
    }


def test_parent_without_a_default_is_not_made() -> None:
    schema = custom(a={"type": "integer", "default": 1})
    assert apply_schema_defaults(schema, {"metadata": {}}) == {"metadata": {}}


def test_null_is_a_value_where_nullable_and_nothing_elsewhere() -> None:
    """Documentation of CustomResourceDefinitions, "Defaulting and Nullable"."""
    fields = {
        "a": {"type": "string", "default": "x"},
        "b": {"type": "string", "default": "x", "nullable": True},
        "c": {"type": "string"},
        "d": {"type": "string", "nullable": True},
        "e": {"type": "object", "additionalProperties": {"type": "string"}},
        "f": {"type": "array", "items": {"type": "string"}},
    }
    value = {"a": None, "b": None, "c": None, "d": None, "e": {"k": None}, "f": [None]}
    assert defaulted(value, **fields) == {"a": "x", "b": None, "d": None, "e": {}, "f": [None]}


def test_metadata_is_left_alone() -> None:
    meta = {"type": "object", "properties": {"name": {"type": "string", "default": "x"}}}
    schema = Schema({"type": "object", "properties": {"metadata": meta}}, {})
    obj: dict[str, Any] = {"metadata": {"labels": None}}
    assert apply_schema_defaults(schema, obj) is obj


def test_typed_part_of_a_schema_is_left_alone_even_if_it_contains_itself() -> None:
    ref = "#/definitions/io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    node = {"type": "object", "properties": {"spec": {"$ref": ref}}}
    obj = {"spec": {"properties": {"a": {"type": None}}}}
    assert apply_schema_defaults(Schema(node, schemas.definitions()), obj) is obj


def test_object_is_not_changed_and_shares_what_is_not_touched() -> None:
    fields = {"a": {"type": "integer", "default": 3}, "o": {"type": "object"}}
    obj: dict[str, Any] = {"metadata": {"name": "x"}, "spec": {"o": {}}}
    before = orjson.dumps(obj)
    done = apply_schema_defaults(custom(**fields), obj)
    assert orjson.dumps(obj) == before
    assert done["metadata"] is obj["metadata"]
    assert done["spec"]["o"] is obj["spec"]["o"]
    assert apply_schema_defaults(custom(**fields), done) is not obj


SCHEMA = custom(
    a={"type": "integer", "default": 1},
    b={"type": "object", "default": {}, "properties": {"c": {"type": "string", "default": "d"}}},
    e={"type": "array", "items": {"type": "object", "properties": {"a": {"default": 2}}}},
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abce"), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_schema_defaults_are_applied_once_and_for_all(value: Any) -> None:
    once = apply_schema_defaults(SCHEMA, {"spec": value})
    assert apply_schema_defaults(SCHEMA, once) is once


TABLE = {
    "spec.replicas": 1,
    "spec.strategy": {},
    "spec.strategy.type": "RollingUpdate",
    "spec.template.spec.containers[].terminationMessagePath": "/dev/termination-log",
    "spec.template.spec.containers[].ports[].protocol": "TCP",
    "spec.deep.deeper.x": 1,
}


def test_table_sets_what_is_absent() -> None:
    """4.2: replicas 1, RollingUpdate."""
    obj = {
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {"name": "a", "ports": [{"containerPort": 1}, {"protocol": "UDP"}]},
                        {"name": "b", "terminationMessagePath": "/x"},
                    ]
                }
            }
        }
    }
    assert apply_defaults(TABLE, obj) == {
        "spec": {
            "replicas": 1,
            "strategy": {"type": "RollingUpdate"},
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "a",
                            "terminationMessagePath": "/dev/termination-log",
                            "ports": [
                                {"containerPort": 1, "protocol": "TCP"},
                                {"protocol": "UDP"},
                            ],
                        },
                        {"name": "b", "terminationMessagePath": "/x"},
                    ]
                }
            },
        }
    }


def test_parent_of_a_path_must_be_there() -> None:
    assert apply_defaults(TABLE, {"metadata": {}}) == {"metadata": {}}
    assert "deep" not in apply_defaults(TABLE, {"spec": {}})["spec"]


def test_null_and_empty_text_are_not_said_but_zero_is() -> None:
    obj = {"spec": {"replicas": 0, "strategy": {"type": ""}}}
    assert apply_defaults(TABLE, obj)["spec"] == {
        "replicas": 0,
        "strategy": {"type": "RollingUpdate"},
    }
    assert apply_defaults(TABLE, {"spec": {"replicas": None}})["spec"]["replicas"] == 1


def test_complete_object_is_returned_as_it_is() -> None:
    obj = {"spec": {"replicas": 2, "strategy": {"type": "Recreate"}, "template": {}}}
    assert apply_defaults(TABLE, obj) is obj
    assert apply_defaults({}, obj) is obj


def test_what_has_another_type_is_left_for_validation_to_find() -> None:
    wrong: list[Any] = [[], "x", {"strategy": "x"}, {"template": {"spec": {"containers": {}}}}]
    for spec in wrong:
        assert apply_defaults(TABLE, {"spec": spec})["spec"] is not None


def test_tables_are_told_apart_however_many_there_are() -> None:
    for number in range(TABLES_MAX + 50):
        assert apply_defaults({"a": number}, {"b": 0}) == {"a": number, "b": 0}


def test_defaults_add_no_more_than_a_body_may_have() -> None:
    """A short list of empty objects would otherwise become gigabytes."""
    long_text = {"type": "string", "default": "x" * 1_000}
    made = {"type": "object", "default": {}, "properties": {"a": long_text, "b": long_text}}
    items = {"type": "array", "items": {"type": "object", "properties": {"made": made}}}
    schema = custom(items=items)
    few: Any = {"spec": {"items": [{}] * 1_000}}
    assert len(orjson.dumps(apply_schema_defaults(schema, few))) > 2_000_000
    many: Any = {"spec": {"items": [{}] * 2_000}}
    with pytest.raises(ApiError) as caught:
        apply_schema_defaults(schema, many)
    assert (caught.value.code, caught.value.reason) == (413, "RequestEntityTooLarge")
    nulls = {"spec": {"items": [{"made": {"a": None, "b": None}}] * 2_000}}
    with pytest.raises(ApiError):
        apply_schema_defaults(schema, nulls)
    # What is stored was written when its schema had no such defaults: it can be read.
    read = apply_schema_defaults(schema, many, is_stored=True)
    assert len(orjson.dumps(read)) > 4_000_000
    assert apply_schema_defaults(schema, few)["spec"]["items"][0]["made"]["a"] == "x" * 1_000


def test_a_table_adds_no_more_than_a_body_may_have() -> None:
    table = {"spec.ports[].protocol": "TCP"}
    few = apply_defaults(table, {"spec": {"ports": [{}] * 100_000}})
    assert few["spec"]["ports"][-1] == {"protocol": "TCP"}
    with pytest.raises(ApiError) as caught:
        apply_defaults(table, {"spec": {"ports": [{}] * 200_000}})
    assert caught.value.code == 413
    again = apply_defaults(table, {"spec": {"ports": [{}]}})
    assert again["spec"]["ports"] == [{"protocol": "TCP"}]
