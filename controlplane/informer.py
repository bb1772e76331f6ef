"""A cache of one resource that is kept current, and calls whoever wants to hear of changes.

    informers = Informers(store)
    pods = informers.of(PODS)
    pods.add_handler(lambda key, old, new: queue.add(key))
    async with informers:
        await pods.until_synced()
        pods.indexer.get(Key("default", "a"))

One informer a resource and process: all controllers share it. What it holds may be old, and never
is a mixture: it is what the store held at `revision`, once it is synced.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from controlplane.api import record, stored
from controlplane.api.record import R
from controlplane.api.resource import Object, Resource
from controlplane.indexer import Indexer, IndexFunction, Key
from controlplane.objects import Change, ObjectStore
from controlplane.reflector import Reflector
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock, Random

logger = logging.getLogger(__name__)

T = TypeVar("T")

Handler = Callable[[Key, T | None, T | None], None]
"""Called with an object before and after a change; None: it was not there, or is gone."""


class Informer(Generic[T]):
    """The objects of one resource. `decode` makes of stored bytes what the indexer holds."""

    def __init__(
        self, decode: Callable[[bytes], T], indexes: Mapping[str, IndexFunction[T]] | None = None
    ) -> None:
        self.indexer: Indexer[T] = Indexer(indexes, _index_failed)
        self.revision = 0
        """What it holds is the store's state at this revision; 0: nothing yet."""
        self._decode = decode
        self._handlers: list[Handler[T]] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._records: dict[Key, Any] = {}

    def record(self, kind: type[R], key: Key) -> R | None:
        """An object as a struct, or None; made once for all who ask. One resource, one `kind`.

        Raises msgspec.ValidationError for one that a stranger wrote past validation.
        """
        found = self._records.get(key)
        if found is None:
            obj = self.indexer.get(key)
            if obj is None:
                return None
            assert isinstance(obj, Mapping)
            found = self._records[key] = record.from_object(kind, obj)
        assert isinstance(found, kind)
        return found

    @property
    def is_synced(self) -> bool:
        """Whether it has been told of all objects once."""
        return self.revision > 0

    def add_handler(self, handler: Handler[T]) -> None:
        """Call `handler` for every object that there is, and from now on for every change."""
        self._handlers.append(handler)
        for key in self.indexer.sorted_keys():
            self._tell(handler, key, None, self.indexer.get(key))

    def remove_handler(self, handler: Handler[T]) -> None:
        """Call `handler` no more."""
        # A new list: the old one may be gone through right now.
        self._handlers = [one for one in self._handlers if one != handler]

    async def until_synced(self) -> None:
        """Wait until it holds everything."""
        await self.until(1)

    async def until(self, revision: int) -> None:
        """Wait until it holds the store's state at `revision` or later.

        revision  that of a write to one of its objects: of others it may hear minutes later
        """
        if self.revision < revision:
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((revision, reached))
            await reached

    # -------------------------------------------------------- what a reflector calls

    def replace(
        self, objects: dict[Key, bytes], revision: int, unreadable: Collection[Key] = ()
    ) -> None:
        """See `Sink.replace`: tells the handlers the difference only.

        unreadable  what is there, too, though not as what: it stays as it was known
        """
        for key in self.indexer.sorted_keys():
            if key not in objects and key not in unreadable:
                self._set(key, None)
        for key, raw in objects.items():
            self._set(key, self._decode(raw))
        self._reached(revision)

    def apply(self, changes: Sequence[tuple[Key, Change]], revision: int) -> None:
        """See `Sink.apply`."""
        for key, change in changes:
            self._set(key, self._decode(change.raw) if change.type == "PUT" else None)
        self._reached(revision)

    def _set(self, key: Key, new: T | None) -> None:
        indexer = self.indexer
        old = indexer.get(key)
        if new == old:  # as after a list that told nothing new
            return
        self._records.pop(key, None)
        if new is None:
            indexer.remove(key)
        else:
            indexer.put(key, new)
        for handler in self._handlers:
            self._tell(handler, key, old, new)

    def _tell(self, handler: Handler[T], key: Key, old: T | None, new: T | None) -> None:
        """One handler that fails must keep nothing from the others."""
        try:
            handler(key, old, new)
        except Exception:
            logger.exception("a handler failed for %s", key)

    def _reached(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        waiting, self._waiting = self._waiting, []
        for wanted, reached in waiting:
            if reached.done():
                continue
            if wanted <= self.revision:
                reached.set_result(None)
            else:
                self._waiting.append((wanted, reached))


class InformerEndedError(Exception):
    """An informer has ended, and what it holds grows old: whoever relies on it must end, too."""


class Informers:
    """The informers of a process, one a resource. An async context manager that runs them.

    It is left with InformerEndedError, in a group, when one of them ends.
    """

    def __init__(
        self, store: ObjectStore, *, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        self._store = store
        self._clock = clock or AsyncioClock()
        self._random = random
        self._informers: dict[tuple[str, str, str], Informer[Object]] = {}
        self._reflectors: list[Reflector] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._owner: asyncio.Task[None] | None = None
        self._is_closing = False
        self._running: list[asyncio.Task[None]] = []

    def of(self, resource: Resource) -> Informer[Object]:
        """The informer of a resource; the first who asks has it made, and run."""
        name = (resource.group, resource.version, resource.plural)
        found = self._informers.get(name)
        if found is None:
            found = self._informers[name] = Informer(
                lambda raw: stored.loads(resource, raw), {OWNER: owner_uids}
            )
            reflector = Reflector(
                self._store, resource, found, clock=self._clock, random=self._random
            )
            self._reflectors.append(reflector)
            self._start(reflector)
        return found

    async def until_synced(self) -> None:
        """Wait until all hold everything."""
        for informer in list(self._informers.values()):
            await informer.until_synced()

    def _start(self, reflector: Reflector) -> None:
        if self._tasks is not None:
            work = self._run(reflector)
            self._running.append(
                self._tasks.create_task(work, name=f"informer of {reflector.name}")
            )

    async def _run(self, reflector: Reflector) -> None:
        """However it ends: a task that ends silently would take nobody with it."""
        try:
            await reflector.run()
        finally:
            is_left = self._owner is not None and self._owner.cancelling()
            if not self._is_closing and not is_left:
                self._is_closing = True  # the others end with it
                raise InformerEndedError(f"the informer of {reflector.name} has ended")

    async def __aenter__(self) -> Self:
        self._owner = asyncio.current_task()
        self._tasks = await asyncio.TaskGroup().__aenter__()
        for reflector in self._reflectors:
            self._start(reflector)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        tasks, self._tasks = self._tasks, None
        self._is_closing = True
        for task in self._running:
            task.cancel()
        self._running.clear()
        await tasks.__aexit__(kind, error, trace)


def _index_failed(index: str, key: Key, error: Exception) -> None:
    logger.error("index %s fails for %s, and will not find it", index, key, exc_info=error)


OWNER = "owner"
"""The index of every informer: by the uid of an owner."""


def owner_uids(obj: Object) -> list[str]:
    """The uids of all owners of an object."""
    return [owner.get("uid", "") for owner in obj["metadata"].get("ownerReferences") or ()]
