"""A simulated store, and the processes that use it: each lives, dies, stands still and comes back.

Members and clients are the production ones; clock, network, disks and dice are simulated. Times
are simulated seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from uuid import UUID

from controlplane.api import addresses
from controlplane.objects import ObjectStore
from kvstore.client import Client
from kvstore.testing.history import ViolationError
from kvstore.testing.simulation import healing
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.network import Link
from kvstore.testing.simulation.process import Process
from kvstore.testing.simulation.roster import Roster

EPOCH = 1_700_000_000.0
"""When a simulation begins, in seconds since 1970."""
MEMBERS = 3
LOSS = 0.0005  # of frames, without any fault: a lost one breaks its connection
LATE_SECONDS = 8.0  # a request lives 7 s
SNAPSHOT_COUNT = 300  # entries between snapshots


class Life:
    """One life of one process: its way to the store, its clocks, its dice.

    number  of the process in the network; each life has its own
    """

    def __init__(self, world: "World", name: str, skew_seconds: Callable[[], float]) -> None:
        self.name = name
        self.process = Process()
        self.client: Client = world.cluster.connect(self.process)
        self.number = world.cluster.newest_client
        self.clock = SimulatedClock(process=self.process)
        self.random = Random(world.random.getrandbits(64))
        self._skew_seconds = skew_seconds
        self._now = world.now
        self.store = ObjectStore(
            self.client,
            clock=self.wall,
            new_uid=self.new_uid,
            dice=self.random,
            releases=addresses.releases,
        )

    def wall(self) -> float:
        """Seconds since 1970, as the clock of its machine shows."""
        return self._now() + self._skew_seconds()

    def new_uid(self) -> str:
        """By its own dice."""
        return str(UUID(int=self.random.getrandbits(128), version=4))


Main = Callable[[Life], Awaitable[None]]
"""What a process does until it is killed: cancelled, with nothing of it getting out any more."""


class Component:
    """A process of the control plane, over all its lives."""

    def __init__(self, world: "World", name: str, main: Main) -> None:
        self.name = name
        self.skew_seconds = 0.0
        """By how much the clock of its machine is wrong."""
        self.deaths = 0
        self.life: Life | None = None
        """None: it is dead."""
        self._world = world
        self._main = main
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        """Lives that were killed, while something of them is left."""

    def start(self) -> None:
        """Begin a life; it remembers nothing."""
        if self.life is not None:
            return
        life = self.life = Life(
            self._world, f"{self.name}-{self.deaths}", lambda: self.skew_seconds
        )
        self._task = asyncio.create_task(self._live(life, frozenset(self._ending)), name=life.name)

    def kill(self) -> None:
        """As SIGKILL: nothing that it still does has any effect."""
        life, self.life = self.life, None
        if life is None:
            return
        self.deaths += 1
        for link in self._world.links(life):
            self._world.cluster.network.cut(link)
        life.process.resume()
        task = self._task
        assert task is not None
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.cancel()

    async def end(self) -> None:
        """Kill it, and wait until nothing of it is left."""
        self.kill()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _live(self, life: Life, before: frozenset["asyncio.Task[None]"]) -> None:
        if before:
            await asyncio.wait(before)
        try:
            async with life.client:
                await self._main(life)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has failed
            self._world.fail(f"{self.name} ended by its own fault", error)
        else:
            self._world.fail(f"{self.name} ended, though nobody told it to")
        finally:
            life.process.die()


class World:
    """Everything of one run."""

    def __init__(self, seed: int) -> None:
        dice = Random(seed)
        self.random = Random(dice.getrandbits(64))
        """The dice of whoever has none of its own."""
        self.cluster = SimulatedCluster(
            dice.getrandbits(64), size=MEMBERS, loss=LOSS, snapshot_count=SNAPSHOT_COUNT
        )
        self.roster = Roster(self.cluster, Random(dice.getrandbits(64)), lambda: None)
        self.components: list[Component] = []
        self._failures: list[tuple[str, Exception | None]] = []

    @staticmethod
    def time() -> float:
        """Seconds since the run began."""
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        """Seconds since 1970, as a clock that is right shows."""
        return EPOCH + self.time()

    def add(self, name: str, main: Main) -> Component:
        """A process that is not started yet."""
        component = Component(self, name, main)
        self.components.append(component)
        return component

    def links(self, life: Life, member: int | None = None) -> list[Link]:
        """Both ways between a process and one member, by its position, or all."""
        ids = [one.member_id for one in self.cluster.members]
        wanted = ids if member is None else [ids[member % len(ids)]]
        return [link for id_ in wanted for link in ((life.number, id_), (id_, life.number))]

    async def begin(self) -> None:
        """Start the members; return when they serve."""
        asyncio.get_running_loop().set_exception_handler(self.cluster.on_loop_error)
        for member in self.cluster.members:
            member.start()
        await healing.until_agreed(self.cluster)

    async def heal(self) -> None:
        """Faults have ended: start whoever is down, and return when the members agree, and no
        request of before is under way any more.
        """
        for component in self.components:
            component.start()
        await asyncio.sleep(LATE_SECONDS)
        await healing.heal(self.cluster, self.roster)

    async def end(self) -> None:
        """Kill all processes."""
        for component in self.components:
            await component.end()

    def fail(self, what: str, error: Exception | None = None) -> None:
        """Something is wrong that no caller would hear of."""
        self._failures.append((what, error))

    def check(self) -> None:
        """Raise ViolationError for what went wrong so far."""
        self.cluster.check_alive()
        for what, error in self._failures:
            raise ViolationError(f"{what}: {error!r}") from error

    def alive(self) -> Iterator[tuple[Component, Life]]:
        """Those processes that live."""
        for component in self.components:
            if component.life is not None:
                yield component, component.life
