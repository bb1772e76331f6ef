"""A watch that the store ends in the middle: what was told once is not told again."""

import asyncio
from collections.abc import Collection, Sequence

from controlplane.api import stored
from controlplane.api.errors import internal
from controlplane.api.resource import Object, Resource
from controlplane.indexer import Key
from controlplane.objects import Change, ObjectStore, ObjectWatch
from controlplane.reflector import Reflector
from controlplane.testing import World, run
from tests.controlplane.kinds import WIDGETS, widget, with_size

ENDED_AFTER = 3  # changes


class _EndedWatch(ObjectWatch):
    """Which fails once it has delivered some changes, as where a proxy refuses the stream."""

    delivered = 0

    async def __anext__(self) -> list[Change]:
        if self.delivered >= ENDED_AFTER:
            raise internal("the store refused: PERMISSION_DENIED")
        changes = await super().__anext__()
        self.delivered += len(changes)
        return changes


class _RefusingStore(ObjectStore):
    """Whose first watch is such a one."""

    watches = 0

    def watch(self, resource: Resource, namespace: str = "", revision: int = 0) -> ObjectWatch:
        self.watches += 1
        if self.watches > 1:
            return super().watch(resource, namespace, revision)
        prefix = stored.prefix_of(resource, namespace)
        return _EndedWatch(self.client, resource, prefix, revision, self._codec)


class _Sink:
    """Who is told."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.lists = 0

    def replace(
        self, objects: dict[Key, bytes], revision: int, unreadable: Collection[Key]
    ) -> None:
        self.lists += 1

    def apply(self, changes: Sequence[tuple[Key, Change]], revision: int) -> None:
        self.revisions += [change.revision for _, change in changes]


def test_nothing_is_told_twice_however_a_watch_ends() -> None:
    """2.4: who has seen a change must not see what was before it."""

    async def application(world: World) -> None:
        async with world.connect() as user:
            store, sink = _RefusingStore(user.client, clock=world.now), _Sink()
            reflector = Reflector(store, WIDGETS, sink, clock=world.clock, random=world.random)
            task = asyncio.create_task(reflector.run())

            async def is_told() -> bool:
                return len(sink.revisions) >= ENDED_AFTER + 3

            async def is_watching() -> bool:
                return store.watches > 0

            await world.until(is_watching)
            await user.create(WIDGETS, widget("n"))
            for size in range(11, 11 + ENDED_AFTER + 2):

                def change(old: Object, size: int = size) -> Object:
                    return with_size(old, size)

                await user.update(WIDGETS, "n", "a", change)
            await world.until(is_told)
            task.cancel()
            await asyncio.wait([task])
            assert (sink.lists, store.watches) == (1, 2)
            assert sink.revisions == sorted(set(sink.revisions))

    run(application)
