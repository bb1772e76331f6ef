"""The client: all services of a cluster behind one object.

`connect` wires the real seams (grpc, the loop's clock, system dice); simulations pass their own.
"""

import importlib
import random as dice
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, cast

from kvstore.client.clock import AsyncioClock
from kvstore.client.cluster import Cluster
from kvstore.client.connection import REQUEST_TIMEOUT_SECONDS, Connection
from kvstore.client.endpoints import require_endpoint
from kvstore.client.kv import Kv
from kvstore.client.lease import Leases
from kvstore.client.maintenance import Maintenance
from kvstore.client.operations import Key
from kvstore.client.tls import Tls
from kvstore.client.watch import Watch, Watches
from kvstore.client.watch_state import Filter
from kvstore.seams import Clock, Random, RpcChannel


class Client(Kv):
    """A cluster. Keys are its own methods; the other services are `leases`, `cluster`,
    `maintenance`. An async context manager that closes it.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.leases = Leases(connection)
        self.cluster = Cluster(connection)
        self.maintenance = Maintenance(connection)
        self._watches = Watches(connection)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints it was given."""
        return self._connection.endpoints

    def watch(
        self,
        key: Key,
        range_end: Key = b"",
        *,
        prefix: bool = False,
        from_key: bool = False,
        start_revision: int = 0,
        prev_kv: bool = False,
        filters: Sequence[Filter] = (),
        progress_notify: bool = False,
        fragment: bool = False,
    ) -> Watch:
        """Watch a key, a range, a prefix, or everything from a key on.

        `start_revision`: report from this revision on (0: from now, see `Watch.created`).
        `prev_kv`: with each event what was there before. `progress_notify`: batches without events
        from time to time, which tell that all up to their revision was delivered. `fragment`: let
        the server split large responses; they arrive whole here all the same.
        """
        return self._watches.watch(
            key,
            range_end,
            prefix=prefix,
            from_key=from_key,
            start_revision=start_revision,
            prev_kv=prev_kv,
            filters=filters,
            progress_notify=progress_notify,
            fragment=fragment,
        )

    async def close(self) -> None:
        """End watches and renewals, close the connections. Leases live on until they expire."""
        await self._watches.close()
        await self.leases.close()
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def connect(
    endpoints: Sequence[str],
    *,
    tls: Tls | None = None,
    request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    open_channel: Callable[[str], RpcChannel] | None = None,
    clock: Clock | None = None,
    random: Random | None = None,
) -> Client:
    """A client of the cluster behind these endpoints (`host:port`, or with http:// or https://).

        async with connect(["127.0.0.1:2379"]) as client:
            await client.put("greeting", "hello")

    Nothing is connected before the first call, which goes to the first endpoint; a failed endpoint
    is left for the next one. `request_timeout_seconds` bounds every call with all its attempts.
    `open_channel`, `clock` and `random` are the seams, for tests and simulations.

    Raises ValueError for what is no endpoint, and TypeError for a text where a list of them is
    wanted: each of its letters would be one.
    """
    if isinstance(endpoints, str):
        raise TypeError(f"endpoints: a list is wanted, like [{endpoints!r}]")
    if open_channel is None:
        for endpoint in endpoints:
            require_endpoint(endpoint)
    connection = Connection(
        endpoints,
        open_channel=open_channel or _grpc_channels(tls),
        clock=clock or AsyncioClock(),
        random=random or dice.Random(),
        request_timeout_seconds=request_timeout_seconds,
    )
    return Client(connection)


def _grpc_channels(tls: Tls | None) -> Callable[[str], RpcChannel]:
    """grpc is loaded by who uses it only: it takes its time, and 10 MiB."""
    opened = importlib.import_module("kvstore.client.grpc_channel").open_grpc_channel
    return lambda endpoint: cast(RpcChannel, opened(endpoint, tls))
