"""The controller runner behind watches that are late, and tell less: in the simulation."""

import asyncio
from collections.abc import Callable
from typing import Self

from controlplane.api import stored
from controlplane.api.resource import Object, Resource
from controlplane.api.stored import Identity
from controlplane.codec import Codec
from controlplane.controller import Controller, Lister, Trigger, run
from controlplane.indexer import Key
from controlplane.objects import Change, DeleteOptions, ObjectStore, ObjectWatch
from controlplane.testing import World
from controlplane.testing import run as simulate
from tests.controlplane.kinds import PODS, WIDGETS, widget


class _LateWatch(ObjectWatch):
    """Events that arrive a second after the answers to the writes that caused them."""

    async def __anext__(self) -> list[Change]:
        changes = await super().__anext__()
        await asyncio.sleep(1)
        return changes


class _LateStore(ObjectStore):
    def watch(self, resource: Resource, namespace: str = "", revision: int = 0) -> ObjectWatch:
        prefix = stored.prefix_of(resource, namespace)
        return _LateWatch(self.client, resource, prefix, revision, Codec(Identity()))


def test_reconcile_sees_its_own_writes() -> None:
    """No expectations are needed: what was made is in the cache when its key is looked at again."""

    async def application(world: World) -> None:
        made: list[Object] = []
        seen: list[tuple[int, int]] = []

        async def grow(key: Key, lister: Lister, store: ObjectStore) -> float | None:
            pods = lister.list(PODS, key.namespace)
            seen.append((len(pods), len(made)))
            if len(pods) >= 5:
                return None
            generated = {"generateName": "p-", "namespace": key.namespace}
            made.append(await store.create(PODS, {"metadata": generated, "spec": {}}))
            return 0.0

        controller = Controller("grow", WIDGETS, grow, reads=[PODS])
        async with world.connect() as user, world.connect() as process:
            await user.create(WIDGETS, widget("n"))
            late = _LateStore(process.client, clock=world.now, dice=world.random)
            task = asyncio.create_task(run([controller], late, clock=world.clock))
            await world.clock.sleep(60)
            assert len((await user.list(PODS, "n")).raw) == len(made) == 5
            assert {(cached, written) for cached, written in seen if cached != written} == set()
            task.cancel()

    simulate(application)


class _SwappedStore(_LateStore):
    """It answers of two writes at once in the other order."""

    def noting(self, on_write: Callable[[Resource, int], None]) -> Self:
        answers: list[tuple[Resource, int]] = []

        def note(resource: Resource, at: int) -> None:
            answers.append((resource, at))
            if len(answers) == 2:
                for answer in reversed(answers):
                    on_write(*answer)

        return super().noting(note)


def test_reconcile_sees_all_that_it_wrote_at_once() -> None:
    """Also what was answered before what was written earlier."""

    async def application(world: World) -> None:
        seen: list[int] = []

        async def grow(key: Key, lister: Lister, store: ObjectStore) -> float | None:
            seen.append(len(lister.list(PODS, key.namespace)))
            if seen[-1]:
                return None
            await store.create(PODS, {"metadata": {"name": "a", "namespace": "n"}, "spec": {}})
            await world.clock.sleep(0.5)
            await store.create(PODS, {"metadata": {"name": "b", "namespace": "n"}, "spec": {}})
            return 0.0

        controller = Controller("grow", WIDGETS, grow, reads=[PODS])
        async with world.connect() as user, world.connect() as process:
            await user.create(WIDGETS, widget("n"))
            swapped = _SwappedStore(process.client, clock=world.now, dice=world.random)
            task = asyncio.create_task(run([controller], swapped, clock=world.clock))
            await world.clock.sleep(60)
            assert seen == [0, 2]
            task.cancel()

    simulate(application)


class _SeldomWatch(ObjectWatch):
    """It tells what is there, as lists do, and of no end: what is made anew is just changed."""

    async def __anext__(self) -> list[Change]:
        return [one for one in await super().__anext__() if one.type == "PUT"]


class _SeldomStore(ObjectStore):
    def watch(self, resource: Resource, namespace: str = "", revision: int = 0) -> ObjectWatch:
        prefix = stored.prefix_of(resource, namespace)
        return _SeldomWatch(self.client, resource, prefix, revision, Codec(Identity()))


def test_end_of_what_another_has_replaced_is_one() -> None:
    """As after a list that is older than both: whoever waits for the old one hears of it."""

    async def application(world: World) -> None:
        seen: list[Key] = []

        async def work(key: Key, lister: Lister, store: ObjectStore) -> None:
            seen.append(key)

        trigger = Trigger(PODS, lambda pod: [Key("x", pod["spec"]["wanted"])], is_for_ends=True)
        controller = Controller("ends", WIDGETS, work, triggers=[trigger])

        def pod(wanted: str) -> Object:
            return {"metadata": {"name": "p", "namespace": "n"}, "spec": {"wanted": wanted}}

        async with world.connect() as user, world.connect() as process:
            seldom = _SeldomStore(process.client, clock=world.now, dice=world.random)
            await user.create(PODS, pod("old"))
            task = asyncio.create_task(run([controller], seldom, clock=world.clock))
            await world.clock.sleep(5)
            await user.update(PODS, "n", "p", lambda old: {**old, "status": {"phase": "Running"}})
            await world.clock.sleep(5)
            assert seen == []
            await user.delete(PODS, "n", "p", options=DeleteOptions(grace_period_seconds=0))
            await user.create(PODS, pod("new"))
            await world.clock.sleep(5)
            assert seen == [Key("x", "old")]
            task.cancel()

    simulate(application)
