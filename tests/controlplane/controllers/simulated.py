"""Simulated users and processes: what they do is done in the end, whatever goes wrong meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import Cut, World
from controlplane.tokens import Tokens
from tests.controlplane.controllers.objects import AUTHORITY, signing_key
from tests.controlplane.killed import killed_at_end

T = TypeVar("T")

REGISTRY = Registry.builtin()

lives = st.lists(st.integers(0, 6_000).map(lambda count: count / 1000), max_size=3)
"""Seconds after which the process of the controllers is killed, each time; then it stays."""

Make = Callable[[Context], Controller]


def resource(group: str, plural: str) -> Resource:
    found = REGISTRY.storage(group, plural)
    assert found is not None
    return found


class User:
    """Somebody who tries again until it is done."""

    def __init__(self, world: World, store: ObjectStore) -> None:
        self.world = world
        self.store = store

    async def create(self, resource: Resource, obj: Object) -> Object:
        metadata = obj["metadata"]
        place = (str(metadata.get("namespace", "")), str(metadata["name"]))

        async def attempt() -> Object:
            try:
                return await self.store.create(resource, obj)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                return await self.store.get(resource, *place)

        return await self.insist(attempt)

    async def delete(self, resource: Resource, namespace: str, name: str, policy: str) -> None:
        options = DeleteOptions(propagation_policy=policy)

        async def attempt() -> None:
            try:
                await self.store.delete(resource, namespace, name, options=options)
            except ApiError as error:
                if error.code != 404:
                    raise

        await self.insist(attempt)

    async def update(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object], Object]
    ) -> None:
        await self.insist(lambda: self.store.update(resource, namespace, name, change))

    async def insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await attempt()
            except ApiError as error:
                if error.code not in (409, 503, 504):
                    raise
            await self.world.clock.sleep(0.5)


@asynccontextmanager
async def process(
    world: World,
    context: Context,
    makes: Sequence[Make],
    lives: Sequence[float],
    cuts: Sequence[Cut],
) -> AsyncIterator[None]:
    """The process of the controllers: killed after each of its lives, and started again."""

    def fresh() -> list[Controller]:
        """They remember nothing."""
        return [make(context) for make in makes]

    async def be() -> None:
        for seconds in lives:
            async with world.running(*fresh()):
                await world.clock.sleep(seconds)
        async with world.running(*fresh()) as store, world.suffer(store, cuts):
            await asyncio.Event().wait()

    async with killed_at_end(be()):
        yield


def context_of(store: ObjectStore) -> Context:
    tokens = Tokens([signing_key()], issuer="us", audiences=("us",))
    recorder = EventRecorder(store, "test")  # nobody reads what it keeps
    return Context(registry=REGISTRY, recorder=recorder, authority=AUTHORITY, tokens=tokens)
