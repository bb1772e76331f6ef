"""What the scheduler writes: 7.2, also where answers are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.indexer import Indexer, Key
from controlplane.objects import ObjectStore
from controlplane.scheduler.pod_class import PodFacts
from controlplane.scheduler.writer import Writer
from controlplane.testing import World, run
from kvstore.testing import properties as kv
from tests.controlplane.scheduler.objects import facts, pod

_FOUND = Registry.builtin().storage("", "pods")
assert _FOUND is not None
PODS = _FOUND


class _Deaf:
    """A scheduler whose requests arrive, and which hears no answer."""

    def __init__(self, world: World, store: ObjectStore, created: dict[str, Any]) -> None:
        self.pod: PodFacts = facts(created)
        known: Indexer[Object] = Indexer()
        known.put(Key("default", "p"), created)
        self.writer = Writer(store, PODS, known, {}, world.clock)


@asynccontextmanager
async def _deaf(world: World, store: ObjectStore) -> AsyncIterator[_Deaf]:
    """Until it is left; there is a pod that it may bind."""
    wanted = pod("p")
    metadata = {key: value for key, value in wanted["metadata"].items() if key != "uid"}
    created = await store.create(PODS, {**wanted, "metadata": metadata})
    simulated = world.cluster.simulated
    links = [(one.member_id, simulated.newest_client) for one in simulated.members]
    for link in links:
        simulated.network.cut(link)
    try:
        yield _Deaf(world, store, dict(created))
    finally:
        for link in links:
            simulated.network.mend(link)


@pytest.mark.parametrize("seed", range(3))
def test_who_does_not_know_whether_a_pod_is_bound_finds_out(seed: int) -> None:
    """Its room is not given back meanwhile: another pod would get it as well."""

    async def application(world: World) -> None:
        async with world.connect() as user, world.connect() as store:
            async with _deaf(world, store) as deaf:
                binding = asyncio.ensure_future(deaf.writer.bind(deaf.pod, "n"))
                await world.until(lambda: _is_on(user, "n"))
                await world.clock.sleep(20.0)
                assert not binding.done()
            await binding
            assert await _is_on(user, "n")

    run(application, topology=kv.Topology(seed=seed))


def test_who_finds_out_that_another_bound_it_is_refused() -> None:
    async def application(world: World) -> None:
        async with world.connect() as user, world.connect() as store:
            async with _deaf(world, store) as deaf:
                user_writer = Writer(user, PODS, Indexer(), {}, world.clock)
                await user_writer.bind(deaf.pod, "other")
                binding = asyncio.ensure_future(deaf.writer.bind(deaf.pod, "n"))
                await world.clock.sleep(20.0)
                assert not binding.done()
            with pytest.raises(ApiError, match='already assigned to node "other"'):
                await binding

    run(application)


async def _is_on(store: ObjectStore, node_name: str) -> bool:
    found = await store.get(PODS, "default", "p")
    return bool(found["spec"].get("nodeName") == node_name)
