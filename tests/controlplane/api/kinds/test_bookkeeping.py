"""Leases, controller revisions and definitions of custom resources."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.built_in import (
    defaulted,
    faults,
    faults_of_update,
    printed,
    resource,
)

LEASES = resource("coordination.k8s.io", "leases")
REVISIONS = resource("apps", "controllerrevisions")
DEFINITIONS = resource("apiextensions.k8s.io", "customresourcedefinitions")
META = {"name": "x", "creationTimestamp": "2023-11-14T22:03:20Z"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"leaseDurationSeconds": 1, "leaseTransitions": 0}, []),
        (
            {"leaseDurationSeconds": 0},
            ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
        ),
        (
            {"leaseTransitions": -1},
            ["spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            {"preferredHolder": "a"},
            ["spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"],
        ),
    ],
)
def test_a_lease_has_a_duration(spec: Any, expected: list[str]) -> None:  # 3.6
    assert faults(LEASES, {"spec": spec}) == expected


def test_how_leases_are_printed() -> None:  # 1.2
    obj = {"metadata": META, "spec": {"holderIdentity": "me"}}
    assert printed(LEASES, obj) == {"Name": "x", "Holder": "me", "Age": "10m"}


def test_a_revision_has_a_state_and_a_number_that_is_not_negative() -> None:  # 3.4
    assert faults(REVISIONS, {"data": {}, "revision": 0}) == []
    assert faults(REVISIONS, {"revision": -1}) == [
        "data: Required value: data is mandatory",
        "revision: Invalid value: -1: must be greater than or equal to 0",
    ]
    assert REVISIONS.immutable == ("data",)


def test_how_revisions_are_printed() -> None:  # 1.2
    owners = [
        {"apiVersion": "v1", "kind": "Node", "name": "n"},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "controller": True},
    ]
    obj = {"metadata": {**META, "ownerReferences": owners}, "revision": 3}
    shown = {"Name": "x", "Controller": "statefulset.apps/web", "Revision": 3, "Age": "10m"}
    assert printed(REVISIONS, obj) == shown
    assert printed(REVISIONS, {"metadata": META})["Controller"] == "<none>"


def _definition(*versions: tuple[str, bool], stored: tuple[str, ...] = ()) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "metadata": {**META, "name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {"name": name, "served": True, "storage": is_stored, "schema": schema}
                for name, is_stored in versions
            ],
        },
        "status": {"storedVersions": list(stored)},
    }


def test_a_new_definition_has_stored_nothing_but_its_storage_version() -> None:  # 11.7
    prepare = DEFINITIONS.strategy.prepare_create
    assert prepare is not None
    made = prepare(_definition(("v1", True), ("v1beta1", False), stored=("v9",)))
    assert made["status"]["storedVersions"] == ["v1"]


def test_a_version_that_was_ever_stored_is_remembered() -> None:  # 11.7
    prepare = DEFINITIONS.strategy.prepare_update
    assert prepare is not None
    old = _definition(("v1", True), stored=("v1",))
    new = prepare(_definition(("v1", False), ("v2", True), stored=("v1",)), old)
    assert new["status"]["storedVersions"] == ["v1", "v2"]
    gone = _definition(("v2", True), stored=("v1", "v2"))
    (fault,) = faults_of_update(DEFINITIONS, gone, new)
    assert fault.startswith(
        'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions;'
    )


def test_a_definition_is_filled_in_and_valid() -> None:  # 11.7
    found = defaulted(DEFINITIONS, _definition(("v1", True)))
    assert found["spec"]["names"]["listKind"] == "WidgetList"
    assert found["spec"]["names"]["singular"] == "widget"
    assert found["spec"]["conversion"] == {"strategy": "None"}
    assert faults(DEFINITIONS, found) == []
    assert faults(DEFINITIONS, _definition(("v1", False))) != []


def test_how_definitions_are_printed() -> None:  # 1.2
    assert printed(DEFINITIONS, _definition(("v1", True))) == {
        "Name": "widgets.example.com",
        "Created At": "2023-11-14T22:03:20Z",
    }
    assert DEFINITIONS.short_names == ("crd", "crds")
