"""Objects in the store: create, get, list, update, delete, watch.

    async with connect(endpoints) as client:
        store = ObjectStore(client)
        pod = await store.create(PODS, {"metadata": {"name": "a", "namespace": "default"}, …})
        await store.update(PODS, "default", "a", lambda pod: {**pod, "status": …})

One key per object (`Resource.key`), one Txn per write, which compares the revision that was read:
nobody's change is lost. Everything that writes objects goes through here, the API server as well
as controllers; admission and validation are the API server's.

Every method raises ApiError: 503 when surely nothing was written, 504 when nobody knows.
"""

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import msgspec

from controlplane.api import continuation, lifecycle, names, stored
from controlplane.api.continuation import INCONSISTENT
from controlplane.api.errors import ApiError, bad_request, conflict
from controlplane.api.lifecycle import DeleteOptions
from controlplane.api.resource import Object, Resource
from controlplane.api.stored import Identity, Transform, splice
from controlplane.claims import Claim, ClaimLostError
from controlplane.codec import Codec
from controlplane.object_watch import Change, ObjectWatch
from controlplane.pages import Page, Pages
from controlplane.store_errors import as_api_errors
from controlplane.transactions import Outcome, Transactions
from controlplane.uids import new_uid
from kvstore.client import Client
from kvstore.errors import CompactedError
from kvstore.seams import Random

__all__ = [
    "Change",
    "Claim",
    "ClaimLostError",
    "DeleteOptions",
    "Deletion",
    "ObjectStore",
    "ObjectWatch",
    "Page",
    "splice",
]

NAMES_MAX = 8  # 2.9: so many generated names are tried


class Deletion(msgspec.Struct, frozen=True):
    """What a deletion left: the object that is marked, or as it was last."""

    object: Object
    is_gone: bool


def _nothing(resource: Resource, obj: Object) -> Sequence[bytes]:
    return ()


class ObjectStore:
    """Objects of all resources, behind a client of the store."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Callable[[], float] = time.time,
        new_uid: Callable[[], str] = new_uid,
        dice: Random | None = None,
        transform: Transform | None = None,
        releases: Callable[[Resource, Object], Sequence[bytes]] = _nothing,
    ) -> None:
        """`clock`, `new_uid` and `dice` are the seams for simulations.

        clock     seconds since 1970
        dice      for generated names, and pauses
        releases  claimed keys of an object: what it no longer has is deleted in the same Txn
        """
        self.client = client
        self.clock = clock
        self._new_uid = new_uid
        self._dice = dice or random.Random()
        self._codec = Codec(transform or Identity())
        self._pages = Pages(client, self._codec)
        self._transactions = Transactions(client, self._codec, releases, self._dice)

    def _copied(self) -> Self:
        copied = object.__new__(type(self))  # copy.copy takes several times as long
        copied.__dict__.update(self.__dict__)
        return copied

    def guarded(self, *guards: Claim) -> Self:
        """The same store, of which every write also compares these keys (and writes none).

        A leader writes through one that compares who leads: once another does, no write of its
        is taken any more, however late it leaves.
        """
        assert all(guard.value is None for guard in guards)
        copied = self._copied()
        copied._transactions = self._transactions.guarded(guards)
        return copied

    def noting(self, on_write: Callable[[Resource, int], None]) -> Self:
        """The same store, which tells the revision of each of its writes."""
        copied = self._copied()
        copied._transactions = self._transactions.noting(on_write)
        return copied

    # -------------------------------------------------------------------- reads

    async def get(
        self, resource: Resource, namespace: str, name: str, *, linearizable: bool = True
    ) -> Object:
        """One object; not `linearizable`: as one member has it, perhaps old.

        Raises ApiError 404, UnreadableError.
        """
        key = stored.key_of(resource, namespace, name)
        found = await self._transactions.find(resource, key, name, linearizable=linearizable)
        return found.object

    async def revision(self) -> int:
        """The store's current revision: whoever has seen it has seen all writes before the call."""
        with as_api_errors():
            return (await self.client.get_range("/registry/", count_only=True)).header.revision

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        limit: int = 0,
        continue_token: str = "",
        revision: int = 0,
    ) -> Page:
        """The objects of a namespace, or all, as of one revision (0: the current one).

        limit           objects on a page; 0: all at once
        continue_token  of the page before; it says the revision, too

        Raises ApiError 400 for a malformed token, 410 for a compacted revision, 504 for one that
        is not reached.
        """
        prefix = stored.prefix_of(resource, namespace)
        read = partial(self._pages.read, resource, prefix)
        if not continue_token:
            return await read(prefix, limit=limit, revision=revision)
        if revision:
            raise bad_request("specifying resource version is not allowed when using continue")
        place = continuation.decode(continue_token)
        at = 0 if place.revision == INCONSISTENT else place.revision
        try:
            return await read(prefix + place.start.encode(), limit=limit, revision=at)
        except ApiError as error:
            if isinstance(error.__cause__, CompactedError):
                raise continuation.expired(place) from error
            raise

    def watch(self, resource: Resource, namespace: str = "", revision: int = 0) -> ObjectWatch:
        """All changes after a revision (0: from now on), as an async iterator of lists.

            async with store.watch(PODS, "default", page.revision) as changes:
                async for batch in changes: ...

        An empty list is a sign of life: all up to `changes.revision` was delivered.
        """
        prefix = stored.prefix_of(resource, namespace)
        return ObjectWatch(self.client, resource, prefix, revision, self._codec)

    # ------------------------------------------------------------------- writes

    async def create(
        self,
        resource: Resource,
        obj: Object,
        *,
        also: Sequence[Claim] = (),
        dry_run: bool = False,
        is_sure: bool = False,
    ) -> Object:
        """Write a new object, with `metadata.generateName` under a name that nobody has.

        is_sure  where an answer is lost it is tried again, as the same object, until it is known
                 what became of it; so never 504, and never twice

        Raises ApiError 409 when its name is taken, ClaimLostError when a claim is lost.
        """
        metadata = obj.get("metadata") or {}
        if metadata.get("name") or not metadata.get("generateName"):
            return await self._create(resource, obj, also, dry_run, is_sure)
        for attempt in range(1, NAMES_MAX + 1):
            name = self._generated(str(metadata["generateName"]))
            named = {**obj, "metadata": {**metadata, "name": name}}
            try:
                return await self._create(resource, named, also, dry_run, is_sure)
            except ApiError as error:
                if error.reason != "AlreadyExists" or attempt == NAMES_MAX:
                    raise
        raise AssertionError("unreachable")

    async def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        *,
        uid: str = "",
        resource_version: str = "",
        also: Sequence[Claim] = (),
        dry_run: bool = False,
        known: Object | None = None,
    ) -> Object:
        """Write what `change` makes of an object; it is asked again when somebody else was faster.

        However many write it at once, each gets through; 503 tells of a minute without luck.
        The write is refused with 409 when `uid` or `resource_version` is given and not the
        object's, or when `change` returns an object that was read at another revision. An equal
        object is not written. An object that is being deleted goes with its last finalizer.
        `known`: what the caller believes is stored, which spares a read when it is true.
        """

        def decide(old: Object) -> Outcome:
            lifecycle.require_uid(resource, old["metadata"], uid)
            _require_version(resource, old, resource_version)
            changed = change(old)
            _require_version(resource, old, str(changed["metadata"].get("resourceVersion") or ""))
            new = lifecycle.updated(resource, changed, old)
            return Outcome(new, lifecycle.is_finished(resource, new))

        key = stored.key_of(resource, namespace, name)
        done = await self._transactions.change(
            resource, key, name, decide, known=known, also=also, dry_run=dry_run
        )
        return done.object

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        options: DeleteOptions | None = None,
        also: Sequence[Claim] = (),
        known: Object | None = None,
        change: Callable[[Object], Object] = lambda old: old,
    ) -> Deletion:
        """Remove an object, or mark it while finalizers or its grace period hold it (2.16, 2.17).

        `known` and `change` as for `update`, in the same write.
        Raises ApiError 404, 409 when a precondition does not hold, and what `change` raises.
        """
        wanted = options or DeleteOptions()

        def decide(old: Object) -> Outcome:
            lifecycle.require_preconditions(resource, old, wanted)
            doomed = lifecycle.deleted(resource, change(old), wanted, now=self.clock())
            return Outcome(doomed.object, doomed.is_gone)

        key = stored.key_of(resource, namespace, name)
        done = await self._transactions.change(
            resource, key, name, decide, known=known, also=also, dry_run=wanted.dry_run
        )
        return Deletion(done.object, done.is_gone)

    async def _create(
        self,
        resource: Resource,
        obj: Object,
        also: Sequence[Claim],
        dry_run: bool,
        is_sure: bool,
    ) -> Object:
        uid = (obj.get("metadata") or {}).get("uid") or self._new_uid()
        new = lifecycle.created(resource, obj, uid=uid, now=self.clock())
        if is_sure and not dry_run:
            return await self._transactions.create_surely(resource, new, also)
        return await self._transactions.create(resource, new, also, dry_run=dry_run)

    def _generated(self, base: str) -> str:
        """2.9."""
        roll, letters = self._dice.randrange, names.SUFFIX_CHARS
        suffix = [letters[roll(0, len(letters))] for _ in range(names.SUFFIX_LENGTH)]
        return names.generate_name(base, "".join(suffix))


def _require_version(resource: Resource, old: Object, version: str) -> None:
    """2.3: who names a version does not overwrite another."""
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource.plural, resource.group, old["metadata"]["name"])
