"""Objects as bytes of the store, and back: their stored form, and what transforms it.

What cannot be read is somebody's fault who wrote past us, or a key that is gone. It must harm
nobody else: whoever reads many objects leaves it out, whoever asks for this one is told.
"""

import logging

from controlplane.api import stored
from controlplane.api.errors import UnreadableError
from controlplane.api.resource import Object, Resource
from controlplane.api.stored import Transform
from kvstore.client import KeyValue

TOLD_MAX = 10_000  # of what was left out: beyond it, the log may say it twice

logger = logging.getLogger(__name__)


class Codec:
    """The stored form of objects behind a transform."""

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self._told: dict[bytes, int] = {}

    def encode(self, resource: Resource, key: bytes, obj: Object) -> bytes:
        """What is written at a key. Raises ApiError 400 for what JSON cannot say."""
        return self._transform.encode(resource, key, stored.encode(resource, obj))

    def is_stale(self, resource: Resource, kv: KeyValue) -> bool:
        """Whether the same object would be written otherwise now."""
        return self._transform.is_stale(resource, kv.value)

    def decode(self, resource: Resource, kv: KeyValue) -> Object:
        """The object at a key. Raises UnreadableError, which names the key."""
        try:
            plain = self._transform.decode(resource, kv.key, kv.value)
            obj = stored.decode(resource, plain, kv.mod_revision)
            _require_place(resource, kv.key, obj)
        except UnreadableError as error:
            raise error.at(kv.key) from None
        return obj

    def raw(self, resource: Resource, kv: KeyValue, revision: int = 0) -> bytes | None:
        """The object's bytes with its resourceVersion; None: it cannot be read, as the log says.

        revision  what it was last changed at; 0: at the revision of these bytes
        """
        try:
            plain = self._transform.decode(resource, kv.key, kv.value)
            raw = stored.splice(plain, revision or kv.mod_revision)
            # Or the first who decodes it would stumble.
            _require_place(resource, kv.key, stored.loads(resource, raw))
        except UnreadableError as error:
            self._tell(error.at(kv.key), kv)
            return None
        return raw

    def _tell(self, error: UnreadableError, kv: KeyValue) -> None:
        """Once for each revision, however often it is listed; never the content (a Secret?)."""
        if self._told.get(kv.key) == kv.mod_revision:
            return
        if len(self._told) >= TOLD_MAX:
            del self._told[next(iter(self._told))]
        self._told[kv.key] = kv.mod_revision
        logger.error("what is stored at %r is left out: %s", error.key, error.why)


def _require_place(resource: Resource, key: bytes, obj: Object) -> None:
    """Raises UnreadableError for an object that has another name than its key: who reads it would
    write and delete another.
    """
    try:
        *_, namespace, name = key.decode().split("/")
    except UnicodeDecodeError:
        raise UnreadableError("its key is no text") from None
    metadata = obj["metadata"]
    is_own = metadata.get("name") == name
    if not is_own or (resource.is_namespaced and metadata.get("namespace") != namespace):
        raise UnreadableError("it has another name than its key")
