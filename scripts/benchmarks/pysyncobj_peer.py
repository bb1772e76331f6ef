"""PySyncObj's replicated dict as the Python peer, on the loads that it can do.

Three processes on loopback; a put is answered when it is committed and applied, a get reads the
asked member's copy, as a serializable get does. It has no txn, range, watch, lease or linearizable
read. It stands alone: different protocol, weaker promise.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgpack
import msgspec

from benchmarks import closed_loop
from benchmarks.closed_loop import Call
from benchmarks.grpc_client import OnEnd
from benchmarks.loads import CONNECTIONS_MAX, KEYS, VALUE
from benchmarks.outcome import Outcome, Target
from benchmarks.report import PeerRow, is_generator_bound, medians
from benchmarks.rows import CLIENTS, Plan, client_count

NOTE = "PySyncObj's journal is never synced: its puts are not durable, and the rows not comparable"
_MEMBERS = 3
_START_ATTEMPTS_MAX = 3  # another process may take a port between our probe and the member's bind
_READY_SECONDS_MAX = 60.0
_FILL_AT_ONCE = 100
_HOST = "127.0.0.1"


class PeerStartError(Exception):
    """The members end, or do not answer each put."""


class PeerLoad(msgspec.Struct, frozen=True):
    """What one row measures."""

    name: str
    is_put: bool
    clients: int


LOADS = [
    PeerLoad(f"PySyncObj {what}, {client_count(clients)}", is_put, clients)
    for is_put, what in ((True, "put 256 B"), (False, "get of its copy"))
    for clients in CLIENTS
]


async def run(wanted: Sequence[PeerLoad], plan: Plan, folder: Path) -> AsyncIterator[PeerRow]:
    """Measure these rows, one after the other."""
    async with _cluster(folder) as target:
        await _fill(target)
        for load in wanted:
            outcomes = [await _measure(target, load, plan.seconds) for _ in range(plan.pairs)]
            is_bound = is_generator_bound(outcomes)
            yield PeerRow(load.name, load.clients, outcomes, medians(outcomes), is_bound)


# ------------------------------------------------------------------ client


class _Connection(asyncio.Protocol):
    """Requests on one connection; answers find theirs by number."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._unpacker = msgpack.Unpacker()
        self._waiting: dict[int, OnEnd] = {}
        self._numbers = itertools.count()
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        waiting, self._waiting = self._waiting, {}
        for on_end in waiting.values():
            on_end(False)

    def data_received(self, data: bytes) -> None:
        self._unpacker.feed(data)
        for number, value in self._unpacker:
            self._waiting.pop(number)(value is not None and value is not False)

    def call(self, key: bytes, value: bytes | None, on_end: OnEnd) -> None:
        """A put, or a get when there is no value."""
        if self._is_lost:
            raise ConnectionResetError("the member hung up")
        number = next(self._numbers)
        self._waiting[number] = on_end
        self._transport.write(msgpack.packb([number, key, value]))

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def _connected(endpoints: Sequence[str], count: int) -> AsyncIterator[list[_Connection]]:
    loop = asyncio.get_running_loop()
    connections = []
    for endpoint in itertools.islice(itertools.cycle(endpoints), max(len(endpoints), count)):
        host, _, port = endpoint.rpartition(":")
        _, connection = await loop.create_connection(_Connection, host, int(port))
        connections.append(connection)
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def _measure(target: Target, load: PeerLoad, seconds: float) -> Outcome:
    keys = itertools.cycle([b"key/%06d" % number for number in range(KEYS)])
    value = VALUE if load.is_put else None

    def caller(turns: Iterator[_Connection]) -> Call:
        return lambda on_end: next(turns).call(next(keys), value, on_end)

    async with _connected(target.endpoints, min(load.clients, CONNECTIONS_MAX)) as connections:
        if load.clients == 1:  # goes round the members, as in the table
            calls = [caller(itertools.cycle(connections))]
        else:
            chosen = itertools.islice(itertools.cycle(connections), load.clients)
            calls = [caller(itertools.repeat(connection)) for connection in chosen]
        return await closed_loop.run(target, calls, seconds)


async def _fill(target: Target) -> None:
    """The keys that gets find. Few at a time: a heap of them makes it lose its leader."""
    numbers = iter(range(KEYS))
    async with _connected(target.endpoints[:1], 1) as [connection]:

        def call(on_end: OnEnd) -> None:
            connection.call(b"key/%06d" % next(numbers), VALUE, on_end)

        calls = [call] * _FILL_AT_ONCE
        outcome = await closed_loop.run(target, calls, _READY_SECONDS_MAX, count_max=KEYS)
    if outcome.completions < KEYS:
        raise PeerStartError(f"{KEYS - outcome.completions} of the first {KEYS} puts are lost")


# ------------------------------------------------------------------ members


@asynccontextmanager
async def _cluster(folder: Path) -> AsyncIterator[Target]:
    for attempt in range(1, _START_ATTEMPTS_MAX + 1):
        own = folder / str(attempt)
        with _processes(own) as (target, members):
            try:
                await _wait_ready(target, members)
            except PeerStartError as error:
                if attempt == _START_ATTEMPTS_MAX:
                    said = (own / "log-0").read_text().splitlines()[-1:]
                    raise PeerStartError(f"{error}: {''.join(said)}") from error
                continue
            yield target
            return


_Members = list["subprocess.Popen[bytes]"]


@contextmanager
def _processes(folder: Path) -> Iterator[tuple[Target, _Members]]:
    folder.mkdir(parents=True)
    ports = _free_ports(2 * _MEMBERS)
    client_ports, addresses = ports[:_MEMBERS], [f"{_HOST}:{port}" for port in ports[_MEMBERS:]]
    members: _Members = []
    try:
        for number, port in enumerate(client_ports):
            others = [address for address in addresses if address != addresses[number]]
            journal = str(folder / f"journal-{number}")
            command = [sys.executable, "-m", "benchmarks.pysyncobj_member", str(port), journal]
            with (folder / f"log-{number}").open("wb") as log:
                members.append(
                    subprocess.Popen(
                        [*command, addresses[number], *others],
                        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                        stdout=log,
                        stderr=log,
                    )
                )
        endpoints = [f"{_HOST}:{port}" for port in client_ports]
        yield Target(endpoints, [member.pid for member in members]), members
    finally:
        for member in members:
            member.kill()
            member.wait()


async def _wait_ready(target: Target, members: _Members) -> None:
    """Return once every member has had a put committed."""
    try:
        async with asyncio.timeout(_READY_SECONDS_MAX):
            for endpoint in target.endpoints:
                while not await _answers_put(endpoint):
                    if any(member.poll() is not None for member in members):
                        raise PeerStartError("a member of PySyncObj has ended")
                    await asyncio.sleep(0.1)
    except TimeoutError:
        raise PeerStartError("PySyncObj does not commit a put") from None


async def _answers_put(endpoint: str) -> bool:
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    try:
        async with _connected([endpoint], 1) as [connection]:
            connection.call(b"ready", VALUE, answer.set_result)
            return await answer
    except OSError:  # it does not listen yet
        return False


def _free_ports(count: int) -> list[int]:
    """Bound all at once, so that no two are equal."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((_HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
