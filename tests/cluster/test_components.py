from cluster import components, topology
from cluster.policies import Policies
from cluster.topology import Certificates, ClusterFile, TlsFiles


def files(name: str) -> TlsFiles:
    return TlsFiles(f"{name}.ca", f"{name}.crt", f"{name}.key")


CERTIFICATES = Certificates(
    member=files("member"),
    store_admin=files("store-admin"),
    apiserver_store=files("apiserver-store"),
    controllers=files("controllers"),
    apiserver=files("apiserver"),
    admin=files("admin"),
    service_account_key="service-account.key",
)

POLICIES = Policies("encryption.json", "audit-policy.yaml", "audit.log")


def started(cluster: ClusterFile) -> tuple[components.Component, ...]:
    return components.components(cluster, CERTIFICATES, POLICIES)


def a_cluster(*, is_tls: bool = True) -> ClusterFile:
    members = topology.members(3, topology.port_pairs(3), "/data")
    return ClusterFile("token", members, is_tls, 6443)


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
    for component in started(a_cluster()):
        assert "--encryption-provider-config=encryption.json" in component.arguments


def test_the_api_server_keeps_a_gigabyte_of_its_audit_log() -> None:
    """Row 11.10."""
    flags = arguments(a_cluster(), "apiserver")
    assert {"--audit-log-path=audit.log", "--audit-policy-file=audit-policy.yaml"} <= set(flags)
    assert {"--audit-log-maxsize=100", "--audit-log-maxbackup=10"} <= set(flags)
