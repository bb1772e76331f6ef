"""The clients of a simulated run: what they ask for, and what they are told.

All use the production client. Some write and read a few keys, one lets keys go with their leases,
one watches everything from the first revision on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import msgspec

from kvstore import client
from kvstore.errors import KvError, LeaseNotFoundError, UnavailableError
from kvstore.testing.history import Operation, ViolationError, Write
from kvstore.testing.simulation.cluster import SimulatedCluster

_PREFIX = b"k"
KEYS = tuple(_PREFIX + b"%d" % number for number in range(4))
KINDS = ("put", "put", "get", "get", "get", "cas", "delete")
_PAUSE_SECONDS_MAX = 2.4
_TTL_SECONDS = (2, 6)
# A lease is timed by the leader's clock, which may be that much too fast, and some.
_CLOCK_ERROR_MAX = 0.02


class LeasedKey(msgspec.Struct, frozen=True):
    """A key that nobody renews the lease of. `asked_at`: when the lease was asked for."""

    key: bytes
    asked_at: float
    ttl_seconds: int


class Workload:
    """Clients, and what they remember."""

    def __init__(self, cluster: SimulatedCluster, random: Random, clients: int) -> None:
        self.by_client: list[list[Operation]] = [[] for _ in range(clients)]
        """Operations in the order in which each client began them; the last one leases."""
        self.watched: list[Write] = []
        self.leased: list[LeasedKey] = []
        self._cluster = cluster
        self._dice = [Random(random.getrandbits(64)) for _ in range(clients)]

    @property
    def operations(self) -> list[Operation]:
        """All of all clients."""
        return [operation for operations in self.by_client for operation in operations]

    @property
    def count(self) -> int:
        """How many operations have begun."""
        return sum(map(len, self.by_client))

    async def run(self, is_enough: Callable[[], bool]) -> None:
        """Let all clients work until it is enough and their last calls have ended."""
        *workers, leaser = range(len(self.by_client))
        working = [self._work(number, is_enough) for number in workers]
        await asyncio.gather(*working, self._lease(leaser, is_enough))

    async def watch(self) -> None:
        """Watch everything, across all faults."""
        async with (
            self._cluster.connect() as store,
            store.watch(_PREFIX, prefix=True, start_revision=1) as changes,
        ):
            async for batch in changes:
                for event in batch.events:
                    is_put = event.type is client.EventType.PUT
                    value = event.kv.value if is_put else None
                    self.watched.append(Write(event.kv.mod_revision, event.kv.key, value))

    # ------------------------------------------------------------------ keys

    async def _work(self, number: int, is_enough: Callable[[], bool]) -> None:
        random = self._dice[number]
        async with self._cluster.connect() as store:
            while not is_enough():
                await asyncio.sleep(pause_seconds(random))
                self._cluster.check_alive()
                kind = random.choice(KINDS)
                value = b"" if kind == "get" else self._next_value(number)
                operation = self._begin(number, kind, random.choice(KEYS), value)
                await _outcome_of(operation, self._call(store, operation))

    def _next_value(self, number: int) -> bytes:
        """No value is written twice, so that each tells who wrote it."""
        return b"%d.%d" % (number, len(self.by_client[number]))

    def _begin(self, number: int, kind: str, key: bytes, value: bytes) -> Operation:
        operation = Operation(kind=kind, key=key, value=value, invoked=_now())
        self.by_client[number].append(operation)
        return operation

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
                await self._compare_and_set(store, operation)

    async def _compare_and_set(self, store: client.Client, operation: Operation) -> None:
        before = await store.get_range(operation.key)
        version = before.kvs[0].mod_revision if before.kvs else 0
        operation.invoked = _now()
        answer = await (
            store.txn()
            .when(client.ModRevision(operation.key) == version)
            .then(client.put(operation.key, operation.value))
            .commit()
        )
        operation.revision = answer.header.revision
        operation.is_effective = answer.succeeded

    # ------------------------------------------------------------------ leases

    async def _lease(self, number: int, is_enough: Callable[[], bool]) -> None:
        """Puts keys under leases, and never thinks of them again."""
        random = self._dice[number]
        async with self._cluster.connect() as store:
            while not is_enough():
                await asyncio.sleep(random.random() * _PAUSE_SECONDS_MAX)
                asked_at = _now()
                try:
                    granted = await store.leases.grant(random.randrange(*_TTL_SECONDS))
                except UnavailableError:
                    continue
                value = self._next_value(number)
                key = _PREFIX + b"leased" + value
                operation = self._begin(number, "put", key, value)
                putting = store.put(key, value, lease=granted.lease_id)
                await _outcome_of(operation, _revision_of(operation, putting))
                if operation.completed is not None:
                    self.leased.append(LeasedKey(key, asked_at, granted.ttl_seconds))


async def _revision_of(operation: Operation, putting: Awaitable[client.PutResponse]) -> None:
    operation.revision = (await putting).header.revision


async def _outcome_of(operation: Operation, calling: Awaitable[None]) -> None:
    """Await a call and write down that it has ended; without an outcome it never does."""
    try:
        await calling
    except (UnavailableError, LeaseNotFoundError):
        return
    except KvError as error:
        raise ViolationError(f"{operation} failed: {error!r}") from error
    operation.completed = _now()


def check_leases(
    leased: Sequence[LeasedKey], writes: Sequence[Write], applied_at: dict[int, float]
) -> None:
    """Every leased key was deleted, and none before its time.

    `applied_at`: simulated seconds at which a revision was first applied anywhere. Raises
    ViolationError.
    """
    deleted = {write.key: write.revision for write in writes if write.value is None}
    for lease in leased:
        if lease.key not in deleted:
            raise ViolationError(f"{lease.key!r} has outlived its lease")
        lasted_seconds = applied_at[deleted[lease.key]] - lease.asked_at
        if lasted_seconds < lease.ttl_seconds * (1 - _CLOCK_ERROR_MAX):
            raise ViolationError(f"{lease.key!r} lasted {lasted_seconds:.3f} s: {lease}")


def pause_seconds(random: Random) -> float:
    """Mostly short: what overlaps is what goes wrong."""
    return float(random.random() ** 3) * _PAUSE_SECONDS_MAX


def _now() -> float:
    return asyncio.get_running_loop().time()
