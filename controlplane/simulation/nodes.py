"""Nodes: an agent that can be killed, and what runs its containers, which goes on without it."""

from collections.abc import Callable
from pathlib import Path

from controlplane.api.registry import Registry
from controlplane.api.types.core_v1 import Probe
from controlplane.events import EventRecorder
from controlplane.informer import Informers
from controlplane.node import agent as agents
from controlplane.node.agent import Agent, Seams
from controlplane.node.folders import at_once
from controlplane.node.handlers import Answer, Target
from controlplane.node.machine import Hollow
from controlplane.node.pod_feed import PodFeed
from controlplane.node.runtime.fake import FakeRuntime, Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.node.sources import Kinds
from controlplane.simulation.world import Life, World
from kvstore.client.clock import AsyncioClock

CPUS = 6
MEMORY_BYTES = 32 << 30

ScriptOf = Callable[[SandboxConfig, ContainerConfig], Script]


class Node:
    """A machine. Its runtime and its disk outlive its agents."""

    def __init__(
        self, world: World, registry: Registry, name: str, root: Path, script: ScriptOf
    ) -> None:
        self.name = name
        self.runtime = FakeRuntime(AsyncioClock(), world.now, script=script)
        self.agent = world.add(f"agent of {name}", self._main)
        self._registry = registry
        self._root = root
        self._number = len(world.components)

    async def reboot(self) -> None:
        """All that ran is gone; the agent is not asked."""
        for sandbox in await self.runtime.list_sandboxes():
            self.runtime.lose_sandbox(sandbox.id)

    def is_clean(self) -> bool:
        """Whether no pod has left anything on its disk."""
        folder = self._root / "pods"
        return not folder.exists() or not any(folder.iterdir())

    async def _main(self, life: Life) -> None:
        informers = Informers(life.store, clock=life.clock, random=life.random)
        kinds = Kinds.of(self._registry)
        feed = PodFeed(informers, kinds.pods)
        recorder = EventRecorder(life.store, "kubelet", host=self.name)
        settings = agents.Settings(
            name=self.name, address=f"192.0.2.{self._number}", root=self._root
        )
        agent = Agent(
            life.store,
            informers,
            feed,
            kinds,
            self.runtime,
            Hollow(self.name, cpus=CPUS, memory=MEMORY_BYTES),
            recorder,
            settings,
            seams=Seams(clock=life.clock, random=life.random, ask=_succeed, run=at_once),
        )
        async with informers, recorder:
            await agent.run()


async def _succeed(target: Target, probe: Probe, timeout_seconds: float) -> Answer:
    return Answer(True)
