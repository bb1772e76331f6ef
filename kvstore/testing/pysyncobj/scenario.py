"""One run of PySyncObj: the profile of faults and the workload of our own simulation, then a look.

    run(seed) → Report            the same seed gives the same trace hash and findings, always

Not part of it: changes of the membership, leases, watches. Its settings are PySyncObj's defaults,
but that it compacts as often as ours, and without a fork.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec

from kvstore.testing.history import Write
from kvstore.testing.pysyncobj.cluster import ControlCluster
from kvstore.testing.pysyncobj.doors import Doors
from kvstore.testing.pysyncobj.verdict import Finding, judge
from kvstore.testing.pysyncobj.workload import Workload
from kvstore.testing.simulation import faults, healing, loop, scenario
from kvstore.testing.simulation.faults import Fault
from kvstore.testing.simulation.worst import Worst

_LOOK_SECONDS = 0.1


class Plan(scenario.Plan, frozen=True, kw_only=True):
    """How one run is shaped: as ours is."""

    has_faults: bool = True
    """False, with `loss=0.0`: a control of the control."""
    is_power_kept: bool = False
    """Members that crash are killed, and nothing that they wrote is lost."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did, and what is wrong."""

    seed: int
    findings: tuple[Finding, ...]
    members: int
    seconds: float
    operations: int
    unknown: int
    faults: dict[str, int]
    crashes: dict[str, int]
    logged: dict[str, int]
    """What PySyncObj itself complained about, and how often."""
    trace_hash: str

    @property
    def finding(self) -> Finding | None:
        """The first that is about safety; failing that, the first."""
        return self.findings[0] if self.findings else None


def run(seed: int, plan: Plan | None = None) -> Report:
    """Run one seed."""
    doors = Doors()
    with doors.opened(), _listening() as logged:
        return loop.run(lambda: _Scenario(seed, plan or Plan(), doors, logged).run())


class _Scenario:
    def __init__(self, seed: int, plan: Plan, doors: Doors, logged: Counter[str]) -> None:
        self._seed = seed
        self._plan = plan
        self._logged = logged
        random = Random(seed)
        self._cluster = ControlCluster(
            random.getrandbits(64),
            doors,
            size=plan.members or random.choice(scenario.SIZES),
            loss=plan.loss,
            snapshot_count=plan.snapshot_count,
            is_power_kept=plan.is_power_kept,
        )
        self._dice = [Random(random.getrandbits(64)) for _ in range(plan.faults_at_a_time)]
        self._random = random
        self._workload = Workload(self._cluster, Random(random.getrandbits(64)), plan.clients)
        self._faults: Counter[str] = Counter()
        self._suffering: list[asyncio.Task[None]] = []
        self._strays: list[BaseException] = []

    async def run(self) -> Report:
        asyncio.get_running_loop().set_exception_handler(self._on_stray_error)
        await self._begin()
        await self._workload.run(self._is_enough)
        histories = await self._heal()
        await self._workload.read_everything()
        self._check_sane()
        operations = self._workload.operations
        unknown = sum(operation.completed is None for operation in operations)
        self._cluster.network.note(f"end {_now():.9f} {len(operations)} {unknown}")
        return Report(
            seed=self._seed,
            findings=tuple(judge(operations, histories, self._cluster.errors)),
            members=len(self._cluster.members),
            seconds=_now(),
            operations=len(operations),
            unknown=unknown,
            faults=dict(self._faults),
            crashes=dict(self._cluster.crashes),
            logged=dict(self._logged),
            trace_hash=self._cluster.network.trace.hexdigest(),
        )

    def _on_stray_error(self, event_loop: asyncio.AbstractEventLoop, context: Any) -> None:
        error = context.get("exception")
        if error is not None:
            self._strays.append(error)
        else:
            event_loop.default_exception_handler(context)

    def _check_sane(self) -> None:
        """What fails outside of PySyncObj's code is a fault of the control."""
        for error in self._strays:
            raise error

    def _is_enough(self) -> bool:
        self._check_sane()
        plan, now = self._plan, _now()
        is_enough = (
            now >= plan.seconds_min
            and self._workload.count >= plan.operations_min
            and (self._faults.total() >= plan.faults_min or not plan.has_faults)
        )
        return is_enough or now >= plan.seconds_max

    async def _begin(self) -> None:
        """As in our own: what is wrong in the very first start is so before it."""
        random, is_faulty = self._random, self._plan.has_faults
        if is_faulty and random.random() < scenario.FIRST_FAULT_PROBABILITY:
            self._spawn(self._suffer(random, faults.draw_first(random, self._cluster)))
            await asyncio.sleep(0)
        for member in self._cluster.members:
            member.start()
        if is_faulty:
            for dice in self._dice:
                self._spawn(self._inject(dice))

    def _spawn(self, suffering: Coroutine[Any, Any, None]) -> None:
        self._suffering.append(asyncio.ensure_future(suffering))

    async def _inject(self, random: Random) -> None:
        """One fault after the other, with a pause before each."""
        while True:
            await asyncio.sleep(random.random() * 2 * self._plan.fault_gap_seconds)
            await self._suffer(random, faults.draw(random, self._cluster))

    async def _suffer(self, random: Random, fault: Fault) -> None:
        self._faults[fault.kind] += 1
        fault.begin()
        try:
            await asyncio.sleep(scenario.fault_seconds(random, fault))
        finally:
            fault.end()

    async def _heal(self) -> list[list[Write]] | None:
        """No faults any more: what each member holds once all agree, None if they never do."""
        for task in self._suffering:
            task.cancel()
        for outcome in await asyncio.gather(*self._suffering, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        self._cluster.network.loss = Worst(0.0)
        for member in self._cluster.members:
            if not member.is_alive:
                member.start()
        deadline = _now() + healing.HEAL_SECONDS
        while not self._cluster.agree():
            if _now() > deadline:
                return None
            await asyncio.sleep(_LOOK_SECONDS)
        return [m.store.history() for m in self._cluster.members if m.store is not None]


class _Listener(logging.Handler):
    """Counts what PySyncObj logs, but for deaths that it takes for errors of its own."""

    def __init__(self, logged: Counter[str]) -> None:
        super().__init__(logging.WARNING)
        self._logged = logged

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or isinstance(error, Exception):
            what = f": {type(error).__name__}: {error}" if error is not None else ""
            self._logged[f"{record.msg}{what}"] += 1


@contextmanager
def _listening() -> Iterator[Counter[str]]:
    logged: Counter[str] = Counter()
    logger, listener = logging.getLogger("pysyncobj"), _Listener(logged)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield logged
    finally:
        logger.removeHandler(listener)
        logger.propagate = before


def _now() -> float:
    return asyncio.get_running_loop().time()
