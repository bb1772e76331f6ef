"""What the processes of the control plane run: the production parts, on simulated seams."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from controlplane import controller
from controlplane.api.pod_ranges import PodRanges
from controlplane.api.registry import Registry
from controlplane.controllers import CONTROLLERS, manager
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from controlplane.informer import Informers
from controlplane.leader_election import LeaderElector, LeadershipLostError
from controlplane.objects import ObjectStore
from controlplane.scheduler import process
from controlplane.scheduler.configuration import DEFAULT
from controlplane.scheduler.scheduler import Scheduler
from controlplane.simulation.world import Life, Main

NODE_GRACE_SECONDS = 20.0
"""A node that is not heard of for so long is unreachable; 50 s by default."""
ENDED_PODS_MAX = 40
"""12,500 by default."""
_POD_RANGES = "10.244.0.0/16"


def controllers(registry: Registry) -> Main:
    """A candidate for leading all controllers."""

    async def lead(life: Life, store: ObjectStore) -> None:
        async with EventRecorder(store, manager.COMPONENT, host=life.name) as recorder:
            context = Context(
                registry=registry,
                recorder=recorder,
                authority="-----BEGIN CERTIFICATE-----",
                pod_ranges=PodRanges(_POD_RANGES, 24),
                node_monitor_grace_seconds=NODE_GRACE_SECONDS,
                node_startup_grace_seconds=NODE_GRACE_SECONDS,
                ended_pods_max=ENDED_PODS_MAX,
            )
            made = [make(context) for make in CONTROLLERS]
            await controller.run(made, store, clock=life.clock, random=life.random)

    return _candidate(manager.LEASE, lead)


def scheduler(registry: Registry) -> Main:
    """A candidate for scheduling."""

    async def lead(life: Life, store: ObjectStore) -> None:
        async with AsyncExitStack() as stack:
            recorders = {}
            for name in DEFAULT.profiles:
                recorder = EventRecorder(store, name, host=life.name)
                recorders[name] = await stack.enter_async_context(recorder)
            informers = Informers(store, clock=life.clock, random=life.random)
            await stack.enter_async_context(informers)
            await Scheduler(
                store, informers, registry, DEFAULT, recorders, dice=life.random, clock=life.clock
            ).run()

    return _candidate(process.LEASE, lead)


def _candidate(lease: str, lead: Callable[[Life, ObjectStore], Awaitable[None]]) -> Main:
    async def main(life: Life) -> None:
        elector = LeaderElector(life.store, lease, life.name, clock=life.clock, random=life.random)
        while True:
            try:
                await elector.run(lambda store: lead(life, store))
            except LeadershipLostError:
                continue

    return main
