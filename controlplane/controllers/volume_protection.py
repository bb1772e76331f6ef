"""A PersistentVolume that is bound is not deleted before its claim is.

It has a finalizer from its start, which goes once it is deleted and no claim has it any more.
Source: Kubernetes' documentation, "Storage Object in Use Protection"; kube-behaviour 9.1.
"""

from controlplane.api.persistence import VOLUME_PROTECTION
from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister
from controlplane.controllers.context import Context
from controlplane.controllers.protection import plan
from controlplane.indexer import Key
from controlplane.objects import ObjectStore


def controller(context: Context) -> Controller:
    """Of volumes: one that is bound is used."""
    resource = context.resource("", "persistentvolumes")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        volume = lister.get(resource, key)
        if volume is None or plan_of(volume) is None:
            return
        await store.update(
            resource,
            "",
            key.name,
            lambda old: plan_of(old) or old,
            uid=volume["metadata"]["uid"],
            known=volume,
        )

    return Controller("volume protection", resource, reconcile)


def plan_of(volume: Object) -> Object | None:
    """The volume as it must be; None: it is so. Pure."""
    is_bound = (volume.get("status") or {}).get("phase") == "Bound"
    return plan(volume, VOLUME_PROTECTION, is_used=is_bound)
