"""Structural schemas: what is refused, in Kubernetes' words (kube-behaviour.md, 11.7)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.customresources import default_definition, resources_of, validate_definition
from controlplane.api.structural import validate_schema
from controlplane.api.validation import validate
from tests.controlplane.api.served import CRONTABS

STRING = {"type": "string"}
EITHER = [{"type": "integer"}, {"type": "string"}]
NO_METADATA = (
    ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
    "but metadata is implicitly specified"
)


def told(root: dict[str, Any], *, has_status: bool = False) -> list[str]:
    """What is wrong, from the root on."""
    causes = validate_schema(root, "", has_status=has_status)
    return [f"{cause.field}: {cause.message}" for cause in causes]


def of(field: dict[str, Any], **root: Any) -> dict[str, Any]:
    """A schema with one field, `a`."""
    return {"type": "object", "properties": {"a": field}, **root}


@pytest.mark.parametrize(
    "field",
    [
        {"type": "object", "additionalProperties": STRING},
        {"type": "object", "additionalProperties": True, "properties": {"b": STRING}},
        {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"x-kubernetes-int-or-string": True, "anyOf": EITHER},
        {"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": EITHER}, {"maxLength": 5}]},
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "properties": {"spec": STRING, "metadata": {"type": "object"}},
        },
        {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["b", "c"],
            "items": {
                "type": "object",
                "required": ["b"],
                "properties": {"b": STRING, "c": {**STRING, "default": "d"}},
            },
        },
        {
            "type": "object",
            "properties": {"b": STRING, "c": STRING},
            "oneOf": [
                {"required": ["b"]},
                {"required": ["c"], "properties": {"c": {"minLength": 1}}},
            ],
        },
        {"type": "integer", "default": 5, "minimum": 1},
        {"type": "string", "nullable": True, "pattern": "^[a-z]+$", "enum": ["a"]},
    ],
)
def test_structural_schemas_pass(field: dict[str, Any]) -> None:
    assert told(of(field)) == []


@pytest.mark.parametrize(
    ("root", "why"),
    [
        ({}, ".type: Required value: must not be empty at the root"),
        ({"type": "array", "items": STRING}, '.type: Invalid value: "array": must be object at'),
        (
            {"type": "object", "additionalProperties": STRING},
            ".additionalProperties: Forbidden: must not be used at the root",
        ),
        (of(STRING, nullable=True), ".nullable: Forbidden: nullable cannot be true at the root"),
        (of({}), "[a].type: Required value: must not be empty for specified object fields"),
        (
            of({"type": "array", "items": {}}),
            "[a].items.type: Required value: must not be empty for specified array items",
        ),
        (
            of({"type": "object", "additionalProperties": {}}),
            (
                "[a].additionalProperties.type: Required value: "
                "must not be empty for specified object fields"
            ),
        ),
        (of({"type": "array"}), "[a].items: Required value: must be specified"),
        (
            of({"type": "text"}),
            (
                '[a].type: Unsupported value: "text": supported values: "array", "boolean", '
                '"integer", "number", "object", "string"'
            ),
        ),
        (
            of({"type": "null"}),
            "[a].type: Forbidden: type cannot be set to null, use nullable as an alternative",
        ),
        (of({"type": "array", "items": [STRING]}), "[a].items: Forbidden: items must be a schema"),
        (of({"type": 5}), "[a].type: Invalid value: 5: must be a string"),
        (of({**STRING, "maxLength": True}), "[a].maxLength: Invalid value: true: must be an int"),
        (of({**STRING, "allOf": [3]}), "[a].allOf: Invalid value: [3]: must be made of schemas"),
        (of({**STRING, "$ref": "#/x"}), "[a].$ref: Forbidden: $ref is not supported"),
        (
            of({"type": "object", "patternProperties": {"x": STRING}}),
            "[a].patternProperties: Forbidden: patternProperties is not supported",
        ),
        (
            of({"type": "array", "items": STRING, "uniqueItems": True}),
            "[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime",
        ),
        (
            of({"type": "object", "properties": {"b": STRING}, "additionalProperties": STRING}),
            "[a].additionalProperties: Forbidden: additionalProperties and properties are mutual",
        ),
        (
            of({"type": "object", "x-kubernetes-preserve-unknown-fields": False}),
            "[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undef",
        ),
        (
            of({"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}),
            (
                "[a].x-kubernetes-preserve-unknown-fields: Invalid value: true: "
                "must be false if x-kubernetes-int-or-string is true"
            ),
        ),
        (
            of({"type": "string", "pattern": "("}),
            '[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: ',
        ),
    ],
)
def test_what_is_not_structural_is_refused(root: dict[str, Any], why: str) -> None:
    assert any(why in one for one in told(root)), told(root)


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"type": "string"}, "type: Forbidden: must be empty to be structural"),
        ({"default": "x"}, "default: Forbidden: must be undefined to be structural"),
        ({"description": "x"}, "description: Forbidden: must be empty to be structural"),
        ({"nullable": True}, "nullable: Forbidden: must be false to be structural"),
        (
            {"additionalProperties": {}},
            "additionalProperties: Forbidden: must be undefined to be structural",
        ),
        (
            {"x-kubernetes-list-type": "set"},
            "x-kubernetes-list-type: Forbidden: must be undefined to be structural",
        ),
    ],
)
@pytest.mark.parametrize("junctor", ["allOf", "anyOf", "oneOf", "not"])
def test_below_junctors_values_are_only_narrowed(
    junctor: str, part: dict[str, Any], why: str
) -> None:
    place = ".not" if junctor == "not" else f".{junctor}[0]"
    field = {**STRING, junctor: part if junctor == "not" else [part]}
    assert f".properties[a]{place}.{why}" in told(of(field))


def test_what_junctors_tell_of_is_told_outside() -> None:
    field = {
        "type": "object",
        "properties": {"b": {"type": "array", "items": STRING}},
        "allOf": [
            {"properties": {"c": {"minLength": 1}, "b": {"items": {"properties": {"d": {}}}}}},
            {"items": {"minLength": 1}},
        ],
    }
    at = ".properties[a]"
    assert told(of(field)) == [
        f"{at}.items: Required value: because it is defined in {at}.allOf[1].items",
        (
            f"{at}.properties[b].items.properties[d]: Required value: because it is defined in "
            f"{at}.allOf[0].properties[b].items.properties[d]"
        ),
        f"{at}.properties[c]: Required value: because it is defined in {at}.allOf[0].properties[c]",
    ]


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"type": "object"}, []),
        ({"type": "object", "properties": {"name": STRING, "generateName": STRING}}, []),
        ({"type": "object", "properties": {"labels": {"type": "object"}}}, [NO_METADATA]),
        ({"type": "object", "required": ["name"]}, [NO_METADATA]),
        ({"type": "object", "default": {}}, ["must not be set in top-level metadata"]),
        ({"type": "string"}, ['[metadata].type: Invalid value: "string": must be object']),
    ],
)
def test_metadata_may_only_restrict_names(metadata: dict[str, Any], why: list[str]) -> None:
    found = told({"type": "object", "properties": {"metadata": metadata}})
    assert len(found) == len(why)
    assert all(text in one for text, one in zip(why, found, strict=True)), found


def test_metadata_is_not_told_below_junctors() -> None:
    root = of(STRING, anyOf=[{"properties": {"metadata": {}}}])
    at = ".anyOf[0].properties[metadata]"
    assert f"{at}: Forbidden: must not be specified in a nested context" in told(root)


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (
            {"x-kubernetes-preserve-unknown-fields": True},
            ".type: Required value: must be object if x-kubernetes-embedded-resource is true",
        ),
        (
            {**STRING, "x-kubernetes-preserve-unknown-fields": True},
            '.type: Invalid value: "string": must be object if x-kubernetes-embedded-resource',
        ),
        (
            {"type": "object"},
            (
                ".properties: Required value: must not be empty if x-kubernetes-embedded-resource "
                "is true without x-kubernetes-preserve-unknown-fields"
            ),
        ),
        (
            {"type": "object", "properties": {"kind": {"type": "integer"}}},
            '.properties[kind].type: Invalid value: "integer": must be string',
        ),
    ],
)
def test_embedded_resources_are_objects(field: dict[str, Any], why: str) -> None:
    found = told(of({**field, "x-kubernetes-embedded-resource": True}))
    assert any(one.startswith(f".properties[a]{why}") for one in found), found


def _map_list(items: Any, *keys: str) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "array", "items": items, "x-kubernetes-list-type": "map"}
    return {**made, "x-kubernetes-list-map-keys": list(keys)} if keys else made


ITEM = {"type": "object", "properties": {"b": STRING}}


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (
            {**STRING, "x-kubernetes-list-type": "set"},
            '.type: Invalid value: "string": must be array if x-kubernetes-list-type is specified',
        ),
        (
            {"type": "array", "items": STRING, "x-kubernetes-list-type": "bag"},
            (
                '.x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", '
                '"map", "set"'
            ),
        ),
        (
            {"type": "array", "items": STRING, "x-kubernetes-list-map-keys": ["b"]},
            (
                ".x-kubernetes-list-type: Required value: "
                "must be map if x-kubernetes-list-map-keys is non-empty"
            ),
        ),
        (
            {"type": "array", "items": ITEM, "x-kubernetes-list-type": "set"},
            "must be atomic as item of a list with x-kubernetes-list-type=set",
        ),
        (
            {
                "type": "array",
                "items": {**STRING, "nullable": True},
                "x-kubernetes-list-type": "set",
            },
            ".items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set",
        ),
        (
            _map_list({**ITEM, "required": ["b"]}),
            (
                ".x-kubernetes-list-map-keys: Required value: "
                "must not be empty if x-kubernetes-list-type is map"
            ),
        ),
        (
            _map_list(STRING, "b"),
            (
                '.items.type: Invalid value: "string": '
                "must be object if parent array's x-kubernetes-list-type is map"
            ),
        ),
        (_map_list({**ITEM, "required": ["b"]}, "b", "z"), "entries must all be names of item"),
        (_map_list({**ITEM, "required": ["b"]}, "b", "b"), "must not contain duplicate entries"),
        (
            _map_list(ITEM, "b"),
            (
                ".items.properties[b].default: Required value: this property is in "
                "x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ),
        ),
        (
            _map_list({"type": "object", "properties": {"b": {"type": "object"}}}, "b"),
            "must be a scalar type if parent array's x-kubernetes-list-type is map",
        ),
        (
            {**STRING, "x-kubernetes-map-type": "atomic"},
            '.type: Invalid value: "string": must be object if x-kubernetes-map-type is specified',
        ),
        (
            {"type": "object", "x-kubernetes-map-type": "odd"},
            (
                '.x-kubernetes-map-type: Unsupported value: "odd": supported values: "atomic", '
                '"granular"'
            ),
        ),
        (
            {**STRING, "x-kubernetes-validations": [{"rule": " "}]},
            ".x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
    ],
)
def test_extensions_fit_each_other(field: dict[str, Any], why: str) -> None:
    assert any(why in one for one in told(of(field))), told(of(field))


def test_defaults_fit_their_schema() -> None:
    """11.7: defaulting never makes an object that is refused."""
    field = {"type": "object", "default": {"b": "x"}, "properties": {"b": {"type": "integer"}}}
    (fault,) = told(of(field))
    assert fault.startswith('.properties[a].default.b: Invalid value: "string": ')
    (fault,) = told(of({"type": "array", "items": {"type": "integer", "default": "x"}}))
    assert fault.startswith('.properties[a].items.default: Invalid value: "string": ')


def test_beside_a_status_the_root_says_little() -> None:
    root = of(STRING, anyOf=[{"required": ["a"]}])
    assert told(root) == []
    (fault,) = told(root, has_status=True)
    assert "only [Description Type Format" in fault
    assert fault.endswith("if the status subresource is enabled")


_WORDS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "additionalProperties",
        "allOf",
        "anyOf",
        "not",
        "default",
        "nullable",
        "pattern",
        "enum",
        "required",
        "maxLength",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-validations",
        "x-kubernetes-preserve-unknown-fields",
        "metadata",
        "a",
    ]
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.sampled_from(["", "object", "array", "string", "set", "map", "a", "("]),
)
_TREES = st.recursive(
    _LEAVES,
    lambda trees: st.lists(trees, max_size=3) | st.dictionaries(_WORDS, trees, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(_WORDS, _TREES, max_size=6))
def test_any_schema_is_judged_and_never_breaks(root: dict[str, Any]) -> None:
    """Bad input gives causes, not a traceback; messages are texts."""
    version = {**CRONTABS["spec"]["versions"][0], "schema": {"openAPIV3Schema": root}}
    crd = {**CRONTABS, "spec": {**CRONTABS["spec"], "versions": [version]}}
    causes = validate_definition(crd)
    assert all(cause.field and cause.message for cause in causes)
    if not causes:
        (made,) = resources_of(crd)
        assert validate(made.schema, {"spec": {"a": 1}}) is not None


_SPEC = ["group", "scope", "names", "versions", "conversion", "plural", "kind", "name", "schema"]


@given(
    st.dictionaries(
        st.sampled_from(["metadata", "spec", "status"]),
        st.recursive(
            _LEAVES,
            lambda trees: (
                st.lists(trees, max_size=3)
                | st.dictionaries(st.sampled_from(_SPEC), trees, max_size=6)
            ),
            max_leaves=25,
        ),
    )
)
def test_any_definition_is_judged_and_never_breaks(crd: dict[str, Any]) -> None:
    assert validate_definition(default_definition(crd))
