"""metadata: 2.12, 2.13, 2.16 and 2.19."""

from typing import Any

import orjson
import pytest

from controlplane.api import errors, meta, schemas
from controlplane.api.errors import CAUSES_MAX, ApiError, Cause
from controlplane.api.resource import Resource
from controlplane.api.schema import Schema

UID = "6f1d8c0e-0000-4000-8000-000000000001"


def deployments(**changes: Any) -> Resource:
    return Resource(
        **{
            "group": "apps",
            "version": "v1",
            "kind": "Deployment",
            "plural": "deployments",
            "singular": "deployment",
            "is_namespaced": True,
            "schema": schemas.schema_of("apps", "v1", "Deployment"),
            "subresources": ("status", "scale"),
            "has_generation": True,
            **changes,
        }
    )


CUSTOM = deployments(
    group="g", kind="K", schema=Schema({"type": "object"}, {}), has_generation=False, is_custom=True
)


def causes(of: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    good = {"name": "x", "namespace": "d"}
    found = meta.validate_meta({**good, **of}, **{"is_namespaced": True, **options})
    return [(cause.field, cause.message) for cause in found]


def test_good_metadata_has_no_faults() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": UID}
    assert (
        causes(
            {
                "labels": {"app.kubernetes.io/name": "x", "a": ""},
                "annotations": {"Example.com/A": "anything at all\n"},
                "ownerReferences": [{**owner, "controller": True}, {**owner, "controller": False}],
                "finalizers": ["kubernetes", "foregroundDeletion", "example.com/x"],
                "managedFields": [
                    {"manager": "m", "operation": "Apply", "fieldsType": "FieldsV1"},
                    {},
                ],
                "generation": 3,
                "generateName": "x-",
            }
        )
        == []
    )


def test_name_is_required_and_follows_the_kinds_rule() -> None:
    assert causes({"name": ""}) == [
        ("metadata.name", "Required value: name or generateName is required")
    ]
    ((field, message),) = causes({"name": "X"})
    assert field == "metadata.name"
    assert message.startswith('Invalid value: "X": a lowercase RFC 1123 subdomain must consist')
    assert causes({"name": "system:x"}, name_rule="path-segment") == []
    assert [field for field, _ in causes({"name": "a.b"}, name_rule="label")] == ["metadata.name"]
    assert [field for field, _ in causes({"generateName": "_"})] == ["metadata.generateName"]


def test_namespace_is_there_where_there_are_namespaces() -> None:
    assert causes({"namespace": ""}) == [("metadata.namespace", "Required value")]
    assert [field for field, _ in causes({"namespace": "a.b"})] == ["metadata.namespace"]
    assert causes({"namespace": "d"}, is_namespaced=False) == [
        ("metadata.namespace", "Forbidden: not allowed on this type")
    ]


def test_labels_are_qualified_names_and_short_values() -> None:
    found = causes({"labels": {"a b": "ok", "ok": "-"}})
    assert [field for field, _ in found] == ["metadata.labels"] * 2
    assert found[0][1].startswith('Invalid value: "a b": name part must consist of')
    assert found[1][1].startswith('Invalid value: "-": a valid label must be')
    assert causes({"labels": {"a" * 64: "b" * 64}}) == [
        (
            "metadata.labels",
            f'Invalid value: "{"a" * 64}": name part must be no more than 63 characters',
        ),
        ("metadata.labels", f'Invalid value: "{"b" * 64}": must be no more than 63 characters'),
    ]


def test_annotations_have_256_kib_in_total() -> None:
    """2.12: keys and values, in bytes."""
    limit = 256 * 1024
    assert causes({"annotations": {"a": "x" * (limit - 1)}}) == []
    told = [("metadata.annotations", "Too long: may not be more than 262144 bytes")]
    assert causes({"annotations": {"a": "x" * limit}}) == told
    assert causes({"annotations": {"a": "ä" * (limit // 2)}}) == told
    assert causes({"annotations": {"a": "x" * (limit // 2), "b": "x" * (limit // 2)}}) == told


def test_owner_references_are_whole_and_have_one_controller() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": UID}
    assert causes({"ownerReferences": [{"apiVersion": "apps/"}]}) == [
        (
            "metadata.ownerReferences.apiVersion",
            'Invalid value: "apps/": version must not be empty',
        ),
        ("metadata.ownerReferences.kind", 'Invalid value: "": must not be empty'),
        ("metadata.ownerReferences.name", 'Invalid value: "": must not be empty'),
        ("metadata.ownerReferences.uid", 'Invalid value: "": must not be empty'),
    ]
    two = [{**owner, "controller": True}, {**owner, "name": "q", "controller": True}]
    ((field, message),) = causes({"ownerReferences": two})
    assert field == "metadata.ownerReferences"
    assert message.endswith(
        "Only one reference can have Controller set to true. "
        'Found "true" in references for Pod/p and Pod/q'
    )
    ((_, message),) = causes({"ownerReferences": [{**owner, "kind": "Event"}]})
    assert message.endswith(": /v1, Kind=Event is disallowed from being an owner")


def test_what_is_told_of_many_controllers_does_not_grow_with_their_square() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "uid": UID, "controller": True}
    many = [{**owner, "name": f"p{number}"} for number in range(2_000)]
    found = meta.validate_meta(
        {"name": "x", "namespace": "d", "ownerReferences": many}, is_namespaced=True
    )
    assert len(found) == CAUSES_MAX
    assert found[-1].message.endswith(f"for Pod/p0 and Pod/p{CAUSES_MAX}")
    status = errors.invalid("Pod", "", "x", found).status
    assert len(orjson.dumps(status)) < 10 * len(orjson.dumps(many))


def test_finalizers_have_a_domain_but_for_the_standard_ones() -> None:
    plain = "name is neither a standard finalizer name nor is it fully qualified"
    assert causes({"finalizers": ["x"]}) == [
        ("metadata.finalizers[0]", f'Invalid value: "x": {plain}')
    ]
    assert causes({"finalizers": ["x"]}, is_custom=True) == []
    both = ["orphan", "foregroundDeletion"]
    assert causes({"finalizers": both}) == [
        (
            "metadata.finalizers",
            (
                'Invalid value: ["orphan","foregroundDeletion"]: '
                "finalizer orphan and foregroundDeletion cannot be both set"
            ),
        )
    ]


def test_managed_fields_are_of_a_known_form() -> None:
    """2.15."""
    entry = {"manager": "m" * 129, "operation": "Delete", "fieldsType": "FieldsV2"}
    assert causes({"managedFields": [entry]}) == [
        (
            "metadata.managedFields[0].operation",
            'Invalid value: "Delete": must be `Apply` or `Update`',
        ),
        (
            "metadata.managedFields[0].fieldsType",
            'Invalid value: "FieldsV2": must be `FieldsV1`',
        ),
        ("metadata.managedFields[0].manager", "Too long: may not be more than 128 bytes"),
    ]


def test_negative_generation_and_other_paths() -> None:
    ((field, message),) = causes({"generation": -1}, path="spec.template.metadata")
    assert field == "spec.template.metadata.generation"
    assert message == "Invalid value: -1: must be greater than or equal to 0"


OLD = {
    "name": "x",
    "namespace": "d",
    "uid": UID,
    "creationTimestamp": "2026-11-29T08:00:00Z",
    "generation": 4,
}


@pytest.mark.parametrize(
    "field",
    [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ],
)
def test_identity_is_immutable(field: str) -> None:
    """2.12."""
    assert meta.validate_meta_update(OLD, OLD) == []
    (found,) = meta.validate_meta_update({**OLD, field: "other"}, OLD)
    assert found == Cause(
        "FieldValueInvalid", 'Invalid value: "other": field is immutable', f"metadata.{field}"
    )


def test_generation_never_goes_down() -> None:
    (found,) = meta.validate_meta_update({**OLD, "generation": 3}, OLD)
    assert found.message == "Invalid value: 3: must not be decremented"


def test_no_finalizer_is_added_to_what_is_being_deleted() -> None:
    """2.16."""
    old = {**OLD, "deletionTimestamp": "2026-11-29T08:00:00Z", "finalizers": ["a/b"]}
    assert meta.validate_meta_update({**old, "finalizers": []}, old) == []
    (found,) = meta.validate_meta_update({**old, "finalizers": ["z/z", "a/b", "c/d"]}, old)
    assert (found.field, found.message) == (
        "metadata.finalizers",
        (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            'found new finalizers []string{"c/d", "z/z"}'
        ),
    )
    assert meta.validate_meta_update({**OLD, "finalizers": ["a/b"]}, OLD) == []


def test_new_object_gets_what_the_server_sets_and_loses_what_users_may_not() -> None:
    """2.12, 2.13."""
    obj: dict[str, Any] = {
        "metadata": {
            "name": "x",
            "uid": "mine",
            "creationTimestamp": "1999-01-01T00:00:00Z",
            "deletionTimestamp": "1999-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": 5,
            "resourceVersion": "0",
            "selfLink": "/x",
            "generation": 7,
            "labels": {"a": "b"},
        },
        "spec": {"replicas": 1},
        "status": {"replicas": 9},
    }
    assert meta.prepare_create(deployments(), obj, uid=UID, now=1_000_000_000.9) == {
        "metadata": {
            "name": "x",
            "uid": UID,
            "creationTimestamp": "2001-09-09T01:46:40Z",
            "generation": 1,
            "labels": {"a": "b"},
        },
        "spec": {"replicas": 1},
    }
    assert obj["metadata"]["uid"] == "mine"


def test_status_and_generation_are_the_kinds_matter() -> None:
    plain = deployments(subresources=(), has_generation=False)
    made = meta.prepare_create(plain, {"metadata": {}, "status": {"a": 1}}, uid=UID, now=0)
    assert made["status"] == {"a": 1}
    assert "generation" not in made["metadata"]
    assert meta.prepare_create(CUSTOM, {}, uid=UID, now=0)["metadata"]["generation"] == 1


def test_object_to_create_has_no_resource_version() -> None:
    with pytest.raises(ApiError) as caught:
        meta.prepare_create(deployments(), {"metadata": {"resourceVersion": "7"}}, uid=UID, now=0)
    assert caught.value.message == "resourceVersion should not be set on objects to be created"


STORED: dict[str, Any] = {
    "metadata": {**OLD, "labels": {"a": "b"}, "managedFields": [{"manager": "old"}]},
    "spec": {"replicas": 1, "paused": False},
    "status": {"replicas": 1},
}


def updated(new: dict[str, Any], *, subresource: str = "", resource: Resource | None = None) -> Any:
    return meta.prepare_update(resource or deployments(), new, STORED, subresource=subresource)


def test_update_keeps_identity_and_status() -> None:
    """2.12, 2.13: what the writer left out stays, and status is not its to write."""
    named = {"name": "x", "namespace": "d", "resourceVersion": "9"}
    new = {"metadata": named, "spec": STORED["spec"], "status": {}}
    assert updated(new) == {
        "metadata": OLD,
        "spec": STORED["spec"],
        "status": {"replicas": 1},
    }
    without: dict[str, Any] = {"metadata": {}, "spec": {}}
    assert updated(without)["status"] == {"replicas": 1}


def test_update_does_not_hide_that_the_writer_changed_what_is_immutable() -> None:
    new = {"metadata": {**OLD, "uid": "other"}, "spec": {}}
    made = updated(new)
    assert meta.validate_meta_update(made["metadata"], OLD)[0].field == "metadata.uid"


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ("2026-11-29T08:00:00+00:00", 0),
        ("2026-11-29T09:00:00+01:00", 0),
        ("2026-11-29T08:00:00+01:00", 1),
        ("2026-11-29T08:00:00.5Z", 1),
        ("2026-11-29T08:00:00", 1),
        ("today", 1),
        (7, 1),
    ],
)
def test_a_time_written_another_way_is_the_same_time(given: object, faults: int) -> None:
    """2.12: as clients write it that keep times as moments."""
    made = updated({"metadata": {**OLD, "creationTimestamp": given}, "spec": STORED["spec"]})
    found = meta.validate_meta_update(made["metadata"], OLD)
    assert [one.field for one in found] == ["metadata.creationTimestamp"] * faults
    assert faults or made["metadata"] == OLD


def test_deletion_that_is_under_way_stays_so() -> None:
    dying = {**STORED["metadata"], "deletionTimestamp": "t", "deletionGracePeriodSeconds": 0}
    old = {**STORED, "metadata": dying}
    made = meta.prepare_update(deployments(), {"metadata": {"name": "x"}}, old)
    assert made["metadata"]["deletionTimestamp"] == "t"
    assert made["metadata"]["deletionGracePeriodSeconds"] == 0


@pytest.mark.parametrize(
    ("change", "generation"),
    [
        ({"spec": {"replicas": 2}}, 5),
        ({"metadata": {"name": "x", "generation": 99}}, 4),
        ({"metadata": {"labels": {"new": "one"}}}, 4),
        ({"status": {"replicas": 7}}, 4),
        ({"other": 1}, 4),
    ],
)
def test_generation_counts_changes_of_the_spec_only(change: Any, generation: int) -> None:
    """2.12."""
    assert updated({**STORED, **change})["metadata"]["generation"] == generation
    custom = 5 if "other" in change else generation
    assert updated({**STORED, **change}, resource=CUSTOM)["metadata"]["generation"] == custom
    plain = deployments(has_generation=False)
    assert updated({**STORED, **change}, resource=plain)["metadata"]["generation"] == 4


def test_status_sub_resource_writes_status_and_who_manages_it() -> None:
    """2.13."""
    new = {
        "metadata": {
            "name": "other",
            "labels": {},
            "resourceVersion": "9",
            "managedFields": [{"manager": "new"}],
        },
        "spec": {"replicas": 9},
        "status": {"replicas": 2},
    }
    made = updated(new, subresource="status")
    assert made == {
        "metadata": {**STORED["metadata"], "managedFields": [{"manager": "new"}]},
        "spec": STORED["spec"],
        "status": {"replicas": 2},
    }
    assert made["spec"] is STORED["spec"]


def test_finalize_writes_spec_only() -> None:
    """3.1."""
    made = updated(
        {"metadata": {}, "spec": {"finalizers": []}, "status": {}}, subresource="finalize"
    )
    assert made["spec"] == {"finalizers": []}
    assert made["status"] == STORED["status"]
    assert "managedFields" not in made["metadata"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_000_000_000.999, "2001-09-09T01:46:40Z")],
)
def test_times_are_whole_seconds_in_utc(seconds: float, text: str) -> None:
    """2.12."""
    assert meta.rfc3339(seconds) == text


def test_empty_maps_and_lists_of_metadata_are_not_kept() -> None:
    """2.2: `annotations: {}` where there are none is no change."""
    resource = deployments()
    made = meta.prepare_create(
        resource,
        {"metadata": {"name": "x", "annotations": {}, "labels": {}, "finalizers": []}},
        uid=UID,
        now=0,
    )
    assert set(made["metadata"]) == {"name", "uid", "creationTimestamp", "generation"}
    old = {"metadata": {**made["metadata"], "labels": {"a": "b"}}}
    new = {"metadata": {"name": "x", "labels": {}, "ownerReferences": []}}
    assert meta.prepare_update(resource, new, old)["metadata"] == made["metadata"]


def test_a_binding_writes_spec_and_status() -> None:
    """7.2: the node, and the condition that says so."""
    resource = deployments()
    old = {"metadata": {"name": "x"}, "spec": {}, "status": {}}
    new = {**old, "spec": {"nodeName": "n"}, "status": {"conditions": [1]}}
    bound = meta.prepare_update(resource, new, old, subresource="binding")
    assert (bound["spec"], bound["status"]) == (new["spec"], new["status"])
    assert meta.prepare_update(resource, new, old)["status"] == {}
