"""Stored quantities and times are canonical (kube-behaviour 2.12).

Their forms: documentation of `resource.Quantity`, `metav1.Time` and `metav1.MicroTime`.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import quantity, spellings
from controlplane.api.resource import Object
from controlplane.api.schema import Schema
from tests.controlplane.apiserver.asked import container, pod, registry, resource

PODS = resource("pods")


def requested(**requests: Any) -> Object:
    return pod(container(resources={"requests": requests}))


def stored(**requests: Any) -> Any:
    found = spellings.canonical(PODS.schema, requested(**requests))
    return found["spec"]["containers"][0]["resources"]["requests"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        ("0.5Gi", "512Mi"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1000k", "1M"),
        ("1e3", "1e3"),
        ("0Mi", "0"),
        ("+1", "1"),
        (2, "2"),
        (0.25, "250m"),
    ],
)
def test_a_quantity_is_written_in_one_way(written: Any, kept: str) -> None:
    assert stored(cpu=written) == {"cpu": kept}


@pytest.mark.parametrize("written", ["", "x", "1Xi", True, [], {}])
def test_what_is_none_is_left_to_validation(written: Any) -> None:
    assert stored(cpu=written) == {"cpu": written}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00Z"),
        ("2024-01-01T02:00:00.123+02:00", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00.999999999Z", "2024-01-01T00:00:00Z"),
        ("2023-12-31T20:30:00-03:30", "2024-01-01T00:00:00Z"),
        ("0800-01-01T00:00:00-00:00", "0800-01-01T00:00:00Z"),
        # What is no time, or cannot be told in UTC, is left to validation.
        ("9999-12-31T23:00:00-05:00", "9999-12-31T23:00:00-05:00"),
        ("0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00+05:00"),
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00"),
        ("2024-01-01t02:00:00+02:00", "2024-01-01t02:00:00+02:00"),
        ("2024-01-01", "2024-01-01"),
        ("soon", "soon"),
        ("", ""),
        (5, 5),
        (None, None),
    ],
)
def test_a_time_is_written_in_one_way(written: Any, kept: Any) -> None:
    found = {"status": {"conditions": [{"type": "Ready", "lastTransitionTime": written}]}}
    (told,) = spellings.canonical(PODS.schema, found)["status"]["conditions"]
    assert told == {"type": "Ready", "lastTransitionTime": kept}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2024-01-01T00:00:00.123456Z", "2024-01-01T00:00:00.123456Z"),
        ("2024-01-01T02:00:00.1+02:00", "2024-01-01T00:00:00.100000Z"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000Z"),
        ("soon", "soon"),
    ],
)
def test_a_time_of_leases_and_events_has_six_digits(written: str, kept: str) -> None:
    leases = resource("leases", "coordination.k8s.io")
    assert spellings.canonical(leases.schema, {"spec": {"renewTime": written}}) == {
        "spec": {"renewTime": kept}
    }


@pytest.mark.parametrize(
    ("plural", "group", "version", "written", "kept"),
    [
        (
            "pods",
            "",
            "v1",
            {"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "0.5Gi"}}]}},
            {"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "512Mi"}}]}},
        ),
        (
            "persistentvolumeclaims",
            "",
            "v1",
            {"spec": {"resources": {"requests": {"storage": "2048Mi"}}}},
            {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
        ),
        (
            "limitranges",
            "",
            "v1",
            {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "2000m"}}]}},
            {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "2"}}]}},
        ),
        (
            "resourcequotas",
            "",
            "v1",
            {"spec": {"hard": {"pods": 4}}, "status": {"used": {"cpu": "0.1"}}},
            {"spec": {"hard": {"pods": "4"}}, "status": {"used": {"cpu": "100m"}}},
        ),
        (
            "nodes",
            "",
            "v1",
            {"status": {"capacity": {"memory": "1048576Ki"}}},
            {"status": {"capacity": {"memory": "1Gi"}}},
        ),
        (
            "horizontalpodautoscalers",
            "autoscaling",
            "v2",
            {"spec": {"metrics": [{"resource": {"target": {"averageValue": "1000m"}}}]}},
            {"spec": {"metrics": [{"resource": {"target": {"averageValue": "1"}}}]}},
        ),
    ],
)
def test_all_quantities_of_a_kind_are_found(
    plural: str, group: str, version: str, written: Object, kept: Object
) -> None:
    assert spellings.canonical(resource(plural, group, version).schema, written) == kept


def test_texts_that_look_like_one_stay() -> None:
    found = pod(container(env=[{"name": "A", "value": "1000m"}]), nodeName="1000m")
    assert spellings.canonical(PODS.schema, found) is found
    maps = resource("configmaps")
    data = {"data": {"cpu": "1000m"}}
    assert spellings.canonical(maps.schema, data) is data


def test_what_is_canonical_is_not_copied() -> None:
    found = requested(cpu="1", memory="1Gi")
    assert spellings.canonical(PODS.schema, found) is found


def test_a_type_that_contains_itself_has_an_end() -> None:
    tree = {
        "Tree": {
            "type": "object",
            "properties": {
                "size": {"type": "string", "format": "quantity"},
                "left": {"$ref": "#/definitions/Leaf"},
                "below": {"type": "array", "items": {"$ref": "#/definitions/Tree"}},
            },
        },
        "Leaf": {
            "type": "object",
            "properties": {"tree": {"$ref": "#/definitions/Tree"}, "name": {"type": "string"}},
        },
    }
    schema = Schema({"$ref": "#/definitions/Tree"}, tree)
    found = {"below": [{"size": "1000m"}, {"left": {"tree": {"size": "1024Mi"}}}]}
    assert spellings.canonical(schema, found) == {
        "below": [{"size": "1"}, {"left": {"tree": {"size": "1Gi"}}}]
    }


_TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(["1Gi", "1m"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["spec", "status", "containers", "resources", "limits", "cpu", "volumes"]
            ),
            inner,
            max_size=3,
        )
    ),
)


@given(_TREES, st.sampled_from(registry().all()))
def test_any_tree_is_rewritten_once(tree: Any, kind: Any) -> None:
    once = spellings.canonical(kind.schema, tree)
    assert spellings.canonical(kind.schema, once) is once


@given(st.integers(-(10**18), 10**18), st.sampled_from(["", "n", "u", "m", "k", "M", "Ki", "Mi"]))
def test_the_number_stays(number: int, suffix: str) -> None:
    kept = stored(cpu=f"{number}{suffix}")["cpu"]
    assert quantity.parse(kept) == quantity.parse(f"{number}{suffix}")
    assert quantity.canonical(kept) == kept
