"""kube-behaviour 5.5: a pod's resolv.conf, by dnsPolicy and dnsConfig."""

import pytest

from controlplane.api.resolv_conf import ResolvConf, parse, resolv_conf, text_of
from controlplane.api.types.core_v1 import PodDNSConfig, PodDNSConfigOption

HOST = "# ours\nsearch example.com corp.example.com\nnameserver 192.0.2.53\noptions rotate\n"
CLUSTER = (
    "search ns.svc.cluster.local svc.cluster.local cluster.local example.com corp.example.com\n"
    "nameserver 10.96.0.10\n"
    "options ndots:5\n"
)
HOSTS = "search example.com corp.example.com\nnameserver 192.0.2.53\noptions rotate\n"


def _conf(
    policy: str,
    config: PodDNSConfig | None = None,
    *,
    cluster_dns: tuple[str, ...] = ("10.96.0.10",),
    is_host_network: bool = False,
) -> str:
    return resolv_conf(
        policy, config, "ns", cluster_dns, "cluster.local", HOST, is_host_network=is_host_network
    )


@pytest.mark.parametrize("policy", ["ClusterFirst", "", "ClusterFirstWithHostNet"])
def test_pods_ask_the_cluster_first_and_search_their_namespace(policy: str) -> None:
    """5.5: ndots 5, search ns.svc, svc, cluster; then what the host searches."""
    assert _conf(policy) == CLUSTER


def test_default_is_what_the_host_has() -> None:
    assert _conf("Default") == HOSTS


def test_pod_of_the_hosts_network_is_asked_twice() -> None:
    """5.5: WithHostNet is for who is of the host's network and wants the cluster's names."""
    assert _conf("ClusterFirst", is_host_network=True) == HOSTS
    assert _conf("ClusterFirstWithHostNet", is_host_network=True) == CLUSTER


def test_cluster_without_dns_leaves_what_the_host_has() -> None:
    assert _conf("ClusterFirst", cluster_dns=()) == HOSTS


def test_none_is_what_the_pod_says_and_nothing_else() -> None:
    config = PodDNSConfig(nameservers=("192.0.2.1",), searches=("mine",))
    assert _conf("None", config) == "search mine\nnameserver 192.0.2.1\n"
    assert _conf("None") == ""


def test_what_the_pod_says_is_added_and_its_options_win() -> None:
    config = PodDNSConfig(
        nameservers=("10.96.0.10", "192.0.2.1"),
        searches=("mine", "cluster.local"),
        options=(
            PodDNSConfigOption(name="ndots", value="2"),
            PodDNSConfigOption(name="edns0"),
        ),
    )
    assert _conf("ClusterFirst", config) == (
        "search ns.svc.cluster.local svc.cluster.local cluster.local example.com corp.example.com"
        " mine\nnameserver 10.96.0.10\nnameserver 192.0.2.1\noptions ndots:2 edns0\n"
    )


def test_limits_of_resolvers_are_kept() -> None:
    """Three nameservers, 32 domains, 2048 characters."""
    many = PodDNSConfig(
        nameservers=tuple(f"192.0.2.{number}" for number in range(5)),
        searches=tuple(f"d{number}.example" for number in range(50)),
    )
    lines = _conf("None", many).splitlines()
    assert [line.split()[0] for line in lines] == ["search"] + ["nameserver"] * 3
    assert len(lines[0].split()) == 1 + 32
    long = text_of(ResolvConf(searches=tuple(f"{number:0200d}" for number in range(20))))
    assert len(long.splitlines()[0].removeprefix("search ")) <= 2048
    assert len(long.split()) == 1 + 10


def test_hosts_file_is_read_as_resolvers_do() -> None:
    """resolv.conf(5): of search and domain the last counts; what is not known says nothing."""
    text = (
        "domain a\nsearch b. c\n;nameserver 9\nnameserver 192.0.2.1 # x\nnonsense\noptions a b:1\n"
    )
    assert parse(text) == ResolvConf(("192.0.2.1",), ("b", "c"), ("a", "b:1"))
    assert parse("") == ResolvConf()
