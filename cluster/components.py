"""The processes of the control plane: the command lines that start them, and how one reaches them.

Pure: the launcher does what it says.
"""

import shlex

import msgspec

from cluster import topology
from cluster.policies import Policies
from cluster.topology import Certificates, ClusterFile, TlsFiles

APISERVER, CONTROLLERS = "apiserver", "controllers"
_AUDIT_MEGABYTES, _AUDIT_BACKUPS = 100, 10  # a gigabyte of the audit log is kept


class Component(msgspec.Struct, frozen=True):
    """One process beside the store's members.

    arguments  of `python`
    address    where it serves HTTPS; empty: it serves nobody
    lease      in kube-system, by which one of its kind leads; empty: it has none
    """

    name: str
    arguments: tuple[str, ...]
    address: str = ""
    lease: str = ""


def components(
    cluster: ClusterFile, certificates: Certificates, policies: Policies
) -> tuple[Component, ...]:
    """What runs beside the members; the first one is started first and stopped last."""
    return (
        Component(
            APISERVER,
            ("-m", "controlplane", "apiserver", *_apiserver(cluster, certificates, policies)),
            address=topology.api_url(cluster),
        ),
        Component(
            CONTROLLERS,
            (
                *("-m", "controlplane", "controllers"),
                *_controllers(cluster, certificates, policies),
            ),
            lease="kube-controller-manager",
        ),
    )


def _apiserver(cluster: ClusterFile, certificates: Certificates, policies: Policies) -> list[str]:
    serving = certificates.apiserver
    return [
        *_store_flags(cluster, certificates.apiserver_store),
        "--bind-address=127.0.0.1",
        f"--secure-port={cluster.api_port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={serving.authority}",
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
        f"--root-ca-file={certificates.apiserver.authority}",
        f"--service-account-private-key-file={certificates.service_account_key}",
        f"--encryption-provider-config={policies.encryption}",
        # The same in each life: the Lease of one that was killed need not run out first.
        f"--identity={CONTROLLERS}",
    ]


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
        f"kubectl {flag} get namespaces",
        f"kubectl {flag} get clusterroles,services --all-namespaces",
        f"{shlex.quote(cpctl)} {flag} get namespaces",
    ]
