"""One simulated run of the whole control plane: people use it while everything fails; it heals.

    run(seed) → Report            the same seed gives the same trace hash, always

1. Three members, an API server, two candidates each for controllers and scheduler, four nodes.
   Users want one thing after the other while faults come and go.
2. All faults end, and users settle. Within CONVERGENCE_SECONDS all must be as they want it.
3. Calm: users go on for a while without any fault, and promises are judged without allowance for
   what somebody may not have heard yet; then all must be as they want it once more.

Every transaction of the store is judged in its order, from the first on.
"""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from random import Random

import msgspec

from controlplane.admission.priority import SYSTEM_CLASSES
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.apiserver.bootstrap import NAMESPACES
from controlplane.simulation import components, convergence, faults, templates
from controlplane.simulation.apiserver import ApiServer
from controlplane.simulation.audit import Audit
from controlplane.simulation.nodes import Node
from controlplane.simulation.report import Report
from controlplane.simulation.users import (
    Hands,
    Operator,
    Owner,
    Scientist,
    Tenant,
    User,
)
from controlplane.simulation.world import World
from kvstore.client.clock import AsyncioClock
from kvstore.testing.history import ViolationError
from kvstore.testing.simulation import faults as store_faults
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.scenario import fault_seconds

CANDIDATES = 2
NODES = 4
CONVERGENCE_SECONDS = 900.0
"""Back-offs of containers and Jobs that failed some times are up to 5 and 10 minutes."""
_SHOP = "shop"
_LOOK_SECONDS = 1.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one run is shaped. Times are simulated seconds."""

    trouble_seconds: float = 45.0
    calm_seconds: float = 15.0
    fault_gap_seconds: float = 1.5
    store_fault_gap_seconds: float = 4.0
    faults_at_a_time: int = 3


def run(seed: int, plan: Plan | None = None) -> Report:
    """Run one seed. Raises ViolationError when a promise is broken."""
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder, _quiet():
        return loop.run(lambda: _Scenario(seed, plan or Plan(), Path(folder)).run())


@cache
def _registry() -> Registry:
    return Registry.builtin()


@contextmanager
def _quiet() -> Iterator[None]:
    """Everybody complains a lot about faults."""
    loggers = [logging.getLogger(name) for name in ("kvstore", "controlplane")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


class _Scenario:
    def __init__(self, seed: int, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._random = Random(seed)
        self._world = world = World(self._random.getrandbits(64))
        self._audit = Audit(world)
        registry = _registry()
        self._api = ApiServer(registry)
        world.add("apiserver", self._api.main)
        for number in range(CANDIDATES):
            world.add(f"controllers-{number}", components.controllers(registry))
            world.add(f"scheduler-{number}", components.scheduler(registry))
        self._nodes = [
            Node(
                world,
                self._audit.machines,
                registry,
                f"node-{number}",
                folder / f"node-{number}",
                templates.script,
            )
            for number in range(NODES)
        ]
        self._acts: dict[str, int] = {}
        self._users = self._make_users()
        self._faults: Counter[str] = Counter()
        self._convergence: list[float] = []

    def _make_users(self) -> Sequence[User]:
        def hands() -> Hands:
            dice = Random(self._random.getrandbits(64))
            made = Hands(self._api, _registry(), AsyncioClock(), dice)
            made.done = self._acts
            return made

        return (
            Owner(hands(), _SHOP, "web"),
            Owner(hands(), _SHOP, "db"),
            Scientist(hands(), _SHOP, "sum", is_indexed=False),
            Scientist(hands(), _SHOP, "render", is_indexed=True),
            Operator(hands(), [one.name for one in self._nodes], _SHOP),
            Tenant(hands(), "tenant"),
        )

    async def run(self) -> Report:
        world = self._world
        await world.begin()
        async with self._audit.running():
            try:
                await self._play()
                deaths = sum(one.deaths for one in world.components)
            finally:
                await world.end()
        world.check()
        return self._report(deaths)

    async def _play(self) -> None:
        world = self._world
        await self._bootstrap()
        for component in world.components:
            component.start()
        async with self._trouble():
            await self._act(self._plan.trouble_seconds)
        await world.heal()
        await self._converge()
        self._audit.moment.calm_at = world.time()
        await self._act(self._plan.calm_seconds)
        await self._converge()
        self._audit.check_counts()

    async def _bootstrap(self) -> None:
        """What an API server makes when it first starts; rights are not asked for here."""
        api, registry = self._api, _registry()
        namespaces = registry.storage("", "namespaces")
        classes = registry.storage("scheduling.k8s.io", "priorityclasses")
        assert namespaces is not None
        assert classes is not None
        self._world.components[0].start()
        hands = Hands(api, registry, AsyncioClock(), self._world.random)
        for name in (*NAMESPACES, _SHOP):
            await hands.create("", "namespaces", {"metadata": {"name": name}})
        for name, value in SYSTEM_CLASSES.items():
            made: Object = {"metadata": {"name": name}, "value": value}
            await hands.create("scheduling.k8s.io", "priorityclasses", made)

    # ------------------------------------------------------------------------- phases

    async def _act(self, seconds: float) -> None:
        """Let all users work for so long, and settle."""
        until = self._world.time() + seconds

        async def use(user: User) -> None:
            await user.begin()
            while self._world.time() < until:
                await asyncio.sleep(self._random.random() * 6.0)
                await user.act()

        await self._all([asyncio.ensure_future(use(one)) for one in self._users], until)

    async def _all(self, tasks: "list[asyncio.Task[None]]", until: float) -> None:
        """Until all users have done what they wanted, or the time is over for those who wait."""
        try:
            while self._world.time() < until and not all(one.done() for one in tasks):
                await self._look()
        finally:
            for one in tasks:
                one.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    async def _look(self) -> None:
        await asyncio.sleep(_LOOK_SECONDS)
        self._world.check()

    async def _converge(self) -> None:
        """Raises ViolationError when it is not as it should be in time."""
        began = self._world.time()
        deadline = began + CONVERGENCE_SECONDS
        settling = [asyncio.ensure_future(one.settle()) for one in self._users]
        await self._all(settling, deadline)
        if not all(one.done() and not one.cancelled() for one in settling):
            raise ViolationError("users cannot settle: the API server does not do what they ask")
        while left := self._amiss():
            if self._world.time() > deadline:
                told = "; ".join(left[:5])
                raise ViolationError(f"not so {CONVERGENCE_SECONDS:.0f} s after healing: {told}")
            await self._look()
        self._convergence.append(self._world.time() - began)

    def _amiss(self) -> list[str]:
        if not self._audit.is_current():
            return ["the audit's watch is behind"]
        return list(convergence.amiss(self._audit.ledger, [one.look() for one in self._nodes]))

    # ------------------------------------------------------------------------- trouble

    @asynccontextmanager
    async def _trouble(self) -> AsyncIterator[None]:
        """Faults come and go; at the end none is left."""
        plan, random = self._plan, self._random
        injectors = [self._inject_store_faults(Random(random.getrandbits(64)))]
        injectors += [
            self._inject(Random(random.getrandbits(64))) for _ in range(plan.faults_at_a_time)
        ]
        tasks = [asyncio.ensure_future(one) for one in injectors]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    async def _inject(self, random: Random) -> None:
        while True:
            await asyncio.sleep(random.random() * 2 * self._plan.fault_gap_seconds)
            fault = faults.draw(random, self._world, self._nodes)
            self._note(fault.kind)
            await faults.suffer(random, fault)

    async def _inject_store_faults(self, random: Random) -> None:
        while True:
            await asyncio.sleep(random.random() * 2 * self._plan.store_fault_gap_seconds)
            fault = store_faults.draw(random, self._world.cluster)
            self._note(f"store: {fault.kind}")
            fault.begin()
            try:
                await asyncio.sleep(fault_seconds(random, fault))
            finally:
                fault.end()

    def _note(self, kind: str) -> None:
        self._faults[kind] += 1
        self._world.cluster.network.note(f"{self._world.time():.9f} {kind}")

    # -------------------------------------------------------------------------- report

    def _report(self, deaths: int) -> Report:
        audit, cluster = self._audit, self._world.cluster
        cluster.network.note(f"end {self._world.time():.9f} {audit.ledger.revision}")
        return Report(
            seconds=self._world.time(),
            convergence_seconds=self._convergence[0],
            convergence_seconds_max=max(self._convergence),
            revisions=audit.ledger.revision,
            changes=audit.changes,
            pods_made=audit.sizes.created + audit.jobs.created,
            pods_bound=audit.bindings.count,
            containers_started=audit.machines.started,
            replica_sets_made=audit.sizes.rollouts,
            jobs_finished=len(audit.jobs.finished),
            ready_pods_evicted=audit.budgets.evicted,
            leaders=audit.leaders,
            deaths=deaths,
            elections=len(cluster.safety.leaders),
            frames=cluster.network.delivered,
            acts=dict(self._acts),
            faults=dict(self._faults),
            trace_hash=cluster.network.trace.hexdigest(),
        )
