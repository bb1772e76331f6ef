"""2.11: what a typed server cannot decode, and what a strict one does not take."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import field_validation, schemas
from controlplane.api.errors import ApiError
from controlplane.api.resource import Resource
from controlplane.api.schema import Schema
from controlplane.api.validation import validate


def resource(group: str, kind: str, plural: str, schema: Schema | None = None) -> Resource:
    return Resource(
        group=group,
        version="v1",
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        is_namespaced=True,
        schema=schema or schemas.schema_of(group, "v1", kind),
    )


DEPLOYMENTS = resource("apps", "Deployment", "deployments")
SECRETS = resource("", "Secret", "secrets")
CUSTOM = resource("g", "K", "ks", Schema({"type": "object"}, {}))


def containers(*found: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(found)}}}}


@pytest.mark.parametrize(
    ("obj", "fault"),
    [
        (
            {"spec": {"replicas": "three"}},
            (
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas "
                "of type int32"
            ),
        ),
        (
            {"spec": {"replicas": 1.5}},
            (
                "json: cannot unmarshal number 1.5 into Go struct field "
                "DeploymentSpec.spec.replicas of type int32"
            ),
        ),
        (
            {"spec": {"template": {"spec": {"containers": {}}}}},
            (
                "json: cannot unmarshal object into Go struct field "
                "PodSpec.spec.template.spec.containers of type []v1.Container"
            ),
        ),
        (
            containers({"ports": ["80"]}),
            (
                "json: cannot unmarshal string into Go struct field "
                "Container.spec.template.spec.containers.ports of type v1.ContainerPort"
            ),
        ),
        (
            containers({"name": "c", "env": [{"name": "A", "value": 1}]}),
            (
                "json: cannot unmarshal number into Go struct field "
                "EnvVar.spec.template.spec.containers.env.value of type string"
            ),
        ),
        (
            {"metadata": {"labels": {"a": True}}},
            (
                "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels "
                "of type string"
            ),
        ),
        (
            {"metadata": "x"},
            (
                "json: cannot unmarshal string into Go struct field Deployment.metadata of type "
                "v1.ObjectMeta"
            ),
        ),
        (
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": True}}}},
            "json: cannot unmarshal bool into Go value of type int32",
        ),
        (
            containers({"resources": {"limits": {"cpu": "x"}}}),
            (
                "quantities must match the regular expression "
                "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ),
        ),
        (
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 2**31}}}},
            "json: cannot unmarshal number 2147483648 into Go value of type int32",
        ),
        (
            {"spec": {"paused": "no"}},
            (
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused "
                "of type bool"
            ),
        ),
        (
            {"metadata": {"labels": []}},
            (
                "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels "
                "of type map[string]string"
            ),
        ),
        (
            {"metadata": {"creationTimestamp": 7}},
            "json: cannot unmarshal number into Go value of type string",
        ),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            (
                'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": '
                'cannot parse "yesterday" as "2006"'
            ),
        ),
        (
            {"metadata": {"creationTimestamp": "2024-01-01t00:00:00Z"}},
            (
                'parsing time "2024-01-01t00:00:00Z" as "2006-01-02T15:04:05Z07:00": '
                'cannot parse "t00:00:00Z" as "T"'
            ),
        ),
        (
            {"status": {"conditions": [{"lastUpdateTime": "2024-01-01T00:00:00z"}]}},
            (
                'parsing time "2024-01-01T00:00:00z" as "2006-01-02T15:04:05Z07:00": '
                'cannot parse "z" as "Z07:00"'
            ),
        ),
    ],
)
def test_undecodable_object_is_a_bad_request_in_gos_words(obj: dict[str, Any], fault: str) -> None:
    with pytest.raises(ApiError) as caught:
        field_validation.check_decodes(DEPLOYMENTS, obj)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert caught.value.message == (
        f'Deployment in version "v1" cannot be handled as a Deployment: {fault}'
    )


@pytest.mark.parametrize(
    ("data", "position"), [("%", 0), ("aGVsb%8=", 5), ("aGVsbG8", 4), ("abc", 0)]
)
def test_secret_data_that_is_no_base64(data: str, position: int) -> None:
    found = field_validation.unmarshal_fault(SECRETS.schema, {"data": {"a": data}})
    assert found == f"illegal base64 data at input byte {position}"


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"metadata": None, "spec": None},
        {"spec": {"replicas": None, "bogus": {"x": 1}}},
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}}},
        containers({"resources": {"limits": {"cpu": 1.5, "memory": "1Gi"}}}, None),
    ],
)
def test_what_go_reads_is_no_fault(obj: dict[str, Any]) -> None:
    field_validation.check_decodes(DEPLOYMENTS, obj)


FIELDS = (
    *("metadata", "spec", "template", "containers", "name", "labels", "ports", "replicas"),
    *("resources", "limits", "creationTimestamp", "strategy", "rollingUpdate", "maxSurge"),
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 2**33) | st.floats(-9, 9)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.text("1ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec"]), VALUES))
def test_go_and_validation_find_fault_with_the_same_objects(obj: dict[str, Any]) -> None:
    schema = DEPLOYMENTS.schema
    fault = field_validation.unmarshal_fault(schema, obj)
    assert bool(fault) is bool(validate(schema, obj, with_required=False))


def test_custom_resources_are_typed_in_their_metadata_only() -> None:
    field_validation.check_decodes(CUSTOM, {"metadata": {"name": "x"}, "spec": [{"replicas": "x"}]})
    with pytest.raises(ApiError, match=r"ObjectMeta\.metadata\.labels of type string"):
        field_validation.check_decodes(CUSTOM, {"metadata": {"labels": {"a": 1}}})


def test_first_fault_is_told_and_what_is_right_before_it_is_not() -> None:
    obj = {
        "metadata": {"creationTimestamp": "2026-11-29T08:00:00Z"},
        "spec": {
            "template": {
                "spec": {
                    "overhead": {"cpu": "1", "memory": 2},
                    "containers": [{"name": "c", "ports": [{"containerPort": "x"}]}],
                    "hostNetwork": "x",
                }
            }
        },
    }
    found = field_validation.unmarshal_fault(DEPLOYMENTS.schema, obj)
    assert found.endswith(".containers.ports.containerPort of type int32")


def test_numbers_of_any_kind_are_floats() -> None:
    group, kind = "apiextensions.k8s.io", "CustomResourceDefinition"
    schema = schemas.schema_of(group, "v1", kind)

    def fault(minimum: Any) -> str:
        version = {"schema": {"openAPIV3Schema": {"minimum": minimum}}}
        return field_validation.unmarshal_fault(schema, {"spec": {"versions": [version]}})

    assert fault(1) == fault(1.5) == ""
    assert fault("1").endswith(
        "JSONSchemaProps.spec.versions.schema.openAPIV3Schema.minimum of type float64"
    )


def test_a_strict_fault_names_every_field() -> None:
    """2.11. As kubectl-needs.md, section 1, "Validation errors"."""
    fault = field_validation.strict_fault(["spec.foo", "bar"], ["spec.replicas"])
    error = field_validation.cannot_be_handled(DEPLOYMENTS, fault)
    assert error.code == 400
    assert error.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'duplicate field "spec.replicas", unknown field "spec.foo", unknown field "bar"'
    )
    assert field_validation.strict_fault([], []) == ""


def test_strict_faults_are_bounded() -> None:
    found = field_validation.strict_faults([f"x{n}" for n in range(10_000)], [])
    assert len(found) == field_validation.TOLD_MAX
    assert found[0] == 'unknown field "x0"'
