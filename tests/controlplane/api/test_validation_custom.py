"""Custom resources against the structural schema of their definition: 11.7, texts as 2.19."""

from typing import Any

import pytest

from controlplane.api.errors import Cause
from controlplane.api.schema import Schema
from controlplane.api.validation import validate


def schema(**spec: Any) -> Schema:
    return Schema({"type": "object", "properties": {"spec": spec}}, {})


def messages(value: Any, **spec: Any) -> list[str]:
    found = validate(schema(**spec), {"spec": value})
    assert all(cause.field.startswith("spec") for cause in found)
    return [cause.message for cause in found]


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("integer", [1, 1.0, -(2**70)], [1.5, "1", True, None, [], {}]),
        ("number", [1, 1.5], ["1", True, None]),
        ("string", ["", "x"], [1, None, [], {}]),
        ("boolean", [True, False], [0, "true", None]),
        ("array", [[], [1]], [{}, "x", None]),
        ("object", [{}], [[], "x", None]),
    ],
)
def test_types(type_: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert messages(value, type=type_) == [], value
    for value in bad:
        (message,) = messages(value, type=type_)
        assert f"spec in body must be of type {type_}: " in message


def test_null_is_a_value_only_where_nullable() -> None:
    assert messages(None, type="string", nullable=True) == []
    assert messages(None, type="string") == [
        'Invalid value: "null": spec in body must be of type string: "null"'
    ]
    assert messages([None], type="array", items={"type": "string", "nullable": True}) == []


def test_int_or_string() -> None:
    told = {"x-kubernetes-int-or-string": True}
    assert messages(1, **told) == []
    assert messages("25%", **told) == []
    assert messages(1.5, **told) == [
        'Invalid value: "number": spec in body must be of type integer,string: "number"'
    ]
    either = {**told, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "^[0-9]+%$"}
    assert messages(1, **either) == []
    assert len(messages("x", **either)) == 1


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (
            {"type": "integer", "minimum": 1},
            0,
            "Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            "Invalid value: 1: spec in body should be greater than 1",
        ),
        (
            {"type": "number", "maximum": 1.5},
            2,
            "Invalid value: 2: spec in body should be less than or equal to 1.5",
        ),
        (
            {"type": "integer", "maximum": 3, "exclusiveMaximum": True},
            3,
            "Invalid value: 3: spec in body should be less than 3",
        ),
        (
            {"type": "number", "multipleOf": 0.1},
            0.25,
            "Invalid value: 0.25: spec in body should be a multiple of 0.1",
        ),
        ({"type": "string", "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
        (
            {"type": "string", "minLength": 2},
            "a",
            'Invalid value: "a": spec in body should be at least 2 chars long',
        ),
        (
            {"type": "string", "pattern": "^a+$"},
            "b",
            "Invalid value: \"b\": spec in body should match '^a+$'",
        ),
        (
            {"type": "string", "enum": ["a", "b"]},
            "c",
            'Unsupported value: "c": supported values: "a", "b"',
        ),
        (
            {"type": "integer", "enum": [1, 2]},
            3,
            'Unsupported value: 3: supported values: "1", "2"',
        ),
        (
            {"type": "array", "items": {}, "maxItems": 1},
            [1, 2],
            "Too many: 2: must have at most 1 item",
        ),
        (
            {"type": "array", "items": {}, "minItems": 2},
            [1],
            "Invalid value: [1]: spec in body should have at least 2 items",
        ),
        (
            {"type": "array", "items": {}, "uniqueItems": True},
            [1, 1.0],
            "Invalid value: [1,1.0]: spec in body shouldn't contain duplicates",
        ),
        (
            {"type": "object", "maxProperties": 1},
            {"a": 1, "b": 2},
            "Too many: 2: must have at most 1 item",
        ),
        (
            {"type": "object", "minProperties": 1},
            {},
            "Invalid value: {}: spec in body should have at least 1 properties",
        ),
        (
            {"type": "string", "format": "date-time"},
            "x",
            'Invalid value: "x": spec in body must be of type date-time: "x"',
        ),
        (
            {"type": "integer", "format": "int32"},
            2**31,
            'Invalid value: 2147483648: spec in body must be of type int32: "2147483648"',
        ),
    ],
)
def test_constraints_in_kubernetes_words(spec: dict[str, Any], value: Any, message: str) -> None:
    assert messages(value, **spec) == [message]


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"type": "integer", "minimum": 1}, 1),
        ({"type": "integer", "maximum": 3}, 3),
        ({"type": "number", "multipleOf": 0.1}, 0.3),
        ({"type": "string", "maxLength": 2}, "äö"),
        ({"type": "string", "pattern": "b"}, "abc"),
        ({"type": "string", "format": "no-such-format"}, "x"),
        ({"type": "string", "format": "date-time"}, "2026-11-29t08:00:00z"),
        ({"type": "array", "items": {}, "uniqueItems": True}, [1, True, "1", [1], {"a": 1}]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": "b"}),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {"a": [None]}),
        ({"type": "string", "pattern": "(?=x)"}, "y"),
        ({"type": "number", "multipleOf": 0}, 1),
        ({}, {"a": [1]}),
    ],
)
def test_values_that_fit(spec: dict[str, Any], value: Any) -> None:
    assert messages(value, **spec) == []


def test_required_fields_and_values_of_maps_have_their_paths() -> None:
    spec = {
        "type": "object",
        "required": ["a", "b"],
        "properties": {
            "a": {"type": "array", "items": {"type": "object", "required": ["x"]}},
            "m": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    }
    found = validate(schema(**spec), {"spec": {"a": [{"x": 1}, {}], "m": {"k": "v"}}})
    assert [(cause.reason, cause.field) for cause in found] == [
        ("FieldValueRequired", "spec.a[1].x"),
        ("FieldValueTypeInvalid", "spec.m.k"),
        ("FieldValueRequired", "spec.b"),
    ]
    assert validate(schema(**spec), {"spec": {"a": []}}) == [
        Cause("FieldValueRequired", "Required value", "spec.b")
    ]


def test_duplicates_in_sets_and_maps_are_told_where_they_are() -> None:
    of_set = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
    found = validate(schema(**of_set), {"spec": ["a", "b", "a"]})
    assert found == [Cause("FieldValueDuplicate", 'Duplicate value: "a"', "spec[2]")]
    of_map = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
        "items": {
            "type": "object",
            "properties": {
                "port": {"type": "integer"},
                "protocol": {"type": "string", "default": "TCP"},
            },
        },
    }
    ports = [{"port": 1, "protocol": "UDP"}, {"port": 1}, {"port": 1, "protocol": "TCP"}]
    assert validate(schema(**of_map), {"spec": ports}) == [
        Cause("FieldValueDuplicate", 'Duplicate value: {"port":1,"protocol":"TCP"}', "spec[2]")
    ]
    assert validate(schema(**of_map), {"spec": ports[:2]}) == []
    (found_type,) = validate(schema(**of_map), {"spec": [{"port": 1}, 1, {"port": 1}]})
    assert found_type.field == "spec[1]"


def test_combinations() -> None:
    whole = 'Invalid value: {}: "spec" must'
    any_of = {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert messages({"b": 1}, **any_of) == []
    assert messages({}, **any_of) == [
        f"{whole} validate at least one schema (anyOf)",
        "Required value",
    ]
    one_of = {"type": "object", "oneOf": any_of["anyOf"]}
    assert messages({"a": 1}, **one_of) == []
    assert messages({}, **one_of)[0] == (
        f"{whole} validate one and only one schema (oneOf). Found none valid"
    )
    assert messages({"a": 1, "b": 2}, **one_of) == [
        (
            'Invalid value: {"a":1,"b":2}: "spec" must validate one and only one schema (oneOf). '
            "Found 2 valid alternatives"
        )
    ]
    all_of = {"type": "object", "allOf": any_of["anyOf"]}
    assert messages({"a": 1, "b": 1}, **all_of) == []
    assert messages({}, **all_of)[0] == f"{whole} validate all the schemas (allOf). None validated"
    assert messages({}, type="object", **{"not": {"maxProperties": 0}}) == [
        f"{whole} not validate the schema (not)"
    ]


def test_combinations_look_into_fields() -> None:
    spec = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "anyOf": [
            {"properties": {"a": {"minimum": 10}}},
            {"properties": {"a": {"enum": [1]}}},
        ],
    }
    assert messages({"a": 1}, **spec) == []
    assert messages({"a": 10}, **spec) == []
    elements = {"type": "array", "items": {}, "anyOf": [{"items": {"maximum": 1}}, {"minItems": 3}]}
    assert messages([1, 1], **elements) == []
    assert messages([1, 2, 3], **elements) == []
    assert messages([1, 2], **elements)[1:] == [
        "Invalid value: 2: spec[1] in body should be less than or equal to 1"
    ]
    assert messages({"a": 2}, **spec)[0].endswith("must validate at least one schema (anyOf)")


def test_metadata_is_typed_whatever_the_definition_says() -> None:
    bare = schema(type="object")
    found = validate(bare, {"metadata": {"labels": {"a": 1}, "uid": None}, "kind": 7})
    assert [cause.field for cause in found] == ["metadata.labels.a", "kind"]
    kubebuilders = Schema(
        {
            "type": "object",
            "properties": {"kind": {"type": "string"}, "metadata": {"type": "object"}},
        },
        {},
    )
    found = validate(kubebuilders, {"metadata": [], "kind": 7})
    assert [cause.field for cause in found] == ["metadata", "kind"]
    named = Schema(
        {
            "type": "object",
            "properties": {
                "metadata": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "maxLength": 3}},
                }
            },
        },
        {},
    )
    assert [cause.field for cause in validate(named, {"metadata": {"name": "long"}})] == [
        "metadata.name"
    ]


def test_embedded_resource_says_what_it_is_and_has_metadata() -> None:
    spec = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    good = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}
    assert messages(good, **spec) == []
    found = validate(schema(**spec), {"spec": {"metadata": {"name": 1}}})
    assert [(cause.field, cause.message) for cause in found[1:]] == [
        ("spec.apiVersion", "Required value: must not be empty"),
        ("spec.kind", "Required value: must not be empty"),
    ]
    assert found[0].field == "spec.metadata.name"


def test_each_schema_is_compiled_on_its_own() -> None:
    """A definition that changes makes new schemas; the old ones' checks must not be met again."""
    for bound in range(50):
        assert bool(messages(25, type="integer", minimum=bound)) is (bound > 25)
