"""The loads of the store benchmark: what one client does, over and over, for a while.

Closed loop: each client has one request under way. The same generator drives both systems.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.grpc_client import GrpcConnection, connect, headers, message
from kvstore.pb import rpc_pb2

VALUE = bytes(range(256))
KEYS = 10_000
CONNECTIONS_MAX = 100  # clients share connections beyond it, as real ones do
WATCH_STREAMS = 1_000
_RANGE_PREFIX = b"range/%06d"


class Outcome(msgspec.Struct, frozen=True):
    """One measurement: completions per second, latencies in ms, and the generator's own CPU."""

    rate: float
    p50_ms: float
    p99_ms: float
    failures: int
    generator_cpu: float  # share of one core


class Load(msgspec.Struct, frozen=True):
    """A unary load: method and a maker of requests (from a running number)."""

    name: str
    method: str
    request: Callable[[int], bytes]


def _put(number: int) -> bytes:
    key = b"put/%06d" % (number % KEYS)
    return rpc_pb2.PutRequest(key=key, value=VALUE).SerializeToString()


def _get(number: int) -> bytes:
    return rpc_pb2.RangeRequest(key=_RANGE_PREFIX % (number % KEYS)).SerializeToString()


def _serializable_get(number: int) -> bytes:
    key = _RANGE_PREFIX % (number % KEYS)
    return rpc_pb2.RangeRequest(key=key, serializable=True).SerializeToString()


def _txn(number: int) -> bytes:
    puts = [
        rpc_pb2.RequestOp(
            request_put=rpc_pb2.PutRequest(key=b"txn/%d/%06d" % (part, number % KEYS), value=VALUE)
        )
        for part in range(4)
    ]
    return rpc_pb2.TxnRequest(success=puts).SerializeToString()


def _range(count: int) -> Callable[[int], bytes]:
    def request(number: int) -> bytes:
        start = number % (KEYS - count)
        return rpc_pb2.RangeRequest(
            key=_RANGE_PREFIX % start, range_end=_RANGE_PREFIX % (start + count)
        ).SerializeToString()

    return request


PUT = Load("put 256 B", "/etcdserverpb.KV/Put", _put)
UNARY = (
    PUT,
    Load("linearizable get", "/etcdserverpb.KV/Range", _get),
    Load("serializable get", "/etcdserverpb.KV/Range", _serializable_get),
    Load("txn of 4 puts", "/etcdserverpb.KV/Txn", _txn),
)
RANGES = (
    Load("range of 100", "/etcdserverpb.KV/Range", _range(100)),
    Load("range of 1000", "/etcdserverpb.KV/Range", _range(1000)),
)


async def run(load: Load, endpoints: Sequence[str], clients: int, seconds: float) -> Outcome:
    """Drive `clients` closed loops, spread over the members, for `seconds`."""
    connections = await _connect(endpoints, clients)
    block = headers(load.method)
    numbers = itertools.count()
    latencies: list[float] = []
    failures = 0
    end = time.perf_counter() + seconds
    finished = asyncio.Event()
    active = clients

    def start(connection: GrpcConnection) -> None:
        nonlocal active, failures
        began = time.perf_counter()
        if began >= end or connection.is_lost:
            active -= 1
            if not active:
                finished.set()
            return
        answered = False

        def on_message(_: bytes) -> None:
            nonlocal answered
            answered = True

        def on_end() -> None:
            nonlocal failures
            if answered:
                latencies.append(time.perf_counter() - began)
            else:
                failures += 1
            start(connection)

        stream = connection.open(block, on_message, on_end)
        connection.send(stream, message(load.request(next(numbers))), last=True)

    began, cpu = time.perf_counter(), _own_cpu()
    for number in range(clients):
        start(connections[number % len(connections)])
    async with asyncio.timeout(seconds + 30):
        await finished.wait()
    elapsed = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return _outcome(latencies, failures, elapsed, _own_cpu() - cpu)


async def run_watch(endpoints: Sequence[str], seconds: float) -> Outcome:
    """One key watched by 1,000 streams of one watcher each; puts go on, events are counted."""
    connections = await _connect(endpoints, CONNECTIONS_MAX)
    created = events = 0

    def on_message(data: bytes) -> None:
        nonlocal created, events
        response = rpc_pb2.WatchResponse.FromString(data)
        created += response.created
        events += len(response.events)

    block = headers("/etcdserverpb.Watch/Watch")
    create = rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=b"watched"))
    for number in range(WATCH_STREAMS):
        connection = connections[number % len(connections)]
        stream = connection.open(block, on_message, lambda: None)
        connection.send(stream, message(create.SerializeToString()), last=False)
    async with asyncio.timeout(30):
        await reached(lambda: created >= WATCH_STREAMS)
    began, cpu = time.perf_counter(), _own_cpu()
    put = Load(
        "put",
        PUT.method,
        lambda _: rpc_pb2.PutRequest(key=b"watched", value=VALUE).SerializeToString(),
    )
    puts = await run(put, endpoints, 8, seconds)
    expected = round(puts.rate * seconds) * WATCH_STREAMS
    deadline = time.perf_counter() + 30
    await reached(lambda: events >= expected * 0.999 or time.perf_counter() > deadline)
    elapsed = time.perf_counter() - began
    for connection in connections:
        connection.close()
    used = (_own_cpu() - cpu) / elapsed
    return Outcome(events / elapsed, puts.p50_ms, puts.p99_ms, puts.failures, used)


async def reached(condition: Callable[[], bool]) -> None:
    """Return once a condition holds that counters of this process decide."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def fill(endpoints: Sequence[str]) -> None:
    """The keys that reads find."""
    connections = await _connect(endpoints[:1], 1)
    block = headers(PUT.method)
    for start in range(0, KEYS, 100):
        waiting = 100
        done = asyncio.Event()

        def on_end(done: asyncio.Event = done) -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                done.set()

        for number in range(start, start + 100):
            request = rpc_pb2.PutRequest(key=_RANGE_PREFIX % number, value=VALUE)
            stream = connections[0].open(block, lambda _: None, on_end)
            connections[0].send(stream, message(request.SerializeToString()), last=True)
        async with asyncio.timeout(30):
            await done.wait()
    connections[0].close()


async def _connect(endpoints: Sequence[str], clients: int) -> list[GrpcConnection]:
    count = max(len(endpoints), min(clients, CONNECTIONS_MAX)) if clients > 1 else 1
    chosen = itertools.islice(itertools.cycle(endpoints), count)
    return list(await asyncio.gather(*(connect(endpoint) for endpoint in chosen)))


def _own_cpu() -> float:
    used = os.times()
    return used.user + used.system


def _outcome(latencies: list[float], failures: int, elapsed: float, cpu: float) -> Outcome:
    latencies.sort()
    if not latencies:
        return Outcome(0.0, 0.0, 0.0, failures, cpu / elapsed)
    p50 = latencies[len(latencies) // 2]
    p99 = latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)]
    return Outcome(len(latencies) / elapsed, p50 * 1e3, p99 * 1e3, failures, cpu / elapsed)
