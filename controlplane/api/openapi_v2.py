"""The OpenAPI v2 document, in protobuf: no more of it than kubectl before 1.29 looks for. PURE.

kubectl before 1.27 looks here whether a kind's PATCH takes `dryRun`, before it asks for a dry run
or a diff, and 1.27 and 1.28 whether it takes `fieldValidation`. There are no definitions: without
them kubectl leaves all validation to the server; its `explain` before 1.27 needs them.

Source: gnostic's OpenAPIv2.proto, field numbers only; kubectl-needs.md, "OpenAPI v2".
"""

import orjson

from controlplane.api.registry import Registry
from controlplane.api.resource import Resource

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_KIND = "x-kubernetes-group-version-kind"
_VARINT_BITS = 7


def document(registry: Registry, version: str) -> bytes:
    """`/openapi/v2`; `version` is the server's."""
    info = _field(1, "Kubernetes") + _field(2, version)
    items = [
        _field(2, _field(1, _path(resource)) + _field(2, _field(8, _patch(resource))))
        for resource in registry.all()
        if "patch" in resource.verbs
    ]
    return _field(1, "2.0") + _field(2, info) + _field(8, b"".join(items))


def _path(resource: Resource) -> str:
    root = f"/apis/{resource.group}" if resource.group else "/api"
    namespaced = "/namespaces/{namespace}" if resource.is_namespaced else ""
    return f"{root}/{resource.version}{namespaced}/{resource.plural}/{{name}}"


def _patch(resource: Resource) -> bytes:
    """The operation: its parameters in the query, and of which kind it is."""
    parameters = [
        _field(8, _field(1, _field(2, _field(3, _field(2, "query") + _field(4, name)))))
        for name in _PARAMETERS
    ]
    # What JSON says YAML says as well.
    kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    said = _field(1, _KIND) + _field(2, _field(2, orjson.dumps(kind)))
    return b"".join(parameters) + _field(13, said)


def _field(number: int, content: bytes | str) -> bytes:
    """A field of a text or a message: both say their length."""
    body = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >> _VARINT_BITS:
        found.append(number & 0x7F | 0x80)
        number >>= _VARINT_BITS
    found.append(number)
    return bytes(found)
