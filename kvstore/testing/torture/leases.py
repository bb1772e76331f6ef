"""Clients that put keys under leases, renew some of them for a while, and never come back.

What a lease promises is counted from when its grant or renewal was asked for, on our own clock, so
it holds whatever the members' clocks say.
"""

import asyncio
import time
from random import Random

from kvstore import client
from kvstore.errors import LeaseNotFoundError, UnavailableError
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.recorder import LeasedKey, Recorder

TTL_SECONDS_MAX = 6
_TTL_SECONDS_MIN = 2
_RENEWALS_MAX = 3
_PAUSE_SECONDS = 0.7  # on average


class LeaseClient:
    """Leases one key after the other."""

    def __init__(self, number: int, recorder: Recorder, prefix: bytes, random: Random) -> None:
        self._number = number
        self._recorder = recorder
        self._prefix = prefix
        self._random = random
        self._count = 0

    async def next(self, store: client.Client) -> None:
        """Lease a key. Raises ViolationError when a lease ends before its time."""
        await self._pause()
        promised_until = time.monotonic()
        try:
            ttl_seconds = self._random.randint(_TTL_SECONDS_MIN, TTL_SECONDS_MAX)
            granted = await store.leases.grant(ttl_seconds)
        except UnavailableError:
            return
        promised_until += granted.ttl_seconds
        self._count += 1
        key = b"%s%d/%d" % (self._prefix, self._number, self._count)
        operation = Operation(  # its process is none of the others'
            process=-1 - self._number, kind="put", key=key, value=key, invoked=time.monotonic()
        )
        try:
            answer = await store.put(key, key, lease=granted.lease_id)
        except UnavailableError as error:
            if error.may_have_been_applied:
                self._recorder.record(operation)
            return
        except LeaseNotFoundError:
            _check_due(key, promised_until)
            return
        self._recorder.record(_answered(operation, answer.header.revision))
        promised_until = await self._renew(store, key, granted.lease_id, promised_until)
        self._recorder.leased.append(LeasedKey(key, promised_until))

    async def _renew(
        self, store: client.Client, key: bytes, lease_id: int, promised_until: float
    ) -> float:
        """Renew a few times, or never; the moment up to which the lease is promised then."""
        for _ in range(self._random.randint(0, _RENEWALS_MAX)):
            await self._pause()
            asked_at = time.monotonic()
            try:
                renewed = await store.leases.keep_alive_once(lease_id)
            except UnavailableError:
                continue
            except LeaseNotFoundError:
                _check_due(key, promised_until)
                break
            promised_until = asked_at + renewed.ttl_seconds
        return promised_until

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.expovariate(1 / _PAUSE_SECONDS))


def _answered(operation: Operation, revision: int) -> Operation:
    return Operation(
        process=operation.process,
        kind="put",
        key=operation.key,
        value=operation.value,
        invoked=operation.invoked,
        completed=time.monotonic(),
        revision=revision,
    )


def _check_due(key: bytes, promised_until: float) -> None:
    early_seconds = promised_until - time.monotonic()
    if early_seconds > 0:
        raise ViolationError(f"the lease of {key!r} ended {early_seconds:.3f} s before its time")
