"""One simulated run: clients work while faults come and go, then everything is checked.

    run(seed) → Report            the same seed gives the same trace hash, always

The order of events comes from one seed; a failure prints the seed that repeats it.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

import msgspec

from kvstore.testing import history
from kvstore.testing.history import Operation, ViolationError, Write
from kvstore.testing.simulation import faults, healing, loop
from kvstore.testing.simulation.cluster import Observer, SimulatedCluster
from kvstore.testing.simulation.course import Course
from kvstore.testing.simulation.faults import Fault
from kvstore.testing.simulation.report import Report
from kvstore.testing.simulation.roster import Roster
from kvstore.testing.simulation.workload import Workload, check_leases

SIZES = (3, 5)
_FAULT_SECONDS_MAX = 6.0
_PATIENCE_SECONDS_MAX = 6.0  # for faults that take their time: until a member passes its point
FIRST_FAULT_PROBABILITY = 0.4
_CONTROL_OPERATIONS = 60
_LATE_SECONDS = 8.0  # a request lives 7 s: no change of the membership comes after them
_LONELY_SECONDS = 4.0  # two of the longest election timeouts


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one run is shaped. Times are simulated seconds.

    It goes on until all three minima are reached; one that cannot within `seconds_max` fails.
    """

    members: int = 0
    """0: three or five, by dice."""
    clients: int = 6
    operations_min: int = 200
    seconds_min: float = 30.0
    seconds_max: float = 300.0
    faults_min: int = 5
    faults_at_a_time: int = 2
    fault_gap_seconds: float = 1.5
    loss: float = 0.01
    snapshot_count: int = 40
    is_sync_removed: bool = False
    """Negative control: syncs return without making anything durable, and at the end, with no
    other fault before, all members lose power."""


class IdleRunError(AssertionError):
    """A run did too little to prove anything."""


class Recorder(Observer, Protocol):
    """Writes down what happens, for a story; must not change anything."""

    def begins(self, cluster: SimulatedCluster, by_client: Sequence[Sequence[Operation]]) -> None:
        """The run is about to begin; `by_client` grows with it."""

    def fault_begins(self, fault: Fault) -> None:
        """A fault begins."""

    def fault_ends(self, fault: Fault) -> None:
        """A fault ends."""


def run(seed: int, plan: Plan | None = None, recorder: Recorder | None = None) -> Report:
    """Run one seed. Raises ViolationError when a promise is broken, IdleRunError when it idled."""
    return loop.run(lambda: _Scenario(seed, plan or Plan(), recorder).run())


class _Scenario:
    def __init__(self, seed: int, plan: Plan, recorder: Recorder | None) -> None:
        self._plan = plan
        random = Random(seed)
        self._cluster = SimulatedCluster(
            random.getrandbits(64),
            size=plan.members or random.choice(SIZES),
            loss=plan.loss,
            snapshot_count=plan.snapshot_count,
            observer=recorder,
        )
        self._dice = [Random(random.getrandbits(64)) for _ in range(plan.faults_at_a_time)]
        self._random = random
        self._workload = Workload(
            self._cluster, Random(random.getrandbits(64)), clients=plan.clients
        )
        self._faults: Counter[str] = Counter()
        self._completed: Counter[str] = Counter()
        self._suffering: list[asyncio.Task[None]] = []
        self._recorder = recorder
        self._roster = Roster(self._cluster, Random(random.getrandbits(64)), self._on_change)

    def _on_change(self) -> None:
        """The cluster has confirmed a change of its membership."""
        change = faults.MembershipChange()
        self._faults[change.kind] += 1
        if self._recorder is not None:
            self._recorder.fault_begins(change)
            self._recorder.fault_ends(change)

    async def run(self) -> Report:
        asyncio.get_running_loop().set_exception_handler(self._cluster.on_loop_error)
        if self._recorder is not None:
            self._recorder.begins(self._cluster, self._workload.by_client)
        try:
            return await self._run()
        except AssertionError as violation:
            if self._recorder is not None:
                self._recorder.violated(str(violation))
            raise

    async def _run(self) -> Report:
        await self._begin()
        watching = asyncio.ensure_future(self._workload.watch())
        await self._workload.run(self._is_enough)
        if self._plan.is_sync_removed:
            self._lose_power()
        await self._heal()
        writes = self._read_history()
        history.check(self._workload.operations, writes)
        await self._check_watch(watching, writes)
        writes = await self._until_leases_expired()
        check_leases(self._workload.leased, writes, self._cluster.applied_at)
        await self._come_back()
        report = self._report()
        self._require_enough(report)
        return report

    def _is_enough(self) -> bool:
        plan, now = self._plan, _now()
        if plan.is_sync_removed:
            return self._workload.count >= _CONTROL_OPERATIONS
        is_enough = (
            now >= plan.seconds_min
            and self._workload.count >= plan.operations_min
            and self._faults.total() >= plan.faults_min
        )
        return is_enough or now >= plan.seconds_max

    # ------------------------------------------------------------------ faults

    async def _begin(self) -> None:
        """Start all members. What is wrong in the very first start must be so before it."""
        is_faulty = not self._plan.is_sync_removed
        if is_faulty and self._random.random() < FIRST_FAULT_PROBABILITY:
            self._spawn(self._suffer(self._random, faults.draw_first(self._random, self._cluster)))
            await asyncio.sleep(0)
        for member in self._cluster.members:
            member.start()
        if not is_faulty:
            await self._remove_sync()
        else:
            for dice in self._dice:
                self._spawn(self._inject(dice))
            self._spawn(self._roster.run())

    def _spawn(self, suffering: Any) -> None:
        self._suffering.append(asyncio.ensure_future(suffering))

    async def _inject(self, random: Random) -> None:
        """One fault after the other, with a pause before each."""
        while True:
            await asyncio.sleep(random.random() * 2 * self._plan.fault_gap_seconds)
            await self._suffer(random, faults.draw(random, self._cluster))

    async def _suffer(self, random: Random, fault: Fault) -> None:
        self._faults[fault.kind] += 1
        if self._recorder is not None:
            self._recorder.fault_begins(fault)
        fault.begin()
        try:
            await asyncio.sleep(fault_seconds(random, fault))
        finally:
            fault.end()
            if isinstance(fault, Course) and fault.is_complete:
                self._completed[fault.kind] += 1
            if self._recorder is not None:
                self._recorder.fault_ends(fault)

    async def _remove_sync(self) -> None:
        """Once all have started well: what a member is, is durable; what it acknowledges, not."""
        await healing.until_agreed(self._cluster)
        for member in self._cluster.members:
            member.files.lies_about_sync = True

    def _lose_power(self) -> None:
        self._cluster.forget_observed()
        for member in self._cluster.members:
            member.crash()

    async def _heal(self) -> None:
        """No faults any more: within a minute all members agree."""
        for task in self._suffering:
            task.cancel()
        for outcome in await asyncio.gather(*self._suffering, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        await asyncio.sleep(_LATE_SECONDS)
        await healing.heal(self._cluster, self._roster)

    # ------------------------------------------------------------------ checks

    def _read_history(self) -> list[Write]:
        member = self._cluster.members[0].member
        assert member is not None
        return [
            Write(
                event.kv.mod_revision,
                event.kv.key,
                None if event.kv.is_tombstone else event.kv.value,
            )
            for event in member.node.machine.store.events_since(1)
        ]

    async def _check_watch(self, watching: "asyncio.Task[None]", writes: list[Write]) -> None:
        """The watcher got every write, once and in order."""
        deadline = _now() + healing.HEAL_SECONDS
        watched = self._workload.watched
        while len(watched) < len(writes) and _now() < deadline:
            self._cluster.check_alive()
            if watching.done():
                watching.result()
            await asyncio.sleep(0.1)
        watching.cancel()
        if watched[: len(writes)] != writes:  # a lease may have ended meanwhile
            raise ViolationError(
                f"the watcher got {len(watched)} events, the store has {len(writes)}"
            )

    async def _until_leases_expired(self) -> list[Write]:
        """The history once no lease is left, or a minute later."""
        deadline = _now() + healing.HEAL_SECONDS
        while _now() < deadline:
            self._cluster.check_alive()
            nodes = [m.member.node for m in self._cluster.members if m.member is not None]
            if not any(node.machine.lessor.leases() for node in nodes):
                break
            await asyncio.sleep(0.5)
        return self._read_history()

    async def _come_back(self) -> None:
        """Nothing else is wrong, and one member is cut off for some election timeouts: neither
        that nor its return costs the leadership or a term (dissertation, 4.2.3 and 9.6)."""
        await healing.until_agreed(self._cluster)
        leader, cluster = self._cluster.leader(), self._cluster
        assert leader is not None
        assert leader.member is not None
        raft = leader.member.node.raft
        others = [m for m in cluster.members if m is not leader]
        ids = {member.member_id for member in cluster.members}
        others = [m for m in others if raft.state.quorum.is_reached_by(ids - {m.member_id})]
        if not others:
            return  # of two members neither can do without the other
        lonely, term = self._random.choice(others), raft.term
        here = lonely.member_id
        links = [link for id_ in ids - {here} for link in ((here, id_), (id_, here))]
        cut = faults.Cut("cut off", cluster.network, (lonely,), links)
        cut.begin()
        await asyncio.sleep(_LONELY_SECONDS)
        cut.end()
        await asyncio.sleep(_LONELY_SECONDS)
        await healing.until_agreed(self._cluster)
        if cluster.leader() is not leader or raft.term != term:
            raise ViolationError(
                f"a member that came back has disturbed term {term}, now it is {raft.term}"
            )

    def _report(self) -> Report:
        cluster, workload = self._cluster, self._workload
        cluster.check_alive()
        operations = workload.operations
        unknown = sum(operation.completed is None for operation in operations)
        cluster.network.note(f"end {_now():.9f} {len(operations)} {unknown}")
        ever = cluster.members + cluster.former
        renames = sum(m.points_passed.get("snapshot rename", 0) for m in ever)
        return Report(
            members=len(cluster.members),
            seconds=_now(),
            operations=len(operations),
            unknown=unknown,
            reads_across_elections=_reads_across(operations, cluster.leader_changes),
            events_watched=len(workload.watched),
            leases_expired=len(workload.leased),
            batches_observed=cluster.batches_observed,
            elections=len(cluster.safety.leaders),
            terms=cluster.safety.term_max,
            snapshots_taken=renames - cluster.wire.snapshots_stored,
            snapshots_sent=cluster.wire.snapshots_sent,
            snapshots_installed=sum(member.installs for member in ever),
            torn_tails=sum(member.files.torn_tails for member in ever),
            frames_delivered=cluster.network.delivered,
            frames_lost=cluster.network.lost,
            faults=dict(self._faults),
            completed=dict(self._completed),
            crashes=dict(cluster.crashes),
            trace_hash=cluster.network.trace.hexdigest(),
        )

    def _require_enough(self, report: Report) -> None:
        plan = self._plan
        if plan.is_sync_removed:
            return
        if (
            report.seconds < plan.seconds_min
            or report.operations < plan.operations_min
            or report.fault_count < plan.faults_min
        ):
            raise IdleRunError(
                f"only {report.seconds:.0f} s, {report.operations} operations and"
                f" {report.fault_count} faults"
            )


def fault_seconds(random: Random, fault: Fault) -> float:
    """Many are short: who is back at once meets those who have not noticed."""
    seconds = float(random.random() ** 2) * _FAULT_SECONDS_MAX
    if isinstance(fault, faults.CrashAtPoint | Course):
        seconds += random.random() * _PATIENCE_SECONDS_MAX
    return seconds


def _reads_across(operations: Sequence[Operation], leader_changes: Sequence[float]) -> int:
    """How many reads were under way when a new leader was first seen."""
    return sum(
        operation.completed is not None
        and bisect_left(leader_changes, operation.invoked)
        < bisect_left(leader_changes, operation.completed)
        for operation in operations
        if operation.kind == "get"
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
