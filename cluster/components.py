"""The processes of the control plane: the command lines that start them, and how one reaches them.

Pure: the launcher does what it says.
"""

import shlex
from collections.abc import Iterator, Sequence

import msgspec

from cluster import network, topology
from cluster.policies import Policies
from cluster.topology import Certificates, ClusterFile, TlsFiles

APISERVER, CONTROLLERS, SCHEDULER, PROXY = "apiserver", "controllers", "scheduler", "proxy"
HOLLOW = "hollow"
HOLLOW_MAX = 5_000
DOMAIN = "cluster.local"
EVICTION_HARD = (
    "memory.available<100Mi,nodefs.available<512Mi,nodefs.inodesFree<1%,pid.available<5%"
)
"""Of the nodes, which share this machine's disk with all else that is on it. The kubelet's 10 % of
it would evict every pod on a disk that is merely well used; so much is what the store needs."""

_AUDIT_MEGABYTES, _AUDIT_BACKUPS = 100, 10  # a gigabyte of the audit log is kept


class Component(msgspec.Struct, frozen=True):
    """One process beside the store's members.

    arguments  of `python`
    address    where it is reached; empty: it serves nobody
    ready_at   the URL of an API server that answers where it does its work; empty: there is none
    lease      in kube-system, by which one of its kind leads; empty: it has none
    node       the Node that it keeps; empty: none
    """

    name: str
    arguments: tuple[str, ...]
    address: str = ""
    ready_at: str = ""
    lease: str = ""
    node: str = ""


def components(
    cluster: ClusterFile, certificates: Certificates, policies: Policies
) -> tuple[Component, ...]:
    """What runs beside the members; the first one is started first and stopped last."""
    url = topology.api_url(cluster)
    return (
        Component(
            APISERVER,
            _command(APISERVER, _apiserver(cluster, certificates, policies)),
            address=url,
            ready_at=url,
        ),
        Component(
            CONTROLLERS,
            _command(CONTROLLERS, _controllers(cluster, certificates, policies)),
            lease="kube-controller-manager",
        ),
        Component(
            SCHEDULER,
            _command(SCHEDULER, _scheduler(cluster, certificates)),
            lease="kube-scheduler",
        ),
        Component(
            PROXY,
            _command(PROXY, _proxy(cluster, certificates)),
            address=f"dns://{cluster.network.dns}",
            # The service `kubernetes` leads to the API server through it.
            ready_at=f"https://{cluster.network.api_service}:443",
        ),
        *_agents(cluster, certificates, policies),
        *_hollow(cluster, certificates),
    )


def _command(component: str, flags: Sequence[str]) -> tuple[str, ...]:
    return ("-m", "controlplane", component, *flags)


def _apiserver(cluster: ClusterFile, certificates: Certificates, policies: Policies) -> list[str]:
    serving = certificates.apiserver
    return [
        *_store_flags(cluster, certificates.apiserver_store),
        "--bind-address=127.0.0.1",
        f"--secure-port={cluster.api_port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={serving.authority}",
        f"--service-cluster-ip-range={cluster.network.service_range}",
        f"--kubelet-certificate-authority={certificates.kubelet_client.authority}",
        f"--kubelet-client-certificate={certificates.kubelet_client.certificate}",
        f"--kubelet-client-key={certificates.kubelet_client.key}",
        f"--service-account-signing-key-file={certificates.service_account_key}",
        f"--encryption-provider-config={policies.encryption}",
        f"--audit-log-path={policies.audit_log}",
        f"--audit-policy-file={policies.audit}",
        f"--audit-log-maxsize={_AUDIT_MEGABYTES}",
        f"--audit-log-maxbackup={_AUDIT_BACKUPS}",
    ]


def _controllers(cluster: ClusterFile, certificates: Certificates, policies: Policies) -> list[str]:
    return [
        *_store_flags(cluster, certificates.controllers),
        f"--cluster-cidr={cluster.network.cluster_range}",
        f"--root-ca-file={certificates.apiserver.authority}",
        f"--service-account-private-key-file={certificates.service_account_key}",
        f"--encryption-provider-config={policies.encryption}",
        # The same in each life: the Lease of one that was killed need not run out first.
        f"--identity={CONTROLLERS}",
    ]


def _scheduler(cluster: ClusterFile, certificates: Certificates) -> list[str]:
    return [*_store_flags(cluster, certificates.scheduler), f"--identity={SCHEDULER}"]


def _proxy(cluster: ClusterFile, certificates: Certificates) -> list[str]:
    """One for the machine: node ports are open at every node's address, and at localhost.

    Hollow nodes are on no machine: where there are no others, none is named of which there is one.
    """
    return [
        *_store_flags(cluster, certificates.proxy),
        *(f"--node-name={name}" for name in network.node_names(cluster.nodes) or [HOLLOW]),
        f"--nodeport-addresses=127.0.0.1/32,{cluster.network.node_range}",
        f"--cluster-dns={cluster.network.dns}",
        f"--cluster-domain={DOMAIN}",
    ]


def _agents(
    cluster: ClusterFile, certificates: Certificates, policies: Policies
) -> Iterator[Component]:
    for number, name in enumerate(network.node_names(cluster.nodes), start=1):
        serving = certificates.node_servers[number - 1]
        address = cluster.network.node_address(number)
        flags = [
            *_store_flags(cluster, certificates.node_agents[number - 1]),
            f"--node-name={name}",
            f"--node-ip={address}",
            f"--root-dir={policies.folder}/{name}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={serving.authority}",
            f"--service-account-private-key-file={certificates.service_account_key}",
            f"--encryption-provider-config={policies.encryption}",
            f"--cluster-dns={cluster.network.dns}",
            f"--cluster-domain={DOMAIN}",
            f"--eviction-hard={EVICTION_HARD}",
        ]
        url = f"https://{address}:{network.KUBELET_PORT}"
        yield Component(name, _command("agent", flags), address=url, node=name)


def _hollow(cluster: ClusterFile, certificates: Certificates) -> Iterator[Component]:
    if cluster.hollow:
        flags = [
            *_store_flags(cluster, certificates.hollow),
            f"--nodes={cluster.hollow}",
            f"--name-prefix={HOLLOW}-",
        ]
        yield Component(HOLLOW, _command(HOLLOW, flags), node=f"{HOLLOW}-{cluster.hollow}")


def _store_flags(cluster: ClusterFile, client: TlsFiles) -> list[str]:
    endpoints = ",".join(topology.client_url(cluster, member) for member in cluster.members)
    flags = [f"--store-endpoints={endpoints}"]
    if cluster.is_tls:
        flags += [
            f"--store-cafile={client.authority}",
            f"--store-certfile={client.certificate}",
            f"--store-keyfile={client.key}",
        ]
    return flags


def paste_lines(kubeconfig: str, cpctl: str) -> list[str]:
    """Lines that a person can paste to talk to the API server, at any time again."""
    flag = f"--kubeconfig {shlex.quote(kubeconfig)}"
    return [
        f"kubectl {flag} cluster-info",
        f"kubectl {flag} get nodes",
        f"kubectl {flag} get clusterroles,services --all-namespaces",
        f"{shlex.quote(cpctl)} {flag} get namespaces",
    ]
