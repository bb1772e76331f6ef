"""Secrets at rest: AES-GCM under the newest of some keys; older ones still read.

Source: Kubernetes' documentation, "Encrypting Confidential Data at Rest" (provider aesgcm): bytes
begin with `k8s:enc:aesgcm:v1:NAME:`, the nonce follows. The key under which an object is kept is
authenticated with it, so its bytes cannot be put in another's place.

Keys are rotated in this order, or there is a moment at which somebody cannot read what another has
just written; "everywhere" is every API server and every process of controllers, restarted:

1. the new key as the second one, everywhere: all can read what will be written under it;
2. the new key as the first one, everywhere: it encrypts from now on;
3. every Secret is written again (`kubectl get secrets -A -o json | kubectl replace -f -`): an
   equal one is written, too, since its key is not the newest (`is_stale`);
4. only then the old key goes, everywhere.

A Secret whose key is gone is not lost while anybody has that key: with it back in the list the
object is readable again, and whoever watches goes on from where he was. Until then a get of it and
each list that should have it are answered 500. For a key that is lost for good there is
`ignoreStoreReadErrorWithClusterBreakingPotential` (`apiserver/unsafe_deletion.py`).
"""

import contextlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controlplane.api.errors import UnreadableError
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
        # A name may hold the colon that ends it, so whole beginnings are compared.
        self._keys = [(b"%b%b:" % (_PREFIX, name.encode()), AESGCM(key)) for name, key in keys]
        self._resources = frozenset(resources)

    def encode(self, resource: Resource, key: bytes, plain: bytes) -> bytes:
        """What is written."""
        if not self._keys or (resource.group, resource.plural) not in self._resources:
            return plain
        beginning, newest = self._keys[0]
        nonce = os.urandom(_NONCE_BYTES)
        return b"%b%b%b" % (beginning, nonce, newest.encrypt(nonce, plain, key))

    def decode(self, resource: Resource, key: bytes, stored: bytes) -> bytes:
        """What was encoded. Raises UnreadableError for a key that is gone, or bytes of another."""
        if not stored.startswith(_PREFIX):
            return stored
        known = [(len(start), one) for start, one in self._keys if stored.startswith(start)]
        if not known:
            name = stored.removeprefix(_PREFIX).partition(b":")[0].decode(errors="replace")
            raise UnreadableError(f"no key named {name!r} to decrypt it with")
        for length, one in known:
            nonce, sealed = stored[length : length + _NONCE_BYTES], stored[length + _NONCE_BYTES :]
            # InvalidTag: altered, or of another key of this name; ValueError: cut short
            with contextlib.suppress(InvalidTag, ValueError):
                return one.decrypt(nonce, sealed, key)
        raise UnreadableError("it was altered, or another key of this name encrypted it")

    def is_stale(self, resource: Resource, stored: bytes) -> bool:
        """Whether it is not under the newest key."""
        if (resource.group, resource.plural) not in self._resources:
            return False
        if not self._keys:
            return stored.startswith(_PREFIX)
        return not stored.startswith(self._keys[0][0])
