"""Property tests of your controllers against a simulated cluster, with hypothesis.

    @settings(deadline=None)
    @given(topology=kv.topologies(), faults=kv.fault_schedules())
    def test_mine(topology, faults):
        async def application(world: World) -> None:
            async with world.connect() as user, world.running(MY_CONTROLLER):
                await user.create(WIDGETS, ...)
                await world.heal()
                await world.until(lambda: is_as_it_should_be(user))
        run(application, topology=topology, faults=faults)

(`kv` is `kvstore.testing.properties`.) Store, clients, caches, queues and controllers are the
production ones; clock, network, disks and dice are simulated, so a run takes no real time and
repeats exactly.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import TypeVar
from uuid import UUID

from controlplane import controller
from controlplane.controller import Controller
from controlplane.objects import ObjectStore
from kvstore.client.clock import AsyncioClock
from kvstore.testing import properties as kv
from kvstore.testing.properties.trial import SECONDS_MAX

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""When a simulation begins, in seconds since 1970."""
UNTIL_SECONDS_MAX = (
    180.0  # a cache that lost its watch, and the longest back-offs of a few failures
)
_POLL_SECONDS = 0.25


class World:
    """A simulated cluster, and the processes that use it. Times are simulated seconds."""

    def __init__(self, cluster: kv.Cluster, seed: int) -> None:
        self.cluster = cluster
        """The store's members, and what goes wrong with them."""
        self.clock = AsyncioClock()
        self.random = Random(seed)
        """The dice of whoever is no member."""

    def now(self) -> float:
        """Seconds since 1970, as everyone's clock shows."""
        return EPOCH + self.clock.now()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ObjectStore]:
        """A store as a process of its own has it; it goes at the end, as if killed."""
        async with self.cluster.connect() as client:
            yield ObjectStore(client, clock=self.now, new_uid=self._uid, dice=self.random)

    @asynccontextmanager
    async def running(self, *controllers: Controller) -> AsyncIterator[None]:
        """One process that runs controllers; it is killed at the end."""
        async with self.connect() as store:
            work = controller.run(controllers, store, clock=self.clock, random=self.random)
            task = asyncio.ensure_future(work)
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()  # a controller process ends by its own fault only

    async def heal(self) -> None:
        """End all faults, and return when the members run and agree."""
        await self.cluster.heal()

    async def until(
        self,
        condition: Callable[[], Awaitable[bool]],
        *,
        seconds_max: float = UNTIL_SECONDS_MAX,
    ) -> None:
        """Return when it is so. Raises AssertionError when it is not in time."""
        deadline = self.clock.now() + seconds_max
        while not await condition():
            assert self.clock.now() < deadline, f"it is not so after {seconds_max:.0f} s"
            await self.clock.sleep(_POLL_SECONDS)

    def _uid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))


def run(
    application: Callable[[World], Awaitable[T]],
    *,
    topology: kv.Topology | None = None,
    faults: kv.Schedule = (),
    seconds_max: float = SECONDS_MAX,
) -> T:
    """Run `application` against a cluster that serves, while `faults` come and go; its result.

    Raises what the application raises, ViolationError when the cluster breaks a promise,
    StuckError when the application does not end within `seconds_max` simulated seconds.
    """
    topology = topology or kv.Topology()

    async def main(cluster: kv.Cluster) -> T:
        return await application(World(cluster, topology.seed))

    return kv.run(main, topology=topology, faults=faults, seconds_max=seconds_max)
