"""Definitions of custom resources: what they become, and what is refused."""

from typing import Any

import orjson
import pytest

from controlplane.api import customresources
from controlplane.api.customresources import (
    resources_of,
    stored_resource_of,
    validate_definition,
)
from controlplane.api.pruning import unknown_fields
from controlplane.api.registry import Registry
from controlplane.api.resource import VERBS, Column
from controlplane.api.validation import validate
from tests.controlplane.api.served import CRONTABS

REGISTRY = Registry.builtin()
SPEC = CRONTABS["spec"]
VERSION = SPEC["versions"][0]


def definition(**changed: Any) -> dict[str, Any]:
    """CRONTABS with other fields in its spec; None: without."""
    spec = {name: value for name, value in (SPEC | changed).items() if value is not None}
    return {**CRONTABS, "spec": spec}


def with_version(**changed: Any) -> dict[str, Any]:
    """CRONTABS with other fields in its version."""
    version = {name: value for name, value in (VERSION | changed).items() if value is not None}
    return definition(versions=[version])


def told(crd: dict[str, Any]) -> list[str]:
    """What is wrong, as users see it."""
    return [f"{cause.field}: {cause.message}" for cause in validate_definition(crd)]


def test_a_definition_becomes_a_resource() -> None:
    """11.7: sub-resources, columns, selectable fields, short names, categories."""
    (made,) = resources_of(CRONTABS)
    assert (made.group, made.version, made.kind) == ("stable.example.com", "v1", "CronTab")
    assert (made.plural, made.singular, made.list_kind) == ("crontabs", "crontab", "CronTabList")
    assert made.is_custom
    assert made.is_namespaced
    assert made.has_generation
    assert made.verbs == VERBS
    assert made.short_names == ("ct",)
    assert made.categories == ("all",)
    assert made.subresources == ("status", "scale")
    assert made.scale == ("spec.replicas", "status.replicas", "status.labelSelector")
    assert made.field_labels == ("spec.image",)
    assert made.columns[0] == Column(name="Spec", type="string", path=".spec.cronSpec")
    assert made.columns[2].priority == 1
    assert made.storage_version == "v1"
    assert made.key("ns", "a") == "/registry/stable.example.com/crontabs/ns/a"


def test_versions_that_are_not_served_are_no_resources() -> None:
    """11.7: several versions, one of which is stored, without conversion."""
    versions = [
        {**VERSION, "name": "v1beta1", "storage": False},
        {**VERSION, "name": "v1", "served": False},
        {**VERSION, "name": "v2", "storage": False},
    ]
    made = resources_of(definition(versions=versions))
    assert [(one.version, one.storage_version) for one in made] == [("v1beta1", "v1"), ("v2", "v1")]


def test_objects_are_stored_in_a_version_served_or_not() -> None:
    """11.7."""
    versions = [{**VERSION, "name": "v2", "storage": False}, {**VERSION, "served": False}]
    stored = stored_resource_of(definition(versions=versions))
    assert stored is not None
    assert (stored.version, stored.storage_version) == ("v1", "v1")
    assert stored_resource_of(definition(versions=versions[:1])) is None


@pytest.mark.parametrize("default", [None, "small"])
def test_only_objects_that_may_lack_a_default_are_made_anew_when_they_are_read(
    default: str | None,
) -> None:
    """11.7: the others are served as they are stored, byte by byte."""
    size = {"type": "string"} | ({} if default is None else {"default": default})
    spec = {"type": "object", "additionalProperties": {"type": "array", "items": size}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    (made,) = resources_of(with_version(schema=schema))
    assert (made.strategy.from_storage is None) == (default is None)


def test_without_sub_resources_there_is_no_scale() -> None:
    (made,) = resources_of(with_version(subresources=None, additionalPrinterColumns=None))
    assert (made.subresources, made.scale, made.columns) == ((), None, ())


def test_its_schema_has_what_every_object_has() -> None:
    """11.7: metadata is validated and its unknown fields are found, as of built-in kinds."""
    (made,) = resources_of(CRONTABS)
    good = {
        "apiVersion": "stable.example.com/v1",
        "kind": "CronTab",
        "metadata": {"name": "a", "labels": {"b": "c"}, "finalizers": ["d"]},
        "spec": {"cronSpec": "* *", "replicas": 1, "port": "http"},
    }
    assert validate(made.schema, good) == []
    assert unknown_fields(made.schema, good) == []
    metadata = {"name": "a", "labels": {"b": 5}, "colour": "red"}
    bad = {**good, "metadata": metadata, "spec": {"cronSpec": "?", "x": 1}}
    assert [one.field for one in validate(made.schema, bad)] == [
        "metadata.labels.b",
        "spec.cronSpec",
    ]
    assert set(unknown_fields(made.schema, bad)) == {"metadata.colour", "spec.x"}


def test_its_schema_may_restrict_names() -> None:
    """11.7: metadata may be told for name and generateName."""
    schema = {
        "type": "object",
        "properties": {
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 3}},
            }
        },
    }
    crd = with_version(schema={"openAPIV3Schema": schema}, subresources=None, selectableFields=None)
    assert told(crd) == []
    (made,) = resources_of(crd)
    assert validate(made.schema, {"metadata": {"name": "abc", "labels": {"a": "b"}}}) == []
    assert [one.field for one in validate(made.schema, {"metadata": {"name": "abcd"}})] == [
        "metadata.name"
    ]


def test_null_keywords_are_as_good_as_none() -> None:
    """What YAML has where a keyword is left empty."""
    spec = {"type": "array", "items": {"type": "string", "allOf": None}}
    schema = {"type": "object", "required": None, "properties": {"spec": spec}}
    crd = with_version(schema={"openAPIV3Schema": schema}, subresources=None, selectableFields=None)
    assert told(crd) == []
    (made,) = resources_of(crd)
    assert validate(made.schema, {"spec": ["a"]}) == []


def test_null_may_be_a_default() -> None:
    """11.7: nullable"""
    spec = {"type": "string", "nullable": True, "default": None, "format": None}
    schema = {"type": "object", "properties": {"spec": spec}}
    crd = with_version(schema={"openAPIV3Schema": schema}, subresources=None, selectableFields=None)
    (made,) = resources_of(crd)
    assert made.schema.properties["spec"].node == {
        "type": "string",
        "nullable": True,
        "default": None,
    }


@pytest.mark.parametrize("left_out", ["", None])
def test_names_that_follow_from_others_are_filled_in(left_out: str | None) -> None:
    names = {"plural": "crontabs", "kind": "CronTab", "listKind": left_out}
    filled = customresources.default_definition(definition(names=names))
    assert filled["spec"]["names"] == {
        "plural": "crontabs",
        "singular": "crontab",
        "kind": "CronTab",
        "listKind": "CronTabList",
    }
    assert filled["spec"]["conversion"] == {"strategy": "None"}
    assert told(dict(filled)) == []
    assert customresources.default_definition(filled) is filled
    assert customresources.default_definition({"kind": "x"}) == {"kind": "x"}


def test_the_example_is_right() -> None:
    assert told(CRONTABS) == []


DNS_1035 = "a DNS-1035 label must consist of"


@pytest.mark.parametrize(
    ("crd", "why"),
    [
        (
            {**CRONTABS, "metadata": {"name": "crontabs"}},
            'metadata.name: Invalid value: "crontabs": must be spec.names.plural+"."+spec.group',
        ),
        (definition(group=None), "spec.group: Required value"),
        (
            definition(group="stable"),
            'spec.group: Invalid value: "stable": should be a domain with at least one dot',
        ),
        (definition(group="a_b.c"), 'spec.group: Invalid value: "a_b.c": a lowercase RFC 1123'),
        (definition(scope=None), "spec.scope: Required value"),
        (
            definition(scope="Galaxy"),
            'spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"',
        ),
        (definition(preserveUnknownFields=True), "spec.preserveUnknownFields: Invalid value: true"),
        (
            definition(names={**SPEC["names"], "plural": "Cron"}),
            f'spec.names.plural: Invalid value: "Cron": {DNS_1035}',
        ),
        (
            definition(names={**SPEC["names"], "kind": "Cron_"}),
            (
                'spec.names.kind: Invalid value: "Cron_": may have mixed case, but should '
                f"otherwise match: {DNS_1035}"
            ),
        ),
        (definition(names={**SPEC["names"], "singular": ""}), "spec.names.singular: Required"),
        (
            definition(names={**SPEC["names"], "listKind": "CronTab"}),
            'spec.names.listKind: Invalid value: "CronTab": kind and listKind may not be the same',
        ),
        (
            definition(names={**SPEC["names"], "shortNames": ["ct", "C"]}),
            f'spec.names.shortNames[1]: Invalid value: "C": {DNS_1035}',
        ),
        (
            definition(names={**SPEC["names"], "categories": ["_"]}),
            f'spec.names.categories[0]: Invalid value: "_": {DNS_1035}',
        ),
        (definition(versions=[]), "must have exactly one version marked as storage version"),
        (with_version(storage=False), "must have exactly one version marked as storage version"),
        (definition(versions=[VERSION, VERSION]), "must contain unique version names"),
        (with_version(name="1"), f'spec.versions[0].name: Invalid value: "1": {DNS_1035}'),
        (
            with_version(schema=None),
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ),
        (
            with_version(deprecationWarning="old"),
            (
                'spec.versions[0].deprecationWarning: Invalid value: "old": '
                "can only be set for deprecated versions"
            ),
        ),
        (
            with_version(deprecated=True, deprecationWarning=""),
            "must not be an empty string",
        ),
        (
            with_version(deprecated=True, deprecationWarning="a" * 257),
            "must be <= 256 characters long",
        ),
        (
            with_version(deprecated=True, deprecationWarning="a\n"),
            "must only contain printable UTF-8 characters",
        ),
        (
            definition(conversion={"strategy": "Magic"}),
            'spec.conversion.strategy: Unsupported value: "Magic"',
        ),
        (
            definition(conversion={"strategy": "None", "webhook": {}}),
            "spec.conversion.webhook: Forbidden: should not be set when strategy is not set",
        ),
        (
            definition(conversion={"strategy": "Webhook", "webhook": {}}),
            "spec.conversion.strategy: Forbidden: conversion by webhook is not supported here",
        ),
        (
            {
                **definition(group="x.k8s.io"),
                "metadata": {"name": "crontabs.x.k8s.io"},
            },
            (
                "metadata.annotations[api-approved.kubernetes.io]: Required value: protected "
                'groups must have approval annotation "api-approved.kubernetes.io", see https://'
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_definition_is_said(crd: dict[str, Any], why: str) -> None:
    """11.7"""
    assert any(why in one for one in told(crd)), told(crd)


def test_groups_of_kubernetes_need_an_approval() -> None:
    annotations = {"api-approved.kubernetes.io": "unapproved, for a test"}
    crd = definition(group="x.k8s.io")
    crd["metadata"] = {"name": "crontabs.x.k8s.io", "annotations": annotations}
    assert told(crd) == []
    annotations["api-approved.kubernetes.io"] = "please"
    (fault,) = told(crd)
    assert 'a reason starting with "unapproved"' in fault


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ({"type": "string", "jsonPath": ".a"}, "[0].name: Required value"),
        (
            {"name": "A", "jsonPath": ".a"},
            "[0].type: Required value: must be one of boolean,date,integer,number,string",
        ),
        (
            {"name": "A", "type": "text", "jsonPath": ".a"},
            '[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string',
        ),
        ({"name": "A", "type": "string"}, "[0].JSONPath: Required value"),
        (
            {"name": "A", "type": "string", "jsonPath": "a"},
            '[0].JSONPath: Invalid value: "a": must be a simple json path starting with .',
        ),
        (
            {"name": "A", "type": "string", "jsonPath": ".a", "format": "x"},
            (
                '[0].format: Invalid value: "x": must be one of byte,date,date-time,double,float,'
                "int32,int64,password"
            ),
        ),
    ],
)
def test_columns_are_looked_at(column: dict[str, Any], why: str) -> None:
    """11.7: what all versions share is told from the top of the spec."""
    crd = with_version(additionalPrinterColumns=[column])
    assert told(crd) == [f"spec.additionalPrinterColumns{why}"]


@pytest.mark.parametrize(
    ("scale", "why"),
    [
        ({"statusReplicasPath": ".status.a"}, ["specReplicasPath: Required value"]),
        ({"specReplicasPath": ".spec.a"}, ["statusReplicasPath: Required value"]),
        (
            {"specReplicasPath": "spec.a", "statusReplicasPath": ".spec.a"},
            [
                (
                    'specReplicasPath: Invalid value: "spec.a": '
                    "must be a simple json path starting with ."
                ),
                'statusReplicasPath: Invalid value: ".spec.a": should be a json path under .status',
            ],
        ),
        (
            {
                "specReplicasPath": ".spec.a",
                "statusReplicasPath": ".status.a",
                "labelSelectorPath": ".metadata.a",
            },
            [
                (
                    'labelSelectorPath: Invalid value: ".metadata.a": '
                    "should be a json path under either .spec or .status"
                )
            ],
        ),
    ],
)
def test_scale_paths_are_looked_at(scale: dict[str, str], why: list[str]) -> None:
    """11.7"""
    crd = with_version(subresources={"scale": scale})
    assert told(crd) == [f"spec.subresources.scale.{one}" for one in why]


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        ([""], "[0].jsonPath: Required value"),
        ([".spec.absent"], '[0].jsonPath: Invalid value: ".spec.absent": is an invalid path'),
        ([".spec.image[0]"], '[0].jsonPath: Invalid value: ".spec.image[0]": is an invalid path'),
        ([".spec"], "must point to a field of type string, boolean or integer."),
        ([".spec.image", ".spec.image"], '[1].jsonPath: Duplicate value: ".spec.image"'),
    ],
)
def test_selectable_fields_are_looked_at(paths: list[str], why: str) -> None:
    """11.7"""
    crd = with_version(selectableFields=[{"jsonPath": path} for path in paths])
    (fault,) = told(crd)
    assert fault.startswith("spec.selectableFields")
    assert why in fault


def test_versions_that_differ_are_told_one_by_one() -> None:
    """11.7"""
    other = {**VERSION, "name": "v2", "storage": False, "schema": {"openAPIV3Schema": {}}}
    other["selectableFields"] = []
    assert told(definition(versions=[VERSION, other])) == [
        (
            "spec.versions[1].schema.openAPIV3Schema.type: "
            "Required value: must not be empty at the root"
        )
    ]


def test_the_name_never_changes() -> None:
    new = definition(group="b.example.com", names={**SPEC["names"], "plural": "tabs"})
    causes = customresources.validate_definition_update(new, CRONTABS)
    assert [(one.field, one.message) for one in causes] == [
        ("spec.group", 'Invalid value: "b.example.com": field is immutable'),
        ("spec.names.plural", 'Invalid value: "tabs": field is immutable'),
    ]


def test_scope_and_kind_stay_once_it_is_established() -> None:
    new = definition(scope="Cluster", names={**SPEC["names"], "kind": "Tab"})
    assert customresources.validate_definition_update(new, CRONTABS) == []
    condition = {"type": "Established", "status": "True"}
    old = {**CRONTABS, "status": {"conditions": [condition]}}
    assert customresources.is_established(old)
    causes = customresources.validate_definition_update(new, old)
    assert [one.field for one in causes] == ["spec.scope", "spec.names.kind"]


def test_a_version_stays_while_objects_may_be_stored_in_it() -> None:
    """11.7: status.storedVersions"""
    new = {**CRONTABS, "status": {"storedVersions": ["v1alpha1", "v1"]}}
    (cause,) = customresources.validate_definition_update(new, CRONTABS)
    assert cause.field == "status.storedVersions[0]"
    assert "v1alpha1 was previously a storage version, and must remain in spec.versions" in (
        cause.message
    )


OPEN = {"x-kubernetes-preserve-unknown-fields": True}


@pytest.mark.parametrize(
    ("field", "where"),
    [
        ({"type": "object", "default": {"b": 1}}, ".properties[a].default"),
        ({"type": "object", "default": {"metadata": {}}}, ".properties[a].default"),
        ({"type": "object", "default": {"b": 1}, **OPEN}, ""),
        (
            {"type": "array", "items": {"type": "object", "default": {"b": 1}}},
            ".properties[a].items.default",
        ),
        (
            {"type": "array", "default": [{"b": 1}], "items": {"type": "object"}},
            ".properties[a].default",
        ),
        (
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "properties": {"spec": {"type": "object"}},
                "default": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "a"}},
            },
            "",
        ),
        (
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "properties": {"spec": {"type": "object"}},
                "default": {"apiVersion": "v1", "kind": "K", "metadata": {"nam": "a"}},
            },
            ".properties[a].default",
        ),
    ],
)
def test_a_default_has_only_what_its_schema_knows(field: dict[str, Any], where: str) -> None:
    """11.7: what it had beyond would be there until the next write."""
    root = {"type": "object", "properties": {"a": field}}
    crd = with_version(schema={"openAPIV3Schema": root}, selectableFields=None)
    definitions = REGISTRY.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    assert definitions is not None
    strategy = definitions.strategy
    assert strategy.validate is not None
    assert strategy.validate_create is not None
    assert strategy.validate_update is not None
    assert strategy.validate(crd) == []
    told = [(cause.field, cause.message) for cause in strategy.validate_create(crd)]
    shown = orjson.dumps(field.get("default", field.get("items", {}).get("default"))).decode()
    why = f"Invalid value: {shown}: must not have unknown fields"
    expected = [(f"spec.validation.openAPIV3Schema{where}", why)] if where else []
    assert told == expected
    valid = with_version()
    update = strategy.validate_update(crd, valid)
    assert [(cause.field, cause.message) for cause in update] == expected
    assert list(strategy.validate_update(crd, crd)) == []  # stored by an earlier server


@pytest.mark.timeout(20)  # a square of this length is minutes
def test_thousands_of_selectable_fields_are_judged_soon() -> None:
    """The body of a request has room for them."""
    names = [f"p{number}" for number in range(40_000)]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    wrong = told(
        with_version(
            schema={"openAPIV3Schema": schema},
            selectableFields=[{"jsonPath": f".{name}"} for name in [*names, names[0]]],
        )
    )
    assert 'spec.selectableFields[40000].jsonPath: Duplicate value: ".p0"' in wrong
