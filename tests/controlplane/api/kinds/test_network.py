"""Ingresses, network policies and endpoints. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from tests.controlplane.api.kinds.served import (
    columns,
    created,
    defaulted,
    faults,
    resource,
    row,
    update_faults,
    with_fields,
)

BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
PATH = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
INGRESS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "a"},
    "spec": {"rules": [{"host": "x.org", "http": {"paths": [PATH]}}]},
}
INGRESS_CLASS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "a"},
    "spec": {"controller": "example.com/c"},
}
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "a"},
    "spec": {"podSelector": {}},
}
ENDPOINTS = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "a"},
    "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}],
}
SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "a"},
    "addressType": "IPv4",
    "ports": [{"port": 80}],
    "endpoints": [{"addresses": ["10.0.0.1"]}],
}
AT = "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"spec": {"defaultBackend": BACKEND}}, []),
        (
            {"spec": {}},
            ["spec: Invalid value: {}: either `defaultBackend` or `rules` must be specified"],
        ),
        (
            {"spec__rules__0__host": "10.0.0.1"},
            [
                (
                    'spec.rules[0].host: Invalid value: "10.0.0.1": '
                    "must be a DNS name, not an IP address"
                )
            ],
        ),
        ({"spec__rules__0__host": "*.x.org"}, []),
        ({"spec__rules__0__http__paths": []}, ["spec.rules[0].http.paths: Required value"]),
        (
            {"spec__rules__0__http__paths__0__pathType": None},
            [f"{AT}.pathType: Required value: pathType must be specified"],
        ),
        (
            {"spec__rules__0__http__paths__0__path": "x"},
            [f'{AT}.path: Invalid value: "x": must be an absolute path'],
        ),
        (
            {"spec__rules__0__http__paths__0__path": "/a//b"},
            [f"{AT}.path: Invalid value: \"/a//b\": must not contain '//'"],
        ),
        (
            {"spec__rules__0__http__paths__0__backend": {"service": {"name": "web"}}},
            [f"{AT}.backend.service.port: Required value: port name or number is required"],
        ),
        (
            {"spec__rules__0__http__paths__0__backend": {}},
            [f"{AT}.backend: Required value: resource or service backend is required"],
        ),
    ],
)
def test_a_wrong_ingress(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 5.7
    assert faults(with_fields(INGRESS, **fields)) == expected


@pytest.mark.parametrize(
    ("name", "noted", "expected"),
    [
        ("nginx", "nginx", []),
        ("nginx", None, []),
        (None, "traefik", []),
        (
            "nginx",
            "traefik",
            [
                (
                    'annotations.kubernetes.io/ingress.class: Invalid value: "traefik": '
                    "must match `ingressClassName` when both are specified"
                )
            ],
        ),
    ],
)
def test_a_new_ingress_is_of_one_class(
    name: str | None, noted: str | None, expected: list[str]
) -> None:
    # 5.7
    annotations = noted and {"kubernetes.io/ingress.class": noted}
    ingress = with_fields(INGRESS, metadata__annotations=annotations, spec__ingressClassName=name)
    validate = resource(ingress).strategy.validate_create
    assert validate is not None
    assert [f"{cause.field}: {cause.message}" for cause in validate(created(ingress))] == expected
    assert faults(ingress) == []  # what was stored before stays


def test_an_ingress_row() -> None:
    # 1.2
    assert columns(INGRESS)[0] == ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
    assert list(row(created(INGRESS)).values())[1:5] == ["<none>", "x.org", "", "80"]
    hosts = [{"host": f"{one}.org"} for one in "abcde"]
    found = row(
        with_fields(
            INGRESS,
            spec__ingressClassName="nginx",
            spec__rules=hosts,
            spec__tls=[{}],
            status={"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}},
        )
    )
    assert list(found.values())[1:5] == [
        "nginx",
        "a.org,b.org,c.org + 2 more...",
        "1.1.1.1",
        "80, 443",
    ]
    assert row(with_fields(INGRESS, spec__rules=[{}]))["Hosts"] == "*"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"spec": {}}, ["spec.controller: Required value"]),
        (
            {"spec__controller": "c"},
            [
                (
                    'spec.controller: Invalid value: "c": '
                    'must be a domain-prefixed path (such as "acme.io/foo")'
                )
            ],
        ),
        (
            {"spec__parameters": {"kind": "P", "name": "p", "scope": "Namespace"}},
            ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
        ),
    ],
)
def test_a_wrong_ingress_class(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 5.7
    assert faults(with_fields(INGRESS_CLASS, **fields)) == expected


def test_an_ingress_class_keeps_its_controller() -> None:
    # 2.19
    new = with_fields(INGRESS_CLASS, spec__controller="example.com/d")
    assert update_faults(new, INGRESS_CLASS) == [
        'spec.controller: Invalid value: "example.com/d": field is immutable'
    ]


def test_an_ingress_class_row() -> None:
    # 1.2
    assert columns(INGRESS_CLASS)[0] == ["NAME", "CONTROLLER", "PARAMETERS", "AGE"]
    assert row(INGRESS_CLASS)["Parameters"] == "<none>"
    parameters = {"apiGroup": "example.com", "kind": "P", "name": "p"}
    named = defaulted(with_fields(INGRESS_CLASS, spec__parameters=parameters))
    assert named["spec"]["parameters"]["scope"] == "Cluster"
    assert row(named)["Parameters"] == "P.example.com/p"


def test_a_policy_limits_what_it_speaks_of() -> None:
    # 5.7
    assert defaulted(POLICY)["spec"]["policyTypes"] == ["Ingress"]
    out = defaulted(with_fields(POLICY, spec__egress=[{"ports": [{"port": 53}]}]))
    assert out["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert out["spec"]["egress"][0]["ports"] == [{"port": 53, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        (
            {"spec__ingress": [{"from": [{}]}]},
            [".ingress[0].from[0]: Required value: must specify a peer"],
        ),
        (
            {
                "spec__ingress": [
                    {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}
                ]
            },
            [
                (
                    '.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": '
                    "must be a strict subset of `cidr`"
                )
            ],
        ),
        (
            {"spec__egress": [{"ports": [{"port": 90, "endPort": 80}]}]},
            [
                (
                    ".egress[0].ports[0].endPort: Invalid value: 80: "
                    "must be greater than or equal to `port`"
                )
            ],
        ),
        (
            {"spec__policyTypes": ["Inside"]},
            ['.policyTypes[0]: Unsupported value: "Inside": supported values: "Egress", "Ingress"'],
        ),
    ],
)
def test_a_wrong_policy(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 5.7
    assert faults(with_fields(POLICY, **fields)) == [f"spec{one}" for one in expected]


def test_a_policys_row() -> None:
    # 1.2
    assert columns(POLICY)[0] == ["NAME", "POD-SELECTOR", "AGE"]
    assert row(POLICY)["Pod-Selector"] == "<none>"
    selected = with_fields(POLICY, spec__podSelector={"matchLabels": {"a": "b"}})
    assert row(selected)["Pod-Selector"] == "a=b"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        (
            {"subsets": [{}]},
            ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"],
        ),
        (
            {"subsets__0__addresses__0__ip": "127.0.0.1"},
            [
                (
                    'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": '
                    "may not be in the loopback range (127.0.0.0/8, ::1/128)"
                )
            ],
        ),
        (
            {"subsets__0__ports": [{"port": 1}, {"port": 2, "name": "b"}]},
            ["subsets[0].ports[0].name: Required value"],
        ),
    ],
)
def test_wrong_endpoints(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 5.4
    assert faults(with_fields(ENDPOINTS, **fields)) == expected


def test_rows_of_endpoints() -> None:
    # 1.2, 5.4
    assert columns(ENDPOINTS)[0] == ["NAME", "ENDPOINTS", "AGE"]
    assert row(ENDPOINTS)["Endpoints"] == "10.0.0.1:80"
    assert row(with_fields(ENDPOINTS, subsets=[]))["Endpoints"] == "<none>"
    many = [{"ip": f"10.0.0.{number}"} for number in range(1, 6)]
    assert row(with_fields(ENDPOINTS, subsets__0__addresses=many))["Endpoints"] == (
        "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        (
            {"addressType": "IPX", "endpoints": []},
            ['addressType: Unsupported value: "IPX": supported values: "FQDN", "IPv4", "IPv6"'],
        ),
        (
            {"endpoints": [{"addresses": []}]},
            ["endpoints[0].addresses: Required value: must contain at least 1 address"],
        ),
        (
            {"endpoints": [{"addresses": ["::1"]}]},
            ['endpoints[0].addresses[0]: Invalid value: "::1": must be a valid IPv4 address'],
        ),
        (
            {"ports": [{"port": 1}, {"port": 2}]},
            ['ports[1].name: Duplicate value: ""'],
        ),
        (
            {"endpoints": [{"addresses": ["10.0.0.1"]}] * 1001},
            ["endpoints: Too many: 1001: must have at most 1000 items"],
        ),
    ],
)
def test_a_wrong_slice(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 5.4
    assert faults(with_fields(SLICE, **fields)) == expected
    assert resource(SLICE).immutable == ("addressType",)


def test_a_slices_row() -> None:
    # 1.2, 5.4
    assert columns(SLICE)[0] == ["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"]
    assert list(row(SLICE).values())[1:4] == ["IPv4", "80", "10.0.0.1"]
    assert defaulted(SLICE)["ports"] == [{"port": 80, "name": "", "protocol": "TCP"}]
    empty = row(with_fields(SLICE, ports=[], endpoints=[]))
    assert (empty["Ports"], empty["Endpoints"]) == ("<unset>", "<unset>")
    ports = [{"name": str(number), "port": number} for number in range(1, 6)]
    assert row(with_fields(SLICE, ports=ports))["Ports"] == "1,2,3 + 2 more..."
