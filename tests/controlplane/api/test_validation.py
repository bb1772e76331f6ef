"""Objects of built-in kinds against Kubernetes' own types."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import schemas
from controlplane.api.errors import CAUSES_MAX, Cause
from controlplane.api.schema import Schema
from controlplane.api.validation import validate

POD = schemas.schema_of("", "v1", "Pod")
DEPLOYMENT = schemas.schema_of("apps", "v1", "Deployment")
CRD = schemas.schema_of("apiextensions.k8s.io", "v1", "CustomResourceDefinition")


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }


def fields(schema: Schema, obj: dict[str, Any]) -> list[str]:
    return [cause.field for cause in validate(schema, obj)]


def test_pod_as_a_server_stores_it_is_valid() -> None:
    container = {
        "name": "c",
        "image": "nginx:1.25",
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": 1}},
        "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
    }
    obj = pod(containers=[container], nodeSelector={"a": "b"}, priority=0)
    obj["metadata"]["creationTimestamp"] = "2026-11-29T08:00:00Z"
    obj["status"] = {"phase": "Running", "startTime": "2026-11-29T08:00:00.123+01:00"}
    assert validate(POD, obj) == []


def test_all_faults_are_told_at_once_with_their_paths() -> None:
    """2.19: all errors collected, not first only."""
    obj = pod(
        containers=[
            {"image": "i"},
            {"name": 7, "ports": [{"containerPort": "80"}], "env": {}},
        ],
        hostNetwork="yes",
    )
    obj["metadata"]["labels"] = {"a": 1}
    assert validate(POD, obj) == [
        Cause(
            "FieldValueTypeInvalid",
            'Invalid value: "integer": metadata.labels.a in body must be of type string: "integer"',
            "metadata.labels.a",
        ),
        Cause("FieldValueRequired", "Required value", "spec.containers[0].name"),
        Cause(
            "FieldValueTypeInvalid",
            'Invalid value: "integer": spec.containers[1].name in body must be of type string: '
            '"integer"',
            "spec.containers[1].name",
        ),
        Cause(
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.containers[1].ports[0].containerPort in body must be '
            'of type integer: "string"',
            "spec.containers[1].ports[0].containerPort",
        ),
        Cause(
            "FieldValueTypeInvalid",
            'Invalid value: "object": spec.containers[1].env in body must be of type array: '
            '"object"',
            "spec.containers[1].env",
        ),
        Cause(
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.hostNetwork in body must be of type boolean: "string"',
            "spec.hostNetwork",
        ),
    ]


def test_required_fields_can_be_left_to_the_kinds_own_validator() -> None:
    """2.19: Kubernetes' API server does not ask for what its OpenAPI calls required."""
    obj = pod(containers=[{"image": "i", "ports": [{}]}])
    assert fields(POD, obj) == [
        "spec.containers[0].ports[0].containerPort",
        "spec.containers[0].name",
    ]
    assert validate(POD, obj, with_required=False) == []


def test_null_is_not_there() -> None:
    """2.1: as decoding into a Go struct has it."""
    obj = pod(nodeName=None, volumes=None, priority=None, tolerations=[None], overhead={"a": None})
    obj["metadata"]["annotations"] = None
    obj["metadata"]["labels"] = {"a": None}
    assert validate(POD, obj) == []
    assert fields(POD, pod(containers=None)) == ["spec.containers"]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("priority", [0, -(2**31), 2**31 - 1], [2**31, -(2**31) - 1, 1.0, "1", True, []]),
        ("activeDeadlineSeconds", [2**63 - 1], [2**63, 1.5]),
        ("hostNetwork", [True, False], [0, 1, "true"]),
        ("nodeName", ["", "x"], [1, True, {}]),
        ("nodeSelector", [{}, {"a": ""}], ["x", [], {"a": 1}]),
        ("tolerations", [[], [{}]], [{}, "x", [1]]),
        ("overhead", [{"cpu": "1"}, {"cpu": 0.5}, {"cpu": 2}], [{"cpu": "1x"}, {"cpu": True}]),
    ],
)
def test_types_are_those_of_go(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert validate(POD, pod(**{field: value})) == [], value
    for value in bad:
        assert validate(POD, pod(**{field: value})), value


def test_bad_quantity_is_invalid_in_kubernetes_words() -> None:
    container = {"name": "c", "resources": {"limits": {"cpu": "1x"}}}
    assert validate(POD, pod(containers=[container])) == [
        Cause(
            "FieldValueInvalid",
            'Invalid value: "1x": quantities must match the regular expression '
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            "spec.containers[0].resources.limits.cpu",
        )
    ]


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-30T00:00:00Z",
        "yesterday",
        "2026-11-29",
        "",
        "2026-11-29t00:00:00Z",
        "2026-11-29T00:00:00z",
    ],
)
def test_times_are_rfc_3339(value: str) -> None:
    obj = pod()
    obj["metadata"]["creationTimestamp"] = value
    assert fields(POD, obj) == ["metadata.creationTimestamp"]


def test_secret_data_is_base64() -> None:
    secret = schemas.schema_of("", "v1", "Secret")
    assert validate(secret, {"data": {"a": "aGVsbG8=", "b": ""}}) == []
    assert fields(secret, {"data": {"a": "%", "b": "aGVsbG8"}}) == ["data.a", "data.b"]


def test_type_that_contains_itself_is_followed_as_deep_as_the_object_goes() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(60):
        schema = {"type": "object", "properties": {"a": schema, "b": {"minLength": "x"}}}
    obj = {
        "spec": {
            "group": "g",
            "names": {"kind": "K", "plural": "k"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        }
    }
    found = fields(CRD, obj)
    assert len(found) == 60
    assert found[0].startswith("spec.versions[0].schema.openAPIV3Schema.")


def test_open_types_take_anything() -> None:
    """ControllerRevision's data is any object, a schema's default any value."""
    revision = schemas.schema_of("apps", "v1", "ControllerRevision")
    assert validate(revision, {"revision": 1, "data": {"a": [1, {"b": None}]}}) == []
    assert fields(revision, {"revision": 1, "data": 1}) == ["data"]


def test_causes_are_bounded() -> None:
    obj = pod(containers=[{"name": 1} for _ in range(10 * CAUSES_MAX)])
    assert len(validate(POD, obj)) == CAUSES_MAX


def test_object_is_not_changed_by_looking_at_it() -> None:
    obj = pod(nodeName=None)
    before = orjson.dumps(obj)
    validate(POD, obj)
    assert orjson.dumps(obj) == before


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "template", "containers", "name", "labels", "ports"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), VALUES))
@pytest.mark.parametrize("schema", [POD, DEPLOYMENT, CRD], ids=["Pod", "Deployment", "CRD"])
def test_any_object_is_judged_and_never_fails(schema: Schema, obj: dict[str, Any]) -> None:
    """Must show 7: malformed objects are refused, and nothing else happens."""
    for cause in validate(schema, obj):
        assert cause.message
        assert cause.field
