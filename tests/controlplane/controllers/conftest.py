"""Controllers on real stores: the process's own parts, started and killed by tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controlplane import controller
from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from controlplane.objects import ObjectStore
from controlplane.tokens import Tokens
from tests.controlplane.controllers.objects import AUTHORITY, signing_key

UNTIL_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.02

Make = Callable[[Context], Controller]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.builtin()


class Cluster:
    """Objects of the built-in kinds, in one store."""

    def __init__(self, store: ObjectStore, registry: Registry) -> None:
        self.store = store
        self.registry = registry

    def resource(self, plural: str) -> Resource:
        """Of whichever group has it first."""
        return next(one for one in self.registry.all() if one.plural == plural)

    async def create(self, plural: str, obj: Object) -> Object:
        return await self.store.create(self.resource(plural), obj)

    async def find(self, plural: str, namespace: str, name: str) -> Object | None:
        try:
            return await self.store.get(self.resource(plural), namespace, name)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    async def names(self, plural: str, namespace: str) -> set[str]:
        page = await self.store.list(self.resource(plural), namespace)
        return {str(one["metadata"]["name"]) for one in page.items}

    async def namespace(self, name: str, **changes: Any) -> Object:
        """A namespace as the API server makes it."""
        return await self.create(
            "namespaces",
            {
                "metadata": {"name": name},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
                **changes,
            },
        )

    @asynccontextmanager
    async def running(self, *makes: Make) -> AsyncIterator[Context]:
        """One process with these controllers; it is killed at the end."""
        async with EventRecorder(self.store, "test") as recorder:
            context = Context(
                registry=self.registry,
                recorder=recorder,
                authority=AUTHORITY,
                tokens=Tokens([signing_key()], issuer="us", audiences=("us",)),
            )
            work = controller.run([make(context) for make in makes], self.store)
            task = asyncio.ensure_future(work)
            try:
                yield context
            finally:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()  # it ends by its own fault only


@pytest.fixture
def cluster(store: ObjectStore, registry: Registry) -> Cluster:
    return Cluster(store, registry)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(UNTIL_SECONDS_MAX):
        while not await condition():  # noqa: ASYNC110 - the store does not know of conditions
            await asyncio.sleep(_POLL_SECONDS)
