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

import copy
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgspec

from controlplane import claims
from controlplane.api import continuation, lifecycle, names, stored
from controlplane.api.continuation import INCONSISTENT, Continuation
from controlplane.api.errors import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    not_found,
)
from controlplane.api.lifecycle import DeleteOptions
from controlplane.api.resource import Object, Resource
from controlplane.api.stored import Identity, Transform, splice
from controlplane.claims import Claim, ClaimLostError
from controlplane.expiry import Expiry
from controlplane.object_watch import Change, ObjectWatch
from controlplane.store_errors import as_api_errors
from kvstore.client import (
    Client,
    KeyValue,
    ModRevision,
    RangeResponse,
    TxnResponse,
    delete,
    get,
    put,
)
from kvstore.client.operations import prefix_end
from kvstore.commands import Operation, Txn
from kvstore.errors import CompactedError, LeaseNotFoundError
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

ATTEMPTS_MAX = 5  # 2.3: so often a compare may be lost to others before the caller hears of it
NAMES_MAX = 8  # 2.9: so many generated names are tried
CHUNK_OBJECTS = 2_000  # of one read of a list without limit: bounds the size of one answer


class Page(msgspec.Struct, frozen=True):
    """Objects of one revision, in key order.

    keys       where they are
    raw        bytes of each, resourceVersion included (in the storage version)
    revision   of the whole list
    remaining  how many come after it; None: nothing, or nobody knows
    """

    resource: Resource
    keys: list[bytes]
    raw: list[bytes]
    revision: int
    continue_token: str = ""
    remaining: int | None = None

    @property
    def items(self) -> list[Object]:
        """The objects, decoded anew each time."""
        return [stored.loads(self.resource, raw) for raw in self.raw]


class Deletion(msgspec.Struct, frozen=True):
    """What a deletion left: the object that is marked, or as it was last."""

    object: Object
    is_gone: bool


class _Found(msgspec.Struct, frozen=True):
    """An object as the store, or whoever guesses, has it. `plain` is empty for a guess."""

    object: Object
    revision: int
    plain: bytes = b""
    is_stale: bool = False


class _Outcome(msgspec.Struct, frozen=True):
    """What becomes of an object: it is written, or removed."""

    object: Object
    is_gone: bool = False


_Decide = Callable[[Object], _Outcome]


def _nothing(resource: Resource, obj: Object) -> Sequence[bytes]:
    return ()


def _unnoticed(resource: Resource, revision: int) -> None:
    pass


class ObjectStore:
    """Objects of all resources, behind a client of the store."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Callable[[], float] = time.time,
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
        dice: Random | None = None,
        transform: Transform | None = None,
        releases: Callable[[Resource, Object], Sequence[bytes]] = _nothing,
    ) -> None:
        """`clock`, `new_uid` and `dice` are the seams for simulations.

        clock     seconds since 1970
        dice      for generated names
        releases  claimed keys of an object: what it no longer has is deleted in the same Txn
        """
        self.client = client
        self.clock = clock
        self._new_uid = new_uid
        self._dice = dice or random.Random()
        self._transform = transform or Identity()
        self._releases = releases
        self._expiry = Expiry(client)
        self._guards: tuple[Claim, ...] = ()
        self._on_write: Callable[[Resource, int], None] = _unnoticed

    def guarded(self, *guards: Claim) -> Self:
        """The same store, of which every write also compares these keys (and writes none).

        A leader writes through one that compares who leads: once another does, no write of its
        is taken any more, however late it leaves.
        """
        assert all(guard.value is None for guard in guards)
        copied = copy.copy(self)
        copied._guards = (*self._guards, *guards)
        return copied

    def noting(self, on_write: Callable[[Resource, int], None]) -> Self:
        """The same store, which tells the revision of each of its writes."""
        copied = copy.copy(self)
        copied._on_write = on_write
        return copied

    # -------------------------------------------------------------------- reads

    async def get(
        self, resource: Resource, namespace: str, name: str, *, linearizable: bool = True
    ) -> Object:
        """One object; ApiError 404. Not `linearizable`: as one member has it, perhaps old."""
        key = stored.key_of(resource, namespace, name)
        return (await self._find(resource, key, name, linearizable=linearizable)).object

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
        if not continue_token:
            return await self._page(resource, prefix, prefix, limit, revision)
        if revision:
            raise bad_request("specifying resource version is not allowed when using continue")
        place = continuation.decode(continue_token)
        at = 0 if place.revision == INCONSISTENT else place.revision
        try:
            return await self._page(resource, prefix, prefix + place.start.encode(), limit, at)
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
        return ObjectWatch(self.client, resource, prefix, revision, self._transform)

    # ------------------------------------------------------------------- writes

    async def create(
        self,
        resource: Resource,
        obj: Object,
        *,
        also: Sequence[Claim] = (),
        dry_run: bool = False,
    ) -> Object:
        """Write a new object, with `metadata.generateName` under a name that nobody has.

        Raises ApiError 409 when its name is taken, ClaimLostError when a claim is lost.
        """
        metadata = obj.get("metadata") or {}
        if metadata.get("name") or not metadata.get("generateName"):
            return await self._create(resource, obj, also, dry_run)
        for attempt in range(1, NAMES_MAX + 1):
            name = self._generated(str(metadata["generateName"]))
            named = {**obj, "metadata": {**metadata, "name": name}}
            try:
                return await self._create(resource, named, also, dry_run)
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

        The write is refused with 409 when `uid` or `resource_version` is given and not the
        object's, or when `change` returns an object that was read at another revision. An equal
        object is not written. An object that is being deleted goes with its last finalizer.
        `known`: what the caller believes is stored, which spares a read when it is true.
        """

        def decide(old: Object) -> _Outcome:
            lifecycle.require_uid(resource, old["metadata"], uid)
            _require_version(resource, old, resource_version)
            changed = change(old)
            _require_version(resource, old, str(changed["metadata"].get("resourceVersion") or ""))
            new = lifecycle.updated(resource, changed, old)
            return _Outcome(new, lifecycle.is_finished(resource, new))

        key = stored.key_of(resource, namespace, name)
        guess = None if known is None else _guess(known)
        return (await self._change(resource, key, name, decide, guess, also, dry_run)).object

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        options: DeleteOptions | None = None,
        also: Sequence[Claim] = (),
        known: Object | None = None,
    ) -> Deletion:
        """Remove an object, or mark it while finalizers or its grace period hold it (2.16, 2.17).

        `known` as for `update`.
        Raises ApiError 404, 409 when a precondition does not hold.
        """
        wanted = options or DeleteOptions()

        def decide(old: Object) -> _Outcome:
            lifecycle.require_preconditions(resource, old, wanted)
            doomed = lifecycle.deleted(resource, old, wanted, now=self.clock())
            return _Outcome(doomed.object, doomed.is_gone)

        key = stored.key_of(resource, namespace, name)
        guess = None if known is None else _guess(known)
        outcome = await self._change(resource, key, name, decide, guess, also, wanted.dry_run)
        return Deletion(outcome.object, outcome.is_gone)

    # ------------------------------------------------------------------ the txns

    async def _create(
        self, resource: Resource, obj: Object, also: Sequence[Claim], dry_run: bool
    ) -> Object:
        new = lifecycle.created(resource, obj, uid=self._new_uid(), now=self.clock())
        name = str(new["metadata"]["name"])
        key = stored.key_of(resource, str(new["metadata"].get("namespace") or ""), name)
        also = (*also, *self._guards)
        writes: list[Operation] = (
            [] if dry_run else [await self._put(resource, key, new), *claims.puts(also)]
        )
        answer = await self._commit(key, 0, writes, also)
        if answer.succeeded:
            if dry_run:
                return new
            self._on_write(resource, answer.header.revision)
            return _at(new, answer.header.revision)
        exists, *claimed = claims.ranges(answer.responses)
        if exists.kvs:
            raise already_exists(resource.plural, resource.group, name)
        raise ClaimLostError(resource, name, claims.lost(also, claimed))

    async def _change(
        self,
        resource: Resource,
        key: bytes,
        name: str,
        decide: _Decide,
        guess: _Found | None,
        also: Sequence[Claim],
        dry_run: bool,
    ) -> _Outcome:
        """Read, decide, write if nobody else wrote meanwhile; ≤ ATTEMPTS_MAX times."""
        found = guess or await self._find(resource, key, name)
        for _ in range(ATTEMPTS_MAX + 1):
            try:
                outcome = decide(found.object)
            except ApiError:
                if found.plain:
                    raise
                outcome = None
            if not found.plain and (outcome is None or _is_kept(found, outcome)):
                # A guess neither refuses a change nor makes one needless: only the store does.
                found = await self._find(resource, key, name)
                continue
            assert outcome is not None
            done = await self._write(resource, key, found, outcome, also, dry_run)
            if isinstance(done, _Outcome):
                return done
            found = self._read(resource, key, name, done)
        raise conflict(resource.plural, resource.group, name)

    def _given_up(self, resource: Resource, old: Object, outcome: _Outcome) -> Sequence[bytes]:
        """Claimed keys that the object had, and has no longer."""
        kept = () if outcome.is_gone else self._releases(resource, outcome.object)
        return [key for key in self._releases(resource, old) if key not in kept]

    async def _write(
        self,
        resource: Resource,
        key: bytes,
        found: _Found,
        outcome: _Outcome,
        also: Sequence[Claim],
        dry_run: bool,
    ) -> _Outcome | RangeResponse:
        """The outcome once it is written, or what is there when somebody else was faster."""
        writes: list[Operation]
        claimed_puts = claims.puts(also)
        also = (*also, *self._guards)
        if outcome.is_gone:
            writes = [delete(key)]
        elif not claimed_puts and _is_kept(found, outcome) and not found.is_stale:
            return _Outcome(found.object)
        else:
            writes = [await self._put(resource, key, outcome.object)]
        given_up = self._given_up(resource, found.object, outcome)
        writes = [] if dry_run else [*writes, *map(delete, given_up), *claimed_puts]
        answer = await self._commit(key, found.revision, writes, also)
        if answer.succeeded:
            revision = found.revision if dry_run else answer.header.revision
            if not dry_run:
                self._on_write(resource, revision)
            return _Outcome(_at(outcome.object, revision), outcome.is_gone)
        current, *claimed = claims.ranges(answer.responses)
        if current.kvs and current.kvs[0].mod_revision == found.revision:
            name = str(found.object["metadata"]["name"])
            raise ClaimLostError(resource, name, claims.lost(also, claimed))
        return current

    async def _put(self, resource: Resource, key: bytes, obj: Object) -> Operation:
        plain = stored.encode(resource, obj)
        with as_api_errors():
            lease = await self._expiry.lease_id(resource)
        return put(key, self._transform.encode(resource, key, plain), lease=lease)

    async def _commit(
        self, key: bytes, revision: int, writes: Sequence[Operation], also: Sequence[Claim]
    ) -> TxnResponse:
        """Write, if the key and all claims are as expected; otherwise read what they are."""
        compares = (ModRevision(key) == revision, *claims.compares(also))
        reads = (get(key, keys_only=revision == 0), *claims.gets(also))
        with as_api_errors():
            try:
                return await self.client.commit(Txn(compares, tuple(writes), reads))
            except LeaseNotFoundError:
                self._expiry.forget()
                raise

    # ---------------------------------------------------------------- the bytes

    async def _find(
        self, resource: Resource, key: bytes, name: str, *, linearizable: bool = True
    ) -> _Found:
        with as_api_errors():
            answer = await self.client.get_range(key, serializable=not linearizable)
        return self._read(resource, key, name, answer)

    def _read(self, resource: Resource, key: bytes, name: str, answer: RangeResponse) -> _Found:
        if not answer.kvs:
            raise not_found(resource.plural, resource.group, name)
        kv = answer.kvs[0]
        plain = self._transform.decode(resource, key, kv.value)
        is_stale = self._transform.is_stale(resource, kv.value)
        obj = stored.decode(resource, plain, kv.mod_revision)
        return _Found(obj, kv.mod_revision, plain, is_stale)

    async def _page(
        self, resource: Resource, prefix: bytes, start: bytes, limit: int, revision: int
    ) -> Page:
        """One page; without limit it is read in chunks, all of the revision of the first."""
        keys: list[bytes] = []
        raw: list[bytes] = []
        end = prefix_end(prefix)
        while True:
            with as_api_errors():
                answer = await self.client.get_range(
                    start, end, limit=limit or CHUNK_OBJECTS, revision=revision
                )
            revision = revision or answer.header.revision
            keys += [kv.key for kv in answer.kvs]
            raw += [self._spliced(resource, kv) for kv in answer.kvs]
            if not answer.more:
                return Page(resource, keys, raw, revision)
            start = answer.kvs[-1].key + b"\0"
            if limit:
                place = Continuation(revision, start[len(prefix) :].decode())
                remaining = answer.count - len(answer.kvs)
                token = continuation.encode(place)
                return Page(resource, keys, raw, revision, token, remaining)

    def _spliced(self, resource: Resource, kv: KeyValue) -> bytes:
        return splice(self._transform.decode(resource, kv.key, kv.value), kv.mod_revision)

    def _generated(self, base: str) -> str:
        """2.9."""
        roll, letters = self._dice.randrange, names.SUFFIX_CHARS
        suffix = [letters[roll(0, len(letters))] for _ in range(names.SUFFIX_LENGTH)]
        return names.generate_name(base, "".join(suffix))


def _require_version(resource: Resource, old: Object, version: str) -> None:
    """2.3: who names a version does not overwrite another."""
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource.plural, resource.group, old["metadata"]["name"])


def _guess(known: Object) -> _Found | None:
    version = known["metadata"].get("resourceVersion", "")
    return _Found(known, int(version)) if version.isdecimal() else None


def _is_kept(found: _Found, outcome: _Outcome) -> bool:
    """Whether there is nothing to write: then the object keeps its resourceVersion (2.2)."""
    return not outcome.is_gone and stored.is_same(found.object, outcome.object)


def _at(obj: Object, revision: int) -> Object:
    metadata: Mapping[str, Any] = obj["metadata"]
    return {**obj, "metadata": {**metadata, "resourceVersion": str(revision)}}
