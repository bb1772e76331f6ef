"""Bodies of requests: decoded, of the kind of the path, with fields that are known. PURE.

Source: kube-behaviour 2.11, 2.12, 2.21; texts of the API server.
"""

from collections.abc import Sequence
from typing import Any

from controlplane.api import decoding, errors, field_validation, protobuf, pruning
from controlplane.api.resource import Object, Resource
from controlplane.apiserver.call import Call
from controlplane.apiserver.options import WriteOptions

assert protobuf.MEDIA_TYPE in decoding.decoders, "importing it is what makes it known"


def object_of(call: Call, options: WriteOptions) -> Object:
    """The whole object that a create or update sends. Raises ApiError 400, 413, 415."""
    decoded = decoding.decode(call.incoming.body, call.incoming.header("content-type"))
    found = _typed(call.resource, decoded.object)
    judge_fields(call, options, found, decoded.duplicates)
    return _placed(call, found)


def applied_of(call: Call, options: WriteOptions) -> Object:
    """What an apply wants. Raises ApiError 400."""
    decoded = decoding.decode(call.incoming.body, decoding.YAML)
    found = _typed(call.resource, decoded.object)
    judge_fields(call, options, found, decoded.duplicates)
    if (found.get("metadata") or {}).get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    return _placed(call, found)


def posted(call: Call, resource: Resource) -> Object:
    """What is sent to a sub-resource, or posted and kept nowhere. Raises ApiError 400."""
    decoded = decoding.decode(call.incoming.body, call.incoming.header("content-type"))
    found = _typed(resource, decoded.object)
    field_validation.check_decodes(resource, found)
    return found


def patch_of(call: Call) -> Any:
    """Any JSON value. Raises ApiError 400."""
    return decoding.decode_json(call.incoming.body)


def judge_fields(
    call: Call, options: WriteOptions, found: Object, duplicates: Sequence[str]
) -> None:
    """Fields of a wrong type, unknown ones and repeated ones. Raises ApiError 400."""
    resource = call.resource
    field_validation.check_decodes(resource, found)
    if options.strict == "Ignore":
        return
    unknown = pruning.unknown_fields(resource.schema, found)
    if not unknown and not duplicates:
        return
    if options.strict == "Strict":
        error = field_validation.strict_error(resource, unknown, duplicates)
        assert error is not None
        raise error
    call.warnings.extend(field_validation.strict_faults(unknown, duplicates))


def _typed(resource: Resource, found: Object) -> Object:
    """Raises ApiError 400 unless it is of the kind of the path; without one it is."""
    version, kind = found.get("apiVersion"), found.get("kind")
    wanted = resource.api_version
    if kind and kind != resource.kind:
        raise errors.bad_request(
            f'{kind} in version "{str(version).rpartition("/")[2]}" cannot be handled as a '
            f"{resource.kind}: no kind {kind!r} is served at this path"
        )
    if version and version != wanted:
        raise errors.bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({wanted})"
        )
    return {**found, "apiVersion": wanted, "kind": resource.kind}


def _placed(call: Call, found: Object) -> Object:
    """With the namespace and name of the path. Raises ApiError 400 where it says others."""
    resource, target = call.resource, call.target
    metadata = dict(found.get("metadata") or {})
    if resource.is_namespaced:
        namespace = metadata.get("namespace") or target.namespace
        if namespace != target.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        metadata["namespace"] = namespace
    if target.name:
        name = metadata.get("name") or target.name
        if name != target.name:
            raise errors.bad_request(
                f"the name of the object ({name}) does not match the name on the URL "
                f"({target.name})"
            )
        metadata["name"] = name
    return {**found, "metadata": metadata}
