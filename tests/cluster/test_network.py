"""Addresses of clusters on one machine."""

import ipaddress

from cluster.network import BLOCKS, NODES_MAX, Network, node_names


def ranges(network: Network) -> list[ipaddress.IPv4Network]:
    found = (network.node_range, network.cluster_range, network.service_range)
    return [*map(ipaddress.IPv4Network, found)]


def test_no_two_ranges_of_any_clusters_overlap() -> None:
    found = [one for block in BLOCKS for one in ranges(Network(block))]
    for position, one in enumerate(found):
        assert one.is_loopback
        assert not any(one.overlaps(other) for other in found[position + 1 :])


def test_services_of_the_system_have_the_first_addresses() -> None:
    network = Network(64)
    assert (network.api_service, network.dns) == ("127.66.0.1", "127.66.0.10")
    assert network.node_address(3) == "127.64.0.3"


def test_each_node_can_have_a_range_of_pods() -> None:
    pods = ipaddress.IPv4Network(Network().cluster_range)
    assert len(list(pods.subnets(new_prefix=24))) > NODES_MAX
    assert node_names(3) == ["n1", "n2", "n3"]
