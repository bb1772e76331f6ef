"""Loads on long streams: the fan-out of watched keys, and keep-alives of leases."""

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Sequence

import msgspec

from benchmarks import closed_loop, loads
from benchmarks.closed_loop import ANSWER_SECONDS_MAX
from benchmarks.grpc_client import GrpcConnection, OnEnd, ask, headers, message
from benchmarks.loads import CONNECTIONS_MAX, PUT, VALUE
from benchmarks.outcome import Meter, Outcome, Target
from kvstore.pb import rpc_pb2

LEASE_STREAMS = 100
_LEASE_TTL_SECONDS = 600
_WATCHED = b"watched"
_PUTS_UNDER_WAY = 8
# Puts whose events are not all here yet. Enough for a system to merge events where it can; a bound,
# so that the rate is one of events delivered, not of events owed.
_PUTS_OWED_MAX = 128


# ------------------------------------------------------------------ watch


async def run_watch(target: Target, *, streams: int, watchers: int, seconds: float) -> Outcome:
    """All watchers of all streams watch one key; puts of it go on, events are counted."""
    counter = _EventCounter(streams * watchers)
    async with (
        loads.connected(target.endpoints, min(streams, CONNECTIONS_MAX)) as watching,
        loads.connected(target.endpoints, _PUTS_UNDER_WAY) as putting,
    ):
        _watch(watching, streams, watchers, counter.on_message)
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await reached(lambda: counter.created >= streams * watchers)
        return await _FanOut(target, putting, counter).run(seconds)


def _watch(
    connections: Sequence[GrpcConnection],
    streams: int,
    watchers: int,
    on_message: Callable[[bytes], None],
) -> None:
    block = headers("/etcdserverpb.Watch/Watch")
    create = rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=_WATCHED))
    data = message(create.SerializeToString()) * watchers
    for connection in itertools.islice(itertools.cycle(connections), streams):
        stream = connection.open(block, on_message, lambda _: None)
        connection.send(stream, data, last=False)


class _EventCounter:
    """Counts events; a message equal to the last one is not decoded again."""

    def __init__(self, watchers: int) -> None:
        self.watchers = watchers
        self.created = 0
        self.events = 0
        self.wake_at = math.inf  # events
        self.wake: Callable[[], None] = lambda: None
        self._last = b""
        self._last_events = 0

    def on_message(self, data: bytes) -> None:
        if data != self._last:
            response = rpc_pb2.WatchResponse.FromString(data)
            if response.created:
                self.created += 1
                return
            self._last, self._last_events = data, len(response.events)
        self.events += self._last_events
        if self.events >= self.wake_at:
            self.wake()


class _FanOut:
    """Puts as many as may be under way; holds them back while too many events are owed."""

    def __init__(
        self, target: Target, connections: Sequence[GrpcConnection], counter: _EventCounter
    ) -> None:
        self._connections = itertools.cycle(connections)
        self._counter = counter
        self._meter = Meter(target)
        self._end = 0.0
        self._block = headers(PUT.method)
        request = rpc_pb2.PutRequest(key=_WATCHED, value=VALUE)
        self._request = message(request.SerializeToString())
        self._under_way = 0
        self._put = 0

    async def run(self, seconds: float) -> Outcome:
        """Events within the time; those that never come afterwards are failures."""
        self._end = self._meter.began + seconds
        self._counter.wake = self._put_more
        self._put_more()
        await asyncio.sleep(self._end - time.perf_counter())
        outcome = self._meter.outcome(self._counter.events)
        deadline = time.perf_counter() + ANSWER_SECONDS_MAX
        await reached(lambda: self._is_drained() or time.perf_counter() > deadline)
        # Too many events are as wrong as too few.
        failures = self._meter.failures + self._under_way + abs(self._owed())
        return msgspec.structs.replace(outcome, failures=failures)

    def _owed(self) -> int:
        """Events that are not here yet."""
        return self._put * self._counter.watchers - self._counter.events

    def _is_drained(self) -> bool:
        return self._under_way == 0 and self._owed() <= 0

    def _put_more(self) -> None:
        counter = self._counter
        counter.wake_at = math.inf
        while self._under_way < _PUTS_UNDER_WAY and time.perf_counter() < self._end:
            awaited = (self._put - _PUTS_OWED_MAX + 1) * counter.watchers
            if counter.events < awaited:
                counter.wake_at = awaited
                return
            self._start()

    def _start(self) -> None:
        began = time.perf_counter()

        def on_end(is_answered: bool) -> None:
            self._under_way -= 1
            if is_answered:
                self._meter.latencies.append(time.perf_counter() - began)
                self._put_more()
            else:
                self._put -= 1
                self._meter.failures += 1

        self._under_way += 1
        self._put += 1
        try:
            next(self._connections).call(self._block, self._request, on_end)
        except ConnectionError:
            self._end = began  # no more puts: what is owed will be missed


async def reached(condition: Callable[[], bool]) -> None:
    """Return once a condition holds that counters of this process decide."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


# ------------------------------------------------------------------ lease


async def run_keep_alive(target: Target, seconds: float) -> Outcome:
    """A hundred streams keep one lease each alive, the next time as soon as they may."""
    async with loads.connected(target.endpoints, LEASE_STREAMS) as connections:
        leases = await asyncio.gather(*(_grant(connection) for connection in connections))
        calls = [
            _KeepAlive(connection, lease).call
            for connection, lease in zip(connections, leases, strict=True)
        ]
        outcome = await closed_loop.run(target, calls, seconds)
        await asyncio.gather(*map(_revoke, connections, leases))
        return outcome


async def _grant(connection: GrpcConnection) -> int:
    request = rpc_pb2.LeaseGrantRequest(TTL=_LEASE_TTL_SECONDS).SerializeToString()
    answer = await ask(connection, "/etcdserverpb.Lease/LeaseGrant", request)
    return rpc_pb2.LeaseGrantResponse.FromString(answer).ID


async def _revoke(connection: GrpcConnection, lease: int) -> None:
    request = rpc_pb2.LeaseRevokeRequest(ID=lease).SerializeToString()
    await ask(connection, "/etcdserverpb.Lease/LeaseRevoke", request)


class _KeepAlive:
    """One stream with one keep-alive under way."""

    def __init__(self, connection: GrpcConnection, lease: int) -> None:
        request = rpc_pb2.LeaseKeepAliveRequest(ID=lease)
        self._data = message(request.SerializeToString())
        self._connection = connection
        self._on_end: OnEnd | None = None
        self._has_ended = False
        block = headers("/etcdserverpb.Lease/LeaseKeepAlive")
        self._stream = connection.open(block, self._on_message, self._on_stream_end)

    def call(self, on_end: OnEnd) -> None:
        """Send one; a closed loop's call."""
        if self._has_ended:
            raise ConnectionResetError("the stream has ended")
        self._on_end = on_end
        self._connection.send(self._stream, self._data, last=False)

    def _on_message(self, data: bytes) -> None:
        # A TTL of 0 says that there is no such lease.
        self._answer(rpc_pb2.LeaseKeepAliveResponse.FromString(data).TTL > 0)

    def _on_stream_end(self, _: bool) -> None:
        self._has_ended = True
        self._answer(False)

    def _answer(self, is_alive: bool) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(is_alive)
