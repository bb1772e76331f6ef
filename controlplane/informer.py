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
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from controlplane.api import stored
from controlplane.api.resource import Object, Resource
from controlplane.indexer import Indexer, IndexFunction, Key
from controlplane.objects import Change, ObjectStore
from controlplane.reflector import Reflector
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock, Random

T = TypeVar("T")

Handler = Callable[[Key, T | None, T | None], None]
"""Called with an object before and after a change; None: it was not there, or is gone."""


class Informer(Generic[T]):
    """The objects of one resource. `decode` makes of stored bytes what the indexer holds."""

    def __init__(
        self, decode: Callable[[bytes], T], indexes: Mapping[str, IndexFunction[T]] | None = None
    ) -> None:
        self.indexer: Indexer[T] = Indexer(indexes)
        self.revision = 0
        """What it holds is the store's state at this revision; 0: nothing yet."""
        self._decode = decode
        self._handlers: list[Handler[T]] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def is_synced(self) -> bool:
        """Whether it has been told of all objects once."""
        return self.revision > 0

    def add_handler(self, handler: Handler[T]) -> None:
        """Call `handler` for every object that there is, and from now on for every change."""
        self._handlers.append(handler)
        for key in self.indexer.sorted_keys():
            handler(key, None, self.indexer.get(key))

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

    def replace(self, objects: dict[Key, bytes], revision: int) -> None:
        """See `Sink.replace`: tells the handlers the difference only."""
        for key in self.indexer.sorted_keys():
            if key not in objects:
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
        if new is None:
            indexer.remove(key)
        else:
            indexer.put(key, new)
        for handler in self._handlers:
            handler(key, old, new)

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


class Informers:
    """The informers of a process, one a resource. An async context manager that runs them."""

    def __init__(
        self, store: ObjectStore, *, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        self._store = store
        self._clock = clock or AsyncioClock()
        self._random = random
        self._informers: dict[tuple[str, str, str], Informer[Object]] = {}
        self._reflectors: list[Reflector] = []
        self._tasks: asyncio.TaskGroup | None = None
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
            self._running.append(self._tasks.create_task(reflector.run()))

    async def __aenter__(self) -> Self:
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
        for task in self._running:
            task.cancel()
        self._running.clear()
        await tasks.__aexit__(kind, error, trace)


OWNER = "owner"
"""The index of every informer: by the uid of an owner."""


def owner_uids(obj: Object) -> list[str]:
    """The uids of all owners of an object."""
    return [owner.get("uid", "") for owner in obj["metadata"].get("ownerReferences") or ()]
