"""Flags of the API server, spelled as kube-apiserver's where it has them.

PURE but for reading the files that flags name.
"""

import argparse
import base64
import csv
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from controlplane.apiserver.tokens import Key
from controlplane.apiserver.users import User


class SettingsError(Exception):
    """A flag, or a file that one names, cannot be used; the message says what to do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a server is started with."""

    store_endpoints: tuple[str, ...]
    store_tls: tuple[str, str, str] | None  # authority, certificate, key
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
    audit_log: str


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command line of `controlplane apiserver`."""
    add = parser.add_argument
    add("--store-endpoints", "--etcd-servers", required=True, metavar="URL[,URL…]")
    add("--store-cafile", "--etcd-cafile", default="", metavar="FILE")
    add("--store-certfile", "--etcd-certfile", default="", metavar="FILE")
    add("--store-keyfile", "--etcd-keyfile", default="", metavar="FILE")
    add("--bind-address", default="127.0.0.1", metavar="ADDRESS")
    add(
        "--secure-port", type=int, default=6443, metavar="PORT", help="0: any (default %(default)s)"
    )
    add("--advertise-address", default="", metavar="ADDRESS")
    add("--tls-cert-file", default="", metavar="FILE", help="without it plain HTTP is served")
    add("--tls-private-key-file", default="", metavar="FILE")
    add("--client-ca-file", default="", metavar="FILE")
    add("--service-cluster-ip-range", default="10.96.0.0/12", metavar="CIDR")
    add("--service-node-port-range", default="30000-32767", metavar="FIRST-LAST")
    add("--service-account-issuer", default="https://kubernetes.default.svc", metavar="URL")
    add("--service-account-signing-key-file", required=True, metavar="FILE")
    add("--service-account-key-file", action="append", default=[], metavar="FILE")
    add("--api-audiences", default="", metavar="NAME[,NAME…]")
    add("--token-auth-file", default="", metavar="FILE", help='CSV: token,user,uid,"group,group"')
    add("--encryption-provider-config", default="", metavar="FILE")
    add("--anonymous-auth", choices=("true", "false"), default="true")
    add("--audit-log-path", default="", metavar="FILE", help="-: standard output")


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises SettingsError."""
    store_tls = (options.store_cafile, options.store_certfile, options.store_keyfile)
    if any(store_tls) and not all(store_tls):
        raise SettingsError("--store-cafile, --store-certfile and --store-keyfile go together")
    if bool(options.tls_cert_file) != bool(options.tls_private_key_file):
        raise SettingsError("--tls-cert-file and --tls-private-key-file go together")
    issuer = options.service_account_issuer
    key_files = [options.service_account_signing_key_file, *options.service_account_key_file]
    return Settings(
        store_endpoints=tuple(_endpoint(one) for one in options.store_endpoints.split(",") if one),
        store_tls=store_tls if all(store_tls) else None,
        host=options.bind_address,
        port=options.secure_port,
        advertise_address=options.advertise_address or options.bind_address,
        certificate=options.tls_cert_file,
        key=options.tls_private_key_file,
        client_authority=options.client_ca_file,
        authority=options.client_ca_file,
        service_range=_network(options.service_cluster_ip_range),
        node_ports=_ports(options.service_node_port_range),
        issuer=issuer,
        audiences=tuple(one for one in options.api_audiences.split(",") if one) or (issuer,),
        token_keys=_keys(key_files),
        static_tokens=_tokens(options.token_auth_file),
        encryption_keys=_encryption(options.encryption_provider_config),
        allows_anonymous=options.anonymous_auth == "true",
        audit_log=options.audit_log_path,
    )


def _endpoint(text: str) -> str:
    return text.strip().removeprefix("https://").removeprefix("http://")


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise SettingsError(f"--service-cluster-ip-range: {error}") from None
    if network.num_addresses < 8:
        raise SettingsError("--service-cluster-ip-range: it needs 8 addresses at least")
    return str(network)


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) < int(last) < 65536):
        raise SettingsError(f"--service-node-port-range: {text!r} is not like 30000-32767")
    return int(first), int(last)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None


def _keys(paths: Sequence[str]) -> tuple[Key, ...]:
    found = []
    for path in paths:
        try:
            found.append(Key(_read(path)))
        except ValueError as error:
            raise SettingsError(f"{path} is no key: {error}") from None
    if found[0].private is None:
        raise SettingsError(f"{paths[0]} is a public key: a private one signs")
    return tuple(found)


def _tokens(path: str) -> dict[str, User]:
    if not path:
        return {}
    try:
        rows = list(csv.reader(_read(path).decode().splitlines()))
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


def _encryption(path: str) -> tuple[tuple[str, bytes], ...]:
    """The aesgcm keys of an EncryptionConfiguration."""
    if not path:
        return ()
    try:
        tree = yaml.safe_load(_read(path))
        keys = [
            (str(key["name"]), base64.b64decode(key["secret"], validate=True))
            for resources in tree["resources"]
            if resources["resources"]
            for provider in resources["providers"]
            for key in (provider.get("aesgcm") or {}).get("keys", ())
        ]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise SettingsError(f"{path} is no EncryptionConfiguration: {error!r}") from None
    others = {str(one) for part in tree["resources"] for one in part["resources"]} - {"secrets"}
    if others:
        raise SettingsError(f"{path}: {', '.join(sorted(others))}: only secrets are encrypted")
    for name, secret in keys:
        if len(secret) not in (16, 24, 32):
            raise SettingsError(f"{path}: key {name} has {len(secret)} bytes, not 16, 24 or 32")
    if not keys:
        raise SettingsError(f"{path}: no aesgcm key")
    return tuple(keys)
