"""The Lease service, and leases kept alive in the background over one stream.

When to renew and when to give up is decided by `lease_schedule`; here are the stream and the
waiting.
"""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kvstore.client import convert, methods
from kvstore.client.backoff import Backoff
from kvstore.client.connection import Connection
from kvstore.client.lease_schedule import LeaseSchedule
from kvstore.client.types import LeaseGrant, LeaseList, LeaseTimeToLive
from kvstore.errors import LeaseNotFoundError
from kvstore.pb import rpc_pb2
from kvstore.seams import RpcFailure, RpcStream

_TICK_SECONDS_MIN = 0.05  # while there is no stream, what is due stays due


class Lease:
    """A lease that is renewed every third of its TTL until `revoke`, `release` or its loss.

    Lost means: the server said so, or could not be reached for the whole TTL. Then `lost` is set
    and `on_lost` was called. As a context manager it is revoked at the end.
    """

    def __init__(
        self,
        leases: "Leases",
        lease_id: int,
        ttl_seconds: int,
        on_lost: Callable[[], None] | None,
        on_renewed: Callable[[int], None] | None,
    ) -> None:
        self.lease_id = lease_id
        self.ttl_seconds = ttl_seconds
        self.lost = asyncio.Event()
        self._leases = leases
        self._on_lost = on_lost
        self._on_renewed = on_renewed

    async def revoke(self) -> None:
        """Give the lease back: its keys are deleted. A lease that is gone already is no error."""
        self.release()
        with contextlib.suppress(LeaseNotFoundError):
            await self._leases.revoke(self.lease_id)

    def release(self) -> None:
        """Stop renewing; the lease lives on until its TTL runs out."""
        self._leases.release(self)

    def set_lost(self) -> None:
        """The lease is gone."""
        self.lost.set()
        if self._on_lost is not None:  # a callback's own error must not stop the other renewals
            asyncio.get_running_loop().call_soon(self._on_lost)

    def set_renewed(self, ttl_seconds: int) -> None:
        """The lease lives for another TTL."""
        self.ttl_seconds = ttl_seconds
        if self._on_renewed is not None:
            asyncio.get_running_loop().call_soon(self._on_renewed, ttl_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.revoke()


class Leases:
    """The Lease service of a cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._schedule = LeaseSchedule()
        self._held: dict[int, Lease] = {}
        self._wake = asyncio.Event()  # the schedule has changed
        self._due = asyncio.Event()  # there may be something to send
        self._granted = asyncio.Event()  # the first lease is held
        self._stream: RpcStream | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def grant(
        self, ttl_seconds: int, *, lease_id: int = 0, timeout_seconds: float | None = None
    ) -> LeaseGrant:
        """Create a lease (with an id of the server's choice when 0); nobody renews it yet."""
        response = await self._connection.call(
            methods.LEASE_GRANT,
            rpc_pb2.LeaseGrantRequest(TTL=ttl_seconds, ID=lease_id),
            is_read=False,
            timeout_seconds=timeout_seconds,
        )
        return LeaseGrant(convert.header(response.header), response.ID, response.TTL)

    async def revoke(self, lease_id: int, *, timeout_seconds: float | None = None) -> None:
        """Delete a lease and its keys. LeaseNotFoundError when there is none."""
        await self._connection.call(
            methods.LEASE_REVOKE,
            rpc_pb2.LeaseRevokeRequest(ID=lease_id),
            is_read=False,
            timeout_seconds=timeout_seconds,
        )

    async def keep_alive_once(
        self, lease_id: int, *, timeout_seconds: float | None = None
    ) -> LeaseTimeToLive:
        """Renew a lease now; its full TTL. LeaseNotFoundError when there is none."""
        response = await self._connection.exchange(
            methods.LEASE_KEEP_ALIVE,
            rpc_pb2.LeaseKeepAliveRequest(ID=lease_id),
            timeout_seconds=timeout_seconds,
        )
        if response.TTL <= 0:
            raise LeaseNotFoundError
        return LeaseTimeToLive(convert.header(response.header), response.ID, response.TTL)

    async def time_to_live(
        self, lease_id: int, *, keys: bool = False, timeout_seconds: float | None = None
    ) -> LeaseTimeToLive:
        """What is left of a lease (-1: there is none), and its keys if asked for."""
        response = await self._connection.call(
            methods.LEASE_TIME_TO_LIVE,
            rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=keys),
            is_read=True,
            timeout_seconds=timeout_seconds,
        )
        return LeaseTimeToLive(
            header=convert.header(response.header),
            lease_id=response.ID,
            ttl_seconds=response.TTL,
            granted_ttl_seconds=response.grantedTTL,
            keys=tuple(response.keys),
        )

    async def leases(self, *, timeout_seconds: float | None = None) -> LeaseList:
        """The ids of all leases."""
        response = await self._connection.call(
            methods.LEASE_LEASES,
            rpc_pb2.LeaseLeasesRequest(),
            is_read=True,
            timeout_seconds=timeout_seconds,
        )
        ids = tuple(lease.ID for lease in response.leases)
        return LeaseList(convert.header(response.header), ids)

    async def hold(
        self,
        ttl_seconds: int,
        *,
        lease_id: int = 0,
        on_lost: Callable[[], None] | None = None,
        on_renewed: Callable[[int], None] | None = None,
        timeout_seconds: float | None = None,
    ) -> Lease:
        """Grant a lease and keep it alive."""
        sent_at = self._connection.clock.now()
        granted = await self.grant(ttl_seconds, lease_id=lease_id, timeout_seconds=timeout_seconds)
        lease = Lease(self, granted.lease_id, granted.ttl_seconds, on_lost, on_renewed)
        self._hold(lease, sent_at)
        return lease

    async def keep_alive(
        self,
        lease_id: int,
        *,
        on_lost: Callable[[], None] | None = None,
        on_renewed: Callable[[int], None] | None = None,
        timeout_seconds: float | None = None,
    ) -> Lease:
        """Keep alive a lease that exists (one holder a client). Renews it once, at once."""
        sent_at = self._connection.clock.now()
        renewed = await self.keep_alive_once(lease_id, timeout_seconds=timeout_seconds)
        lease = Lease(self, lease_id, renewed.ttl_seconds, on_lost, on_renewed)
        self._hold(lease, sent_at)
        lease.set_renewed(renewed.ttl_seconds)
        return lease

    def release(self, lease: Lease) -> None:
        """Stop renewing a lease."""
        if self._held.get(lease.lease_id) is lease:
            del self._held[lease.lease_id]
            self._schedule.drop([lease.lease_id])

    async def close(self) -> None:
        """Stop renewing; the leases live on until their TTLs run out."""
        self._held.clear()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _hold(self, lease: Lease, sent_at: float) -> None:
        self._held[lease.lease_id] = lease
        self._schedule.hold(lease.lease_id, lease.ttl_seconds, sent_at)
        self._wake.set()
        self._granted.set()
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._keep_time(), name="kvstore.client lease times"),
                asyncio.create_task(self._keep_stream(), name="kvstore.client lease stream"),
            ]
            for task in self._tasks:
                task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """A bug of ours must not leave holders in good faith."""
        if not task.cancelled() and task.exception() is not None:
            self._lose(list(self._held))

    def _lose(self, lease_ids: list[int]) -> None:
        self._schedule.drop(lease_ids)
        for lease_id in lease_ids:
            lease = self._held.pop(lease_id, None)
            if lease is not None:
                lease.set_lost()

    async def _keep_time(self) -> None:
        """Notice what has expired, what is due and a stream that does not answer."""
        clock = self._connection.clock
        while True:
            self._wake.clear()
            now = clock.now()
            self._lose(self._schedule.expired(now))
            if self._stream is not None and self._schedule.is_stalled(now):
                self._stream.cancel()
            self._due.set()
            seconds = self._schedule.seconds_until_next(now)
            if seconds is None:
                await self._wake.wait()
                continue
            timer = clock.call_later(max(seconds, _TICK_SECONDS_MIN), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    async def _keep_stream(self) -> None:
        """Keep a stream up while leases are held."""
        backoff = self._connection.backoff()
        while True:
            while self._schedule.is_empty:
                self._granted.clear()
                await self._granted.wait()
            endpoint = self._connection.endpoint
            with contextlib.suppress(RpcFailure):  # whatever it was: on, until the leases expire
                await self._serve(endpoint, backoff)
            self._connection.leave(endpoint)
            await self._connection.clock.sleep(backoff.next_delay())

    async def _serve(self, endpoint: str, backoff: Backoff) -> None:
        """Work one stream until it fails or ends."""
        stream = self._stream = self._connection.stream(endpoint, methods.LEASE_KEEP_ALIVE)
        sending = asyncio.create_task(self._send(stream), name="kvstore.client lease requests")
        try:
            while (response := await stream.receive()) is not None:
                backoff.reset()
                self._on_response(response)
        finally:
            stream.cancel()
            sending.cancel()
            await asyncio.wait([sending])
            self._stream = None
            self._schedule.disconnected()

    async def _send(self, stream: RpcStream) -> None:
        while True:
            self._due.clear()
            for lease_id in self._schedule.take_due(self._connection.clock.now()):
                try:
                    await stream.send(rpc_pb2.LeaseKeepAliveRequest(ID=lease_id))
                except RpcFailure:
                    return  # `receive` fails with the same status
            await self._due.wait()

    def _on_response(self, response: rpc_pb2.LeaseKeepAliveResponse) -> None:
        now = self._connection.clock.now()
        if not self._schedule.renewed(response.ID, response.TTL, now):
            self._lose([response.ID])
        elif (lease := self._held.get(response.ID)) is not None:
            lease.set_renewed(response.TTL)
        self._wake.set()
