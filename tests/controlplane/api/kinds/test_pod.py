"""Pods. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.served import (
    POD,
    created,
    defaulted,
    faults,
    resource,
    with_fields,
)


def test_what_is_left_out_is_filled_in() -> None:
    # 10.4, 10.6: the documented defaults of a pod.
    spec = defaulted(POD)["spec"]
    container = spec.pop("containers")[0]
    assert spec == {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    assert container == {
        "name": "web",
        "image": "nginx:1.27",
        "imagePullPolicy": "IfNotPresent",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0123", "IfNotPresent"),
    ],
)
def test_only_latest_is_always_pulled(image: str, policy: str) -> None:
    # 10.4
    pod = with_fields(POD, spec__containers__0__image=image)
    assert defaulted(pod)["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_probes_have_the_documented_defaults() -> None:
    # 10.5: period 10 s, timeout 1 s, success 1, failure 3.
    pod = with_fields(POD, spec__containers__0__readinessProbe={"httpGet": {"port": 80}})
    assert defaulted(pod)["spec"]["containers"][0]["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_requests_are_limits_where_none_are_given() -> None:
    limits = {"cpu": "1", "memory": "1Gi"}
    resources = {"limits": limits, "requests": {"cpu": "500m"}}
    pod = with_fields(POD, spec__containers__0__resources=resources)
    requests = defaulted(pod)["spec"]["containers"][0]["resources"]["requests"]
    assert requests == {"cpu": "500m", "memory": "1Gi"}


def test_ports_of_the_host_network_are_the_nodes_own() -> None:
    pod = with_fields(
        POD, spec__hostNetwork=True, spec__containers__0__ports=[{"containerPort": 80}]
    )
    assert defaulted(pod)["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "hostPort": 80, "protocol": "TCP"}
    ]
    clash = with_fields(pod, spec__containers__0__ports=[{"containerPort": 80, "hostPort": 81}])
    assert faults(clash) == [
        (
            "spec.containers[0].ports[0].containerPort: Invalid value: 80: "
            "must match `hostPort` when `hostNetwork` is true"
        )
    ]


def test_a_volume_without_a_source_is_an_empty_directory() -> None:
    pod = with_fields(
        POD, spec__volumes=[{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}]
    )
    assert defaulted(pod)["spec"]["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
    ]


def test_both_names_of_the_service_account_are_set() -> None:
    for field in ("serviceAccount", "serviceAccountName"):
        spec = defaulted(with_fields(POD, **{f"spec__{field}": "me"}))["spec"]
        assert (spec["serviceAccount"], spec["serviceAccountName"]) == ("me", "me")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        (
            {
                "limits": {"cpu": "1", "memory": "1Gi"},
                "requests": {"cpu": "1000m", "memory": "1Gi"},
            },
            "Guaranteed",
        ),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"memory": "512Mi"}},
            "Burstable",
        ),
        ({"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}, "BestEffort"),
        ({"limits": {"cpu": "0"}}, "BestEffort"),
    ],
)
def test_a_new_pod_is_pending_and_has_its_quality_of_service(resources: Any, expected: str) -> None:
    # 8.6
    pod = created(with_fields(POD, spec__containers__0__resources=resources))
    assert pod["status"] == {"phase": "Pending", "qosClass": expected}


def test_one_container_without_limits_makes_the_pod_burstable() -> None:
    # 8.6
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}}
    containers = [{"name": "a", "image": "i", "resources": limits}, {"name": "b", "image": "i"}]
    assert created(with_fields(POD, spec__containers=containers))["status"]["qosClass"] == (
        "Burstable"
    )


WEB = "spec.containers[0]"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__containers": []}, ["spec.containers: Required value"]),
        (
            {"spec__containers": [{}]},
            [f"{WEB}.name: Required value", f"{WEB}.image: Required value"],
        ),
        (
            {"spec__containers__0__image": " nginx"},
            [f'{WEB}.image: Invalid value: " nginx": must not have leading or trailing whitespace'],
        ),
        (
            {"spec__containers__0__imagePullPolicy": "Sometimes"},
            [
                (
                    f'{WEB}.imagePullPolicy: Unsupported value: "Sometimes": '
                    'supported values: "Always", "IfNotPresent", "Never"'
                )
            ],
        ),
        (
            {"spec__restartPolicy": "Often"},
            [
                (
                    'spec.restartPolicy: Unsupported value: "Often": '
                    'supported values: "Always", "OnFailure", "Never"'
                )
            ],
        ),
        (
            {"spec__containers": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]},
            ['spec.containers[1].name: Duplicate value: "a"'],
        ),
        (
            {"spec__initContainers": [{"name": "web", "image": "i"}]},
            ['spec.initContainers[0].name: Duplicate value: "web"'],
        ),
        (
            {
                "spec__initContainers": [
                    {"name": "a", "image": "i", "livenessProbe": {"exec": {"command": ["x"]}}}
                ]
            },
            [
                (
                    "spec.initContainers[0].livenessProbe: Forbidden: "
                    "may not be set for init containers without restartPolicy=Always"
                )
            ],
        ),
        (
            {"spec__containers__0__restartPolicy": "Always"},
            [f"{WEB}.restartPolicy: Forbidden: may not be set for non-init containers"],
        ),
        (
            {"spec__containers__0__ports": [{"containerPort": 70000}]},
            [
                (
                    f"{WEB}.ports[0].containerPort: Invalid value: 70000: "
                    "must be between 1 and 65535, inclusive"
                )
            ],
        ),
        (
            {
                "spec__containers__0__ports": [
                    {"containerPort": 80, "hostPort": 1},
                    {"containerPort": 81, "hostPort": 1},
                ]
            },
            [f'{WEB}.ports[1].hostPort: Duplicate value: "TCP//1"'],
        ),
        (
            {"spec__containers__0__ports": [{"containerPort": 80, "name": "a--1"}]},
            [f'{WEB}.ports[0].name: Invalid value: "a--1": must not contain consecutive hyphens'],
        ),
        (
            {"spec__containers__0__volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            [f'{WEB}.volumeMounts[0].name: Not found: "v"'],
        ),
        (
            {
                "spec__volumes": [{"name": "v"}],
                "spec__containers__0__volumeMounts": [
                    {"name": "v", "mountPath": "/v"},
                    {"name": "v", "mountPath": "/v", "subPath": "../x"},
                ],
            },
            [
                f'{WEB}.volumeMounts[1].mountPath: Invalid value: "/v": must be unique',
                f"{WEB}.volumeMounts[1].subPath: Invalid value: \"../x\": must not contain '..'",
            ],
        ),
        (
            {"spec__volumes": [{"name": "v"}, {"name": "v"}]},
            ['spec.volumes[1].name: Duplicate value: "v"'],
        ),
        (
            {"spec__volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]},
            ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            {"spec__volumes": [{"name": "v", "configMap": {"name": "c", "defaultMode": 512}}]},
            [
                (
                    "spec.volumes[0].configMap.defaultMode: Invalid value: 512: "
                    "must be a number between 0 and 0777 (octal), both inclusive"
                )
            ],
        ),
        (
            {"spec__containers__0__resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            [
                (
                    f'{WEB}.resources.requests: Invalid value: "2": '
                    "must be less than or equal to cpu limit of 1"
                )
            ],
        ),
        (
            {"spec__containers__0__resources": {"limits": {"memory": "-1"}}},
            [
                (
                    f'{WEB}.resources.limits[memory]: Invalid value: "-1": '
                    "must be greater than or equal to 0"
                ),
                (
                    f'{WEB}.resources.requests[memory]: Invalid value: "-1": '
                    "must be greater than or equal to 0"
                ),
            ],
        ),
        (
            {"spec__containers__0__resources": {"requests": {"example.com/gpu": "1"}}},
            [
                (
                    f"{WEB}.resources.limits: Required value: "
                    "Limit must be set for non overcommitable resources"
                )
            ],
        ),
        (
            {"spec__containers__0__livenessProbe": {}},
            [f"{WEB}.livenessProbe: Required value: must specify a handler type"],
        ),
        (
            {
                "spec__containers__0__livenessProbe": {
                    "tcpSocket": {"port": 80},
                    "successThreshold": 2,
                }
            },
            [f"{WEB}.livenessProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            {
                "spec__containers__0__env": [
                    {
                        "name": "A",
                        "value": "x",
                        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                    }
                ]
            },
            [
                (
                    f'{WEB}.env[0].valueFrom: Invalid value: "": '
                    "may not be specified when `value` is not empty"
                )
            ],
        ),
        (
            {"spec__terminationGracePeriodSeconds": -1},
            [
                (
                    "spec.terminationGracePeriodSeconds: Invalid value: -1: "
                    "must be greater than or equal to 0"
                )
            ],
        ),
        (
            {"spec__activeDeadlineSeconds": 0},
            [
                (
                    "spec.activeDeadlineSeconds: Invalid value: 0: "
                    "must be between 1 and 2147483647, inclusive"
                )
            ],
        ),
        (
            {"spec__dnsPolicy": "None"},
            [
                (
                    "spec.dnsConfig: Required value: "
                    "must provide at least one DNS nameserver when `dnsPolicy` is None"
                )
            ],
        ),
        (
            {"spec__tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
            [
                (
                    'spec.tolerations[0].operator: Invalid value: "b": '
                    "value must be empty when `operator` is 'Exists'"
                )
            ],
        ),
        (
            {"spec__tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]},
            [
                (
                    'spec.tolerations[0].effect: Invalid value: "NoSchedule": '
                    "effect must be 'NoExecute' when `tolerationSeconds` is set"
                )
            ],
        ),
        (
            {"spec__topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}]},
            [
                (
                    "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: "
                    "must be greater than zero"
                ),
                "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            ],
        ),
        (
            {
                "spec__affinity": {
                    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}
                }
            },
            [
                (
                    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
                    "nodeSelectorTerms: Required value: must have at least one node selector term"
                )
            ],
        ),
        (
            {
                "spec__containers__0__securityContext": {
                    "privileged": True,
                    "allowPrivilegeEscalation": False,
                }
            },
            [
                (
                    f'{WEB}.securityContext: Invalid value: {{"allowPrivilegeEscalation":false,'
                    '"privileged":true}: '
                    "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
                )
            ],
        ),
        (
            {"spec__securityContext": {"runAsUser": -1}},
            [
                (
                    "spec.securityContext.runAsUser: Invalid value: -1: "
                    "must be between 0 and 2147483647, inclusive"
                )
            ],
        ),
    ],
)
def test_a_wrong_pod_is_refused_in_kubernetes_words(
    fields: dict[str, Any], expected: list[str]
) -> None:
    # 2.19
    assert faults(with_fields(POD, **fields)) == expected


def test_all_that_is_wrong_is_told_at_once() -> None:
    # 2.19: all errors are collected, not only the first.
    pod = with_fields(
        POD,
        spec__containers__0__image=None,
        spec__restartPolicy="x",
        spec__hostname="UPPER",
        spec__volumes=[{"name": "v", "nfs": {}}],
    )
    paths = [fault.partition(": ")[0] for fault in faults(pod)]
    assert paths == [
        "spec.volumes[0].nfs.server",
        "spec.volumes[0].nfs.path",
        "spec.containers[0].image",
        "spec.restartPolicy",
        "spec.hostname",
    ]


def test_pods_are_found_by_these_fields() -> None:
    # 2.20
    assert set(resource(POD).field_labels) == {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    }
