"""Nodes: an agent that can be killed, and what runs its containers, which goes on without it."""

from collections.abc import Callable
from pathlib import Path
from random import Random

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
from controlplane.node.runtime.fake import Script
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.node.sources import Kinds
from controlplane.simulation.convergence import Machine
from controlplane.simulation.machines import Machines, SeenRuntime
from controlplane.simulation.world import Life, World
from kvstore.client.clock import AsyncioClock

CPUS = 6
MEMORY_BYTES = 32 << 30

ScriptOf = Callable[[SandboxConfig, ContainerConfig], Script]


class Node:
    """A machine. Its runtime and its disk outlive its agents."""

    def __init__(
        self,
        world: World,
        machines: Machines,
        registry: Registry,
        name: str,
        root: Path,
        script: ScriptOf,
    ) -> None:
        self.name = name
        self.runtime = SeenRuntime(machines, name, AsyncioClock(), world.now, script)
        self.agent = world.add(f"agent of {name}", self._main)
        self._registry = registry
        self._root = root
        self._number = len(world.components)

    def lose_all(self) -> None:
        """Power is lost: nothing of what ran does any more."""
        for sandbox in self.runtime.all_sandboxes():
            self.runtime.lose_sandbox(sandbox.id)

    def end_one(self, random: Random) -> None:
        """Some container, or a whole sandbox, ends by itself."""
        running = [one for one in self.runtime.all_containers() if one.state == "running"]
        if not running:
            return
        victim = random.choice(running)
        if random.random() < 0.5:
            self.runtime.end(victim.id, 1)
        else:
            self.runtime.lose_sandbox(victim.sandbox_id)

    def look(self) -> Machine:
        """What it has now."""
        folder = self._root / "pods"
        found = folder.iterdir() if folder.exists() else ()
        return Machine(
            name=self.name,
            sandboxes=self.runtime.all_sandboxes(),
            containers=self.runtime.all_containers(),
            folders=frozenset(one.name for one in found),
        )

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
    return Answer("success")
