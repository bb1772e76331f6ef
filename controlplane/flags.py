"""Flags that several components have: how to reach the store, and which keys sign and encrypt.

PURE but for reading the files that flags name.
"""

import argparse
import base64
from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from controlplane.tokens import Key
from kvstore.client import Client, Tls, connect, open_http2_channel


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


def add_store_flags(parser: argparse.ArgumentParser) -> None:
    """What everyone needs to read and write objects."""
    add = parser.add_argument
    add("--store-endpoints", "--etcd-servers", required=True, metavar="URL[,URL…]")
    add("--store-cafile", "--etcd-cafile", default="", metavar="FILE")
    add("--store-certfile", "--etcd-certfile", default="", metavar="FILE")
    add("--store-keyfile", "--etcd-keyfile", default="", metavar="FILE")
    add("--encryption-provider-config", default="", metavar="FILE")


def store_of(options: argparse.Namespace) -> StoreSettings:
    """Raises SettingsError."""
    tls = (options.store_cafile, options.store_certfile, options.store_keyfile)
    if any(tls) and not all(tls):
        raise SettingsError("--store-cafile, --store-certfile and --store-keyfile go together")
    return StoreSettings(
        endpoints=tuple(_endpoint(one) for one in options.store_endpoints.split(",") if one),
        tls=tls if all(tls) else None,
    )


def _endpoint(text: str) -> str:
    return text.strip().removeprefix("https://").removeprefix("http://")


def read(path: str) -> bytes:
    """A file that a flag names. Raises SettingsError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None


def token_keys(paths: Sequence[str]) -> tuple[Key, ...]:
    """Of PEM files; the first signs. Raises SettingsError."""
    found = []
    for path in paths:
        try:
            found.append(Key(read(path)))
        except ValueError as error:
            raise SettingsError(f"{path} is no key: {error}") from None
    if found[0].private is None:
        raise SettingsError(f"{paths[0]} is a public key: a private one signs")
    return tuple(found)


def encryption_keys(path: str) -> tuple[tuple[str, bytes], ...]:
    """The aesgcm keys of an EncryptionConfiguration."""
    if not path:
        return ()
    try:
        tree = yaml.safe_load(read(path))
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
