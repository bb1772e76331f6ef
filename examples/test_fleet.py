"""A fleet comes to be as it should, on a real member; and whatever goes wrong, nothing is lost."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.api.stored import without_resource_version
from controlplane.controller import Controller, Lister, run
from controlplane.indexer import Key
from controlplane.objects import ObjectStore
from controlplane.testing import Cut, World, cuts
from controlplane.testing import run as simulate
from examples import fleet as example
from examples.fleet import FLEET_CONTROLLER, FLEETS, SHIPS
from kvstore.client import connect
from kvstore.testing import properties as kv
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses

FLEET: Object = {"metadata": {"name": "f", "namespace": "n", "labels": {}}, "spec": {"size": 3}}
LABELS = ("a", "b", "c", "d")


async def _is_settled(store: ObjectStore) -> bool:
    fleet = await store.get(FLEETS, "n", "f")
    names = [ship["metadata"]["name"] for ship in (await store.list(SHIPS, "n")).items]
    size = fleet["spec"]["size"]
    return (
        names == [f"f-{number}" for number in range(size)]
        and fleet.get("status", {}).get("ships") == size
    )


def _resized(fleet: Object) -> Object:
    return {**fleet, "spec": {"size": 1}}


@pytest.mark.parametrize("program", [KEELSON, ETCD], ids=["keelson", "etcd"])
async def test_a_fleet_on_a_real_member(program: tuple[str, ...]) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed (Debian: etcd-server)")

    async def settle(store: ObjectStore) -> None:
        async with asyncio.timeout(60), store.watch(FLEETS, "n") as changes:
            await changes.created()
            while not await _is_settled(store):
                await anext(changes)

    with tempfile.TemporaryDirectory() as at, ClusterProcesses(program, Path(at)) as member:
        async with connect(member.endpoints) as client:
            store = ObjectStore(client)
            controller = asyncio.create_task(run([FLEET_CONTROLLER], store))
            await store.create(FLEETS, FLEET)
            await settle(store)
            await store.update(FLEETS, "n", "f", _resized)
            await settle(store)
            controller.cancel()
            await asyncio.wait([controller])


def _nothing_is_lost(
    controller: Controller, topology: kv.Topology, faults: kv.Schedule, cut: list[Cut]
) -> None:
    """A user labels and resizes a fleet meanwhile: all that was acknowledged stays."""

    async def application(world: World) -> None:
        async with world.connect() as user, world.running(controller) as controlling:
            async with world.suffer(controlling, cut):
                kept = await _label(world, user)
            await world.heal()
            await world.until(lambda: _is_settled(user))
            fleet = await user.get(FLEETS, "n", "f")
            lost = kept - fleet["metadata"]["labels"].keys()
            assert not lost, f"lost: {lost}"

    simulate(application, topology=topology, faults=faults)


async def _label(world: World, user: ObjectStore) -> set[str]:
    """Labels that were surely written."""
    while not (await _exists(user)):
        await world.clock.sleep(0.1)
    kept = set()
    for size, label in enumerate(LABELS):

        def change(fleet: Object, label: str = label, size: int = size) -> Object:
            labels = {**fleet["metadata"]["labels"], label: "yes"}
            metadata = {**fleet["metadata"], "labels": labels}
            return {**fleet, "metadata": metadata, "spec": {"size": size}}

        try:
            await user.update(FLEETS, "n", "f", change)
            kept.add(label)
        except ApiError as error:
            if error.code not in (503, 504):
                raise
    return kept


async def _exists(user: ObjectStore) -> bool:
    try:
        await user.create(FLEETS, FLEET)
    except ApiError as error:
        return error.reason == "AlreadyExists"
    return True


@settings(deadline=None, max_examples=25)
@given(topology=kv.topologies(), faults=kv.fault_schedules(), cut=cuts())
def test_nothing_is_lost_whatever_goes_wrong(
    topology: kv.Topology, faults: kv.Schedule, cut: list[Cut]
) -> None:
    _nothing_is_lost(FLEET_CONTROLLER, topology, faults, cut)


class _Blind:
    """WRONG: a store that writes what is made of the cached object, whatever is stored by now."""

    def __init__(self, lister: Lister, store: ObjectStore) -> None:
        self._lister = lister
        self._store = store
        self.create = store.create
        self.delete = store.delete

    async def update(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object], Object]
    ) -> Object:
        cached = self._lister.get(resource, Key(namespace, name))
        assert cached is not None
        changed = without_resource_version(change(cached))
        return await self._store.update(resource, namespace, name, lambda _: changed)


async def _reconcile_blindly(key: Key, lister: Lister, store: ObjectStore) -> None:
    await example.reconcile(key, lister, _Blind(lister, store))  # type: ignore[arg-type]


def test_a_lost_update_is_found() -> None:
    """The property above fails for a controller that overwrites."""
    blind = msgspec.structs.replace(FLEET_CONTROLLER, reconcile=_reconcile_blindly)

    @settings(
        deadline=None,
        max_examples=25,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(topology=kv.topologies(), faults=kv.fault_schedules(), cut=cuts())
    def search(topology: kv.Topology, faults: kv.Schedule, cut: list[Cut]) -> None:
        _nothing_is_lost(blind, topology, faults, cut)

    with pytest.raises(AssertionError, match="lost: "):
        search()
