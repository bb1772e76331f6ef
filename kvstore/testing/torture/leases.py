"""Clients that put keys under leases, renew some of them for a while, and never come back.

What a lease promises is counted from when its grant or renewal was asked for, on our own clock, so
it holds whatever the members' clocks say; how long it may last from when that was answered.
"""

import asyncio
import time
from math import inf
from random import Random

import msgspec

from kvstore import client
from kvstore.errors import LeaseNotFoundError, UnavailableError
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.lease_promises import LeasedKey
from kvstore.testing.torture.recorder import Recorder

TTL_SECONDS_MAX = 6
_TTL_SECONDS_MIN = 2
_RENEWALS_MAX = 3
_PAUSE_SECONDS = 0.7  # on average
# An attempt that a silent member leaves without an answer is given up after half of the request's
# time-out (2 s of the workload's), and goes elsewhere; the first one may be done much later. What
# was answered sooner than this had no such attempt.
_PROMPT_SECONDS_MAX = 1.0


class LeaseClient:
    """Leases one key after the other."""

    _lease: LeasedKey  # the one under way

    def __init__(self, number: int, recorder: Recorder, prefix: bytes, random: Random) -> None:
        self._number = number
        self._recorder = recorder
        self._prefix = prefix
        self._random = random
        self._count = 0

    async def next(self, store: client.Client) -> None:
        """Lease a key. Raises ViolationError when a lease ends before its time."""
        await self._pause()
        asked_at = time.monotonic()
        try:
            ttl_seconds = self._random.randint(_TTL_SECONDS_MIN, TTL_SECONDS_MAX)
            granted = await store.leases.grant(ttl_seconds)
        except UnavailableError:
            return
        self._recorder.record_header(granted.header, invoked=asked_at)
        self._count += 1
        lease = LeasedKey(
            key=b"%s%d/%d" % (self._prefix, self._number, self._count),
            ttl_seconds=granted.ttl_seconds,
            promised_until=asked_at + granted.ttl_seconds,
            renewed_by=time.monotonic(),
        )
        self._lease = lease
        try:  # cancelled or not, what may be there is known to whoever judges
            if await self._put(store, lease, granted.lease_id):
                await self._renew(store, granted.lease_id)
        finally:
            self._recorder.leased.append(self._lease)

    async def _put(self, store: client.Client, lease: LeasedKey, lease_id: int) -> bool:
        """Put its key; False when it is unknown whether it is there, or it surely is not."""
        operation = Operation(  # its process is none of the others'
            process=-1 - self._number,
            kind="put",
            key=lease.key,
            value=lease.key,
            invoked=time.monotonic(),
        )
        try:
            header = (await store.put(lease.key, lease.key, lease=lease_id)).header
        except UnavailableError as error:
            if error.may_have_been_applied:
                self._recorder.record(operation)
            else:
                self._recorder.refused.add(lease.key)
            return False
        except LeaseNotFoundError:
            _check_due(lease)
            self._recorder.refused.add(lease.key)
            return False
        except asyncio.CancelledError:
            self._recorder.record(operation)
            raise
        answered = msgspec.structs.replace(
            operation, completed=time.monotonic(), revision=header.revision
        )
        self._recorder.record(answered, term=header.raft_term)
        return True

    async def _renew(self, store: client.Client, lease_id: int) -> None:
        """Renew a few times, or never."""
        for _ in range(self._random.randint(0, _RENEWALS_MAX)):
            await self._pause()
            before, asked_at = self._lease, time.monotonic()
            self._lease = msgspec.structs.replace(before, renewed_by=inf)  # unless it is answered
            try:
                renewed = await store.leases.keep_alive_once(lease_id)
            except UnavailableError:
                continue
            except LeaseNotFoundError:
                self._lease = before
                _check_due(before)
                break
            self._lease = lease_renewed(
                before,
                ttl_seconds=renewed.ttl_seconds,
                asked_at=asked_at,
                answered_at=time.monotonic(),
            )

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.expovariate(1 / _PAUSE_SECONDS))


def lease_renewed(
    lease: LeasedKey, *, ttl_seconds: int, asked_at: float, answered_at: float
) -> LeasedKey:
    """What is promised by a renewal that was answered: only a prompt answer tells that no attempt
    of it is still under way, and may be done later.
    """
    is_prompt = answered_at - asked_at < _PROMPT_SECONDS_MAX
    return msgspec.structs.replace(
        lease,
        promised_until=asked_at + ttl_seconds,
        renewed_by=max(lease.renewed_by, answered_at if is_prompt else inf),
    )


def _check_due(lease: LeasedKey) -> None:
    early_seconds = lease.promised_until - time.monotonic()
    if early_seconds > 0:
        raise ViolationError(
            f"the lease of {lease.key!r} ended {early_seconds:.3f} s before its time"
        )
