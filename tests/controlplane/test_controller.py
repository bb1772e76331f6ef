"""The controller runner on real stores, and in the simulation."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controlplane.api.errors import conflict
from controlplane.api.resource import Object
from controlplane.controller import (
    Controller,
    Lister,
    Trigger,
    owned,
    owner_reference,
    run,
)
from controlplane.indexer import Key
from controlplane.objects import ObjectStore
from controlplane.testing import World
from controlplane.testing import run as simulate
from tests.controlplane.kinds import PODS, WIDGETS, widget, with_metadata, with_size

WAIT_SECONDS_MAX = 30.0


@asynccontextmanager
async def _running(store: ObjectStore, *controllers: Controller) -> AsyncIterator[None]:
    task = asyncio.create_task(run(controllers, store))
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


class _Calls:
    """A reconcile that tells which keys it was called with."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._queue: asyncio.Queue[tuple[str, Object | None]] = asyncio.Queue()

    async def reconcile(self, key: Key, lister: Lister, store: ObjectStore) -> None:
        if key.namespace == self._namespace:
            self._queue.put_nowait((key.name, lister.get(WIDGETS, key)))

    async def next(self) -> tuple[str, Object | None]:
        return await self._queue.get()


async def test_changes_of_what_does_not_matter_trigger_nothing(
    store: ObjectStore, namespace: str
) -> None:
    """Unless it cannot be told whether they matter."""
    calls = _Calls(namespace)

    def size(pod: Object) -> object:
        if pod["spec"]["size"] == 0:
            raise ValueError("a stranger wrote it")
        return pod["spec"]["size"]

    def key(pod: Object) -> list[Key]:
        return [Key(namespace, f"{pod['metadata']['name']}-{pod['spec']['size']}")]

    await store.create(PODS, widget(namespace))
    watching = Controller("w", WIDGETS, calls.reconcile, triggers=[Trigger(PODS, key, part=size)])
    async with _running(store, watching):
        assert await calls.next() == ("a-1", None)
        await store.update(PODS, namespace, "a", lambda old: with_metadata(old, labels={"x": "y"}))
        await store.update(PODS, namespace, "a", lambda old: with_size(old, 2))
        assert [await calls.next(), await calls.next()] == [("a-1", None), ("a-2", None)]
        await store.update(PODS, namespace, "a", lambda old: with_size(old, 0))
        assert [await calls.next(), await calls.next()] == [("a-2", None), ("a-0", None)]


async def test_reconcile_is_called_for_what_is_there_and_for_every_change(
    store: ObjectStore, namespace: str
) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    calls = _Calls(namespace)
    async with _running(store, Controller("test", WIDGETS, calls.reconcile)):
        assert await calls.next() == ("a", made)
        changed = await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
        assert await calls.next() == ("a", changed)
        await store.delete(WIDGETS, namespace, "a")
        assert await calls.next() == ("a", None)


async def test_only_what_matters_of_an_object_calls_for_a_look(
    store: ObjectStore, namespace: str
) -> None:
    calls = _Calls(namespace)

    def size(obj: Object) -> object:
        return obj["spec"]["size"]

    await store.create(WIDGETS, widget(namespace))
    async with _running(store, Controller("w", WIDGETS, calls.reconcile, part=size)):
        await calls.next()
        await store.update(
            WIDGETS, namespace, "a", lambda old: with_metadata(old, labels={"x": "y"})
        )
        changed = await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
        assert await calls.next() == ("a", changed)
        await store.delete(WIDGETS, namespace, "a")
        assert await calls.next() == ("a", None)


async def test_owner_is_looked_at_when_what_it_owns_changes(
    store: ObjectStore, namespace: str
) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    calls = _Calls(namespace)
    controller = Controller("test", WIDGETS, calls.reconcile, triggers=[owned(PODS, by=WIDGETS)])
    async with _running(store, controller):
        await calls.next()
        metadata = {"name": "p", "namespace": namespace, "ownerReferences": [owner_reference(made)]}
        await store.create(PODS, {"metadata": metadata, "spec": {}})
        assert await calls.next() == ("a", made)
        await store.update(
            PODS, namespace, "p", lambda old: with_metadata(old, ownerReferences=None)
        )
        assert await calls.next() == ("a", made), "whom it was taken from needs a look as well"


def test_who_only_refers_is_no_owner() -> None:
    trigger = owned(PODS, by=WIDGETS)
    reference = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "a", "uid": "u"}

    def keys(**changes: object) -> list[Key]:
        metadata = {"namespace": "n", "ownerReferences": [{**reference, **changes}]}
        return list(trigger.keys({"metadata": metadata}))

    assert keys(controller=True) == [Key("n", "a")]
    assert keys(controller=True, apiVersion="example.com/v2") == [Key("n", "a")]
    assert keys() == keys(controller=True, kind="Gadget") == []
    assert keys(controller=True, apiVersion="other.com/v1") == []


async def test_own_indexes_are_kept(store: ObjectStore, namespace: str) -> None:
    found: asyncio.Queue[list[Object]] = asyncio.Queue()

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        found.put_nowait(list(lister.by_index(PODS, "node", namespace)))

    controller = Controller(
        "test",
        WIDGETS,
        reconcile,
        indexes={"node": (PODS, lambda pod: [pod["spec"].get("nodeName", "")])},
    )
    pod = await store.create(
        PODS, {"metadata": {"name": "p", "namespace": namespace}, "spec": {"nodeName": namespace}}
    )
    await store.create(WIDGETS, widget(namespace))
    async with _running(store, controller):
        assert await found.get() == [pod]


async def test_many_keys_that_need_nothing_leave_the_loop_to_others(
    store: ObjectStore, namespace: str
) -> None:
    """Their looks wait for nothing, and whoever leads must renew its lease meanwhile."""
    keys = [Key("", str(number)) for number in range(20_000)]
    looks = 0
    seen_by_others: set[int] = set()

    async def look(key: Key, lister: Lister, store: ObjectStore) -> None:
        nonlocal looks
        looks += key.namespace == ""

    def all_keys(pod: Object) -> list[Key]:
        return keys if pod["metadata"]["namespace"] == namespace else []

    controller = Controller("test", WIDGETS, look, triggers=[Trigger(PODS, all_keys)])
    async with _running(store, controller):
        await store.create(PODS, {"metadata": {"name": "p", "namespace": namespace}, "spec": {}})
        while looks < len(keys):
            seen_by_others.add(looks)
            await asyncio.sleep(0)
    assert len(seen_by_others) > 5


# --------------------------------------------------------------------- in virtual time


def test_failures_come_back_and_one_controller_s_do_not_stop_another() -> None:
    async def application(world: World) -> None:
        times: list[float] = []
        healthy: list[Key] = []

        async def fail(key: Key, lister: Lister, store: ObjectStore) -> None:
            times.append(world.clock.now())
            if len(times) < 5:
                raise ZeroDivisionError
            if len(times) == 5:
                raise conflict("widgets", "example.com", key.name)

        async def work(key: Key, lister: Lister, store: ObjectStore) -> None:
            healthy.append(key)

        async with (
            world.connect() as user,
            world.running(Controller("bad", WIDGETS, fail), Controller("good", WIDGETS, work)),
        ):
            await user.create(WIDGETS, widget("n"))
            await world.clock.sleep(60)
            assert len(times) == 6, "it ends with the first success"
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            for gap, expected in zip(gaps, [0.005, 0.01, 0.02, 0.04, 0.08], strict=True):
                assert abs(gap - expected) < 1e-6
            assert healthy == [Key("n", "a")]

    simulate(application)


def test_reconcile_that_is_cancelled_from_within_does_not_end_its_worker() -> None:
    """As by a call that it waited for: the only worker would be gone, and nobody would know."""

    async def application(world: World) -> None:
        times: list[float] = []

        async def await_cancelled(key: Key, lister: Lister, store: ObjectStore) -> None:
            times.append(world.clock.now())
            if len(times) < 3:
                await _cancelled()

        async with (
            world.connect() as user,
            world.running(Controller("test", WIDGETS, await_cancelled)),
        ):
            await user.create(WIDGETS, widget("n"))
            await world.clock.sleep(60)
        assert len(times) == 3

    simulate(application)


async def _cancelled() -> None:
    asking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asking.cancel()
    await asking


def test_reconcile_may_ask_to_be_called_again() -> None:
    async def application(world: World) -> None:
        times: list[float] = []

        async def tick(key: Key, lister: Lister, store: ObjectStore) -> float | None:
            times.append(world.clock.now())
            return 10.0 if len(times) < 3 else None

        async with (
            world.connect() as user,
            world.running(Controller("clock", WIDGETS, tick)),
        ):
            await user.create(WIDGETS, widget("n"))
            await world.clock.sleep(100)
        assert [round(time - times[0], 6) for time in times] == [0, 10, 20]

    simulate(application)


def test_stuck_reconcile_is_given_up() -> None:
    async def application(world: World) -> None:
        times: list[float] = []

        async def stick(key: Key, lister: Lister, store: ObjectStore) -> None:
            times.append(world.clock.now())
            if len(times) == 1:
                await asyncio.Event().wait()

        async with (
            world.connect() as user,
            world.running(Controller("stuck", WIDGETS, stick)),
        ):
            await user.create(WIDGETS, widget("n"))
            await world.clock.sleep(400)
        assert len(times) == 2
        assert abs(times[1] - times[0] - 300) < 1

    simulate(application)


def test_workers_never_share_a_key() -> None:
    async def application(world: World) -> None:
        busy: set[Key] = set()
        most = 0
        shared: list[Key] = []

        async def work(key: Key, lister: Lister, store: ObjectStore) -> None:
            nonlocal most
            if key in busy:
                shared.append(key)
            busy.add(key)
            most = max(most, len(busy))
            await world.clock.sleep(1)
            busy.discard(key)

        async def touch(key: Key) -> None:
            await user.update(
                WIDGETS, "n", key.name, lambda old: with_size(old, old["spec"]["size"] + 1)
            )

        keys = [Key("n", name) for name in "abcde"]
        async with (
            world.connect() as user,
            world.running(Controller("many", WIDGETS, work, workers=3)),
        ):
            for key in keys:
                await user.create(WIDGETS, widget("n", key.name))
            for _ in range(3):
                for key in keys:
                    await touch(key)
            await world.clock.sleep(30)
        assert most == 3
        assert shared == []

    simulate(application)


def test_trigger_may_name_any_keys() -> None:
    async def application(world: World) -> None:
        seen: list[Key] = []

        async def work(key: Key, lister: Lister, store: ObjectStore) -> None:
            seen.append(key)

        trigger = Trigger(PODS, lambda pod: [Key("x", "one"), Key("x", "two")])
        async with (
            world.connect() as user,
            world.running(Controller("all", WIDGETS, work, triggers=[trigger])),
        ):
            await user.create(PODS, {"metadata": {"name": "p", "namespace": "n"}, "spec": {}})
            await world.clock.sleep(5)
        assert sorted(seen) == [Key("x", "one"), Key("x", "two")]

    simulate(application)


def test_trigger_that_cannot_read_an_object_ends_nothing() -> None:
    async def application(world: World) -> None:
        seen: list[Key] = []

        async def work(key: Key, lister: Lister, store: ObjectStore) -> None:
            seen.append(key)

        trigger = Trigger(PODS, lambda pod: [Key("x", pod["spec"]["wanted"])])
        async with (
            world.connect() as user,
            world.running(Controller("all", WIDGETS, work, triggers=[trigger])),
        ):
            await user.create(PODS, {"metadata": {"name": "p", "namespace": "n"}, "spec": {}})
            good = {"metadata": {"name": "q", "namespace": "n"}, "spec": {"wanted": "w"}}
            await user.create(PODS, good)
            await world.clock.sleep(5)
        assert seen == [Key("x", "w")]

    simulate(application)


def test_controllers_outlive_a_store_that_is_away() -> None:
    async def application(world: World) -> None:
        async def count(key: Key, lister: Lister, store: ObjectStore) -> None:
            def tell(now: Object) -> Object:
                return {**now, "status": {"size": now["spec"]["size"]}}

            if lister.get(WIDGETS, key) is not None:
                await store.update(WIDGETS, *key, tell)

        async def is_told() -> bool:
            found = await user.get(WIDGETS, "n", "a")
            return bool(found.get("status") == {"size": 2})

        async with (
            world.connect() as user,
            world.running(Controller("count", WIDGETS, count)) as controlling,
        ):
            await user.create(WIDGETS, widget("n"))
            await world.clock.sleep(5)
            with world.cut_off(controlling):
                await user.update(WIDGETS, "n", "a", lambda old: with_size(old, 2))
                await world.clock.sleep(300)
                assert not await is_told()
            await world.until(is_told)

    simulate(application)
