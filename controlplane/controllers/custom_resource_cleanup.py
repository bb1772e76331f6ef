"""Definitions of custom resources that are deleted: their objects go, then they do.

Source: Kubernetes' documentation, "Delete a CustomResourceDefinition" and "Finalizers";
kube-behaviour 11.7.
"""

from controlplane.api.errors import ApiError
from controlplane.api.kinds.customresourcedefinition import CLEANUP
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister
from controlplane.controllers.conditions import with_conditions
from controlplane.controllers.context import Context, custom_resource
from controlplane.controllers.parallel import each
from controlplane.controllers.patience import again_seconds
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

WORKERS = 5
PAGE_OBJECTS = 500
_UNKNOWN = "could not list instances: no version can be read in which they are stored"


def controller(context: Context) -> Controller:
    """Of definitions."""
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")
    builtin = {(one.group, one.plural) for one in context.registry.all()}

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        definition = lister.get(definitions, key)
        if definition is None or not is_to_be_emptied(definition):
            return None
        resource = custom_resource(definition)
        left: int | None = None
        if resource is not None:
            is_builtin = (resource.group, resource.plural) in builtin
            left = 0 if is_builtin else await _delete_all(resource, store)
        now = store.clock()
        await store.update(
            definitions,
            "",
            key.name,
            lambda old: plan(old, left, now),
            uid=definition["metadata"]["uid"],
            known=definition,
        )
        return again_seconds(definition, now) if left else None

    return Controller("custom resource cleanup", definitions, reconcile, workers=WORKERS)


def is_to_be_emptied(definition: Object) -> bool:
    """Whether it is deleted, and waits for its objects."""
    metadata = definition["metadata"]
    return bool(metadata.get("deletionTimestamp")) and CLEANUP in (metadata.get("finalizers") or ())


def plan(definition: Object, left: int | None, now: float) -> Object:
    """The definition with its condition; without the finalizer once no object is left. Pure.

    left  None: of such a definition nobody can tell where its objects are
    """
    status, metadata = definition.get("status") or {}, definition["metadata"]
    if left is None:
        said = ("Terminating", True, "InstanceDeletionFailed", _UNKNOWN)
    elif left:
        said = ("Terminating", True, "InstanceDeletionInProgress", f"{left} objects remain")
    else:
        said = ("Terminating", False, "InstanceDeletionCompleted", "removed all instances")
        kept = [one for one in metadata.get("finalizers") or () if one != CLEANUP]
        metadata = {**metadata, "finalizers": kept}
    conditions = with_conditions(status.get("conditions") or (), [said], now)
    return {**definition, "metadata": metadata, "status": {**status, "conditions": conditions}}


async def _delete_all(resource: Resource, store: ObjectStore) -> int:
    """How many objects stay for now: those that are marked, and those that cannot be read."""
    left, token = 0, ""

    async def doom(found: Object) -> None:
        nonlocal left
        metadata = found["metadata"]
        if metadata.get("deletionTimestamp"):
            left += 1
            return
        namespace = str(metadata.get("namespace", ""))
        options = DeleteOptions(uid=str(metadata.get("uid", "")))
        try:
            deletion = await store.delete(resource, namespace, metadata["name"], options=options)
        except ApiError as error:
            if error.code != 404:
                raise
            return
        left += not deletion.is_gone

    while True:
        page = await store.list(resource, limit=PAGE_OBJECTS, continue_token=token)
        left += len(page.unreadable)
        await each(page.items, doom)
        token = page.continue_token
        if not token:
            return left
