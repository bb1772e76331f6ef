"""Judges every transaction of the store, in its order, as the store's own watch tells of it.

The watch is one of a client that nothing keeps from the members but their own faults; what it
misses would be a fault of the store.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby

from controlplane.simulation.addresses import Addresses
from controlplane.simulation.bindings import Bindings
from controlplane.simulation.budgets import Budgets
from controlplane.simulation.jobs import Jobs
from controlplane.simulation.ledger import Ledger
from controlplane.simulation.machines import Machines
from controlplane.simulation.rules import Moment, Rule
from controlplane.simulation.sizes import Sizes
from controlplane.simulation.world import World
from kvstore.client import Client, Event, EventType
from kvstore.testing.history import ViolationError

_LEADERS = b"/leaders/"


class Audit:
    """Of one run. `leaders`: how often somebody began to lead; `changes`: of objects."""

    def __init__(self, world: World) -> None:
        self.ledger = Ledger()
        self.moment = Moment()
        self.machines = Machines(lambda told: world.fail("a node", ViolationError(told)))
        self.bindings = Bindings()
        self.sizes = Sizes()
        self.jobs = Jobs()
        self.budgets = Budgets()
        self.leaders = 0
        self.changes = 0
        self._world = world
        self._rules: Sequence[Rule] = (
            self.machines,
            self.bindings,
            self.sizes,
            self.jobs,
            self.budgets,
            Addresses(),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Until it is left."""
        async with self._world.cluster.connect() as client:
            task = asyncio.ensure_future(self._follow(client))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])

    def is_current(self) -> bool:
        """Whether it has seen all that was ever written."""
        members = [one.member for one in self._world.cluster.members if one.member is not None]
        newest = max((one.node.machine.store.revision for one in members), default=0)
        return self.ledger.revision >= newest

    def check_counts(self) -> None:
        """At the end. Raises ViolationError."""
        self.jobs.check_counts(self.ledger)

    async def _follow(self, client: Client) -> None:
        try:
            async with client.watch(b"/", prefix=True, start_revision=1) as changes:
                async for batch in changes:
                    for revision, events in groupby(
                        batch.events, lambda event: event.kv.mod_revision
                    ):
                        self._judge(revision, list(events))
        except ViolationError as violation:
            self._world.fail("a promise is broken", violation)
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            self._world.fail("the audit has failed", error)

    def _judge(self, revision: int, events: Sequence[Event]) -> None:
        at = self._world.cluster.applied_at[revision]
        told = [(one.kv.key, one.kv.value if one.type is EventType.PUT else None) for one in events]
        self.leaders += sum(key.startswith(_LEADERS) for key, _ in told)
        step = self.ledger.apply(revision, at, told)
        self.changes += len(step.changes)
        for rule in self._rules:
            rule.see(step, self.ledger, self.moment)
