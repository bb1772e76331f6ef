"""/scale: how many replicas, the same for every kind that has some.

Source: Kubernetes' API reference, Scale autoscaling/v1; kube-behaviour 2.13. A field path that a
kind's data names is what is read and written, so a custom resource scales like a Deployment.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from controlplane.api import errors, lifecycle, patch, selectors, subresources
from controlplane.api.errors import ApiError, Cause
from controlplane.api.resource import Object, Resource
from controlplane.apiserver import bodies
from controlplane.apiserver.call import Call, answer
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.options import write_options
from controlplane.apiserver.reads import Reads
from controlplane.apiserver.selection import TABLE
from controlplane.apiserver.writes import JSON_PATCH, MERGE_PATCH, Writes


class Scales:
    """get, update and patch."""

    def __init__(self, reads: Reads, writes: Writes) -> None:
        self._reads = reads
        self._writes = writes

    async def get(self, call: Call) -> Answer:
        """The Scale of an object."""
        return _answer(call, await self._reads.object(call))

    async def update(self, call: Call) -> Answer:
        """The Scale is replaced."""
        scale = bodies.posted(call, subresources.resource_for(call.resource, "scale"))
        uid = str((scale.get("metadata") or {}).get("uid") or "")

        def replaced(old: Object) -> Object:
            lifecycle.require_uid(call.resource, old["metadata"], uid)
            return scale

        return await self._write(call, replaced)

    async def patch(self, call: Call) -> Answer:
        """The Scale is patched; as if it were an object of its own."""
        kind = call.incoming.header("content-type").split(";", 1)[0].strip()
        change = bodies.patch_of(call)
        if kind == JSON_PATCH:
            return await self._write(call, lambda old: patch.json_patch(old, change))
        if not isinstance(change, Mapping):
            raise errors.bad_request("a merge patch is an object")
        if kind == MERGE_PATCH or kind.startswith("application/strategic-merge-patch"):
            return await self._write(call, lambda old: patch.merge_patch(old, change))
        raise errors.unsupported_media_type(f"{kind} is no form of a patch of a Scale")

    async def _write(self, call: Call, change: Any) -> Answer:
        resource = call.resource
        options = write_options(call.incoming, "PatchOptions")

        def step(old: Object) -> Object:
            new = change(scale_of(resource, old))
            metadata = new.get("metadata")
            metadata = metadata if isinstance(metadata, Mapping) else {}
            bodies.require_name(call, metadata)
            bodies.placed_in(call, metadata)
            return with_replicas(resource, old, _replicas(call, new), _version(new))

        return _answer(call, await self._writes.updated(call, options, step))


def _answer(call: Call, found: Object) -> Answer:
    """The Scale of an object in the form that is wanted: as a Table, what it leaves out is 0."""
    scale = scale_of(call.resource, found)
    if call.form.name == TABLE:
        scale["spec"] = {"replicas": 0, **scale["spec"]}
    as_scale = msgspec.structs.replace(
        call, resource=subresources.resource_for(call.resource, "scale")
    )
    return answer(as_scale, scale)


def scale_of(resource: Resource, found: Object) -> dict[str, Any]:
    """The Scale of an object."""
    assert resource.scale is not None, "a kind with a scale says where it is"
    spec_path, status_path, selector_path = resource.scale
    metadata = found["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: dict[str, Any] = {"replicas": _at(found, status_path, int) or 0}
    if selector_path:
        # Of built-in kinds it is an object, whose parts were looked at on its way in.
        selector = _at(found, selector_path, str if resource.is_custom else dict)
        if selector:
            status["selector"] = _selector_text(selector)
    spec: dict[str, Any] = {}
    replicas = _at(found, spec_path, int)
    if replicas:
        spec["replicas"] = replicas
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in kept if field in metadata},
        "spec": spec,
        "status": status,
    }


def with_replicas(resource: Resource, found: Object, replicas: int, version: str) -> Object:
    """An object with another number of replicas, as read at a resourceVersion."""
    assert resource.scale is not None
    changed = _put(found, _path(resource.scale[0]), replicas)
    metadata = changed["metadata"]
    return {**changed, "metadata": {**metadata, "resourceVersion": version}} if version else changed


def _replicas(call: Call, scale: Object) -> int:
    spec = scale.get("spec")
    replicas = spec.get("replicas", 0) if isinstance(spec, Mapping) else 0
    cause = None
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        cause = Cause("FieldValueTypeInvalid", "Invalid value: a number, please", "spec.replicas")
    elif replicas < 0:
        told = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = Cause("FieldValueInvalid", told, "spec.replicas")
    if cause is not None:
        raise errors.invalid("Scale", "autoscaling", call.target.name, [cause])
    return int(replicas)


def _version(scale: Object) -> str:
    metadata = scale.get("metadata")
    return str(metadata.get("resourceVersion") or "") if isinstance(metadata, Mapping) else ""


def _selector_text(selector: Any) -> str:
    """As a query spells it; custom resources keep it as text."""
    if isinstance(selector, str):
        return selector
    if "matchLabels" in selector or "matchExpressions" in selector:
        return selectors.from_object(selector).text
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def _path(path: str) -> list[str]:
    return path.lstrip(".").split(".")


def _at(found: Any, path: str, wanted: type) -> Any:
    """What stands there; None: nothing does. Raises ApiError 400 for what is of another type.

    Kubernetes says the same, but with 500: as if it were to blame for what is in the object.
    """
    parts = _path(path)
    for position, part in enumerate(parts, 1):
        if found is None:
            return None
        if not isinstance(found, Mapping):
            raise _misfit(parts[:position], found, "map[string]interface{}")
        found = found.get(part)
    if found is not None and type(found) is not wanted:
        raise _misfit(parts, found, _GO_TYPES[wanted])
    return found


def _misfit(parts: list[str], found: Any, wanted: str) -> ApiError:
    value, has = orjson.dumps(found).decode(), _GO_TYPES[type(found)]
    where = "".join(f".{part}" for part in parts)
    return errors.bad_request(
        f"{where} accessor error: {value} is of the type {has}, expected {wanted}"
    )


_GO_TYPES: Mapping[type, str] = {
    bool: "bool",
    dict: "map[string]interface {}",
    float: "float64",
    int: "int64",
    list: "[]interface {}",
    str: "string",
}


def _put(found: Any, path: list[str], value: Any) -> Any:
    """Where nothing stands in its way: `_at` has looked."""
    if not path:
        return value
    return {**(found or {}), path[0]: _put((found or {}).get(path[0]), path[1:], value)}
