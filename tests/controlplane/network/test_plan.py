"""kube-behaviour 5.1 and 5.6: where a service is listened on, and where connections go."""

from typing import Any

import pytest

from controlplane.network import plan
from controlplane.network.plan import Backend, Endpoint, Machine, Place
from tests.controlplane.network.objects import (
    ENDED,
    ENDING,
    HTTP,
    NOT_READY,
    endpoint,
    service,
    slice_of,
)

CLUSTER = Place("10.96.0.10", 80, "TCP")
ANYWHERE = Machine()
HERE = Machine(
    nodes=frozenset({"a", "b"}),
    node_port_addresses={"192.0.2.1": frozenset({"a"}), "192.0.2.2": frozenset({"b"})},
)


def _addresses(backend: Backend) -> list[str]:
    return [one.address for one in backend.endpoints]


def test_each_port_is_listened_on_and_leads_to_the_slices_port_of_its_name() -> None:
    ports = [HTTP, {"name": "dns", "protocol": "UDP", "port": 53}]
    slices = [
        slice_of(
            endpoint("10.0.0.1"),
            ports=[
                {"name": "http", "protocol": "TCP", "port": 8080},
                {"name": "dns", "protocol": "UDP", "port": 5353},
                {"name": "http", "protocol": "UDP", "port": 1},
            ],
        )
    ]
    wanted = plan.wanted(service(ports=ports), slices, ANYWHERE)
    assert {place: backend.endpoints for place, backend in wanted.items()} == {
        CLUSTER: (Endpoint("10.0.0.1", 8080),),
        Place("10.96.0.10", 53, "UDP"): (Endpoint("10.0.0.1", 5353),),
    }


def test_unnamed_port_of_an_old_object_is_tcp() -> None:
    slices = [slice_of(endpoint("10.0.0.1"), ports=[{"port": 8080}])]
    wanted = plan.wanted(service(ports=[{"port": 80}]), slices, ANYWHERE)
    assert wanted[CLUSTER].endpoints == (Endpoint("10.0.0.1", 8080),)


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None"},
        {"clusterIP": ""},
        {"type": "ExternalName", "clusterIP": "", "externalName": "example.com"},
        {"ports": [{"port": 80, "protocol": "SCTP"}]},
    ],
    ids=["headless", "without address yet", "ExternalName", "SCTP"],
)
def test_service_without_an_address_is_listened_on_nowhere(spec: dict[str, Any]) -> None:
    """5.1"""
    assert plan.wanted(service(**spec), [slice_of(endpoint("10.0.0.1"))], ANYWHERE) == {}


def test_service_of_another_proxy_is_left_to_it() -> None:
    found = service()
    labels = {plan.OTHER_PROXY: "mine"}
    metadata = type(found.metadata)(name="web", namespace="default", labels=labels)
    other = type(found)(metadata=metadata, spec=found.spec)
    assert plan.wanted(other, [slice_of(endpoint("10.0.0.1"))], ANYWHERE) == {}


def test_only_ready_endpoints_get_connections() -> None:
    """5.6; who does not say whether it is ready is."""
    slices = [
        slice_of(
            endpoint("10.0.0.1"),
            endpoint("10.0.0.2", NOT_READY),
            endpoint("10.0.0.3", ENDING),
            endpoint("10.0.0.4", {}),
        )
    ]
    assert _addresses(plan.wanted(service(), slices, ANYWHERE)[CLUSTER]) == ["10.0.0.1", "10.0.0.4"]


def test_ending_endpoints_get_connections_only_when_none_is_ready() -> None:
    """5.6"""
    ending = [
        endpoint("10.0.0.2", NOT_READY),
        endpoint("10.0.0.3", ENDING),
        endpoint("10.0.0.4", ENDED),
    ]
    wanted = plan.wanted(service(), [slice_of(*ending)], ANYWHERE)
    assert _addresses(wanted[CLUSTER]) == ["10.0.0.3"]


def test_service_without_endpoints_has_its_place_and_nowhere_to_go() -> None:
    """5.6: no route to what is not ready."""
    wanted = plan.wanted(service(), [slice_of(endpoint("10.0.0.1", NOT_READY))], ANYWHERE)
    assert wanted[CLUSTER].endpoints == ()


def test_endpoint_of_two_slices_weighs_no_more_than_others() -> None:
    """5.6: equal probability, while the slices of a service are being written anew."""
    slices = [
        slice_of(endpoint("10.0.0.1"), endpoint("10.0.0.2")),
        slice_of(endpoint("10.0.0.1"), name="web-2"),
    ]
    assert _addresses(plan.wanted(service(), slices, ANYWHERE)[CLUSTER]) == ["10.0.0.1", "10.0.0.2"]


def test_families_do_not_mix() -> None:
    slices = [
        slice_of(endpoint("10.0.0.1")),
        slice_of(endpoint("fd00::1"), name="web-2", family="IPv6"),
    ]
    both = service(clusterIPs=["10.96.0.10", "fd00:96::10"])
    wanted = plan.wanted(both, slices, ANYWHERE)
    assert _addresses(wanted[CLUSTER]) == ["10.0.0.1"]
    assert _addresses(wanted[Place("fd00:96::10", 80, "TCP")]) == ["fd00::1"]


def test_internal_policy_local_keeps_to_this_machine() -> None:
    """5.1"""
    slices = [
        slice_of(endpoint("10.0.0.1", nodeName="a"), endpoint("10.0.0.2", nodeName="elsewhere"))
    ]
    local = plan.wanted(service(internalTrafficPolicy="Local"), slices, HERE)
    everywhere = plan.wanted(service(internalTrafficPolicy="Cluster"), slices, HERE)
    assert _addresses(local[CLUSTER]) == ["10.0.0.1"]
    assert _addresses(everywhere[CLUSTER]) == ["10.0.0.1", "10.0.0.2"]


def test_local_policy_takes_ending_endpoints_of_this_machine_before_ready_ones_of_others() -> None:
    """5.6, by policy Local of 5.1."""
    slices = [
        slice_of(
            endpoint("10.0.0.1", ENDING, nodeName="a"), endpoint("10.0.0.2", nodeName="elsewhere")
        )
    ]
    local = plan.wanted(service(internalTrafficPolicy="Local"), slices, HERE)
    assert _addresses(local[CLUSTER]) == ["10.0.0.1"]


def test_node_port_is_on_the_addresses_of_nodes_and_local_means_that_node() -> None:
    """5.1"""
    slices = [slice_of(endpoint("10.0.0.1", nodeName="a"), endpoint("10.0.0.2", nodeName="b"))]
    ports = [{**HTTP, "nodePort": 30080}]
    spec: dict[str, Any] = {"type": "NodePort", "ports": ports}
    on_a, on_b = Place("192.0.2.1", 30080, "TCP"), Place("192.0.2.2", 30080, "TCP")
    wanted = plan.wanted(service(**spec), slices, HERE)
    assert set(wanted) == {CLUSTER, on_a, on_b}
    assert _addresses(wanted[on_a]) == ["10.0.0.1", "10.0.0.2"]
    local = plan.wanted(service(**spec, externalTrafficPolicy="Local"), slices, HERE)
    assert _addresses(local[on_a]) == ["10.0.0.1"]
    assert _addresses(local[on_b]) == ["10.0.0.2"]
    assert _addresses(local[CLUSTER]) == ["10.0.0.1", "10.0.0.2"]


def test_external_and_load_balancer_addresses_are_served() -> None:
    """5.1; a load balancer of mode Proxy brings its connections to node ports."""
    ingress = [{"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}, {"hostname": "x"}]
    found = service(
        type="LoadBalancer",
        externalIPs=["198.51.100.1"],
        ingress=ingress,
        loadBalancerSourceRanges=["192.0.2.0/24"],
    )
    wanted = plan.wanted(found, [slice_of(endpoint("10.0.0.1"))], ANYWHERE)
    assert {place.address for place in wanted} == {"10.96.0.10", "198.51.100.1", "203.0.113.1"}
    ranges = {place.address: tuple(map(str, one.source_ranges)) for place, one in wanted.items()}
    assert ranges == {"10.96.0.10": (), "198.51.100.1": (), "203.0.113.1": ("192.0.2.0/24",)}


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10_800),
        (
            {
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            },
            60,
        ),
    ],
)
def test_affinity_lasts_three_hours_unless_told_otherwise(
    spec: dict[str, Any], seconds: int
) -> None:
    """5.1: sessionAffinity ClientIP timeout 10,800 s."""
    wanted = plan.wanted(service(**spec), [slice_of(endpoint("10.0.0.1"))], ANYWHERE)
    assert wanted[CLUSTER].affinity_seconds == seconds


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        plan.wanted(service(externalIPs=["nonsense"]), [], ANYWHERE)
