"""Whose an object is: a controller adopts what it selects and nobody has, and lets go what it no
longer selects.

Source: Kubernetes' documentation, "ReplicaSet" (non-template Pod acquisitions), "Owners and
Dependents"; kube-behaviour 4.1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from controlplane.api.errors import ApiError, conflict
from controlplane.api.resource import Object, Resource
from controlplane.api.selectors import LabelSelector
from controlplane.api.types.meta_v1 import ObjectMeta
from controlplane.controller import Lister, key_of, owner_reference
from controlplane.controllers.parallel import each
from controlplane.indexer import Key
from controlplane.objects import Claim, ObjectStore


class _Owned(Protocol):
    """A struct of an object."""

    @property
    def metadata(self) -> ObjectMeta: ...


T = TypeVar("T", bound=_Owned)


class Claims(msgspec.Struct, Generic[T], frozen=True):
    """Objects that are the owner's; that shall be; that shall be no longer."""

    owned: tuple[T, ...] = ()
    adopted: tuple[T, ...] = ()
    released: tuple[T, ...] = ()


def controller_uid(metadata: ObjectMeta) -> str:
    """Of who controls an object; empty: nobody does. Pure."""
    return next((one.uid for one in metadata.owner_references if one.controller), "")


def claims(owner: ObjectMeta, selector: LabelSelector, found: Iterable[T]) -> Claims[T]:
    """What becomes of objects of the owner's namespace, each given once. Pure.

    Who is being deleted adopts and releases nothing; what is being deleted stays whose it is.
    """
    owned: list[T] = []
    adopted: list[T] = []
    released: list[T] = []
    for one in found:
        uid = controller_uid(one.metadata)
        is_selected = _selects(selector, one.metadata.labels)
        is_kept = bool(owner.deletion_timestamp or one.metadata.deletion_timestamp)
        if uid == owner.uid:
            (owned if is_selected or is_kept else released).append(one)
        elif not uid and is_selected and not is_kept:
            adopted.append(one)
    return Claims(tuple(owned), tuple(adopted), tuple(released))


def _selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """A selector that says nothing, as only a stranger can have written it, selects nothing."""
    return not selector.is_everything and selector.matches(labels)


def _is_controlled(obj: Object, uid: str) -> bool:
    owners = obj["metadata"].get("ownerReferences") or ()
    return any(one.get("controller") and one.get("uid") == uid for one in owners)


def is_orphan(obj: Object) -> bool:
    """Whether somebody may adopt an object: nobody controls it, and it has labels. Pure."""
    metadata = obj["metadata"]
    owners = metadata.get("ownerReferences") or ()
    return bool(metadata.get("labels")) and not any(one.get("controller") for one in owners)


def orphan_places(obj: Object) -> list[str]:
    """The index of what may be adopted: by namespace, and there by each of its labels. Pure."""
    if not is_orphan(obj):
        return []
    namespace, labels = str(obj["metadata"].get("namespace", "")), obj["metadata"]["labels"]
    return [namespace, *(_place(namespace, name, value) for name, value in labels.items())]


def _place(namespace: str, name: str, value: str) -> str:
    return f"{namespace}/{name}={value}"


def concern(obj: Object) -> object:
    """What of an object decides who may adopt it: its status changes often, and does not. Pure."""
    metadata = obj["metadata"]
    return metadata.get("labels"), metadata.get("ownerReferences")


def keys_of_orphan(obj: Object) -> list[Key]:
    """(namespace, empty) where there is something to adopt. Pure."""
    return [Key(str(obj["metadata"].get("namespace", "")), "")] if is_orphan(obj) else []


def places_of(namespace: str, selector: LabelSelector) -> list[str]:
    """Where `orphan_places` finds all that a selector selects: each of them will do. Pure."""
    if selector.is_everything or selector.is_nothing:
        return []
    labels = [
        _place(namespace, one.key, value)
        for one in selector.requirements
        if one.operator == "in" and len(one.values) == 1
        for value in one.values
    ]
    return labels or [namespace]


def orphans(
    lister: Lister, resource: Resource, index: str, namespace: str, selector: LabelSelector
) -> Sequence[Object]:
    """All that a selector may select, and few others: those with the rarest of its labels.

    index  of `orphan_places`
    """
    places = places_of(namespace, selector)
    return min((lister.by_index(resource, index, one) for one in places), key=len, default=())


def adopted(obj: Object, owner: Object, selector: LabelSelector) -> Object:
    """An object with its new owner; the same where it is no longer for the owner to take. Pure."""
    metadata = obj["metadata"]
    if not is_orphan(obj) or metadata.get("deletionTimestamp"):
        return obj
    if not _selects(selector, metadata.get("labels") or {}):
        return obj
    others = [
        one
        for one in metadata.get("ownerReferences") or ()
        if one.get("uid") != owner["metadata"]["uid"]
    ]
    return _with_owners(obj, [*others, owner_reference(owner)])


def released(obj: Object, owner_uid: str, selector: LabelSelector) -> Object:
    """An object without this owner; the same where the owner selects it again. Pure."""
    metadata = obj["metadata"]
    if _selects(selector, metadata.get("labels") or {}):
        return obj
    owners = metadata.get("ownerReferences") or ()
    return _with_owners(obj, [one for one in owners if one.get("uid") != owner_uid])


def _with_owners(obj: Object, owners: Sequence[Mapping[str, Any]]) -> Object:
    metadata = {name: told for name, told in obj["metadata"].items() if name != "ownerReferences"}
    return {**obj, "metadata": {**metadata, "ownerReferences": owners} if owners else metadata}


async def settle(
    store: ObjectStore,
    of_owner: Resource,
    owner: Object,
    of_found: Resource,
    selector: LabelSelector,
    found: Claims[Any],
) -> None:
    """Write who adopts and releases what.

    Raises ApiError: 409 where the owner is no longer the one that the cache has, or what it would
    adopt is not to be had any more: it must not be counted, and the cache will hear of it.
    """
    uid = str(owner["metadata"]["uid"])
    if found.released:
        await _change(store, of_found, found.released, lambda one: released(one, uid, selector))
    if found.adopted:
        # It may be gone, and another have its name: what it took would be nobody's.
        fresh = await _fresh(store, of_owner, owner)
        guard = Claim(
            of_owner.key(*key_of(fresh)).encode(), None, int(fresh["metadata"]["resourceVersion"])
        )
        await _change(
            store,
            of_found,
            found.adopted,
            lambda one: adopted(one, owner, selector),
            guards=[guard],
            is_so=lambda one: one is not None and _is_controlled(one, uid),
        )


async def _fresh(store: ObjectStore, resource: Resource, owner: Object) -> Object:
    fresh = await store.get(resource, *key_of(owner))
    metadata = fresh["metadata"]
    if metadata["uid"] != owner["metadata"]["uid"] or metadata.get("deletionTimestamp"):
        why = f"{resource.kind} {metadata['name']} is gone, or about to go: it adopts nothing"
        raise conflict(resource.plural, resource.group, str(metadata["name"]), why)
    return fresh


async def _change(
    store: ObjectStore,
    resource: Resource,
    found: Iterable[_Owned],
    change: Callable[[Object], Object],
    *,
    guards: Sequence[Claim] = (),
    is_so: Callable[[Object | None], bool] = lambda one: True,
) -> None:
    """`is_so`: whether each is now (None: it is gone) as it must be. Raises ApiError 409."""

    async def one(struct: Any) -> None:
        metadata, after = struct.metadata, None
        try:
            after = await store.update(
                resource,
                metadata.namespace,
                metadata.name,
                change,
                uid=metadata.uid,
                also=guards,
            )
        except ApiError as error:
            if error.code != 404:
                raise
        if not is_so(after):
            why = f"{resource.kind} {metadata.name} is not to be had any more"
            raise conflict(resource.plural, resource.group, metadata.name, why)

    await each(list(found), one)
