"""The cluster that a property test's application runs against, and what goes wrong in it.

All times are simulated seconds. Clients are the production ones; so are the members.
"""

import asyncio
from collections.abc import Iterable, Sequence
from random import Random

from kvstore.client import Client
from kvstore.testing.linearizability import Operation
from kvstore.testing.properties.calls import History, Step
from kvstore.testing.properties.injection import members_from, prepare
from kvstore.testing.properties.schedule import (
    Episode,
    Fault,
    MembershipChanges,
    Target,
    Topology,
)
from kvstore.testing.simulation import faults, healing
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.roster import Roster


class Cluster:
    """Three members or five, or as many as its topology says."""

    def __init__(self, topology: Topology) -> None:
        dice = Random(topology.seed)
        self.simulated = SimulatedCluster(
            dice.getrandbits(64),
            size=topology.members,
            loss=topology.loss,
            snapshot_count=topology.snapshot_count,
        )
        """The members themselves, for whoever must look into them."""
        self._founders = topology.members
        self._roster = Roster(self.simulated, Random(dice.getrandbits(64)), _ignore)
        self._changing: asyncio.Task[None] | None = None
        self._ongoing: list[tuple[Fault, faults.Fault]] = []
        self._suffering: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all members; return when they serve."""
        asyncio.get_running_loop().set_exception_handler(self.simulated.on_loop_error)
        for member in self.simulated.members:
            member.start()
        await healing.until_agreed(self.simulated)

    def connect(self) -> Client:
        """A client, as of a process of its own; to be closed, as in production."""
        return self.simulated.connect()

    @property
    def now(self) -> float:
        """Simulated seconds, also those that it took to start."""
        return asyncio.get_running_loop().time()

    def check(self) -> None:
        """Raise ViolationError if the cluster itself has broken a promise so far."""
        self.simulated.check_alive()

    # ------------------------------------------------------------------ faults

    def begin(self, fault: Fault) -> None:
        """Let something go wrong from now on, until `end` or `heal`."""
        prepared = prepare(fault, self.simulated)
        self._ongoing.append((fault, prepared))
        prepared.begin()
        if isinstance(fault, MembershipChanges):
            self._change()

    def end(self, fault: Fault) -> None:
        """End a fault that has begun and not ended. Raises ValueError when it has not."""
        for position, (ongoing, prepared) in enumerate(self._ongoing):
            if ongoing == fault:
                del self._ongoing[position]
                prepared.end()
                break
        else:
            raise ValueError(f"{fault!r} is not going on")
        is_changing = any(isinstance(ongoing, MembershipChanges) for ongoing, _ in self._ongoing)
        if self._changing is not None and not is_changing:
            self._changing.cancel()
            self._suffering.append(self._changing)  # `heal` looks at how it ended
            self._changing = None

    def end_all(self) -> None:
        """End all faults that go on; episodes that have not begun never will."""
        for task in self._suffering:
            task.cancel()
        for fault, _ in list(self._ongoing):
            self.end(fault)

    def restart(self, member: Target) -> None:
        """Start a member that is down, before the fault ends that killed it."""
        victim = members_from(self.simulated, member)[0]
        if not (victim.is_alive or victim.is_removed or victim.is_joining):
            victim.start()

    def suffer(self, episodes: Iterable[Episode]) -> None:
        """Let each fault begin and end at its time, counted from now."""
        self._suffering += [asyncio.ensure_future(self._suffer(one)) for one in episodes]

    async def heal(self) -> None:
        """End all faults, and return when all members run and agree, in state as in hash.

        Raises ViolationError when they do not within a minute, or when something was broken.
        """
        self.end_all()
        suffering, self._suffering = self._suffering, []
        for outcome in await asyncio.gather(*suffering, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        await healing.heal(self.simulated, self._roster)
        self.check()

    async def _suffer(self, episode: Episode) -> None:
        await asyncio.sleep(episode.at_seconds)
        self.begin(episode.fault)
        await asyncio.sleep(episode.for_seconds)
        self.end(episode.fault)

    def _change(self) -> None:
        """One operator at a time. A cluster of one stays alone: it has no quorum any more from
        when it adds a member until that one starts, and nobody can then be asked who it was."""
        if self._changing is None and self._founders > 1:
            self._changing = asyncio.ensure_future(self._roster.run())

    # ------------------------------------------------------------------ calls

    async def record(self, scripts: Sequence[Iterable[Step]]) -> tuple[Operation, ...]:
        """Let one client a script take its steps, all at once; what they saw.

        For `check_linearizable`. Raises an ExceptionGroup of KvErrors for calls that can never
        succeed.
        """
        history = History()
        async with asyncio.TaskGroup() as tasks:
            for process, steps in enumerate(scripts):
                tasks.create_task(self._take(steps, process, history))
        return history.operations

    async def _take(self, steps: Iterable[Step], process: int, history: History) -> None:
        async with self.connect() as store:
            for step in steps:
                await history.perform(step, store, process=process)


def _ignore() -> None:
    pass
