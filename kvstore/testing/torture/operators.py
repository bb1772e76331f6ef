"""A recording client: random operations on ten keys at a time, each with what came of it.

A new ten once a few thousand operations were done, so that checking each key stays cheap.
"""

import asyncio
import time
from random import Random
from typing import Literal

import msgspec

from kvstore import client
from kvstore.commands import Compare
from kvstore.errors import KvError, UnavailableError
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.recorder import Recorder

KEYS = 10
OPERATIONS_PER_TEN_KEYS = 4_000
_KINDS: tuple[Literal["put", "get", "delete", "cas", "read written"], ...] = (
    *("put", "put"),
    *("get", "get"),
    *("cas", "cas"),  # reads first
    "delete",
    "read written",  # what the writers wrote
)
_LATELY_WRITTEN = 64  # a few rounds of the writers: what a fault may have caught under way
_PAUSE_SECONDS = 0.03  # between two operations of a client, on average


class Operator:
    """One recording client: its next operation, and what is known of it afterwards."""

    def __init__(self, number: int, recorder: Recorder, prefix: bytes, random: Random) -> None:
        self._number = number
        self._prefix = prefix
        self._recorder = recorder
        self._random = random
        self._count = 0

    async def next(self, store: client.Client) -> None:
        """Pause, do one operation (a cas reads first) and record it."""
        await asyncio.sleep(self._random.expovariate(1 / _PAUSE_SECONDS))
        ten = len(self._recorder.operations) // OPERATIONS_PER_TEN_KEYS
        key = b"%s%d/%d" % (self._prefix, ten, self._random.randrange(KEYS))
        match self._random.choice(_KINDS):
            case "put":
                await self._do(store, self._begin("put", key, value=self._next_value()))
            case "get":
                await self._do(store, self._begin("get", key))
            case "delete":
                await self._do(store, self._begin("delete", key))
            case "read written":
                await self._do(store, self._begin("get", self._some_written() or key))
            case "cas":
                await self._compare_and_set(store, key)

    async def _compare_and_set(self, store: client.Client, key: bytes) -> None:
        found = await self._do(store, self._begin("get", key))
        if found.completed is None:
            return
        cas = self._begin("cas", key, value=self._next_value())
        if self._random.random() < 0.5 and found.value is not None:
            cas = msgspec.structs.replace(cas, expected_value=found.value)
        else:
            cas = msgspec.structs.replace(cas, expected_revision=found.mod_revision)
        await self._do(store, cas)

    def _begin(
        self, kind: Literal["put", "get", "delete", "cas"], key: bytes, value: bytes | None = None
    ) -> Operation:
        return Operation(
            process=self._number, kind=kind, key=key, value=value, invoked=time.monotonic()
        )

    def _some_written(self) -> bytes | None:
        """A key of the writers, answered or not: one of all, or one of the last."""
        keys = self._recorder.written_keys
        if not keys:
            return None
        first = max(len(keys) - _LATELY_WRITTEN, 0) if self._random.random() < 0.5 else 0
        return keys[self._random.randrange(first, len(keys))]

    def _next_value(self) -> bytes:
        """No value is written twice, so that each tells who wrote it."""
        self._count += 1
        return b"%d.%d" % (self._number, self._count)

    async def _do(self, store: client.Client, operation: Operation) -> Operation:
        """Do it and record it; the operation with its answer, or without one."""
        try:
            done, term = await _ask(store, operation)
        except UnavailableError as error:
            if error.may_have_been_applied or operation.kind == "get":
                self._recorder.record(operation)
            elif operation.value is not None:
                self._recorder.refused.add(operation.value)
            return operation
        except asyncio.CancelledError:
            self._recorder.record(operation)
            raise
        except KvError as error:
            raise ViolationError(f"{operation.told()}: refused with {error!r}") from error
        self._recorder.record(done, term=term)
        return done


async def _ask(store: client.Client, operation: Operation) -> tuple[Operation, int]:
    """Call the cluster; the operation with its answer, and the term that it was given in."""
    key, value = operation.key, operation.value
    facts: dict[str, object] = {}
    match operation.kind:
        case "put":
            assert value is not None
            header = (await store.put(key, value)).header
        case "get":
            found = await store.get_range(key)
            header = found.header
            if found.kvs:
                facts = {"value": found.kvs[0].value, "mod_revision": found.kvs[0].mod_revision}
        case "delete":
            deleted = await store.delete(key)
            header = deleted.header
            facts = {"succeeded": deleted.deleted > 0}
        case "cas":
            assert value is not None
            txn = store.txn().when(_condition(operation)).then(client.put(key, value))
            answer = await txn.commit()
            header = answer.header
            facts = {"succeeded": answer.succeeded}
    done = msgspec.structs.replace(
        operation, completed=time.monotonic(), revision=header.revision, **facts
    )
    return done, header.raft_term


def _condition(cas: Operation) -> Compare:
    if cas.expected_value is not None:
        return client.Value(cas.key) == cas.expected_value
    assert cas.expected_revision is not None
    return client.ModRevision(cas.key) == cas.expected_revision
