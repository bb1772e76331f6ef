import msgspec

from cluster import components, topology
from cluster.policies import Policies
from cluster.topology import Certificates, ClusterFile, TlsFiles
from controlplane.network.nodes import node_port_addresses, ranges_of


def files(name: str) -> TlsFiles:
    return TlsFiles(f"{name}.ca", f"{name}.crt", f"{name}.key")


CERTIFICATES = Certificates(
    member=files("member"),
    store_admin=files("store-admin"),
    apiserver_store=files("apiserver-store"),
    controllers=files("controllers"),
    scheduler=files("scheduler"),
    proxy=files("proxy"),
    hollow=files("hollow"),
    apiserver=files("apiserver"),
    admin=files("admin"),
    kubelet_client=files("kubelet-client"),
    service_account_key="service-account.key",
    node_agents=(files("n1-agent"), files("n2-agent")),
    node_servers=(files("n1-server"), files("n2-server")),
)

POLICIES = Policies("encryption.json", "audit-policy.yaml", "audit.log", "/data")


def started(cluster: ClusterFile) -> tuple[components.Component, ...]:
    return components.components(cluster, CERTIFICATES, POLICIES)


def a_cluster(*, is_tls: bool = True) -> ClusterFile:
    members = topology.members(3, topology.port_pairs(3), "/data")
    return ClusterFile("token", members, is_tls, 6443, nodes=2, block=68)


def arguments(cluster: ClusterFile, name: str) -> tuple[str, ...]:
    [found] = [one for one in started(cluster) if one.name == name]
    return found.arguments


def test_the_api_server_shows_one_certificate_to_clients_and_another_to_the_store() -> None:
    flags = arguments(a_cluster(), "apiserver")
    assert "--tls-cert-file=apiserver.crt" in flags
    assert "--client-ca-file=apiserver.ca" in flags
    assert "--store-certfile=apiserver-store.crt" in flags
    assert "--store-cafile=apiserver-store.ca" in flags
    assert "--secure-port=6443" in flags
    assert "--bind-address=127.0.0.1" in flags


def test_the_controllers_sign_with_the_key_that_the_api_server_verifies_with() -> None:
    flags = arguments(a_cluster(), "controllers")
    assert "--store-certfile=controllers.crt" in flags
    assert "--root-ca-file=apiserver.ca" in flags
    assert "--service-account-private-key-file=service-account.key" in flags
    key = "--service-account-signing-key-file=service-account.key"
    assert key in arguments(a_cluster(), "apiserver")


def test_every_component_is_told_of_the_members_that_there_are() -> None:
    cluster = a_cluster()
    cluster = cluster.without_member(cluster.members[0])
    wanted = "--store-endpoints=https://127.0.0.1:12379,https://127.0.0.1:22379"
    for component in started(cluster):
        assert wanted in component.arguments


def test_a_store_without_certificates_is_shown_none() -> None:
    for component in started(a_cluster(is_tls=False)):
        assert not any(flag.startswith("--store-c") for flag in component.arguments)


def test_lines_can_be_pasted_whatever_the_folder_is_called() -> None:
    lines = components.paste_lines("/my data/kubeconfig", "cpctl")
    assert all("--kubeconfig '/my data/kubeconfig' " in line for line in lines)
    assert [line.split()[0] for line in lines] == ["kubectl", "kubectl", "kubectl", "cpctl"]


def test_whoever_reads_and_writes_secrets_knows_how_they_are_encrypted() -> None:
    for name in ("apiserver", "controllers", "n1", "n2"):
        assert "--encryption-provider-config=encryption.json" in arguments(a_cluster(), name)


def test_each_node_has_an_agent_at_an_address_of_its_own() -> None:
    flags = arguments(a_cluster(), "n2")
    assert {"--node-name=n2", "--node-ip=127.68.0.2", "--root-dir=/data/n2"} <= set(flags)
    assert "--store-certfile=n2-agent.crt" in flags
    assert {"--tls-cert-file=n2-server.crt", "--client-ca-file=n2-server.ca"} <= set(flags)


def test_hollow_nodes_are_one_process_and_only_where_they_are_asked_for() -> None:
    assert "hollow" not in [one.name for one in started(a_cluster())]
    cluster = msgspec.structs.replace(a_cluster(), hollow=7)
    [hollow] = [one for one in started(cluster) if one.name == "hollow"]
    assert "--nodes=7" in hollow.arguments
    assert "--store-certfile=hollow.crt" in hollow.arguments
    assert hollow.node == "hollow-7"


def test_hollow_nodes_alone_are_no_nodes_of_the_proxy() -> None:
    """Named no node it would take each of them for one of its machine's."""
    cluster = msgspec.structs.replace(a_cluster(), nodes=0, hollow=7)
    names = [one for one in arguments(cluster, "proxy") if one.startswith("--node-name=")]
    assert names == ["--node-name=hollow"]


def test_node_ports_are_open_at_each_node_and_at_localhost() -> None:
    """kube-behaviour 5.1: reachable at every node's InternalIP."""
    cluster = a_cluster()
    [ranges] = [
        one.removeprefix("--nodeport-addresses=")
        for one in arguments(cluster, "proxy")
        if one.startswith("--nodeport-addresses=")
    ]
    of_nodes = {
        f"n{number}": (cluster.network.node_address(number),) for number in (1, cluster.nodes)
    }
    assert node_port_addresses(of_nodes, ranges_of(ranges)) == {
        "127.68.0.1": frozenset({"n1"}),
        "127.68.0.2": frozenset({"n2"}),
        "127.0.0.1": None,
    }


def test_all_agree_on_the_addresses_of_the_cluster() -> None:
    cluster = a_cluster()
    assert "--service-cluster-ip-range=127.70.0.0/16" in arguments(cluster, "apiserver")
    assert "--cluster-cidr=127.69.0.0/16" in arguments(cluster, "controllers")
    for name in ("proxy", "n1"):
        assert "--cluster-dns=127.70.0.10" in arguments(cluster, name)
    assert {"--node-name=n1", "--node-name=n2"} <= set(arguments(cluster, "proxy"))
    [proxy] = [one for one in started(cluster) if one.name == "proxy"]
    assert proxy.ready_at == "https://127.70.0.1:443"


def test_what_the_api_server_shows_an_agent_is_not_what_it_shows_its_clients() -> None:
    flags = arguments(a_cluster(), "apiserver")
    assert "--kubelet-client-certificate=kubelet-client.crt" in flags
    assert "--kubelet-certificate-authority=kubelet-client.ca" in flags


def test_the_api_server_keeps_a_gigabyte_of_its_audit_log() -> None:
    """Row 11.10."""
    flags = arguments(a_cluster(), "apiserver")
    assert {"--audit-log-path=audit.log", "--audit-policy-file=audit-policy.yaml"} <= set(flags)
    assert {"--audit-log-maxsize=100", "--audit-log-maxbackup=10"} <= set(flags)
