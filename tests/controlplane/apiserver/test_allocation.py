"""Addresses and node ports of services (kube-behaviour 5.2, 5.3)."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.admission.review import Review
from controlplane.api.addresses import IP_PREFIX, PORT_PREFIX, releases
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.apiserver.allocation import Allocator
from tests.controlplane.apiserver.asked import resource, review

SERVICES = resource("services")


class Cluster:
    """Services, and the claims that were written with them: a Txn writes all or nothing."""

    def __init__(self, service_range: str = "10.96.0.0/24", ports: range = range(30000, 32768)):
        self.claims: dict[bytes, bytes] = {}
        self.services: dict[str, Object] = {}
        self.given_up: set[bytes] = set()  # and the cache has not heard of it
        self.allocator = Allocator(service_range, ports, self._is_taken, random.Random(7))

    def _is_taken(self, key: str) -> bool:
        return key.encode() in self.claims.keys() | self.given_up

    def plan(self, name: str, again: Review | None = None, **spec: Any) -> tuple[Review, Object]:
        """A create or update as one server decides on it, before anything is written."""
        old = self.services.get(name)
        asked = again or review("UPDATE" if old else "CREATE", SERVICES, name=name, old=old)
        asked.claims.clear()
        found: Object = {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}
        if old is not None:
            assert SERVICES.strategy.prepare_update is not None
            found = SERVICES.strategy.prepare_update(found, old)
        return asked, self.allocator.mutate(asked, found)

    def write(self, name: str, planned: tuple[Review, Object]) -> bool:
        """The Txn of the store: false if a claim was taken meanwhile."""
        asked, found = planned
        if any(claim.key in self.claims for claim in asked.claims):
            return False
        old = self.services.get(name)
        kept = set(releases(SERVICES, found))
        for key in releases(SERVICES, old) if old else ():
            if key not in kept:
                del self.claims[key]
        for claim in asked.claims:
            assert claim.expected == 0
            assert claim.value is not None
            self.claims[claim.key] = claim.value
        self.services[name] = found
        return True

    def put(self, name: str, **spec: Any) -> Any:
        assert self.write(name, self.plan(name, **spec))
        return self.services[name]["spec"]

    def delete(self, name: str) -> None:
        for key in releases(SERVICES, self.services.pop(name)):
            del self.claims[key]


def ports(*numbers: int, protocol: str = "TCP", **more: Any) -> list[dict[str, Any]]:
    return [{"name": f"p{n}", "port": n, "protocol": protocol, **more} for n in numbers]


def node_ports(spec: Any) -> list[int]:
    return [port["nodePort"] for port in spec["ports"]]


def plan_twice(cluster: Cluster, name: str, **spec: Any) -> None:
    """As one whose claim was lost: the store knows better than a cache."""
    planned = cluster.plan(name, **spec)
    assert not cluster.write(name, planned)
    cluster.plan(name, planned[0], **spec)


def refused(cluster: Cluster, name: str = "new", **spec: Any) -> str:
    with pytest.raises(ApiError) as caught:
        plan_twice(cluster, name, **spec)
    assert caught.value.code == 422
    return caught.value.message


# ------------------------------------------------------------------------ addresses


def test_a_service_gets_an_address_of_the_upper_part() -> None:
    """The lowest 16 of a /24 are for those who ask by name: min(max(16, 256/16), 256)."""
    cluster = Cluster()
    for number in range(100):
        spec = cluster.put(f"s{number}", type="ClusterIP", ports=ports(80))
        assert spec["clusterIPs"] == [spec["clusterIP"]]
        assert int(spec["clusterIP"].rsplit(".", 1)[1]) > 16
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert len({one["spec"]["clusterIP"] for one in cluster.services.values()}) == 100


def test_the_first_address_is_the_api_servers() -> None:
    assert Cluster("10.96.0.0/12").allocator.first == "10.96.0.1"


def test_a_range_is_used_up_to_its_last_address_and_then_told_to_be_full() -> None:
    cluster = Cluster("10.96.0.0/28")
    for number in range(14):  # without the address of the network and the broadcast one
        cluster.put(f"s{number}", type="ClusterIP")
    with pytest.raises(ApiError, match="range is full") as caught:
        cluster.plan("more", type="ClusterIP")
    assert caught.value.code == 500
    cluster.delete("s3")
    cluster.put("more", type="ClusterIP")


def test_a_wide_range_that_is_full_at_the_top_is_not_listed() -> None:
    """2^64 addresses: whoever lists them never ends."""
    allocator = Allocator("fd00::/64", range(30000, 30100), lambda key: True, random.Random(1))
    candidates = allocator._candidates()
    assert len({next(candidates) for _ in range(200)}) > 100


def test_an_address_may_be_asked_for_once() -> None:
    cluster = Cluster()
    assert cluster.put("a", type="ClusterIP", clusterIP="10.96.0.5")["clusterIP"] == "10.96.0.5"
    message = refused(cluster, type="ClusterIP", clusterIP="10.96.0.5")
    assert 'spec.clusterIPs: Invalid value: ["10.96.0.5"]: failed to allocate IP' in message
    assert "provided IP is already allocated" in message


def test_what_was_given_up_can_be_had_before_the_cache_knows() -> None:
    cluster = Cluster()
    wanted = {"type": "NodePort", "clusterIP": "10.96.0.5", "ports": ports(80, nodePort=30001)}
    cluster.put("a", **wanted)
    cluster.given_up |= cluster.claims.keys()
    cluster.delete("a")
    spec = cluster.put("b", **wanted)
    assert (spec["clusterIP"], node_ports(spec)) == ("10.96.0.5", [30001])


@pytest.mark.parametrize("address", ["10.97.0.1", "10.96.0.0", "10.96.0.255"])
def test_an_address_outside_the_range_is_refused(address: str) -> None:
    message = refused(Cluster(), type="ClusterIP", clusterIP=address)
    assert "The range of valid IPs is 10.96.0.0/24" in message


@pytest.mark.parametrize("address", ["x", "10.96.0.256", "10.96.0.01", "10.96.0.1/24"])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert "must be a valid IP address" in refused(Cluster(), type="ClusterIP", clusterIP=address)


_BOTH = ["10.96.0.5", "fd00::1"]
_NO_DUAL_STACK = "this cluster is not configured for dual-stack services"
_SEVERAL = "must be 'RequireDualStack' or 'PreferDualStack' when multiple"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"ipFamilies": ["IPv6"]},
            'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
        ),
        (
            {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"},
            'spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster',
        ),
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            f'spec.ipFamilyPolicy: Invalid value: "SingleStack": {_SEVERAL} IP families are',
        ),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            f'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": {_NO_DUAL_STACK}',
        ),
        (
            {"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]},
            'spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this',
        ),
        (
            {"clusterIPs": _BOTH},
            f'spec.ipFamilyPolicy: Invalid value: "SingleStack": {_SEVERAL} cluster IPs are',
        ),
        (
            {"clusterIPs": _BOTH, "ipFamilyPolicy": "PreferDualStack"},
            "spec.clusterIPs[1]: Invalid value: [",
        ),
        (
            {"clusterIPs": ["10.96.0.5", "10.96.0.6"], "ipFamilyPolicy": "PreferDualStack"},
            "may specify no more than one IP for each IP family",
        ),
        (
            {"clusterIP": "None", "selector": {"a": "b"}, "ipFamilies": ["IPv6"]},
            'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
        ),
    ],
)
def test_a_family_that_the_cluster_has_not_is_refused(spec: dict[str, Any], why: str) -> None:
    """5.2."""
    cluster = Cluster()
    for attempt in ("a create", "an update"):
        with pytest.raises(ApiError) as caught:
            cluster.plan("a", type="ClusterIP", **spec)
        assert caught.value.code == 422, attempt
        assert why in caught.value.message, attempt
        is_headless = spec.get("clusterIP") == "None"
        cluster.put("a", type="ClusterIP", clusterIP="None" if is_headless else "")


def test_who_prefers_two_families_gets_the_one_that_there_is() -> None:
    """5.2."""
    for service_range, family in (("10.96.0.0/24", "IPv4"), ("fd00::/108", "IPv6")):
        cluster = Cluster(service_range)
        spec = cluster.put("a", type="ClusterIP", ipFamilyPolicy="PreferDualStack")
        assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == ([family], "PreferDualStack")
        assert len(spec["clusterIPs"]) == 1
        again = cluster.put("a", type="ClusterIP")
        assert (again["ipFamilies"], again["ipFamilyPolicy"]) == ([family], "PreferDualStack")


def test_a_headless_service_without_a_selector_may_say_what_its_endpoints_are() -> None:
    """5.2: somebody else makes them."""
    both = {"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack"}
    spec = Cluster().put("a", type="ClusterIP", clusterIP="None", **both)
    assert {name: spec[name] for name in both} == both


def test_one_address_has_one_claim_however_it_is_spelled() -> None:
    cluster = Cluster("fd00::/108")
    assert cluster.put("a", type="ClusterIP", clusterIP="fd00::0:5")["clusterIP"] == "fd00::5"
    assert "already allocated" in refused(cluster, type="ClusterIP", clusterIP="FD00::5")
    # … and its owner may spell it otherwise.
    cluster.put("a", type="ClusterIP", clusterIP="fd00:0::5")
    cluster.delete("a")
    assert not cluster.claims


def test_headless_services_and_external_names_have_none() -> None:
    cluster = Cluster()
    spec = cluster.put("a", type="ClusterIP", clusterIP="None")
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("None", ["None"])
    spec = cluster.put("b", type="ExternalName", externalName="x.example")
    assert "clusterIP" not in spec
    assert not cluster.claims


def test_an_update_keeps_the_address_and_a_deletion_gives_it_back() -> None:
    cluster = Cluster()
    address = cluster.put("a", type="ClusterIP")["clusterIP"]
    assert cluster.put("a", type="ClusterIP", ports=ports(80))["clusterIP"] == address
    assert cluster.put("a", type="ClusterIP", clusterIP=address)["clusterIP"] == address
    assert list(cluster.claims) == [f"{IP_PREFIX}{address}".encode()]
    cluster.delete("a")
    assert not cluster.claims


def test_who_becomes_an_external_name_gives_back_all_and_may_come_again() -> None:
    cluster = Cluster()
    cluster.put("a", type="NodePort", ports=ports(80))
    cluster.put("a", type="ExternalName", externalName="x.example", ports=ports(80))
    assert not cluster.claims
    assert cluster.put("a", type="ClusterIP")["clusterIP"].startswith("10.96.0.")
    assert len(cluster.claims) == 1


# ------------------------------------------------------------------------ node ports


def test_node_ports_come_from_the_upper_part() -> None:
    """The first 86 of 30000-32767 are for those who ask by name."""
    cluster = Cluster()
    for number in range(50):
        (given_,) = node_ports(cluster.put(f"s{number}", type="NodePort", ports=ports(80)))
        assert 30086 <= given_ <= 32767


def test_a_load_balancer_has_node_ports_unless_it_says_that_it_needs_none() -> None:
    cluster = Cluster()
    assert len(node_ports(cluster.put("a", type="LoadBalancer", ports=ports(80)))) == 1
    lean = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}
    (port,) = cluster.put("b", **lean, ports=ports(80))["ports"]
    assert "nodePort" not in port
    (port,) = cluster.put("c", **lean, ports=ports(80, nodePort=30001))["ports"]
    assert port["nodePort"] == 30001


def test_a_port_may_be_asked_for_once_in_each_protocol() -> None:
    cluster = Cluster()
    both = ports(53, nodePort=30053) + ports(53, protocol="UDP", nodePort=30053)
    assert node_ports(cluster.put("a", type="NodePort", ports=both)) == [30053, 30053]
    message = refused(cluster, type="NodePort", ports=ports(53, nodePort=30053))
    assert (
        "spec.ports[0].nodePort: Invalid value: 30053: provided port is already allocated"
        in message
    )


@pytest.mark.parametrize("port", [80, 29999, 32768])
def test_a_port_outside_the_range_is_refused(port: int) -> None:
    message = refused(Cluster(), type="NodePort", ports=ports(80, nodePort=port))
    assert "The range of valid ports is 30000-32767" in message


def test_an_update_that_does_not_name_its_node_ports_keeps_them() -> None:
    cluster = Cluster()
    before = node_ports(cluster.put("a", type="NodePort", ports=ports(80, 443)))
    after = node_ports(cluster.put("a", type="NodePort", ports=ports(443, 80)))
    assert after == before[::-1]
    (kept,) = node_ports(cluster.put("a", type="NodePort", ports=ports(443)))
    assert kept == before[1]
    assert len(cluster.claims) == 2  # its address, its port
    spec = cluster.put("a", type="ClusterIP", ports=ports(443))
    assert "nodePort" not in spec["ports"][0]
    assert len(cluster.claims) == 1


def test_a_port_that_gets_another_number_keeps_its_node_port() -> None:
    """5.3: it is the same one by its name."""
    cluster = Cluster()
    before = cluster.put("a", type="NodePort", ports=[{"name": "a", "port": 80}])
    after = cluster.put("a", type="NodePort", ports=[{"name": "a", "port": 8080}])
    assert node_ports(after) == node_ports(before)
    assert len(cluster.claims) == 2  # its address, its port


def test_who_asks_for_the_node_port_of_another_port_gets_it_and_the_other_a_new_one() -> None:
    """5.3."""
    cluster = Cluster()
    both = [{"name": "a", "port": 80, "nodePort": 30344}, {"name": "b", "port": 81}]
    first, other = node_ports(cluster.put("a", type="NodePort", ports=both))
    both = [{"name": "a", "port": 80}, {"name": "b", "port": 81, "nodePort": first}]
    new, taken = node_ports(cluster.put("a", type="NodePort", ports=both))
    assert taken == first
    assert new not in (first, other)
    assert len(cluster.claims) == 3  # its address, its ports


def test_what_is_asked_for_is_not_given_to_a_port_before_it() -> None:
    """5.3."""
    cluster = Cluster("10.96.0.0/20", ports=range(30000, 30002))
    both = [{"name": "a", "port": 80}, {"name": "b", "port": 81, "nodePort": 30000}]
    assert node_ports(cluster.put("a", type="NodePort", ports=both)) == [30001, 30000]
    cluster.delete("a")
    both[1]["nodePort"] = 30001
    assert node_ports(cluster.put("a", type="NodePort", ports=both)) == [30000, 30001]


@pytest.mark.parametrize("count", [1, 10, 16, 17, 40])
def test_a_small_range_is_used_up_and_then_told_to_be_full(count: int) -> None:
    cluster = Cluster("10.96.0.0/20", ports=range(30000, 30000 + count))
    for number in range(count):
        cluster.put(f"s{number}", type="NodePort", ports=ports(80))
    with pytest.raises(ApiError, match="failed to allocate a nodePort: range is full"):
        cluster.plan("more", type="NodePort", ports=ports(80))


def test_ports_of_one_service_differ() -> None:
    cluster = Cluster("10.96.0.0/20", ports=range(30000, 30020))
    given_ = node_ports(cluster.put("a", type="NodePort", ports=ports(*range(1, 21))))
    assert sorted(given_) == list(range(30000, 30020))


def test_other_kinds_and_subresources_are_left_alone() -> None:
    cluster = Cluster()
    for asked in (
        review("CREATE", resource("pods")),
        review("UPDATE", SERVICES, subresource="status"),
        review("DELETE", SERVICES),
    ):
        found = {"metadata": {}, "spec": {"type": "ClusterIP"}}
        assert cluster.allocator.mutate(asked, found) is found
        assert asked.claims == []
    assert releases(resource("pods"), {"spec": {"clusterIP": "10.96.0.1"}}) == ()


# -------------------------------------------------------------------- interleavings

_SPECS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")),
        "clusterIP": st.sampled_from(("", "", "None", "10.96.0.3", "10.96.0.4")),
        "ports": st.sampled_from(
            (ports(80), ports(80, 443), ports(80, nodePort=30001), ports(53, protocol="UDP"))
        ),
    }
)
_NAMES = st.sampled_from(("a", "b", "c"))


@settings(max_examples=200)
@given(st.lists(st.tuples(_NAMES, st.none() | _SPECS, st.booleans()), max_size=25))
def test_nothing_is_given_twice_and_nothing_is_lost(
    steps: list[tuple[str, dict[str, Any] | None, bool]],
) -> None:
    """Two servers decide on old news: the claims of the Txn have the last word."""
    cluster = Cluster("10.96.0.0/29", ports=range(30000, 30004))
    late: list[tuple[str, tuple[Review, Object], object]] = []
    for name, spec, is_late in steps:
        if spec is None:
            if name in cluster.services:
                cluster.delete(name)
            continue
        try:
            planned = cluster.plan(name, **spec)
        except ApiError as error:
            if error.code not in (422, 500):
                raise
            continue
        if is_late:
            late.append((name, planned, cluster.services.get(name)))
            continue
        cluster.write(name, planned)
        for other, plan, seen in late:
            if cluster.services.get(other) is seen:  # a compare of the object's own revision
                cluster.write(other, plan)
        late.clear()
    used = [key for one in cluster.services.values() for key in releases(SERVICES, one)]
    assert sorted(used) == sorted(cluster.claims), "each key has one owner, each owner its keys"
    assert all(key.startswith((IP_PREFIX.encode(), PORT_PREFIX.encode())) for key in used)
