"""Files that flags name: which keys sign tokens, and which encrypt.

Apart from `flags`, as most components have no such keys, and what reads them is large.
"""

import base64
from collections.abc import Sequence

import yaml

from controlplane import flags
from controlplane.flags import SettingsError
from controlplane.tokens import Key


def token_keys(paths: Sequence[str]) -> tuple[Key, ...]:
    """Of PEM files; the first signs. Raises SettingsError."""
    found = []
    for path in paths:
        try:
            key = Key(flags.read(path))
        except ValueError as error:
            raise SettingsError(f"{path} is no key: {error}") from None
        if key.private is not None:
            flags.read_private(path)
        found.append(key)
    if found[0].private is None:
        raise SettingsError(f"{paths[0]} is a public key: a private one signs")
    return tuple(found)


def encryption_keys(path: str) -> tuple[tuple[str, bytes], ...]:
    """The aesgcm keys of an EncryptionConfiguration."""
    if not path:
        return ()
    try:
        tree = yaml.safe_load(flags.read_private(path))
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
