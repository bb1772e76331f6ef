"""A PersistentVolumeClaim that pods use is not deleted before they are gone.

It has a finalizer from its start, which goes once it is deleted and nobody uses it any more.
Source: Kubernetes' documentation, "Storage Object in Use Protection"; kube-behaviour 9.1.
"""

from collections.abc import Iterator

from controlplane.api.persistence import CLAIM_PROTECTION
from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.context import Context
from controlplane.controllers.protection import plan
from controlplane.indexer import Key
from controlplane.objects import ObjectStore

_USERS = "users of a claim"


def controller(context: Context) -> Controller:
    """Of claims: a pod that has gone, or is shut down, may have been the last that used one."""
    resource, pods = context.resource("", "persistentvolumeclaims"), context.resource("", "pods")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        claim = lister.get(resource, key)
        if claim is None:
            return
        is_used = bool(lister.by_index(pods, _USERS, _place(key)))
        if plan(claim, CLAIM_PROTECTION, is_used=is_used) is None:
            return
        if claim["metadata"].get("deletionTimestamp"):
            # A pod may have been bound just now: whoever takes the finalizer away asks the store.
            page = await store.list(pods, key.namespace)
            if any(_place(key) in users_of(pod) for pod in page.items):
                return
        await store.update(
            resource,
            key.namespace,
            key.name,
            lambda old: plan(old, CLAIM_PROTECTION, is_used=False) or old,
            uid=claim["metadata"]["uid"],
            known=claim,
        )

    def keys(pod: Object) -> list[Key]:
        namespace = pod["metadata"]["namespace"]
        return [Key(namespace, place.partition("/")[2]) for place in users_of(pod)]

    # Also while it is there: it may wait for its own claim to go, deleted in the foreground.
    triggers = [Trigger(pods, keys, part=users_of)]
    indexes = {_USERS: (pods, users_of)}
    return Controller("claim protection", resource, reconcile, triggers=triggers, indexes=indexes)


def users_of(pod: Object) -> list[str]:
    """`namespace/name` of the claims that a pod uses. One that no node has got uses none: no node
    will start it, once a claim is being deleted. Pure.
    """
    spec = pod.get("spec") or {}
    if not spec.get("nodeName"):
        return []
    namespace = pod["metadata"]["namespace"]
    return [f"{namespace}/{name}" for name in _names(pod, spec)]


def _names(pod: Object, spec: Object) -> Iterator[str]:
    metadata = pod["metadata"]
    is_shut_down = (
        metadata.get("deletionTimestamp") and metadata.get("deletionGracePeriodSeconds") == 0
    )
    for volume in spec.get("volumes") or ():
        claim = volume.get("persistentVolumeClaim")
        if claim:
            yield str(claim.get("claimName", ""))
        elif volume.get("ephemeral") and not is_shut_down:
            # Its claim goes with it, and is named after both.
            yield f"{metadata['name']}-{volume.get('name', '')}"


def _place(key: Key) -> str:
    return f"{key.namespace}/{key.name}"
