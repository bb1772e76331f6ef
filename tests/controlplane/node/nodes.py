"""Nodes of tests: an agent, and a runtime that only remembers, in a simulated world."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Probe
from controlplane.events import EVENTS, EventRecorder
from controlplane.informer import Informers
from controlplane.node.agent import Agent, Seams, Settings
from controlplane.node.folders import at_once
from controlplane.node.handlers import Answer, Target
from controlplane.node.machine import Hollow, Machine
from controlplane.node.pod_feed import PodFeed
from controlplane.node.runtime.fake import FakeRuntime
from controlplane.node.sources import Kinds
from controlplane.objects import ObjectStore
from controlplane.testing import Cut, World
from controlplane.tokens import Tokens
from tests.controlplane.controllers.objects import signing_key

NODE = "node-1"
ADDRESS = "192.0.2.1"
BLOCK = "10.1.0.0/24"


@cache
def kinds() -> Kinds:
    return Kinds.of(Registry.builtin())


def pod(name: str, *containers: Any, node: str = NODE, **spec: Any) -> dict[str, Any]:
    """As the API server stores it, bound already. Containers: dicts, or names."""
    made = [container(one) if isinstance(one, str) else one for one in containers or ("a",)]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node,
            "containers": made,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            **spec,
        },
    }


def container(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": f"local/{name}", "imagePullPolicy": "IfNotPresent", **fields}


async def _succeed(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
    return Answer("success")


class Node(msgspec.Struct, eq=False):
    """A node of a simulated world. Its runtime outlives its agents.

    ask      answers http, tcp and grpc probes, and commands too
    machine  None: one of which nothing is used
    """

    world: World
    runtime: FakeRuntime
    root: Path
    ask: Callable[[Target, Probe, float], Any] = _succeed
    name: str = NODE
    block: str = BLOCK
    is_hollow: bool = False
    machine: Machine | None = None

    @asynccontextmanager
    async def agent(self, *suffers: Cut) -> AsyncIterator[Agent]:
        """One process with an agent, which is cut off so; it is killed at the end."""
        world = self.world
        async with world.connect() as store, world.suffer(store, suffers):
            informers = Informers(store, clock=world.clock, random=world.random)
            feed = PodFeed(informers, kinds().pods)
            recorder = EventRecorder(store, "kubelet", host=self.name)
            settings = Settings(
                name=self.name,
                address=ADDRESS,
                root=self.root,
                pod_block=self.block,
                is_hollow=self.is_hollow,
            )
            tokens = Tokens([signing_key()], issuer="us", audiences=("us",))
            agent = Agent(
                store,
                informers,
                feed,
                kinds(),
                self.runtime,
                self.machine or Hollow(self.name),
                recorder,
                settings,
                tokens=None if self.is_hollow else tokens,
                seams=Seams(clock=world.clock, random=world.random, ask=self.ask, run=at_once),
            )
            async with informers, recorder:
                task = asyncio.ensure_future(agent.run())
                try:
                    yield agent
                finally:
                    task.cancel()
                    await asyncio.wait([task])
                    if not task.cancelled():
                        task.result()

    async def is_empty(self) -> bool:
        """Whether nothing of any pod is left on the node."""
        has_files = (self.root / "pods").exists() and any((self.root / "pods").iterdir())
        return not (
            await self.runtime.list_sandboxes() or await self.runtime.list_containers() or has_files
        )


@asynccontextmanager
async def node(world: World, **fields: Any) -> AsyncIterator[Node]:
    """With a folder of its own."""
    script = fields.pop("script", None)
    given = {"script": script} if script is not None else {}
    runtime = FakeRuntime(world.clock, world.now, **given)
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        yield Node(world, runtime, Path(folder), **fields)


async def find(store: ObjectStore, name: str) -> Object | None:
    try:
        return await store.get(kinds().pods, "default", name)
    except ApiError as error:
        if error.code != 404:
            raise
        return None


async def status(store: ObjectStore, name: str) -> dict[str, Any]:
    found = await find(store, name)
    return dict((found or {}).get("status") or {})


def is_ready(told: dict[str, Any]) -> bool:
    return condition(told, "Ready").get("status") == "True"


def condition(told: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((one for one in told.get("conditions") or () if one["type"] == kind), {})


async def events(store: ObjectStore) -> list[tuple[str, str, str]]:
    """Type, reason and message of all that was told, in its order."""
    page = await store.list(EVENTS, "default")
    found = sorted(page.items, key=lambda one: int(one["metadata"]["resourceVersion"]))
    found.sort(key=lambda one: int(one["metadata"]["name"].rpartition(".")[2], 16))
    return [(one["type"], one["reason"], one["message"]) for one in found]
