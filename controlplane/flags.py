"""Flags that several components have: how to reach the store, and files and durations.

PURE but for reading the files that flags name.
"""

import argparse
import errno
import re
import ssl
import stat
from pathlib import Path

import msgspec

from kvstore.client import Client, Tls, connect, open_http2_channel

_LIKE = "URL[,URL…], please, like https://127.0.0.1:2379"
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class SettingsError(Exception):
    """A flag, or a file that one names, cannot be used; the message says what to do."""


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the store.

    endpoints  `host:port` of members
    tls        files: authority, certificate, key
    """

    endpoints: tuple[str, ...]
    tls: tuple[str, str, str] | None = None

    def connect(self) -> Client:
        """A client; the caller closes it."""
        tls = None if self.tls is None else Tls.from_files(*self.tls)
        return connect(
            self.endpoints,
            tls=tls,
            # Every request costs a call at least, and grpc.aio's cost more than all the rest of it.
            open_channel=lambda endpoint: open_http2_channel(endpoint, tls),
        )


def unservable(
    error: OSError, host: str, port: int, *, host_flag: str, port_flag: str
) -> SettingsError:
    """Why nothing can be served there, in the words of the flags that say where."""
    place = f"port {port} of {host}"
    match error.errno:
        case errno.EADDRINUSE:
            why = f"{port_flag}: {place} is in use by another program: stop it, or name another"
        case errno.EADDRNOTAVAIL:
            why = f"{host_flag}: this machine has no address {host}"
        case errno.EACCES:
            why = f"{port_flag}: {place} is for root only: name one from 1024 on"
        case _:
            why = f"cannot listen on {place}: {error.strerror}"
    return SettingsError(why)


def add_store_flags(parser: argparse.ArgumentParser) -> None:
    """What everyone needs to read and write objects."""
    add = parser.add_argument
    told = "client addresses of the store's members"
    names = ("--store-endpoints", "--etcd-servers")
    add(*names, required=True, metavar="URL[,URL…]", help=told)
    told = "authority of the store's certificates, PEM; without it plain HTTP is spoken"
    add("--store-cafile", "--etcd-cafile", default="", metavar="FILE", help=told)
    told = "certificate that is shown to the store, PEM"
    add("--store-certfile", "--etcd-certfile", default="", metavar="FILE", help=told)
    told = "key of that certificate, PEM"
    add("--store-keyfile", "--etcd-keyfile", default="", metavar="FILE", help=told)
    told = "how Secrets are encrypted in the store: an EncryptionConfiguration with aesgcm keys"
    add("--encryption-provider-config", default="", metavar="FILE", help=told)


def store_of(options: argparse.Namespace) -> StoreSettings:
    """Raises SettingsError."""
    tls = (options.store_cafile, options.store_certfile, options.store_keyfile)
    if any(tls) and not all(tls):
        raise SettingsError("--store-cafile, --store-certfile and --store-keyfile go together")
    if all(tls):
        check_authority("--store-cafile", tls[0])
        check_pair("--store-certfile and --store-keyfile", tls[1], tls[2])
    endpoints = tuple(_endpoint(one) for one in options.store_endpoints.split(",") if one.strip())
    if not endpoints:
        raise SettingsError(f"--store-endpoints: none is named: {_LIKE}")
    return StoreSettings(endpoints=endpoints, tls=tls if all(tls) else None)


def _endpoint(text: str) -> str:
    place = text.strip().removeprefix("https://").removeprefix("http://").removesuffix("/")
    host, _, port = place.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    if not host or not is_port or set(host) & set("/@ "):
        raise SettingsError(f"--store-endpoints: {text.strip()!r} is no member's address: {_LIKE}")
    return place


def duration_seconds(flag: str, text: str) -> float:
    """A duration as Kubernetes' flags have it (`1h30m`, `5m0s`, `0`). Raises SettingsError."""
    parts = _DURATION_PART.findall(text)
    if text != "0" and ("".join(map("".join, parts)) != text or not parts):
        raise SettingsError(f"{flag}: {text!r} is not a duration like 5m, 90s or 1h30m")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def read(path: str) -> bytes:
    """A file that a flag names. Raises SettingsError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None


def read_private(path: str) -> bytes:
    """A file with something secret in it. Raises SettingsError where everybody can read it."""
    data = read(path)
    if Path(path).stat().st_mode & stat.S_IROTH:
        raise SettingsError(f"{path} can be read by everybody on this machine: chmod 600 {path}")
    return data


def check_pair(flag: str, certificate: str, key: str) -> None:
    """Raises SettingsError unless they are a certificate and its key."""
    read(certificate)
    read_private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Whoever starts a server is not there to be asked for a password.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        why = "are not PEM files of a certificate and a key without a password"
        if error.reason == "KEY_VALUES_MISMATCH":
            why = "do not belong together: the key is another certificate's"
        raise SettingsError(f"{flag}: {certificate} and {key} {why}") from None


def check_authority(flag: str, path: str) -> None:
    """Raises SettingsError unless it has certificates in PEM."""
    read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise SettingsError(f"{flag}: {path} has no certificate in PEM") from None
