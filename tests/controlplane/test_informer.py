"""Reflector and informer: the cache is what the store holds. Numbers are kube-behaviour.md's."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane import reflector as reflector_module
from controlplane.api.errors import ApiError, UnreadableError
from controlplane.api.resource import Object
from controlplane.indexer import Key
from controlplane.informer import OWNER, Informer, InformerEndedError, Informers
from controlplane.objects import Change, ObjectStore
from controlplane.reflector import Reflector
from controlplane.testing import Cut, World, cuts, run
from kvstore.errors import CompactedError, UnavailableError
from kvstore.testing import properties as kv
from tests.controlplane.kinds import PODS, WIDGETS, widget, with_metadata, with_size

WAIT_SECONDS_MAX = 30.0

Told = tuple[str, int | None, int | None]


def _size(obj: Object | None) -> int | None:
    return None if obj is None else obj["spec"]["size"]


@asynccontextmanager
async def _informer(store: ObjectStore) -> AsyncIterator[tuple[Informer[Object], list[Told]]]:
    """An informer, and what its handler was told."""
    told: list[Told] = []
    async with Informers(store) as informers:
        informer = informers.of(WIDGETS)
        assert informers.of(WIDGETS) is informer, "one a resource"
        informer.add_handler(lambda key, old, new: told.append((key.name, _size(old), _size(new))))
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await informers.until_synced()
        yield informer, told


async def _until(informer: Informer[Object], obj: Object) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await informer.until(int(obj["metadata"]["resourceVersion"]))


async def test_cache_follows_the_store_and_tells_each_change(
    store: ObjectStore, namespace: str
) -> None:
    await store.create(WIDGETS, widget(namespace, "before"))
    async with _informer(store) as (informer, told):
        told[:] = [one for one in told if informer.indexer.get(Key(namespace, one[0]))]
        assert told == [("before", None, 1)]
        made = await store.create(WIDGETS, widget(namespace, "a"))
        await store.update(WIDGETS, namespace, "a", lambda old: with_size(old, 2))
        await store.delete(WIDGETS, namespace, "before")
        last = await store.create(WIDGETS, widget(namespace, "z", size=9))
        await _until(informer, last)
        assert told[1:] == [
            ("a", None, 1),
            ("a", 1, 2),
            ("before", 1, None),
            ("z", None, 9),
        ]
        assert informer.indexer.get(Key(namespace, "a")) == await store.get(WIDGETS, namespace, "a")
        assert informer.indexer.get(Key(namespace, "before")) is None
        assert made["metadata"]["name"] == "a"


async def test_objects_are_found_by_their_owner(store: ObjectStore, namespace: str) -> None:
    reference = {"apiVersion": "v1", "kind": "X", "name": "x", "uid": f"u-{namespace}"}
    owned = await store.create(WIDGETS, widget(namespace, ownerReferences=[reference]))
    await store.create(WIDGETS, widget(namespace, "b"))
    async with _informer(store) as (informer, _):
        assert informer.indexer.by_index(OWNER, f"u-{namespace}") == [owned]
        disowned = await store.update(
            WIDGETS, namespace, "a", lambda old: with_metadata(old, ownerReferences=None)
        )
        await _until(informer, disowned)
        assert informer.indexer.by_index(OWNER, f"u-{namespace}") == []


async def test_late_handler_hears_of_all_that_is_there(store: ObjectStore, namespace: str) -> None:
    made = await store.create(WIDGETS, widget(namespace))
    async with _informer(store) as (informer, _):
        told: list[Object | None] = []
        informer.add_handler(lambda key, old, new: told.append(new))
        assert made in told


async def test_informer_that_ends_ends_whoever_relies_on_it(store: ObjectStore) -> None:
    """However it ends: what it holds would grow old, and nobody would know."""

    async def work() -> None:
        async with Informers(store) as informers:
            informers.of(WIDGETS)
            informers.of(PODS)
            await informers.until_synced()
            name = "informer of widgets"
            (task,) = (one for one in asyncio.all_tasks() if one.get_name() == name)
            task.cancel()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(work(), WAIT_SECONDS_MAX)
    (error,) = caught.value.exceptions
    assert isinstance(error, InformerEndedError)
    assert str(error) == "the informer of widgets has ended"


async def test_informers_whose_owner_is_cancelled_end_quietly(store: ObjectStore) -> None:
    """As at the end of a loop, which cancels all tasks at once."""

    async def work() -> None:
        async with Informers(store) as informers:
            informers.of(WIDGETS)
            await informers.until_synced()
            synced.set()
            await asyncio.Event().wait()

    synced = asyncio.Event()
    owner = asyncio.create_task(work())
    await asyncio.wait_for(synced.wait(), WAIT_SECONDS_MAX)
    mine = [owner, *(one for one in asyncio.all_tasks() if "informer of" in one.get_name())]
    for task in mine:
        task.cancel()
    await asyncio.wait(mine)
    assert [task.cancelled() for task in mine] == [True, True]


async def test_who_waits_for_a_revision_waits_until_it_is_there() -> None:
    informer: Informer[int] = Informer(int)
    synced = asyncio.ensure_future(informer.until_synced())
    later = asyncio.ensure_future(informer.until(12))
    await asyncio.sleep(0)
    assert not informer.is_synced
    informer.replace({}, 10)
    await synced
    informer.apply([], 11)
    await asyncio.sleep(0)
    assert not later.done()
    informer.apply([], 12)
    await later
    await informer.until(11)
    assert informer.revision == 12


class _Sink:
    """What a reflector has told."""

    def __init__(self) -> None:
        self.objects: dict[Key, bytes] = {}
        self.revision = 0
        self.told = asyncio.Event()

    def replace(
        self, objects: dict[Key, bytes], revision: int, unreadable: Collection[Key]
    ) -> None:
        kept = {key: self.objects[key] for key in unreadable if key in self.objects}
        self.objects = {**kept, **objects}
        self.revision = revision
        self.told.set()

    def apply(self, changes: Sequence[tuple[Key, Change]], revision: int) -> None:
        assert revision >= self.revision
        for key, change in changes:
            assert change.revision > self.revision
            if change.type == "PUT":
                self.objects[key] = change.raw
            else:
                self.objects.pop(key, None)  # it may never have been readable
        self.revision = revision


async def test_list_comes_in_pages(
    store: ObjectStore, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector_module, "PAGE_OBJECTS", 2)
    for number in range(5):
        await store.create(WIDGETS, widget(namespace, f"w{number}"))
    sink = _Sink()
    task = asyncio.create_task(Reflector(store, WIDGETS, sink, namespace=namespace).run())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await sink.told.wait()
    task.cancel()
    assert len(sink.objects) == 5


# --------------------------------------------------------------------- in the simulation


@asynccontextmanager
async def _reflecting(world: World, sink: _Sink) -> AsyncIterator[tuple[Reflector, ObjectStore]]:
    async with world.connect() as store:
        reflector = Reflector(store, WIDGETS, sink, clock=world.clock, random=world.random)
        task = asyncio.create_task(reflector.run())
        yield reflector, store
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


def _is_told(sink: _Sink, store: ObjectStore) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        page = await store.list(WIDGETS)
        hidden = {key.decode().rpartition("/")[2] for key in page.unreadable}
        told = [raw for key, raw in sink.objects.items() if key.name not in hidden]
        return told != [] and sorted(told) == sorted(page.raw)

    return is_so


def test_cache_that_was_cut_off_beyond_the_compaction_lists_again() -> None:
    """2.7: on 410 clients relist."""

    async def application(world: World) -> None:
        sink = _Sink()
        async with world.connect() as store, _reflecting(world, sink) as (reflector, reflecting):
            await store.create(WIDGETS, widget("n", "gone"))
            await store.create(WIDGETS, widget("n", "kept"))
            await world.until(_is_told(sink, store))
            lists = reflector.lists
            with world.cut_off(reflecting):
                await store.delete(WIDGETS, "n", "gone")
                await store.update(WIDGETS, "n", "kept", lambda old: with_size(old, 5))
                await store.client.compact(await store.revision())
                await world.clock.sleep(60)
            await world.until(_is_told(sink, store))
            assert reflector.lists == lists + 1

    run(application)


def test_cache_that_was_cut_off_for_a_while_goes_on_where_it_was() -> None:
    """2.4: a watch from a revision that is still known needs no list."""

    async def application(world: World) -> None:
        sink = _Sink()
        async with world.connect() as store, _reflecting(world, sink) as (reflector, reflecting):
            await store.create(WIDGETS, widget("n", "gone"))
            await world.until(_is_told(sink, store))
            with world.cut_off(reflecting):
                await store.create(WIDGETS, widget("n", "a"))
                await store.delete(WIDGETS, "n", "gone")
                await world.clock.sleep(60)
            await world.until(_is_told(sink, store))
            assert reflector.lists == 1

    run(application)


def test_cache_that_was_cut_off_keeps_what_cannot_be_read_by_now() -> None:
    """It is in the store, so it is not gone; what it was last known as is the best there is."""

    async def application(world: World) -> None:
        async with (
            world.connect() as user,
            world.connect() as process,
            Informers(process, clock=world.clock, random=world.random) as informers,
        ):
            informer = informers.of(WIDGETS)
            kept = await user.create(WIDGETS, widget("n", "kept"))
            await user.create(WIDGETS, widget("n", "gone"))

            async def knows_both() -> bool:
                return len(informer.indexer) == 2

            await world.until(knows_both)
            with world.cut_off(process):
                await user.client.put("/registry/example.com/widgets/n/kept", b"broken")
                await user.delete(WIDGETS, "n", "gone")
                await user.client.compact(await user.revision())
                await world.clock.sleep(60)

            async def knows_less() -> bool:
                return len(informer.indexer) == 1

            await world.until(knows_less)
            assert informer.indexer.list() == [kept]

    run(application)


class _Failing(_Sink):
    """A sink that fails for an object which is there for a while."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.lists: list[float] = []
        self._world = world

    def replace(
        self, objects: dict[Key, bytes], revision: int, unreadable: Collection[Key]
    ) -> None:
        self.lists.append(self._world.clock.now())
        if Key("n", "poison") in objects:
            raise ZeroDivisionError
        super().replace(objects, revision, unreadable)

    def apply(self, changes: Sequence[tuple[Key, Change]], revision: int) -> None:
        if any(key.name == "poison" and change.type == "PUT" for key, change in changes):
            raise ZeroDivisionError
        super().apply(changes, revision)


def test_what_fails_unexpectedly_is_begun_again_ever_later() -> None:
    """client-go's back-off: 0.8 s, doubled up to 30 s, and up to twice that."""

    async def application(world: World) -> None:
        sink = _Failing(world)
        async with world.connect() as user, _reflecting(world, sink):
            await user.create(WIDGETS, widget("n", "good"))
            await world.until(_is_told(sink, user))
            await user.create(WIDGETS, widget("n", "poison"))
            await world.clock.sleep(120)
            gaps = [later - earlier for earlier, later in itertools.pairwise(sink.lists[1:])]
            for gap, base in zip(gaps[:5], (1.6, 3.2, 6.4, 12.8, 25.6), strict=True):
                assert base <= gap < 2 * base + 1, gaps
            await user.delete(WIDGETS, "n", "poison")
            await world.until(_is_told(sink, user))

    run(application)


class _Deaf:
    """A sink that notes when it is told anything."""

    def __init__(self, world: World) -> None:
        self.times: list[float] = []
        self._world = world

    def replace(
        self, objects: dict[Key, bytes], revision: int, unreadable: Collection[Key]
    ) -> None:
        self.times.append(self._world.clock.now())

    def apply(self, changes: Sequence[tuple[Key, Change]], revision: int) -> None:
        self.times.append(self._world.clock.now())


def test_idle_watch_is_asked_whether_it_lives() -> None:
    """controlplane.md: a watchdog for dead watches; a living one answers and goes on."""

    async def application(world: World) -> None:
        sink = _Deaf(world)
        async with world.connect() as store:
            reflector = Reflector(
                store, WIDGETS, sink, clock=world.clock, random=world.random, silence_seconds_max=20
            )
            task = asyncio.create_task(reflector.run())
            await world.clock.sleep(100)
            task.cancel()
        assert reflector.lists == reflector.watches == 1
        gaps = [later - earlier for earlier, later in itertools.pairwise(sink.times)]
        assert len(gaps) == 4
        assert all(20 <= gap < 21 for gap in gaps), gaps

    run(application)


def test_dead_watch_is_begun_anew_with_another_member() -> None:
    """controlplane.md: a member that neither answers nor breaks its connections."""
    watches = []

    async def application(world: World, member: int) -> None:
        sink = _Sink()
        async with world.connect() as user, _reflecting(world, sink) as (reflector, store):
            await user.create(WIDGETS, widget("n"))
            await world.until(_is_told(sink, user))
            with world.cut_off(store, member=member, is_silent=True):
                await user.create(WIDGETS, widget("n", "b"))
                await world.until(_is_told(sink, user))
            watches.append(reflector.watches)

    for member in range(3):
        run(partial(application, member=member))
    assert sorted(watches) == [1, 1, 2], "one of the three was the one that it used"


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["create", "update", "delete", "compact", "break", "purge"]),
    )
)


@settings(deadline=None, max_examples=30)
@given(topology=kv.topologies(), faults=kv.fault_schedules(), cut=cuts(), steps=STEPS)
def test_cache_becomes_what_the_store_holds(
    topology: kv.Topology, faults: kv.Schedule, cut: list[Cut], steps: list[tuple[str, str]]
) -> None:
    async def application(world: World) -> None:
        sink = _Sink()
        async with world.connect() as user, _reflecting(world, sink) as (_, reflecting):
            async with world.suffer(reflecting, cut):
                for name, what in steps:
                    await _do(user, name, what)
                    await world.clock.sleep(0.3)
            await world.heal()
            await user.create(WIDGETS, widget("n", "last"))
            await world.until(_is_told(sink, user))

    run(application, topology=topology, faults=faults)


async def _do(user: ObjectStore, name: str, what: str) -> None:
    try:
        match what:
            case "create":
                await user.create(WIDGETS, widget("n", name))
            case "update":
                await user.update(
                    WIDGETS, "n", name, lambda old: with_size(old, old["spec"]["size"] + 1)
                )
            case "delete":
                await user.delete(WIDGETS, "n", name)
            case "break":
                await user.client.put(f"{WIDGETS.key_prefix}n/{name}", b"broken")
            case "purge":
                await user.client.delete(f"{WIDGETS.key_prefix}n/{name}")
            case _:
                await user.client.compact(await user.revision())
    except ApiError as error:
        if error.code not in (404, 409, 503, 504) and not isinstance(error, UnreadableError):
            raise
    except (UnavailableError, CompactedError):
        pass  # past the object store: perhaps it is done, perhaps not
