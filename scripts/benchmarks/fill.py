"""Writing a lot: many keys in txns, large values, or a steady rate, on one connection."""

import asyncio
import time
from collections.abc import Iterable, Iterator

from benchmarks.grpc_client import GrpcConnection, connect, headers, message
from benchmarks.loads import PUT, VALUE
from kvstore.pb import rpc_pb2

Request = tuple[str, bytes]  # method, encoded message

_TXN = "/etcdserverpb.KV/Txn"
_PUTS_PER_TXN = 100
_KEY = b"fill/%08d"


def put(key: bytes, value: bytes = VALUE) -> Request:
    """One put."""
    return PUT.method, rpc_pb2.PutRequest(key=key, value=value).SerializeToString()


def compact(revision: int) -> Request:
    """One compaction."""
    request = rpc_pb2.CompactionRequest(revision=revision)
    return "/etcdserverpb.KV/Compact", request.SerializeToString()


def key_puts(numbers: range) -> Iterator[Request]:
    """Puts of numbered keys with values of 256 B, a hundred in a txn."""
    for start in range(numbers.start, numbers.stop, _PUTS_PER_TXN):
        puts = [
            rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=_KEY % number, value=VALUE))
            for number in range(start, min(start + _PUTS_PER_TXN, numbers.stop))
        ]
        yield _TXN, rpc_pb2.TxnRequest(success=puts).SerializeToString()


class Writer:
    """Sends requests on one connection and counts what was answered."""

    def __init__(self, connection: GrpcConnection) -> None:
        self._connection = connection
        self._headers: dict[str, bytes] = {}
        self._done = asyncio.Event()
        self.under_way = 0
        self.answered = 0
        self.failed = 0

    @classmethod
    async def open(cls, endpoint: str) -> "Writer":
        """Connect to `host:port`."""
        return cls(await connect(endpoint))

    def send(self, request: Request) -> None:
        """Send one request; its answer is only counted."""
        method, data = request
        block = self._headers.setdefault(method, headers(method))

        def on_end(is_answered: bool) -> None:
            self.under_way -= 1
            self.answered += is_answered
            self.failed += not is_answered
            self._done.set()

        self.under_way += 1
        self._connection.call(block, message(data), on_end)

    async def send_all(self, requests: Iterable[Request], *, under_way_max: int = 16) -> None:
        """Send all, so many at a time, and wait for the last answer."""
        for request in requests:
            await self._until_below(under_way_max)
            self.send(request)
        await self._until_below(1)

    async def send_steadily(self, requests: Iterator[Request], *, per_second: float) -> None:
        """Send at a rate, whatever the answers do, until cancelled."""
        began, sent = time.perf_counter(), 0
        while True:
            await asyncio.sleep(0.01)
            due = int((time.perf_counter() - began) * per_second)
            while sent < due:
                self.send(next(requests))
                sent += 1

    async def _until_below(self, count: int) -> None:
        while self.under_way >= count:
            self._done.clear()
            await self._done.wait()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
