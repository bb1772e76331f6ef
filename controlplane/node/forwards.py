"""Connections to ports of a pod for a client.

Source: kubectl-needs.md, "port-forward"; kube-behaviour 10.7.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from controlplane.node.inlets import Inlet
from controlplane.node.links import Link
from controlplane.node.runtime.interface import RefusedError
from controlplane.peers import READ_BYTES
from controlplane.streams.port_forward import (
    Dropped,
    Ended,
    Event,
    Forwarding,
    Left,
    Received,
    Wanted,
)
from controlplane.streams.violations import ViolationError
from controlplane.upgrades import Connection

Connect = Callable[[int], Awaitable[Connection]]
"""A connection to a port of the pod. Raises RefusedError, OSError."""

CONNECT_SECONDS_MAX = 10.0
CONNECTION_BYTES_MAX = 64 * 1024
"""So much may wait for a port; a client may have hundreds of connections."""


async def forward(
    connection: Connection, forwarding: Forwarding, connect: Connect, *, pod: str
) -> None:
    """Until the client has left. pod: as it is told of in what goes wrong."""
    await _Forwards(connection, forwarding, connect, pod).run()


class _Forwards:
    def __init__(
        self, connection: Connection, forwarding: Forwarding, connect: Connect, pod: str
    ) -> None:
        self._forwarding = forwarding
        self._link = Link(connection, forwarding)
        self._connect = connect
        self._pod = pod
        self._inlets: dict[int, Inlet] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await self._receive()
        except ViolationError as error:
            await self._link.break_off(error)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> None:
        """Until the client has left. Raises ViolationError, ConnectionError."""
        while data := await self._link.read():
            touched: set[int] = set()
            for event in self._forwarding.receive(data):
                if isinstance(event, Left):
                    return
                self._take(event)
                touched.add(event.number)
            await self._link.flush()
            self._link.heard()
            # Who takes nothing of one connection keeps the others waiting: there is one way in.
            for inlet in [self._inlets[one] for one in touched if one in self._inlets]:
                await self._link.unread(inlet.room)

    def _take(self, event: Event) -> None:
        match event:
            case Wanted(number, port):
                self._inlets[number] = Inlet(CONNECTION_BYTES_MAX)
                task = asyncio.create_task(self._serve(number, port))
                self._tasks[number] = task
                task.add_done_callback(lambda _: self._forget(number))
            case Received(number, data) if number in self._inlets:
                self._inlets[number].put(data)
            case Ended(number) if number in self._inlets:
                self._inlets[number].end()
            case Dropped(number) if number in self._tasks:
                self._tasks[number].cancel()

    def _forget(self, number: int) -> None:
        del self._tasks[number]
        self._inlets.pop(number).close()  # also of a port that was never reached

    async def _serve(self, number: int, port: int) -> None:
        """One connection, until the port closes it, or it is cancelled."""
        problem = ""
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX) as bound:
                connection = await self._connect(port)
                bound.reschedule(None)
                await self._exchange(number, connection)
        except (RefusedError, OSError) as error:
            why = str(error) or "it does not answer"  # a TimeoutError is an OSError, and silent
            problem = f"error forwarding port {port} to pod {self._pod}: {why}"
        self._forwarding.end(number, problem)
        with contextlib.suppress(ConnectionError):
            await self._link.flush()

    async def _exchange(self, number: int, connection: Connection) -> None:
        reader, writer = connection
        feeding = asyncio.create_task(
            self._inlets[number].feed(writer, lambda count: self._consumed(number, count))
        )
        try:
            while data := await reader.read(READ_BYTES):
                self._forwarding.write(number, data)
                await self._link.flush()
                while self._forwarding.is_held(number):
                    await self._link.hear()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            writer.close()

    async def _consumed(self, number: int, count: int) -> None:
        self._forwarding.consumed(number, count)
        with contextlib.suppress(ConnectionError):
            await self._link.flush()
