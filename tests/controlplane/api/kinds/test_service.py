"""Services. Numbers are those of kube-behaviour."""

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
    updated,
    with_fields,
)

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "a"},
    "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]},
}
PORT = {"port": 80, "targetPort": 80, "protocol": "TCP"}


def test_defaults_of_a_service() -> None:
    # 5.1
    assert defaulted(SERVICE)["spec"] == {
        "type": "ClusterIP",
        "selector": {"app": "a"},
        "ports": [PORT],
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
    }
    assert created(SERVICE)["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}),
        (
            {"spec__type": "LoadBalancer"},
            {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True},
        ),
        (
            {"spec__sessionAffinity": "ClientIP"},
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}},
        ),
        (
            {"spec__type": "ExternalName", "spec__externalName": "x.org"},
            {"internalTrafficPolicy": None},
        ),
        ({"spec__clusterIP": "10.0.0.1"}, {"clusterIPs": ["10.0.0.1"]}),
        ({"spec__clusterIPs": ["None"]}, {"clusterIP": "None"}),
    ],
)
def test_a_services_defaults_depend_on_its_type(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    # 5.1
    spec = defaulted(with_fields(SERVICE, **fields))["spec"]
    assert {field: spec.get(field) for field in expected} == expected


PORTS = "spec.ports[0]"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"spec__ports": []}, ["spec.ports: Required value"]),
        ({"spec__ports": [], "spec__clusterIP": "None"}, []),
        (
            {"spec__ports": [{"port": 0}]},
            [f"{PORTS}.port: Invalid value: 0: must be between 1 and 65535, inclusive"],
        ),
        (
            {"spec__ports": [{"port": 80}, {"port": 81}]},
            [f"{PORTS}.name: Required value", "spec.ports[1].name: Required value"],
        ),
        (
            {"spec__ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
            ['spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}'],
        ),
        (
            {"spec__ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
            ['spec.ports[1].name: Duplicate value: "a"'],
        ),
        (
            {"spec__ports": [{"port": 80, "nodePort": 30000}]},
            [f"{PORTS}.nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        (
            {"spec__ports": [{"port": 80, "protocol": "HTTP"}]},
            [
                (
                    f'{PORTS}.protocol: Unsupported value: "HTTP": '
                    'supported values: "SCTP", "TCP", "UDP"'
                )
            ],
        ),
        (
            {"spec__type": "Public"},
            [
                (
                    'spec.type: Unsupported value: "Public": supported values: '
                    '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'
                )
            ],
        ),
        (
            {"spec__type": "NodePort", "spec__clusterIP": "None"},
            [
                (
                    'spec.clusterIPs[0]: Invalid value: "None": '
                    "may not be set to 'None' for NodePort services"
                )
            ],
        ),
        (
            {"spec__type": "ExternalName"},
            ["spec.externalName: Required value"],
        ),
        (
            {"spec__clusterIP": "10.0.0.256"},
            [
                (
                    'spec.clusterIPs[0]: Invalid value: "10.0.0.256": '
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                )
            ],
        ),
        (
            {"spec__clusterIP": "10.0.0.1", "spec__clusterIPs": ["10.0.0.2"]},
            ['spec.clusterIPs: Invalid value: ["10.0.0.2"]: first value must match `clusterIP`'],
        ),
        (
            {
                "spec__sessionAffinity": "ClientIP",
                "spec__sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}},
            },
            [
                (
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: "
                    "must be greater than 0 and less than 86400"
                )
            ],
        ),
        (
            {"spec__externalTrafficPolicy": "Local"},
            [
                (
                    'spec.externalTrafficPolicy: Invalid value: "Local": '
                    "may only be set for externally-accessible services"
                )
            ],
        ),
        (
            {"spec__loadBalancerSourceRanges": ["10.0.0.0/8"]},
            [
                (
                    "spec.loadBalancerSourceRanges: Forbidden: "
                    "may only be used when `type` is 'LoadBalancer'"
                )
            ],
        ),
        (
            {"spec__externalIPs": ["127.64.0.1"]},  # a node's, where its agent is to be reached
            [
                (
                    'spec.externalIPs[0]: Invalid value: "127.64.0.1": '
                    "may not be in the loopback range (127.0.0.0/8, ::1/128)"
                )
            ],
        ),
        (
            {"spec__externalIPs": ["127.0.0.1"]},
            [
                (
                    'spec.externalIPs[0]: Invalid value: "127.0.0.1": '
                    "may not be in the loopback range (127.0.0.0/8, ::1/128)"
                )
            ],
        ),
        (
            {"spec__selector": {"a b": "c"}},
            [
                (
                    'spec.selector: Invalid value: "a b": name part must consist of alphanumeric '
                    "characters, '-', '_' or '.', and must start and end with an alphanumeric "
                    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
                    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                )
            ],
        ),
    ],
)
def test_a_wrong_service(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 5.1
    assert faults(with_fields(SERVICE, **fields)) == expected


def test_a_services_name_is_one_in_dns() -> None:
    # 2.12
    assert resource(SERVICE).strategy.name_rule == "label-1035"


ALLOCATED = with_fields(
    SERVICE,
    spec__type="NodePort",
    spec__clusterIP="10.0.0.1",
    spec__ports=[{"port": 80, "nodePort": 30080}],
)


def test_who_leaves_out_what_was_allocated_keeps_it() -> None:
    # 5.2, 5.3
    spec = updated(with_fields(SERVICE, spec__type="NodePort"), ALLOCATED)["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("10.0.0.1", ["10.0.0.1"])
    assert spec["ports"] == [PORT | {"nodePort": 30080}]


def test_a_port_that_is_new_gets_no_old_node_port() -> None:
    # 5.3
    new = with_fields(SERVICE, spec__type="NodePort", spec__ports=[{"port": 80, "name": "a"}])
    assert "nodePort" not in updated(new, ALLOCATED)["spec"]["ports"][0]
    taken = [{"port": 81, "name": "a", "nodePort": 30080}, {"port": 80, "name": "b"}]
    new = with_fields(SERVICE, spec__type="NodePort", spec__ports=taken)
    assert "nodePort" not in updated(new, ALLOCATED)["spec"]["ports"][1]


def test_a_node_port_goes_with_the_name_of_its_port() -> None:
    # 5.3
    new = with_fields(SERVICE, spec__type="NodePort", spec__ports=[{"port": 81}])
    assert updated(new, ALLOCATED)["spec"]["ports"][0]["nodePort"] == 30080
    inside = with_fields(new, spec__type="ClusterIP", spec__ports=[{"port": 81, "nodePort": 30080}])
    assert "nodePort" not in updated(inside, ALLOCATED)["spec"]["ports"][0]
    asked = [{"port": 80, "nodePort": 30081}]
    refused = with_fields(new, spec__type="ClusterIP", spec__ports=asked)
    assert updated(refused, ALLOCATED)["spec"]["ports"][0]["nodePort"] == 30081


def test_what_only_the_old_type_had_goes_away() -> None:
    # 5.1 to 5.3
    inside = updated(with_fields(defaulted(ALLOCATED), spec__type="ClusterIP"), ALLOCATED)
    assert inside["spec"]["ports"] == [PORT]
    assert "externalTrafficPolicy" not in inside["spec"]
    assert inside["spec"]["clusterIP"] == "10.0.0.1"
    outside = updated(
        with_fields(defaulted(ALLOCATED), spec__type="ExternalName", spec__externalName="x.org"),
        ALLOCATED,
    )
    assert not {"clusterIP", "clusterIPs", "ipFamilies"} & outside["spec"].keys()
    assert outside["spec"]["ports"] == [PORT]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__clusterIP": None}, []),
        (
            {"spec__clusterIP": "10.0.0.2"},
            ['spec.clusterIPs[0]: Invalid value: []string{"10.0.0.2"}: may not change once set'],
        ),
        ({"spec__ports__0__nodePort": 30081}, []),
    ],
)
def test_an_address_stays(fields: dict[str, Any], expected: list[str]) -> None:
    # 5.2
    assert update_faults(with_fields(ALLOCATED, **fields), ALLOCATED) == expected


def test_kubectl_prints_these_columns() -> None:
    # 1.2
    assert columns(SERVICE) == (
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
        ["SELECTOR"],
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("ClusterIP", "10.0.0.1", "<none>", "80/TCP")),
        (
            {"spec__type": "NodePort", "spec__ports": [PORT | {"nodePort": 30080}]},
            ("NodePort", "10.0.0.1", "<none>", "80:30080/TCP"),
        ),
        (
            {"spec__type": "LoadBalancer"},
            ("LoadBalancer", "10.0.0.1", "<pending>", "80/TCP"),
        ),
        (
            {
                "spec__type": "LoadBalancer",
                "spec__externalIPs": ["1.1.1.1"],
                "status": {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "x"}]}},
            },
            ("LoadBalancer", "10.0.0.1", "2.2.2.2,x,1.1.1.1", "80/TCP"),
        ),
        (
            {
                "spec__type": "ExternalName",
                "spec__externalName": "x.org",
                "spec__clusterIP": None,
                "spec__ports": None,
            },
            ("ExternalName", "<none>", "x.org", "<none>"),
        ),
        ({"spec__externalIPs": ["1.1.1.1"]}, ("ClusterIP", "10.0.0.1", "1.1.1.1", "80/TCP")),
    ],
)
def test_a_services_row(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    # 1.2
    service = with_fields(SERVICE, spec__clusterIP="10.0.0.1")
    found = row({**defaulted(with_fields(service, **fields))})
    assert (
        found["Type"],
        found["Cluster-IP"],
        found["External-IP"],
        found["Port(s)"],
    ) == expected
    assert found["Selector"] == "app=a"


@pytest.mark.parametrize(
    ("told", "is_good"), [(None, True), ("PreferClose", True), ("PreferSameNode", False)]
)
def test_traffic_is_distributed_as_1_33_does(told: str | None, is_good: bool) -> None:
    """5.1. PreferSameZone and PreferSameNode are off by default there."""
    service = with_fields(SERVICE, spec__trafficDistribution=told)
    validate = resource(service).strategy.validate_create
    assert validate is not None
    found = [f"{cause.field}: {cause.message}" for cause in validate(created(service))]
    why = f'Unsupported value: "{told}": supported values: "PreferClose"'
    assert found == ([] if is_good else [f"spec.trafficDistribution: {why}"])
    assert update_faults(service, SERVICE) == found
    assert update_faults(service, service) == []  # what is stored stays


@pytest.mark.timeout(20)  # squares of these lengths are minutes
@pytest.mark.parametrize(
    "fields",
    [
        {"spec__ports": [{"port": number, "name": f"p{number}"} for number in range(1, 65536)]},
        {
            "spec__type": "NodePort",
            "spec__ports": [
                {"port": number, "nodePort": number, "name": f"p{number}"}
                for number in range(1, 65536)
            ],
        },
        {"spec__ipFamilies": [f"IPv{number}" for number in range(65536)]},
    ],
)
def test_a_service_with_all_ports_is_judged_soon(fields: dict[str, Any]) -> None:
    """The body of a request has room for them."""
    assert not [one for one in faults(with_fields(SERVICE, **fields)) if "Duplicate" in one]


def test_the_same_port_twice_is_told() -> None:
    """2.19: by its protocol; the numbers on nodes as well."""
    port = {"port": 80, "nodePort": 30000}
    ports = [port | {"name": "a"}, port | {"name": "b"}, port | {"name": "c", "protocol": "UDP"}]
    assert faults(with_fields(SERVICE, spec__type="NodePort", spec__ports=ports)) == [
        'spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}',
        'spec.ports[1]: Duplicate value: {"nodePort":30000,"protocol":"TCP"}',
    ]
    assert faults(with_fields(SERVICE, spec__ipFamilies=["IPv4", "IPv4"])) == [
        'spec.ipFamilies[1]: Duplicate value: "IPv4"'
    ]
