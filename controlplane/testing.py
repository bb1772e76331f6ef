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

(`kv` is `kvstore.testing.properties`. Faults are the members'; `cuts` and `World.suffer` are for
whatever keeps your own process from them.) Store, clients, caches, queues and controllers are the
production ones; clock, network, disks and dice are simulated, so a run takes no real time and
repeats exactly.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import TypeVar
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

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


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A process is cut off from all members; `is_silent`: nothing tells it so."""

    at_seconds: float
    for_seconds: float
    is_silent: bool = False


def cuts(
    *, cuts_max: int = 3, within_seconds: float = 5.0, for_seconds_max: float = 20.0
) -> SearchStrategy[list[Cut]]:
    """What may keep a process from the store, for `World.suffer`."""
    cut = st.builds(
        Cut,
        at_seconds=_seconds(within_seconds),
        for_seconds=_seconds(for_seconds_max),
        is_silent=st.booleans(),
    )
    return st.lists(cut, max_size=cuts_max)


def _seconds(seconds_max: float) -> SearchStrategy[float]:
    """Whole milliseconds: they shrink well, and are short to read."""
    return st.integers(0, round(seconds_max * 1000)).map(lambda count: count / 1000)


class World:
    """A simulated cluster, and the processes that use it. Times are simulated seconds."""

    def __init__(self, cluster: kv.Cluster, seed: int) -> None:
        self.cluster = cluster
        """The store's members, and what goes wrong with them."""
        self.clock = AsyncioClock()
        self.random = Random(seed)
        """The dice of whoever is no member."""
        self._processes: dict[ObjectStore, int] = {}

    def now(self) -> float:
        """Seconds since 1970, as everyone's clock shows."""
        return EPOCH + self.clock.now()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ObjectStore]:
        """A store as a process of its own has it; it goes at the end, as if killed."""
        async with self.cluster.connect() as client:
            store = ObjectStore(client, clock=self.now, new_uid=self._uid, dice=self.random)
            self._processes[store] = self.cluster.simulated.newest_client
            yield store

    @asynccontextmanager
    async def running(self, *controllers: Controller) -> AsyncIterator[ObjectStore]:
        """One process that runs controllers, and its store; it is killed at the end."""
        async with self.connect() as store:
            work = controller.run(controllers, store, clock=self.clock, random=self.random)
            task = asyncio.ensure_future(work)
            try:
                yield store
            finally:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()  # a controller process ends by its own fault only

    @contextmanager
    def cut_off(
        self, store: ObjectStore, *, member: int | None = None, is_silent: bool = False
    ) -> Iterator[None]:
        """Keep a process from a member, by its position, or from all.

        Its connections break, or, if `is_silent`, nothing comes through and nothing tells so.
        """
        network = self.cluster.simulated.network
        process = self._processes[store]
        members = [each.member_id for each in self.cluster.simulated.members]
        if member is not None:
            members = [members[member]]
        links = [link for one in members for link in ((process, one), (one, process))]
        for link in links:
            network.stall(link) if is_silent else network.cut(link)
        try:
            yield
        finally:
            for link in links:
                network.release(link) if is_silent else network.mend(link)

    @asynccontextmanager
    async def suffer(self, store: ObjectStore, cuts: Sequence[Cut]) -> AsyncIterator[None]:
        """Let a process be cut off at each of these times; at the end it no longer is."""
        tasks = [asyncio.ensure_future(self._suffer(store, cut)) for cut in cuts]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def heal(self) -> None:
        """End the members' faults, and return when they run and agree."""
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

    async def _suffer(self, store: ObjectStore, cut: Cut) -> None:
        await self.clock.sleep(cut.at_seconds)
        with self.cut_off(store, is_silent=cut.is_silent):
            await self.clock.sleep(cut.for_seconds)

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
