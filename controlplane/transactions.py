"""Writes of single objects: one Txn each, which compares the revision that was read.

Whoever is overtaken reads again, decides again and tries again, so nobody's change is lost.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import msgspec

from controlplane import claims
from controlplane.api import stored
from controlplane.api.errors import (
    ApiError,
    already_exists,
    not_found,
    qualified,
    service_unavailable,
)
from controlplane.api.resource import Object, Resource
from controlplane.claims import Claim, ClaimLostError
from controlplane.codec import Codec
from controlplane.contention import Contention
from controlplane.expiry import Expiry
from controlplane.store_errors import as_api_errors
from kvstore.client import (
    Client,
    ModRevision,
    RangeResponse,
    TxnResponse,
    delete,
    get,
    put,
)
from kvstore.client.clock import AsyncioClock
from kvstore.commands import Operation, Txn
from kvstore.errors import LeaseNotFoundError
from kvstore.seams import Clock, Random

DOUBT_SECONDS = 0.5  # between two attempts to find out what became of a write


class Found(msgspec.Struct, frozen=True):
    """An object as the store, or whoever guesses, has it."""

    object: Object
    revision: int
    is_guess: bool = False
    is_stale: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What becomes of an object: it is written, or removed."""

    object: Object
    is_gone: bool = False


Decide = Callable[[Object], Outcome]
Releases = Callable[[Resource, Object], Sequence[bytes]]


def _unnoticed(resource: Resource, revision: int) -> None:
    pass


class Transactions:
    """Makes them."""

    def __init__(
        self,
        client: Client,
        codec: Codec,
        releases: Releases,
        dice: Random,
        *,
        clock: Clock | None = None,
    ) -> None:
        """
        releases     claimed keys of an object: what it no longer has is deleted in the same Txn
        dice, clock  for the pauses of those who were overtaken
        """
        self._client = client
        self._codec = codec
        self._releases = releases
        self._dice = dice
        self._clock = clock or AsyncioClock()
        self._expiry = Expiry(client)
        self._guards: tuple[Claim, ...] = ()
        self._on_write: Callable[[Resource, int], None] = _unnoticed

    def _copied(self) -> Self:
        copied = object.__new__(type(self))  # copy.copy takes several times as long
        copied.__dict__.update(self.__dict__)
        return copied

    def guarded(self, guards: Sequence[Claim]) -> Self:
        """The same, of which each also compares these keys."""
        copied = self._copied()
        copied._guards = (*self._guards, *guards)
        return copied

    def noting(self, on_write: Callable[[Resource, int], None]) -> Self:
        """The same, which tell the revision of each write."""
        copied = self._copied()
        copied._on_write = on_write
        return copied

    async def find(
        self, resource: Resource, key: bytes, name: str, *, linearizable: bool = True
    ) -> Found:
        """What is there. Raises ApiError 404, UnreadableError."""
        with as_api_errors():
            answer = await self._client.get_range(key, serializable=not linearizable)
        return self._read(resource, name, answer)

    async def create(
        self, resource: Resource, new: Object, also: Sequence[Claim], *, dry_run: bool
    ) -> Object:
        """Write a new object. Raises ApiError 409, ClaimLostError."""
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

    async def create_surely(self, resource: Resource, new: Object, also: Sequence[Claim]) -> Object:
        """`create`, again until it is known what became of it: the same object, so it is made once.

        Goes on while the store is away; whoever has no time for that cancels it.
        """
        metadata = new["metadata"]
        place = stored.key_of(resource, str(metadata.get("namespace") or ""), metadata["name"])
        is_doubtful = False
        while True:
            try:
                return await self.create(resource, new, also, dry_run=False)
            except ApiError as error:
                if error.code == 504 or (is_doubtful and error.code == 503):
                    is_doubtful = True
                elif is_doubtful and error.reason == "AlreadyExists":
                    found = await self._own(resource, place, metadata)
                    if found is None:
                        raise
                    return found
                else:
                    raise
            await self._clock.sleep(DOUBT_SECONDS)

    async def _own(
        self, resource: Resource, key: bytes, metadata: Mapping[str, Any]
    ) -> Object | None:
        """What is there, if it is what was written; None: it is another's, or gone already."""
        while True:
            try:
                found = await self.find(resource, key, str(metadata["name"]))
            except ApiError as error:
                if error.code == 404:
                    return None
                if error.code not in (503, 504):
                    raise
                await self._clock.sleep(DOUBT_SECONDS)
                continue
            if found.object["metadata"].get("uid") != metadata["uid"]:
                return None
            self._on_write(resource, found.revision)
            return found.object

    async def change(
        self,
        resource: Resource,
        key: bytes,
        name: str,
        decide: Decide,
        *,
        known: Object | None,
        also: Sequence[Claim],
        dry_run: bool,
    ) -> Outcome:
        """Read, decide, write if nobody else wrote meanwhile; again, as long as others are faster.

        known  what the caller believes is there, which spares the first read when it is true

        Raises what `decide` raises, ClaimLostError, ApiError 503 when others never let it through.
        """
        contention = Contention(self._dice, self._clock.now())
        found = _guess(known) or await self.find(resource, key, name)
        while True:
            try:
                outcome = decide(found.object)
            except ApiError:
                if not found.is_guess:
                    raise
                outcome = None
            if found.is_guess and (outcome is None or _is_kept(found, outcome)):
                # A guess neither refuses a change nor makes one needless: only the store does.
                found = await self.find(resource, key, name)
                continue
            assert outcome is not None
            done = await self._write(resource, key, found, outcome, also, dry_run=dry_run)
            if isinstance(done, Outcome):
                return done
            found = await self._overtaken(contention, resource, key, name, done)

    async def _overtaken(
        self,
        contention: Contention,
        resource: Resource,
        key: bytes,
        name: str,
        answer: RangeResponse,
    ) -> Found:
        """What to decide on next: what the lost Txn has read, or after a pause what is there then.

        Only who names a version is told of a conflict (2.3): by `decide`, when it is asked again.
        """
        seconds = contention.pause_seconds(self._clock.now())
        if seconds is None:
            whom = f'{qualified(resource.plural, resource.group)} "{name}"'
            raise service_unavailable(f"others write {whom} all the time; nothing was written")
        if not seconds:
            return self._read(resource, name, answer)
        await self._clock.sleep(seconds)
        return await self.find(resource, key, name)

    async def _write(
        self,
        resource: Resource,
        key: bytes,
        found: Found,
        outcome: Outcome,
        also: Sequence[Claim],
        *,
        dry_run: bool,
    ) -> Outcome | RangeResponse:
        """The outcome once it is written, or what is there when somebody else was faster."""
        writes: list[Operation]
        claimed_puts = claims.puts(also)
        also = (*also, *self._guards)
        if outcome.is_gone:
            writes = [delete(key)]
        elif not claimed_puts and _is_kept(found, outcome) and not found.is_stale:
            return Outcome(found.object)
        else:
            writes = [await self._put(resource, key, outcome.object)]
        given_up = self._given_up(resource, found.object, outcome)
        writes = [] if dry_run else [*writes, *map(delete, given_up), *claimed_puts]
        answer = await self._commit(key, found.revision, writes, also)
        if answer.succeeded:
            revision = found.revision if dry_run else answer.header.revision
            if not dry_run:
                self._on_write(resource, revision)
            return Outcome(_at(outcome.object, revision), outcome.is_gone)
        current, *claimed = claims.ranges(answer.responses)
        if current.kvs and current.kvs[0].mod_revision == found.revision:
            name = str(found.object["metadata"]["name"])
            raise ClaimLostError(resource, name, claims.lost(also, claimed))
        return current

    def _given_up(self, resource: Resource, old: Object, outcome: Outcome) -> Sequence[bytes]:
        """Claimed keys that the object had, and has no longer."""
        kept = () if outcome.is_gone else self._releases(resource, outcome.object)
        return [key for key in self._releases(resource, old) if key not in kept]

    async def _put(self, resource: Resource, key: bytes, obj: Object) -> Operation:
        value = self._codec.encode(resource, key, obj)
        with as_api_errors():
            lease = await self._expiry.lease_id(resource)
        return put(key, value, lease=lease)

    async def _commit(
        self, key: bytes, revision: int, writes: Sequence[Operation], also: Sequence[Claim]
    ) -> TxnResponse:
        """Write, if the key and all claims are as expected; otherwise read what they are."""
        compares = (ModRevision(key) == revision, *claims.compares(also))
        reads = (get(key, keys_only=revision == 0), *claims.gets(also))
        with as_api_errors():
            try:
                return await self._client.commit(Txn(compares, tuple(writes), reads))
            except LeaseNotFoundError:
                self._expiry.forget()
                raise

    def _read(self, resource: Resource, name: str, answer: RangeResponse) -> Found:
        if not answer.kvs:
            raise not_found(resource.plural, resource.group, name)
        kv = answer.kvs[0]
        obj = self._codec.decode(resource, kv)
        return Found(obj, kv.mod_revision, is_stale=self._codec.is_stale(resource, kv))


def _guess(known: Object | None) -> Found | None:
    version = "" if known is None else known["metadata"].get("resourceVersion", "")
    if known is None or not version.isdecimal():
        return None
    return Found(known, int(version), is_guess=True)


def _is_kept(found: Found, outcome: Outcome) -> bool:
    """Whether there is nothing to write: then the object keeps its resourceVersion (2.2)."""
    return not outcome.is_gone and stored.is_same(found.object, outcome.object)


def _at(obj: Object, revision: int) -> Object:
    metadata: Mapping[str, Any] = obj["metadata"]
    return {**obj, "metadata": {**metadata, "resourceVersion": str(revision)}}
