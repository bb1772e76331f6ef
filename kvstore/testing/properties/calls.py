"""Calls on keys as data, and the history that a checker judges: who asked for what, and what came.

history = History()
await history.perform(Put(key=b"a", value=b"1"), client, process=0)
check_linearizable(history.operations)
"""

import asyncio
from collections.abc import Iterable
from typing import Any, assert_never

import msgspec

from kvstore import client
from kvstore.errors import KvError, LeaseNotFoundError, UnavailableError
from kvstore.testing import linearizability
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """Write a key."""

    key: bytes
    value: bytes


class PutLeased(msgspec.Struct, frozen=True, kw_only=True):
    """Write a key that goes with its lease, which nobody renews, in about `ttl_seconds`."""

    key: bytes
    value: bytes
    ttl_seconds: int


class Get(msgspec.Struct, frozen=True, kw_only=True):
    """Read a key, linearizably."""

    key: bytes


class CompareAndSet(msgspec.Struct, frozen=True, kw_only=True):
    """Write a key if it holds `expected_value` (None: if it does not exist)."""

    key: bytes
    expected_value: bytes | None
    value: bytes


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Delete a key."""

    key: bytes


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Call nothing for so many simulated seconds."""

    seconds: float


_INSTANT_SECONDS = 1e-9

Call = Put | PutLeased | Get | CompareAndSet | Delete
Step = Call | Wait


class History:
    """What clients asked for and were told. Surely refused calls are no part of it."""

    def __init__(self) -> None:
        self._operations: list[Operation | None] = []  # None: it was refused
        self._latest = 0.0

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All, in the order in which they were invoked; those without an answer are unknown."""
        return tuple(operation for operation in self._operations if operation is not None)

    async def perform(self, step: Step, store: client.Client, *, process: int) -> None:
        """Take a step; return when it is answered or given up.

        process: number of the client, which takes one step at a time.

        Raises KvError when the call is one that can never succeed.
        """
        match step:
            case Wait():
                await asyncio.sleep(step.seconds)
            case PutLeased():
                await self._put_leased(step, store, process)
            case _:
                await self._record(_begun(step, process, self._now()), _call(step, store))

    async def _put_leased(self, step: PutLeased, store: client.Client, process: int) -> None:
        try:
            lease = await store.leases.grant(step.ttl_seconds)
        except UnavailableError:
            return  # perhaps there is a lease, but no key is attached to it
        put = _begun(Put(key=step.key, value=step.value), process, self._now())
        # The end of the lease: a deletion at a time that nobody is told, or never.
        self._operations.append(
            Operation(process=process, kind="delete", key=step.key, invoked=put.invoked)
        )
        await self._record(put, _put(store, step.key, step.value, lease.lease_id))

    async def _record(self, begun: Operation, answer: Any) -> None:
        position = len(self._operations)
        self._operations.append(begun)
        try:
            outcome = await answer
        except UnavailableError as error:
            if not error.may_have_been_applied:
                self._operations[position] = None
        except LeaseNotFoundError:
            self._operations[position] = None
        except KvError:
            self._operations[position] = None
            raise
        else:
            self._operations[position] = msgspec.structs.replace(
                begun, completed=self._now(), **outcome
            )

    def _now(self) -> float:
        """Later than all that is recorded. In one loop what comes first is first, also when no
        simulated time has passed; equal times would let a stale read pass for a simultaneous one.
        """
        self._latest = max(asyncio.get_running_loop().time(), self._latest + _INSTANT_SECONDS)
        return self._latest


def check_linearizable(operations: Iterable[Operation]) -> None:
    """Raise ViolationError unless one copy of the data could have answered all this.

    operations: of any keys, all writes to them among them; the keys did not exist before.
    """
    verdict = linearizability.check(tuple(operations))
    if verdict.kind != "ok":
        lines = [verdict.explanation, *(operation.told() for operation in verdict.window)]
        what = "not linearizable" if verdict.kind == "violation" else "too much to check"
        raise ViolationError(f"{what}: " + "\n  ".join(lines))


def _begun(call: Put | Get | CompareAndSet | Delete, process: int, now: float) -> Operation:
    """The operation before its answer."""
    match call:
        case Put():
            return Operation(
                process=process, kind="put", key=call.key, value=call.value, invoked=now
            )
        case Get():
            return Operation(process=process, kind="get", key=call.key, invoked=now)
        case Delete():
            return Operation(process=process, kind="delete", key=call.key, invoked=now)
        case CompareAndSet():
            return Operation(
                process=process,
                kind="cas",
                key=call.key,
                value=call.value,
                expected_value=call.expected_value,
                invoked=now,
            )
        case _:
            assert_never(call)


async def _call(
    call: Put | Get | CompareAndSet | Delete, store: client.Client
) -> dict[str, object]:
    """What the answer adds to the operation."""
    match call:
        case Put():
            return await _put(store, call.key, call.value, 0)
        case Get():
            found = await store.get_range(call.key)
            kv = found.kvs[0] if found.kvs else None
            read = {} if kv is None else {"value": kv.value, "mod_revision": kv.mod_revision}
            return {"revision": found.header.revision, **read}
        case Delete():
            deleted = await store.delete(call.key)
            return {"revision": deleted.header.revision, "succeeded": deleted.deleted > 0}
        case CompareAndSet():
            if call.expected_value is None:
                condition = client.Version(call.key) == 0
            else:
                condition = client.Value(call.key) == call.expected_value
            txn = store.txn().when(condition).then(client.put(call.key, call.value))
            answer = await txn.commit()
            return {"revision": answer.header.revision, "succeeded": answer.succeeded}
        case _:
            assert_never(call)


async def _put(store: client.Client, key: bytes, value: bytes, lease: int) -> dict[str, object]:
    written = await store.put(key, value, lease=lease)
    return {"revision": written.header.revision}
