"""Pod specs in detail, by the words that Kubernetes has for what is wrong (kube-behaviour 2.19)."""

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
V0 = "spec.volumes[0]"
RELATIVE = "must not contain '..'"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"hostPath": {}}, [".hostPath.path: Required value"]),
        (
            {"hostPath": {"path": "/a/../b"}},
            [f'.hostPath.path: Invalid value: "/a/../b": {RELATIVE}'],
        ),
        (
            {"emptyDir": {"sizeLimit": "-1"}},
            [
                (
                    '.emptyDir.sizeLimit: Invalid value: "-1": '
                    "SizeLimit field must be a valid resource quantity"
                )
            ],
        ),
        ({"secret": {}}, [".secret.secretName: Required value"]),
        ({"configMap": {}}, [".configMap.name: Required value"]),
        (
            {"configMap": {"name": "c", "items": [{"path": "../x"}]}},
            [
                ".configMap.items[0].key: Required value",
                f'.configMap.items[0].path: Invalid value: "../x": {RELATIVE}',
            ],
        ),
        ({"persistentVolumeClaim": {}}, [".persistentVolumeClaim.claimName: Required value"]),
        (
            {"nfs": {"server": "s", "path": "x"}},
            ['.nfs.path: Invalid value: "x": must be an absolute path'],
        ),
        ({"csi": {}}, [".csi.driver: Required value"]),
        ({"ephemeral": {}}, [".ephemeral.volumeClaimTemplate: Required value"]),
        (
            {"downwardAPI": {"items": [{"path": "a"}]}},
            [
                (
                    ".downwardAPI.items[0]: Required value: "
                    "one of fieldRef and resourceFieldRef is required"
                )
            ],
        ),
        (
            {
                "downwardAPI": {
                    "items": [{"path": "a", "resourceFieldRef": {"resource": "limits.cpu"}}]
                }
            },
            [".downwardAPI.items[0].resourceFieldRef.containerName: Required value"],
        ),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            [],
        ),
        (
            {
                "projected": {
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 599}}]
                }
            },
            [
                (
                    ".projected.sources[0].serviceAccountToken.expirationSeconds: "
                    "Invalid value: 599: may not specify a duration less than 10 minutes"
                )
            ],
        ),
        (
            {"projected": {"sources": [{}]}},
            [".projected.sources[0]: Required value: must specify a volume type"],
        ),
    ],
)
def test_volumes(source: dict[str, Any], expected: list[str]) -> None:
    # 9.2, 9.3; tokens live 600 s at least (11.2)
    assert faults(volumes=[{"name": "v", **source}]) == [f"{V0}{one}" for one in expected]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}, []),
        (
            {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "2"}},
            ['.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2'],
        ),
        (
            {"limits": {"example.com/gpu": "500m"}},
            [
                '.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
                '.requests[example.com/gpu]: Invalid value: "500m": must be an integer',
            ],
        ),
        (
            {"requests": {"gpu": "1"}, "limits": {"gpu": "1"}},
            [
                f'.{kind}[gpu]: Invalid value: "gpu": {why}'
                for kind in ("limits", "requests")
                for why in (
                    "must be a standard resource type or fully qualified",
                    "must be a standard resource for containers",
                )
            ],
        ),
        (
            {"limits": {"hugepages-2Mi": "2Mi"}},
            [": Forbidden: HugePages require cpu or memory"],
        ),
        (
            {"claims": [{"name": "x"}, {}]},
            ['.claims[0].name: Not found: "x"', ".claims[1].name: Required value"],
        ),
    ],
)
def test_resources(resources: dict[str, Any], expected: list[str]) -> None:
    assert faults(c0__resources=resources) == [f"{C0}.resources{one}" for one in expected]


NODE_TERMS = "affinity__nodeAffinity__requiredDuringSchedulingIgnoredDuringExecution"
POD_TERMS = "affinity__podAntiAffinity__requiredDuringSchedulingIgnoredDuringExecution"
AT_NODE = (
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"
)


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["a"], []),
        (
            "In",
            [],
            [".values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
        ),
        (
            "Exists",
            ["a"],
            [
                (
                    ".values: Forbidden: "
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
            ],
        ),
        (
            "Gt",
            ["1", "2"],
            [
                (
                    ".values: Required value: "
                    "must be specified single value when `operator` is 'Lt' or 'Gt'"
                )
            ],
        ),
        ("Near", ["1"], ['.operator: Invalid value: "Near": not a valid selector operator']),
    ],
)
def test_node_affinity(operator: str, values: list[str], expected: list[str]) -> None:
    # 7.3
    requirement = {"key": "zone", "operator": operator, "values": values}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}
    assert faults(**{NODE_TERMS: terms}) == [
        f"{AT_NODE}.matchExpressions[0]{one}" for one in expected
    ]


def test_only_names_of_nodes_are_fields() -> None:
    # 7.3
    fields = [
        {"key": "metadata.name", "operator": "In", "values": ["a", "b"]},
        {"key": "spec.x", "operator": "In", "values": ["a"]},
    ]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    assert faults(**{NODE_TERMS: terms}) == [
        (
            f"{AT_NODE}.matchFields[0].values: Required value: must be only one value when "
            "`operator` is 'In' or 'NotIn' for node field selector"
        ),
        f'{AT_NODE}.matchFields[1].key: Invalid value: "spec.x": not a valid field selector key',
    ]


def test_weights_and_topology_of_affinity() -> None:
    # 7.3, 7.4
    preferred = [{"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}]
    anti = "spec.affinity.podAntiAffinity"
    assert faults(
        affinity={
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": preferred,
                "requiredDuringSchedulingIgnoredDuringExecution": [{}],
            }
        }
    ) == [
        (
            f"{anti}.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: "
            "Required value: can not be empty"
        ),
        (
            f"{anti}.preferredDuringSchedulingIgnoredDuringExecution[0].weight: "
            "Invalid value: 101: must be in the range 1-100"
        ),
    ]


SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ([SPREAD], []),
        (
            [SPREAD, SPREAD],
            ['[1].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"'],
        ),
        (
            [SPREAD | {"whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}],
            [
                (
                    "[0].minDomains: Invalid value: 2: can only use minDomains if "
                    "whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
                )
            ],
        ),
        (
            [SPREAD | {"matchLabelKeys": ["a"]}],
            ["[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"],
        ),
    ],
)
def test_spread(constraints: list[Any], expected: list[str]) -> None:
    # 7.5
    found = faults(topologySpreadConstraints=constraints)
    assert found == [f"spec.topologySpreadConstraints{one}" for one in expected]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"tolerations": [{"operator": "Equal"}]},
            [
                (
                    'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists '
                    'when `key` is empty, which means "match all values and all keys"'
                )
            ],
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Near"}]},
            [
                (
                    'spec.tolerations[0].operator: Unsupported value: "Near": '
                    'supported values: "Equal", "Exists"'
                )
            ],
        ),
        ({"imagePullSecrets": [{}]}, ["spec.imagePullSecrets[0].name: Required value"]),
        (
            {"hostAliases": [{"ip": "x"}]},
            [
                (
                    'spec.hostAliases[0].ip: Invalid value: "x": '
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                )
            ],
        ),
        ({"readinessGates": [{}]}, ["spec.readinessGates[0].conditionType: Required value"]),
        (
            {"dnsConfig": {"nameservers": ["10.0.0.1"] * 4}},
            [
                (
                    "spec.dnsConfig.nameservers: Invalid value: "
                    '["10.0.0.1","10.0.0.1","10.0.0.1","10.0.0.1"]: '
                    "must not have more than 3 nameservers"
                )
            ],
        ),
        ({"dnsConfig": {"searches": [".", "_tcp.a_b.example.com."]}}, []),
        (
            {"dnsConfig": {"searches": ["a_.example.com"]}},
            [
                (
                    'spec.dnsConfig.searches[0]: Invalid value: "a_.example.com": '
                    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                    "characters, '_', '-' or '.', and must start and end with an alphanumeric "
                    "character (e.g. 'example.com', regex used for validation is "
                    r"'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"
                )
            ],
        ),
        (
            {"dnsConfig": {"options": [{}]}},
            ["spec.dnsConfig.options[0]: Required value: must not be empty"],
        ),
        (
            {"os": {"name": "plan9"}},
            ['spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows"'],
        ),
        (
            {"securityContext": {"sysctls": [{"name": "a"}, {"name": "a"}]}},
            ['spec.securityContext.sysctls[1].name: Duplicate value: "a"'],
        ),
        (
            {"securityContext": {"supplementalGroups": [-1]}},
            [
                (
                    "spec.securityContext.supplementalGroups[0]: Invalid value: -1: "
                    "must be between 0 and 2147483647, inclusive"
                )
            ],
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "Localhost"}}},
            [
                (
                    "spec.securityContext.seccompProfile.localhostProfile: Required value: "
                    "must be set when seccomp type is Localhost"
                )
            ],
        ),
        (
            {"c0__securityContext": {"procMount": "All"}},
            [
                (
                    f'{C0}.securityContext.procMount: Unsupported value: "All": '
                    'supported values: "Default", "Unmasked"'
                )
            ],
        ),
        (
            {"overhead": {"cpu": "-1"}},
            ['spec.overhead[cpu]: Invalid value: "-1": must be greater than or equal to 0'],
        ),
        (
            {"c0__terminationMessagePolicy": "Shout"},
            [
                (
                    f'{C0}.terminationMessagePolicy: Unsupported value: "Shout": '
                    'supported values: "FallbackToLogsOnError", "File"'
                )
            ],
        ),
    ],
)
def test_the_rest_of_the_spec(fields: dict[str, Any], expected: list[str]) -> None:
    assert faults(**fields) == expected
