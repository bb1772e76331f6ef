"""Controllers: a reconcile for each key that may need one, and what they all share.

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> float | None:
        widget = lister.get(WIDGETS, key)
        if widget is None:
            return None  # gone: there is nothing to do
        ...

    widgets = Controller("widgets", WIDGETS, reconcile, triggers=[owned(PODS, by=WIDGETS)])
    await run([widgets], store)

A reconcile is given a key, never an event: it reads the state from the cache, does what is
missing, and expects to be called again. It returns None, or seconds after which to look again;
what it raises has the key looked at again, ever later. It sees its own writes: a key is looked at
again only when the caches have what was written.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.record import R
from controlplane.api.resource import Object, Resource
from controlplane.indexer import Indexer, IndexFunction, Key
from controlplane.informer import OWNER, Informer, Informers
from controlplane.objects import ObjectStore
from controlplane.reflector import ANSWER_SECONDS_MAX, DELAY_SECONDS_MAX, SILENCE_SECONDS_MAX
from controlplane.workqueue import WorkQueue
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock, Random

RECONCILE_SECONDS_MAX = 300.0  # outlasts any reconcile that gets on; frees the worker of others
SLICE_SECONDS = 0.01  # of looks without a wait: the lease of whoever leads is renewed meanwhile
# A cache may not see a write before a dead watch is found, and all is read anew after a wait.
SEEN_SECONDS_MAX = SILENCE_SECONDS_MAX + ANSWER_SECONDS_MAX + 2 * DELAY_SECONDS_MAX

logger = logging.getLogger(__name__)


class Trigger(msgspec.Struct, frozen=True):
    """Which keys of a controller may need a look when an object of `resource` changes.

    is_for_ends     only when it is gone, be another in its place or not
    is_for_changes  only when it is another than it was: neither new nor gone
    part            what of it matters: when that is as it was, nothing has changed
    """

    resource: Resource
    keys: Callable[[Object], Iterable[Key]]
    is_for_ends: bool = False
    is_for_changes: bool = False
    part: Callable[[Object], object] | None = None


def owned(resource: Resource, *, by: Resource) -> Trigger:
    """The trigger of objects that a controller of `by` makes: their owner needs a look."""

    def owner(obj: Object) -> list[Key]:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace", "") if by.is_namespaced else ""
        return [
            Key(namespace, reference.get("name", ""))
            for reference in metadata.get("ownerReferences") or ()
            if reference.get("controller")
            and reference.get("kind") == by.kind
            and reference.get("apiVersion", "").rpartition("/")[0] == by.group
        ]

    return Trigger(resource, owner)


def owner_reference(owner: Object) -> dict[str, object]:
    """What makes a new object one of `owner`'s: its controller, that waits for it to go."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


class Lister:
    """What the caches hold of the resources that a controller has named. It never waits."""

    def __init__(self, informers: Mapping[str, Informer[Object]]) -> None:
        self._informers = informers

    def get(self, resource: Resource, key: Key) -> Object | None:
        """One object, or None."""
        return self._of(resource).get(key)

    def record(self, kind: type[R], resource: Resource, key: Key) -> R | None:
        """One object as a struct (`api.types`), or None. It is decoded once for all."""
        return self._informer(resource).record(kind, key)

    def records(self, kind: type[R], resource: Resource, found: Iterable[Object]) -> list[R]:
        """As structs what `list`, `owned_by` or `by_index` found."""
        informer = self._informer(resource)
        records = (informer.record(kind, key_of(obj)) for obj in found)
        return [one for one in records if one is not None]

    def list(self, resource: Resource, namespace: str = "") -> Sequence[Object]:
        """The objects of a namespace, or all, by key."""
        return self._of(resource).list(namespace)

    def owned_by(self, resource: Resource, uid: str) -> Sequence[Object]:
        """The objects that name an owner of this uid, by key."""
        return self._of(resource).by_index(OWNER, uid)

    def by_index(self, resource: Resource, index: str, value: str) -> Sequence[Object]:
        """The objects that one of the controller's own indexes finds."""
        return self._of(resource).by_index(index, value)

    def _of(self, resource: Resource) -> Indexer[Object]:
        return self._informer(resource).indexer

    def _informer(self, resource: Resource) -> Informer[Object]:
        informer = self._informers.get(resource.key_prefix)
        assert informer is not None, f"the controller must name {resource.plural} in `reads`"
        return informer


def key_of(obj: Object) -> Key:
    """Under which an object is in the caches."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


Reconcile = Callable[[Key, Lister, ObjectStore], Awaitable[float | None]]


class Controller(msgspec.Struct, frozen=True):
    """What keeps objects of one resource as they should be.

    name      for logs
    resource  whose objects have the keys
    triggers  other resources whose changes may need a look
    reads     other resources that it reads
    indexes   name of an index -> (resource, function), for `Lister.by_index`
    workers   keys at once; one key is never with two workers
    part      what of its objects matters: a change of something else needs no look; None: all
    """

    name: str
    resource: Resource
    reconcile: Reconcile
    triggers: Sequence[Trigger] = ()
    reads: Sequence[Resource] = ()
    indexes: Mapping[str, tuple[Resource, IndexFunction[Object]]] = {}
    workers: int = 1
    part: Callable[[Object], object] | None = None


async def run(
    controllers: Sequence[Controller],
    store: ObjectStore,
    *,
    clock: Clock | None = None,
    random: Random | None = None,
) -> None:
    """Run controllers until cancelled; all share one cache a resource."""
    clock = clock or AsyncioClock()
    async with Informers(store, clock=clock, random=random) as informers:
        running = [_Running(controller, store, informers, clock) for controller in controllers]
        await informers.until_synced()
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in running:
                    for _ in range(one.controller.workers):
                        tasks.create_task(one.work(), name=f"controller {one.controller.name}")
        finally:
            for one in running:
                one.close()


class _Running:
    """A controller, its queue, and the caches that it reads."""

    def __init__(
        self, controller: Controller, store: ObjectStore, informers: Informers, clock: Clock
    ) -> None:
        self.controller = controller
        self._store = store
        self._clock = clock
        self._queue: WorkQueue[Key] = WorkQueue(clock)
        self._informers = {
            resource.key_prefix: informers.of(resource) for resource in _resources(controller)
        }
        self._lister = Lister(self._informers)
        for name, (resource, function) in controller.indexes.items():
            self._informers[resource.key_prefix].indexer.add_index(name, function)
        self._of(controller.resource).add_handler(self._on_own)
        for trigger in controller.triggers:
            self._trigger(trigger)

    async def work(self) -> None:
        """Be one worker. It lets others have the loop: a look that finds nothing to do waits for
        nothing, and there may be many thousands of keys.
        """
        rested_at = self._clock.now()
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
            finally:
                self._queue.done(key)
            if self._clock.now() > rested_at + SLICE_SECONDS:
                await self._clock.sleep(0)
                rested_at = self._clock.now()

    def close(self) -> None:
        """Nothing that is delayed will come any more."""
        self._queue.close()

    async def _reconcile(self, key: Key) -> None:
        written: dict[str, int] = {}

        def note(resource: Resource, at: int) -> None:
            # Of writes at once the answers come in any order: the last is not the latest.
            written[resource.key_prefix] = max(at, written.get(resource.key_prefix, 0))

        store = self._store.noting(note)
        try:
            async with asyncio.timeout(RECONCILE_SECONDS_MAX):
                again = await self.controller.reconcile(key, self._lister, store)
        except ApiError as error:
            # What the caches did not know yet, or a store that is away: the next look will tell.
            logger.info("%s %s: %s", self.controller.name, key, error)
            self._queue.add_failed(key)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Of something that it waited for: its worker would end, and nobody would know.
            logger.exception("%s %s: reconcile was cancelled", self.controller.name, key)
            self._queue.add_failed(key)
        except Exception:
            logger.exception("%s %s: reconcile failed", self.controller.name, key)
            self._queue.add_failed(key)
        else:
            self._queue.forget(key)
            if again is not None:
                self._queue.add_after(key, again)
        if written:
            await self._until_seen(written)

    async def _until_seen(self, written: Mapping[str, int]) -> None:
        """Keep the key until the caches hold what was written, so that nothing is done twice."""
        try:
            async with asyncio.timeout(SEEN_SECONDS_MAX):
                for prefix, revision in written.items():
                    if prefix in self._informers:
                        await self._informers[prefix].until(revision)
        except TimeoutError:
            logger.warning("%s: a cache is slow, go on without it", self.controller.name)

    def _on_own(self, key: Key, old: Object | None, new: Object | None) -> None:
        if not self._is_same(self.controller.part, key, old, new):
            self._queue.add(key)

    def _trigger(self, trigger: Trigger) -> None:
        def on_change(key: Key, old: Object | None, new: Object | None) -> None:
            if trigger.is_for_ends and new is not None:
                if old is None or not _is_replaced(old, new):
                    return
                new = None  # the old one has ended, though nobody saw it: a list told of both
            if trigger.is_for_changes and (old is None or new is None):
                return
            if self._is_same(trigger.part, key, old, new):
                return
            for obj in (old, new):
                if obj is not None:
                    for found in self._keys(trigger, key, obj):
                        self._queue.add(found)

        self._of(trigger.resource).add_handler(on_change)

    def _is_same(
        self,
        part: Callable[[Object], object] | None,
        key: Key,
        old: Object | None,
        new: Object | None,
    ) -> bool:
        """Whether nothing that matters has changed. What cannot be told is a change."""
        if part is None or old is None or new is None:
            return False
        try:
            return part(old) == part(new)
        except Exception:
            logger.exception("%s: trigger failed for %s", self.controller.name, key)
            return False

    def _keys(self, trigger: Trigger, key: Key, obj: Object) -> Iterable[Key]:
        """Of an object that a trigger cannot read: none. It must not end all controllers."""
        try:
            return list(trigger.keys(obj))
        except Exception:
            logger.exception("%s: trigger failed for %s", self.controller.name, key)
            return ()

    def _of(self, resource: Resource) -> Informer[Object]:
        return self._informers[resource.key_prefix]


def _is_replaced(old: Object, new: Object) -> bool:
    """Whether it is another object of the same name."""
    return bool(old["metadata"].get("uid") != new["metadata"].get("uid"))


def _resources(controller: Controller) -> list[Resource]:
    others = [trigger.resource for trigger in controller.triggers]
    indexed = [resource for resource, _ in controller.indexes.values()]
    return [controller.resource, *others, *controller.reads, *indexed]
