"""A scheduler on a real store: started and killed by tests."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.events import EventRecorder
from controlplane.informer import Informers
from controlplane.objects import ObjectStore
from controlplane.scheduler.configuration import DEFAULT, Configuration
from controlplane.scheduler.scheduler import Scheduler
from tests.controlplane.killed import killed_at_end

UNTIL_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.02


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.builtin()


class Cluster:
    """Objects in a store, and schedulers of them. Nodes are shared: each test removes its own."""

    def __init__(self, store: ObjectStore, registry: Registry) -> None:
        self.store = store
        self.registry = registry

    def resource(self, plural: str) -> Resource:
        return next(one for one in self.registry.all() if one.plural == plural)

    async def create(self, plural: str, obj: Object) -> Object:
        return await self.store.create(self.resource(plural), _new(obj))

    async def get(self, plural: str, namespace: str, name: str) -> Object:
        return await self.store.get(self.resource(plural), namespace, name)

    async def events(self, namespace: str, reason: str) -> list[Object]:
        page = await self.store.list(self.resource("events"), namespace)
        return [one for one in page.items if one["reason"] == reason]

    async def node_of(self, namespace: str, name: str) -> str:
        """Empty: it has none."""
        pod = await self.get("pods", namespace, name)
        return str(pod["spec"].get("nodeName", ""))

    async def condition(self, namespace: str, name: str) -> Object:
        """PodScheduled; {}: there is none."""
        pod = await self.get("pods", namespace, name)
        conditions = (pod.get("status") or {}).get("conditions") or ()
        return next((one for one in conditions if one["type"] == "PodScheduled"), {})

    @asynccontextmanager
    async def nodes(self, *nodes: Object) -> AsyncIterator[None]:
        """These are all there are."""
        for node in nodes:
            await self.create("nodes", node)
        try:
            yield
        finally:
            for node in nodes:
                try:
                    await self.store.delete(self.resource("nodes"), "", node["metadata"]["name"])
                except ApiError as error:
                    assert error.code == 404  # noqa: PT017

    @asynccontextmanager
    async def scheduling(
        self, configuration: Configuration = DEFAULT, store: ObjectStore | None = None
    ) -> AsyncIterator[None]:
        """One scheduler; it is killed at the end."""
        async with killed_at_end(self._schedule(configuration, store or self.store)):
            yield

    async def _schedule(self, configuration: Configuration, store: ObjectStore) -> None:
        async with (
            EventRecorder(store, "default-scheduler") as recorder,
            Informers(store) as informers,
        ):
            scheduler = Scheduler(
                store,
                informers,
                self.registry,
                configuration,
                dict.fromkeys(configuration.profiles, recorder),
                dice=random.Random(1),
            )
            await scheduler.run()


def _new(obj: Object) -> dict[str, Any]:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "uid"}
    return {**obj, "metadata": metadata}


@pytest.fixture
def cluster(store: ObjectStore, registry: Registry) -> Cluster:
    return Cluster(store, registry)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(UNTIL_SECONDS_MAX):
        while not await condition():  # noqa: ASYNC110 - the store does not know of conditions
            await asyncio.sleep(_POLL_SECONDS)
