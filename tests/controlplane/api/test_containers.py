"""Containers in detail, by Kubernetes' words for what is wrong (kube-behaviour 2.19)."""

from typing import Any

import pytest

from controlplane.api import podspec
from tests.controlplane.api.kinds.served import POD, defaulted, with_fields


def faults(**fields: Any) -> list[str]:
    """Of a right pod with some fields changed; `c0` is its container."""
    named = {name.replace("c0", "containers__0"): value for name, value in fields.items()}
    pod = with_fields(POD, **{f"spec__{name}": value for name, value in named.items()})
    causes = podspec.validate_pod_spec(defaulted(pod)["spec"], "spec")
    return [f"{cause.field}: {cause.message}" for cause in causes]


C0 = "spec.containers[0]"
PORT_RANGE = "must be between 1 and 65535, inclusive"


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ({"exec": {"command": ["x"]}}, []),
        ({"exec": {}}, [".exec.command: Required value"]),
        ({"httpGet": {"port": 0}}, [f".httpGet.port: Invalid value: 0: {PORT_RANGE}"]),
        (
            {"httpGet": {"port": "Web"}},
            [
                (
                    '.httpGet.port: Invalid value: "Web": '
                    "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
                )
            ],
        ),
        (
            {"httpGet": {"port": 1, "scheme": "FTP"}},
            [('.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"')],
        ),
        (
            {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b"}]}},
            [
                (
                    '.httpGet.httpHeaders[0].name: Invalid value: "a b": a valid HTTP header must '
                    "consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used "
                    "for validation is '[-A-Za-z0-9]+')"
                )
            ],
        ),
        ({"grpc": {"port": 70_000}}, [f".grpc.port: Invalid value: 70000: {PORT_RANGE}"]),
        (
            {"tcpSocket": {"port": 1}, "exec": {"command": ["x"]}},
            [".tcpSocket: Forbidden: may not specify more than 1 handler type"],
        ),
        (
            {"tcpSocket": {"port": 1}, "periodSeconds": -1},
            [".periodSeconds: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 0},
            [".terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"],
        ),
    ],
)
def test_probes(probe: dict[str, Any], expected: list[str]) -> None:
    # 10.5
    assert faults(c0__livenessProbe=probe) == [f"{C0}.livenessProbe{one}" for one in expected]


def test_readiness_probes_end_nobody() -> None:
    # 10.5
    probe = {"tcpSocket": {"port": 1}, "successThreshold": 3, "terminationGracePeriodSeconds": 5}
    assert faults(c0__readinessProbe=probe) == [
        (
            f"{C0}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: "
            "must not be set for readinessProbes"
        )
    ]


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ({"sleep": {"seconds": 30}}, []),
        (
            {"sleep": {"seconds": 31}},
            [
                (
                    ".sleep: Invalid value: 31: "
                    "must be non-negative and less than terminationGracePeriodSeconds (30)"
                )
            ],
        ),
        ({"sleep": {}}, [".sleep.seconds: Required value"]),
        ({}, [": Required value: must specify a handler type"]),
    ],
)
def test_hooks(hook: dict[str, Any], expected: list[str]) -> None:
    # 10.6
    found = faults(c0__lifecycle={"preStop": hook})
    assert found == [f"{C0}.lifecycle.preStop{one}" for one in expected]


ONE_SOURCE = (
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ({"name": "A B", "value": "x"}, []),  # 1.32: nearly all of ASCII
        ({"value": "x"}, [".name: Required value"]),
        (
            {"name": "A=B"},
            [
                (
                    '.name: Invalid value: "A=B": a valid environment variable name must consist '
                    "only of printable ASCII characters other than '='"
                )
            ],
        ),
        ({"name": "A", "valueFrom": {}}, [f'.valueFrom: Invalid value: "": {ONE_SOURCE}']),
        (
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}},
            [],
        ),
        (
            {"name": "A", "valueFrom": {"fieldRef": {}}},
            [".valueFrom.fieldRef.fieldPath: Required value"],
        ),
        (
            {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            [],
        ),
        (
            {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "cpu"}}},
            [
                (
                    '.valueFrom.resourceFieldRef.resource: Unsupported value: "cpu": '
                    'supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", '
                    '"requests.cpu", "requests.ephemeral-storage", "requests.memory"'
                )
            ],
        ),
        (
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "../x"}}},
            [
                (
                    '.valueFrom.secretKeyRef.key: Invalid value: "../x": a valid config key must '
                    "consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                ),
                ".valueFrom.secretKeyRef.key: Invalid value: \"../x\": must not start with '..'",
            ],
        ),
        (
            {
                "name": "A",
                "valueFrom": {
                    "fieldRef": {"fieldPath": "status.podIP"},
                    "secretKeyRef": {"name": "s", "key": "k"},
                },
            },
            ['.valueFrom: Invalid value: "": may not have more than one field specified at a time'],
        ),
    ],
)
def test_environment(variable: dict[str, Any], expected: list[str]) -> None:
    assert faults(c0__env=[variable]) == [f"{C0}.env[0]{one}" for one in expected]


def test_a_field_that_nobody_knows_is_no_value() -> None:
    (fault,) = faults(c0__env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}])
    assert fault.startswith(
        f'{C0}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.x": '
        'supported values: "metadata.name", '
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"configMapRef": {"name": "c"}, "prefix": "A_"}, []),
        ({"secretRef": {}}, [".secretRef.name: Required value"]),
        (
            {},
            [': Invalid value: "": must specify one of: `configMapRef` or `secretRef`'],
        ),
        (
            {"configMapRef": {"name": "c"}, "secretRef": {"name": "s"}},
            [': Invalid value: "": may not have more than one field specified at a time'],
        ),
    ],
)
def test_sources_of_the_environment(source: dict[str, Any], expected: list[str]) -> None:
    assert faults(c0__envFrom=[source]) == [f"{C0}.envFrom[0]{one}" for one in expected]


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ({"mountPath": "/x"}, [".name: Required value"]),
        ({"name": "v"}, [".mountPath: Required value"]),
        (
            {"name": "v", "mountPath": "/x", "subPath": "/abs"},
            ['.subPath: Invalid value: "/abs": must be a relative path'],
        ),
        (
            {"name": "v", "mountPath": "/x", "subPath": "a", "subPathExpr": "b"},
            [('.subPathExpr: Invalid value: "b": subPathExpr and subPath are mutually exclusive')],
        ),
        (
            {"name": "v", "mountPath": "/x", "mountPropagation": "Both"},
            [
                (
                    '.mountPropagation: Unsupported value: "Both": '
                    'supported values: "Bidirectional", "HostToContainer", "None"'
                )
            ],
        ),
        (
            {"name": "v", "mountPath": "/x", "recursiveReadOnly": "Enabled"},
            [".recursiveReadOnly: Forbidden: may only be specified when readOnly is true"],
        ),
    ],
)
def test_mounts(mount: dict[str, Any], expected: list[str]) -> None:
    found = faults(volumes=[{"name": "v"}], c0__volumeMounts=[mount])
    assert found == [f"{C0}.volumeMounts[0]{one}" for one in expected]


def test_devices() -> None:
    volumes = [{"name": "v"}, {"name": "c", "persistentVolumeClaim": {"claimName": "c"}}]
    devices = [{"name": "c", "devicePath": "/d"}, {"name": "v"}, {"name": "x", "devicePath": "/x"}]
    assert faults(volumes=volumes, c0__volumeDevices=devices) == [
        (
            f'{C0}.volumeDevices[1].name: Invalid value: "v": can only use volume source type of '
            "PersistentVolumeClaim or Ephemeral for block mode"
        ),
        f"{C0}.volumeDevices[1].devicePath: Required value",
        f'{C0}.volumeDevices[2].name: Not found: "x"',
    ]
