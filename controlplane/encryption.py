"""Secrets at rest: AES-GCM under the newest of some keys; older ones still read.

Source: Kubernetes' documentation, "Encrypting Confidential Data at Rest" (provider aesgcm): bytes
begin with `k8s:enc:aesgcm:v1:NAME:`, the nonce follows. The key under which an object is kept is
authenticated with it, so its bytes cannot be put in another's place.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controlplane.api import errors
from controlplane.api.resource import Resource

_PREFIX = b"k8s:enc:aesgcm:v1:"
_NONCE_BYTES = 12


class Encryption:
    """A transform of `ObjectStore`.

    keys       (name, 16, 24 or 32 bytes); the first encrypts. None: new objects stay as they are
    resources  (group, plural) of what is encrypted
    """

    def __init__(
        self,
        keys: Sequence[tuple[str, bytes]],
        resources: Sequence[tuple[str, str]] = (("", "secrets"),),
    ) -> None:
        self._keys = {name.encode(): AESGCM(key) for name, key in keys}
        self._first = next(iter(self._keys), None)
        self._resources = frozenset(resources)

    def encode(self, resource: Resource, key: bytes, plain: bytes) -> bytes:
        """What is written."""
        if self._first is None or (resource.group, resource.plural) not in self._resources:
            return plain
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, plain, key)
        return b"%b%b:%b%b" % (_PREFIX, self._first, nonce, sealed)

    def decode(self, resource: Resource, key: bytes, stored: bytes) -> bytes:
        """What was encoded. Raises ApiError 500 for a key that is gone, or bytes of another."""
        if not stored.startswith(_PREFIX):
            return stored
        name, _, sealed = stored.removeprefix(_PREFIX).partition(b":")
        if name not in self._keys:
            raise errors.internal(f"no key named {name.decode(errors='replace')!r} to read it with")
        try:
            return self._keys[name].decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key)
        except InvalidTag:
            raise errors.internal("an encrypted object cannot be read: it was altered") from None

    def is_stale(self, resource: Resource, stored: bytes) -> bool:
        """Whether it is not under the newest key."""
        if (resource.group, resource.plural) not in self._resources:
            return False
        newest = b"" if self._first is None else b"%b%b:" % (_PREFIX, self._first)
        return not stored.startswith(newest) if newest else stored.startswith(_PREFIX)
