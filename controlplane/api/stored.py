"""The form in which objects are kept: compact JSON without resourceVersion. PURE.

An object's resourceVersion is the store's revision of its last write, which nobody knows before
that write. So the bytes are kept without it, and it is put in when they are read: `splice` does
that without decoding them, because `encode` always begins with apiVersion, kind and metadata.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import orjson

from controlplane.api.errors import UnreadableError, bad_request
from controlplane.api.resource import Object, Resource

_METADATA = b'"metadata":{'
_NO_OBJECT = "it is no object"
_LEADING = ("apiVersion", "kind", "metadata")


class Transform(Protocol):
    """What the bytes of objects go through on their way into the store, such as encryption.

    `key` is where they are kept: authenticated with the bytes, it keeps whoever can write the
    store from giving one object the content of another.
    """

    def encode(self, resource: Resource, key: bytes, plain: bytes) -> bytes:
        """What is written."""

    def decode(self, resource: Resource, key: bytes, stored: bytes) -> bytes:
        """What was encoded. Raises UnreadableError."""

    def is_stale(self, resource: Resource, stored: bytes) -> bool:
        """Whether it would be encoded otherwise now: then also an equal object is written."""


class Identity:
    """The transform that keeps bytes as they are."""

    def encode(self, resource: Resource, key: bytes, plain: bytes) -> bytes:
        """The same."""
        return plain

    def decode(self, resource: Resource, key: bytes, stored: bytes) -> bytes:
        """The same."""
        return stored

    def is_stale(self, resource: Resource, stored: bytes) -> bool:
        """Never."""
        return False


def key_of(resource: Resource, namespace: str, name: str) -> bytes:
    """The key of an object. Raises ApiError 400 for what would be a part of another's key."""
    if not name or "/" in name or "/" in namespace:
        raise bad_request(f'invalid name "{namespace}/{name}": it must be set and may not hold "/"')
    if resource.is_namespaced and not namespace:
        raise bad_request(f"{resource.plural} are namespaced, and no namespace is given")
    return _bytes(resource.key(namespace, name))


def prefix_of(resource: Resource, namespace: str = "") -> bytes:
    """What the keys of a namespace's objects, or of all, begin with. Raises ApiError 400."""
    if "/" in namespace:
        raise bad_request(f'invalid namespace "{namespace}": it may not hold "/"')
    is_narrowed = resource.is_namespaced and namespace
    return _bytes(resource.key_prefix + (f"{namespace}/" if is_narrowed else ""))


def _bytes(key: str) -> bytes:
    try:
        return key.encode()
    except UnicodeEncodeError as error:
        raise bad_request(f"invalid name: {error}") from None


def encode(resource: Resource, obj: Object) -> bytes:
    """The bytes to keep of an object. Raises ApiError 400 for what JSON cannot say."""
    if resource.strategy.to_storage is not None:
        obj = resource.strategy.to_storage(obj)
    metadata = obj["metadata"]
    if "resourceVersion" in metadata:
        metadata = {key: value for key, value in metadata.items() if key != "resourceVersion"}
    ordered = {
        "apiVersion": resource.storage_api_version,
        "kind": resource.kind,
        "metadata": metadata,
    }
    ordered.update((key, value) for key, value in obj.items() if key not in _LEADING)
    try:
        return orjson.dumps(ordered)
    except TypeError as error:  # an integer beyond 64 bits, half a surrogate pair
        raise bad_request(f"the object cannot be encoded as JSON: {error}") from None


def splice(raw: bytes, revision: int) -> bytes:
    """The bytes of an object as clients see it: with its resourceVersion.

    raw  as `encode` gave them. Raises UnreadableError for bytes that surely are no object; whether
    they are one only decoding tells.
    """
    # Neither apiVersion nor kind can contain an unescaped quote: the first match is the right one.
    position = raw.find(_METADATA)
    if position < 0:
        raise UnreadableError(_NO_OBJECT)
    position += len(_METADATA)
    comma = b"" if raw[position : position + 1] == b"}" else b","
    return b'%b"resourceVersion":"%d"%b%b' % (raw[:position], revision, comma, raw[position:])


def decode(resource: Resource, raw: bytes, revision: int) -> Object:
    """The object that `encode` made these bytes of, in the version of `resource`.

    Raises UnreadableError for bytes that are no object.
    """
    obj = _parsed(raw)
    obj["metadata"]["resourceVersion"] = str(revision)
    return _as_served(resource, obj)


def loads(resource: Resource, raw: bytes) -> Object:
    """The object of spliced bytes, in the version of `resource`. Raises UnreadableError."""
    return _as_served(resource, _parsed(raw))


def _parsed(raw: bytes) -> dict[str, Any]:
    """Raises UnreadableError for what has no metadata, of which all who read objects make use."""
    try:
        obj: Any = orjson.loads(raw)
    except ValueError:
        raise UnreadableError(_NO_OBJECT) from None
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
        raise UnreadableError(_NO_OBJECT)
    return obj


def is_served(resource: Resource, raw: bytes) -> bool:
    """Whether spliced bytes are just what clients of this version get.

    They say so themselves: what a definition's storage version was may differ from what it is now.
    """
    if resource.strategy.from_storage is not None:
        return False
    return raw.startswith(b'{"apiVersion":"%b"' % resource.api_version.encode())


def served(resource: Resource, raw: bytes) -> bytes:
    """Spliced bytes as clients of this version get them. Raises UnreadableError."""
    return raw if is_served(resource, raw) else orjson.dumps(loads(resource, raw))


class _Whole(msgspec.Struct):
    metadata: msgspec.Raw


_WHOLE = msgspec.json.Decoder(_Whole)


def partial(raw: bytes) -> bytes:
    """PartialObjectMetadata of spliced bytes, which are not decoded. Raises UnreadableError."""
    try:
        metadata = bytes(_WHOLE.decode(raw).metadata)
    except msgspec.DecodeError:
        raise UnreadableError(_NO_OBJECT) from None
    if not metadata.startswith(b"{"):
        raise UnreadableError(_NO_OBJECT)
    return partial_of(metadata)


def partial_of(metadata: bytes | msgspec.Raw) -> bytes:
    """PartialObjectMetadata with the bytes of an object's metadata."""
    return (
        b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%b}' % metadata
    )


def _as_served(resource: Resource, obj: dict[str, Any]) -> Object:
    from_storage = resource.strategy.from_storage
    if from_storage is not None:
        try:
            return from_storage(obj)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Written past the API server: fields are not what their schema says.
            why = f"no {resource.kind} can be made of it ({type(error).__name__})"
            raise UnreadableError(why) from None
    obj["apiVersion"] = resource.api_version
    return obj


def is_same(one: Object, other: Object) -> bool:
    """Whether two objects say the same; resourceVersion and the order of fields do not count."""
    one, other = without_resource_version(one), without_resource_version(other)
    # Python holds 1, 1.0 and True for equal, JSON does not: equal trees are compared as text.
    return one == other and _sorted(one) == _sorted(other)


def without_resource_version(obj: Object) -> Object:
    """The same object, as it is kept."""
    metadata: Mapping[str, Any] = obj["metadata"]
    if "resourceVersion" not in metadata:
        return obj
    kept = {key: value for key, value in metadata.items() if key != "resourceVersion"}
    return {**obj, "metadata": kept}


def _sorted(obj: Object) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
