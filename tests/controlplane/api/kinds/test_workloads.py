"""Deployments, ReplicaSets, StatefulSets and DaemonSets. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.served import (
    TEMPLATE,
    columns,
    created,
    defaulted,
    faults,
    resource,
    row,
    update_faults,
    with_fields,
    workload,
)

DEPLOYMENT = workload("Deployment")
REPLICA_SET = workload("ReplicaSet")
STATEFUL_SET = workload("StatefulSet", serviceName="a")
DAEMON_SET = workload("DaemonSet")
ALL = [DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET]
every_workload = pytest.mark.parametrize("obj", ALL, ids=[one["kind"] for one in ALL])


def own_spec(obj: Any) -> Any:
    """Without what its manifest says."""
    spec = defaulted(obj)["spec"]
    return {key: value for key, value in spec.items() if key not in ("selector", "template")}


def test_defaults_of_a_deployment() -> None:
    # 4.2
    assert own_spec(DEPLOYMENT) == {
        "replicas": 1,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        },
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }


def test_a_deployment_that_recreates_has_no_bounds() -> None:
    # 4.2, 4.8
    deployment = with_fields(DEPLOYMENT, spec__strategy={"type": "Recreate"})
    assert defaulted(deployment)["spec"]["strategy"] == {"type": "Recreate"}


def test_one_bound_of_a_rolling_update_leaves_the_other_at_its_default() -> None:
    # 4.2
    strategy = {"rollingUpdate": {"maxSurge": 3}}
    deployment = defaulted(with_fields(DEPLOYMENT, spec__strategy=strategy))
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 3,
        "maxUnavailable": "25%",
    }


def test_defaults_of_a_replica_set() -> None:
    assert own_spec(REPLICA_SET) == {"replicas": 1}


def test_defaults_of_a_stateful_set() -> None:
    # 4.9
    """3.4: 10 revisions."""
    assert own_spec(STATEFUL_SET) == {
        "serviceName": "a",
        "replicas": 1,
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "revisionHistoryLimit": 10,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    }


def test_defaults_of_a_stateful_sets_claims() -> None:
    # 4.9
    claims = [{"metadata": {"name": "data"}, "spec": {}}]
    found = defaulted(with_fields(STATEFUL_SET, spec__volumeClaimTemplates=claims))
    assert found["spec"]["volumeClaimTemplates"] == [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {"volumeMode": "Filesystem"},
            "status": {"phase": "Pending"},
        }
    ]


def test_defaults_of_a_daemon_set() -> None:
    # 4.10
    """3.4: 10 revisions."""
    assert own_spec(DAEMON_SET) == {
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
        },
        "revisionHistoryLimit": 10,
    }


@every_workload
def test_templates_are_defaulted_as_pods_are(obj: Any) -> None:
    spec = defaulted(obj)["spec"]["template"]["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    # These two are pods' own: a template keeps what its author wrote.
    assert "enableServiceLinks" not in spec
    limited = with_fields(
        obj, spec__template__spec__containers__0__resources={"limits": {"cpu": "1"}}
    )
    container = defaulted(limited)["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {"limits": {"cpu": "1"}}


@every_workload
def test_a_right_one_has_no_faults(obj: Any) -> None:
    assert faults(obj) == []
    assert obj["metadata"].get("generation") is None
    assert resource(obj).has_generation  # 2.12


@every_workload
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"spec__template__metadata__labels": {"x": "y", "app": "b"}},
            [
                (
                    "spec.template.metadata.labels: Invalid value: "
                    'map[string]string{"app":"b", "x":"y"}: '
                    "`selector` does not match template `labels`"
                )
            ],
        ),
        ({"spec__selector": None}, ["spec.selector: Required value"]),
        (
            {"spec__template__spec__containers": []},
            ["spec.template.spec.containers: Required value"],
        ),
        (
            {"spec__minReadySeconds": -1},
            ["spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            {"spec__template__spec__restartPolicy": "Never"},
            [
                (
                    'spec.template.spec.restartPolicy: Unsupported value: "Never": '
                    'supported values: "Always"'
                )
            ],
        ),
    ],
)
def test_all_workloads_refuse(obj: Any, fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19
    assert faults(with_fields(obj, **fields)) == expected


@every_workload
def test_an_empty_selector_selects_too_much(obj: Any) -> None:
    # 2.19
    what = {"ReplicaSet": "deployment", "Deployment": "deployment"}.get(
        obj["kind"], obj["kind"].lower()
    )
    assert faults(with_fields(obj, spec__selector={})) == [
        f"spec.selector: Invalid value: {{}}: empty selector is invalid for {what}"
    ]


@every_workload
def test_pods_that_stay_have_no_deadline(obj: Any) -> None:
    # 2.19
    owner = {"Deployment": "ReplicaSet"}.get(obj["kind"], obj["kind"])
    assert faults(with_fields(obj, spec__template__spec__activeDeadlineSeconds=1)) == [
        (
            "spec.template.spec.activeDeadlineSeconds: Forbidden: "
            f"activeDeadlineSeconds in {owner} is not Supported"
        )
    ]


@pytest.mark.parametrize("obj", [DEPLOYMENT, REPLICA_SET, DAEMON_SET], ids=lambda obj: obj["kind"])
def test_a_selector_is_settled(obj: Any) -> None:
    # 2.19
    assert "spec.selector" in resource(obj).immutable


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"maxSurge": 1, "maxUnavailable": 0}, []),
        (
            {"maxSurge": 0, "maxUnavailable": 0},
            [
                (
                    "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: "
                    "may not be 0 when `maxSurge` is 0"
                )
            ],
        ),
        (
            {"maxSurge": "0%", "maxUnavailable": "0%"},
            [
                (
                    'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": '
                    "may not be 0 when `maxSurge` is 0"
                )
            ],
        ),
        (
            {"maxUnavailable": "101%"},
            [
                (
                    'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": '
                    "must not be greater than 100%"
                )
            ],
        ),
        (
            {"maxSurge": "some"},
            [
                (
                    'spec.strategy.rollingUpdate.maxSurge: Invalid value: "some": '
                    "a valid percent string must be a numeric string followed by an ending '%' "
                    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
                )
            ],
        ),
        (
            {"maxSurge": -1},
            [
                (
                    "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: "
                    "must be greater than or equal to 0"
                )
            ],
        ),
    ],
)
def test_bounds_of_a_rolling_update(bounds: dict[str, Any], expected: list[str]) -> None:
    # 4.3
    assert faults(with_fields(DEPLOYMENT, spec__strategy={"rollingUpdate": bounds})) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"spec__strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            [
                (
                    "spec.strategy.rollingUpdate: Forbidden: "
                    "may not be specified when strategy `type` is 'Recreate'"
                )
            ],
        ),
        (
            {"spec__strategy": {"type": "Blue"}},
            [
                (
                    'spec.strategy.type: Unsupported value: "Blue": '
                    'supported values: "Recreate", "RollingUpdate"'
                )
            ],
        ),
        (
            {"spec__progressDeadlineSeconds": 5, "spec__minReadySeconds": 5},
            [
                (
                    "spec.progressDeadlineSeconds: Invalid value: 5: "
                    "must be greater than minReadySeconds"
                )
            ],
        ),
        (
            {"spec__replicas": -1},
            ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ],
)
def test_a_wrong_deployment(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19
    assert faults(with_fields(DEPLOYMENT, **fields)) == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"maxUnavailable": 0, "maxSurge": 1}, []),
        (
            {"maxUnavailable": 1, "maxSurge": 1},
            [
                (
                    "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: "
                    "may not be set when maxUnavailable is non-zero"
                )
            ],
        ),
        (
            {"maxUnavailable": 0},
            [
                (
                    "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: "
                    "cannot be 0 when maxSurge is 0"
                )
            ],
        ),
    ],
)
def test_bounds_of_a_daemon_sets_update(bounds: dict[str, Any], expected: list[str]) -> None:
    # 4.10
    daemon_set = with_fields(DAEMON_SET, spec__updateStrategy={"rollingUpdate": bounds})
    assert faults(daemon_set) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"spec__podManagementPolicy": "Serial"},
            [
                (
                    'spec.podManagementPolicy: Invalid value: "Serial": '
                    "must be 'OrderedReady' or 'Parallel'"
                )
            ],
        ),
        (
            {"spec__updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
            [
                (
                    'spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: '
                    "only allowed for updateStrategy 'RollingUpdate'"
                )
            ],
        ),
        (
            {"spec__persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}},
            [
                (
                    "spec.persistentVolumeClaimRetentionPolicy.whenScaled: "
                    'Unsupported value: "Keep": supported values: "Delete", "Retain"'
                )
            ],
        ),
        (
            {"spec__ordinals": {"start": -1}},
            ["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ],
)
def test_a_wrong_stateful_set(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 4.9
    assert faults(with_fields(STATEFUL_SET, **fields)) == expected


MAY_NOT = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
    "'template', 'updateStrategy', 'revisionHistoryLimit', "
    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__replicas": 3}, []),
        ({"spec__minReadySeconds": 3}, []),
        ({"spec__template__metadata__annotations": {"a": "b"}}, []),
        ({"spec__serviceName": "b"}, [MAY_NOT]),
        ({"spec__podManagementPolicy": "Parallel"}, [MAY_NOT]),
        ({"spec__volumeClaimTemplates": [{"metadata": {"name": "x"}}]}, [MAY_NOT]),
    ],
)
def test_most_of_a_stateful_set_is_settled(fields: dict[str, Any], expected: list[str]) -> None:
    # 4.9
    assert update_faults(with_fields(STATEFUL_SET, **fields), STATEFUL_SET) == expected


def test_no_more_replicas_are_ready_than_there_are() -> None:
    # 4.1
    old = created(REPLICA_SET)
    new = {**old, "status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3}}
    assert update_faults(new, old) == [
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
    ]


WIDE = ["CONTAINERS", "IMAGES", "SELECTOR"]


@pytest.mark.parametrize(
    ("obj", "plain", "wide"),
    [
        (DEPLOYMENT, ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], WIDE),
        (REPLICA_SET, ["NAME", "DESIRED", "CURRENT", "READY", "AGE"], WIDE),
        (STATEFUL_SET, ["NAME", "READY", "AGE"], ["CONTAINERS", "IMAGES"]),
        (
            DAEMON_SET,
            [
                "NAME",
                "DESIRED",
                "CURRENT",
                "READY",
                "UP-TO-DATE",
                "AVAILABLE",
                "NODE SELECTOR",
                "AGE",
            ],
            WIDE,
        ),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else "",
)
def test_kubectl_prints_these_columns(obj: Any, plain: list[str], wide: list[str]) -> None:
    # 1.2
    assert columns(obj) == (plain, wide)


TWO = [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j:2"}]


def test_a_deployments_row() -> None:
    # 1.2
    deployment = with_fields(
        DEPLOYMENT,
        metadata__creationTimestamp="2023-11-14T21:13:20Z",
        spec__replicas=3,
        spec__template__spec__containers=TWO,
        spec__selector={
            "matchLabels": {"b": "x", "a": "y"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["2", "1"]},
                {"key": "d", "operator": "DoesNotExist"},
            ],
        },
        status={"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
    )
    assert row(deployment) == {
        "Name": "a",
        "Ready": "2/3",
        "Up-to-date": 1,
        "Available": 2,
        "Age": "60m",
        "Containers": "a,b",
        "Images": "i:1,j:2",
        "Selector": "a=y,b=x,c in (1,2),!d",
    }


def test_rows_before_any_controller_has_looked() -> None:
    # 1.2
    assert row(defaulted(DEPLOYMENT))["Ready"] == "0/1"
    assert row(defaulted(REPLICA_SET))["Current"] == 0
    assert row(defaulted(STATEFUL_SET))["Ready"] == "0/1"
    daemon_set = row(defaulted(DAEMON_SET))
    assert (daemon_set["Desired"], daemon_set["Node Selector"]) == (0, "<none>")


def test_a_daemon_sets_node_selector() -> None:
    daemon_set = with_fields(
        DAEMON_SET, spec__template=TEMPLATE, spec__template__spec__nodeSelector={"b": "2", "a": "1"}
    )
    assert row(daemon_set)["Node Selector"] == "a=1,b=2"
