"""The garbage collector: what is owned goes when its owners are gone.

When an owner is deleted in the foreground its dependants go as well, and it waits for those that
block it; one that orphans them lets them go first. An owner that the cache does not have, and has
not seen going, is asked for in the store before anything is deleted.

Keys are of two kinds: the place of an object, looked at as somebody's dependant, and a bare uid,
looked at as somebody's owner.

Source: Kubernetes' documentation, "Garbage Collection" and "Owners and Dependents"; kube-behaviour
3.2, 2.17.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.meta import FOREGROUND, ORPHAN
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.context import Context, custom_resource, kinds_of
from controlplane.controllers.everything import EVERYTHING
from controlplane.controllers.parallel import each
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore

WORKERS = 20  # 3.2
GONE_MAX = 10_000  # of what went lately: for others the store is asked
_UID, _KIND = "uid", "kind"
_CONCERN = ("uid", "ownerReferences", "finalizers", "deletionTimestamp")

State = Literal["solid", "waiting", "absent", "impossible"]
"""An owner is there; waits for its dependants to go; is not there; cannot be one."""


class Identity(msgspec.Struct, frozen=True):
    """What a reference says of an owner, and where it may be."""

    group: str
    kind: str
    name: str
    namespace: str  # empty: of none

    def is_named(self, reference: Mapping[str, Any], namespace: str) -> bool:
        """Whether a reference of an object in this namespace (empty: of none) means it."""
        return (
            self.group == _group_of(reference)
            and self.kind == str(reference.get("kind", ""))
            and self.name == str(reference.get("name", ""))
            and self.namespace in ("", namespace)
        )


class Keep(msgspec.Struct, frozen=True):
    """Nothing is to be done."""


class Disown(msgspec.Struct, frozen=True):
    """Take away the references to these owners: others are enough to keep the object."""

    uids: frozenset[str]


class Delete(msgspec.Struct, frozen=True):
    """Nobody owns it any more."""

    policy: str


Verdict = Keep | Disown | Delete


def plan(dependant: Object, states: Sequence[State], *, has_dependants: bool) -> Verdict:
    """What becomes of an object whose owners, in the order of its references, are so. Pure."""
    metadata = dependant["metadata"]
    references = metadata.get("ownerReferences") or ()
    if metadata.get("deletionTimestamp") or not references or "impossible" in states:
        return Keep()
    if "solid" in states:
        pairs = zip(references, states, strict=True)
        uids = frozenset(str(one.get("uid", "")) for one, state in pairs if state != "solid")
        return Disown(uids) if uids else Keep()
    if "waiting" in states and has_dependants:
        return Delete("Foreground")  # its owner waits for all that is below it
    return Delete(policy_of(metadata.get("finalizers") or ()))


def policy_of(finalizers: Iterable[str]) -> str:
    """What an object wants to become of its own dependants."""
    return {ORPHAN: "Orphan", FOREGROUND: "Foreground"}.get(
        next((one for one in finalizers if one in (ORPHAN, FOREGROUND)), ""), "Background"
    )


def is_waiting(owner: Object) -> bool:
    """Whether it is deleted in the foreground."""
    metadata = owner["metadata"]
    return bool(metadata.get("deletionTimestamp")) and FOREGROUND in metadata.get("finalizers", ())


def is_orphaning(owner: Object) -> bool:
    """Whether it is deleted, and lets its dependants go before."""
    metadata = owner["metadata"]
    return bool(metadata.get("deletionTimestamp")) and ORPHAN in metadata.get("finalizers", ())


def blocks(dependant: Object, uid: str) -> bool:
    """Whether an owner that is deleted in the foreground waits for it."""
    references = dependant["metadata"].get("ownerReferences") or ()
    return any(one.get("uid") == uid and one.get("blockOwnerDeletion") for one in references)


def disowned(obj: Object, uids: Iterable[str]) -> Object:
    """An object without its references to these owners. Pure."""
    metadata = obj["metadata"]
    gone = set(uids)
    kept = [one for one in metadata.get("ownerReferences") or () if one.get("uid") not in gone]
    rest = {name: value for name, value in metadata.items() if name != "ownerReferences"}
    return {**obj, "metadata": {**rest, "ownerReferences": kept} if kept else rest}


def unblocking(obj: Object) -> Object:
    """An object for which no owner waits. Pure."""
    metadata = obj["metadata"]
    references = [
        {**one, "blockOwnerDeletion": False} if one.get("blockOwnerDeletion") else one
        for one in metadata.get("ownerReferences") or ()
    ]
    return {**obj, "metadata": {**metadata, "ownerReferences": references}}


def without_finalizer(obj: Object, finalizer: str) -> Object:
    """An object that this finalizer does not hold. Pure."""
    metadata = obj["metadata"]
    kept = [one for one in metadata.get("finalizers") or () if one != finalizer]
    return {**obj, "metadata": {**metadata, "finalizers": kept}}


def keys_of_owners(obj: Object) -> list[Key]:
    """Who needs a look as an owner when an object changes: itself, and those that own it."""
    metadata = obj["metadata"]
    owners = [one.get("uid") for one in metadata.get("ownerReferences") or ()]
    return [Key("", str(uid)) for uid in (metadata.get("uid"), *owners) if uid]


def concern(obj: Object) -> object:
    """What of an object matters here: most writes, such as those of Leases, change nothing of it.

    Of another object in the same place the uid is another one.
    """
    metadata = obj["metadata"]
    return [metadata.get(field) for field in _CONCERN]


def controller(context: Context) -> Controller:
    """Of everything."""
    definitions = context.resource("apiextensions.k8s.io", "customresourcedefinitions")
    kinds = _Kinds(context, definitions)
    gone: dict[str, Identity] = {}

    def note(obj: Object) -> list[Key]:
        """What is gone is known to be, also where its kind is gone with it; the cache knows when
        it comes back, as from a backup.
        """
        uid = str(obj["metadata"].get("uid", ""))
        if not uid:  # of a stranger's object: references without a uid are not to it
            return []
        while len(gone) >= GONE_MAX:
            del gone[next(iter(gone))]
        gone[uid] = _identity(obj)
        return []

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        collector = _Collector(context, kinds, gone, lister, store)
        if not key.namespace:
            await collector.look_at_owner(key.name)
            return
        found = lister.get(EVERYTHING, key)
        if found is not None:
            await collector.look_at_dependant(found)

    return Controller(
        "garbage collector",
        EVERYTHING,
        reconcile,
        triggers=[
            Trigger(EVERYTHING, note, is_for_ends=True),
            Trigger(EVERYTHING, keys_of_owners, part=concern),
        ],
        indexes={
            _UID: (EVERYTHING, lambda obj: [str(obj["metadata"].get("uid", ""))]),
            _KIND: (definitions, kinds_of),
        },
        workers=WORKERS,
        part=concern,
    )


class _Kinds:
    """From what an object or a reference says that it is, to a resource."""

    def __init__(self, context: Context, definitions: Resource) -> None:
        self._definitions = definitions
        self._builtin = {(one.group, one.kind): one for one in context.stored()}

    def resource(self, lister: Lister, said: Mapping[str, Any]) -> Resource:
        """Of `apiVersion` and `kind`. Raises ApiError 404: nobody knows, perhaps not yet."""
        api_version, kind = str(said.get("apiVersion", "")), str(said.get("kind", ""))
        group = _group_of(said)
        builtin = self._builtin.get((group, kind))
        if builtin is not None:
            return builtin
        defined = lister.by_index(self._definitions, _KIND, f"{group}/{kind}")
        found = [one for one in map(custom_resource, defined) if one is not None]
        if len(found) != 1:  # two were accepted by a stranger: which is meant, nobody guesses
            raise ApiError(404, "NotFound", f'no matches for kind "{kind}" in "{api_version}"')
        return found[0]


class _Collector:
    """One look: what it reads, and what it does."""

    def __init__(
        self,
        context: Context,
        kinds: _Kinds,
        gone: Mapping[str, Identity],
        lister: Lister,
        store: ObjectStore,
    ) -> None:
        self._context = context
        self._kinds = kinds
        self._gone = gone
        self._lister = lister
        self._store = store

    async def look_at_owner(self, uid: str) -> None:
        """Of what an owner's dependants have to wait for, or it for them."""
        owners = self._lister.by_index(EVERYTHING, _UID, uid)
        if owners and not is_orphaning(owners[0]) and not is_waiting(owners[0]):
            return  # before its dependants are looked up: each change of one of many comes here
        dependants = self._lister.owned_by(EVERYTHING, uid)
        if not owners:
            await each(dependants, self.look_at_dependant)
            return
        owner = owners[0]
        if is_orphaning(owner):
            await each(dependants, lambda one: self._disown(one, frozenset((uid,))))
            await self._release(owner, ORPHAN)
        else:
            # All of them: whether they block it says only whether it waits. It is let go after
            # them: held by others, it would wait for nobody any more, and they would stay.
            await each(dependants, self.look_at_dependant)
            if not any(blocks(one, uid) for one in dependants):
                await self._release(owner, FOREGROUND)

    async def look_at_dependant(self, found: Object) -> None:
        """Of whether anybody still owns an object."""
        metadata = found["metadata"]
        references = metadata.get("ownerReferences") or ()
        if not references or metadata.get("deletionTimestamp"):
            return
        resource = self._kinds.resource(self._lister, found)
        states = [await self._state(found, resource, reference) for reference in references]
        below = self._lister.owned_by(EVERYTHING, str(metadata["uid"]))
        match plan(found, states, has_dependants=bool(below)):
            case Disown(uids=uids):
                await self._disown(found, uids)
            case Delete(policy=policy):
                if policy == "Foreground" and any(map(is_waiting, below)):
                    # They own each other: somebody must stop waiting.
                    await self._update(resource, found, unblocking)
                await self._delete(resource, found, policy)
            case Keep():
                pass

    async def _state(
        self, dependant: Object, resource: Resource, reference: Mapping[str, Any]
    ) -> State:
        """How an owner is. Raises ApiError when nobody knows."""
        uid, name = str(reference.get("uid", "")), str(reference.get("name", ""))
        namespace = str(dependant["metadata"].get("namespace", ""))
        cached = self._lister.by_index(EVERYTHING, _UID, uid)
        # Whatever its kind is found to be: what the cache has is not absent.
        meant = (one for one in cached if _identity(one).is_named(reference, namespace))
        owner = next(meant, None)
        if owner is None:
            gone = self._gone.get(uid)
            if gone is not None and gone.is_named(reference, namespace) and not cached:
                return "absent"  # what was restored is in the cache again
            of_owner = self._kinds.resource(self._lister, reference)
            if of_owner.is_namespaced and not namespace:
                self._tell(dependant, resource, reference)
                return "impossible"
            owner = await self._live(of_owner, namespace if of_owner.is_namespaced else "", name)
            if owner is None or owner["metadata"].get("uid") != uid:
                if cached:
                    self._tell(dependant, resource, reference)
                return "absent"
        return "waiting" if is_waiting(owner) else "solid"

    async def _live(self, resource: Resource, namespace: str, name: str) -> Object | None:
        try:
            return await self._store.get(resource, namespace, name)
        except ApiError as error:
            if error.code in (400, 404):  # a name that no object can have
                return None
            raise

    async def _disown(self, found: Object, uids: frozenset[str]) -> None:
        resource = self._kinds.resource(self._lister, found)
        await self._update(resource, found, lambda old: disowned(old, uids))

    async def _release(self, owner: Object, finalizer: str) -> None:
        resource = self._kinds.resource(self._lister, owner)
        await self._update(resource, owner, lambda old: without_finalizer(old, finalizer))

    async def _update(
        self, resource: Resource, found: Object, change: Callable[[Object], Object]
    ) -> None:
        """Change the object that was found, if it is there still."""
        metadata = found["metadata"]
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        try:
            await self._store.update(resource, namespace, name, change, uid=metadata["uid"])
        except ApiError as error:
            if not _is_another(error):
                raise

    async def _delete(self, resource: Resource, found: Object, policy: str) -> None:
        """Delete it, unless it was changed since: then it may have another owner."""
        metadata = found["metadata"]
        options = DeleteOptions(
            propagation_policy=policy,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        )
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        try:
            await self._store.delete(resource, namespace, name, options=options)
        except ApiError as error:
            if error.code != 404:
                raise

    def _tell(self, dependant: Object, resource: Resource, reference: Mapping[str, Any]) -> None:
        about = {**dependant, "apiVersion": resource.api_version}
        namespace = dependant["metadata"].get("namespace", "")
        owner = (
            f"[{reference.get('apiVersion', '')}/{reference.get('kind', '')}, namespace: "
            f"{namespace}, name: {reference.get('name', '')}, uid: {reference.get('uid', '')}]"
        )
        message = f'ownerRef {owner} does not exist in namespace "{namespace}"'
        self._context.recorder.record(about, "Warning", "OwnerRefInvalidNamespace", message)


def _identity(obj: Object) -> Identity:
    metadata = obj["metadata"]
    return Identity(
        group=_group_of(obj),
        kind=str(obj.get("kind", "")),
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace", "")),
    )


def _group_of(said: Mapping[str, Any]) -> str:
    return str(said.get("apiVersion", "")).rpartition("/")[0]


def _is_another(error: ApiError) -> bool:
    """Whether the object is gone, or one of another uid is in its place."""
    return error.code == 404 or (error.code == 409 and "Precondition failed: UID" in error.message)
