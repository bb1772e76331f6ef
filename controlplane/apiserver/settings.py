"""Flags of the API server, spelled as kube-apiserver's where it has them.

PURE but for reading the files that flags name.
"""

import argparse
import csv
import ipaddress
from urllib.parse import urlsplit

import msgspec

from controlplane import flags, key_files
from controlplane.apiserver.audit_policy import EVERYTHING, Policy, policy_of
from controlplane.apiserver.users import User
from controlplane.flags import SettingsError, StoreSettings
from controlplane.tokens import Key

_SERVICES_MAX = 1 << 20  # addresses, as kube-apiserver's


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a server is started with."""

    store: StoreSettings
    host: str
    port: int
    advertise_address: str
    certificate: str
    key: str
    client_authority: str
    authority: str  # for kube-root-ca.crt; the server's own
    service_range: str
    node_ports: tuple[int, int]
    issuer: str
    audiences: tuple[str, ...]
    token_keys: tuple[Key, ...]
    static_tokens: dict[str, User]
    encryption_keys: tuple[tuple[str, bytes], ...]
    allows_anonymous: bool
    audit_log: str  # a file, - for standard output, or empty: nothing is audited
    audit_policy: Policy = EVERYTHING
    audit_megabytes_max: int = 0  # of a file before it is put aside; 0: it never is
    audit_backups_max: int = 0  # files that are put aside and kept; 0: all
    compaction_seconds: float = 0.0  # between compactions of the store; 0: it is left to others
    agent_certificate: str = ""  # shown to the nodes' agents; empty: none is asked
    agent_key: str = ""
    agent_authority: str = ""  # of the agents' own; empty: whom this machine trusts


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command line of `controlplane apiserver`."""
    flags.add_store_flags(parser)
    _add_serving_flags(parser)
    _add_identity_flags(parser)
    _add_agent_flags(parser)
    add = parser.add_argument
    shown = "(default %(default)s)"
    told = f"addresses of services {shown}"
    add("--service-cluster-ip-range", default="10.96.0.0/12", metavar="CIDR", help=told)
    told = f"ports of services on every node {shown}"
    add("--service-node-port-range", default="30000-32767", metavar="FIRST-LAST", help=told)
    told = f"how often the store is compacted, like 5m or 90s; 0: never {shown}"
    add("--etcd-compaction-interval", default="5m0s", metavar="DURATION", help=told)
    told = "where the audit log is written; -: standard output; default: nowhere"
    add("--audit-log-path", default="", metavar="FILE", help=told)
    told = "what is audited, and how much of it; default: everything, at Metadata"
    add("--audit-policy-file", default="", metavar="FILE", help=told)
    told = f"a larger audit log is put aside and a new one begun; 0: never {shown}"
    add("--audit-log-maxsize", type=int, default=100, metavar="MEGABYTES", help=told)
    told = f"audit logs put aside that are kept; 0: all {shown}"
    add("--audit-log-maxbackup", type=int, default=0, metavar="COUNT", help=told)


def _add_serving_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    told = "address to listen on; 0.0.0.0: all (default %(default)s)"
    add("--bind-address", default="127.0.0.1", metavar="ADDRESS", help=told)
    told = "port to listen on; 0: any (default %(default)s)"
    add("--secure-port", type=int, default=6443, metavar="PORT", help=told)
    told = "where pods and other servers reach this one; default: --bind-address"
    add("--advertise-address", default="", metavar="ADDRESS", help=told)
    told = "certificate of this server, PEM; without it plain HTTP is served"
    add("--tls-cert-file", default="", metavar="FILE", help=told)
    add("--tls-private-key-file", default="", metavar="FILE", help="key of that certificate, PEM")


def _add_agent_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    told = "certificate shown to the nodes' agents, PEM; without it there is no logs, exec or top"
    add("--kubelet-client-certificate", default="", metavar="FILE", help=told)
    told = "key of that certificate, PEM"
    add("--kubelet-client-key", default="", metavar="FILE", help=told)
    told = "authority of the agents' certificates, PEM; default: whom this machine trusts"
    add("--kubelet-certificate-authority", default="", metavar="FILE", help=told)


def _add_identity_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    told = "authority whose certificates name users (CN) and groups (O), PEM"
    add("--client-ca-file", default="", metavar="FILE", help=told)
    told = "who issues tokens of service accounts (default %(default)s)"
    issuer = "https://kubernetes.default.svc"
    add("--service-account-issuer", default=issuer, metavar="URL", help=told)
    told = "private key that signs tokens of service accounts, PEM"
    add("--service-account-signing-key-file", required=True, metavar="FILE", help=told)
    told = "a further key by which such tokens are known, PEM; may be given again"
    add("--service-account-key-file", action="append", default=[], metavar="FILE", help=told)
    told = "for whom such tokens are; default: the issuer"
    add("--api-audiences", default="", metavar="NAME[,NAME…]", help=told)
    told = 'users by their tokens, CSV: token,user,uid,"group,group"'
    add("--token-auth-file", default="", metavar="FILE", help=told)
    told = "whether who shows nothing is system:anonymous, or 401 (default %(default)s)"
    add("--anonymous-auth", choices=("true", "false"), default="true", help=told)


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    if bool(options.tls_cert_file) != bool(options.tls_private_key_file):
        raise SettingsError("--tls-cert-file and --tls-private-key-file go together")
    if options.tls_cert_file:
        pair = (options.tls_cert_file, options.tls_private_key_file)
        flags.check_pair("--tls-cert-file and --tls-private-key-file", *pair)
    if options.client_ca_file:
        flags.check_authority("--client-ca-file", options.client_ca_file)
    agents = _agents(options)
    issuer = _issuer(options.service_account_issuer)
    token_files = [options.service_account_signing_key_file, *options.service_account_key_file]
    return Settings(
        store=flags.store_of(options),
        host=_address("--bind-address", options.bind_address),
        port=_port(options.secure_port),
        advertise_address=_advertised(options.advertise_address, options.bind_address),
        certificate=options.tls_cert_file,
        key=options.tls_private_key_file,
        client_authority=options.client_ca_file,
        authority=options.client_ca_file,
        service_range=_network(options.service_cluster_ip_range),
        node_ports=_ports(options.service_node_port_range),
        issuer=issuer,
        audiences=tuple(one for one in options.api_audiences.split(",") if one) or (issuer,),
        token_keys=key_files.token_keys(token_files),
        static_tokens=_tokens(options.token_auth_file),
        encryption_keys=key_files.encryption_keys(options.encryption_provider_config),
        allows_anonymous=options.anonymous_auth == "true",
        audit_log=options.audit_log_path,
        audit_policy=_audit_policy(options.audit_policy_file),
        audit_megabytes_max=_count("--audit-log-maxsize", options.audit_log_maxsize),
        audit_backups_max=_count("--audit-log-maxbackup", options.audit_log_maxbackup),
        compaction_seconds=flags.duration_seconds(
            "--etcd-compaction-interval", options.etcd_compaction_interval
        ),
        agent_certificate=agents[0],
        agent_key=agents[1],
        agent_authority=agents[2],
    )


def _agents(options: argparse.Namespace) -> tuple[str, str, str]:
    """Certificate, key and authority."""
    certificate, key = options.kubelet_client_certificate, options.kubelet_client_key
    authority = options.kubelet_certificate_authority
    if bool(certificate) != bool(key):
        raise SettingsError("--kubelet-client-certificate and --kubelet-client-key go together")
    if certificate:
        flags.check_pair("--kubelet-client-certificate and --kubelet-client-key", certificate, key)
    if authority:
        flags.check_authority("--kubelet-certificate-authority", authority)
    return certificate, key, authority


def _count(flag: str, number: int) -> int:
    if number < 0:
        raise SettingsError(f"{flag}: {number} is less than 0")
    return number


def _audit_policy(path: str) -> Policy:
    if not path:
        return EVERYTHING
    try:
        return policy_of(flags.read(path))
    except ValueError as error:
        raise SettingsError(f"--audit-policy-file {path} is no audit policy: {error}") from None


def _address(flag: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise SettingsError(f"{flag}: {text!r} is no IP address") from None


def _advertised(text: str, bound: str) -> str:
    address = _address("--advertise-address" if text else "--bind-address", text or bound)
    if ipaddress.ip_address(address).is_unspecified:
        raise SettingsError(
            f"--advertise-address: {address} is no place that pods can reach: name the address of "
            "this machine that they are to use"
        )
    return address


def _port(number: int) -> int:
    if not 0 <= number < 65536:
        raise SettingsError(f"--secure-port: {number} is no port: 1 to 65535, or 0 for any")
    return number


def _issuer(text: str) -> str:
    """As Kubernetes: a name without a colon is any, with one it is a URL."""
    if not text or (":" in text and not urlsplit(text).netloc):
        raise SettingsError(
            f"--service-account-issuer: {text!r} is no URL like https://kubernetes.default.svc"
        )
    return text


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise SettingsError(f"--service-cluster-ip-range: {error}") from None
    if network.num_addresses < 8:
        raise SettingsError("--service-cluster-ip-range: it needs 8 addresses at least")
    if network.num_addresses > _SERVICES_MAX:
        widest = network.max_prefixlen - 20
        raise SettingsError(f"--service-cluster-ip-range: {text} is too large: /{widest} at most")
    return str(network)


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) < int(last) < 65536):
        raise SettingsError(f"--service-node-port-range: {text!r} is not like 30000-32767")
    return int(first), int(last)


def _tokens(path: str) -> dict[str, User]:
    if not path:
        return {}
    try:
        rows = list(csv.reader(flags.read_private(path).decode().splitlines()))
    except (ValueError, csv.Error) as error:
        raise SettingsError(f"{path} is no CSV file: {error}") from None
    users: dict[str, User] = {}
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        token, name, uid, groups = [*map(str.strip, row), "", "", ""][:4]
        if len(row) < 3 or not token or not name:
            raise SettingsError(f'{path}, line {number}: token,user,uid[,"group,group"], please')
        if token in users:
            raise SettingsError(f"{path}, line {number}: its token is another user's already")
        named = tuple(one.strip() for one in groups.split(",") if one.strip())
        users[token] = User(name=name, uid=uid, groups=named)
    return users
