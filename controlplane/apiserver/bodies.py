"""Bodies of requests: decoded, of the kind of the path, with fields that are known. PURE.

Source: kube-behaviour 2.11, 2.12, 2.21; texts of the API server.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from controlplane.api import (
    causes,
    decoding,
    errors,
    field_validation,
    protobuf,
    pruning,
    spellings,
)
from controlplane.api.resource import Object, Resource
from controlplane.apiserver.call import Call
from controlplane.apiserver.options import WriteOptions

assert protobuf.MEDIA_TYPE in decoding.decoders, "importing it is what makes it known"


def object_of(call: Call, options: WriteOptions) -> Object:
    """The whole object that a create or update sends. Raises ApiError 400, 413, 415."""
    decoded = call.incoming.decoded()
    found = _typed(call.resource, decoded.object)
    judge_fields(call, options, found, decoded.duplicates)
    if call.target.name:
        require_name(call, found.get("metadata") or {})
    return with_owners_once(call, _placed(call, found))


def applied_of(call: Call, options: WriteOptions) -> Object:
    """What an apply wants. Raises ApiError 400."""
    decoded = call.incoming.decoded()
    found = _typed(call.resource, decoded.object)
    judge_fields(call, options, found, decoded.duplicates)
    if (found.get("metadata") or {}).get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    if not call.resource.is_custom:
        # As it is stored: an equal number that is spelled otherwise is no conflict.
        found = spellings.canonical(call.resource.schema, found)
    return _placed(call, found)


def posted(call: Call, resource: Resource) -> Object:
    """What is sent to a sub-resource, or posted and kept nowhere. Raises ApiError 400."""
    found = _typed(resource, call.incoming.decoded().object)
    field_validation.check_decodes(resource, found)
    return found


def patch_of(call: Call) -> Any:
    """Any JSON value. Raises ApiError 400."""
    return decoding.decode_json(call.incoming.body)


def judge_fields(
    call: Call, options: WriteOptions, found: Object, duplicates: Sequence[str]
) -> None:
    """Fields of a wrong type, unknown ones and repeated ones. Raises ApiError 400."""
    fault = _fault(call, options, found, duplicates)
    if fault:
        raise field_validation.cannot_be_handled(call.resource, fault)


def judge_patched(call: Call, options: WriteOptions, found: Object) -> None:
    """The same of what a patch has made: who patches sends no object, so it is ApiError 422.

    It tells the patch and never what is stored: who may patch need not be allowed to read, and
    what is told of a refusal is in the audit log. A patch of a Secret is as secret.
    """
    fault = _fault(call, options, found, ())
    if fault:
        is_secret = (call.resource.group, call.resource.plural) == ("", "secrets")
        told = _REDACTED if is_secret else causes.shown(patch_of(call))
        raise errors.invalid("", "", "", [causes.invalid("patch", told, fault)])


_REDACTED = "<secret contents redacted>"


def _fault(call: Call, options: WriteOptions, found: Object, duplicates: Sequence[str]) -> str:
    """What is refused; what is only warned of is noted."""
    resource = call.resource
    fault = field_validation.decoding_fault(resource, found)
    if fault or options.strict == "Ignore":
        return fault
    unknown = pruning.unknown_fields(resource.schema, found)
    if options.strict == "Strict":
        return field_validation.strict_fault(unknown, duplicates)
    call.warnings.extend(field_validation.strict_faults(unknown, duplicates))
    return ""


def require_name(call: Call, metadata: Mapping[str, Any]) -> None:
    """Raises ApiError 400 where what is written is not what the path names."""
    wanted, name = call.target.name, metadata.get("name")
    if not name:
        raise errors.bad_request(
            f"the name of the object ({wanted} based on URL) was undeterminable: name must be "
            "provided"
        )
    if name != wanted:
        raise errors.bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({wanted})"
        )


def placed_in(call: Call, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """With the namespace of the path. Raises ApiError 400 where it says another one."""
    rest = {key: value for key, value in metadata.items() if key != "namespace"}
    if not call.resource.is_namespaced:
        return rest  # whatever it says: commands set the namespace they work in
    namespace = metadata.get("namespace") or call.target.namespace
    if namespace != call.target.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return {**rest, "namespace": namespace}


def with_owners_once(call: Call, found: Object) -> Object:
    """With each owner once, and a warning where one was told twice."""
    metadata = found.get("metadata") or {}
    owners = metadata.get("ownerReferences")
    if not owners or len(owners) < 2:
        return found
    kept: dict[bytes, Any] = {}
    repeated: list[str] = []
    for owner in owners:
        spelled = orjson.dumps(owner, option=orjson.OPT_SORT_KEYS)
        if spelled in kept:
            repeated.append(str((owner or {}).get("uid", "")))  # null is one without anything
        else:
            kept[spelled] = owner
    if not repeated:
        return found
    call.warnings.append(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references "
        "in 1.20+, and may reject such requests as early as 1.24; please fix your requests; "
        f"duplicate UID(s) observed: {', '.join(repeated)}"
    )
    return {**found, "metadata": {**metadata, "ownerReferences": list(kept.values())}}


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
    metadata = placed_in(call, found.get("metadata") or {})
    if call.target.name:
        metadata.setdefault("name", call.target.name)
        require_name(call, metadata)
    return {**found, "metadata": metadata}
