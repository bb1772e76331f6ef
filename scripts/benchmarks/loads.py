"""Unary loads: which requests there are, and clients that send one after the other.

The same generator drives both systems, with requests encoded before the measurement.
"""

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from benchmarks import closed_loop
from benchmarks.closed_loop import Call
from benchmarks.grpc_client import GrpcConnection, OnEnd, ask, connect, headers, message
from benchmarks.outcome import Outcome, Target
from kvstore.pb import rpc_pb2

VALUE = bytes(range(256))
KEYS = 10_000
CONNECTIONS_MAX = 100  # clients share connections beyond it, as real ones do
LARGE_VALUE = bytes(range(256)) * 4_096  # 1 MiB
LARGE_KEYS = 16
# etcd keeps the last entries of its log in memory, whatever their size: more would fill it.
LARGE_PUTS_MAX = 64
_FILL_AT_ONCE = 100
_FILL_ATTEMPTS_MAX = 10
_RANGE_PREFIX = b"range/%06d"
_LARGE_PREFIX = b"large/%02d"
_PUT_METHOD = "/etcdserverpb.KV/Put"
_RANGE_METHOD = "/etcdserverpb.KV/Range"


class Load(msgspec.Struct, frozen=True):
    """Requests of one kind, made from a running number that starts again after `cycle`."""

    name: str
    method: str
    request: Callable[[int], bytes]
    cycle: int = KEYS
    count_max: int | None = None  # requests in one measurement


def _put(number: int) -> bytes:
    return rpc_pb2.PutRequest(key=b"put/%06d" % number, value=VALUE).SerializeToString()


def _get(number: int) -> bytes:
    return rpc_pb2.RangeRequest(key=_RANGE_PREFIX % number).SerializeToString()


def _serializable_get(number: int) -> bytes:
    key = _RANGE_PREFIX % number
    return rpc_pb2.RangeRequest(key=key, serializable=True).SerializeToString()


def _txn(number: int) -> bytes:
    puts = [
        rpc_pb2.RequestOp(
            request_put=rpc_pb2.PutRequest(key=b"txn/%d/%06d" % (part, number), value=VALUE)
        )
        for part in range(4)
    ]
    return rpc_pb2.TxnRequest(success=puts).SerializeToString()


def _range(count: int) -> Callable[[int], bytes]:
    def request(number: int) -> bytes:
        return rpc_pb2.RangeRequest(
            key=_RANGE_PREFIX % number, range_end=_RANGE_PREFIX % (number + count)
        ).SerializeToString()

    return request


def _fill(number: int) -> bytes:
    return rpc_pb2.PutRequest(key=_RANGE_PREFIX % number, value=VALUE).SerializeToString()


def _large_put(number: int) -> bytes:
    return rpc_pb2.PutRequest(key=_LARGE_PREFIX % number, value=LARGE_VALUE).SerializeToString()


def _large_get(number: int) -> bytes:
    return rpc_pb2.RangeRequest(key=_LARGE_PREFIX % number).SerializeToString()


PUT = Load("put 256 B", _PUT_METHOD, _put)
GET = Load("linearizable get", _RANGE_METHOD, _get)
SERIALIZABLE_GET = Load("serializable get", _RANGE_METHOD, _serializable_get)
TXN = Load("txn of 4 puts", "/etcdserverpb.KV/Txn", _txn)
RANGE_100 = Load("range of 100", _RANGE_METHOD, _range(100), KEYS - 100)
RANGE_1000 = Load("range of 1000", _RANGE_METHOD, _range(1_000), KEYS - 1_000)
LARGE_PUT = Load("put 1 MiB", _PUT_METHOD, _large_put, LARGE_KEYS, LARGE_PUTS_MAX)
LARGE_GET = Load("get 1 MiB", _RANGE_METHOD, _large_get, LARGE_KEYS)


@functools.cache
def encoded(load: Load) -> list[bytes]:
    """All different requests of a load as gRPC messages."""
    return [message(load.request(number)) for number in range(load.cycle)]


async def run(load: Load, target: Target, clients: int, seconds: float) -> Outcome:
    """Drive `clients` closed loops, spread over the members, for `seconds`."""
    async with connected(target.endpoints, min(clients, CONNECTIONS_MAX)) as connections:
        calls = _calls(load, connections, clients)
        return await closed_loop.run(target, calls, seconds, count_max=load.count_max)


def _calls(load: Load, connections: Sequence[GrpcConnection], clients: int) -> list[Call]:
    block = headers(load.method)
    requests = itertools.cycle(encoded(load))

    def caller(turns: Iterator[GrpcConnection]) -> Call:
        def call(on_end: OnEnd) -> None:
            next(turns).call(block, next(requests), on_end)

        return call

    if clients == 1:  # goes round the members: which one leads must not matter
        return [caller(itertools.cycle(connections))]
    chosen = itertools.islice(itertools.cycle(connections), clients)
    return [caller(itertools.repeat(connection)) for connection in chosen]


async def fill(endpoints: Sequence[str]) -> None:
    """Put the keys that reads find."""
    async with connected(endpoints[:1], 1) as [connection]:
        requests = map(_fill, range(KEYS))
        while batch := list(itertools.islice(requests, _FILL_AT_ONCE)):
            await asyncio.gather(*(_put_surely(connection, request) for request in batch))
        for number in range(LARGE_KEYS):
            await _put_surely(connection, _large_put(number))


async def _put_surely(connection: GrpcConnection, request: bytes) -> None:
    """Put again what a busy system gave up; to fill it is no measurement."""
    for _ in range(_FILL_ATTEMPTS_MAX - 1):
        with contextlib.suppress(ConnectionError):
            await ask(connection, _PUT_METHOD, request)
            return
        if connection.is_lost:
            break
    await ask(connection, _PUT_METHOD, request)


async def compact(endpoints: Sequence[str]) -> None:
    """Forget all history; returns once the first member is rid of it."""
    async with connected(endpoints[:1], 1) as [connection]:
        # A revision of our own: to compact the same one twice is an error.
        put = rpc_pb2.PutRequest(key=b"compacted").SerializeToString()
        answer = await ask(connection, _PUT_METHOD, put)
        revision = rpc_pb2.PutResponse.FromString(answer).header.revision
        request = rpc_pb2.CompactionRequest(revision=revision, physical=True)
        await ask(connection, "/etcdserverpb.KV/Compact", request.SerializeToString())


@asynccontextmanager
async def connected(endpoints: Sequence[str], count: int) -> AsyncIterator[list[GrpcConnection]]:
    """So many connections, spread over the members, and one to each member at least."""
    chosen = itertools.islice(itertools.cycle(endpoints), max(len(endpoints), count))
    connections = list(await asyncio.gather(*map(connect, chosen)))
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()
