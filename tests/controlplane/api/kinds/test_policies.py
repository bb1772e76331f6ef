"""Priority classes, resource quotas and limit ranges."""

from typing import Any

import pytest

from controlplane.api.errors import CAUSE_CHARACTERS_MAX, CAUSES_MAX
from tests.controlplane.api.kinds.built_in import (
    defaulted,
    faults,
    faults_of_update,
    printed,
    resource,
)

CLASSES = resource("scheduling.k8s.io", "priorityclasses")
QUOTAS = resource("", "resourcequotas")
RANGES = resource("", "limitranges")
META = {"name": "x", "creationTimestamp": "2023-11-14T22:03:20Z"}


def _class(name: str, value: int, **rest: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "value": value, "preemptionPolicy": "Never", **rest}


RESERVED = (
    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved "
    "for system use only. error: "
)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a", 1_000_000_000, []),
        ("a", -2_147_483_648, []),
        (
            "a",
            1_000_000_001,
            ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
        ),
        ("system-cluster-critical", 2_000_000_000, []),
        ("system-node-critical", 2_000_001_000, []),
        (
            "system-node-critical",
            5,
            [RESERVED + "value of system-node-critical PriorityClass must be 2000001000"],
        ),
        ("system-mine", 5, [RESERVED + "system-mine is not a known system priority class"]),
    ],
)
def test_high_priorities_are_the_systems(name: str, value: int, expected: list[str]) -> None:  # 8.4
    assert faults(CLASSES, _class(name, value)) == expected


def test_a_system_class_is_no_default() -> None:  # 8.4
    obj = _class("system-cluster-critical", 2_000_000_000, globalDefault=True)
    told = "globalDefault of system-cluster-critical PriorityClass must be false"
    assert faults(CLASSES, obj) == [RESERVED + told]


def test_a_class_preempts_or_never_does() -> None:  # 8.4
    assert CLASSES.defaults == {"preemptionPolicy": "PreemptLowerPriority"}
    assert faults(CLASSES, _class("a", 1, preemptionPolicy="Maybe")) == [
        (
            'preemptionPolicy: Unsupported value: "Maybe": '
            'supported values: "Never", "PreemptLowerPriority"'
        )
    ]


def test_the_value_of_a_class_stays() -> None:  # 8.4
    old = _class("a", 1)
    told = ["value: Forbidden: may not be changed in an update."]
    assert faults_of_update(CLASSES, _class("a", 2), old) == told
    assert faults_of_update(CLASSES, _class("a", 1, description="d"), old) == []
    assert "preemptionPolicy" in CLASSES.immutable


def test_how_classes_are_printed() -> None:  # 1.2
    assert printed(CLASSES, {"metadata": META, "preemptionPolicy": "Never"}) == {
        "Name": "x",
        "Value": 0,
        "Global-Default": False,
        "Age": "10m",
        "PreemptionPolicy": "Never",
    }


@pytest.mark.parametrize(
    ("name", "amount", "expected"),
    [
        ("cpu", "1500m", []),
        ("requests.hugepages-2Mi", "1Gi", []),
        ("count/deployments.apps", "3", []),
        ("requests.example.com/gpu", "1", []),
        ("services.nodeports", "0", []),
        ("gold.storageclass.storage.k8s.io/requests.storage", "5Gi", []),
        ("gpu", "1", ['Invalid value: "gpu": must be a standard resource for quota']),
        ("cpu", "-1", ['Invalid value: "-1": must be greater than or equal to 0']),
        ("pods", "1500m", ['Invalid value: "1500m": must be an integer']),
        ("count/pods", "500m", ['Invalid value: "500m": must be an integer']),
    ],
)
def test_a_quota_bounds_known_resources(name: str, amount: str, expected: list[str]) -> None:  # 8.2
    found = faults(QUOTAS, {"spec": {"hard": {name: amount}}})
    assert found == [f"spec.hard[{name}]: {fault}" for fault in expected]


def test_what_is_told_of_many_scopes_does_not_grow_with_their_square() -> None:
    scopes = [f"Scope{number}" for number in range(400)]
    terms = [{"scopeName": "Terminating", "operator": "Exists"}] * 400
    found = faults(
        QUOTAS,
        {
            "spec": {
                "scopes": scopes,
                "scopeSelector": {"matchExpressions": terms},
                "hard": {"services": "1"},
            }
        },
    )
    assert len(found) == 2 * CAUSES_MAX
    assert all(fault.endswith("unsupported scope") for fault in found[:CAUSES_MAX])
    assert found[-1].endswith("unsupported scope applied to resource")
    assert sum(map(len, found)) < 2 * CAUSES_MAX * CAUSE_CHARACTERS_MAX


@pytest.mark.parametrize(
    ("scopes", "hard", "expected"),
    [
        (["BestEffort"], ["pods", "count/x.example.com"], []),
        (["NotBestEffort", "Terminating"], ["pods", "limits.cpu", "requests.memory"], []),
        (["BestEffort"], ["cpu"], ["unsupported scope applied to resource"]),
        (["Terminating"], ["services"], ["unsupported scope applied to resource"]),
        (["Other"], ["pods"], ["unsupported scope"]),
        (["BestEffort", "NotBestEffort"], ["pods"], ["conflicting scopes"]),
        (["NotTerminating", "Terminating"], ["pods"], ["conflicting scopes"]),
    ],
)
def test_scopes_of_a_quota_select_pods(  # 8.2
    scopes: list[str], hard: list[str], expected: list[str]
) -> None:
    shown = "[" + ",".join(f'"{scope}"' for scope in scopes) + "]"
    found = faults(QUOTAS, {"spec": {"scopes": scopes, "hard": dict.fromkeys(hard, "1")}})
    assert found == [f"spec.scopes: Invalid value: {shown}: {fault}" for fault in expected]


@pytest.mark.parametrize(
    ("scope", "operator", "values", "expected"),
    [
        ("PriorityClass", "In", ["high"], []),
        ("PriorityClass", "Exists", [], []),
        ("Terminating", "Exists", [], []),
        (
            "PriorityClass",
            "NotIn",
            [],
            [
                (
                    ".values: Required value: must be at least one value when `operator` is "
                    "'In' or 'NotIn' for scope selector"
                )
            ],
        ),
        (
            "PriorityClass",
            "DoesNotExist",
            ["x"],
            [
                (
                    '.values: Invalid value: ["x"]: must be no value when `operator` is '
                    "'Exist' or 'DoesNotExist' for scope selector"
                )
            ],
        ),
        (
            "PriorityClass",
            "Like",
            [],
            ['.operator: Invalid value: "Like": not a valid selector operator'],
        ),
        (
            "BestEffort",
            "In",
            ["x"],
            [
                (
                    ".operator: Invalid value: \"In\": must be 'Exist' when scope is any of "
                    "ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                    "ResourceQuotaScopeBestEffort and ResourceQuotaScopeNotBestEffort"
                )
            ],
        ),
        ("Other", "Exists", [], ['.scopeName: Invalid value: "Other": unsupported scope']),
    ],
)
def test_a_scope_selector_is_checked(  # 8.2
    scope: str, operator: str, values: list[str], expected: list[str]
) -> None:
    term = {"scopeName": scope, "operator": operator, "values": values}
    spec = {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [term]}}
    path = "spec.scopeSelector.matchExpressions"
    assert faults(QUOTAS, {"spec": spec}) == [path + fault for fault in expected]


def test_how_quotas_are_printed() -> None:  # 1.2
    hard = {"pods": "10", "requests.cpu": "2", "limits.cpu": "4000m", "limits.memory": "8Gi"}
    used = {"pods": "3", "requests.cpu": "0.5", "limits.cpu": "1"}
    obj = {"metadata": META, "status": {"hard": hard, "used": used}}
    assert printed(QUOTAS, obj) == {
        "Name": "x",
        "Request": "pods: 3/10, requests.cpu: 500m/2",
        "Limit": "limits.cpu: 1/4, limits.memory: 0/8Gi",
        "Age": "10m",
    }
    assert "spec.scopes" in QUOTAS.immutable


def _range(*items: Any) -> dict[str, Any]:
    return {"metadata": META, "spec": {"limits": list(items)}}


def test_a_containers_default_is_its_maximum_and_its_request_follows() -> None:  # 8.3
    item = {
        "type": "Container",
        "max": {"cpu": "2"},
        "min": {"memory": "1Mi", "cpu": "100m"},
        "default": {"memory": "1Gi"},
        "defaultRequest": {"memory": "512Mi"},
    }
    (found,) = defaulted(RANGES, _range(item))["spec"]["limits"]
    assert found["default"] == {"cpu": "2", "memory": "1Gi"}
    assert found["defaultRequest"] == {"cpu": "2", "memory": "512Mi"}
    only_min = {"type": "Container", "min": {"cpu": "100m"}}
    (found,) = defaulted(RANGES, _range(only_min))["spec"]["limits"]
    assert found == {**only_min, "defaultRequest": {"cpu": "100m"}}


def test_a_pods_limits_have_no_defaults() -> None:  # 8.3
    item = {"type": "Pod", "max": {"cpu": "2"}}
    assert defaulted(RANGES, _range(item)) == _range(item)
    assert faults(RANGES, _range({**item, "default": {"cpu": "1"}})) == [
        "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"
    ]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            {"min": "2", "max": "1"},
            'min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
        ),
        (
            {"min": "2", "defaultRequest": "1"},
            (
                'defaultRequest[cpu]: Invalid value: "1": '
                "min value 2 is greater than default request value 1"
            ),
        ),
        (
            {"defaultRequest": "2", "max": "1"},
            (
                'defaultRequest[cpu]: Invalid value: "2": '
                "default request value 2 is greater than max value 1"
            ),
        ),
        (
            {"defaultRequest": "2", "default": "1"},
            (
                'defaultRequest[cpu]: Invalid value: "2": '
                "default request value 2 is greater than default limit value 1"
            ),
        ),
        (
            {"min": "2", "default": "1"},
            'default[cpu]: Invalid value: "2": min value 2 is greater than default value 1',
        ),
        (
            {"default": "2", "max": "1"},
            'default[cpu]: Invalid value: "1": default value 2 is greater than max value 1',
        ),
        (
            {"maxLimitRequestRatio": "0.5"},
            'maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1',
        ),
        (
            {"min": "1", "max": "2", "maxLimitRequestRatio": "3"},
            (
                'maxLimitRequestRatio[cpu]: Invalid value: "3": '
                "ratio 3 is greater than max/min = 2.000000"
            ),
        ),
    ],
)
def test_bounds_of_a_container_are_in_order(lists: dict[str, str], expected: str) -> None:  # 8.3
    item = {"type": "Container", **{name: {"cpu": value} for name, value in lists.items()}}
    assert faults(RANGES, _range(item)) == [f"spec.limits[0].{expected}"]
    ordered = {"min": "1", "defaultRequest": "2", "default": "3", "max": "4"}
    item = {"type": "Container", **{name: {"cpu": value} for name, value in ordered.items()}}
    assert faults(RANGES, _range({**item, "maxLimitRequestRatio": {"cpu": "4"}})) == []


def test_what_cannot_be_overcommitted_is_asked_for_as_it_is_limited() -> None:  # 8.3
    name = "example.com/gpu"
    item = {"type": "Container", "default": {name: "2"}, "defaultRequest": {name: "1"}}
    assert faults(RANGES, _range(item)) == [
        (
            f'spec.limits[0].defaultRequest[{name}]: Invalid value: "1": '
            f"default value 2 must equal to defaultRequest value 1 in {name}"
        )
    ]


def test_types_of_limits_are_known_and_come_once() -> None:  # 8.3
    items = [{"type": "Pod"}, {"type": "Pod"}, {"type": "Node"}, {"type": "example.com/x"}]
    assert faults(RANGES, _range(*items)) == [
        'spec.limits[1].type: Duplicate value: "Pod"',
        (
            'spec.limits[2].type: Invalid value: "Node": '
            "must be a standard limit type or fully qualified"
        ),
    ]


def test_a_claims_limit_is_of_storage() -> None:  # 8.3
    item = {"type": "PersistentVolumeClaim"}
    assert faults(RANGES, _range(item)) == [
        (
            "spec.limits[0].limits: Required value: "
            "either minimum or maximum storage value is required, but neither was provided"
        )
    ]
    assert faults(RANGES, _range({**item, "max": {"storage": "1Gi"}})) == []


def test_containers_have_no_storage_of_claims() -> None:  # 8.3
    items = [{"type": "Container", "max": {"storage": "1Gi", "tea": "1"}}]
    assert faults(RANGES, _range(*items)) == [
        (
            'spec.limits[0].max[storage]: Invalid value: "storage": '
            "must be a standard resource for containers"
        ),
        (
            'spec.limits[0].max[tea]: Invalid value: "tea": '
            "must be a standard resource type or fully qualified"
        ),
    ]


def test_how_limit_ranges_are_printed() -> None:  # 1.2
    assert printed(RANGES, _range()) == {"Name": "x", "Created At": "2023-11-14T22:03:20Z"}
