"""Accounts under a lock that is a lease, and why a holder must not trust it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from kvstore.client import Client, ModRevision, Version, put
from kvstore.commands import Compare
from kvstore.errors import LeaseNotFoundError

_TTL_SECONDS = 2
_WORK_SECONDS = 3.0  # what the lock is for: something else that must be asked meanwhile
_RETRY_SECONDS = 0.2


class LockLostError(Exception):
    """The lock was another's by the time of the write, which was not done."""


async def deposit(client: Client, account: str) -> None:
    """Add one, unless the lock is lost meanwhile: the write itself asks whether it is still held.

    Raises LockLostError when it surely was not done, UnavailableError when nobody knows.
    """
    async with _locked(client, f"lock/{account}") as is_held:
        value = await _read_slowly(client, account)
        answer = await client.txn().when(is_held).then(put(account, b"%d" % (value + 1))).commit()
        if not answer.succeeded:
            raise LockLostError(account)


async def deposit_trustingly(client: Client, account: str) -> None:
    """WRONG: when the lease has ended meanwhile, somebody else is in here as well."""
    async with _locked(client, f"lock/{account}"):
        value = await _read_slowly(client, account)
        await client.put(account, b"%d" % (value + 1))


async def balance(client: Client, account: str) -> int:
    """What was deposited."""
    found = await client.get(account)
    return int(found.value) if found else 0


@contextlib.asynccontextmanager
async def _locked(client: Client, lock: str) -> AsyncIterator[Compare]:
    """Hold the lock; yields what a txn compares to be refused once it is another's."""
    async with await client.leases.hold(_TTL_SECONDS) as lease:
        try:
            revision = await _take(client, lock, lease.lease_id)
        except LeaseNotFoundError:  # it ended while we waited
            raise LockLostError(lock) from None
        yield ModRevision(lock) == revision


async def _take(client: Client, lock: str, lease_id: int) -> int:
    """Wait for the lock; the revision at which it became ours."""
    taking = client.txn().when(Version(lock) == 0).then(put(lock, lease=lease_id))
    while True:
        answer = await taking.commit()
        if answer.succeeded:
            return answer.header.revision
        await asyncio.sleep(_RETRY_SECONDS)


async def _read_slowly(client: Client, account: str) -> int:
    value = await balance(client, account)
    await asyncio.sleep(_WORK_SECONDS)
    return value
