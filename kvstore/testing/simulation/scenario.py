"""One simulated run: clients work while faults come and go, then everything is checked.

    run(seed) → Report            the same seed gives the same trace hash, always

The order of events comes from one seed; a failure prints the seed that repeats it.
"""

import asyncio
from random import Random

import msgspec

from kvstore import client
from kvstore.errors import KvError, UnavailableError
from kvstore.testing import history
from kvstore.testing.history import Operation, ViolationError, Write
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.cluster import SimulatedCluster, SimulatedMember

_KEYS = tuple(b"k%d" % number for number in range(4))
_HEAL_SECONDS = 60.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one run is shaped. Times are simulated seconds."""

    members: int = 3
    clients: int = 3
    operations_per_client: int = 40
    loss: float = 0.01
    fault_gap_seconds: float = 3.0
    down_seconds_max: float = 4.0
    snapshot_count: int = 40
    # Negative control: syncs return without making anything durable, and at the end, with no other
    # fault before, all members lose power.
    is_sync_removed: bool = False


class Report(msgspec.Struct, kw_only=True):
    """What a run did."""

    seed: int
    trace_hash: str = ""
    seconds: float = 0.0
    operations: int = 0
    unknown: int = 0
    crashes: int = 0
    partitions: int = 0
    events_watched: int = 0
    batches_observed: int = 0


def run(seed: int, plan: Plan | None = None) -> Report:
    """Run one seed. Raises ViolationError when a promise is broken."""
    return loop.run(lambda: _Scenario(seed, plan or Plan()).run())


class _Scenario:
    def __init__(self, seed: int, plan: Plan) -> None:
        self._plan = plan
        self._cluster = SimulatedCluster(
            seed, size=plan.members, snapshot_count=plan.snapshot_count
        )
        self._random = Random(self._cluster.random.getrandbits(64))
        self._operations: list[Operation] = []
        self._watched: list[Write] = []
        self._report = Report(seed=seed)

    async def run(self) -> Report:
        cluster, plan = self._cluster, self._plan
        for member in cluster.members:
            member.start()
        if plan.is_sync_removed:
            await self._remove_sync()
        cluster.network.faults.loss = plan.loss
        watching = asyncio.ensure_future(self._watch())
        faults = asyncio.ensure_future(self._inject()) if not plan.is_sync_removed else None
        workers = [asyncio.ensure_future(self._work(n)) for n in range(plan.clients)]
        await asyncio.gather(*workers)
        if faults is None:
            await self._lose_power()
        else:
            faults.cancel()
        await self._heal()
        writes = await self._read_history()
        history.check(self._operations, writes)
        await self._check_watch(watching, writes)
        self._fill_report()
        return self._report

    # ------------------------------------------------------------------ clients

    async def _work(self, number: int) -> None:
        random = Random(self._random.getrandbits(64))
        async with self._cluster.connect() as store:
            for count in range(self._plan.operations_per_client):
                await asyncio.sleep(random.random() * 0.5)
                self._cluster.check_alive()
                key = random.choice(_KEYS)
                value = b"%d.%d" % (number, count)
                await self._operate(random, store, key, value)

    async def _operate(
        self, random: Random, store: client.Client, key: bytes, value: bytes
    ) -> None:
        kind = random.choice(("put", "put", "get", "get", "cas", "delete"))
        operation = Operation(kind=kind, key=key, value=value, invoked=self._now())
        if kind == "get":
            operation.value = b""
        self._operations.append(operation)
        try:
            await self._call(store, operation)
        except UnavailableError:
            self._report.unknown += 1
            return
        except KvError as error:
            raise ViolationError(f"{operation} failed: {error!r}") from error
        operation.completed = self._now()

    async def _call(self, store: client.Client, operation: Operation) -> None:
        key = operation.key
        match operation.kind:
            case "put":
                operation.revision = (await store.put(key, operation.value)).header.revision
            case "delete":
                deleted = await store.delete(key)
                operation.revision = deleted.header.revision
                operation.is_effective = deleted.deleted > 0
            case "get":
                found = await store.get_range(key)
                operation.revision = found.header.revision
                if found.kvs:
                    operation.value = found.kvs[0].value
                    operation.mod_revision = found.kvs[0].mod_revision
            case _:
                before = await store.get_range(key)
                version = before.kvs[0].mod_revision if before.kvs else 0
                operation.invoked = self._now()
                answer = await (
                    store.txn()
                    .when(client.ModRevision(key) == version)
                    .then(client.put(key, operation.value))
                    .commit()
                )
                operation.revision = answer.header.revision
                operation.is_effective = answer.succeeded

    async def _watch(self) -> None:
        """Watch everything from the first revision on, across all faults."""
        async with (
            self._cluster.connect() as store,
            store.watch(b"k", prefix=True, start_revision=1) as changes,
        ):
            async for batch in changes:
                for event in batch.events:
                    is_put = event.type is client.EventType.PUT
                    value = event.kv.value if is_put else None
                    self._watched.append(Write(event.kv.mod_revision, event.kv.key, value))

    # ------------------------------------------------------------------ faults

    async def _inject(self) -> None:
        """Crash one member, or cut one off in one or both directions, and mend it later."""
        while True:
            await asyncio.sleep(self._random.random() * 2 * self._plan.fault_gap_seconds)
            victim = self._random.choice(self._cluster.members)
            down_seconds = self._random.random() * self._plan.down_seconds_max
            if self._random.random() < 0.5:
                await self._crash(victim, down_seconds)
            else:
                await self._cut_off(victim, down_seconds)

    async def _crash(self, victim: SimulatedMember, down_seconds: float) -> None:
        self._report.crashes += 1
        victim.crash()
        await asyncio.sleep(down_seconds)
        victim.start()

    async def _cut_off(self, victim: SimulatedMember, down_seconds: float) -> None:
        self._report.partitions += 1
        network = self._cluster.network
        direction = self._random.randrange(3)  # in, out, both
        for other in self._cluster.members:
            if other is not victim and direction != 0:
                network.cut(victim.member_id, other.member_id)
            if other is not victim and direction != 1:
                network.cut(other.member_id, victim.member_id)
        await asyncio.sleep(down_seconds)
        network.heal()

    async def _remove_sync(self) -> None:
        """Once all have started well: what a member is, is durable; what it acknowledges, not."""
        await self._until_agreed()
        for member in self._cluster.members:
            member.files.lies_about_sync = True

    async def _lose_power(self) -> None:
        self._cluster.forget_observed()
        for member in self._cluster.members:
            if member.is_alive:
                self._report.crashes += 1
                member.crash()

    async def _heal(self) -> None:
        """No faults any more: within a minute all members agree."""
        self._cluster.network.heal()
        self._cluster.network.faults.loss = 0.0
        for member in self._cluster.members:
            member.files.lies_about_sync = False
            if not member.is_alive:
                member.start()
        await self._until_agreed()

    async def _until_agreed(self) -> None:
        deadline = self._now() + _HEAL_SECONDS
        while not self._agree():
            self._cluster.check_alive()
            if self._now() > deadline:
                raise ViolationError("the members do not agree a minute after the last fault")
            await asyncio.sleep(0.1)

    def _agree(self) -> bool:
        nodes = [m.member.node for m in self._cluster.members if m.member is not None]
        if len(nodes) < len(self._cluster.members) or self._cluster.leader() is None:
            return False
        commits = {node.raft.commit_index for node in nodes}
        applied = {node.machine.applied_index for node in nodes}
        hashes = {node.machine.store.hash_kv(0) for node in nodes}
        return commits == applied and len(applied) == 1 and len(hashes) == 1

    # ------------------------------------------------------------------ checks

    async def _read_history(self) -> list[Write]:
        member = self._cluster.members[0].member
        assert member is not None
        events = member.node.machine.store.events_since(1)
        return [
            Write(
                event.kv.mod_revision,
                event.kv.key,
                None if event.kv.is_tombstone else event.kv.value,
            )
            for event in events
        ]

    async def _check_watch(self, watching: "asyncio.Task[None]", writes: list[Write]) -> None:
        """The watcher got every write, once and in order."""
        deadline = self._now() + _HEAL_SECONDS
        while len(self._watched) < len(writes) and self._now() < deadline:
            if watching.done():
                watching.result()
            await asyncio.sleep(0.1)
        watching.cancel()
        if self._watched != writes:
            raise ViolationError(
                f"the watcher got {len(self._watched)} events, the store has {len(writes)}"
            )

    def _fill_report(self) -> None:
        report, cluster = self._report, self._cluster
        report.seconds = self._now()
        report.operations = len(self._operations)
        report.events_watched = len(self._watched)
        report.batches_observed = cluster.batches_observed
        cluster.network.note(f"end {self._now():.9f} {report.operations} {report.unknown}")
        report.trace_hash = cluster.network.trace.hexdigest()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
