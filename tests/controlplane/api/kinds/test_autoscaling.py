"""Autoscalers and disruption budgets. Numbers are those of kube-behaviour."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.kinds import horizontalpodautoscaler_v1 as v1
from tests.controlplane.api.kinds.served import columns, defaulted, faults, row, with_fields

V2 = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "a"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 10,
    },
}
V1 = V2 | {"apiVersion": "autoscaling/v1"}
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}},
}


def test_defaults_of_an_autoscaler() -> None:
    # 4.15
    spec = defaulted(V2)["spec"]
    assert (spec["minReplicas"], spec["metrics"]) == (1, [CPU])
    assert "behavior" not in spec


def test_defaults_of_behaviour() -> None:
    # 4.15: up by the larger of 4 pods and 100 % in 15 s without a window, down by 100 %.
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    spec = defaulted(with_fields(V2, spec__behavior=behavior))["spec"]
    assert spec["behavior"] == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 60,
            "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        },
    }


@pytest.mark.parametrize("obj", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        (
            {"spec__maxReplicas": 0},
            [
                "spec.maxReplicas: Invalid value: 0: must be greater than 0",
                (
                    "spec.maxReplicas: Invalid value: 0: "
                    "must be greater than or equal to `minReplicas`"
                ),
            ],
        ),
        (
            {"spec__minReplicas": 0},
            ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"],
        ),
        (
            {"spec__minReplicas": 11},
            ["spec.maxReplicas: Invalid value: 10: must be greater than or equal to `minReplicas`"],
        ),
        (
            {"spec__scaleTargetRef": {}},
            [
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.name: Required value",
            ],
        ),
    ],
)
def test_a_wrong_autoscaler(obj: Any, fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 4.15
    assert faults(with_fields(obj, **fields)) == expected


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ({}, [".type: Required value: must specify a metric source type"]),
        (
            {"type": "Load"},
            [
                (
                    '.type: Unsupported value: "Load": supported values: '
                    '"ContainerResource", "External", "Object", "Pods", "Resource"'
                )
            ],
        ),
        (
            {"type": "Resource"},
            [".resource: Required value: must populate information for the given metric source"],
        ),
        (
            CPU | {"pods": {}},
            [".pods: Forbidden: must populate the given metric source only"],
        ),
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}},
            [
                (
                    ".resource.target.averageUtilization: Required value: "
                    "must set either a target raw value or a target utilization"
                )
            ],
        ),
        (
            {
                "type": "External",
                "external": {
                    "metric": {"name": "q"},
                    "target": {"value": "1", "averageValue": "1"},
                },
            },
            [
                ".external.target.type: Required value: must specify a metric target type",
                (
                    '.external.target.type: Invalid value: "": '
                    "must be either Utilization, Value, or AverageValue"
                ),
                (
                    ".external.target.value: Forbidden: "
                    "may not set both a target value for metric and a per-pod target"
                ),
            ],
        ),
    ],
)
def test_a_wrong_metric(metric: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 4.15
    found = faults(with_fields(V2, spec__metrics=[metric]))
    assert found == [f"spec.metrics[0]{one}" for one in expected]


def test_kubectl_prints_these_columns() -> None:
    # 1.2
    heads = ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert columns(V2) == columns(V1) == (heads, [])


def current(name: str, **values: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "current": values}}


@pytest.mark.parametrize(
    ("metrics", "measured", "expected"),
    [
        ([], [], "<none>"),
        ([CPU], [], "cpu: <unknown>/80%"),
        ([CPU], [current("cpu", averageUtilization=7)], "cpu: 7%/80%"),
        (
            [CPU, MEMORY],
            [current("cpu", averageUtilization=7), current("memory", averageValue="5Mi")],
            "cpu: 7%/80%, memory: 5Mi/100Mi",
        ),
        ([CPU, MEMORY, CPU], [], "cpu: <unknown>/80%, memory: <unknown>/100Mi + 1 more..."),
        (
            [
                {
                    "type": "External",
                    "external": {
                        "metric": {"name": "q"},
                        "target": {"type": "AverageValue", "averageValue": "30"},
                    },
                }
            ],
            [],
            "<unknown>/30 (avg)",
        ),
        (
            [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": "q"},
                        "target": {"type": "AverageValue", "averageValue": "30"},
                    },
                }
            ],
            [{"type": "Pods", "pods": {"current": {"averageValue": "2"}}}],
            "2/30",
        ),
    ],
)
def test_what_an_autoscaler_measures(metrics: Any, measured: Any, expected: str) -> None:
    # 1.2, 4.15
    status = {"currentMetrics": measured, "currentReplicas": 3}
    found = row(with_fields(V2, spec__metrics=metrics, status=status))
    assert found["Targets"] == expected
    assert (found["Reference"], found["MinPods"], found["MaxPods"], found["Replicas"]) == (
        "Deployment/web",
        "<unset>",
        10,
        3,
    )


def test_v1_is_stored_as_v2() -> None:
    # 4.15
    obj = with_fields(
        V1,
        spec__targetCPUUtilizationPercentage=50,
        status={"currentReplicas": 2, "currentCPUUtilizationPercentage": 7},
    )
    stored = v1.to_storage(obj)
    assert stored["apiVersion"] == "autoscaling/v2"
    assert stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    assert stored["status"] == {
        "currentReplicas": 2,
        "currentMetrics": [current("cpu", averageUtilization=7)],
    }
    assert v1.from_storage(stored) == obj
    assert row(obj)["Targets"] == "cpu: 7%/50%"


def test_v1_without_a_target_means_80_percent_of_cpu() -> None:
    # 4.15
    assert v1.to_storage(V1)["spec"]["metrics"] == [CPU]
    assert v1.from_storage(v1.to_storage(V1))["spec"]["targetCPUUtilizationPercentage"] == 80


@given(
    st.lists(st.sampled_from([MEMORY, CPU, {"type": "Pods", "pods": {}}]), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_nothing_of_v2_is_lost_on_the_way_through_v1(
    metrics: list[Any], has_behavior: bool, has_status: bool
) -> None:
    spec: dict[str, Any] = {**defaulted(V2)["spec"], "metrics": metrics}
    if has_behavior:
        spec["behavior"] = {"scaleUp": {"selectPolicy": "Min"}}
    obj: dict[str, Any] = {**V2, "spec": spec}
    if has_status:
        obj["status"] = {
            "desiredReplicas": 1,
            "conditions": [{"type": "AbleToScale"}],
            "currentMetrics": [current("memory", averageValue="1")],
        }
    back = v1.to_storage(v1.from_storage(obj))
    assert sorted(map(str, back["spec"].pop("metrics"))) == sorted(map(str, metrics))
    assert back == {**obj, "spec": {key: one for key, one in spec.items() if key != "metrics"}}


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a":1}'])
def test_annotations_that_say_nothing_are_no_metrics(text: str) -> None:
    annotations = {"autoscaling.alpha.kubernetes.io/metrics": text}
    stored = v1.to_storage(with_fields(V1, metadata__annotations=annotations))
    assert stored["spec"]["metrics"] == [CPU]


BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "a"},
    "spec": {"selector": {"matchLabels": {"a": "b"}}, "minAvailable": "50%"},
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        (
            {"spec__minAvailable": 1, "spec__maxUnavailable": 1, "spec__selector": None},
            [
                (
                    'spec: Invalid value: {"maxUnavailable":1,"minAvailable":1}: '
                    "minAvailable and maxUnavailable cannot be both set"
                )
            ],
        ),
        (
            {"spec__minAvailable": -1},
            ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            {"spec__minAvailable": "120%"},
            ['spec.minAvailable: Invalid value: "120%": must not be greater than 100%'],
        ),
        (
            {"spec__unhealthyPodEvictionPolicy": "Often"},
            [
                (
                    'spec.unhealthyPodEvictionPolicy: Unsupported value: "Often": '
                    'supported values: "AlwaysAllow", "IfHealthyBudget"'
                )
            ],
        ),
    ],
)
def test_a_wrong_budget(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 8.1
    assert faults(with_fields(BUDGET, **fields)) == expected


def test_a_budgets_row() -> None:
    # 1.2, 8.1
    heads = ["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"]
    assert columns(BUDGET) == (heads, [])
    found = row(with_fields(BUDGET, status={"disruptionsAllowed": 2}))
    assert list(found.values())[1:4] == ["50%", "N/A", 2]
